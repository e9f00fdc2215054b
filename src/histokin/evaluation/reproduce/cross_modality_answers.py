"""Which cells of a scored set make which figure: methods by name, rows of Table 1, and the queries of a direction."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, final

from histokin.evaluation.cross_modality.matching import answers, set_key
from histokin.evaluation.cross_modality.reranking import depths
from histokin.evaluation.cross_modality.scoring import Answers, together
from histokin.evaluation.cross_modality.subjects import Subjects
from histokin.evaluation.reproduce.cross_modality_plan import PLACED, rebuilt, translations
from histokin.evaluation.reproduce.cross_modality_run import Scored

FEW_GROUPS = 5
"""With so many groups, or fewer, a bootstrap over them tells little."""

SHORT = {"brightfield": "BF", "shg": "SHG", "ihc": "IHC", "dapi": "DAPI", "h&e": "H&E", "cd31": "CD31"}
REPRESENTATIONS = {"none": "originals", "comir": "CoMIR", "cyclegan": "CycleGAN", "pix2pix": "pix2pix"}
FEATURES = {
    "sift": "SIFT",
    "surf": "SURF",
    "surf-plain": "SURF, no idf",
    "resnet": "ResNet",
    "2dkd": "2DKD",
}
"""With few images most words are in most images, and idf leaves little of them: hence SURF without it as well."""


@final
@dataclass(frozen=True)
class Way:
    """A method: what images are turned into, how they are compared, and whether the network was trained."""

    title: str
    representation: str
    feature: str
    trained: bool = True


@final
class Line(NamedTuple):
    """A row of Table 1: the representation's cells, which modality answers, and which asks first."""

    repository: str
    representation: str
    answering: int
    first: int


def titled(scored: Scored, way: Way) -> str:
    """A method's name in a table, with what has to be said of it."""
    note = scored.note(way.representation, way.feature)
    return f"{way.title} ({note})" if note else way.title


def short(modality: str) -> str:
    """A modality for narrow columns."""
    return SHORT.get(modality, modality)


def lines(subjects: Subjects, representation: str) -> tuple[Line, ...]:
    """Rows of Table 1 of one representation, in the paper's order."""
    bf, shg = (short(name) for name in subjects.modalities)
    if representation in ("none", "comir", "placenet", "tc-net"):
        return Line(bf, representation, 0, 0), Line(shg, representation, 1, 0)
    to_bf, to_shg = translations(subjects, representation)
    return (
        Line(bf, to_bf, 0, 0),
        Line(f"fake {bf}", to_bf, 1, 0),
        Line(shg, to_shg, 1, 1),
        Line(f"fake {shg}", to_shg, 0, 1),
    )


def asked(
    scored: Scored,
    way: Way,
    size: int,
    answering: int,
    asking: int,
    *,
    moved: bool = True,
    seed: int = 0,
    fold: str | None = None,
) -> Answers | None:
    """The answers to one query set, all folds together (or one); None where it was not scored."""
    if fold is None:
        found = scored.folds(way.representation, way.feature, size, seed=seed, trained=way.trained)
    else:
        one = scored.cell(way.representation, way.feature, size, fold, seed=seed, trained=way.trained)
        found = [] if one is None else [one]
    cores = [item.core for item in scored.subjects.items]
    key = set_key(answering, asking, moved)
    if not found or any(key not in cell["sets"] for cell in found):
        return None
    return together([answers(cell, key, cores) for cell in found])


def both_directions(scored: Scored, way: Way, size: int, *, seed: int = 0, fold: str | None = None) -> Answers | None:
    """Transformed queries of either modality against the other, in one."""
    parts = [asked(scored, way, size, 1 - asking, asking, seed=seed, fold=fold) for asking in (0, 1)]
    there = [part for part in parts if part is not None]
    return together(there) if len(there) == 2 else None


def direction(subjects: Subjects, asking: int) -> str:
    """Such as ``SHG(T) in BF``."""
    return f"{short(subjects.modalities[asking])}(T) in {short(subjects.modalities[1 - asking])}"


PAPER = Way("CoMIR + SURF (the paper's)", "comir", "surf")
PLAIN = Way("CoMIR + SURF, no idf", "comir", "surf-plain")
IMPROVED = Way("PlaceNet + placing (improved)", "placenet", PLACED)
COMIR_PLACED = Way("CoMIR + placing", "comir", PLACED)
TC_NET = Way("TC-Net", "tc-net", "tc-net")
IMTDF = Way("IMTDF", "none", "imtdf")


def ways(subjects: Subjects) -> tuple[Way, ...]:
    """All methods, as tables list them; what was not scored is left out there."""
    shallow, deep = (depths(len(subjects.folds[0].repository)) * 2)[:2]
    found = [Way("random selection", "none", "random")]
    found += [Way(f"originals + {FEATURES[feature]}", "none", feature) for feature in FEATURES]
    found += translated(subjects, ("sift", "surf", "surf-plain"))
    found += [TC_NET, IMTDF]
    found += [Way(f"CoMIR + {FEATURES[feature]}", "comir", feature) for feature in ("sift", "resnet", "2dkd")]
    found += [PAPER, Way("CoMIR, untrained + SURF", "comir", "surf", False)]
    found += [
        reranked(shallow),
        reranked(deep),
        Way(f"CoMIR + SURF, re-ranked {deep}, rebuilt", "comir", rebuilt(subjects)),
    ]
    found += [PLAIN, Way("CoMIR, untrained + SURF, no idf", "comir", "surf-plain", False), plainly_reranked(deep)]
    found += [Way("originals + placing", "none", PLACED)]
    found += [COMIR_PLACED, Way("CoMIR, untrained + placing", "comir", PLACED, False)]
    found += [IMPROVED, Way("PlaceNet, untrained + placing", "placenet", PLACED, False)]
    return tuple(dict.fromkeys(found))


def translated(subjects: Subjects, features: Sequence[str]) -> list[Way]:
    """Images of one modality made into the other, by either method, towards either."""
    return [
        Way(f"{REPRESENTATIONS[method]}, fake {short(modality)} + {FEATURES[feature]}", towards, feature)
        for method in ("cyclegan", "pix2pix")
        for towards, modality in zip(translations(subjects, method), subjects.modalities, strict=True)
        for feature in features
    ]


def plainly_reranked(depth: int) -> Way:
    """The same without idf."""
    return Way(f"CoMIR + SURF, no idf, re-ranked {depth}, reused", "comir", f"rerank-{depth}-reused-plain")


def reranked(depth: int) -> Way:
    """The paper's method with its first answers re-ranked by the vocabulary that is there."""
    return Way(f"CoMIR + SURF, re-ranked {depth}, reused", "comir", f"rerank-{depth}-reused")


def caution(subjects: Subjects) -> str:
    """What has to be said of intervals over so few groups, "" where there are enough."""
    groups = len({subjects.items[place].core for fold in subjects.folds for place in fold.test})
    if groups > FEW_GROUPS:
        return ""
    return f" There are {groups} groups only: intervals are no wider than these differ, and tell nothing of others."


def sides(subjects: Subjects) -> Sequence[tuple[int, str]]:
    """Sizes of queries with what they are called."""
    whole, *patches = subjects.sizes
    return [(whole, "full image"), *((patch, f"central {patch} px") for patch in patches)]
