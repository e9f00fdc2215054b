"""The search half of the histopathology retrieval page: Tables 2 and 3, Figures 6 to 10, and what they mean."""

from collections.abc import Sequence
from typing import Any, final

import numpy as np

from histokin.encoders.registry import encoder
from histokin.errors import UsageError
from histokin.evaluation.figures import confusions, curves, gallery
from histokin.evaluation.leakage import leakage_verdict, side
from histokin.evaluation.page.model import Figure, Note, Table
from histokin.evaluation.reproduce.cbhir_classifier import Classified, classify_versions
from histokin.evaluation.reproduce.cbhir_networks import Autoencoder, train_versions
from histokin.evaluation.reproduce.cbhir_scores import TOP, Found, find, interval, misaligned
from histokin.evaluation.reproduce.hospitals import Case, Hospitals
from histokin.evaluation.reproduce.orders import order_text
from histokin.evaluation.reproduce.published import CBHIR_AUC, CBHIR_TOP_K
from histokin.evaluation.reproduce.run import Run
from histokin.evaluation.reproduce.versions import VERSIONS, Version, make_version
from histokin.metrics.ranking import chance_any_hit, chance_precision, hits_at_k

Part = Table | Figure | Note

TRAINED, UNTRAINED = "CBHIR autoencoder", "CBHIR autoencoder, untrained"
BASELINES = ("color-histogram", "efficientnet-lite0-b14")
AUTOENCODERS_SHARE = 0.6
"""Of the minutes of training; the classifiers get the rest."""


def search_parts(run: Run, hospitals: Hospitals, minutes: float) -> list[Part]:
    """Everything about the search in one set of hospitals."""
    versions, failed = _versions(hospitals)
    # A quick run shows that everything works; two versions do.
    chosen = [versions[0], versions[-1]] if run.quick else versions
    trained = train_versions(run, chosen, AUTOENCODERS_SHARE * minutes)
    classified = classify_versions(run, chosen, (1 - AUTOENCODERS_SHARE) * minutes)
    networks = trained if isinstance(trained, dict) else {}
    found = _searched(run, versions, networks)
    report = _Report(run, hospitals, found)
    parts: list[Part] = [_verdict(hospitals), report.table_2(), report.table_3(classified)]
    parts += [report.confusions(), *report.galleries(versions), report.claims(classified)]
    if networks:
        parts += [_training_table(run, hospitals, networks), _loss_figure(hospitals, networks)]
    parts.append(report.costs())
    left_out = list(failed) + ([f"No autoencoder: {trained}."] if isinstance(trained, str) else [])
    left_out += [classified] if isinstance(classified, str) else []
    if left_out:
        parts.append(Note(f"Left out on {hospitals.name}", "\n\n".join(left_out)))
    return parts


def _versions(hospitals: Hospitals) -> tuple[list[Version], list[str]]:
    made, failed = [], []
    for name, title in VERSIONS.items():
        try:
            made.append(make_version(name, hospitals))
        except UsageError as error:
            failed.append(f"{title}: {error}")
    return made, failed


def _searched(run: Run, versions: Sequence[Version], networks: dict[str, Autoencoder]) -> list[Found]:
    found = []
    for version in versions:
        network = networks.get(version.name)
        if network:
            found.append(find(version, network.trained, TRAINED, run.say))
            found.append(find(version, network.untrained, UNTRAINED, run.say))
        found += [find(version, encoder(name), name, run.say) for name in BASELINES]
    return found


