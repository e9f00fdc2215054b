"""Tables I and II of the medical image retrieval paper, in the three readings of its metrics, beside the published."""

from collections.abc import Mapping, Sequence

import numpy as np

from histokin.evaluation.page.model import Note, Table
from histokin.evaluation.reproduce.cbmir_data import Modalities
from histokin.evaluation.reproduce.cbmir_methods import HISTOGRAM, PROPOSED, TITLES, UNTRAINED, Compared
from histokin.evaluation.reproduce.cbmir_scores import (
    POOL,
    TRUE,
    VOTE,
    Scores,
    chance,
    relevant_to,
    table_averages,
)
from histokin.evaluation.reproduce.orders import order_text
from histokin.evaluation.reproduce.published import CBMIR_BY_COUNT, CBMIR_MARGINS, CBMIR_METHODS
from histokin.evaluation.reproduce.run import Run
from histokin.metrics.ranking import bootstrap_interval
from histokin.metrics.resampling import Interval

PUBLISHED = "published (their data)"
AVERAGE = "average"


def data_table(run: Run, sets: Sequence[Modalities]) -> Table:
    """What there is, how it was divided, and how many copies were kept together."""
    rows = []
    for images in sets:
        sizes = " / ".join(str(len(images.places(split))) for split in ("train", "validation", "test"))
        together = len(images.groups) - len(set(images.groups))
        classes = ", ".join(f"{name} {images.labels.count(name)}" for name in images.classes)
        rows.append((images.name, images.kind, classes, sizes, together, images.about))
    columns = ("set", "kind", "classes", "train / validation / test", "copies kept on one side", "what it is")
    note = (
        "Train images are learned from and are the database; test images are the queries; validation images choose the "
        "best step. Split by class and seed; pictures that are one (mirrored and turned too) go to the same part."
    )
    return Table("Data of this page", columns, tuple(rows), note, run.command)


def table_one(run: Run, images: Modalities, compared: Compared) -> list[Table]:
    """Table I three times: true retrieval, votes, and recall limited to what n hits can hold."""
    labels, truth = images.label_array("train"), images.label_array("test")
    relevant = relevant_to(labels, truth)
    rows: dict[str, Scores] = {
        TITLES[key]: compared.results[key].scores for key in (PROPOSED, UNTRAINED, HISTOGRAM) if key in compared.results
    }
    rows["chance"] = chance(labels, truth)
    counts = tuple(rows["chance"].at)
    most = max(counts)
    about = (
        f"{images.about}. {len(truth)} queries, {len(labels)} images in the database; M, the images of a query's class "
        f"there, is {relevant.min()} to {relevant.max()}. In %; intervals of 95 % by bootstrap over queries; chance is "
        "the mean of 20 random rankings."
    )
    missing = [str(n) for n in CBMIR_BY_COUNT if n not in counts]
    about += f" The database is too small for n = {', '.join(missing)}." if missing else ""
    best = ", ".join(
        f"{_percent(float((np.minimum(n, relevant) / np.maximum(relevant, 1)).mean()))} at {n}" for n in counts
    )
    limits = f"which holds up to n = {most} here" if relevant.min() >= most else "beyond that it is greater"
    return [
        Table(
            f"Table I (a) on {images.name}: true retrieval",
            ("n", "method", *(cell for name in TRUE for cell in (name, "95 %"))),
            tuple(_rows(rows, counts, TRUE, {"P@n": 1, "R@n": 2})),
            f"{about} R@n divides by M, so the best possible is {best}. With the paper's 10,000 images a class R@20 "
            "cannot pass 0.2 %: its 98.42 % is no true recall. mAP@n divides by min(n, M).",
            run.command,
        ),
        Table(
            f"Table I (b) on {images.name}: a query takes the label of most of its n neighbors",
            ("n", "method", *(cell for name in VOTE for cell in (name, "95 %"))),
            tuple(_rows(rows, counts, VOTE, {"accuracy": 0, "precision": 1, "recall": 2})),
            f"{about} Our reading of the published table: accuracy, macro precision and macro recall of the vote; a "
            "tie goes to the nearer neighbor. Averages of macro figures have no interval.",
            run.command,
        ),
        Table(
            f"Table I (c) on {images.name}: recall limited to what n hits can hold",
            ("n", "method", "pool-limited recall", "95 %", "P@n", "95 %"),
            tuple(_rows(rows, counts, (*POOL, "P@n"), {"pool-limited recall": 2, "P@n": 1})),
            f"{about} Relevant hits over min(n, M): the same as P@n while M is at least n; {limits}.",
            run.command,
        ),
    ]


