"""``histokin train cbhir`` and ``histokin train cbmir``."""

from pathlib import Path

import click

from histokin.app.cli.common import guarded
from histokin.app.cli.train.common import Steps, answer, training_options

EPILOG = """\b
Examples:
  histokin train {kind} tiles/ --out {kind}-tiles
  histokin train {kind} tiles.csv --out {kind}-tiles --profile practical --device cuda
  histokin index tiles/ --archive tiles.hk --encoder ./{kind}-tiles

IMAGES is a folder of images, one image, or a table (CSV: path, and where you have them group and split). No label is
read. One tenth of the images chooses the best step, another gives the figures. 'reduced' resizes images to
{side} pixels and takes as many steps as fit in {minutes:g} minutes; 'paper' is the published schedule. Ctrl-C keeps
what was learned; the same command goes on."""

ABOUT = {
    "cbhir": "Learn 200 features of tissue from images without labels (CBHIR autoencoder).",
    "cbmir": "Learn 48 features of medical images without labels (CBMIR autoencoder).",
}


def _trainer(kind: str) -> click.Command:
    """The command of one autoencoder."""
    side, minutes = {"cbhir": (112, 5.0), "cbmir": (64, 4.0)}[kind]

    @click.command(kind, help=ABOUT[kind], epilog=EPILOG.format(kind=kind, side=side, minutes=minutes))
    @click.argument("images", type=click.Path(path_type=Path))
    @click.option("--legacy-double-scaling", is_flag=True, help="Divide pixels by 255 twice in training.")
    @training_options
    @guarded
    def command(
        images: Path,
        legacy_double_scaling: bool,
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
        from histokin.training.autoencoder import autoencoder_profile, train_autoencoder
        from histokin.training.images import read_images
        from histokin.training.report import require_torch

        require_torch()
        chosen = autoencoder_profile(kind, profile, crop, most)
        found = read_images(images, most=chosen.most)
        with Steps() as watch:
            trained = train_autoencoder(
                kind,
                found,
                out,
                profile=chosen,
                minutes=minutes,
                steps=steps,
                seed=seed,
                device=device,
                start=start,
                legacy_double_scaling=legacy_double_scaling,
                watch=watch,
            )
        answer(trained, as_json)

    return command


cbhir = _trainer("cbhir")
cbmir = _trainer("cbmir")