@final
class _Report:
    """Tables and figures of one set of hospitals."""

    def __init__(self, run: Run, hospitals: Hospitals, found: Sequence[Found]) -> None:
        self._run, self._hospitals, self._found = run, hospitals, found
        self._archive, self._truth = hospitals.labels

    def table_2(self) -> Table:
        """Top-K accuracy beside the published one, and what says more."""
        rows = [self._row(one) for one in self._found]
        shuffled = [self._shuffled(k) for k in (3, TOP)]
        chance = [chance_any_hit(self._archive, self._truth, k) for k in (3, TOP)]
        precision = chance_precision(self._archive, self._truth)
        rows.append(
            ("-", "chance", chance[0], None, chance[1], None, precision, "", precision, "", None, None, "", None)
        )
        counts = ", ".join(
            f"{label} {(self._archive == label).sum()} answer, {(self._truth == label).sum()} ask"
            for label in np.unique(self._archive)
        )
        note = (
            f"{self._hospitals.about}. {counts}. Top-K counts a query when ANY of its K hits has its label: with two "
            "labels it is nearly free, as the row of chance shows. P@k divides by k; mAP@5 divides by the most right "
            "hits that five can hold; a tied vote goes to the nearer hit. Intervals: 95 %, bootstrap over queries. "
            "Every image is normalized with its hospital, archive and queries by the same method. With labels shuffled "
            "against the features, as a public search script of the field has them, the autoencoder on original colors "
            f"would still reach {shuffled[0]:.3f} (K=3) and {shuffled[1]:.3f} (K=5)."
        )
        columns = (
            "colors", "encoder", "top-3", "published", "top-5", "published", "P@1", "95 %", "P@5", "95 %", "mAP@5",
            "vote@5", "95 %", "macro-F1",
        )  # fmt: skip
        return Table(
            f"Table 2 on {self._hospitals.name}: top-K accuracy", columns, tuple(rows), note, self._run.command
        )

    def _row(self, one: Found) -> tuple[object, ...]:
        published = CBHIR_TOP_K[one.version] if one.encoder == TRAINED else (None, None)
        values = one.values()
        p1, p5, vote = values["P@1"], values["P@5"], values["vote@5"]
        return (
            VERSIONS[one.version],
            one.encoder,
            one.any_hit(3),
            published[0],
            one.any_hit(TOP),
            published[1],
            float(p1.mean()),
            interval(p1),
            float(p5.mean()),
            interval(p5),
            one.mean_average_precision(self._archive),
            float(vote.mean()),
            interval(vote),
            one.macro_f1(),
        )

    def _shuffled(self, k: int) -> float:
        first = self._found[0]
        return float(hits_at_k(misaligned(self._archive)[first.rows], self._truth, k).mean())

    def table_3(self, classified: dict[str, Classified] | str) -> Table:
        """AUC of classifier and retrieval."""
        rows: list[tuple[object, ...]] = []
        for name, title in VERSIONS.items():
            published = CBHIR_AUC[name]
            if isinstance(classified, dict) and name in classified:
                one = classified[name]
                rows.append((title, "VGG19 classifier", one.auc, None, published[0], one.steps))
                rows.append((title, "VGG19 classifier, untrained", one.untrained_auc, None, None, "0"))
            for found in (f for f in self._found if f.version == name):
                told = published[1] if found.encoder == TRAINED else None
                rows.append((title, found.encoder, found.auc(), found.auc(weighted=True), told, None))
        note = (
            "The paper does not say what its scores are. Retrieval: the share of cancer among the five nearest, and "
            "the same with hits weighted by one over their distance. Classifier: its probability of cancer. The "
            "published VGG19 figures were copied there from the BKSVD paper. The text of the paper gives .9631 for "
            "BKSVD, its table .9754. Chance is .5."
        )
        columns = ("colors", "method", "AUC", "AUC, weighted by distance", "published", "training steps")
        return Table(f"Table 3 on {self._hospitals.name}: AUC", columns, tuple(rows), note, self._run.command)

    def confusions(self) -> Figure:
        """Figure 6, in both readings."""
        names = np.unique(self._archive)
        told = [one for one in self._found if one.encoder == self._found[0].encoder]
        matrices = {}
        for any_hit, how in ((True, "any hit"), (False, "vote")):
            for one in told:
                matrices[f"{VERSIONS[one.version]}, {how}"] = one.confusion(names, any_hit=any_hit)
        caption = (
            f"{self._found[0].encoder}, five hits. Any hit, as in the related code: the query's own label when any hit "
            "has it, else that of the nearest; it knows the answer. Vote: the label of most hits."
        )
        title = f"Figure 6 on {self._hospitals.name}: confusion matrices"
        return Figure(title, confusions(matrices, [str(n) for n in names]), caption)

    def galleries(self, versions: Sequence[Version]) -> list[Figure]:
        """Figures 7 to 10: the same four queries in each color version, misses framed red."""
        chosen = _four(self._truth)
        figures = []
        for number, version in zip(range(7, 11), versions, strict=False):
            found = next(one for one in self._found if one.version == version.name)
            rows, frames = [], {}
            for i, query in enumerate(chosen):
                hits = [self._hospitals.archive[row] for row in found.rows[query]]
                asked = self._hospitals.queries[query]
                rows.append([version.image(case) for case in (asked, *hits)])
                for j, hit in enumerate(hits, 1):
                    frames[i, j] = "#2e7d32" if hit.label == asked.label else "#d32f2f"
            names = [f"{self._hospitals.queries[q].label}\n{_short(self._hospitals.queries[q])}" for q in chosen]
            columns = ["query", *(f"hit {i}" for i in range(1, TOP + 1))]
            title = f"Figure {number} on {self._hospitals.name}: {version.title}, {found.encoder}"
            caption = "Red: another label than the query's; green: the same. The same four queries in all four figures."
            figures.append(Figure(title, gallery(rows, names, columns, frames), caption))
        return figures

    def claims(self, classified: dict[str, Classified] | str) -> Note:
        """The paper's orders, and what holds of them here."""
        lines = []
        names = dict.fromkeys(one.encoder for one in self._found)
        for encoder_name in (name for name in names if name not in (UNTRAINED, BASELINES[0])):
            mine = [one for one in self._found if one.encoder == encoder_name]
            votes = {one.version: float(one.values()["vote@5"].mean()) for one in mine}
            any_hits = {one.version: one.any_hit(3) for one in mine}
            aucs = {one.version: one.auc() for one in mine}
            published = {name: pair[0] for name, pair in CBHIR_TOP_K.items()}
            lines.append(order_text(f"{encoder_name}, top-3 (any hit)", any_hits, published, VERSIONS))
            lines.append(order_text(f"{encoder_name}, vote of five", votes, published, VERSIONS))
            lines.append(order_text(f"{encoder_name}, AUC", aucs, {n: p[1] for n, p in CBHIR_AUC.items()}, VERSIONS))
            hurt = [VERSIONS[n] for n in votes if n != "none" and votes[n] < votes["none"]]
            lines.append(f"{encoder_name}: by the vote, normalization hurts with {', '.join(hurt) or 'no method'}.")
        if isinstance(classified, dict):
            aucs = {name: one.auc for name, one in classified.items()}
            lines.append(order_text("VGG19, AUC", aucs, {n: p[0] for n, p in CBHIR_AUC.items()}, VERSIONS))
        lines.append(self._against_untrained(classified))
        return Note(f"What holds of the search on {self._hospitals.name}", "\n\n".join(lines))

    def _against_untrained(self, classified: dict[str, Classified] | str) -> str:
        """Which trained networks do not beat their untrained copies."""
        votes = {(one.encoder, one.version): float(one.values()["vote@5"].mean()) for one in self._found}
        behind = [
            f"autoencoder on {VERSIONS[name]} ({votes[TRAINED, name]:.3f} against {votes[UNTRAINED, name]:.3f})"
            for name in VERSIONS
            if (TRAINED, name) in votes and votes[TRAINED, name] <= votes[UNTRAINED, name]
        ]
        if isinstance(classified, dict):
            behind += [
                f"VGG19 on {VERSIONS[name]} (AUC {one.auc:.3f} against {one.untrained_auc:.3f})"
                for name, one in classified.items()
                if one.auc <= one.untrained_auc
            ]
        if not behind:
            return "Every trained network beats its untrained copy (autoencoders by the vote, VGG19 by AUC)."
        return f"Trained networks that do NOT beat their untrained copy: {'; '.join(behind)}."

    def costs(self) -> Table:
        """What each encoder costs, on original colors."""
        rows = [
            (one.encoder, one.dim, 4 * one.dim, 1000 * one.seconds, one.search_ms)
            for one in self._found
            if one.version == self._found[0].version
        ]
        columns = ("encoder", "numbers", "bytes per image", "CPU-seconds per 1000 images", "search, ms per query")
        note = "Encoding alone; reading and normalizing are not counted. Exact search in all images of the archive."
        title = f"Cost on {self._hospitals.name}"
        return Table(title, columns, tuple(rows), note, self._run.command)


