import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from histokin.errors import UsageError
from histokin.retrieval.subimage.gallery import Gallery
from histokin.retrieval.subimage.masked_correlation import correlation, covered, field, shared, turned
from histokin.retrieval.subimage.placing import Sweep, place, place_in_all


def textured(side: int, seed: int = 0, channels: int = 1) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(side, side, channels)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 3).reshape(side, side, channels)
    image: np.ndarray = np.clip(128 + 200 * smooth / np.abs(smooth).max(), 0, 255).astype(np.uint8)
    return image


def taken(image: np.ndarray, x: float, y: float, angle: float, side: int) -> np.ndarray:
    """What lies round (x, y), turned so that it must be turned back by ``angle`` counterclockwise."""
    matrix = cv2.getRotationMatrix2D((x, y), -angle, 1.0)
    matrix[:, 2] += (side - 1) / 2 - np.array([x, y])
    query: np.ndarray = cv2.warpAffine(image, matrix, (side, side)).reshape(side, side, -1)
    return query


def error(found: float, true: float) -> float:
    return abs((found - true + 180) % 360 - 180)


def test_an_image_lies_in_itself_with_score_1() -> None:
    image = textured(192)
    found = place(image, image)
    assert found.score == pytest.approx(1, abs=1e-5)
    assert (found.x, found.y, found.angle) == pytest.approx((95.5, 95.5, 0), abs=1e-6)


def test_a_crop_lies_where_it_was_cut() -> None:
    image = textured(256)
    found = place(image[70:171, 30:150], image)
    assert found.score == pytest.approx(1, abs=1e-5)
    assert (found.x, found.y, found.angle) == pytest.approx((89.5, 120, 0), abs=1e-6)
    assert found.rival < 0.6


@settings(max_examples=8, deadline=None)
@given(
    x=st.floats(100, 156),
    y=st.floats(100, 156),
    angle=st.floats(-30, 30),
    side=st.integers(64, 112),
    gain=st.floats(0.2, 3),
    offset=st.floats(-50, 50),
)
def test_shift_and_turn_are_found_whatever_gain_and_offset(
    x: float, y: float, angle: float, side: int, gain: float, offset: float
) -> None:
    image = textured(256, seed=3)
    query = taken(image, x, y, angle, side).astype(np.float32) * np.float32(gain) + np.float32(offset)
    found = place(query, image)
    assert np.hypot(found.x - x, found.y - y) < 1
    assert error(found.angle, angle) < 1
    assert found.score > 0.95


@pytest.mark.parametrize("angle", [-170.0, -91.0, 63.0, 122.0, 179.0])
def test_all_round(angle: float) -> None:
    image = textured(256, seed=5)
    found = place(taken(image, 120, 131, angle, 96), image, Sweep(max_turn=180))
    assert np.hypot(found.x - 120, found.y - 131) < 1
    assert error(found.angle, angle) < 1


def test_a_query_that_leaves_the_image() -> None:
    whole = textured(320, seed=6)
    image, query = whole[:, 80:], whole[100:260, 40:200]
    found = place(query, image)
    # Its middle is at 119.5 of the whole, 39.5 of the image; a quarter of it is outside.
    assert (found.x, found.y) == pytest.approx((39.5, 179.5), abs=0.6)
    assert found.score == pytest.approx(np.sqrt(0.75), abs=0.02)
    # With 80 % demanded it may not lie there.
    assert place(query, image, Sweep(least_overlap=0.8)).x > 47


def test_an_image_smaller_than_the_query() -> None:
    image = textured(256, seed=7)
    found = place(image, image[40:200, 40:200], Sweep(least_overlap=0.3))
    assert (found.x, found.y) == pytest.approx((87.5, 87.5), abs=0.6)


def test_channels_count_together_each_with_its_own_mean() -> None:
    image = textured(160, seed=8, channels=3)
    query = image[30:110, 40:120] // 2 + np.array([0, 40, 90], np.uint8)
    found = place(query, image)
    assert (found.x, found.y) == pytest.approx((79.5, 69.5), abs=0.1)
    assert found.score > 0.99


