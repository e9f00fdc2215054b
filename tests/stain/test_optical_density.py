"""Optical density and tissue masks against known answers."""

import numpy as np
import pytest

from histokin.errors import UsageError
from histokin.stain.masks import density_mask, enough, luminosity_mask
from histokin.stain.optical_density import OpticalDensity

LEVELS = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)


def test_od256_is_an_exact_pair() -> None:
    od = OpticalDensity("od256")
    assert od.table[255] == 0
    assert od.table[0] == pytest.approx(5.545177, abs=1e-6)
    assert np.array_equal(od.inverse(od.forward(LEVELS)), LEVELS)


def test_od255_has_a_floor_at_both_ends() -> None:
    od = OpticalDensity("od255")
    assert od.table[0] == od.table[1] == pytest.approx(5.541264, abs=1e-6)
    assert od.table[255] == 1e-6


def test_od240_is_negative_above_its_white_and_one_level_off_on_the_way_back() -> None:
    od = OpticalDensity("od240")
    assert od.table[239] == 0
    assert od.table[255] < 0
    back = od.inverse(od.forward(LEVELS)).astype(int)
    assert np.array_equal(back, np.minimum(LEVELS.astype(int) + 1, 255))


def test_truncation_is_the_legacy() -> None:
    od = OpticalDensity("od255")
    density = -np.log(np.full((1, 3), 99.6) / 255)
    assert od.inverse(density).tolist() == [[100, 100, 100]]
    assert od.inverse(density, legacy_truncate=True).tolist() == [[99, 99, 99]]


@pytest.mark.parametrize(("mode", "io"), [("od10", None), ("od240", 0), ("od255", 1000), ("od256", 255)])
def test_impossible_conventions_are_refused(mode: str, io: int | None) -> None:
    with pytest.raises(UsageError) as caught:
        OpticalDensity(mode, io)
    assert caught.value.remedy


def test_luminosity_mask_of_two_dark_and_two_light_pixels() -> None:
    image = np.array([[[90, 30, 110], [250, 248, 250]], [[150, 80, 140], [240, 240, 242]]], np.uint8)
    assert luminosity_mask(image).tolist() == [[True, False], [True, False]]
    assert not luminosity_mask(np.full((3, 4, 3), 255, np.uint8)).any()
    assert luminosity_mask(np.zeros((0, 4, 3), np.uint8)).shape == (0, 4)


def test_density_rules() -> None:
    density = np.array([[0.2, 0.3, 0.2], [0.1, 0.5, 0.2], [0.0, 0.3, 0.0], [0.1, 0.1, 0.1], [0.15, 0.15, 0.15]])
    assert density_mask(density, 0.15).tolist() == [True, False, False, False, True]
    assert density_mask(density, 0.15, "mean_above").tolist()[:4] == [True, True, False, False]
    assert density_mask(density, 0.15, "any_above").tolist()[:4] == [True, True, True, False]
    with pytest.raises(UsageError, match="most_above"):
        density_mask(density, 0.15, "most_above")


def test_too_little_tissue_is_a_status() -> None:
    assert enough(100).ok
    assert enough(99).reason == "only 99 tissue pixels, 100 are needed"
