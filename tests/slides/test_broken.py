"""Forty-odd broken inputs: each is a named failure with cause and remedy, never a traceback or a hang."""

import os
import shutil
import socket
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from histokin.errors import ImplausibleDimensions, InputError, UnreadableFile, UnsupportedFormat
from histokin.slides.discover import discover
from histokin.slides.reading import open_slide
from histokin.testing import slides as make
from histokin.types import Region

pytestmark = pytest.mark.timeout(60)

Maker = Callable[[Path], Path]


def _cut(kind: str, part: float) -> Maker:
    def build(folder: Path) -> Path:
        path = _whole(kind, folder)
        size = max(1, int(path.stat().st_size * part))
        os.truncate(path, size)
        return path

    return build


def _whole(kind: str, folder: Path) -> Path:
    pixels = make.section(600, 600)
    if kind == "svs":
        return make.write_svs(folder / "a.svs", pixels)
    if kind == "ome":
        return make.write_ome(folder / "a.ome.tif", pixels)
    if kind == "tif":
        return make.write_tiff(folder / "a.tif", pixels, photometric="rgb", compression="deflate", rowsperstrip=20)
    path = folder / f"a.{kind}"
    Pillow.fromarray(pixels).save(path)
    return path


def _bytes(name: str, data: bytes) -> Maker:
    def build(folder: Path) -> Path:
        (folder / name).write_bytes(data)
        return folder / name

    return build


def _renamed(kind: str, name: str) -> Maker:
    return lambda folder: Path(shutil.move(_whole(kind, folder), folder / name))


def _tagged(kind: str, tag: str, value: int) -> Maker:
    def build(folder: Path) -> Path:
        path = _whole(kind, folder)
        return make.overwrite(path, make.tag_position(path, tag), struct.pack("<I", value))

    return build


def _huge_png(folder: Path) -> Path:
    path = _whole("png", folder)
    head = b"IHDR" + struct.pack(">II", 60000, 60000) + b"\x08\x02\0\0\0"
    return make.overwrite(path, 12, head + struct.pack(">I", zlib.crc32(head)))


def _tall_jpeg(folder: Path) -> Path:
    path = _whole("jpg", folder)
    at = path.read_bytes().index(b"\xff\xc0")
    return make.overwrite(path, at + 5, struct.pack(">HH", 65000, 65000))