def _verdict(hospitals: Hospitals) -> Note:
    sides: list[Any] = []
    for cases in (hospitals.archive, hospitals.queries):
        columns = [{"centre": case.hospital} for case in cases]
        names, labels = [str(case.path) for case in cases], [case.label for case in cases]
        sides.append(side(names, labels, (hospitals.load(case) for case in cases), columns))
    verdict = leakage_verdict(sides[0], sides[1], groups=("centre",))
    return Note(f"Does the search on {hospitals.name} leak?", verdict.headline)


def _training_table(run: Run, hospitals: Hospitals, networks: dict[str, Autoencoder]) -> Table:
    rows = []
    for one in networks.values():
        held = one.report["held_out"]
        errors = (float(held[key]["mse"]) for key in ("trained", "untrained", "mean image", "without the skip"))
        seconds = one.report["cpu_seconds"]
        rows.append((VERSIONS[one.version], one.steps, *(f"{error:.4f}" for error in errors), f"{seconds:.0f}"))
    columns = (
        "colors", "steps done / published", "MSE", "MSE untrained", "MSE of the mean image", "MSE without the skip",
        "CPU-seconds",
    )  # fmt: skip
    profile = next(iter(networks.values())).report["configuration"]["profile"]
    note = (
        f"REDUCED: {profile['side']} pixels, batches of {profile['batch']}, learning rate {profile['rate']:g} "
        "(published: 224, 32 and 1e-6 for 15,000 steps). MSE of values in 0 to 1 on images not learned from. "
        "The skip connection lets the decoder pass by the 200 features; without it only they are left."
    )
    return Table(f"Training on {hospitals.name}", columns, tuple(rows), note, run.command)


def _loss_figure(hospitals: Hospitals, networks: dict[str, Autoencoder]) -> Figure:
    series = {
        VERSIONS[one.version]: [
            (float(row["step"]), float(row["mse"])) for row in one.report["history"] if "mse" in row
        ]
        for one in networks.values()
    }
    title = f"Losses of the autoencoders on {hospitals.name}"
    return Figure(title, curves(series, "step", "mean squared error"), "On the images learned from.")


def _four(truth: np.ndarray) -> list[int]:
    """Four queries: two of each label where there are two, spread evenly."""
    chosen: list[int] = []
    for label in np.unique(truth)[:2]:
        places = np.flatnonzero(truth == label)
        chosen += [int(places[len(places) // 3]), int(places[2 * len(places) // 3])]
    return chosen[:4]


def _short(case: Case) -> str:
    return case.path.stem[:14]
