"""Opening and reading slides: known pixels, scales, determinism, damaged tiles."""

import shutil
import struct
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow

from histokin.errors import BadPixels, ImplausibleDimensions, MissingScale, UsageError
from histokin.slides.reading import open_slide, require_mpp
from histokin.testing import slides as make
from histokin.types import Region


def test_pixels_of_a_png_come_back_exactly_and_white_lies_outside(tmp_path: Path) -> None:
    pixels = make.tissue(60, 80)
    Pillow.fromarray(pixels).save(tmp_path / "a.png")
    with open_slide(tmp_path / "a.png") as image:
        assert (image.width, image.height, image.kind, image.format, image.mpp) == (80, 60, "image", "png", None)
        np.testing.assert_array_equal(image.read(Region(0, 0, 80, 60), 80, 60), pixels)
        beyond = image.read(Region(70, 50, 20, 20), 20, 20)
        np.testing.assert_array_equal(beyond[:10, :10], pixels[50:, 70:])
        assert (beyond[10:] == 255).all()
        assert (beyond[:, 10:] == 255).all()


def test_shrinking_averages_areas(tmp_path: Path) -> None:
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[::2] = 200
    Pillow.fromarray(pixels).save(tmp_path / "a.png")
    with open_slide(tmp_path / "a.png") as image:
        assert (image.read(Region(0, 0, 8, 8), 4, 4) == 100).all()


def test_exif_orientation_is_applied(tmp_path: Path) -> None:
    exif = Pillow.Exif()
    exif[0x0112] = 6
    Pillow.fromarray(make.tissue(40, 80)).save(tmp_path / "a.jpg", exif=exif)
    with open_slide(tmp_path / "a.jpg") as image:
        assert (image.width, image.height) == (40, 80)


@pytest.mark.parametrize("mode", ["L", "1", "P", "RGBA", "LA", "CMYK", "I;16"])
def test_every_kind_of_picture_becomes_rgb(tmp_path: Path, mode: str) -> None:
    grey = np.full((16, 16), 51, np.uint8)
    rgb = np.repeat(grey[..., None], 3, 2)
    pictures = {
        "L": Pillow.fromarray(grey),
        "1": Pillow.fromarray(np.zeros((16, 16), bool)),
        "P": Pillow.fromarray(rgb).quantize(4),
        "RGBA": Pillow.fromarray(np.dstack([rgb, np.full((16, 16), 127, np.uint8)])),
        "LA": Pillow.fromarray(np.dstack([grey, np.full((16, 16), 0, np.uint8)])),
        "CMYK": Pillow.fromarray(rgb).convert("CMYK"),
        "I;16": Pillow.fromarray(grey.astype(np.uint16) * 257),
    }
    want = {"1": 0, "RGBA": 153, "LA": 255}.get(mode, 51)
    path = tmp_path / ("a.jpg" if mode == "CMYK" else "a.png")
    pictures[mode].save(path)
    with open_slide(path) as image:
        got = image.read(Region(0, 0, 16, 16), 16, 16).astype(int)
    assert np.abs(got - want).max() <= (2 if mode == "CMYK" else 1)


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("compression", [None, "deflate", "jpeg", "lzw"])
@pytest.mark.parametrize("tile", [None, (64, 64)])
def test_plain_tiff_reads_the_same_in_every_layout(
    tmp_path: Path, planar: str, compression: str | None, tile: tuple[int, int] | None
) -> None:
    pixels = make.section(200, 300)
    stored = pixels if planar == "contig" else np.ascontiguousarray(np.moveaxis(pixels, 2, 0))
    path = make.write_tiff(
        tmp_path / "a.tif",
        stored,
        photometric="rgb",
        planarconfig=planar,
        compression=compression,
        tile=tile,
        rowsperstrip=None if tile else 17,
    )
    with open_slide(path) as slide:
        assert slide.kind == ("slide" if tile else "image")
        got = slide.read(Region(30, 20, 150, 100), 150, 100).astype(int)
    error = np.abs(got - pixels[20:120, 30:180]).mean()
    assert error <= (6 if compression == "jpeg" else 0)


