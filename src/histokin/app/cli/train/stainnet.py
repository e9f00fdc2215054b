"""``histokin train stainnet``."""

from pathlib import Path

import click

from histokin.app.cli.common import guarded
from histokin.app.cli.train.common import Steps, answer, training_options

EPILOG = """\b
Examples:
  histokin train stainnet hospital-a/ --teacher gan-a/stain-gan.onnx --out net-a
  histokin train stainnet hospital-a/ --teacher macenko --teacher-target reference.png --out net-a
  histokin train stainnet a.csv --teacher gan-a/stain-gan.onnx --out net-a --profile paper --wide 1
  histokin normalize tiles/ --method stainnet --weights net-a/stainnet.safetensors --out normalized/

The teacher maps every image of SOURCE once (a folder, an image, or a table: CSV with path, and where you have them
group and split). One tenth of the images chooses the best step, another gives the figures."""


@click.command("stainnet", epilog=EPILOG)
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--teacher", required=True, help="A StainGAN (.onnx), a StainNet, or a normalizer by name.")
@click.option("--teacher-target", type=click.Path(path_type=Path), help="Target image of a normalizer by name.")
@click.option("--style", help="Name of the source, as in the column 'centre' [the folder's].")
@click.option("--target-name", default="", help="What the target is called in the weight file.")
@click.option("--layers", type=click.IntRange(1, 16), help="Convolutions [3].")
@click.option("--channels", type=click.IntRange(1, 512), help="Width of the layers [32].")
@click.option("--wide", type=click.IntRange(0, 16), help="How many of the first layers are 3x3 rather than 1x1 [0].")
@click.option("--legacy-select-on-test", is_flag=True, help="Choose the step by the test images, as the paper does.")
@training_options
@guarded
def stainnet(
    source: Path,
    teacher: str,
    teacher_target: Path | None,
    style: str | None,
    target_name: str,
    layers: int | None,
    channels: int | None,
    wide: int | None,
    legacy_select_on_test: bool,
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
    """Teach a small, fast network to recolor one laboratory's images as a teacher does (StainNet)."""
    from histokin.training.images import read_images
    from histokin.training.report import require_torch
    from histokin.training.stainnet import NetShape, net_profile, teacher_from, train_stainnet

    require_torch()
    chosen = net_profile(profile, crop, most)
    master = teacher_from(teacher, teacher_target)
    given = (layers, channels, wide) != (None, None, None)
    sources = read_images(source, least_px=chosen.crop, most=chosen.most, name=style)
    with Steps() as watch:
        trained = train_stainnet(
            sources,
            master,
            out,
            profile=chosen,
            shape=NetShape(layers or 3, channels or 32, wide or 0) if given else None,
            target=target_name,
            minutes=minutes,
            steps=steps,
            seed=seed,
            device=device,
            start=start,
            legacy_select_on_test=legacy_select_on_test,
            watch=watch,
        )
    answer(trained, as_json)
