"""What a file really is, told from its first bytes; names that belie it are refused."""

import os
import stat
from functools import cache
from pathlib import Path

from histokin.errors import UnreadableFile, UnsupportedFormat
from histokin.registry import Registry

SUFFIXES: dict[str, tuple[str, ...]] = {
    "tiff": (".svs", ".tif", ".tiff", ".ndpi", ".scn", ".bif", ".btf", ".tf2", ".tf8", ".qptiff"),
    "dicom": (".dcm", ".dicom"),
    "png": (".png",),
    "jpeg": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "mirax": (".mrxs",),
    "hamamatsu": (".vms", ".vmu"),
    "czi": (".czi",),
    "sakura": (".svslide",),
}
"""Content and the names it goes by. MIRAX index files are JPEG files, Sakura slides SQLite files."""

READERS = Registry(
    "reader",
    {
        "tiff": "histokin.slides.tiff:open_tiff",
        "dicom": "histokin.slides.vendor:open_vendor",
        "png": "histokin.slides.image:open_image",
        "jpeg": "histokin.slides.image:open_image",
        "mirax": "histokin.slides.vendor:open_vendor",
        "hamamatsu": "histokin.slides.vendor:open_vendor",
        "czi": "histokin.slides.vendor:open_vendor",
        "sakura": "histokin.slides.vendor:open_vendor",
    },
)
"""Content → ``reader(path, mpp) -> Slide``. A plug-in registers its file suffix (``.isyntax``) as the name."""

IMAGES = ("png", "jpeg")

_NOT_A_FILE = (
    (stat.S_ISDIR, "a folder, not a file"),
    (stat.S_ISFIFO, "a named pipe, not a file"),
    (stat.S_ISSOCK, "a socket, not a file"),
    (stat.S_ISCHR, "a device, not a file"),
    (stat.S_ISBLK, "a device, not a file"),
)
_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"II+\0", "tiff"),
    (b"MM\0+", "tiff"),
    (b"ZISRAWFILE", "czi"),
    (b"SQLite format 3\0", "sakura"),
    (b"GIF8", "GIF image"),
    (b"BM", "BMP image"),
    (b"PK\x03\x04", "ZIP archive"),
    (b"\x1f\x8b", "gzip archive"),
    (b"%PDF", "PDF document"),
    (b"\x89HDF", "HDF5 file"),
    (b"\0\0\0\x0cjP", "JPEG 2000 image"),
    (b"\xff\x4f\xff\x51", "JPEG 2000 image"),
)
_SPOKEN = {
    "png": "a PNG image",
    "jpeg": "a JPEG image",
    "tiff": "a TIFF file",
    "dicom": "a DICOM file",
    "czi": "a Zeiss CZI file",
    "sakura": "an SQLite file",
    "text": "plain text",
    "html": "a web page",
}
_READABLE = "Give a slide (SVS, NDPI, SCN, MRXS, BIF, CZI, DICOM, OME-TIFF, TIFF) or a PNG or JPEG image"
_COPY_AGAIN = "Copy it again from its source and compare the sizes"
_BY_SUFFIX = {suffix: content for content, suffixes in SUFFIXES.items() for suffix in suffixes}


def suffix_of(path: Path) -> str:
    return path.suffix.lower()


def claims(path: Path) -> str | None:
    """The content that the file's name promises; None for a name that promises nothing we read."""
    suffix = suffix_of(path)
    return _BY_SUFFIX.get(suffix) or (suffix if suffix in plugged_suffixes() else None)


@cache
def plugged_suffixes() -> frozenset[str]:
    """Suffixes that plug-ins read."""
    return frozenset(name for name in READERS.names() if name.startswith("."))


def check_regular(path: Path) -> os.stat_result:
    """Raises :class:`UnreadableFile` unless this is a regular file with something in it; never opens it."""
    try:
        found = path.stat()
    except FileNotFoundError:
        reason = "a symbolic link that leads nowhere" if path.is_symlink() else "no such file or folder"
        raise UnreadableFile(reason, remedy="Check the path", path=path) from None
    except OSError as error:
        raise _os_error(error, path) from None
    for test, reason in _NOT_A_FILE:
        if test(found.st_mode):
            raise UnreadableFile(reason, remedy=_READABLE, path=path)
    if found.st_size == 0:
        raise UnreadableFile("the file is empty", remedy=_COPY_AGAIN, path=path)
    return found


def sniff(path: Path) -> str:
    """What the first bytes say: a key of ``SUFFIXES``, a spoken name, ``text``, ``html`` or ``unknown``."""
    try:
        with path.open("rb") as file:
            head = file.read(1024)
    except OSError as error:
        raise _os_error(error, path) from None
    if head[128:132] == b"DICM":
        return "dicom"
    for magic, content in _MAGIC:
        if head.startswith(magic):
            return content
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WebP image"
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < 1021:  # later, the read only cut a letter in two
            return "unknown"
        text = head[: error.start].decode("utf-8")
    if len(text.strip()) < 4 or any(c < " " and c not in "\t\r\n\f" for c in text):
        return "unknown"
    return "html" if text.lstrip().lower().startswith(("<!doctype html", "<html")) else "text"


def identify(path: Path) -> str:
    """The content of a file (a name in ``READERS``), once it is regular, not empty and true to its name.

    Raises
    ------
    UnreadableFile
        missing, empty, not a regular file, no permission, or garbage.
    UnsupportedFormat
        nothing reads it, or its name says something else than its bytes.
    """
    check_regular(path)
    claimed, found = claims(path), sniff(path)
    if claimed is None:
        if found in SUFFIXES:
            return found
        what = _SPOKEN.get(found, f"a {found}" if found != "unknown" else "of a kind no reader knows")
        raise UnsupportedFormat(f"the file is {what}", remedy=_READABLE, path=path)
    if claimed.startswith(".") or found == claimed or (claimed, found) in _OTHERWISE_NAMED:
        return claimed
    if found == "unknown":
        wanted = _SPOKEN.get(claimed, f"a {claimed} file")
        raise UnreadableFile(f"not {wanted}: its first bytes are garbage, or damaged", remedy=_COPY_AGAIN, path=path)
    what = _SPOKEN.get(found, f"a {found}")
    rename = (
        f"Rename it to {path.stem}{SUFFIXES[found][0 if found != 'tiff' else 1]}" if found in SUFFIXES else _READABLE
    )
    raise UnsupportedFormat(f"named {suffix_of(path)} but holds {what}", remedy=rename, path=path)


_OTHERWISE_NAMED = {("mirax", "jpeg"), ("hamamatsu", "text")}


def _os_error(error: OSError, path: Path) -> UnreadableFile:
    if isinstance(error, PermissionError):
        return UnreadableFile("no permission to read it", remedy="Check its owner and mode", path=path)
    reason = (error.strerror or "the system refuses to read it").lower()
    return UnreadableFile(reason, remedy="Check the path and the disk", path=path)
