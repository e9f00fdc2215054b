"""Every reader keeps the contract, a plug-in's too."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from histokin.slides.content import READERS, plugged_suffixes
from histokin.slides.discover import discover
from histokin.slides.image import ImageSlide
from histokin.slides.reading import open_slide
from histokin.testing import slides as make


def _write(kind: str, folder: Path) -> Path:
    pixels = make.section(700, 900)
    if kind == "svs":
        return make.write_svs(folder / "a.svs", pixels)
    if kind == "ome":
        return make.write_ome(folder / "a.ome.tif", pixels)
    if kind == "tiled":
        return make.write_tiff(folder / "a.tif", pixels, photometric="rgb", tile=(64, 64), compression="jpeg")
    if kind == "strips":
        return make.write_tiff(folder / "a.tif", pixels, photometric="rgb")
    Pillow.fromarray(pixels).save(folder / f"a.{kind}")
    return folder / f"a.{kind}"


@pytest.mark.parametrize("kind", ["svs", "ome", "tiled", "strips", "png", "jpg"])
def test_readers(tmp_path: Path, kind: str) -> None:
    path = _write(kind, tmp_path)
    make.check_slide(lambda: open_slide(path))


@pytest.mark.parametrize("name", ["CMU-1-Small-Region.svs", "jpeg.dicom", "highdicom_sm_image.dcm"])
def test_real_slides(shared_data: Path, name: str) -> None:
    make.check_slide(lambda: open_slide(shared_data / "wsi" / name))


def open_toy(path: Path, mpp: float | None) -> ImageSlide:
    side = int(path.read_text())
    return ImageSlide(path, np.zeros((side, side, 3), np.uint8), format="toy", mpp=mpp, kind="slide")


def test_a_plugged_in_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(READERS, "names", lambda: [".toy"])
    monkeypatch.setattr(READERS, "load", lambda name: {".toy": open_toy}[name])
    plugged_suffixes.cache_clear()
    try:
        (tmp_path / "a.toy").write_text("100")
        assert discover([tmp_path]).slides == [tmp_path / "a.toy"]
        make.check_slide(lambda: open_slide(tmp_path / "a.toy", mpp=0.5))
    finally:
        plugged_suffixes.cache_clear()
