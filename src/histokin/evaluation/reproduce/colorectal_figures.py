"""Figures 1 to 3 and 6 to 10 of the colorectal page."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float32, UInt8

from histokin.classifiers.cam import heat, overlay, peak, unit, upsampled, with_arrow
from histokin.evaluation.figures import confusions, gallery
from histokin.evaluation.page.model import Figure
from histokin.evaluation.reproduce.colorectal_answers import Answers, prepared
from histokin.evaluation.reproduce.colorectal_data import CRC5, Tiles
from histokin.evaluation.reproduce.colorectal_drawing import courses, reliabilities, rocs
from histokin.evaluation.reproduce.colorectal_networks import Model
from histokin.evaluation.reproduce.run import Run
from histokin.metrics.calibration import softmax
from histokin.retrieval.patching.picture import draw_overview
from histokin.retrieval.patching.plan import Cutting, plan_slide
from histokin.slides.areas import Area, Polygon
from histokin.slides.reading import open_slide
from histokin.training.classifier_report import epochs_of

SHOWN_PX = 224
FAILURES = 6
SLIDE = ("wsi", "CMU-1-Small-Region.svs")
OUTLINES = {
    "epithelium": [(1080, 560), (1640, 700), (1640, 1400), (1380, 2480), (1060, 2300), (1000, 1500)],
    "stroma": [(860, 1250), (1060, 1500), (1080, 2500), (1280, 2960), (560, 2960), (760, 2300)],
}
"""Drawn by hand for this figure, in level-0 pixels; nobody's diagnosis."""

Picture = UInt8[np.ndarray, "_ _ 3"]


def figure_one(sets: Sequence[Tiles]) -> Figure:
    """Two tiles of every class of every set."""
    rows, names = [], []
    for tiles in sets:
        images = prepared(tiles, _side(tiles), "none")
        for turn in range(2):
            rows.append([images.image(_places(tiles, label)[turn]) for label in tiles.classes])
            names.append(f"{tiles.slug} ({tiles.kind.upper()})\n" + ("" if turn else _legend(tiles)))
    columns = [f"class {i + 1}" for i in range(max(len(row) for row in rows))]
    caption = (
        "A column per class, in the order of the tables: "
        + "; ".join(f"{tiles.name}: {', '.join(CRC5.get(c, c) for c in tiles.classes)}" for tiles in sets)
        + ". The paper's are normal, adenoma, and adenocarcinoma well, moderately and poorly differentiated."
    )
    return Figure("Figure 1: five classes of tissue", gallery(rows, names, columns), caption)


def figures_two_and_three(run: Run) -> Figure | None:
    """Areas on a real slide, and the windows in one of them; None where the slide is not there."""
    path = run.share(*SLIDE)
    if path is None:
        return None
    areas = [Area(label, (Polygon(np.array(corners, np.float64)),)) for label, corners in OUTLINES.items()]
    cutting = Cutting(random=3, seed=0)
    target = run.out / "figures" / "areas.png"
    with open_slide(path) as slide:
        plan = plan_slide(slide, path.name, areas, cutting)
        draw_overview(target, slide, plan)
    caption = (
        f"REAL slide (CMU-1-Small-Region, no colon); the outlines were drawn for this figure by no pathologist. Left: "
        f"areas and windows (Figure 2). Right: one area with sliding windows of {cutting.side} x {cutting.side} and a "
        f"linear overlap of {cutting.overlap:.0%}, corrected so that nothing is missed or repeated, and random ones "
        f"(Figure 3). {plan.patches} patches. Figure 4, the corrected listing, is in docs/patches.md; Figure 5, the "
        "modules of the three networks, in docs/classify.md."
    )
    return Figure("Figures 2 and 3: areas, windows and random patches", target.read_bytes(), caption)


def figure_six(models: Sequence[Model], title: str) -> Figure:
    """Loss and accuracy over the epochs."""
    told: dict[str, list[dict[str, float]]] = {}
    for model in models:
        history = model.report["history"]
        told[_called(model)] = epochs_of(history, int(model.report["steps_per_epoch"]))
    caption = (
        "Training tiles are augmented where the profile does so, validation tiles are not; the epoch with the least "
        "cross-entropy on the validation tiles is kept."
    )
    return Figure(f"Figure 6: loss and accuracy, {title}", courses(told), caption)


def figure_seven(asked: Mapping[str, Answers], title: str) -> Figure:
    """ROC curves."""
    classes = next(iter(asked.values())).tiles.classes
    caption = "Each class against the others, on the test tiles. Published: all areas above 0.9, on other data."
    return Figure(f"Figure 7: ROC curves, {title}", rocs(asked, classes), caption)


