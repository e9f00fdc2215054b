"""What can be asked: an image, a region of a slide, a whole slide, a case."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, final

from histokin.types import RGB, Region

ExcludeRule = Literal["none", "overlap", "slide", "patient", "centre"]
EXCLUDE_RULES: tuple[ExcludeRule, ...] = ("none", "overlap", "slide", "patient", "centre")


@final
@dataclass(frozen=True, eq=False)
class PatchQuery:
    """An image: a file, or a ``uint8`` RGB array "h w 3"; ``mpp`` in µm per pixel, None where unknown.

    ``centre`` chooses the weights of a trained normalizer that has several; the archive knows that of its own images.
    """

    image: Path | RGB
    mpp: float | None = None
    kind: Literal["patch"] = "patch"
    centre: str | None = None


@final
@dataclass(frozen=True)
class RegionQuery:
    """A rectangle of a slide, in level-0 pixels; ``centre`` as in :class:`PatchQuery`."""

    slide: Path
    region: Region
    mpp: float | None = None
    kind: Literal["region"] = "region"
    centre: str | None = None


@final
@dataclass(frozen=True)
class SlideQuery:
    """A whole slide against whole slides, by at most ``patches`` representative patches; ``centre`` as above."""

    slide: Path
    mpp: float | None = None
    patches: int = 256
    kind: Literal["slide"] = "slide"
    centre: str | None = None


@final
@dataclass(frozen=True)
class CaseQuery:
    """All slides of one patient in the archive, against the slides of everybody else."""

    patient: str
    patches: int = 256
    kind: Literal["case"] = "case"


Query = PatchQuery | RegionQuery | SlideQuery | CaseQuery


@final
@dataclass(frozen=True)
class Options:
    """How to search.

    Parameters
    ----------
    k : number of hits wanted.
    exclude : rows left out before the search: those overlapping the query ("overlap", the default), of the
        query's slide, patient or centre. "none" leaves everything in.
    where : SQL condition on the archive's columns, or ``{column: value}``.
    one_per : at most one hit per slide or per patient.
    min_separation : two patches of one slide whose centers are at most this many patch sides apart count as
        one hit; 1 joins overlapping and adjacent patches, 0 keeps all.
    label : the query's own label where it is known; hits that differ are framed in red on pages.
    """

    k: int = 5
    exclude: tuple[ExcludeRule, ...] = ()
    where: str | dict[str, str] | None = None
    one_per: Literal["slide", "patient"] | None = None
    min_separation: float = 1.0
    label: str | None = None
