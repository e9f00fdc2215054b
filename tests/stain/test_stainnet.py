"""StainNet as a normalizer: the published checkpoint, tables of all colors, weights by source style."""

import json
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from histokin.errors import MissingStyle, UnreadableFile, UnsupportedFormat, UsageError
from histokin.nets.stainnet import Layer, StainNetWeights, read_stainnet, write_stainnet
from histokin.stain.base import Appearance
from histokin.stain.color_table import ColorTable
from histokin.stain.none import NoNormalizer
from histokin.stain.pixels import read_image
from histokin.stain.registry import appearance_from_dict, map_from_dict, normalizer
from histokin.stain.stainnet import NeighborStainNetMap, StainNet, StainNetMap
from histokin.testing.appearance import AppearanceContract, hostile_images, synthetic_he
from histokin.types import ImageMap

CYTOLOGY = "aligned_cytopathology_dataset__StainNet-3x0_best_psnr_layer3_ch32.pth"


def near_identity(seed: int = 0, side: int = 1, mirrored: bool = False) -> StainNetWeights:
    """A net that passes colors on through its first channels, moved a little by the others."""
    rng = np.random.default_rng(seed)
    middle = side // 2
    first = rng.normal(0, 0.01, (8, 3, side, side))
    first[:3, :, middle, middle] += np.eye(3)
    last = rng.normal(0, 0.01, (3, 8, side, side))
    last[:, :3, middle, middle] += np.eye(3)
    if mirrored:
        first, last = first + first[..., ::-1], last + last[..., ::-1]
        first, last = first / 2, last / 2
    lift = np.r_[np.ones(3), np.zeros(5)]  # colors are -1 to 1, and the rectifier would cut the dark half off
    layers = (
        Layer(first.astype(np.float32), lift.astype(np.float32)),
        Layer(last.astype(np.float32), np.full(3, -1, np.float32)),
    )
    return StainNetWeights(layers, {"style": f"laboratory {seed}"})


