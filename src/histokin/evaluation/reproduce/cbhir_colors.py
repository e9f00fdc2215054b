"""The color half of the histopathology retrieval page: PSNR table, NMI violins and tables, galleries."""

from collections.abc import Sequence
from pathlib import Path

from histokin.evaluation.figures import gallery, violins
from histokin.evaluation.page.model import Figure, Note, Table
from histokin.evaluation.reproduce.colors import Fitted, Treated, finite_mean, reference_of, treat
from histokin.evaluation.reproduce.laboratories import (
    Laboratories,
    given_laboratories,
    real_laboratories,
    synthetic_laboratories,
)
from histokin.evaluation.reproduce.methods import TITLES, by_reference
from histokin.evaluation.reproduce.orders import order_text, shown
from histokin.evaluation.reproduce.published import CBHIR_PSNR
from histokin.evaluation.reproduce.records import load
from histokin.evaluation.reproduce.run import Run
from histokin.metrics.image_quality import nmi_spread
from histokin.types import RGB

PAPER = ("bksvd", "vahadane", "macenko")
"""The paper's three methods, in its order."""

FURTHER = ("reinhard", "khan", "ruifrok", "histogram")
"""Methods of ours that the paper does not have; in the NMI table only."""

FITS: tuple[Fitted, ...] = ("image", "laboratory")

Part = Table | Figure | Note


def color_parts(run: Run) -> list[Part]:
    """Everything about colors.

    Raises
    ------
    UsageError
        when the given manifest cannot be used.
    """
    real = real_laboratories(run)
    sets = [*given_laboratories(run), synthetic_laboratories(run), *([real] if real else [])]
    rows = [(s.name, s.kind, f"{sum(map(len, s.files.values()))} images of {s.side} x {s.side}", s.about) for s in sets]
    parts: list[Part] = [
        Table("Data of this page", ("set", "kind", "size", "what it is"), tuple(rows), "", run.command)
    ]
    missing = ["CAMELYON17 is not here: give it with --data."] if run.data is None else []
    missing += [] if real else ["No real colon images of two laboratories are here (--shared): that part is left out."]
    if missing:
        parts.append(Note("Left out", "\n\n".join(missing)))
    for laboratories in sets:
        parts += _set_parts(run, laboratories)
    return parts


def _set_parts(run: Run, laboratories: Laboratories) -> list[Part]:
    path, reference = reference_of(laboratories)
    treated = []
    for name in ("none", *PAPER, *FURTHER):
        for fitted in FITS[:1] if name == "none" else FITS:
            run.say(f"{laboratories.name}: {TITLES.get(name, name)}, fitted per {fitted}")
            treated.append(treat(name, laboratories, reference, fitted))
    found = [t for t in treated if t is not None]
    parts: list[Part] = [_gallery_of_laboratories(laboratories), _psnr_table(run, laboratories, found, path)]
    parts.append(_psnr_note(laboratories, found))
    parts += [_violins(laboratories, found, fitted) for fitted in FITS]
    parts += [_nmi_table(run, laboratories, found), _nmi_note(laboratories, found)]
    parts.append(_gallery_of_methods(laboratories, reference))
    return parts


def _title(name: str) -> str:
    return "original" if name == "none" else TITLES.get(name, name)


def _gallery_of_laboratories(laboratories: Laboratories) -> Figure:
    rows = [[load(path, laboratories.side) for path in _five(files)] for files in laboratories.files.values()]
    least = min(map(len, rows))
    rows = [row[:least] for row in rows]
    title = f"Figure 1 on {laboratories.name}: color of the laboratories"
    columns = [str(i + 1) for i in range(least)]
    return Figure(title, gallery(rows, list(laboratories.files), columns), f"{laboratories.about}.")


def _psnr_table(run: Run, laboratories: Laboratories, found: Sequence[Treated], reference: Path) -> Table:
    rows = [
        (
            _title(t.method),
            t.fitted,
            shown(finite_mean(t.psnr), 2),
            shown(CBHIR_PSNR.get(t.method), 2),
            *((shown(finite_mean(t.psnr_truth), 2),) if laboratories.truth else ()),
            shown(1000 * t.seconds, 1),
            t.unchanged,
        )
        for t in found
        if t.method in PAPER or (t.method == "none" and laboratories.truth)
    ]
    truth = ("PSNR to the truth",) if laboratories.truth else ()
    columns = ("method", "fitted per", "PSNR original-normalized", "published", *truth, "ms/image", "left unchanged")
    note = (
        f"{laboratories.about}. Reference: {reference.name}, the image of median optical density of the first "
        "laboratory. Images that came back unchanged are left out of the means. Published: CAMELYON17. Time: fit and "
        "map, reading not counted, this computer."
    )
    return Table(f"Table 1 on {laboratories.name}: PSNR (dB)", columns, tuple(rows), note, run.command)


