"""CLAM's HDF5 layout: the attributes of ``coords`` give patch size and pyramid level.

CLAM itself writes them to the files of its patch step and, in current versions, none to the files of features.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, final

from histokin.archive.records import Source
from histokin.errors import UnreadableFile
from histokin.retrieval.features.base import Asked, Entry, FeatureFile, Outgoing
from histokin.retrieval.features.hdf5_file import Hdf5Slides, number, stem
from histokin.retrieval.features.hdf5_slide import Hdf5Slide


@final
class ClamFormat(Hdf5Slides):
    """Patches are described as squares of level 0, whatever level they were read from."""

    name: ClassVar[str] = "clam"
    coords_type: ClassVar[str] = "<i4"

    def attributes(self, source: Source, side: int, leaving: Outgoing, out: Path) -> dict[str, dict[str, Any]]:
        """See :meth:`Hdf5Slides.attributes`."""
        size = (source.width, source.height)
        coords = {
            "patch_size": side,
            "patch_level": 0,
            "downsample": (1.0, 1.0),
            "downsampled_level_dim": size,
            "level_dim": size,
            "name": stem(source.name),
            "save_path": str(out),
        }
        return {"coords": coords}

    def read(self, path: Path, asked: Asked) -> FeatureFile:
        """See :meth:`FeatureFormat.read`."""
        return Hdf5Slide(path, asked, clam_geometry)


def clam_geometry(attributes: Mapping[str, Any], path: Path, asked: Asked) -> Entry:
    """What CLAM's attributes say of a slide; what the user says stands in for what they do not."""
    size = number(attributes.get("patch_size"), "patch_size", path)
    level = number(attributes.get("patch_level"), "patch_level", path, least=-1.0)
    factor = number(attributes.get("downsample"), "downsample", path)
    further = number(attributes.get("custom_downsample"), "custom_downsample", path) or 1.0
    if size is not None and level and factor is None and asked.patch_size is None:
        raise UnreadableFile(
            f"its patches are {size:g} pixels of level {level:g}, and it does not say how much that level is reduced",
            remedy="Give the side of a patch in level-0 pixels with --patch-size",
            path=path,
        )
    said = size is not None and (factor is not None or not level)
    side = round(size * (factor or 1.0) * further) if size is not None and said else asked.patch_size
    dims = attributes.get("level_dim")
    whole = (
        isinstance(dims, list) and len(dims) == 2 and not level and all(type(one) is int and one > 0 for one in dims)
    )
    return Entry(
        str(attributes.get("name") or ""),
        "slide",
        0,
        patch_px=None if size is None else max(1, round(size)),
        mpp=asked.mpp,
        size=(dims[0], dims[1]) if whole and dims else None,
        side=max(1, side) if side is not None else None,
    )