def test_a_long_strip_file_is_a_slide_and_reads_exactly(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (300, 4200, 3), np.uint8)
    path = make.write_tiff(tmp_path / "a.tif", pixels, photometric="rgb")
    with open_slide(path) as slide:
        assert slide.kind == "slide"
        np.testing.assert_array_equal(slide.read(Region(4000, 100, 200, 150), 200, 150), pixels[100:250, 4000:])


@pytest.mark.parametrize(
    ("pixels", "options", "want"),
    [
        (np.full((20, 20), 40, np.uint8), {"photometric": "minisblack"}, 40),
        (np.full((20, 20), 40, np.uint8), {"photometric": "miniswhite"}, 215),
        (np.full((20, 20, 3), 40 * 257, np.uint16), {"photometric": "rgb"}, 40),
        (np.full((20, 20, 3), 4095, np.uint16), {"photometric": "rgb", "extratags": [(281, 3, 1, 4095, True)]}, 255),
        (np.full((20, 20, 4), 40, np.uint8), {"photometric": "rgb", "extrasamples": ["unassalpha"]}, 221),
    ],
)
def test_tiff_samples_become_8_bit_rgb(tmp_path: Path, pixels: np.ndarray, options: dict[str, Any], want: int) -> None:
    path = make.write_tiff(tmp_path / "a.tif", pixels, **options)
    with open_slide(path) as slide:
        assert (slide.read(Region(0, 0, 20, 20), 20, 20) == want).all()


def test_palette_tiff(tmp_path: Path) -> None:
    colors = np.zeros((3, 256), np.uint16)
    colors[:, 7] = (200 * 257, 100 * 257, 50 * 257)
    pixels = np.full((20, 20), 7, np.uint8)
    path = make.write_tiff(tmp_path / "a.tif", pixels, photometric="palette", colormap=colors)
    with open_slide(path) as slide:
        assert slide.read(Region(0, 0, 1, 1), 1, 1).tolist() == [[[200, 100, 50]]]


@pytest.mark.parametrize(
    ("resolution", "unit", "mpp"),
    [
        ((20000, 20000), "CENTIMETER", 0.5),
        ((50800, 50800), "INCH", 0.5),
        ((72, 72), "INCH", None),
        ((1, 1), "NONE", None),
    ],
)
def test_scale_of_a_plain_tiff(tmp_path: Path, resolution: tuple[int, int], unit: str, mpp: float | None) -> None:
    path = make.write_tiff(
        tmp_path / "a.tif", make.tissue(64, 64), photometric="rgb", resolution=resolution, resolutionunit=unit
    )
    with open_slide(path) as slide:
        assert slide.mpp == pytest.approx(mpp)
    with open_slide(path, mpp=0.25) as slide:
        assert slide.mpp == 0.25


def test_ome_tiff_has_scale_and_pyramid(tmp_path: Path) -> None:
    pixels = make.section(1032, 1500)
    path = make.write_ome(tmp_path / "a.ome.tif", pixels, mpp=250.0, unit="nm")
    with open_slide(path) as slide:
        assert (slide.format, slide.kind, slide.mpp) == ("ome-tiff", "slide", 0.25)
        assert slide.properties["levels"] == "3"
        np.testing.assert_array_equal(slide.read(Region(700, 500, 300, 224), 300, 224), pixels[500:724, 700:1000])
        small = slide.read(Region(400, 300, 448, 448), 112, 112).astype(float)
        area = pixels[300:748, 400:848].reshape(112, 4, 112, 4, 3).mean((1, 3))
        assert np.abs(small - area).mean() < 1.5


def test_ome_tiff_with_channel_planes(tmp_path: Path) -> None:
    pixels = make.tissue(128, 160)
    planes = np.ascontiguousarray(np.moveaxis(pixels, 2, 0))
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, planes, tile=(64, 64), photometric="minisblack", metadata={"axes": "CYX"}, ome=True)
    with open_slide(path) as slide:
        np.testing.assert_array_equal(slide.read(Region(0, 0, 160, 128), 160, 128), pixels)


