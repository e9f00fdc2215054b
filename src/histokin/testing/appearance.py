"""What every stain normalizer must do, for its tests to run against itself, and synthetic H&E with known stains."""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
from jaxtyping import Float64

from histokin.errors import DegenerateStain, HistokinError, UsageError
from histokin.stain.base import Appearance
from histokin.stain.color_map import ColorMap
from histokin.stain.registry import appearance_from_dict, map_from_dict
from histokin.types import RGB

RUIFROK = np.array([[0.65, 0.07], [0.70, 0.99], [0.29, 0.11]])
"""Textbook hematoxylin and eosin (columns), not normalized."""

MIXTURES = ("columns", "mixed", "exp", "dense")


def unit(stains: Float64[np.ndarray, "3 2"]) -> Float64[np.ndarray, "3 2"]:
    """Columns of unit length."""
    scaled: Float64[np.ndarray, "3 2"] = stains / np.linalg.norm(stains, axis=0)
    return scaled


def synthetic_he(
    stains: Float64[np.ndarray, "3 2"] = RUIFROK,
    *,
    px: int = 256,
    seed: int = 0,
    mixture: str = "mixed",
    noise: float = 0.0,
    gain: tuple[float, float] = (1.0, 1.0),
) -> RGB:
    """A square of pixels with no shapes in it, stained with known vectors (columns, made unit length).

    ``mixed``: 30 % nuclei (hematoxylin ~ Gamma(4, 0.35), eosin ~ exponential 0.08), the rest of the tissue
    with eosin ~ Gamma(3, 0.25) and little hematoxylin, 15 % background. ``exp``: both stains exponential
    (0.8 and 0.6). ``dense``: both ~ Gamma(3, 0.25), so no pixel is pure. ``noise`` is added to the optical
    density; ``gain`` multiplies the concentrations. The same seed gives the same concentrations whatever the
    stains, so two calls make the same tissue stained in two ways.
    """
    rng = np.random.default_rng(seed)
    count = px * px
    if mixture == "exp":
        h, e = rng.exponential(0.8, count), rng.exponential(0.6, count)
    elif mixture == "dense":
        h, e = rng.gamma(3, 0.25, count), rng.gamma(3, 0.25, count)
    else:
        nuclei = rng.random(count) < 0.30
        h = np.where(nuclei, rng.gamma(4, 0.35, count), rng.gamma(1, 0.05, count))
        e = np.where(nuclei, rng.gamma(1, 0.08, count), rng.gamma(3, 0.25, count))
        glass = rng.random(count) < 0.15
        h = np.where(glass, rng.gamma(1, 0.005, count), h)
        e = np.where(glass, rng.gamma(1, 0.005, count), e)
    density = np.stack([h * gain[0], e * gain[1]], axis=1) @ unit(stains).T
    if noise:
        density = density + rng.normal(0, noise, density.shape)
    light = np.clip(np.rint(256 * np.exp(-density) - 1), 0, 255)
    return np.asarray(light, np.uint8).reshape(px, px, 3)


def hostile_images() -> dict[str, RGB]:
    """Images that hold no two stains, or next to nothing."""
    rng = np.random.default_rng(5)
    grey = rng.integers(0, 256, (64, 64, 1), np.uint8)
    eosin = np.repeat(unit(RUIFROK)[:, 1:], 2, axis=1)
    return {
        "white": np.full((64, 64, 3), 255, np.uint8),
        "glass": rng.integers(236, 246, (64, 64, 3)).astype(np.uint8),
        "black": np.zeros((64, 64, 3), np.uint8),
        "one color": np.full((64, 64, 3), (180, 90, 150), np.uint8),
        "noise": rng.integers(0, 256, (64, 64, 3), np.uint8),
        "one pixel": np.full((1, 1, 3), (120, 40, 130), np.uint8),
        "no pixel": np.zeros((0, 7, 3), np.uint8),
        "grey": np.repeat(grey, 3, axis=2),
        "one stain": synthetic_he(eosin, px=64),
    }


def _raised(kind: type[HistokinError], call: Callable[[], object]) -> HistokinError | None:
    try:
        call()
    except kind as error:
        return error
    return None


