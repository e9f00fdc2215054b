"""The page of content-based medical image retrieval with an autoencoder, beside what the paper prints."""

from collections.abc import Sequence
from pathlib import Path

from histokin.evaluation.page.model import Figure, Note, Page, Table
from histokin.evaluation.page.write import write_page
from histokin.evaluation.reproduce.cbmir_data import Modalities, modality_sets
from histokin.evaluation.reproduce.cbmir_diagrams import diagrams
from histokin.evaluation.reproduce.cbmir_figures import network_figures, result_figures, samples_figure
from histokin.evaluation.reproduce.cbmir_methods import compare
from histokin.evaluation.reproduce.cbmir_networks import Networks, train_networks
from histokin.evaluation.reproduce.cbmir_tables import averages_table, claims_note, data_table, table_one, table_two
from histokin.evaluation.reproduce.run import Run

Part = Table | Figure | Note

LEAD = (
    "Content-based medical image retrieval with a convolutional autoencoder: 48 numbers per image, Euclidean distance. "
    "The paper's 50,000 images (X-ray, MRI, OCT, EEG) are not public: its tables and figures are made here on the data "
    "named below, marked as what it is, and numbers beside each other are not from the same images. Its metrics are "
    "given in three readings, since a recall of 98 % at n = 20 is impossible as it defines recall. Kinds of images as "
    "unlike as these are told apart by almost anything: see the histogram and the untrained network in every table."
)


def reproduce_cbmir(run: Run) -> Path:
    """Make the page; returns the path of its ``index.html``.

    Raises
    ------
    UsageError
        when the user's data cannot be used.
    """
    sets = modality_sets(run)
    networks = train_networks(run, sets)
    parts: list[Part] = [_verdicts(sets), data_table(run, sets)]
    parts += [_training_table(run, sets, networks)]
    absent = _absences(run, sets, networks)
    parts += [absent] if absent else []
    parts += [*diagrams(), averages_table(run)]
    for images in sets:
        parts += _set_parts(run, images, networks[images.name])
    return write_page(Page("Medical image retrieval with an autoencoder, reproduced", LEAD, tuple(parts)), run.out)


def _set_parts(run: Run, images: Modalities, networks: Networks) -> list[Part]:
    compared = compare(run, images, networks)
    run.say(f"{images.name}: tables and figures")
    parts: list[Part] = [samples_figure(images), *network_figures(images, networks)]
    parts += table_one(run, images, compared)
    first, *others = result_figures(images, compared)
    return [*parts, first, table_two(run, images, compared), claims_note(images, compared), *others]


def _verdicts(sets: Sequence[Modalities]) -> Note:
    """Does any set leak? At the head of the page."""
    lines = [f"{images.name} ({images.kind.upper()}): {images.verdict.headline}" for images in sets]
    return Note("Leakage, test images against the database", "\n\n".join(lines))


def _training_table(run: Run, sets: Sequence[Modalities], networks: dict[str, Networks]) -> Table:
    rows: list[tuple[object, ...]] = []
    for images in sets:
        own = networks[images.name]
        for title, training in (("autoencoder", own.autoencoder), ("DCNN", own.dcnn)):
            if training is None:
                continue
            held = training.report["held_out"]
            figure = "mse" if title == "autoencoder" else "accuracy"
            rows.append(
                (
                    images.name,
                    title,
                    training.steps,
                    training.report["configuration"]["profile"]["side"],
                    f"{training.report['seconds']:.0f}",
                    training.report["device"],
                    training.report["parameters"],
                    "MSE" if figure == "mse" else "accuracy as a classifier",
                    f"{held['trained'][figure]:.4f}",
                    f"{held['untrained'][figure]:.4f}",
                )
            )
    columns = (
        *("set", "network", "steps done / published", "pixels", "seconds", "device", "parameters"),
        *("on test images", "trained", "untrained"),
    )
    note = (
        "Autoencoder: stride-2 convolutions of 128 filters, LeakyReLU 0.2, batch normalization, 48 numbers; mean "
        "squared error, Adam, rate 0.001 / (1 + 0.00002 t). On a CPU reduced: smaller images (pixels: the side of a "
        "square), and as many steps as fit into the time. The paper leaves depth, image size and the DCNN open."
    )
    return Table("Trained for this page", columns, tuple(rows), note, run.command)


def _absences(run: Run, sets: Sequence[Modalities], networks: dict[str, Networks]) -> Note | None:
    """What is not on this page, and why."""
    lines = ["The paper's images are not here: give them with --data."] if run.data is None else []
    real = {images.name for images in sets if images.kind == "real"}
    lines += [
        f"{name} is not here (--shared): its part is left out."
        for name in ("medical-mnist", "brain-mri")
        if name not in real
    ]
    for reason in dict.fromkeys(own.absent for own in networks.values() if own.absent):
        lines.append(f"No network was trained ({reason}): Figures 7, 8, 9 and 11 and its rows are left out.")
    return Note("Left out", "\n\n".join(lines)) if lines else None
