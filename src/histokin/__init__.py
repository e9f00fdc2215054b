"""histokin finds, in an archive of pathology images, the tissue most like the tissue in front of you.

>>> import histokin
>>> archive = histokin.Archive.create("archive")
>>> report = archive.index("slides/", labels="labels.csv")
>>> answer = archive.search("tile.png", k=5, exclude="patient")
>>> [(hit.slide, hit.distance) for hit in answer.hits]

Nothing heavy is imported before it is used.
"""

from typing import TYPE_CHECKING, Any

from histokin._version import __version__

if TYPE_CHECKING:
    from histokin.encoders.registry import DEFAULT_ENCODER as DEFAULT_ENCODER
    from histokin.encoders.registry import encoder as encoder
    from histokin.errors import HistokinError as HistokinError
    from histokin.retrieval.archive import Archive as Archive
    from histokin.retrieval.queries import CaseQuery as CaseQuery
    from histokin.retrieval.queries import PatchQuery as PatchQuery
    from histokin.retrieval.queries import RegionQuery as RegionQuery
    from histokin.retrieval.queries import SlideQuery as SlideQuery
    from histokin.retrieval.recipe import Recipe as Recipe
    from histokin.slides.grid import Grid as Grid
    from histokin.slides.reading import open_slide as open_slide
    from histokin.stain.registry import normalizer as normalizer
    from histokin.types import Region as Region

_HOME = {
    "Archive": "histokin.retrieval.archive",
    "CaseQuery": "histokin.retrieval.queries",
    "DEFAULT_ENCODER": "histokin.encoders.registry",
    "Grid": "histokin.slides.grid",
    "HistokinError": "histokin.errors",
    "PatchQuery": "histokin.retrieval.queries",
    "Recipe": "histokin.retrieval.recipe",
    "Region": "histokin.types",
    "RegionQuery": "histokin.retrieval.queries",
    "SlideQuery": "histokin.retrieval.queries",
    "encoder": "histokin.encoders.registry",
    "normalizer": "histokin.stain.registry",
    "open_slide": "histokin.slides.reading",
}

__all__ = [
    "Archive",
    "CaseQuery",
    "DEFAULT_ENCODER",
    "Grid",
    "HistokinError",
    "PatchQuery",
    "Recipe",
    "Region",
    "RegionQuery",
    "SlideQuery",
    "__version__",
    "encoder",
    "normalizer",
    "open_slide",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'histokin' has no attribute '{name}'")
    from importlib import import_module

    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