def test_plain_pyramid_uses_its_reduced_pages(tmp_path: Path) -> None:
    pixels = make.section(1024, 1024)
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(pixels, tile=(256, 256), photometric="rgb", metadata=None)
        writer.write(
            np.full((512, 512, 3), 9, np.uint8), tile=(256, 256), photometric="rgb", subfiletype=1, metadata=None
        )
    with open_slide(tmp_path / "a.tif") as slide:
        assert (slide.read(Region(0, 0, 1024, 1024), 512, 512) == 9).all()
        np.testing.assert_array_equal(slide.read(Region(0, 0, 100, 100), 100, 100), pixels[:100, :100])


def test_missing_scale_is_an_error_only_when_needed(tmp_path: Path) -> None:
    path = make.write_svs(tmp_path / "a.svs", make.tissue(300, 300), mpp=None)
    with open_slide(path) as slide:
        assert slide.mpp is None
        with pytest.raises(MissingScale, match=r"--mpp 0\.5"):
            require_mpp(slide)
        with pytest.raises(MissingScale):
            slide.overview(8.0)
    with pytest.raises(UsageError):
        open_slide(path, mpp=-1.0)


def test_reading_is_the_same_whatever_was_read_before(tmp_path: Path) -> None:
    pixels = make.section(1500, 1500)
    places = [Region(x, y, 301, 301) for x in (-50, 100, 700, 1300) for y in (0, 333, 1111)]
    for path in (make.write_svs(tmp_path / "a.svs", pixels), make.write_ome(tmp_path / "a.ome.tif", pixels)):
        alone = []
        for place in places:
            with open_slide(path) as slide:
                alone.append(slide.read(place, 150, 150))
        with open_slide(path) as slide:
            slide.overview(8.0)
            for place, want in reversed(list(zip(places, alone, strict=True))):
                np.testing.assert_array_equal(slide.read(place, 150, 150), want)
            with ThreadPoolExecutor(4) as pool:
                for got, want in zip(pool.map(lambda p: slide.read(p, 150, 150), places * 3), alone * 3, strict=True):
                    np.testing.assert_array_equal(got, want)


def test_large_areas_are_read_in_blocks_without_seams(tmp_path: Path) -> None:
    rows = np.linspace(40, 210, 3000).astype(np.uint8)
    pixels = np.repeat(np.repeat(rows[:, None, None], 3000, 1), 3, 2)
    path = make.write_tiff(tmp_path / "a.tif", pixels, photometric="rgb", tile=(256, 256), compression="deflate")
    with open_slide(path, mpp=0.5) as slide:
        view = slide.overview(8.0).astype(int)
        assert view.shape == (188, 188, 3)
        assert np.abs(np.diff(view[..., 0], axis=0)).max() <= 2
        assert np.ptp(view, axis=1).max() <= 1
        assert slide.thumbnail(100).shape == (100, 100, 3)


def test_one_bad_tile_is_named_and_the_rest_still_reads(tmp_path: Path) -> None:
    pixels = make.section(960, 960)
    good = make.write_svs(tmp_path / "good.svs", pixels)
    bad = make.spoil_tile(Path(shutil.copy(good, tmp_path / "bad.svs")), 5)
    with open_slide(good) as whole, open_slide(bad) as slide:
        for _ in range(2):
            with pytest.raises(BadPixels, match=r"bad\.svs: the region 250,250,100,100"):
                slide.read(Region(250, 250, 100, 100), 100, 100)
            other = Region(500, 500, 224, 224)
            np.testing.assert_array_equal(slide.read(other, 224, 224), whole.read(other, 224, 224))
        assert slide.bad == [Region(250, 250, 100, 100)]
        view, want = slide.overview(8.0), whole.overview(8.0)
        assert (view[18:28, 18:28] == 255).all()
        np.testing.assert_array_equal(view[40:], want[40:])
        assert all(place.overlaps(Region(240, 240, 240, 240)) for place in slide.bad)


