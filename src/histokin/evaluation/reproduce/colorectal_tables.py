"""Tables 1 to 4 of the colorectal page: as published and recomputed, and ours in the same columns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from histokin.evaluation.page.model import Table
from histokin.evaluation.reproduce.colorectal_answers import Answers
from histokin.evaluation.reproduce.colorectal_data import PARTS, Tiles
from histokin.evaluation.reproduce.colorectal_published import (
    ACCURACY,
    CLASSES,
    COMPOSITION,
    FORMULAS,
    MISPRINTS,
    NETWORKS,
    OVERALL,
    PER_CLASS,
    RATES,
    TOTALS,
    corrected,
    recomputed,
)
from histokin.evaluation.reproduce.colorectal_scores import Scored, chance_figures, f1_difference, scored, text
from histokin.evaluation.reproduce.run import Run

PRINTED = {"resnet50": "ResNet50", "densenet121": "DenseNet121", "inception-v3": "InceptionV3"}
MEANS = ("mean_average_precision", "macro_precision", "macro_recall", "macro_specificity", "macro_npv")
COLUMNS = (
    *("classifier", "normalizer", "begins with", "steps", "accuracy", "macro-F1", "mAP", "precision", "recall"),
    *("specificity", "NPV", "AUROC", "ECE before", "ECE after", "temperature"),
)


@final
@dataclass(frozen=True, eq=False)
class Row:
    """One classifier on the test tiles of one set."""

    title: str
    method: str
    start: str
    steps: str
    answers: Answers
    scores: Scored

    @staticmethod
    def of(title: str, method: str, start: str, steps: str, answers: Answers) -> "Row":
        """With its figures."""
        return Row(title, method, start, steps, answers, scored(answers))

    def cells(self) -> tuple[object, ...]:
        """In the order of ``COLUMNS``."""
        found = self.scores
        return (
            *(self.title, self.method, self.start, self.steps, text(found.accuracy), text(found.macro_f1)),
            *(found.number(name) for name in MEANS),
            *(text(found.auroc), found.number("ece_before"), found.number("ece"), self.answers.temperature),
        )


def table_one(sets: Sequence[Tiles]) -> Table:
    """Composition: published, with its sums, and ours."""
    rows: list[tuple[object, ...]] = []
    for name, counts in COMPOSITION.items():
        told = ", ".join(f"{label} {count}" for label, count in zip(CLASSES, counts, strict=True))
        check = "adds up" if sum(counts) == TOTALS[name] else f"adds up to {sum(counts)}"
        rows.append(("published", name, told, TOTALS[name], check))
    for tiles in sets:
        for name, known in tiles.counts.items():
            told = ", ".join(f"{label} {known.get(label, 0)}" for label in tiles.classes)
            rows.append((f"{tiles.name} ({tiles.kind.upper()})", name, told, sum(known.values()), ""))
        for part in PARTS:
            own = tiles.part(part)
            told = ", ".join(f"{label} {int(own.is_class(label).sum())}" for label in tiles.classes)
            rows.append((f"{tiles.name} ({tiles.kind.upper()})", f"{part} tiles", told, len(own), ""))
        groups = {
            label: len({g for g, one in zip(tiles.images.groups, tiles.is_class(label), strict=True) if one})
            for label in tiles.classes
        }
        told = ", ".join(f"{label} {count}" for label, count in groups.items())
        rows.append((f"{tiles.name} ({tiles.kind.upper()})", "groups", told, len(set(tiles.images.groups)), ""))
    note = (
        "Published: slides, areas drawn by a pathologist, and patches of 400 x 400 of a private hospital set; test "
        "patches come from areas that were left out, so slides may be on both sides. Ours: groups are invented slides, "
        "or clusters of color and near-duplicates in place of slides; a group with tiles of several classes counts in "
        "each."
    )
    return Table("Table 1: composition of the data", ("set", "what", "by class", "sum", "check"), tuple(rows), note)


def table_two() -> Table:
    """The formulas."""
    rows = [(name, formula) for name, formula in FORMULAS.items()]
    rows += [
        ("mAP", "not defined in the paper; here: mean over the classes of the average precision of the probabilities"),
        ("ECE", "sum over 15 bins of (items / n) |accuracy - mean confidence|, before and after the temperature"),
    ]
    note = "TP, FP, FN, TN: one class against all others. The paper writes NVP for NPV. Overall: means over classes."
    return Table("Table 2: formulas", ("rate", "formula"), tuple(rows), note)


def table_three_published() -> Table:
    """Table 3 as printed, and what the counts behind Table 4 give."""
    rows: list[tuple[object, ...]] = []
    for name in NETWORKS:
        title, (ranked, *printed) = PRINTED[name], OVERALL[name]
        means = recomputed(name).mean(axis=0)
        right = sum(one.tp for one in PER_CLASS[name]) / TOTALS["test patches"]
        rows.append((title, "as printed", "not printed", ranked, *printed))
        rows.append((title, "recomputed", f"{right:.3f}", "cannot be", *(float(v) for v in means)))
        assert abs(right - ACCURACY[name]) < 1e-3
    note = (
        "The counts are the only whole numbers that give the printed rates of Table 4 for test sets of the sizes in "
        "Table 1. All three networks have as many false positives as missed ones, as they must. mAP needs scores."
    )
    columns = ("network", "figures", "accuracy", "mAP", *RATES)
    return Table("Table 3, published: overall comparison", columns, tuple(rows), note)


def table_four_published() -> Table:
    """Table 4 from the counts, misprints corrected and marked."""
    rows: list[tuple[object, ...]] = []
    for name in NETWORKS:
        ours = recomputed(name)
        for i, label in enumerate(CLASSES):
            one = PER_CLASS[name][i]
            cells = []
            for rate, value, printed in zip(RATES, ours[i], one.printed, strict=True):
                right, wrong = corrected(name, label, rate)
                cells.append(f"{value:.3f} (MISPRINT: {printed:.3f})" if wrong else f"{value:.3f}")
                assert abs(right - value) < 1.1e-3
            rows.append((PRINTED[name], label, one.tp, one.fp, one.fn, one.tn, *cells))
    note = (
        f"Every value follows from the counts, to the printed digits, but for {len(MISPRINTS)} misprints, which the "
        "other values of the table contradict; what is printed stands beside what the counts give."
    )
    columns = ("network", "class", "TP", "FP", "FN", "TN", *RATES)
    return Table("Table 4, published: by class, recomputed from counts", columns, tuple(rows), note)


def table_three(run: Run, tiles: Tiles, rows: Sequence[Row], baseline: Row | None) -> Table:
    """Ours, in Table 3's columns and more, with chance."""
    luck = chance_figures(tiles.part("test").truth, len(tiles.classes))
    cells: list[tuple[object, ...]] = [row.cells() for row in rows]
    chance = [luck[name] for name in ("accuracy", "macro_f1", *MEANS, "macro_auroc")]
    cells.append(("chance", "-", "-", "-", *chance, "-", "-", "-"))
    lead = "" if baseline is None else _beats(rows, baseline)
    published = "; ".join(
        f"{PRINTED[name]} mAP {values[0]}, precision {values[1]}, recall {values[2]}, specificity {values[3]}, NPV "
        f"{values[4]}"
        for name, values in OVERALL.items()
    )
    note = (
        f"{lead}Published, on other data, for orientation only: {published}. Intervals: 95 %, whole groups drawn "
        f"{len(set(tiles.part('test').units))} at a time. ECE: expected calibration error."
    )
    return Table(f"Table 3, ours: {tiles.name} ({tiles.kind.upper()})", COLUMNS, tuple(cells), note, run.command)


