"""Finding slides and image folders: nothing is lost, nothing is found twice."""

import os
import shutil
from pathlib import Path

import pytest
from PIL import Image as Pillow

from histokin.errors import UnreadableFile, UnsupportedFormat
from histokin.slides.companions import companions
from histokin.slides.dicom import series_uid
from histokin.slides.discover import discover
from histokin.testing import slides as make


def _png(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Pillow.fromarray(make.tissue(32, 32)).save(path)
    return path


def test_slides_folders_and_the_rest(tmp_path: Path) -> None:
    for name in ("b/2.png", "b/1.jpg", "a/x.png", ".hidden/h.png", "b/.dot.png"):
        _png(tmp_path / name)
    make.write_svs(tmp_path / "s.svs", make.tissue(300, 300))
    make.write_tiff(tmp_path / "b" / "loose.tif", make.tissue(32, 32), photometric="rgb")
    make.write_tiff(tmp_path / "tiled.tif", make.tissue(64, 64), photometric="rgb", tile=(32, 32))
    shutil.copy(tmp_path / "a" / "x.png", tmp_path / "a" / "nameless")
    (tmp_path / "labels.csv").write_text("slide,label\n")
    found = discover([tmp_path])
    assert found.slides == [tmp_path / "s.svs", tmp_path / "tiled.tif"]
    assert [(f.label, [p.name for p in f.images]) for f in found.folders] == [
        ("a", ["nameless", "x.png"]),
        ("b", ["1.jpg", "2.png", "loose.tif"]),
    ]
    assert found.ignored == [tmp_path / "labels.csv"]
    assert found.failures == []


def test_a_single_image_is_labelled_by_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _png(tmp_path / "AC" / "1.png")
    (folder,) = discover([path, path]).folders
    assert (folder.label, folder.path, folder.images) == ("AC", path.parent, [path])
    monkeypatch.chdir(path.parent)
    assert discover([Path("1.png")]).folders[0].label == "AC"


def test_named_failures(tmp_path: Path) -> None:
    (tmp_path / "notes.csv").write_text("slide,label\n")
    (tmp_path / "empty").mkdir()
    (tmp_path / "dir.svs").mkdir()
    paths = [tmp_path / name for name in ("missing", "notes.csv", "empty", "dir.svs")]
    found = discover(paths)
    assert [e.path for e in found.failures] == [str(p) for p in paths]
    kinds = [UnreadableFile, UnsupportedFormat, UnsupportedFormat, UnreadableFile]
    assert [type(e) for e in found.failures] == kinds
    assert found.ignored == []


def test_symbolic_links_are_followed_once(tmp_path: Path) -> None:
    _png(tmp_path / "real" / "1.png")
    (tmp_path / "real" / "loop").symlink_to(tmp_path)
    (tmp_path / "zlink").symlink_to(tmp_path / "real")
    found = discover([tmp_path])
    assert [f.images for f in found.folders] == [[tmp_path / "real" / "1.png"]]


def test_mirax_is_one_slide(tmp_path: Path) -> None:
    Pillow.fromarray(make.tissue(32, 32)).save(tmp_path / "m.mrxs", format="jpeg")
    _png(tmp_path / "m" / "part.png")
    found = discover([tmp_path])
    assert (found.slides, found.folders) == ([tmp_path / "m.mrxs"], [])
    assert companions(tmp_path / "m.mrxs") == [tmp_path / "m" / "part.png"]


def test_pictures_of_a_hamamatsu_slide_are_not_loose(tmp_path: Path) -> None:
    _png(tmp_path / "tile.png")
    _png(tmp_path / "other.png")
    (tmp_path / "h.vms").write_text("[Virtual Microscope Specimen]\nImageFile=tile.png\n")
    found = discover([tmp_path])
    assert found.slides == [tmp_path / "h.vms"]
    assert found.folders[0].images == [tmp_path / "other.png"]


def test_a_pipe_is_never_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.tif")
    os.mkfifo(tmp_path / "nameless")
    found = discover([tmp_path])
    assert [e.path for e in found.failures] == [str(tmp_path / "a.tif")]
    assert found.ignored == [tmp_path / "nameless"]


def test_files_of_one_dicom_series_are_one_slide(tmp_path: Path, shared_data: Path) -> None:
    source = shared_data / "wsi" / "jpeg.dicom"
    assert series_uid(source) == "1.2.276.0.7230010.3.1.3.296485632.4444.1646683084.97878"
    for name in ("2.dcm", "1.dcm", "bare"):
        shutil.copyfile(source, tmp_path / name)
    shutil.copyfile(shared_data / "wsi" / "highdicom_sm_image.dcm", tmp_path / "other.dcm")
    found = discover([tmp_path])
    assert found.slides == [tmp_path / "1.dcm", tmp_path / "other.dcm"]
    assert companions(tmp_path / "1.dcm") == [tmp_path / "2.dcm", tmp_path / "bare"]


def test_the_shared_slides(shared_data: Path) -> None:
    found = discover([shared_data / "wsi"])
    names = [p.name for p in found.slides]
    assert names == ["CMU-1-Small-Region.svs", "highdicom_sm_image.dcm", "jpeg.dicom"]
    crc5 = discover([shared_data / "crc5"])
    assert [(f.label, len(f.images)) for f in crc5.folders] == [(label, 400) for label in ("AC", "H", "S", "T", "V")]
