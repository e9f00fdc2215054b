"""A local feature whose words can be read off the picture, and archives of pictures made of them."""

from collections.abc import Callable
from pathlib import Path
from typing import final

import cv2
import numpy as np
import pytest

from histokin.archive.store import Store
from histokin.encoders.bag_of_words import BagEncoder
from histokin.encoders.base import LocalFeatures, Points
from histokin.modality.registry import representation
from histokin.retrieval.archive import Archive
from histokin.retrieval.recipe import Prepared
from histokin.slides.grid import Grid
from histokin.stain.registry import normalizer
from histokin.types import Image

BLOCK = 16
KINDS = 60

Draw = Callable[[np.ndarray], np.ndarray]


def patterns() -> np.ndarray:
    """One texture of 16 x 16 gray pixels for every word."""
    small = np.random.default_rng(7).integers(0, 256, (KINDS, 4, 4), np.uint8)
    return np.repeat(np.repeat(small, 4, axis=1), 4, axis=2)


@final
class Blocks(LocalFeatures):
    """Describes each whole block of 16 x 16 pixels by sixteen means."""

    @property
    def name(self) -> str:
        return "blocks"

    @property
    def space(self) -> str:
        return "blocks/1"

    @property
    def dim(self) -> int:
        return 16

    def describe(self, image: Image) -> Points:
        high, wide = image.shape[0] // BLOCK, image.shape[1] // BLOCK
        gray = image[: high * BLOCK, : wide * BLOCK].mean(axis=2).astype(np.float32)
        means = gray.reshape(high, 4, 4, wide, 4, 4).mean(axis=(2, 5)).transpose(0, 2, 1, 3).reshape(-1, 16)
        rows, columns = np.divmod(np.arange(high * wide), wide)
        xy = np.stack([columns, rows], axis=1).astype(np.float32) * BLOCK + 7.5
        return Points(xy, means, means.var(axis=1))


@pytest.fixture(scope="session")
def draw() -> Draw:
    """A picture, "h w 3", from the numbers of its words, "rows columns"."""
    textures = patterns()

    def drawn(words: np.ndarray) -> np.ndarray:
        rows = [np.concatenate([textures[word] for word in row], axis=1) for row in words]
        return np.repeat(np.concatenate(rows)[..., None], 3, axis=2)

    return drawn


@pytest.fixture(scope="session")
def bag() -> BagEncoder:
    return BagEncoder(Blocks(), patterns()[:, ::4, ::4].reshape(KINDS, 16).astype(np.float32))


@pytest.fixture
def make_archive(tmp_path: Path, bag: BagEncoder, draw: Draw) -> Callable[[list[np.ndarray]], Archive]:
    """An archive of pictures, given by their words; picture i is in ``pictures/i.png`` (two digits)."""

    def made(pictures: list[np.ndarray]) -> Archive:
        folder = tmp_path / "pictures"
        folder.mkdir()
        for i, words in enumerate(pictures):
            assert cv2.imwrite(str(folder / f"{i:02d}.png"), draw(words))
        prepared = Prepared(Grid(), normalizer("none"), bag, "blocks", {}, True, representation=representation("none"))
        spec = bag.spec
        store = Store.create(tmp_path / "a", prepared.to_dict(), dim=spec.dim, metric=spec.metric, kind="counts")
        archive = Archive(store, prepared)
        report = archive.index(folder)
        assert not report.failed
        assert report.slides == len(pictures)
        return archive

    return made
