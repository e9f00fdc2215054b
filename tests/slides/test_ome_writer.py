"""Writing slides: what goes in comes out, at every level, and nothing half done stays behind."""

import os
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile

from histokin.errors import UsageError
from histokin.slides.ome_writer import SHRINK, description_of, tile_places, write_pyramid
from histokin.slides.reading import open_slide
from histokin.testing.slides import check_slide, section, write_ome
from histokin.types import RGB, Region


def tiles_of(image: RGB) -> Iterator[RGB]:
    height, width = image.shape[:2]
    return (image[y : y + h, x : x + w] for x, y, w, h in tile_places(width, height))


def write(path: Path, image: RGB, note: str = "") -> Path:
    height, width = image.shape[:2]
    write_pyramid(path, tiles_of(image), width=width, height=height, mpp=0.25, description=note, quality=95)
    return path


@pytest.mark.parametrize(("width", "height"), [(37, 21), (512, 512), (1025, 700), (1500, 2100), (4700, 600)])
def test_what_is_written_reads_back(tmp_path: Path, width: int, height: int) -> None:
    image = np.asarray(cv2.GaussianBlur(section(height, width, seed=1), (0, 0), 2), np.uint8)
    path = write(tmp_path / "a.ome.tif", image, "fitted & <noted>")
    assert description_of(path) == "fitted & <noted>"
    with open_slide(path) as slide:
        assert (slide.width, slide.height, slide.mpp, slide.format) == (width, height, 0.25, "ome-tiff")
        again = slide.read(Region(0, 0, width, height), width, height)
        assert np.abs(again.astype(int) - image).mean() < 2
    check_slide(lambda: open_slide(path))


def test_levels_are_quarters_and_show_the_same(tmp_path: Path) -> None:
    image = section(1300, 4300, seed=2)
    path = write(tmp_path / "a.ome.tif", image)
    with tifffile.TiffFile(path) as tif:
        sizes = [level.shape[:2] for level in tif.series[0].levels]
        small = tif.series[0].levels[-1].asarray()
        assert tif.pages[0].is_tiled
    assert sizes == [(1300, 4300), (325, 1075), (82, 269)]
    exact = image[: 81 * 16, : 268 * 16].reshape(81, 16, 268, 16, 3).mean(axis=(1, 3))
    assert np.abs(small[:81, :268] - exact).mean() < 3
    assert SHRINK**2 == 16


def test_a_run_that_ends_early_leaves_nothing(tmp_path: Path) -> None:
    def broken() -> Iterator[RGB]:
        yield np.zeros((512, 512, 3), np.uint8)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_pyramid(tmp_path / "a.ome.tif", broken(), width=1100, height=600, mpp=0.5, description="")
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_run_left_goes_and_what_another_writes_stays(tmp_path: Path) -> None:
    left, others = tmp_path / ".a.ome.tif.77", tmp_path / ".a.ome.tif.78"
    for path in (left, others):
        path.write_bytes(b"half a slide")
    os.utime(left, (1000, 1000))
    write(tmp_path / "a.ome.tif", section(40, 40))
    assert sorted(path.name for path in tmp_path.iterdir()) == [others.name, "a.ome.tif"]


def test_a_folder_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UsageError, match=r"file.*cannot be written"):
        write(tmp_path / "file" / "a.ome.tif", section(40, 40))


def test_other_files_have_no_note_of_ours(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("not a picture")
    assert description_of(tmp_path / "text") is None
    assert description_of(tmp_path / "absent") is None
    assert description_of(write_ome(tmp_path / "b.ome.tif", section(300, 300))) is None
