"""One map for one source, whatever holds it: images, folders of images, or a slide."""

from collections.abc import Sequence
from pathlib import Path

from histokin.errors import UsageError
from histokin.retrieval.normalizing_slide import fit_whole_slide
from histokin.retrieval.preparing import FIT_SAMPLE, spread
from histokin.slides.discover import discover
from histokin.slides.reading import open_slide
from histokin.stain.base import Appearance
from histokin.types import RGB, ImageMap, Region


def fit_paths(paths: Sequence[Path], appearance: Appearance, *, mpp: float | None = None) -> ImageMap:
    """The map of all images together, or of one slide. Nothing needs to be read where the method looks at no source.

    Raises
    ------
    UsageError
        for no source, for more than one slide, or for slides and images together: each is a source of its own.
    InputError
        when a file cannot be read.
    """
    if not appearance.looks_at_source:
        return appearance.fit([])
    found = discover(paths)
    if found.failures:
        raise found.failures[0]
    images = [path for folder in found.folders for path in folder.images]
    if len(found.slides) + bool(images) != 1:
        raise UsageError(
            f"{len(found.slides)} slides and {len(images)} images were given, and a table is for one source",
            remedy="Give one slide, or images that were stained and scanned alike",
        )
    if images:
        return appearance.fit([_image(path) for path in spread(images, FIT_SAMPLE)])
    with open_slide(found.slides[0], mpp=mpp) as slide:
        return fit_whole_slide(slide, appearance)


def _image(path: Path) -> RGB:
    with open_slide(path) as slide:
        return slide.read(Region(0, 0, slide.width, slide.height), slide.width, slide.height)
