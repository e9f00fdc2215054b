"""The contract of encoders, as checks that an extension's own tests call on an instance."""

from collections.abc import Callable, Sequence

import numpy as np

from histokin.encoders.base import Encoder
from histokin.errors import EncoderError
from histokin.types import Image, Vectors

RELATIVE = 1e-6


def check_encoder(encoder: Encoder) -> None:
    """Run every check of the contract; raises AssertionError with what is broken."""
    for check in CHECKS:
        check(encoder)


def check_spec(encoder: Encoder) -> None:
    """The spec is stable, complete and JSON-ready, and its space is no bare name."""
    spec = encoder.spec
    assert spec == encoder.spec, "the spec changes from call to call"
    assert spec.dim > 0, "dim is not positive"
    assert spec.input_px > 0, "input_px is not positive"
    assert spec.name, "no name"
    assert spec.licence, "no licence"
    assert spec.space != spec.name, "the space must hold more than the name (digest, precision)"
    assert spec.to_dict()["space"] == spec.space, "to_dict loses the space"


def check_shape(encoder: Encoder) -> None:
    """One finite float32 row per image, also for no image, and for images of other sizes."""
    images = _pictures(encoder.spec.input_px)
    images += [images[0][: images[0].shape[0] // 2], np.repeat(np.repeat(images[1], 2, axis=0), 2, axis=1)]
    _well_formed(encoder, encoder.encode(images), len(images))
    _well_formed(encoder, encoder.encode([]), 0)


def check_plain_images(encoder: Encoder) -> None:
    """Black, white and one-color images, and images of one pixel, give finite rows too."""
    side = encoder.spec.input_px
    plain: list[Image] = [np.full((side, side, 3), value, dtype=np.uint8) for value in (0, 255, 127)]
    plain.append(np.zeros((1, 1, 3), dtype=np.uint8))
    _well_formed(encoder, encoder.encode(plain), len(plain))


def check_company(encoder: Encoder) -> None:
    """A vector depends on its own image only, not on its place in the call or the images beside it."""
    images = _pictures(encoder.spec.input_px)
    alone = np.concatenate([encoder.encode([image]) for image in images])
    together = encoder.encode(images)
    many = encoder.encode([*images[::-1]] * 6)[: len(images)][::-1]
    for other, how in ((together, "beside others"), (many, "in a larger batch")):
        worst = float(np.abs(alone - other).max())
        assert worst <= RELATIVE * max(1.0, float(np.abs(alone).max())), f"{how}, a vector moves by {worst:.2e}"


def check_input_untouched(encoder: Encoder) -> None:
    """The caller's arrays are only read; read-only and non-contiguous ones are taken too."""
    image = _pictures(encoder.spec.input_px)[0]
    before = image.copy()
    image.flags.writeable = False
    vector = encoder.encode([image])
    assert np.array_equal(image, before), "the input was written to"
    view = np.concatenate([before, before], axis=1)[:, : before.shape[1]]
    assert np.array_equal(encoder.encode([view]), vector), "a view of the same pixels gives another vector"


def check_refusals(encoder: Encoder) -> None:
    """Images with other channels or types are refused by an EncoderError, not by whatever breaks first."""
    side = encoder.spec.input_px
    wrong: list[Image] = [
        np.zeros((side, side, 1), dtype=np.uint8),
        np.zeros((side, side, 4), dtype=np.uint8),
        np.zeros((side, side, 3), dtype=np.float32),
        np.zeros((0, side, 3), dtype=np.uint8),
    ]
    for image in wrong:
        refusal = _refusal(encoder, image)
        assert refusal is not None, f"an image of shape {image.shape} and type {image.dtype} was encoded"
        assert refusal.remedy, "the refusal does not say what to do"


CHECKS: Sequence[Callable[[Encoder], None]] = (
    check_spec,
    check_shape,
    check_plain_images,
    check_company,
    check_input_untouched,
    check_refusals,
)


def _pictures(side: int) -> list[Image]:
    """Noise, ramps and blobs; different from each other."""
    draws = np.random.default_rng(20240601)
    rows, columns = np.mgrid[0:side, 0:side]
    ramp = (255 * (rows + columns) / (2 * side)).astype(np.uint8)
    blobs = (((rows - side / 2) ** 2 + (columns - side / 3) ** 2) < (side / 4) ** 2) * np.uint8(180)
    return [
        draws.integers(0, 256, (side, side, 3), dtype=np.uint8),
        np.stack([ramp, ramp[::-1], ramp[:, ::-1]], axis=2),
        np.stack([blobs, ramp, 255 - ramp], axis=2).astype(np.uint8),
    ]


def _refusal(encoder: Encoder, image: Image) -> EncoderError | None:
    try:
        encoder.encode([image])
    except EncoderError as error:
        return error
    return None


def _well_formed(encoder: Encoder, vectors: Vectors, count: int) -> None:
    assert vectors.shape == (count, encoder.spec.dim), f"shape {vectors.shape} for {count} images"
    assert vectors.dtype == np.float32, f"type {vectors.dtype}"
    assert np.isfinite(vectors).all(), "values that are not finite"
