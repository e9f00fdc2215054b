"""What came out of a set, in a few sentences: the first thing on the page."""

from histokin.evaluation.cross_modality.locating import WITHIN_DEGREES, WITHIN_PX, figures
from histokin.evaluation.cross_modality.mosaics import read
from histokin.evaluation.cross_modality.scoring import chance, difference
from histokin.evaluation.reproduce.cross_modality_answers import IMPROVED, PAPER, both_directions, caution, sides
from histokin.evaluation.reproduce.cross_modality_comparisons import signed, unshown
from histokin.evaluation.reproduce.cross_modality_plan import LOCATED, locating
from histokin.evaluation.reproduce.cross_modality_run import Scored
from histokin.evaluation.reproduce.cross_modality_tables import accuracy, percent


def summary(scored: Scored) -> str:
    """Improved and published method beside chance, places in a mosaic, and trainings that are not shown to help."""
    subjects = scored.subjects
    items = len(subjects.folds[0].repository)
    told = [found for size, title in sides(subjects) if (found := _first(scored, size, title))]
    if not told:
        return f"{subjects.name}: nothing was scored."
    luck = percent(chance(items)["Acc@1"])
    name = subjects.name[0].upper() + subjects.name[1:]
    text = f"{name}: the first answer among {items} is right (chance {luck} %) for {'; for '.join(told)}."
    return " ".join([text + caution(subjects), *_placed(scored), *_unhelpful(scored)])


def _first(scored: Scored, size: int, title: str) -> str:
    ours, theirs = (both_directions(scored, way, size) for way in (IMPROVED, PAPER))
    if ours is None or theirs is None:
        return ""
    mine, paper = accuracy(ours, 1), accuracy(theirs, 1)
    points = signed(difference(ours, theirs, "Acc@1"))
    return f"the {title} in {mine} % with the improved method, {paper} % with the paper's, a difference of {points}"


def _placed(scored: Scored) -> list[str]:
    told = []
    for side in locating(scored.subjects):
        cells = scored.folds(IMPROVED.representation, LOCATED, side)
        if cells:
            found = figures(read(cells))
            told.append(f"{percent(found.right.value)} % of {side} px patches")
    if not told:
        return []
    return [f"Within {WITHIN_PX:.0f} px and {WITHIN_DEGREES:.0f} degrees in a mosaic: {', '.join(told)}."]


def _unhelpful(scored: Scored) -> list[str]:
    names = unshown(scored)
    return [f"Not shown to beat their untrained copies: {'; '.join(names)}."] if names else []