def table_two(run: Run, images: Modalities, compared: Compared) -> Table:
    """All methods, by the averages over n, with what they cost."""
    rows: list[tuple[object, ...]] = []
    for key, result in compared.results.items():
        mean, published = result.scores.mean, CBMIR_METHODS.get(key)
        rows.append(
            (
                result.title,
                result.weights,
                result.dim,
                _percent(mean["accuracy"].value),
                _between(mean["accuracy"]),
                _percent(mean["precision"].value),
                _percent(mean["recall"].value),
                " / ".join(f"{value:.2f}" for value in published) if published else None,
                _percent(mean["P@n"].value),
                _between(mean["P@n"]),
                _percent(mean["mAP@n"].value),
                f"{result.images_per_second:.0f}",
                result.bytes_per_image,
                result.file_bytes,
            )
        )
    nothing = chance(images.label_array("train"), images.label_array("test")).mean
    means = [_percent(nothing[name].value) for name in ("accuracy", "precision", "recall", "P@n", "mAP@n")]
    rows.append(("chance", None, None, means[0], None, means[1], means[2], None, means[3], None, means[4], *3 * [None]))
    columns = (
        *("method", "weights", "numbers", "accuracy", "95 %", "precision", "recall", "published acc / prec / rec"),
        *("P@n", "95 %", "mAP@n", "images/s", "bytes/image", "bytes of weights"),
    )
    note = (
        f"{images.about}. Averages over the n of Table I, in %: accuracy, precision and recall of the vote, true P@n "
        "and mAP@n. DCNN and autoencoder learned from the database's images, the DCNN with their classes. Images per "
        "second: resizing and network, this computer, files not read."
    )
    return Table(f"Table II on {images.name}: comparison with other methods", columns, tuple(rows), note, run.command)


def claims_note(images: Modalities, compared: Compared) -> Note:
    """What of Table II holds here, said from the numbers."""
    results = compared.results
    lines = []
    for place, name in enumerate(VOTE):
        # best first, so that methods equal here are listed as the paper has them
        best = sorted(CBMIR_METHODS, key=lambda key: -CBMIR_METHODS[key][place])
        ours = {key: results[key].scores.mean[name].value for key in best if key in results}
        published = {key: CBMIR_METHODS[key][place] for key in best}
        told = order_text(f"Vote, {name}", ours, published, TITLES)
        if len(set(ours.values())) < len(ours):
            told += " Some are equal here, which contradicts nothing and shows nothing."
        lines.append(told)
    margins = ", ".join(f"{value:+.2f}" for value in CBMIR_MARGINS)
    lines += [
        _against(images, compared, UNTRAINED, "what training adds"),
        _against(images, compared, HISTOGRAM, "what color alone explains"),
        _against(images, compared, "resnet50", f"published: {margins} points of accuracy, precision, recall"),
    ]
    if compared.absent:
        lines.append("Not compared: " + "; ".join(compared.absent) + ".")
    return Note(f"What holds on {images.name}", "\n\n".join(line for line in lines if line))


def averages_table(run: Run) -> Table:
    """The published Table I with the averages that follow from it."""
    rows: list[tuple[object, ...]] = [(n, *(f"{v:.2f}" for v in row)) for n, row in CBMIR_BY_COUNT.items()]
    rows.append((AVERAGE, *(f"{value:.3f}" for value in table_averages(CBMIR_BY_COUNT))))
    note = "Printed by the paper, on its 50,000 images; the averages were computed here and agree with those it prints."
    return Table("Table I as published (%)", ("n", *VOTE), tuple(rows), note, run.command)


def _against(images: Modalities, compared: Compared, rival: str, what: str) -> str:
    """The proposed method minus another on the same queries, with the paired interval."""
    if PROPOSED not in compared.results or rival not in compared.results:
        return ""
    ours, theirs = compared.results[PROPOSED].scores, compared.results[rival].scores
    parts, groups = [], np.array([images.groups[i] for i in images.places("test")])
    for name, one, other in (("accuracy", ours.right, theirs.right), ("P@n", ours.precise, theirs.precise)):
        difference = one - other
        low, high = bootstrap_interval(difference, seed=0, groups=groups)
        told = "no difference that these queries can show" if low <= 0 <= high else "better" if low > 0 else "WORSE"
        parts.append(f"{name} {100 * difference.mean():+.2f} points ({100 * low:+.2f} to {100 * high:+.2f}): {told}")
    return f"Autoencoder against {TITLES[rival]} ({what}): " + "; ".join(parts) + "."


def _rows(
    scores: Mapping[str, Scores], counts: Sequence[int], names: Sequence[str], published: Mapping[str, int]
) -> list[tuple[object, ...]]:
    """Value and interval of each metric by n and method; ``published`` is the column of the paper's for a metric."""
    rows: list[tuple[object, ...]] = []
    for n in (*counts, None):
        for title, own in scores.items():
            found = own.mean if n is None else own.at[n]
            cells = [cell for name in names for cell in (_percent(found[name].value), _between(found[name]))]
            rows.append((n or AVERAGE, title, *cells))
        theirs = table_averages(CBMIR_BY_COUNT) if n is None else CBMIR_BY_COUNT.get(n)
        if theirs:
            printed = [f"{theirs[published[name]]:.2f}" if name in published else None for name in names]
            rows.append((n or AVERAGE, PUBLISHED, *(part for cell in printed for part in (cell, None))))
    return rows


def _percent(value: float) -> str | None:
    return None if np.isnan(value) else f"{100 * value:.2f}"


def _between(interval: Interval) -> str | None:
    return None if np.isnan(interval.low) else f"{100 * interval.low:.1f}-{100 * interval.high:.1f}"
