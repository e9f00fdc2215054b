"""``histokin train classifier``."""

from pathlib import Path
from typing import Any

import click

from histokin.app.cli.common import guarded
from histokin.app.cli.train.common import Steps, answer, training_options

EPILOG = """\b
Examples:
  histokin train classifier tiles/ --out tissue-classes
  histokin train classifier tiles/ --groups slides.csv --normalizer macenko --out tissue-classes --minutes 8
  histokin train classifier tiles.csv --network resnet50 --profile practical --start resnet50.pth --out classes
  histokin index tiles/ --archive tiles.hk --encoder classifier=tissue-classes

DATA is a folder with a folder of images for each class, or a table (CSV: path, label, and where you have them group
and split). Give --groups wherever several images come from one slide or patient: without it the figures read too
high. 70 of 100 images are learned from, 15 choose the best epoch and the temperature, 15 give the figures. 'small'
begins with ImageNet weights that come with the package; the others with random ones unless --start names a file.
'paper' is the published schedule of 200 epochs. Ctrl-C keeps what was learned; the same command goes on."""


@click.command("classifier", epilog=EPILOG)
@click.argument("data", type=click.Path(path_type=Path))
@click.option(
    "--network",
    type=click.Choice(("small", "resnet50", "densenet121", "inception_v3")),
    default="small",
    show_default=True,
    help="small trains in minutes on a CPU; the others want a GPU.",
)
@click.option("--groups", type=click.Path(path_type=Path), help="Table file,group: slides that are never divided.")
@click.option("--classes", type=click.Path(path_type=Path), help="Table file,label instead of the folders' names.")
@click.option("--normalizer", help="Map every group of images first, e.g. macenko; kept with the classifier.")
@click.option("--target", type=click.Path(path_type=Path), help="Target image of the normalizer [built in].")
@click.option("--mpp", type=click.FloatRange(min=0, min_open=True), help="Microns per pixel of the images.")
@click.option("--mixed-precision/--full-precision", default=None, help="bfloat16 where safe [on a GPU].")
@training_options
@guarded
def classifier(
    data: Path,
    network: str,
    groups: Path | None,
    classes: Path | None,
    normalizer: str | None,
    target: Path | None,
    mpp: float | None,
    mixed_precision: bool | None,
    out: Path,
    profile: str,
    minutes: float | None,
    steps: int | None,
    crop: int | None,
    most: int | None,
    seed: int,
    device: str | None,
    start: Path | None,
    as_json: bool,
) -> None:
    """Learn to tell tissue classes apart, with maps that show where (CAM)."""
    from histokin.training.class_labels import read_classes
    from histokin.training.classifier import train_classifier
    from histokin.training.classifier_profiles import classifier_profile
    from histokin.training.report import require_torch

    require_torch()
    chosen = classifier_profile(network, profile, crop)
    appearance = _appearance(normalizer, target)
    least = 1 if chosen.input_px is None else -(-chosen.input_px // 2)
    images, labels = read_classes(data, classes=classes, groups=groups, least_px=least, most=most)
    with Steps() as watch:
        trained = train_classifier(
            images,
            labels,
            out,
            network=network,
            profile=chosen,
            minutes=minutes,
            steps=steps,
            seed=seed,
            device=device,
            start=start,
            normalizer=appearance,
            mpp=mpp,
            mixed_precision=mixed_precision,
            watch=watch,
        )
    answer(trained, as_json)


def _appearance(name: str | None, target: Path | None) -> Any:
    if name is None:
        return None
    from histokin.stain.registry import normalizer

    return normalizer(name, target)