@pytest.fixture(autouse=True)
def _tables(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables of compiled maps go into the tests' own folder."""
    monkeypatch.setenv("HISTOKIN_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


class TestStainNet(AppearanceContract):
    degenerate = ()

    def build(self, *, strict: bool = False) -> Appearance:
        return StainNet(weights=near_identity())


class TestStainNetTruncating(AppearanceContract):
    degenerate = ()

    def build(self, *, strict: bool = False) -> Appearance:
        return StainNet(weights={"A": near_identity(1), "B": near_identity(2)}, style="B", legacy_truncate=True)


class TestStainNetWithNeighbors(AppearanceContract):
    degenerate = ()

    def build(self, *, strict: bool = False) -> Appearance:
        return StainNet(weights=near_identity(side=3, mirrored=True))


@pytest.fixture(scope="module")
def cytology(shared_data: Path) -> tuple[np.ndarray, np.ndarray, Path]:
    folder = shared_data / "stain-reference" / "stainnet-cyto"
    source, target = (read_image(folder / name) for name in ("ori.png", "target.png"))
    return source, target, shared_data / "weights" / "stainnet" / CYTOLOGY


def scores(made: np.ndarray, source: np.ndarray, target: np.ndarray) -> tuple[float, float, float]:
    """SSIM with the target, PSNR with the target, SSIM of the stretched grey images with the source."""
    from skimage.metrics import peak_signal_noise_ratio, structural_similarity

    settings = {"win_size": 11, "gaussian_weights": True, "sigma": 1.5, "K1": 0.01, "K2": 0.03, "data_range": 255}

    def grey(image: np.ndarray) -> np.ndarray:
        plain = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float64)
        return np.asarray((plain - plain.min()) / (plain.max() - plain.min()) * 255)

    return (
        float(structural_similarity(made, target, channel_axis=-1, **settings)),
        float(peak_signal_noise_ratio(target, made, data_range=255)),
        float(structural_similarity(grey(made), grey(source), **settings)),
    )


def test_the_published_checkpoint_reaches_its_published_scores(
    cytology: tuple[np.ndarray, np.ndarray, Path],
) -> None:
    source, target, path = cytology
    rounded = StainNet(weights=path).fit([])(source)
    cut = StainNet(weights=path, legacy_truncate=True).fit([])(source)
    assert scores(cut, source, target) == pytest.approx((0.8217, 31.592, 0.9853), abs=5e-4)
    assert scores(rounded, source, target) == pytest.approx((0.8215, 31.596, 0.9854), abs=5e-4)
    for measured, expected in zip(scores(cut, source, target), (0.8217, 31.592, 0.9853), strict=True):
        assert round(measured, 3 if expected > 1 else 4) == expected
    for measured, expected in zip(scores(rounded, source, target), (0.8215, 31.596, 0.9854), strict=True):
        assert round(measured, 3 if expected > 1 else 4) == expected
    assert scores(source, source, target) == pytest.approx((0.7892, 19.203, 1.0), abs=6e-4)


def test_truncation_is_rounding_or_one_level_darker(cytology: tuple[np.ndarray, np.ndarray, Path]) -> None:
    source, _, path = cytology
    rounded = StainNet(weights=path).fit([])(source).astype(int)
    cut = StainNet(weights=path, legacy_truncate=True).fit([])(source).astype(int)
    assert set(np.unique(rounded - cut)) == {0, 1}
    assert 0.4 < (rounded - cut).mean() < 0.6
    assert StainNet(weights=path).space != StainNet(weights=path, legacy_truncate=True).space


def test_one_table_holds_the_answers_to_all_colors(cytology: tuple[np.ndarray, np.ndarray, Path]) -> None:
    source, _, path = cytology
    fitted = StainNet(weights=path).fit([])
    assert isinstance(fitted, StainNetMap)
    table = ColorTable(fitted.colors)
    table.fill()
    answers = table.packed.view(np.uint8).reshape(4096, 4096, 4)[..., :3]
    # In another order, at other places of other images: the same bytes for each of the 16.7 million colors.
    every = np.arange(1 << 24, dtype=np.uint32).view(np.uint8).reshape(4096, 4096, 4)[..., :3]
    assert np.array_equal(fitted(np.ascontiguousarray(every[::-1])), answers[::-1])
    places = source[..., 0] | source[..., 1].astype(np.uint32) << 8 | source[..., 2].astype(np.uint32) << 16
    assert np.array_equal(answers.reshape(-1, 3)[places], fitted(source))


def test_compiled_by_color_only_where_no_neighbor_counts() -> None:
    kinds = [type(StainNet(weights=near_identity(side=side)).fit([])) for side in (1, 3)]
    assert kinds == [StainNetMap, NeighborStainNetMap]
    pointwise = StainNet(weights=near_identity()).fit([])
    assert isinstance(pointwise, StainNetMap)
    cut = StainNet(weights=near_identity(), legacy_truncate=True).fit([])
    other = StainNet(weights=near_identity(1)).fit([])
    assert isinstance(cut, StainNetMap)
    assert isinstance(other, StainNetMap)
    assert len({pointwise.cache_key, cut.cache_key, other.cache_key}) == 3
    rebuilt = map_from_dict(pointwise.to_dict())
    assert isinstance(rebuilt, StainNetMap)
    assert rebuilt.cache_key == pointwise.cache_key


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 99), st.integers(1, 30), st.integers(1, 30), st.sampled_from([1, 3]))
def test_pixels_alone_in_crops_and_shuffled(seed: int, height: int, width: int, side: int) -> None:
    fitted = StainNet(weights=near_identity(seed % 5, side)).fit([])
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    mapped = fitted(image)
    assert mapped.shape == image.shape
    reach = side // 2 * 2
    top, left = seed % height, seed % width
    crop = fitted(image[: top + 1, : left + 1])
    assert np.array_equal(
        crop[: max(0, top + 1 - reach), : max(0, left + 1 - reach)],
        mapped[: max(0, top + 1 - reach), : max(0, left + 1 - reach)],
    )
    if side == 1:
        order = np.random.default_rng(seed).permutation(height * width)
        shuffled = fitted(image.reshape(-1, 1, 3)[order])
        assert np.array_equal(shuffled[:, 0], mapped.reshape(-1, 3)[order])


def test_what_is_shown_to_fit_changes_nothing() -> None:
    appearance = StainNet(weights=near_identity())
    blind = appearance.fit([]).to_dict()
    for image in hostile_images().values():
        assert appearance.fit([image]).to_dict() == blind
        mapped, status = appearance.fit([image]).apply(image)
        assert status.ok
        assert mapped.shape == image.shape
    assert not appearance.looks_at_source