def test_several_images_are_each_answered_in_order() -> None:
    images = [textured(128, seed=s) for s in range(34)]
    images[7] = textured(144, seed=7)
    query = taken(images[33], 64, 66, 12, 72)
    found = place_in_all(query, images)
    assert int(np.argmax([f.score for f in found])) == 33
    assert found[7] == place(query, images[7])


@pytest.mark.parametrize("most_bytes", [0, 300_000, 1 << 29])
def test_a_gallery_answers_as_its_images_do_whatever_is_kept(most_bytes: int) -> None:
    images = [textured(side, seed=seed, channels=2) for seed, side in enumerate((96, 96, 112))]
    gallery = Gallery(images, most_bytes)
    for number, side, angle in ((0, 48, 7.0), (2, 48, -11.0), (1, 60, 3.0), (1, 48, 0.0)):
        query = taken(images[number], 50, 46, angle, side)
        found = place_in_all(query, gallery)
        assert found == place_in_all(query, images)
        assert int(np.argmax([f.score for f in found])) == number


def test_only_the_best_images_are_followed() -> None:
    images = [textured(128, seed=s) for s in range(8)]
    query = taken(images[5], 64, 66, 12, 72)
    every = [f.score for f in place_in_all(query, images, Sweep(finest=4))]
    three = [f.score for f in place_in_all(query, images, Sweep(finest=4, followed=3))]
    assert int(np.argmax(three)) == int(np.argmax(every)) == 5
    assert sum(one == other for one, other in zip(three, every, strict=True)) >= 3
    assert all(one <= other for one, other in zip(three, every, strict=True))


def test_flat_images_score_nothing() -> None:
    image, flat = textured(128), np.full((128, 128, 1), 7, np.uint8)
    assert place(image[30:80, 30:80], flat).score == 0
    assert place(flat[:64, :64], image).score == 0


def test_the_correlation_is_that_of_pearson() -> None:
    image, query = textured(48, seed=1).astype(np.float32), textured(20, seed=2).astype(np.float32)
    template = turned(query, np.ones((20, 20), bool), 0.0)
    where = field(image, np.ones((48, 48), bool), template.reach)
    spectra = template.spectra(where.size)
    common = shared(spectra, where, 0.1)
    scores = correlation(spectra, where, common, covered(spectra, where, common))
    # The anchor is pixel (10, 10) of the query.
    wanted = np.corrcoef(image[15:35, 11:31].ravel(), query.ravel())[0, 1]
    assert scores[25, 21] == pytest.approx(wanted, abs=1e-5)
    # In a corner 12 x 14 of its 20 x 20 pixels lie on the image.
    part = np.corrcoef(image[:12, :14].ravel(), query[8:, 6:].ravel())[0, 1]
    assert scores[2, 4] == pytest.approx(part * np.sqrt(12 * 14 / 400), abs=1e-4)


def test_turns() -> None:
    assert Sweep(max_turn=10, step=5).turns == (-10, -5, 0, 5, 10)
    assert Sweep(max_turn=180, step=45).turns == (-135, -90, -45, 0, 45, 90, 135, 180)
    assert Sweep(max_turn=0).turns == (0,)


@pytest.mark.parametrize(
    "wrong", [{"max_turn": 200.0}, {"step": 0.0}, {"shrink": 3}, {"shrink": 2, "finest": 4}, {"followed": 3}]
)
def test_sweeps_that_make_no_sense(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        Sweep(**wrong)  # type: ignore[arg-type]


def test_channels_must_agree() -> None:
    with pytest.raises(UsageError, match="3 channels"):
        place(textured(64, channels=3), textured(64))


def test_a_query_must_have_some_pixels() -> None:
    with pytest.raises(UsageError, match="16 or more"):
        place(textured(8), textured(64))


def test_corners_and_margin() -> None:
    image = textured(256, seed=9)
    found = place(taken(image, 120, 131, 90, 64), image, Sweep(max_turn=180))
    # Turned a quarter counterclockwise the upper left corner comes to the lower left.
    assert found.corners(64, 64)[0] == pytest.approx((120 - 32, 131 + 32), abs=1)
    assert found.margin == found.score - found.rival > 0.3
