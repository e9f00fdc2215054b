"""``histokin train stain-gan``."""

from pathlib import Path

import click

from histokin.app.cli.common import guarded
from histokin.app.cli.train.common import Steps, answer, training_options

EPILOG = """\b
Examples:
  histokin train stain-gan hospital-a/ --target-images hospital-b/ --out gan-a
  histokin train stain-gan a.csv --target-images b.csv --out gan-a --profile paper --device cuda --minutes 600
  histokin normalize tiles/ --method stain-gan --weights gan-a/stain-gan.onnx --out normalized/

SOURCE and the target are folders of images, single images, or tables (CSV: path, and where you have them group and
split). They need not be paired. 'paper' and 'practical' crop 256 pixels and want a GPU; 'reduced' crops 128, has a
quarter of the weights, and takes as many steps as fit in 12 minutes."""


@click.command("stain-gan", epilog=EPILOG)
@click.argument("source", type=click.Path(path_type=Path))
@click.option(
    "--target-images", type=click.Path(path_type=Path), required=True, help="Images whose look is to be learned."
)
@click.option("--style", help="Name of the source, as in the column 'centre' [the folder's].")
@click.option("--target-name", help="Name of the target [the folder's].")
@click.option("--mixed-precision", is_flag=True, help="Compute in bfloat16 where that is safe (GPUs).")
@training_options
@guarded
def stain_gan(
    source: Path,
    target_images: Path,
    style: str | None,
    target_name: str | None,
    mixed_precision: bool,
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
    """Learn to give the images of one laboratory the look of another's (StainGAN)."""
    from histokin.training.images import read_images
    from histokin.training.report import require_torch
    from histokin.training.stain_gan import gan_profile, train_stain_gan

    require_torch()
    chosen = gan_profile(profile, crop)
    sources = read_images(source, least_px=chosen.crop, most=most, name=style)
    targets = read_images(target_images, least_px=chosen.crop, most=most, name=target_name)
    with Steps() as watch:
        trained = train_stain_gan(
            sources,
            targets,
            out,
            profile=chosen,
            minutes=minutes,
            steps=steps,
            seed=seed,
            device=device,
            start=start,
            mixed_precision=mixed_precision,
            watch=watch,
        )
    answer(trained, as_json)
