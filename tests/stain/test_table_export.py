"""Tables for other programs: known nodes, what was written reads back, and the error is the real one."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import pytest
from PIL import Image

from histokin.errors import UnreadableFile, UsageError
from histokin.stain.color_map import ColorMap
from histokin.stain.macenko import Macenko
from histokin.stain.table_export import (
    interpolated,
    measured,
    nodes,
    read_cube,
    read_png_strip,
    write_cube,
    write_png_strip,
)
from histokin.testing.appearance import synthetic_he
from histokin.types import RGB


@final
@dataclass(frozen=True, eq=False)
class Swapped(ColorMap):
    """Red and blue change places, and green is turned round: exact in a table of any size."""

    @property
    def space(self) -> str:
        return "swapped"

    def colors(self, image: RGB) -> RGB:
        return np.stack([image[..., 2], 255 - image[..., 1], image[..., 0]], axis=-1)

    def to_dict(self) -> dict[str, Any]:
        return {"method": "swapped"}


def macenko() -> ColorMap:
    fitted = Macenko().fit([synthetic_he(px=128)])
    assert isinstance(fitted, ColorMap)
    return fitted


def test_the_text_of_a_small_cube(tmp_path: Path) -> None:
    path = tmp_path / "t.cube"
    error = write_cube(Swapped(), path, size=2)
    lines = path.read_text().splitlines()
    assert lines[:4] == ['TITLE "swapped"', "LUT_3D_SIZE 2", "DOMAIN_MIN 0.0 0.0 0.0", "DOMAIN_MAX 1.0 1.0 1.0"]
    # Red changes fastest, then green; what goes in as red comes out as blue.
    assert lines[4] == "0.000000 1.000000 0.000000"
    assert lines[5] == "0.000000 1.000000 1.000000"
    assert lines[6] == "0.000000 0.000000 0.000000"
    assert lines[8] == "1.000000 1.000000 0.000000"
    assert len(lines) == 12
    assert (error.size, error.largest, error.mean, error.off) == (2, 0, 0.0, 0.0)


def test_squares_of_a_small_strip(tmp_path: Path) -> None:
    path = tmp_path / "t.png"
    error = write_png_strip(Swapped(), path, size=4)
    with Image.open(path) as opened:
        strip = np.asarray(opened)
    assert strip.shape == (4, 16, 3)
    blue, green, red = 2, 1, 3
    assert strip[green, 4 * blue + red].tolist() == [170, 170, 255]
    assert error.largest == 0


@pytest.mark.parametrize("size", [2, 33])
def test_a_straight_map_is_exact_at_any_size(size: int) -> None:
    error = measured(Swapped(), nodes(Swapped(), size))
    assert error.largest == 0


@pytest.mark.parametrize("form", ["cube", "png"])
def test_the_error_is_that_of_the_file(form: str, tmp_path: Path) -> None:
    fitted, path = macenko(), tmp_path / f"t.{form}"
    write, read = (write_cube, read_cube) if form == "cube" else (write_png_strip, read_png_strip)
    error = write(fitted, path, size=17)
    assert np.abs(read(path) - nodes(fitted, 17)).max() <= (0.001 if form == "cube" else 0.5)
    image = np.random.default_rng(0).integers(0, 256, (500, 500, 3), np.uint8)
    off = np.abs(interpolated(read(path), image).astype(int) - fitted(image))
    assert off.mean() == pytest.approx(error.mean, rel=0.05)
    assert (off > 1).mean() == pytest.approx(error.off, rel=0.05)
    assert 0 < off.max() <= error.largest


def test_more_nodes_make_less_error() -> None:
    fitted = macenko()
    image = np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)
    tables = [interpolated(nodes(fitted, size), image).astype(int) for size in (9, 17, 33)]
    errors = [float(np.abs(table - fitted(image)).mean()) for table in tables]
    assert errors[0] > 2 * errors[1] > 3 * errors[2]
    assert errors[2] < 0.5


def test_wrong_sizes_and_places_are_refused(tmp_path: Path) -> None:
    for size in (1, 66):
        with pytest.raises(UsageError, match="size of the table"):
            nodes(Swapped(), size)
    with pytest.raises(UsageError, match="cannot be written"):
        write_cube(Swapped(), tmp_path / "missing" / "t.cube", size=2)
    with pytest.raises(UsageError, match="cannot be written"):
        write_png_strip(Swapped(), tmp_path / "missing" / "t.png", size=2)


def test_other_files_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "t.cube"
    write_cube(Swapped(), path, size=3)
    path.write_text("\n".join(path.read_text().splitlines()[:-1]))
    with pytest.raises(UnreadableFile):
        read_cube(path)
    with pytest.raises(UnreadableFile):
        read_png_strip(path)
    Image.new("RGB", (7, 3)).save(tmp_path / "t.png")
    with pytest.raises(UnreadableFile):
        read_png_strip(tmp_path / "t.png")
    with pytest.raises(UnreadableFile):
        read_cube(tmp_path / "t.png")
