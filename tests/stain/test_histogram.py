"""Histogram matching against scikit-image, and its background."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from histokin.errors import UsageError
from histokin.stain.base import Appearance
from histokin.stain.color_map import packed
from histokin.stain.histogram import HistogramMap, HistogramMatching, matching
from histokin.stain.registry import map_from_dict
from histokin.testing.appearance import AppearanceContract, synthetic_he
from histokin.types import RGB


class TestTissue(AppearanceContract):
    def build(self, *, strict: bool = False) -> Appearance:
        return HistogramMatching(strict=strict)


class TestPlain(AppearanceContract):
    def build(self, *, strict: bool = False) -> Appearance:
        return HistogramMatching(synthetic_he(px=64, seed=9), statistics="all", background="transfer", strict=strict)


def plain(source: RGB, target: RGB) -> HistogramMap:
    fitted = HistogramMatching(target, statistics="all", background="transfer").fit([source])
    assert isinstance(fitted, HistogramMap)
    return fitted


def agrees_with_scikit_image(source: RGB, target: RGB) -> None:
    from skimage.exposure import match_histograms

    peer = match_histograms(source, target, channel_axis=-1)
    fitted = plain(source, target)
    assert np.abs(fitted(source).astype(int) - peer).max() <= 1
    cut = np.stack([fitted.tables[c][source[..., c]] for c in range(3)], axis=-1).astype(np.uint8)
    assert (cut != peer).mean() < 1e-3  # tables are rounded to six decimals


def test_shares_by_hand() -> None:
    source, target = np.zeros((2, 256), int)
    source[[10, 20]], target[[100, 150, 200]] = 2, (1, 1, 2)
    table = matching(tuple(source.tolist()), tuple(target.tolist()))
    assert table[10] == 150
    assert table[20] == 200
    assert table[15] == 175
    assert table[5] == 75
    assert (table[0], table[255]) == (0, 255)


def test_agrees_with_scikit_image() -> None:
    agrees_with_scikit_image(synthetic_he(), synthetic_he(seed=3, gain=(1.4, 0.7)))
    rng = np.random.default_rng(0)
    agrees_with_scikit_image(rng.integers(0, 180, (90, 70, 3), np.uint8), rng.integers(30, 256, (50, 60, 3), np.uint8))


def test_agrees_with_scikit_image_on_tissue(shared_data: Path) -> None:
    folder = shared_data / "stain-reference" / "torchstain"
    source, target = (np.asarray(Image.open(folder / f"{n}.png").convert("RGB")) for n in ("source", "target"))
    agrees_with_scikit_image(source, target)


def test_matched_to_itself_nothing_changes() -> None:
    image = synthetic_he()
    assert np.array_equal(plain(image, image)(image), image)
    kept = HistogramMatching(image).fit([image])
    assert np.array_equal(kept(image), image)


def test_background_is_kept() -> None:
    fitted = HistogramMatching().fit([synthetic_he(px=128)])
    white = np.full((5, 7, 3), (250, 247, 251), np.uint8)
    assert np.array_equal(fitted(white), white)
    assert not np.array_equal(fitted(white - 180), white - 180)


def test_the_amount_of_glass_does_not_matter() -> None:
    tile = synthetic_he(px=128)
    glass = np.full((256, 128, 3), 250, np.uint8)
    alone, beside = (HistogramMatching().fit(images)(tile) for images in ([tile], [tile, glass]))
    assert np.array_equal(alone, beside)
    every = HistogramMatching(statistics="all")
    assert not np.array_equal(every.fit([tile])(tile), every.fit([tile, glass])(tile))


def test_a_table_of_all_colors_gives_the_same_bytes() -> None:
    fitted = HistogramMatching().fit([synthetic_he(px=128)])
    assert isinstance(fitted, HistogramMap)
    table = packed(fitted.colors)
    image = np.random.default_rng(2).integers(0, 256, (301, 77, 3), np.uint8)
    r, g, b = np.moveaxis(image.astype(np.uint32), -1, 0)
    found = table[r | g << 8 | b << 16]
    assert np.array_equal(np.stack([found & 255, found >> 8 & 255, found >> 16 & 255], axis=-1), fitted(image))


def test_targets(tmp_path: Path) -> None:
    image = synthetic_he(px=64)
    Image.fromarray(image).save(tmp_path / "target.png")
    by_array = HistogramMatching(image)
    assert HistogramMatching(tmp_path / "target.png").space == by_array.space
    assert HistogramMatching([image[:30], image[30:]]).space == by_array.space
    assert HistogramMatching(by_array.to_dict()["target"]).space == by_array.space != HistogramMatching().space
    assert len(str(by_array.describe())) < 300


@pytest.mark.parametrize(
    "target",
    [
        np.full((50, 50, 3), 255, np.uint8),
        np.full((50, 50, 3), (180, 90, 150), np.uint8),
        np.zeros((50, 50), np.uint8),
        {"red": [1] * 256, "green": [1] * 256},
        {"red": [1] * 256, "green": [1] * 256, "blue": [1] * 255},
        {"red": [1] * 256, "green": [1] * 256, "blue": [0] * 256},
        {"red": [1] * 256, "green": [1] * 256, "blue": [-1] * 256},
        7,
    ],
)
def test_impossible_targets_are_refused(target: object) -> None:
    with pytest.raises(UsageError) as caught:
        HistogramMatching(target)
    assert caught.value.remedy


def test_damaged_maps_are_refused() -> None:
    stored = plain(synthetic_he(px=32), synthetic_he(px=32, seed=1)).to_dict()
    for tables in ({"red": [1.0]}, {name: [1.0] * 255 for name in ("red", "green", "blue")}):
        with pytest.raises(UsageError):
            map_from_dict({**stored, "tables": tables})
