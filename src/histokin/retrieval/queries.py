"""What can be asked: an image, a region of a slide, a whole slide, a case."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, final

from histokin.types import Image, Region

ExcludeRule = Literal["none", "overlap", "slide", "patient", "centre"]
EXCLUDE_RULES: tuple[ExcludeRule, ...] = ("none", "overlap", "slide", "patient", "centre")


@final
@dataclass(frozen=True, eq=False)
class PatchQuery:
    """An image: a file, or an array "h w c" (RGB, ``uint8``, unless the archive takes other microscopes' images).

    ``mpp`` is in µm per pixel, None where unknown. ``centre`` chooses the weights of a trained normalizer that has
    several; the archive knows that of its own images. ``modality`` is the microscope that the image comes from; None
    for that of the archive's images.
    """

    image: Path | Image
    mpp: float | None = None
    kind: Literal["patch"] = "patch"
    centre: str | None = None
    modality: str | None = None


@final
@dataclass(frozen=True)
class RegionQuery:
    """A rectangle of a slide or image, in level-0 pixels; ``centre`` and ``modality`` as in :class:`PatchQuery`."""

    slide: Path
    region: Region
    mpp: float | None = None
    kind: Literal["region"] = "region"
    centre: str | None = None
    modality: str | None = None


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
    method : how the first hits of a picture or region are looked at again ("paper": by the bag of words of their
        parts), None for not at all.
    rerank : how many hits are looked at again; None for the method's own number.
    vocabulary : of "paper": "reuse" the archive's words, or "rebuild" them for every query; None for its default.
    """

    k: int = 5
    exclude: tuple[ExcludeRule, ...] = ()
    where: str | dict[str, str] | None = None
    one_per: Literal["slide", "patient"] | None = None
    min_separation: float = 1.0
    label: str | None = None
    method: str | None = None
    rerank: int | None = None
    vocabulary: Literal["reuse", "rebuild"] | None = None
