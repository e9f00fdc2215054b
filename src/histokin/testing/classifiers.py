"""The contract of classifiers, as checks that an extension's own tests call on an instance."""

import json

import numpy as np

from histokin.classifiers.base import Classifier
from histokin.errors import EncoderError, TooSmall, UsageError
from histokin.types import Image


def check_classifier(classifier: Classifier) -> None:
    """Run every check of the contract; raises AssertionError with what is broken."""
    for check in (check_spec, check_shapes, check_maps, check_company, check_refusals):
        check(classifier)


def check_spec(classifier: Classifier) -> None:
    """The spec is stable, complete and JSON-ready, and its classes are distinct."""
    spec = classifier.spec
    assert spec == classifier.spec, "the spec changes"
    assert json.loads(json.dumps(spec.to_dict()))["name"] == spec.name
    assert spec.space not in ("", spec.name), "the space is a bare name: put the digest of the weights into it"
    assert len(set(spec.classes)) == len(spec.classes) >= 2
    assert spec.temperature > 0


def check_shapes(classifier: Classifier) -> None:
    """A finite row for every image, also for none and for other sizes; probabilities add up to 1."""
    spec = classifier.spec
    for images in ([], _pictures(spec.input_px)):
        count = len(images)
        assert classifier.logits(images).shape == (count, len(spec.classes))
        assert classifier.features(images).shape == (count, spec.dim)
        shares = classifier.predict(images)
        assert np.allclose(shares.sum(axis=1), 1, atol=1e-5)
        assert (shares.argmax(axis=1) == classifier.logits(images).argmax(axis=1)).all()
        assert classifier.cam(images, [0] * count).shape == (count, *spec.grid)


def check_maps(classifier: Classifier) -> None:
    """The mean of every class activation map plus the class's bias is its logit."""
    images = _pictures(classifier.spec.input_px)
    logits, maps = classifier.class_maps(images)
    scale = max(1.0, float(np.abs(logits).max()))
    assert np.allclose(maps.mean(axis=(2, 3)) + classifier.bias, logits, atol=1e-4 * scale), "the maps are not exact"
    found = classifier.explain(images)
    assert (found.classes == logits.argmax(axis=1)).all()
    assert np.allclose(found.maps, maps[np.arange(len(images)), found.classes], atol=1e-5 * scale)


def check_company(classifier: Classifier) -> None:
    """An answer depends on its own image only; the caller's arrays are not written to."""
    images = _pictures(classifier.spec.input_px)
    before = [image.copy() for image in images]
    together = classifier.logits(images)
    alone = np.concatenate([classifier.logits([image]) for image in reversed(images)])[::-1]
    assert np.allclose(together, alone, rtol=1e-5, atol=1e-6), "a score depends on the images beside it"
    assert all((one == other).all() for one, other in zip(images, before, strict=True)), "an image was written to"


def check_refusals(classifier: Classifier) -> None:
    """Images too small, of other channels or types, and classes that do not exist are refused as such."""
    side, least = classifier.spec.input_px, classifier.spec.least_px
    image = _pictures(side)[0]
    small = np.zeros((least - 1, side, 3), np.uint8)
    cases: list[tuple[type[Exception], Image, list[int]]] = [
        (TooSmall, small, [0]),
        (EncoderError, np.zeros((side, side, 4), np.uint8), [0]),
        (EncoderError, np.zeros((side, side, 3), np.float32), [0]),
        (UsageError, image, [len(classifier.spec.classes)]),
        (UsageError, image, [0, 0]),
    ]
    for wanted, given, classes in cases:
        try:
            classifier.cam([given], classes)
        except wanted:
            continue
        raise AssertionError(f"no {wanted.__name__} for shape {given.shape}, {given.dtype}, classes {classes}")


def _pictures(side: int) -> list[Image]:
    """Noise, a ramp and a blob, of three sizes; different from each other."""
    draws = np.random.default_rng(0)
    noise = draws.integers(0, 256, (side, side, 3)).astype(np.uint8)
    ramp = np.repeat(np.linspace(0, 255, 2 * side).astype(np.uint8)[None, :, None], side, axis=0).repeat(3, axis=2)
    blob = np.full((side + 7, side + 3, 3), 230, np.uint8)
    blob[: side // 3, : side // 2] = (120, 40, 150)
    return [noise, ramp, blob]
