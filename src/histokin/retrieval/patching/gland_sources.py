"""Where glands are, for the rule that a patch must be half gland."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from histokin.errors import InputError
from histokin.retrieval.patching.plan import GlandsOf
from histokin.slides.annotations import annotations_of, read_annotations
from histokin.slides.base import Slide, require_mpp
from histokin.slides.glands import MASK_ENDINGS, GlandAreas, Glands, proxy_glands, proxy_size, read_gland_mask
from histokin.stain.deconvolution import deconvolve
from histokin.types import RGB, Region


def supplied_glands(folder: Path) -> Callable[[Path], GlandsOf]:
    """Masks (``NAME.png``, ``.tif``, ``.bmp``) or drawn glands (``NAME.geojson``, ``.json``, ``.xml``) in a folder.

    Whatever is drawn counts as gland, with or without a class. A slide that has none there fails with
    :class:`InputError`.
    """

    def of(path: Path) -> GlandsOf:
        def find(slide: Slide, frames: Sequence[Region]) -> Sequence[Glands]:
            known = _supplied(path, folder, slide)
            return [known] * len(frames)

        return find

    return of


def guessed_glands(_path: Path) -> GlandsOf:
    """The proxy of :func:`histokin.slides.glands.proxy_glands`, with the textbook's hematoxylin."""

    def find(slide: Slide, frames: Sequence[Region]) -> Sequence[Glands]:
        mpp = require_mpp(slide)
        pictures = [(frame, slide.read(frame, *proxy_size(frame, mpp))) for frame in frames]
        return proxy_glands(pictures, mpp, _hematoxylin)

    return find


def _supplied(path: Path, folder: Path, slide: Slide) -> Glands:
    names = dict.fromkeys((path.name, path.stem, path.stem.removesuffix(".ome")))
    masks = [mask for name in names for ending in MASK_ENDINGS if (mask := folder / f"{name}{ending}").is_file()]
    if masks:
        return read_gland_mask(masks[0], slide.width, slide.height)
    try:
        drawn = annotations_of(path, folder)
    except InputError:
        raise InputError(
            f"no gland mask for it in {folder}",
            remedy=f"Put {path.stem}.png (or .tif, .geojson, .xml) there, or use --gland-proxy",
            path=path,
        ) from None
    return GlandAreas(read_annotations(drawn).areas)


def _hematoxylin(picture: RGB) -> Float32[np.ndarray, "_ _"]:
    rows = max(1, 2_000_000 // picture.shape[1])
    parts = [deconvolve(picture[top : top + rows])[..., 0].astype(np.float32) for top in range(0, len(picture), rows)]
    return np.concatenate(parts)