class AppearanceContract(ABC):
    """Subclass it in a test module, say how to build the normalizer, and pytest runs every ``test_`` method."""

    @abstractmethod
    def build(self, *, strict: bool = False) -> Appearance:
        """The normalizer with its built-in target (``strict`` may be ignored where nothing is degenerate)."""

    degenerate: tuple[str, ...] = ("white", "glass", "black", "one color", "one pixel", "no pixel", "grey")
    """Names of :func:`hostile_images` that must come back as they are, with a reason."""

    def test_space_is_the_appearances(self) -> None:
        appearance = self.build()
        assert appearance.fit([synthetic_he(px=64)]).space == appearance.space

    def test_input_is_untouched_and_output_is_alike(self) -> None:
        image = synthetic_he(px=64)
        image.flags.writeable = False
        before = image.copy()
        fitted = self.build().fit([image])
        mapped, status = fitted.apply(image)
        assert status.ok
        assert fitted.status.ok
        assert np.array_equal(image, before)
        assert mapped.dtype == np.uint8
        assert mapped.shape == image.shape
        assert np.array_equal(fitted(image[:, ::-1]), mapped[:, ::-1])

    def test_fit_and_map_are_deterministic(self) -> None:
        sample = [synthetic_he(px=48, seed=1), synthetic_he(px=32, seed=2)]
        one, other = (self.build().fit(sample) for _ in range(2))
        assert one.to_dict() == other.to_dict()
        assert np.array_equal(one(sample[0]), other(sample[0]))

    def test_descriptions_rebuild_the_same(self) -> None:
        appearance = self.build()
        sample = synthetic_he(px=64)
        again = appearance_from_dict(json.loads(json.dumps(appearance.to_dict())))
        assert again.space == appearance.space
        assert again.to_dict() == appearance.to_dict()
        for image in (sample, np.full((8, 8, 3), 255, np.uint8)):
            fitted = appearance.fit([image])
            rebuilt = map_from_dict(json.loads(json.dumps(fitted.to_dict())))
            assert rebuilt.to_dict() == fitted.to_dict()
            assert rebuilt.space == fitted.space
            assert rebuilt.status == fitted.status
            assert np.array_equal(rebuilt(sample), fitted(sample))

    def test_degenerate_sources_come_back_as_they_are(self) -> None:
        for name, image in hostile_images().items():
            fitted = self.build().fit([image])
            mapped, status = fitted.apply(image)
            assert status == fitted.status
            if name in self.degenerate:
                assert not status.ok, name
                assert status.reason, name
                assert np.array_equal(mapped, image), name
        assert self.build().fit([]).status.ok == (not self.degenerate)

    def test_strict_raises_for_degenerate_sources(self) -> None:
        images = hostile_images()
        for name in self.degenerate:
            error = _raised(DegenerateStain, partial(self.build(strict=True).fit, [images[name]]))
            assert error is not None, f"{name} was accepted"
            assert error.reason
            assert error.remedy

    def test_white_stays_near_white(self) -> None:
        white = np.full((32, 32, 3), 255, np.uint8)
        mapped = self.build().fit([synthetic_he(px=128)])(white)
        # What looks at neighbors may see something else beyond the edges.
        assert np.asarray(mapped)[8:-8, 8:-8].min() >= 230

    def test_other_than_rgb_is_refused(self) -> None:
        fitted = self.build().fit([synthetic_he(px=64)])
        wrong = (
            np.zeros((4, 4, 4), np.uint8),
            np.zeros((4, 4, 1), np.uint8),
            np.zeros((4, 4, 3), np.uint16),
            np.zeros((4, 4, 3), np.float32),
        )
        for image in wrong:
            for use in (partial(fitted.apply, image), partial(self.build().fit, [image])):
                error = _raised(UsageError, use)
                assert error is not None, f"{image.dtype} {image.shape} was accepted"
                assert error.remedy

    def test_threads_get_the_same_pixels(self) -> None:
        fitted = self.build().fit([synthetic_he(px=64)])
        images = [synthetic_he(px=64, seed=seed) for seed in range(8)]
        alone = [fitted(image) for image in images]
        with ThreadPoolExecutor(4) as threads:
            together = list(threads.map(fitted, images))
        assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))

    def test_compiled_form_is_the_same_map(self) -> None:
        fitted = self.build().fit([synthetic_he(px=64)])
        if not isinstance(fitted, ColorMap):
            return
        image = np.random.default_rng(0).integers(0, 256, (61, 67, 3), np.uint8)
        compiled = fitted.compiled(10**10)
        assert compiled.space == fitted.space
        assert compiled.status == fitted.status
        assert compiled.to_dict() == fitted.to_dict()
        assert np.array_equal(compiled(image), fitted(image))
        assert np.array_equal(compiled(image[::-1, ::2]), fitted(image)[::-1, ::2])
