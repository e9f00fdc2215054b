"""Renderings of one stain."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from histokin.errors import UsageError
from histokin.stain.bksvd import BKSVD
from histokin.stain.optical_density import OpticalDensity
from histokin.stain.rendering import concentrations, only
from histokin.stain.two_stain import StainModel, TwoStainMap
from histokin.testing.appearance import RUIFROK, synthetic_he, unit

H, E = unit(RUIFROK).T.tolist()
MODEL = StainModel((H[0], H[1], H[2]), (E[0], E[1], E[2]), (1.0, 1.0))


def test_concentrations_of_a_known_mixture() -> None:
    truth = np.array([[[0.0, 0.0], [0.8, 0.0], [0.0, 0.6], [0.5, 0.4]]])
    image = OpticalDensity("od256").inverse(truth @ MODEL.stains.T)
    assert np.abs(concentrations(image, MODEL) - truth).max() < 0.02


def test_negative_concentrations_are_kept_unless_clipped() -> None:
    image = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    free, clipped = concentrations(image, MODEL), concentrations(image, MODEL, clip_negative=True)
    assert free.min() < 0
    assert np.array_equal(clipped, np.maximum(free, 0))


def test_each_stain_alone() -> None:
    image = synthetic_he(px=64)
    fitted = BKSVD().fit([image])
    assert isinstance(fitted, TwoStainMap)
    for which, stain in enumerate(("hematoxylin", "eosin")):
        amounts = concentrations(only(image, MODEL, stain), MODEL)
        truth = concentrations(image, MODEL)
        light = truth[..., which] < 2
        assert np.abs(amounts[..., which] - np.maximum(truth[..., which], 0))[light].max() < 0.05
        assert np.abs(amounts[..., 1 - which])[light].max() < 0.05
        assert only(image, fitted.source, stain).shape == image.shape


@given(st.sampled_from(("hematoxylin", "eosin")))
def test_glass_stays_white(stain: str) -> None:
    white = np.full((2, 3, 3), 255, np.uint8)
    assert np.array_equal(only(white, MODEL, stain), white)


def test_wrong_input_is_refused() -> None:
    image = np.zeros((2, 2, 3), np.uint8)
    with pytest.raises(UsageError, match="stain is 'dab'"):
        only(image, MODEL, "dab")
