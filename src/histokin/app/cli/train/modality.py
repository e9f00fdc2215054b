"""``histokin train comir``, ``pix2pix`` and ``cyclegan``: images of two microscopes made comparable."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

import click

from histokin.app.cli.common import guarded, json_option
from histokin.app.cli.train.common import PROFILES, Steps, answer

F = TypeVar("F", bound=Callable[..., Any])

PAIRS = """PAIRS is a folder with one sub-folder for each of two modalities, where files of the same name are aligned
images of the same place, or a table (CSV: pair, modality, path, and where you have them group and split). A tenth of
the groups is held out for the figures where there are at least three."""

COMIR_EPILOG = f"""\b
Examples:
  histokin train comir pairs/ --out comir
  histokin train comir bf-shg/ --modalities he_aligned=brightfield --modalities shg=shg --out comir --minutes 10
  histokin train comir pairs.csv --out comir --profile paper --device cuda
  histokin index he/ --archive cores --representation comir=comir
  histokin search --archive cores --image shg.tif --modality shg

{PAIRS} 'paper' is the published network and schedule, 'practical' the same with squares that brightness alone
cannot tell apart; both want a GPU. 'reduced' is a small network on images of a quarter of the size, for some 5 minutes
on one core. 'aerial' is the published configuration for aerial photographs."""

PIX2PIX_EPILOG = f"""\b
Examples:
  histokin train pix2pix pairs/ --out pix2pix
  histokin train pix2pix pairs.csv --out pix2pix --profile paper --device cuda --minutes 600
  histokin index he/ --archive cores --representation pix2pix=pix2pix,towards=brightfield

{PAIRS} Both directions are trained, each with networks of its own. 'paper' and 'practical' want a GPU; 'reduced' is a
small network on images of half the size, for some 8 minutes on one core."""

CYCLEGAN_EPILOG = f"""\b
Examples:
  histokin train cyclegan pairs/ --out cyclegan
  histokin train cyclegan pairs.csv --out cyclegan --profile paper --device cuda --minutes 600
  histokin index he/ --archive cores --representation cyclegan=cyclegan,towards=brightfield

{PAIRS} That they are pairs is used for the figures only. 'paper' and 'practical' want a GPU; 'reduced' is a small
network on images of half the size, for some 9 minutes on one core."""


def _options(profiles: tuple[str, ...]) -> Callable[[F], F]:
    """The options of all three commands."""
    options = (
        click.argument("pairs", type=click.Path(path_type=Path)),
        click.option(
            "--modalities", multiple=True, metavar="FOLDER=NAME", help="Which two sub-folders, and their modalities."
        ),
        click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for weights and report."),
        click.option(
            "--profile", type=click.Choice(profiles), default="reduced", show_default=True, help="How much is trained."
        ),
        click.option(
            "--minutes", type=click.FloatRange(min=0, min_open=True), help="Stop after so long; run again to go on."
        ),
        click.option("--steps", type=click.IntRange(min=1), help="So many steps instead of what the profile says."),
        click.option("--crop", type=click.IntRange(min=8), help="Side of the training squares, after shrinking."),
        click.option("--most", type=click.IntRange(min=1), help="Use at most so many pairs, the first ones."),
        click.option(
            "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Same seed, same weights."
        ),
        click.option("--device", help="cpu, cuda, cuda:1 [a GPU where there is one]."),
        json_option,
    )

    def add(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return add


_legacy = click.option(
    "--legacy-scaling", is_flag=True, help="Scale by the extremes of both modalities together, as published."
)


@click.command("comir", epilog=COMIR_EPILOG)
@_options((*PROFILES, "aerial"))
@click.option(
    "--critic", type=click.Choice(("mse", "standardized", "both")), help="How maps are compared [the profile's]."
)
@click.option("--mixed-precision", is_flag=True, help="Compute in bfloat16 where that is safe (GPUs).")
@guarded
def comir(
    critic: Literal["mse", "standardized", "both"] | None,
    mixed_precision: bool,
    profile: str,
    crop: int | None,
    out: Path,
    as_json: bool,
    **rest: Any,
) -> None:
    """Learn to draw two modalities as images that agree wherever they show the same place (CoMIR)."""
    from dataclasses import replace

    from histokin.training.comir import comir_profile, train_comir

    chosen = comir_profile(profile, crop)
    chosen = replace(chosen, critic=critic) if critic else chosen
    _train(partial(train_comir, profile=chosen, mixed_precision=mixed_precision), out, as_json, **rest)


@click.command("pix2pix", epilog=PIX2PIX_EPILOG)
@_options(PROFILES)
@_legacy
@guarded
def pix2pix(legacy_scaling: bool, profile: str, crop: int | None, out: Path, as_json: bool, **rest: Any) -> None:
    """Learn from aligned pairs to draw each of two modalities as the other (pix2pix)."""
    from histokin.training.pix2pix import pix2pix_profile, train_pix2pix

    chosen = pix2pix_profile(profile, crop)
    _train(partial(train_pix2pix, profile=chosen, legacy_scaling=legacy_scaling), out, as_json, **rest)


@click.command("cyclegan", epilog=CYCLEGAN_EPILOG)
@_options(PROFILES)
@_legacy
@guarded
def cyclegan(legacy_scaling: bool, profile: str, crop: int | None, out: Path, as_json: bool, **rest: Any) -> None:
    """Learn from unpaired squares to draw each of two modalities as the other (CycleGAN)."""
    from histokin.training.cyclegan import cyclegan_profile, train_cyclegan

    chosen = cyclegan_profile(profile, crop)
    _train(partial(train_cyclegan, profile=chosen, legacy_scaling=legacy_scaling), out, as_json, **rest)


def _train(
    train: Callable[..., Any],
    out: Path,
    as_json: bool,
    *,
    pairs: Path,
    modalities: tuple[str, ...],
    minutes: float | None,
    steps: int | None,
    most: int | None,
    seed: int,
    device: str | None,
) -> None:
    from histokin.training.pairs import read_pairs
    from histokin.training.report import require_torch

    require_torch()
    parts = [text.partition("=") for text in modalities]
    found = read_pairs(pairs, {folder: name if given else folder for folder, given, name in parts} or None)
    found = found if most is None else found.some(range(min(most, len(found))))
    with Steps() as watch:
        trained = train(found, out, minutes=minutes, steps=steps, seed=seed, device=device, watch=watch)
    answer(trained, as_json)
