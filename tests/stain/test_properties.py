"""What holds for any image whatever."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from histokin.stain.registry import map_from_dict, normalizer
from histokin.types import RGB

IMAGES = hnp.arrays(np.uint8, st.tuples(st.integers(1, 24), st.integers(1, 24), st.just(3)))
NOISE = st.builds(
    lambda seed, low, high, h, w: np.random.default_rng(seed).integers(
        min(low, high), max(low, high) + 1, (h, w, 3), np.uint8
    ),
    st.integers(0, 2**32),
    st.integers(0, 255),
    st.integers(0, 255),
    st.integers(1, 40),
    st.integers(1, 40),
)


@pytest.mark.parametrize("name", ["none", "macenko", "reinhard"])
@settings(max_examples=60, deadline=None)
@given(image=st.one_of(IMAGES, NOISE), other=NOISE)
def test_any_image_is_mapped_and_left_alone(name: str, image: RGB, other: RGB) -> None:
    before = image.copy()
    image.flags.writeable = False
    fitted = normalizer(name).fit([image])
    for seen in (image, other):
        mapped, status = fitted.apply(seen)
        assert mapped.dtype == np.uint8
        assert mapped.shape == seen.shape
        assert np.array_equal(mapped, fitted(seen))
        assert np.array_equal(mapped, map_from_dict(fitted.to_dict())(seen))
        if not status.ok:
            assert status.reason
            assert np.array_equal(mapped, seen)
    assert np.array_equal(image, before)


@pytest.mark.parametrize("name", ["macenko", "reinhard"])
@settings(max_examples=30, deadline=None)
@given(image=NOISE, rows=st.integers(0, 40), step=st.integers(1, 3))
def test_a_color_is_mapped_alike_wherever_it_stands(name: str, image: RGB, rows: int, step: int) -> None:
    fitted = normalizer(name).fit([np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)])
    assert fitted.status.ok
    part = image[rows % image.shape[0] :, ::step]
    assert np.array_equal(fitted(part), fitted(image)[rows % image.shape[0] :, ::step])