def table_four(run: Run, tiles: Tiles, rows: Sequence[Row]) -> Table:
    """Ours, by class."""
    cells: list[tuple[object, ...]] = []
    for row in rows:
        by_class = row.scores.figures["classes"]
        counts = np.array(row.scores.figures["confusion"])
        assert isinstance(by_class, Mapping)
        for i, label in enumerate(tiles.classes):
            own = by_class[label]
            tp = int(counts[i, i])
            fp, fn = int(counts[:, i].sum()) - tp, int(counts[i].sum()) - tp
            tn = int(counts.sum()) - tp - fp - fn
            names = ("precision", "recall", "specificity", "npv", "f1", "auroc")
            cells.append((row.title, row.method, label, tp, fp, fn, tn, *(own[name] for name in names)))
    columns = ("classifier", "normalizer", "class", "TP", "FP", "FN", "TN", *RATES, "F1", "AUROC")
    return Table(
        f"Table 4, ours: by class, {tiles.name} ({tiles.kind.upper()})", columns, tuple(cells), "", run.command
    )


def random_table(run: Run, grouped: Sequence[Row], at_random: Sequence[Row]) -> Table:
    """The same method on both divisions, and by how much the random one reads too high."""
    rows: list[tuple[object, ...]] = []
    for one, other in zip(grouped, at_random, strict=True):
        rows.append(
            (
                one.title,
                text(one.scores.accuracy),
                text(other.scores.accuracy),
                other.scores.accuracy.value - one.scores.accuracy.value,
                text(one.scores.macro_f1),
                text(other.scores.macro_f1),
                other.scores.macro_f1.value - one.scores.macro_f1.value,
            )
        )
    columns = (
        *("classifier", "accuracy, by group", "accuracy, at random", "too high by"),
        *("macro-F1, by group", "macro-F1, at random", "too high by"),
    )
    note = (
        "At random, tiles of one slide are on both sides, and its colors tell the class. No other table is divided so."
    )
    return Table("How much too high a random division reads", columns, tuple(rows), note, run.command)


def folds_table(run: Run, rows: Mapping[str, Sequence[Row]], method: str) -> Table:
    """Cross-validation by group: the small network, the histogram of original and of normalized colors."""
    cells: list[tuple[object, ...]] = []
    for title, (network, *baselines) in rows.items():
        tiles = network.answers.tiles
        found: list[object] = [title, len(set(tiles.units)), len(tiles), text(network.scores.macro_f1)]
        for baseline in baselines:
            difference = f1_difference(network.answers, baseline.answers)
            found += [text(baseline.scores.macro_f1), text(difference), difference.low > 0]
        cells.append(tuple(found))
    against = (
        ("color histogram", "difference", "above 0"),
        (f"histogram, {method}", "difference, too", "above 0, too"),
    )
    columns = ("tested", "groups", "tiles", "small network", *against[0], *against[1])
    note = (
        "Macro-F1; every group is tested once, by a network and regressions that saw none of it. One division is a "
        "matter of luck with so few groups: all folds together decide. The other tables are of one division (seed 0). "
        "The network is of original colors."
    )
    title = "The small network and the color histogram, cross-validated by group"
    return Table(title, columns, tuple(cells), note, run.command)


def _beats(rows: Sequence[Row], baseline: Row) -> str:
    """How the trained small network compares with the histogram."""
    own = next((row for row in rows if row.title == "small network" and row.method == baseline.method), None)
    if own is None:
        return ""
    difference = f1_difference(own.answers, baseline.answers)
    verdict = "beats" if difference.low > 0 else "is above" if difference.value > 0 else "does NOT beat"
    return (
        f"On this division the small network {verdict} logistic regression on the color histogram in macro-F1: by "
        f"{text(difference)}. "
    )