def test_a_bad_tile_does_not_harm_other_threads(tmp_path: Path) -> None:
    pixels = make.section(960, 960)
    good = make.write_svs(tmp_path / "good.svs", pixels)
    bad = make.spoil_tile(Path(shutil.copy(good, tmp_path / "bad.svs")), 5)
    places = [Region(x, y, 100, 100) for x in range(0, 900, 120) for y in range(0, 900, 120)]
    with open_slide(good) as whole:
        want = [whole.read(place, 100, 100) for place in places]

    with open_slide(bad) as slide:

        def one(place: Region) -> np.ndarray | None:
            try:
                return slide.read(place, 100, 100)
            except BadPixels:
                return None

        with ThreadPoolExecutor(4) as pool:
            got = list(pool.map(one, places))
    for place, have, wanted in zip(places, got, want, strict=True):
        if place.overlaps(Region(240, 240, 240, 240)):
            assert have is None
        else:
            np.testing.assert_array_equal(have, wanted)


def test_bad_tile_of_a_plain_tiff(tmp_path: Path) -> None:
    pixels = make.section(960, 960)
    for compression, keep in (("deflate", 0), ("jpeg", 300)):
        path = make.write_tiff(
            tmp_path / f"{compression}.tif", pixels, tile=(240, 240), compression=compression, photometric="rgb"
        )
        make.spoil_tile(path, 5, keep=keep)
        with open_slide(path, mpp=0.5) as slide:
            with pytest.raises(BadPixels, match="240,240"):
                slide.read(Region(250, 250, 100, 100), 100, 100)
            slide.read(Region(500, 500, 100, 100), 100, 100)
            assert (slide.overview(8.0)[18:28, 18:28] == 255).all()


@pytest.mark.parametrize("writer", ["svs", "ome", "tiff"])
def test_a_width_of_65535_is_refused(tmp_path: Path, writer: str) -> None:
    pixels = make.section(700, 700)
    if writer == "svs":
        path = make.write_svs(tmp_path / "a.svs", pixels)
    elif writer == "ome":
        path = make.write_ome(tmp_path / "a.ome.tif", pixels)
    else:
        path = make.write_tiff(tmp_path / "a.tif", pixels, photometric="rgb")
    make.overwrite(path, make.tag_position(path, "ImageWidth"), struct.pack("<I", 65535))
    with pytest.raises(ImplausibleDimensions, match="65535"):
        open_slide(path)


def test_reading_after_closing_is_a_named_error(tmp_path: Path) -> None:
    pixels = make.tissue(300, 300)
    Pillow.fromarray(pixels).save(tmp_path / "a.png")
    paths = (
        make.write_svs(tmp_path / "a.svs", pixels),
        make.write_ome(tmp_path / "a.ome.tif", pixels),
        tmp_path / "a.png",
    )
    for path in paths:
        slide = open_slide(path)
        slide.close()
        slide.close()
        with pytest.raises(UsageError, match="closed"):
            slide.read(Region(0, 0, 10, 10), 10, 10)


def test_cmu1(shared_data: Path) -> None:
    with open_slide(shared_data / "wsi" / "CMU-1-Small-Region.svs") as slide:
        assert (slide.width, slide.height, slide.mpp) == (2220, 2967, 0.499)
        assert (slide.format, slide.kind) == ("openslide:aperio", "slide")
        assert not any("filename" in k.lower() or "date" in k.lower() or "user" in k.lower() for k in slide.properties)
        patch = slide.read(Region(700, 1400, 224, 224), 224, 224)
        assert 60 < patch.mean() < 220
        np.testing.assert_array_equal(patch, slide.read(Region(700, 1400, 224, 224), 224, 224))
        assert slide.read(Region(-100, -100, 50, 50), 50, 50).min() == 255


@pytest.mark.parametrize(
    ("name", "size", "mpp"), [("jpeg.dicom", (957, 715), 16.783), ("highdicom_sm_image.dcm", (50, 50), 0.499)]
)
def test_dicom(shared_data: Path, name: str, size: tuple[int, int], mpp: float) -> None:
    with open_slide(shared_data / "wsi" / name) as slide:
        assert (slide.width, slide.height) == size
        assert slide.mpp == pytest.approx(mpp)
        assert slide.format == "openslide:dicom"
        assert not any("patient" in (k + v).lower() or "AA01" in v for k, v in slide.properties.items())
        assert slide.read(Region(0, 0, 50, 50), 50, 50).shape == (50, 50, 3)
