"""``histokin train vocabulary``."""

import sys
import time
from pathlib import Path

import click

from histokin.app.cli.common import FAILED, guarded, json_option, print_json, print_table

EPILOG = """\b
Examples:
  histokin train vocabulary cores/ --out words
  histokin train vocabulary cores/ --out words --features sift --words 2000
  histokin train vocabulary bf/ --representation comir=comir-bf-shg --modality brightfield --out words-comir
  histokin index cores/ --archive a --encoder bag-of-words=words

IMAGES is a folder of images of one modality, one image, or a table (CSV: path). Their local features are grouped into
words by k-means; an image is then known by how often each word occurs in it. FEATURES are surf, surf-oriented, sift,
krawtchouk or resnet152-channels (=FILE for weights of your own, =random for none). Needs: pip install
'histokin[subimage]'; 20,000 words take minutes."""

LOG_EVERY_S = 10.0


@click.command("vocabulary", epilog=EPILOG)
@click.argument("images", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for the words.")
@click.option("--features", default="surf", show_default=True, help="What describes an image, by name.")
@click.option(
    "--words", type=click.IntRange(min=1), default=20_000, show_default=True, help="Size of the vocabulary, at most."
)
@click.option(
    "--strongest",
    type=click.FloatRange(0, 1, min_open=True),
    default=0.8,
    show_default=True,
    help="Share of the local features, the strongest, that is learned from.",
)
@click.option("--representation", help="Map the images first, such as comir=FOLDER; see 'histokin train comir'.")
@click.option("--modality", help="Modality of the images, where a representation is given.")
@click.option("--most", type=click.IntRange(min=1), help="Use at most so many images.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Same seed, same words.")
@json_option
@guarded
def vocabulary(
    images: Path,
    out: Path,
    features: str,
    words: int,
    strongest: float,
    representation: str | None,
    modality: str | None,
    most: int | None,
    seed: int,
    as_json: bool,
) -> None:
    """Learn the visual words that the encoder bag-of-words counts."""
    from histokin.encoders.local import chosen_features
    from histokin.modality import registry
    from histokin.training.images import read_images
    from histokin.training.vocabulary import train_vocabulary

    described = chosen_features(features)
    space = None
    if representation is not None:
        name, options = registry.chosen(representation)
        space = registry.representation(name, **options)
    found = read_images(images, most=most)
    made = train_vocabulary(
        found,
        out,
        described,
        words=words,
        strongest=strongest,
        seed=seed,
        representation=space,
        modality=modality,
        watch=_Log("described {} of {} images"),
        passes=_Log("learning the words: pass {} of {} is done"),
    )
    failed = [one.to_dict() for one in found.failed]
    if as_json:
        print_json({"folder": str(out), "encoder": made.spec.to_dict(), "learned": made.learned, "failed": failed})
    else:
        if failed:
            rows = [(one["path"], one["reason"], one["remedy"]) for one in failed]
            print_table(f"{len(failed)} images left out", ("file", "cause", "remedy"), rows, err=True)
        click.echo(
            f"{out}: {made.spec.dim} words of {made.features.name}, from {made.learned['used']} of "
            f"{made.learned['descriptors']} descriptors of {made.learned['images']} images "
            f"({made.learned['seconds']} s)"
        )
        if made.spec.dim < words:
            click.echo(f"histokin: there are too few descriptors for {words} words", err=True)
    sys.exit(FAILED if failed else 0)


class _Log:
    """A line on stderr every ten seconds."""

    def __init__(self, says: str) -> None:
        self._says, self._last = says, time.monotonic()

    def __call__(self, done: int, planned: int) -> None:
        if time.monotonic() - self._last >= LOG_EVERY_S:
            self._last = time.monotonic()
            click.echo(self._says.format(done, planned), err=True)
