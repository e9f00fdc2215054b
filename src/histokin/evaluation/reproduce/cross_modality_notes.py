"""What of the paper's order and claims holds here, said from the numbers; and the published figures by themselves."""

from histokin.evaluation.cross_modality.scoring import Answers, chance
from histokin.evaluation.page.model import Note, Table
from histokin.evaluation.reproduce.cross_modality_answers import (
    FEATURES,
    PAPER,
    REPRESENTATIONS,
    Way,
    both_directions,
    titled,
)
from histokin.evaluation.reproduce.cross_modality_networks import AERIAL
from histokin.evaluation.reproduce.cross_modality_published import (
    AERIAL_TOP_1,
    CHANCE,
    FULL,
    PATCHES,
    cross_moved,
    within_moved,
)
from histokin.evaluation.reproduce.cross_modality_run import Scored
from histokin.evaluation.reproduce.cross_modality_tables import accuracy, percent
from histokin.evaluation.reproduce.orders import order_text
from histokin.evaluation.reproduce.run import Run
from histokin.metrics.ranking import bootstrap_interval

CLAIMED = {
    "SIFT on originals": ("none", "sift", 10.6),
    "SURF on originals": ("none", "surf", 12.45),
    "2DKD on originals": ("none", "2dkd", 4.85),
    "ResNet on originals": ("none", "resnet", 26.1),
    "CoMIR + SIFT": ("comir", "sift", 31.55),
    "CoMIR + SURF": ("comir", "surf", 60.1),
}
"""What the paper orders: transformed full images across modalities, averaged over directions (its Table 1a, %)."""


def order_note(scored: Scored) -> Note | None:
    """The paper's order of methods on full transformed images across modalities, and how far from chance each is."""
    size = scored.subjects.side
    ours: dict[str, float] = {}
    told = []
    nothing = chance(len(scored.subjects.folds[0].repository))["Acc@2"]
    for title, (representation, feature, _) in CLAIMED.items():
        found = both_directions(scored, Way(title, representation, feature), size)
        if found is None:
            continue
        ours[title] = float((found.ranks <= 2).mean())
        told.append(_against_chance(titled(scored, Way(title, representation, feature)), found, nothing))
    for title, representation in (("SURF on originals, no idf", "none"), ("CoMIR + SURF, no idf", "comir")):
        found = both_directions(scored, Way(title, representation, "surf-plain"), size)
        if found is not None:
            told.append(_against_chance(title, found, nothing))
    if len(ours) < 2:
        return None
    published = {title: values[2] for title, values in CLAIMED.items()}
    order = order_text("Order of methods", ours, published, {title: title for title in CLAIMED})
    text = f"Acc@2 of transformed full images, both directions (chance {percent(nothing)} %). " + "; ".join(told)
    return Note(f"Does the paper's order appear on {scored.subjects.name}?", f"{order}\n\n{text}.")


def _against_chance(title: str, found: Answers, nothing: float) -> str:
    hits = (found.ranks <= 2).astype(float)
    low, high = bootstrap_interval(hits, seed=0, groups=found.cores)
    where = "above chance" if low > nothing else "below chance" if high < nothing else "not told from chance"
    return f"{title}: {percent(float(hits.mean()))} % ({100 * low:.0f}-{100 * high:.0f}), {where}"


def published_table(run: Run) -> Table:
    """Averages over directions that follow from the published Tables 1a and 1b: the bars of its Figure 3."""
    rows = []
    for feature, feature_title in FEATURES.items():
        for kind, title in REPRESENTATIONS.items():
            if (feature, kind) not in FULL:
                continue
            values = [
                round(average(table, feature, kind), 2)
                for table in (FULL, PATCHES)
                for average in (cross_moved, within_moved)
            ]
            rows.append((feature_title, title, *(f"{value:.1f}" for value in values)))
    rows.append(("", "chance", *4 * (f"{CHANCE:.2f}",)))
    columns = ("feature", "representation", "full, across", "full, within", "patch, across", "patch, within")
    note = "Acc@10 of 134 in %, transformed queries: printed by the paper on its images, averaged here."
    return Table("Published figures, averaged over directions", columns, tuple(rows), note, run.command)


def aerial_note(scored: Scored) -> Note | None:
    """The published figure of aerial images, where the user gave some: RGB and near infrared."""
    if set(scored.subjects.modalities) != AERIAL:
        return None
    found = both_directions(scored, PAPER, scored.subjects.side)
    ours = "not scored" if found is None else f"{accuracy(found, 1)} %"
    return Note(
        "Aerial images", f"Average Acc@1 of both directions, transformed: {ours} here, {AERIAL_TOP_1} % in the paper."
    )
