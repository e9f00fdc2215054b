"""Figures 2 and 7 to 11 of the medical image retrieval paper, and images beside what the autoencoder makes of them."""

from histokin.encoders.reconstruction import Reconstructor
from histokin.evaluation.figures import curves, gallery
from histokin.evaluation.page.model import Figure
from histokin.evaluation.reproduce.cbmir_data import Modalities
from histokin.evaluation.reproduce.cbmir_drawing import Asked, answers, bars
from histokin.evaluation.reproduce.cbmir_methods import PROPOSED, Compared, Result
from histokin.evaluation.reproduce.cbmir_networks import Networks, Training
from histokin.evaluation.reproduce.cbmir_scores import VOTE
from histokin.evaluation.reproduce.published import CBMIR_BY_COUNT, CBMIR_METHODS

EACH = 5
"""Pictures of a class in Figure 2, and hits of a query in Figure 11."""

MOST_ROWS = 8


def samples_figure(images: Modalities) -> Figure:
    """Figure 2: pictures of every class."""
    rows, names = [], []
    for label in images.classes[:MOST_ROWS]:
        own = [i for i, name in enumerate(images.labels) if name == label]
        count = min(EACH, len(own))
        rows.append([images.image(own[i * len(own) // count]) for i in range(count)])
        names.append(label)
    return Figure(f"Figure 2 on {images.name}: samples of every class", gallery(rows, names, []), f"{images.about}.")


def loss_figure(images: Modalities, training: Training) -> Figure:
    """Figure 7: mean squared error while training."""
    series = {"training images": training.history("mse"), "validation images": training.history("held_out_mse")}
    report = training.report
    held = report["held_out"]
    caption = (
        f"{training.steps}, profile {report['profile']}; the best step by the validation images is "
        f"{report['selection']['step']}. MSE of {held['images']} test images, pixels 0 to 1: "
        f"{held['trained']['mse']:.5f}, untrained {held['untrained']['mse']:.5f}, the mean training image "
        f"{held['mean image']['mse']:.5f}."
    )
    return Figure(f"Figure 7 on {images.name}: loss", curves(series, "step", "mean squared error"), caption)


def accuracy_figure(images: Modalities, training: Training) -> Figure:
    """Figure 8: the "accuracy" of the autoencoder, as the share of pixel values made again to within a tenth."""
    series = {"validation images": training.history("held_out_pixel_accuracy")}
    held = training.report["held_out"]
    caption = (
        "The paper plots an accuracy above 94 % and does not say of what; an autoencoder under a squared error has "
        "none. Shown is the share of pixel values within 0.1 of the input. It measures how much of a picture is flat "
        "background and says nothing of retrieval: on test images "
        f"{held['trained']['pixel_accuracy']:.3f}, untrained {held['untrained']['pixel_accuracy']:.3f}, and "
        f"{held['mean image']['pixel_accuracy']:.3f} for the mean training image, which ignores its input."
    )
    return Figure(f'Figure 8 on {images.name}: "accuracy"', curves(series, "step", "share of pixel values"), caption)


def remade_figure(images: Modalities, training: Training) -> Figure:
    """Test images beside what the trained and the untrained network make of their 48 numbers."""
    chosen = [images.image(i) for i in _one_each(images)]
    trained, raw = Reconstructor(training.folder), Reconstructor(training.folder / "untrained")
    rows = [chosen, [trained(image) for image in chosen], [raw(image) for image in chosen]]
    names = [images.labels[i] for i in _one_each(images)]
    caption = f"Test images; the network works at {trained.side} x {trained.side} pixels. {training.steps}."
    return Figure(
        f"Input and reconstruction on {images.name}",
        gallery(rows, ["input", "made again", "untrained"], names),
        caption,
    )


def counts_figure(images: Modalities, result: Result) -> Figure:
    """Figure 9: metrics by the number of images retrieved, ours and the published."""
    at = result.scores.at
    series: dict[str, list[tuple[float, float]]] = {
        f"{name}, vote": [(float(n), 100 * row[name].value) for n, row in at.items()] for name in VOTE
    }
    for name in ("P@n", "mAP@n"):
        series[name] = [(float(n), 100 * row[name].value) for n, row in at.items()]
    for place, name in enumerate(VOTE):
        series[f"{name}, published"] = [(float(n), row[place]) for n, row in CBMIR_BY_COUNT.items()]
    title = f"Figure 9 on {images.name}: metrics by images retrieved ({result.title})"
    return Figure(title, curves(series, "images retrieved (n)", "%"), f"{images.about}. Published: their own data.")


def methods_figure(images: Modalities, compared: Compared) -> Figure:
    """Figure 10: the averages of Table II as bars."""
    groups = {}
    for key, result in compared.results.items():
        mean, published = result.scores.mean, CBMIR_METHODS.get(key)
        values = {name: 100 * mean[name].value for name in VOTE} | {"P@n": 100 * mean["P@n"].value}
        groups[result.title] = values | ({"accuracy, published": published[0]} if published else {})
    caption = f"{images.about}. Averages over n; accuracy, precision and recall of the vote. Hatched: published."
    return Figure(f"Figure 10 on {images.name}: methods", bars(groups, "%"), caption)


def answers_figure(images: Modalities, result: Result) -> Figure:
    """Figure 11: a query of every class and the five nearest images of the database."""
    database, queries = images.places("train"), images.places("test")
    asked = []
    for place in _one_each(images):
        query = queries.index(place)
        hits = [int(row) for row in result.rows[query, :EACH]]
        own = result.distances[query, :EACH]
        asked.append(
            Asked(
                images.image(place),
                images.labels[place],
                tuple(images.image(database[row]) for row in hits),
                tuple(images.labels[database[row]] for row in hits),
                tuple(float(d) for d in own),
            )
        )
    misses = sum(label != one.label for one in asked for label in one.labels)
    caption = (
        f"{images.about}. The middle test image of every class, not chosen by its result, with its {EACH} nearest "
        f"({result.title}, Euclidean distance below); {misses} misses, framed in red."
    )
    return Figure(f"Figure 11 on {images.name}: query and retrieved images", answers(asked), caption)


def network_figures(images: Modalities, networks: Networks) -> list[Figure]:
    """Figures 7 and 8 and the reconstructions, where the autoencoder was trained."""
    training = networks.autoencoder
    if training is None:
        return []
    return [loss_figure(images, training), accuracy_figure(images, training), remade_figure(images, training)]


def result_figures(images: Modalities, compared: Compared) -> list[Figure]:
    """Figures 9 to 11."""
    shown = compared.results.get(PROPOSED)
    bars_figure = methods_figure(images, compared)
    if shown is None:
        return [bars_figure]
    return [counts_figure(images, shown), bars_figure, answers_figure(images, shown)]


def _one_each(images: Modalities) -> list[int]:
    """The middle test image of every class."""
    queries = images.places("test")
    chosen = []
    for label in images.classes[:MOST_ROWS]:
        own = [i for i in queries if images.labels[i] == label]
        chosen += [own[len(own) // 2]] if own else []
    return chosen