def _psnr_note(laboratories: Laboratories, found: Sequence[Treated]) -> Note:
    lines = []
    for fitted in FITS:
        ours = {t.method: finite_mean(t.psnr) for t in found if t.fitted == fitted and t.method in PAPER}
        lines.append(order_text(f"PSNR original-normalized, fitted per {fitted}", ours, CBHIR_PSNR, TITLES))
        truth = {t.method: finite_mean(t.psnr_truth) for t in found if t.fitted == fitted and t.psnr_truth}
        if truth:
            best = max(truth, key=lambda name: truth[name])
            lines.append(f"Closest to the truth, fitted per {fitted}: {_title(best)} ({truth[best]:.2f} dB).")
    return Note(f"What holds of Table 1 on {laboratories.name}", "\n\n".join(lines))


def _violins(laboratories: Laboratories, found: Sequence[Treated], fitted: Fitted) -> Figure:
    chosen = [t for t in found if t.method == "none" or (t.method in PAPER and t.fitted == fitted)]
    groups = {lab: {_title(t.method): t.nmi[lab] for t in chosen} for lab in laboratories.files}
    caption = f"{laboratories.about}. Bars: greatest, median and least. Fitted per {fitted}."
    title = f"Figure 4 on {laboratories.name}: NMI, fitted per {fitted}"
    return Figure(title, violins(groups, "normalized median intensity"), caption)


def _nmi_table(run: Run, laboratories: Laboratories, found: Sequence[Treated]) -> Table:
    rows = []
    for t in found:
        cells = [nmi_spread(values) for values in t.nmi.values()]
        spreads = [*cells, t.overall()]
        paper = "yes" if t.method in (*PAPER, "none") else "no"
        within = shown(t.within(), 4)
        fitted = "-" if t.method == "none" else t.fitted
        # no-break spaces keep the two numbers of a cell on one line
        pairs = (f"{sd:.4f}\u00a0/\u00a0{cv:.4f}" for sd, cv in spreads)
        rows.append((_title(t.method), fitted, paper, *pairs, within))
    columns = ("method", "fitted per", "in the paper", *laboratories.files, "all images", "mean SD within")
    note = "NMI-SD / NMI-CV (divisor n). NMI is the median of the mean of R, G, B over its 95th percentile, per image."
    return Table(f"NMI spread on {laboratories.name}", columns, tuple(rows), note, run.command)


def _nmi_note(laboratories: Laboratories, found: Sequence[Treated]) -> Note:
    """The paper's claim: BKSVD gives the lowest spread inside a laboratory and over all."""
    lines = []
    for fitted in FITS:
        chosen = [t for t in found if t.method == "none" or (t.method in PAPER and t.fitted == fitted)]
        for what, values in (
            ("NMI-SD within laboratories", {t.method: t.within() for t in chosen}),
            ("NMI-SD of all images", {t.method: t.overall()[0] for t in chosen}),
            ("NMI-CV of all images", {t.method: t.overall()[1] for t in chosen}),
        ):
            order = sorted(values, key=lambda name: values[name])
            told = " < ".join(f"{_title(name)} {values[name]:.4f}" for name in order)
            claim = "holds" if order[0] == "bksvd" else "does NOT hold"
            lines.append(f"{what}, fitted per {fitted}: {told}. The paper's claim (BKSVD lowest) {claim} here.")
    return Note(f"What holds of NMI on {laboratories.name}", "\n\n".join(lines))


def _gallery_of_methods(laboratories: Laboratories, reference: RGB) -> Figure:
    """Five images, one of each laboratory in turn, as they are and after each method, fitted on themselves."""
    labs = list(laboratories.files)
    chosen = [laboratories.files[labs[i % len(labs)]] for i in range(5)]
    images = [load(files[(i // len(labs)) % len(files)], laboratories.side) for i, files in enumerate(chosen)]
    rows, names = [images], ["original"]
    for name in PAPER:
        method = by_reference(name)
        maps = [method.fitted(image, reference) for image in images]
        rows.append([mapping(image) if mapping else image for mapping, image in zip(maps, images, strict=True)])
        names.append(TITLES[name])
    columns = [labs[i % len(labs)] for i in range(5)]
    title = f"Figure 5 on {laboratories.name}: five images, four versions"
    return Figure(title, gallery(rows, names, columns), f"{laboratories.about}. Each image is fitted on itself.")


def _five(files: Sequence[Path]) -> list[Path]:
    count = min(5, len(files))
    return [files[i * len(files) // count] for i in range(count)]
