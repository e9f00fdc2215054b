"""``histokin train``: one module per trainer. A new one enters a file here and a line in ``TRAINERS``."""

import click

from histokin.app.cli.train.autoencoders import cbhir, cbmir
from histokin.app.cli.train.stain_gan import stain_gan
from histokin.app.cli.train.stainnet import stainnet

TRAINERS = (cbhir, cbmir, stain_gan, stainnet)

EPILOG = """\b
Examples:
  histokin train cbhir tiles/ --out cbhir-tiles
  histokin train stain-gan hospital-a/ --target-images hospital-b/ --out gan-a
  histokin train stainnet hospital-a/ --teacher gan-a/stain-gan.onnx --out net-a
  histokin train stainnet hospital-a/ --teacher macenko --teacher-target reference.png --out net-a

Training needs PyTorch: pip install 'histokin[torch]'. Profiles: 'reduced' fits a laptop (minutes), 'practical' and
'paper' want a GPU. Interrupt it at any time; the same command goes on where it stopped."""


@click.group(epilog=EPILOG)
def train() -> None:
    """Make weight files from your own images; every one stands beside its untrained copy."""


for _command in TRAINERS:
    train.add_command(_command)
