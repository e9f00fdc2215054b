"""``histokin train``: one module per trainer. A new one enters a file here and a line in ``TRAINERS``."""

import click

from histokin.app.cli.train.autoencoders import cbhir, cbmir
from histokin.app.cli.train.classifier import classifier
from histokin.app.cli.train.modality import comir, cyclegan, pix2pix
from histokin.app.cli.train.placenet import placenet
from histokin.app.cli.train.stain_gan import stain_gan
from histokin.app.cli.train.stainnet import stainnet
from histokin.app.cli.train.tc_net import tc_net
from histokin.app.cli.train.vocabulary import vocabulary

TRAINERS = (cbhir, cbmir, classifier, comir, cyclegan, pix2pix, placenet, stain_gan, stainnet, tc_net, vocabulary)

EPILOG = """\b
Examples:
  histokin train cbhir tiles/ --out cbhir-tiles
  histokin train classifier tiles/ --groups slides.csv --out tissue-classes
  histokin train comir pairs/ --out comir
  histokin train stain-gan hospital-a/ --target-images hospital-b/ --out gan-a
  histokin train stainnet hospital-a/ --teacher gan-a/stain-gan.onnx --out net-a
  histokin train stainnet hospital-a/ --teacher macenko --teacher-target reference.png --out net-a
  histokin train tc-net pairs/ --anchor shg --out tc-shg
  histokin train vocabulary cores/ --features surf --out words

Training needs PyTorch: pip install 'histokin[torch]'. Profiles: 'reduced' fits a laptop (minutes), 'practical' and
'paper' want a GPU. Interrupt it at any time; the same command goes on where it stopped."""


@click.group(epilog=EPILOG)
def train() -> None:
    """Make weight files from your own images; every one stands beside its untrained copy."""


for _command in TRAINERS:
    train.add_command(_command)