def figure_eight(asked: Mapping[str, Answers], title: str) -> Figure:
    """Confusion matrices."""
    classes = next(iter(asked.values())).tiles.classes
    counts = {name: _confusion(answers) for name, answers in asked.items()}
    return Figure(
        f"Figure 8: confusion matrices, {title}", confusions(counts, classes), "Down: truth; across: predicted."
    )


def reliability_figure(asked: Mapping[str, Answers], title: str) -> Figure:
    """Accuracy over confidence."""
    caption = (
        "On the diagonal a confidence can be taken at its word; the temperature was fitted on the validation tiles."
    )
    return Figure(f"Reliability, {title}", reliabilities(asked), caption)


def figure_nine(model: Model, answers: Answers) -> Figure:
    """For each class its surest right tile: image, map in gray (the brighter the more), and overlay."""
    assert answers.maps is not None
    side = _side(answers.tiles)
    images = prepared(answers.tiles, side, model.job.method)
    shares = softmax(answers.logits, answers.temperature)
    rows: list[list[Picture]] = [[], [], []]
    names = []
    for i, label in enumerate(answers.tiles.classes):
        able = np.flatnonzero(answers.right & (answers.truth == i))
        if not len(able):
            continue
        place = int(able[shares[able, i].argmax()])
        image, cam = images.image(place), answers.maps[place, i]
        rows[0].append(image)
        rows[1].append(heat(unit(upsampled(cam, side, side)), "gray"))
        rows[2].append(np.asarray(overlay(image, cam), np.uint8))
        names.append(f"{label} {shares[place, i]:.2f}")
    caption = (
        f"{model.title}, {answers.tiles.name} ({answers.tiles.kind.upper()}). The surest right test tile of each class "
        f"with its probability; maps of {answers.maps.shape[2]} x {answers.maps.shape[3]} cells, each scaled from its "
        "lowest to its highest value."
    )
    title = f"Figure 9: class activation maps, {model.title}, {answers.tiles.slug}"
    return Figure(title, gallery(rows, ["image", "map", "overlay"], names), caption)


def figure_ten(model: Model, answers: Answers) -> Figure | None:
    """The surest mistakes, an arrow where the map of the wrong class is highest; None where nothing is wrong."""
    assert answers.maps is not None
    side = _side(answers.tiles)
    images = prepared(answers.tiles, side, model.job.method)
    shares = softmax(answers.logits, answers.temperature).max(axis=1)
    wrong = np.flatnonzero(~answers.right)
    if not len(wrong):
        return None
    chosen = wrong[np.argsort(-shares[wrong], kind="stable")][:FAILURES].tolist()
    rows: list[list[Picture]] = [[], [], []]
    names = []
    for place in chosen:
        found = int(answers.predicted[place])
        cam = answers.maps[place, found]
        for row, picture in zip(rows, _failure(images.image(place), cam), strict=True):
            row.append(picture)
        names.append(f"{answers.tiles.classes[int(answers.truth[place])]} as {answers.tiles.classes[found]}")
    caption = (
        f"{model.title}, {answers.tiles.name} ({answers.tiles.kind.upper()}): the {len(chosen)} surest of {len(wrong)} "
        "mistakes. The arrow points at the highest cell of the map of the class that was said."
    )
    title = f"Figure 10: failures, {model.title}, {answers.tiles.slug}"
    return Figure(title, gallery(rows, ["image", "map", "overlay"], names), caption)


def _failure(image: Picture, cam: Float32[np.ndarray, "gh gw"]) -> tuple[Picture, Picture, Picture]:
    side = len(image)
    tip = peak(cam, side, side)
    gray = heat(unit(upsampled(cam, side, side)), "gray")
    shown = np.asarray(overlay(image, cam), np.uint8)
    return with_arrow(image, tip), with_arrow(gray, tip), with_arrow(shown, tip)


def _side(tiles: Tiles) -> int:
    """Of pictures on the page: tiles are not enlarged."""
    return min(SHOWN_PX, *(int(side) for side in tiles.images.load(0).shape[:2]))


def _places(tiles: Tiles, label: str) -> list[int]:
    """Two tiles of a class, from different groups where there are two."""
    own = np.flatnonzero(tiles.is_class(label)).tolist()
    first = own[0]
    other = next((i for i in own if tiles.images.groups[i] != tiles.images.groups[first]), own[-1])
    return [first, other]


def _legend(tiles: Tiles) -> str:
    return " / ".join(tiles.classes)


def _confusion(answers: Answers) -> np.ndarray:
    count = len(answers.tiles.classes)
    table = np.zeros((count, count), np.int64)
    np.add.at(table, (answers.truth, answers.predicted), 1)
    return table


def _called(model: Model) -> str:
    return model.title if model.job.method == "none" else f"{model.title}, {model.job.method}"
