"""The one door to annotations: ``read_annotations``, and where a slide's file lies."""

from collections.abc import Callable
from pathlib import Path

from histokin.errors import InputError, UnreadableFile, UnsupportedFormat
from histokin.slides.annotations_asap import ASAP, asap_areas
from histokin.slides.annotations_geojson import GEOJSON, geojson_areas
from histokin.slides.annotations_imagescope import IMAGESCOPE, imagescope_areas
from histokin.slides.annotations_xml import Element, parse_xml
from histokin.slides.areas import Annotations, Area

ENDINGS = (".geojson", ".json", ".xml")
MOST_BYTES = 512 << 20
"""A larger file is not read into memory."""

WHERE = "Export it again as GeoJSON (QuPath) or XML (ASAP, ImageScope)"

Found = tuple[list[Area], list[str]]
XML: dict[str, tuple[str, Callable[[Element], Found]]] = {
    "ASAP_Annotations": (ASAP, asap_areas),
    "Annotations": (IMAGESCOPE, imagescope_areas),
}
"""By the name of the outermost element."""


def read_annotations(path: Path) -> Annotations:
    """Areas with their classes from QuPath GeoJSON, ASAP XML or Aperio ImageScope XML.

    The format is told by the content, not by the name. Coordinates are pixels of level 0.

    Raises
    ------
    UnreadableFile
        missing, empty, too large, damaged, or an element that does not say what it should; the element is named.
    UnsupportedFormat
        neither of the three.
    """
    data = _bytes(path)
    try:
        areas, passed, kind = _areas(data)
    except InputError as error:
        raise type(error)(error.reason, remedy=error.remedy or WHERE, path=path) from None
    return Annotations(path, kind, tuple(areas), tuple(passed))


def annotations_of(slide: Path, folder: Path) -> Path:
    """The annotations of a slide in ``folder``: ``NAME.geojson``, ``.json`` or ``.xml``; NAME with its ending or not.

    Raises
    ------
    InputError
        there is none, or there are several.
    """
    stems = dict.fromkeys((slide.name, slide.stem, slide.stem.removesuffix(".ome")))
    found = [path for stem in stems for ending in ENDINGS if (path := folder / f"{stem}{ending}").is_file()]
    if not found:
        raise InputError(
            f"no annotations for it in {folder}",
            remedy=f"Put {slide.stem}.geojson (or .json, .xml) there, or leave the slide out",
            path=slide,
        )
    if len(found) > 1:
        raise InputError(
            f"{found[0].name} and {found[1].name} in {folder} both annotate it", remedy="Keep one of them", path=slide
        )
    return found[0]


def _bytes(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise UnreadableFile(
                f"{size >> 20} MiB of annotations, at most {MOST_BYTES >> 20} are read",
                remedy="Export areas only, without cells and detections",
                path=path,
            )
        data = path.read_bytes()
    except OSError as error:
        reason = (error.strerror or "cannot be read").lower()
        raise UnreadableFile(reason, remedy="Check the path, its owner and its mode", path=path) from None
    if not data.strip(b"\x00 \t\r\n"):
        raise UnreadableFile("the file is empty", remedy=WHERE, path=path)
    return data


def _areas(data: bytes) -> tuple[list[Area], list[str], str]:
    start = data.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    if start in (b"{", b"["):
        areas, passed = geojson_areas(data)
        return areas, passed, GEOJSON
    if start != b"<" and data[:2] not in (b"\xff\xfe", b"\xfe\xff"):
        raise UnsupportedFormat("neither GeoJSON nor XML")
    root = parse_xml(data)
    if root.tag not in XML:
        raise UnsupportedFormat(f"XML of another kind, its outermost element is <{root.tag}>")
    kind, reader = XML[root.tag]
    areas, passed = reader(root)
    return areas, passed, kind