def _spoiled_png(folder: Path) -> Path:
    path = _whole("png", folder)
    return make.overwrite(path, path.stat().st_size // 2, b"\0" * 2000)


def _pipe(folder: Path) -> Path:
    os.mkfifo(folder / "a.svs")
    return folder / "a.svs"


def _socket(folder: Path) -> Path:
    here = Path.cwd()
    os.chdir(folder)  # the names of sockets are short
    try:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind("a.png")
    finally:
        os.chdir(here)
    return folder / "a.png"


def _folder(folder: Path) -> Path:
    (folder / "directory.svs").mkdir()
    return folder / "directory.svs"


def _link_nowhere(folder: Path) -> Path:
    (folder / "a.svs").symlink_to(folder / "gone.svs")
    return folder / "a.svs"


def _link_loop(folder: Path) -> Path:
    (folder / "a.png").symlink_to(folder / "b.png")
    (folder / "b.png").symlink_to(folder / "a.png")
    return folder / "a.png"


def _float_tiff(folder: Path) -> Path:
    return make.write_tiff(folder / "a.tif", np.zeros((64, 64), np.float32))


def _five_channels(folder: Path) -> Path:
    import tifffile

    path = folder / "a.ome.tif"
    tifffile.imwrite(path, np.zeros((5, 64, 64), np.uint8), metadata={"axes": "CYX"}, photometric="minisblack")
    return path


_NOISE = np.random.default_rng(0).integers(128, 256, 5000, np.uint8).tobytes()

BROKEN: dict[str, tuple[Maker, type[InputError]]] = {
    **{f"svs cut at {p}": (_cut("svs", p), UnreadableFile) for p in (0.0, 0.01, 0.3, 0.7, 0.99)},
    **{f"ome cut at {p}": (_cut("ome", p), UnreadableFile) for p in (0.0, 0.01, 0.5, 0.95)},
    **{f"tif cut at {p}": (_cut("tif", p), UnreadableFile) for p in (0.0, 0.5, 0.99)},
    **{f"png cut at {p}": (_cut("png", p), UnreadableFile) for p in (0.0, 0.01, 0.5, 0.98)},
    **{f"jpg cut at {p}": (_cut("jpg", p), UnreadableFile) for p in (0.0, 0.01, 0.5, 0.95)},
    **{f"empty {n}": (_bytes(n, b""), UnreadableFile) for n in ("a.svs", "a.tif", "a.png", "a.jpg", "a.dcm", "a.mrxs")},
    **{
        f"garbage {n}": (_bytes(n, _NOISE), UnreadableFile)
        for n in ("a.svs", "a.ndpi", "a.tif", "a.png", "a.jpg", "a.dcm", "a.mrxs", "a.czi")
    },
    "tiff magic, garbage after": (_bytes("a.svs", b"II*\0" + _NOISE), UnreadableFile),
    "bigtiff magic, garbage after": (_bytes("a.tif", b"II+\0\x08\0\0\0" + _NOISE), UnreadableFile),
    "dicom magic, garbage after": (_bytes("a.dcm", bytes(128) + b"DICM" + _NOISE), UnreadableFile),
    "zeros": (_bytes("a.svs", bytes(5000)), UnreadableFile),
    "png in svs": (_renamed("png", "a.svs"), UnsupportedFormat),
    "jpeg in png": (_renamed("jpg", "b.png"), UnsupportedFormat),
    "svs in jpg": (_renamed("svs", "a.jpg"), UnsupportedFormat),
    "text in tif": (_bytes("a.tif", b"slide,label\n1,2\n"), UnsupportedFormat),
    "web page in svs": (_bytes("a.svs", b"<!DOCTYPE html><html>404"), UnsupportedFormat),
    "zip in tif": (_bytes("a.tif", b"PK\x03\x04" + _NOISE), UnsupportedFormat),
    "a table": (_bytes("a.csv", b"slide,label\n"), UnsupportedFormat),
    "a gif": (_bytes("a.gif", b"GIF89a" + _NOISE), UnsupportedFormat),
    "float tiff": (_float_tiff, UnsupportedFormat),
    "five channels": (_five_channels, UnsupportedFormat),
    "svs 65535 wide": (_tagged("svs", "ImageWidth", 65535), ImplausibleDimensions),
    "svs 2^31 high": (_tagged("svs", "ImageLength", 2**31), ImplausibleDimensions),
    "tif 65535 high": (_tagged("tif", "ImageLength", 65535), ImplausibleDimensions),
    "tif zero wide": (_tagged("tif", "ImageWidth", 0), ImplausibleDimensions),
    "tile of width zero": (_tagged("svs", "TileWidth", 0), InputError),
    "png 60000 square": (_huge_png, ImplausibleDimensions),
    "jpeg 65000 square": (_tall_jpeg, ImplausibleDimensions),
    "spoiled png": (_spoiled_png, UnreadableFile),
    "named pipe": (_pipe, UnreadableFile),
    "socket": (_socket, UnreadableFile),
    "device": (lambda _: Path("/dev/zero"), UnreadableFile),
    "folder": (_folder, UnreadableFile),
    "link to nowhere": (_link_nowhere, UnreadableFile),
    "links in a circle": (_link_loop, UnreadableFile),
    "missing": (lambda folder: folder / "missing.svs", UnreadableFile),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_input_is_a_named_failure(tmp_path: Path, name: str) -> None:
    maker, kind = BROKEN[name]
    path = maker(tmp_path)
    with pytest.raises(InputError) as caught:
        open_slide(path)
    error = caught.value
    assert isinstance(error, kind)
    assert error.path == str(path)
    assert error.reason
    assert not error.reason.endswith(".")
    assert error.remedy
    assert "\n" not in error.reason


def test_discover_loses_none_of_them(tmp_path: Path) -> None:
    places = []
    for i, (maker, _) in enumerate(BROKEN.values()):
        (tmp_path / f"{i:02}").mkdir()
        places.append(maker(tmp_path / f"{i:02}"))
    make.write_svs(tmp_path / "good.svs", make.section(600, 600))
    found = discover([tmp_path])
    reported = {*found.slides, *found.ignored, *(Path(e.path or "") for e in found.failures)}
    reported |= {image for folder in found.folders for image in folder.images}
    inside = {place for place in places if tmp_path in place.parents and place.name != "missing.svs"}
    assert inside <= reported
    assert tmp_path / "good.svs" in found.slides
    assert {p.suffix for p in found.ignored} <= {".csv", ".gif"}


def test_no_permission(tmp_path: Path) -> None:
    """As root nothing is forbidden, so another process does this as nobody."""
    path = make.write_svs(tmp_path / "a.svs", make.tissue(300, 300))
    path.chmod(0)
    if os.geteuid() != 0:
        with pytest.raises(UnreadableFile, match="no permission"):
            open_slide(path)
        return
    for folder in [tmp_path, *tmp_path.parents]:
        if folder.stat().st_uid == 0 and folder != Path("/") and str(folder).startswith("/tmp/"):
            folder.chmod(0o755)
    code = (
        "import os, sys, pathlib\n"
        "from histokin.slides.reading import open_slide\nfrom histokin.errors import UnreadableFile\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "try:\n    open_slide(sys.argv[1])\nexcept UnreadableFile as e:\n    print(e.reason)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False, timeout=60
    )
    if "Operation not permitted" in done.stderr:
        pytest.skip("cannot become another user here")
    assert done.stdout.strip() == "no permission to read it", done.stderr


def test_the_remedy_names_the_right_suffix(tmp_path: Path) -> None:
    path = _renamed("png", "a.svs")(tmp_path)
    with pytest.raises(UnsupportedFormat, match=r"named \.svs but holds a PNG image\. Rename it to a\.png"):
        open_slide(path)


def test_dicom_that_claims_more_tiles_than_frames(tmp_path: Path, shared_data: Path) -> None:
    path = Path(shutil.copyfile(shared_data / "wsi" / "jpeg.dicom", tmp_path / "a.dcm"))
    at = path.read_bytes().index(struct.pack("<HH", 0x48, 6) + b"UL")
    make.overwrite(path, at + 8, struct.pack("<I", 65000))
    with pytest.raises(ImplausibleDimensions, match="65000"):
        open_slide(path)


def _read_all(path: Path) -> None:
    with open_slide(path) as slide:
        for y in range(0, slide.height, 200):
            for x in range(0, slide.width, 200):
                slide.read(Region(x, y, 200, 200), 200, 200)


@pytest.mark.parametrize("part", [0.02, 0.3, 0.9])
def test_cut_dicom_fails_by_name(tmp_path: Path, shared_data: Path, part: float) -> None:
    path = Path(shutil.copyfile(shared_data / "wsi" / "jpeg.dicom", tmp_path / "a.dcm"))
    os.truncate(path, int(path.stat().st_size * part))
    with pytest.raises(InputError):
        _read_all(path)


def test_fuzzed_headers_never_escape_the_error_tree(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    wholes = {kind: _whole(kind, tmp_path).read_bytes() for kind in ("svs", "ome", "tif", "png", "jpg")}
    names = {"svs": "f.svs", "ome": "f.ome.tif", "tif": "f.tif", "png": "f.png", "jpg": "f.jpg"}
    for kind, whole in wholes.items():
        for _ in range(40):
            data = bytearray(whole)
            for at in random.integers(0, len(data) if random.random() < 0.5 else 600, 8).tolist():
                data[at] = int(random.integers(256))
            path = tmp_path / names[kind]
            path.write_bytes(data)
            with suppress(InputError), open_slide(path) as slide:
                assert slide.width * slide.height < 10**9
                slide.thumbnail(64)
