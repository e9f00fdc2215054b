"""Sections laid over each other: a known transform is undone, and what only one shows is cut away."""

import cv2
import numpy as np
import pytest

from histokin.errors import HistokinError
from histokin.evaluation.cross_modality.aligning import align, covered


def sections(turn: float, right: float, down: float) -> tuple[np.ndarray, np.ndarray]:
    """A blotched section, and the same turned, moved and stained otherwise."""
    rng = np.random.default_rng(0)
    dark = cv2.GaussianBlur(rng.random((640, 720)).astype(np.float32), (0, 0), 9)
    dark = np.clip((dark - dark.mean()) / dark.std() * 40 + 90, 0, 220)
    fixed = 255 - np.stack([dark, 0.5 * dark, 0.8 * dark], axis=2)
    affine = cv2.getRotationMatrix2D((360, 320), turn, 1)
    affine[:, 2] += (right, down)
    moving = cv2.warpAffine(
        255 - np.stack([dark, 0.6 * dark, 0.3 * dark], axis=2), affine, (720, 640), borderMode=cv2.BORDER_REFLECT
    )
    return fixed.astype(np.uint8), moving.astype(np.uint8)


@pytest.mark.parametrize(("turn", "right", "down"), [(0, 40, -25), (3, -50, 30)])
def test_a_known_transform_is_undone(turn: float, right: float, down: float) -> None:
    fixed, moving = sections(turn, right, down)
    found = align(fixed, moving)
    assert found.fixed.shape == found.moved.shape
    assert found.fixed.shape[0] > 500
    assert found.fixed.shape[1] > 600
    one, other = (255.0 - image[..., 0] for image in (found.fixed, found.moved))
    assert found.correlation > 0.99
    assert np.abs(one - other).mean() < 2  # of 255; unaligned some 40
    assert found.moved.min() > 0  # no black border


def test_what_is_not_shown_is_cut_away() -> None:
    shown = np.ones((10, 12), bool)
    shown[:2, 3:] = False
    shown[:, 11] = False
    assert covered(shown) == (slice(2, 10), slice(0, 11))
    with pytest.raises(HistokinError, match="do not overlap"):
        covered(np.zeros((4, 4), bool))


def test_blank_sections_are_refused() -> None:
    blank = np.full((256, 256, 3), 255, np.uint8)
    with pytest.raises(HistokinError, match="cannot be aligned"):
        align(blank, blank)
