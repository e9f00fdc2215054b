"""Pictures of other microscopes, in the channels and bits of their files."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow

from histokin.errors import UnreadableFile, UnsupportedFormat
from histokin.slides.channels import channel_count, read_channels
from histokin.slides.reading import open_slide

Write = Callable[[Path, np.ndarray], None]
GRAY = np.arange(40 * 50, dtype=np.uint8).reshape(40, 50)
DEEP = (np.arange(40 * 50, dtype=np.uint32) * 32).astype(np.uint16).reshape(40, 50)
COLOR = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)


def png(path: Path, pixels: np.ndarray) -> None:
    Pillow.fromarray(pixels).save(path, "PNG")


def tif(path: Path, pixels: np.ndarray) -> None:
    tifffile.imwrite(path, pixels, photometric="rgb" if pixels.ndim == 3 else "minisblack", compression="zlib")


@pytest.mark.parametrize("write", [png, tif])
@pytest.mark.parametrize("pixels", [GRAY, DEEP, COLOR])
def test_samples_are_those_of_the_file(write: Write, pixels: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / f"a.{write.__name__}"
    write(path, pixels)
    with open_slide(path) as slide:
        found = read_channels(slide)
        assert channel_count(slide) == (1 if pixels.ndim == 2 else 3)
    assert found.dtype == pixels.dtype
    assert np.array_equal(found, pixels if pixels.ndim == 3 else pixels[..., None])


def test_tiff_of_planes_of_twelve_bits_and_of_inverted_gray(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "p.tif", np.moveaxis(COLOR, -1, 0), photometric="rgb", planarconfig="separate")
    twelve = (DEEP >> 4).astype(np.uint16)
    tifffile.imwrite(tmp_path / "t.tif", twelve, bitspersample=12, photometric="minisblack")
    tifffile.imwrite(tmp_path / "w.tif", GRAY, photometric="miniswhite")
    with open_slide(tmp_path / "p.tif") as slide:
        assert np.array_equal(read_channels(slide), COLOR)
    with open_slide(tmp_path / "t.tif") as slide:
        found = read_channels(slide)[..., 0]
    assert np.array_equal(found, (twelve.astype(np.uint32) * 65535 // 4095).astype(np.uint16))
    with open_slide(tmp_path / "w.tif") as slide:
        assert np.array_equal(read_channels(slide)[..., 0], 255 - GRAY)


def test_upright_by_the_tag_of_the_camera(tmp_path: Path) -> None:
    picture = Pillow.fromarray(GRAY)
    tags = picture.getexif()
    tags[274] = 6  # turned by a quarter
    picture.save(tmp_path / "a.png", exif=tags)
    with open_slide(tmp_path / "a.png") as slide:
        assert np.array_equal(read_channels(slide)[..., 0], np.rot90(GRAY, -1))


def test_what_has_no_agreed_channels_is_refused_by_name(tmp_path: Path) -> None:
    alpha = np.concatenate([COLOR, COLOR[..., :1]], axis=2)
    Pillow.fromarray(alpha).save(tmp_path / "alpha.png")
    tifffile.imwrite(tmp_path / "alpha.tif", alpha, photometric="rgb", extrasamples=["unassalpha"])
    tifffile.imwrite(tmp_path / "tiled.tif", np.zeros((64, 64), np.uint8), tile=(32, 32))
    reasons = {"alpha.png": "transparent", "alpha.tif": "4 channels", "tiled.tif": "read as a brightfield slide"}
    for name, reason in reasons.items():
        with open_slide(tmp_path / name) as slide, pytest.raises(UnsupportedFormat, match=reason) as caught:
            read_channels(slide)
        assert caught.value.path == str(tmp_path / name)


def test_a_file_that_vanishes_meanwhile(tmp_path: Path) -> None:
    png(tmp_path / "a.png", GRAY)
    with open_slide(tmp_path / "a.png") as slide:
        (tmp_path / "a.png").unlink()
        with pytest.raises(UnreadableFile, match="do not decode"):
            read_channels(slide)


def test_real_second_harmonic_images_have_one_channel(shared_data: Path) -> None:
    folder = shared_data / "bf-shg"
    with open_slide(folder / "shg" / "1B_A1.tif") as slide:
        assert channel_count(slide) == 1
        found = read_channels(slide)
    assert found.shape == (512, 512, 1)
    assert found.dtype == np.uint8
    with open_slide(folder / "he_aligned_derived" / "1B_A1.png") as slide:
        assert channel_count(slide) == 3