def test_without_weights_it_tells_how_to_come_by_them() -> None:
    with pytest.raises(UsageError, match="needs trained weights") as caught:
        normalizer("stainnet")
    assert "histokin train stainnet" in caught.value.remedy
    with pytest.raises(UsageError, match="takes no target"):
        normalizer("stainnet", target=synthetic_he(px=32), weights=near_identity())
    for wrong in ({}, 7, "", {"A": 7}, {"": near_identity(), "A": near_identity()}, {1: near_identity()}):
        with pytest.raises(UsageError):
            StainNet(weights=wrong)


def test_broken_weight_files_are_typed_errors(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    with pytest.raises(UnreadableFile):
        StainNet(weights=path)
    path.write_bytes(b"rubbish")
    with pytest.raises(UnreadableFile):
        StainNet(weights={"A": str(path)})
    from safetensors.numpy import save_file

    save_file({"x": np.zeros(3, np.float32)}, path)
    with pytest.raises(UnsupportedFormat):
        StainNet(weights=path)


def test_descriptions_need_no_file(tmp_path: Path) -> None:
    path = write_stainnet(near_identity(), tmp_path / "weights.safetensors", {"style": "A", "target": "B"})
    appearance = StainNet(weights=path)
    fitted = appearance.fit([])
    texts = json.dumps(appearance.to_dict()), json.dumps(fitted.to_dict())
    path.unlink()
    again, same = appearance_from_dict(json.loads(texts[0])), map_from_dict(json.loads(texts[1]))
    image = synthetic_he(px=64)
    assert again.space == appearance.space == same.space
    assert np.array_equal(same(image), fitted(image))
    assert np.array_equal(again.fit([image])(image), fitted(image))
    assert str(tmp_path) not in texts[0] + texts[1]
    short = json.dumps(appearance.describe())
    assert len(short) < 500 < len(texts[0])
    assert read_stainnet(write_stainnet(near_identity(), path)).digest in short
    assert '"target": "B"' in short


def test_one_space_for_all_styles_and_each_its_own_weights() -> None:
    sets = {"A": near_identity(1), "B": near_identity(2)}
    both = StainNet(weights=sets)
    a, b = both.for_style("A"), both.for_style("B")
    assert both.space == a.space == b.space
    assert a.fit([]).space == b.fit([]).space == both.space
    assert b.for_style("A").to_dict() == a.to_dict()
    image = synthetic_he(px=64)
    for styled, single in ((a, sets["A"]), (b, sets["B"])):
        assert np.array_equal(styled.fit([])(image), StainNet(weights=single).fit([])(image))
        rebuilt = appearance_from_dict(json.loads(json.dumps(styled.to_dict())))
        assert rebuilt.fit([]).to_dict() == styled.fit([]).to_dict()
    assert not np.array_equal(a.fit([])(image), b.fit([])(image))
    assert StainNet(weights={"A": sets["A"]}).space != both.space
    assert StainNet(weights={"A": sets["B"], "B": sets["A"]}).space != both.space
    assert StainNet(weights=dict(reversed(sets.items()))).space == both.space


def test_a_style_without_weights_is_refused_by_name() -> None:
    both = StainNet(weights={"A": near_identity(1), "B": near_identity(2)})
    for appearance in (both, both.for_style("A")):
        with pytest.raises(MissingStyle, match=r"centre 'C' \(it has some for A, B\)") as caught:
            appearance.for_style("C")
        assert caught.value.remedy
    for use in (partial(both.for_style, None), partial(both.fit, []), partial(both.for_style, "")):
        with pytest.raises(MissingStyle, match="not known") as caught:
            use()
        assert "centre" in caught.value.remedy
    with pytest.raises(MissingStyle, match="'C'"):
        StainNet(weights={"A": near_identity(1)}, style="C")


def test_one_file_serves_every_style() -> None:
    one = StainNet(weights=near_identity())
    assert one.for_style("A") is one
    assert one.for_style(None) is one
    plain = NoNormalizer()
    assert plain.for_style("A") is plain


def test_damaged_stored_maps_are_typed_errors() -> None:
    stored = StainNet(weights=near_identity()).fit([]).to_dict()
    for broken in (
        {**stored, "weights": {}},
        {**stored, "weights": None},
        {key: value for key, value in stored.items() if key != "truncate"},
    ):
        with pytest.raises(UsageError):
            map_from_dict(broken)


def test_maps_are_maps() -> None:
    fitted: ImageMap = StainNet(weights=near_identity()).fit([])
    assert fitted.status.ok
    assert fitted.then(fitted).space == fitted.space
