"""The page of the StainNet paper (Kang et al.): its tables and figures without the classifier, beside the published."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from histokin.evaluation.page.model import Figure, Note, Page, Table
from histokin.evaluation.page.write import write_page
from histokin.evaluation.reproduce.augmentations import augmentations_figure
from histokin.evaluation.reproduce.diagram import stainnet_diagram
from histokin.evaluation.reproduce.laboratories import Laboratories, real_laboratories, synthetic_laboratories
from histokin.evaluation.reproduce.methods import TITLES
from histokin.evaluation.reproduce.networks import FULL_SIZE, Networks, train_networks
from histokin.evaluation.reproduce.pairs import PairSet, given_pairs, real_pair, synthetic_pairs
from histokin.evaluation.reproduce.run import Run
from histokin.evaluation.reproduce.stainnet_figures import (
    comparison_figure,
    curves_figure,
    kernels_figure,
    normalized_figure,
    reference_figure,
    samples_figure,
    transfer,
)
from histokin.evaluation.reproduce.stainnet_tables import (
    kernels_note,
    kernels_table,
    measure,
    methods_for,
    methods_table,
    orders_note,
    reference_table,
    style_table,
)

Part = Table | Figure | Note

LEAD = (
    "H. Kang et al., StainNet: a fast and robust stain normalization network. The paper's 3223 cytology pairs are not "
    "public: its tables and figures are made here on the data named below, marked as what it is. Unless you gave the "
    "pairs, numbers beside each other are not from the same images. Table 3 and the classifier are not on this page."
)


def reproduce_stainnet(run: Run) -> Path:
    """Make the page; returns the path of its ``index.html``.

    Raises
    ------
    UsageError
        when the given manifest cannot be used.
    """
    synthetic, given, real = synthetic_pairs(run), given_pairs(run), real_pair(run)
    main = next((pairs for pairs in given if pairs.train and pairs.test), synthetic)
    networks = train_networks(run, main)
    sets = [main, *(p for p in (synthetic, *given) if p is not main and p.test), *([real] if real else [])]
    laboratories = [synthetic_laboratories(run), real_laboratories(run)]
    parts: list[Part | None] = [
        _data_table(run, sets, laboratories),
        _absences(run, real, laboratories[1], networks),
        Figure("Figure 1: network and training", stainnet_diagram(), "Drawn by us after the paper's description."),
        *_main_parts(run, main, networks),
    ]
    for pairs in sets[1:]:
        parts += _set_parts(run, pairs)
    parts += _transfer_parts(run, networks, laboratories)
    page = Page("StainNet, reproduced", LEAD, tuple(part for part in parts if part is not None))
    return write_page(page, run.out)


def _main_parts(run: Run, main: PairSet, networks: Networks) -> list[Part | None]:
    """Everything on the set that the networks were trained on."""
    measured = measure(run, main, methods_for(main, networks))
    run.say("drawing figures")
    aside = {TITLES["none"], FULL_SIZE}
    shown = [m for m in measured.methods if "untrained" not in m.title and m.title not in aside]
    parts: list[Part | None] = []
    if networks.net:
        for letter, pair in zip("ab", (main.test[0], main.test[-1]), strict=True):
            parts.append(normalized_figure(f"2{letter}: StainNet", pair, networks.net.method(), f"{main.about}."))
    parts.append(comparison_figure("3: all methods", main.test[min(1, len(main.test) - 1)], shown, f"{main.about}."))
    parts += [methods_table(run, measured), orders_note(measured)]
    if networks.kernels:
        table, found = kernels_table(run, main, networks.kernels)
        parts += [table, kernels_note(found), kernels_figure(main.test[0], networks.kernels, f"{main.about}.")]
    parts += [augmentations_figure(main), samples_figure(main, networks)]
    parts += [reference_table(run, main), reference_figure(main), style_table(run, main, networks)]
    parts.append(curves_figure(networks))
    return parts


def _set_parts(run: Run, pairs: PairSet) -> list[Part | None]:
    """Table 1 and Figure 3 on a set that no network was trained on here."""
    measured = measure(run, pairs, methods_for(pairs, None))
    shown = [m for m in measured.methods if m.title != TITLES["none"]]
    figure = comparison_figure(f"3 on {pairs.name}", pairs.test[0], shown, f"{pairs.about}.")
    return [methods_table(run, measured), orders_note(measured), figure]


def _transfer_parts(run: Run, networks: Networks, found: Sequence[Laboratories | None]) -> list[Part | None]:
    others: dict[str, Sequence[Path]] = {}
    most = 2 if run.quick else 8
    for laboratories in found:
        for name, files in laboratories.files.items() if laboratories else ():
            others[f"{name} ({laboratories.kind})" if laboratories else name] = _spread(files, most)
    run.say("networks on other data")
    return list(transfer(run, networks, others) or ())


def _spread(files: Sequence[Path], most: int) -> list[Path]:
    count = min(most, len(files))
    return [files[i * len(files) // count] for i in range(count)]


def _data_table(run: Run, sets: Sequence[PairSet], found: Sequence[Laboratories | None]) -> Table:
    rows: list[tuple[object, ...]] = [
        (p.name, p.kind, f"{len(p.train)} pairs to train, {len(p.test)} to test", p.about) for p in sets
    ]
    rows += [(f.name, f.kind, f"{sum(map(len, f.files.values()))} images", f.about) for f in found if f]
    return Table("Data of this page", ("set", "kind", "size", "what it is"), tuple(rows), "", run.command)


def _absences(run: Run, real: PairSet | None, colon: Laboratories | None, networks: Networks) -> Note | None:
    """What is not on this page, and why."""
    reasons: Mapping[str, bool] = {
        "The published cytology pairs (3223) are not here: give them with --data.": run.data is None,
        "The authors' one published pair is not here (stainnet-cyto in the shared data): its table is left out.": (
            real is None
        ),
        "No real colon images of two laboratories are here: Figure 7 shows synthetic ones only.": colon is None,
        f"No networks were trained ({networks.absent}): their rows and Figures 2, 4, 5b and 7 are left out.": bool(
            networks.absent
        ),
    }
    lines = [reason for reason, holds in reasons.items() if holds]
    return Note("Left out", "\n\n".join(lines)) if lines else None
