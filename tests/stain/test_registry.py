"""Normalizers by name, and descriptions that do not hold."""

from typing import Any

import numpy as np
import pytest

from histokin.errors import UnknownName, UsageError
from histokin.stain.pixels import POOL, pool, rgb
from histokin.stain.registry import NORMALIZERS, appearance_from_dict, map_from_dict, normalizer
from histokin.testing.appearance import synthetic_he


def test_names() -> None:
    assert {"none", "reinhard", "macenko"} <= set(NORMALIZERS.names())
    with pytest.raises(UnknownName, match="macenco") as caught:
        normalizer("macenco")
    assert "Did you mean 'macenko'" in caught.value.remedy


def test_spaces() -> None:
    assert normalizer("none").space == "raw"
    for name in ("macenko", "reinhard"):
        method, _, digest = normalizer(name).space.partition("@")
        assert method == name
        assert len(digest) == 12


def test_spaces_of_the_built_in_targets_never_change() -> None:
    assert normalizer("macenko").space == "macenko@3f5d5cb1061d"
    assert normalizer("reinhard").space == "reinhard@b0dffb745985"


def test_unknown_options_name_the_choices() -> None:
    with pytest.raises(UsageError, match="has no option 'gamma'") as caught:
        normalizer("macenko", gamma=2)
    assert "beta" in caught.value.remedy
    with pytest.raises(UsageError, match="no option"):
        normalizer("none", strict=True)
    with pytest.raises(UsageError, match="takes no target"):
        normalizer("none", target=np.zeros((2, 2, 3), np.uint8))


@pytest.mark.parametrize(
    "stored",
    [
        {},
        {"method": 3},
        {"method": "two-stain"},
        {"method": "reinhard", "space": "x"},
        {"method": "unchanged", "space": "raw"},
        {"method": "two-stain", "space": "x", "od": "od240", "io": 240, "source": {}, "target": {}},
        {"method": "chain", "maps": [{"method": "two-stain"}]},
        {"method": "nobody"},
    ],
)
def test_incomplete_maps_are_refused(stored: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        map_from_dict(stored)


def test_incomplete_appearances_are_refused() -> None:
    with pytest.raises(UsageError, match="'options'"):
        appearance_from_dict({"name": "macenko"})


def test_chains_come_back() -> None:
    image = synthetic_he(px=64)
    chain = normalizer("macenko").fit([image]).then(normalizer("reinhard").fit([image]))
    again = map_from_dict(chain.to_dict())
    assert again.to_dict() == chain.to_dict()
    assert np.array_equal(again(image), chain(image))


@pytest.mark.parametrize("image", [[[1, 2, 3]], np.zeros((3, 3), np.uint8), None, np.zeros((2, 2, 3), bool)])
def test_what_is_no_rgb_image_is_named(image: object) -> None:
    with pytest.raises(UsageError, match="8-bit RGB"):
        rgb(image)


def test_the_pool_is_spread_over_all_images() -> None:
    images = [np.full((600, 700, 3), i, np.uint8) for i in range(4)]
    found = pool(images)
    assert len(found) == POOL
    counts = np.bincount(found[:, 0], minlength=4)
    assert np.abs(counts - POOL / 4).max() <= 1
    assert np.array_equal(found, pool(images))
    assert pool([]).shape == (0, 3)
    ramp = np.arange(256, dtype=np.uint8).repeat(3).reshape(1, 256, 3)
    assert np.array_equal(pool([ramp, ramp]), np.concatenate([ramp[0], ramp[0]]))
    assert len(np.unique(pool([ramp, ramp], limit=100)[:, 0])) > 60
