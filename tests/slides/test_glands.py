"""The 50 % gland rule: supplied masks, drawn glands, the proxy."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from histokin.errors import InputError, UnreadableFile, UnsupportedFormat
from histokin.evaluation.synthetic.centres import CENTRES
from histokin.evaluation.synthetic.glands import gland_field
from histokin.slides.areas import Area, rectangle
from histokin.slides.glands import GlandAreas, GlandMask, as_picture, proxy_glands, proxy_size, read_gland_mask
from histokin.stain.deconvolution import deconvolve
from histokin.types import RGB, Region

UM_PER_SCENE = 480.0
"""The drawn field is taken to be so wide: glands of 90 µm."""


def _blue(image: RGB) -> np.ndarray:
    return deconvolve(image)[..., 0].astype(np.float32)


def test_fractions_of_a_mask() -> None:
    mask = np.zeros((10, 20), bool)
    mask[:, :10] = True
    glands = GlandMask(mask, Region(100, 0, 400, 200))
    regions = [Region(100, 0, 200, 200), Region(200, 0, 200, 100), Region(300, 0, 100, 100), Region(0, 0, 200, 100)]
    assert glands.fractions(regions).tolist() == pytest.approx([1.0, 0.5, 0.0, 0.5])
    assert glands.fractions([]).tolist() == []


def test_fractions_of_drawn_glands() -> None:
    drawn = GlandAreas((Area("", (rectangle(Region(0, 0, 50, 100)),)), Area("x", (rectangle(Region(60, 0, 40, 50)),))))
    assert drawn.fractions([Region(0, 0, 100, 100), Region(200, 0, 5, 5)]).tolist() == pytest.approx([0.7, 0.0])


@pytest.mark.parametrize("mode", ["L", "1", "P", "RGB", "RGBA", "I;16"])
def test_masks_of_any_kind(tmp_path: Path, mode: str) -> None:
    plane = np.zeros((30, 60), np.uint8)
    plane[:, 30:] = 3
    path = tmp_path / "m.png"
    if mode == "I;16":
        Image.fromarray(plane.astype(np.uint16)).save(path)
    else:
        scaled = plane * (85 if mode in ("1", "RGB", "RGBA") else 1)
        Image.fromarray(scaled).convert(mode).save(path)
    found = read_gland_mask(path, 601, 300)
    assert found.source == "mask"
    assert (found.mask == (plane > 0)).all()


def test_masks_that_cannot_be_used(tmp_path: Path) -> None:
    path = tmp_path / "m.png"
    Image.fromarray(as_picture(np.ones((30, 60), bool))).save(path)
    with pytest.raises(InputError, match="60 x 30 pixels does not have the proportions of the slide, 300 x 300"):
        read_gland_mask(path, 300, 300)
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(UnreadableFile, match="cannot be read") as caught:
        read_gland_mask(path, 600, 300)
    assert caught.value.path == str(path)
    with pytest.raises(UnsupportedFormat, match="PNG, TIFF or BMP"):
        read_gland_mask(tmp_path / "m.jpg", 600, 300)
    with pytest.raises(UnreadableFile):
        read_gland_mask(tmp_path / "none.png", 600, 300)


@pytest.mark.parametrize("centre", [0, 4])
@pytest.mark.parametrize("label", ["normal", "adenoma", "well"])
def test_the_proxy_finds_drawn_glands(label: str, centre: int) -> None:
    for seed in (100, 101):
        field = gland_field(label, px=224, seed=seed)
        image = CENTRES[centre].image(field.concentrations, noise=1.0, seed=seed)
        (found,) = proxy_glands([(Region(0, 0, 960, 960), image)], UM_PER_SCENE / 960, _blue)
        assert found.source == "proxy"
        both = (found.mask & field.glands).sum()
        assert 2 * both / (found.mask.sum() + field.glands.sum()) > 0.75


def test_the_proxy_where_there_is_one_kind_of_tissue() -> None:
    frame = Region(0, 0, 100, 100)
    for level, expected in ((250, 0.0), (60, 1.0)):
        even = np.full((100, 100, 3), level, np.uint8)
        even[..., 2] = min(255, level + 60)
        (found,) = proxy_glands([(frame, even)], 1.0, _blue)
        assert found.mask.mean() == expected
    assert proxy_glands([], 1.0, _blue) == []


def test_the_proxy_looks_at_two_microns_and_never_at_too_much() -> None:
    assert proxy_size(Region(0, 0, 1000, 400), 0.5) == (250, 100)
    assert proxy_size(Region(0, 0, 1000, 400), 4.0) == (1000, 400)
    width, height = proxy_size(Region(0, 0, 200_000, 200_000), 0.25)
    assert width * height <= 16_100_000
