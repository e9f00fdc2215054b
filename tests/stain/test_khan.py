"""Khan: the classifier, the curve, the map, and sources without two stains."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from histokin.errors import UsageError
from histokin.stain import khan_classifier
from histokin.stain.base import Appearance
from histokin.stain.khan import Khan, KhanMap, curve
from histokin.stain.khan_classifier import trained
from histokin.stain.khan_model import KhanModel, model_of, with_residual
from histokin.stain.khan_spline import KhanSpline, fit_spline, smoothing_of
from histokin.stain.khan_training import EOSIN, HEMATOXYLIN
from histokin.stain.registry import map_from_dict
from histokin.testing.appearance import RUIFROK, AppearanceContract, synthetic_he, unit
from histokin.types import RGB

LEVELS = np.array([20.0, 60, 130, 110, 190, 240, 235, 245, 255])


class TestKhan(AppearanceContract):
    def build(self, *, strict: bool = False) -> Appearance:
        return Khan(strict=strict)


def test_equal_statistics_give_the_identity() -> None:
    same = fit_spline(LEVELS, LEVELS)
    assert same is not None
    grid = np.linspace(0, 255, 5000)
    assert np.abs(same(grid) - grid).max() < 1e-9
    assert smoothing_of(9e-6) == pytest.approx(111110, rel=1e-5)


@given(st.lists(st.floats(0, 400), min_size=9, max_size=9), st.lists(st.floats(0, 400), min_size=9, max_size=9))
def test_a_curve_never_falls(source: list[float], target: list[float]) -> None:
    made = fit_spline(np.array(source), np.array(target))
    if made is not None:
        assert made.rises
        values = made(np.linspace(0, 1000, 3001))
        assert np.isfinite(values).all()
        assert KhanSpline.from_dict(json.loads(json.dumps(made.to_dict()))) == made


def test_equal_abscissae_are_one() -> None:
    source = np.array([50.0, 50, 50, 100, 100, 100, 200, 200, 200])
    made = fit_spline(source, source + 3)
    assert made is not None
    assert len(made.knots) == 5


def test_a_level_that_one_side_lacks_is_left_out() -> None:
    lacking = tuple(np.where(np.arange(9) < 6, LEVELS, np.nan).tolist())
    whole = tuple(LEVELS.tolist())
    assert curve(whole, lacking) is not None
    assert curve(lacking, whole) is not None
    assert curve(whole, lacking, legacy_nan_and=True) is None
    assert curve(lacking, lacking, legacy_nan_and=True) is not None


def test_the_published_filter_leaves_the_source_as_it_is() -> None:
    target = {**Khan().target.to_dict(), "hematoxylin_levels": [*LEVELS[:6].tolist(), None, None, None]}
    image = synthetic_he(px=128)
    assert Khan(target).fit([image]).status.ok
    assert not Khan(target, legacy_nan_and=True).fit([image]).status.ok


def test_the_forest_tells_two_stains_apart() -> None:
    rng = np.random.default_rng(3)
    amounts = rng.gamma(4, 0.25, 4000)
    kind = rng.permutation(np.repeat([HEMATOXYLIN, EOSIN], 2000))
    stains = unit(RUIFROK)[:, (kind == EOSIN).astype(int)].T
    pixels = np.clip(np.rint(256 * np.exp(-amounts[:, None] * stains) - 1), 0, 255).astype(np.uint8)
    found = trained().probabilities(pixels)[:, 1:].argmax(axis=1) + 1
    assert (found == kind).mean() >= 0.95


def test_stains_of_a_synthetic_mixture() -> None:
    found = model_of(synthetic_he().reshape(-1, 3))
    assert isinstance(found, KhanModel)
    cosines = (found.stains[:, :2] * unit(RUIFROK)).sum(axis=0)
    assert np.degrees(np.arccos(np.minimum(cosines, 1))).max() < 8


def fitted_map(image: RGB) -> KhanMap:
    made = Khan().fit([image])
    assert isinstance(made, KhanMap)
    return made


def test_every_color_is_within_a_level_of_the_formula() -> None:
    made = fitted_map(synthetic_he(px=128))
    alike = replace(made, source=with_residual((0.55, 0.75, 0.37), (0.5, 0.77, 0.4)))
    for each in (made, alike):
        check(each)


def check(made: KhanMap) -> None:
    levels = np.arange(0, 256, 5, dtype=np.uint8)
    cube = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1).reshape(-1, 1, 3)
    quick, exact = made.colors(cube).astype(int), made.exact(cube).astype(int)
    assert np.abs(quick - exact).max() <= 1
    assert (quick != exact).mean() < 0.02


def test_normalizing_an_image_to_itself_changes_little() -> None:
    image = synthetic_he(px=128)
    made = Khan(image).fit([image])
    assert np.abs(made(image).astype(int) - image).mean() < 2


def test_a_stored_map_needs_neither_library(monkeypatch: pytest.MonkeyPatch) -> None:
    image = synthetic_he(px=64)
    made = fitted_map(image)

    def gone() -> None:
        raise UsageError("khan needs scikit-learn to fit a source", remedy="pip install 'histokin[khan]'")

    monkeypatch.setattr(khan_classifier, "require", gone)
    trained.cache_clear()
    again = map_from_dict(json.loads(json.dumps(made.to_dict())))
    assert np.array_equal(again(image), made(image))
    with pytest.raises(UsageError, match="scikit-learn"):
        Khan().fit([image])
    monkeypatch.undo()
    trained.cache_clear()


@pytest.mark.parametrize(
    "target",
    [
        {},
        {**Khan().target.to_dict(), "hematoxylin": [1, 0, 0], "eosin": [2, 0, 0]},
        {**Khan().target.to_dict(), "eosin_levels": [1, 2]},
        np.full((64, 64, 3), 250, np.uint8),
        np.repeat(np.random.default_rng(0).integers(0, 256, (64, 64, 1), np.uint8), 3, axis=2),
    ],
    ids=["empty", "one stain", "few levels", "white", "gray"],
)
def test_targets_without_two_stains_are_refused(target: Any) -> None:
    with pytest.raises(UsageError) as caught:
        Khan(target)
    assert caught.value.remedy


def test_default_target_is_the_reference_of_bksvds_authors(shared_data: Path) -> None:
    found = Khan(shared_data / "stain-reference" / "bksvd-matlab" / "Reference.jpg").target
    # Forests of other versions of scikit-learn may differ a little.
    assert np.allclose(found.stains, Khan().target.stains, atol=0.03)
    assert np.allclose(found.hematoxylin_levels[:6], Khan().target.hematoxylin_levels[:6], atol=12)


def test_real_tissue_comes_to_look_like_the_target(shared_data: Path) -> None:
    folder = shared_data / "stain-reference" / "vahadane"
    target, source = (np.asarray(Image.open(folder / f"{n}.png").convert("RGB")) for n in ("target1", "source1"))
    mapped = Khan(target).fit([source])(source)
    before, after = (
        np.abs(i.reshape(-1, 3).mean(axis=0) - target.reshape(-1, 3).mean(axis=0)).sum() for i in (source, mapped)
    )
    assert after < before
