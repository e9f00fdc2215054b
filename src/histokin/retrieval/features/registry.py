"""Formats of feature files by name, and by what a file is called."""

from pathlib import Path

from histokin.errors import UsageError
from histokin.registry import Registry
from histokin.retrieval.features.base import FeatureFormat

FORMATS = Registry(
    "feature-format",
    {
        "clam": "histokin.retrieval.features.clam_features:ClamFormat",
        "hdf5": "histokin.retrieval.features.trident_features:Hdf5Format",
        "json": "histokin.retrieval.features.json_features:JsonFormat",
        "npz": "histokin.retrieval.features.npz_features:NpzFormat",
        "trident": "histokin.retrieval.features.trident_features:TridentFormat",
    },
)

BY_SUFFIX = {".json": "json", ".npz": "npz", ".h5": "hdf5", ".hdf5": "hdf5"}


def feature_format(name: str) -> FeatureFormat:
    """The format called ``name``. Raises :class:`~histokin.errors.UnknownName` with the choices."""
    made: FeatureFormat = FORMATS.load(name)()
    return made


def format_of(path: Path) -> FeatureFormat:
    """The format that a file's ending stands for. Raises :class:`UsageError` where it stands for none."""
    suffix = path.suffix.lower()
    if suffix not in BY_SUFFIX:
        raise UsageError(
            f"nothing says which format {path.name} has",
            remedy=f"Give --format, one of {', '.join(FORMATS.names())}, or a name that ends in {', '.join(BY_SUFFIX)}",
            path=path,
        )
    return feature_format(BY_SUFFIX[suffix])
