"""TRIDENT's HDF5 layout: the attributes of ``coords`` give patch size and magnifications.

``patch_size`` is counted in pixels of the target magnification, ``patch_size_level0`` in level-0 pixels.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, final

from histokin.archive.records import Source
from histokin.retrieval.features.base import Asked, Entry, FeatureFile, Outgoing
from histokin.retrieval.features.clam_features import clam_geometry
from histokin.retrieval.features.hdf5_file import Hdf5Slides, number, stem
from histokin.retrieval.features.hdf5_slide import Hdf5Slide

MAGNIFICATIONS = ((0.16, 80), (0.2, 60), (0.3, 40), (0.6, 20), (1.2, 10), (2.4, 5))
"""Below so many microns per pixel, TRIDENT speaks of this magnification."""

MPP_AT_ONE = 10.0
"""Microns per pixel, nominally, at magnification 1: 0.5 at 20, 0.25 at 40."""


class TridentLayout(Hdf5Slides):
    """Both programs' files are read; written is TRIDENT's layout."""

    coords_type: ClassVar[str] = "<i8"

    def attributes(self, source: Source, side: int, leaving: Outgoing, out: Path) -> dict[str, dict[str, Any]]:
        """See :meth:`Hdf5Slides.attributes`. A magnification that is not known is 'None', as TRIDENT writes it."""
        grid = leaving.recipe["grid"]
        scaled = source.mpp is not None
        target = magnification(grid["mpp"]) if scaled else None
        names = {"name": stem(source.name), "savetodir": str(out)}
        coords = {
            "patch_size": int(grid["patch_px"]),
            "patch_size_level0": side,
            "level0_magnification": _or_none(magnification(source.mpp)),
            "target_magnification": _or_none(target),
            "overlap": round(grid["overlap"] * grid["patch_px"]),
            **names,
            "level0_width": source.width,
            "level0_height": source.height,
        }
        return {"features": names, "coords": coords}

    def read(self, path: Path, asked: Asked) -> FeatureFile:
        """See :meth:`FeatureFormat.read`."""
        return Hdf5Slide(path, asked, geometry)


@final
class TridentFormat(TridentLayout):
    """TRIDENT's layout by its name."""

    name: ClassVar[str] = "trident"


@final
class Hdf5Format(TridentLayout):
    """HDF5 of either program."""

    name: ClassVar[str] = "hdf5"


def magnification(mpp: float | None) -> int | None:
    """What TRIDENT calls a scale in microns per pixel; None where unknown or coarser than all of its names."""
    return None if mpp is None else next((value for below, value in MAGNIFICATIONS if mpp < below), None)


def geometry(attributes: Mapping[str, Any], path: Path, asked: Asked) -> Entry:
    """What TRIDENT's attributes say of a slide; without them, what CLAM's do."""
    if "patch_level" in attributes or "target_magnification" not in attributes:
        return clam_geometry(attributes, path, asked)
    size = number(attributes.get("patch_size"), "patch_size", path)
    side = number(attributes.get("patch_size_level0"), "patch_size_level0", path)
    level0 = number(attributes.get("level0_magnification"), "level0_magnification", path)
    target = number(attributes.get("target_magnification"), "target_magnification", path)
    if side is None and None not in (size, level0, target):
        side = size * level0 / target  # type: ignore[operator]
    width = number(attributes.get("level0_width"), "level0_width", path, least=-1.0)
    height = number(attributes.get("level0_height"), "level0_height", path, least=-1.0)
    return Entry(
        str(attributes.get("name") or ""),
        "slide",
        0,
        patch_px=None if size is None else max(1, round(size)),
        mpp=asked.mpp if level0 is None or asked.mpp is not None else MPP_AT_ONE / level0,
        nominal=asked.mpp is None and level0 is not None,
        size=(int(width), int(height)) if width and height else None,
        side=max(1, round(side)) if side is not None else asked.patch_size,
    )


def _or_none(value: int | None) -> int | str:
    return "None" if value is None else value
