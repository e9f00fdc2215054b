"""BKSVD: known stains, the authors' own results, what each published oddity changes, and sources without two stains."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.io
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from histokin.errors import UsageError
from histokin.stain.base import Appearance
from histokin.stain.bksvd import BKSVD, DEFAULT_TARGET
from histokin.stain.bksvd_batches import BATCH, MOST_BATCHES, Search
from histokin.stain.bksvd_empirical import _best_changes, greedy_variances, search_empirical
from histokin.stain.bksvd_pixels import Draw, Posterior, on_a_line, posterior, step
from histokin.stain.bksvd_variational import (
    RESIDUALS,
    laplace_variances,
    search_robust,
    search_variational,
    squared_residual,
)
from histokin.stain.deconvolution import LANDINI, unit_columns
from histokin.stain.macenko import DEFAULT_TARGET as MACENKO_TARGET
from histokin.stain.masks import density_mask
from histokin.stain.optical_density import OpticalDensity
from histokin.stain.registry import normalizer
from histokin.stain.two_stain import Densities, Stains, TwoStainMap, unmixing
from histokin.testing.appearance import RUIFROK, AppearanceContract, synthetic_he, unit
from histokin.types import RGB

DENSITY = OpticalDensity("od256")


class TestPractical(AppearanceContract):
    def build(self, *, strict: bool = False) -> Appearance:
        return BKSVD(strict=strict)


class TestPaper(AppearanceContract):
    def build(self, *, strict: bool = False) -> Appearance:
        return BKSVD(profile="paper", strict=strict)


class TestEmpiricalBayes(AppearanceContract):
    def build(self, *, strict: bool = False) -> Appearance:
        return BKSVD(method="empirical-bayes", strict=strict)


def read(path: Path) -> RGB:
    return np.asarray(Image.open(path).convert("RGB"))


def psnr(one: RGB, other: RGB) -> float:
    error = float(((one.astype(float) - other) ** 2).mean())
    return float("inf") if error == 0 else 10 * float(np.log10(255**2 / error))


def degrees(stains: Stains, truth: Stains) -> np.ndarray:
    cosines = (unit(stains) * unit(truth)).sum(axis=0)
    return np.asarray(np.degrees(np.arccos(np.minimum(cosines, 1))))


def tissue_of(image: RGB, beta: float = 0.2) -> Densities:
    density = DENSITY.forward(image.reshape(-1, 3))
    tissue: Densities = density[density_mask(density, beta, "mean_above")]
    return tissue


def published(folder: Path, case: str) -> tuple[RGB, Stains, np.ndarray]:
    """An image, the authors' stains of it, and their concentrations "n 2" in the order of its pixels."""
    image = read(folder / f"{case}.jpg")
    stains = scipy.io.loadmat(folder / f"{case}_M.mat")["M"].astype(np.float64)
    with h5py.File(folder / f"{case}.Results.mat") as results:
        amounts = np.asarray(results["stains"]).transpose(2, 1, 0)
    return image, stains, amounts.reshape(-1, 2)


PAPER: dict[str, Any] = {"residual": "spectral", "legacy_variance_as_precision": True}


@pytest.mark.parametrize("how", [{}, PAPER], ids=["practical", "paper"])
@pytest.mark.parametrize(
    ("mixture", "noise", "limit"), [("mixed", 0.0, 1.5), ("mixed", 0.02, 3.0), ("exp", 0.0, 3.5), ("dense", 0.0, 8.0)]
)
def test_stains_of_a_synthetic_mixture(mixture: str, noise: float, limit: float, how: dict[str, Any]) -> None:
    tissue = tissue_of(synthetic_he(mixture=mixture, noise=noise))
    for seed in range(3):
        stains = search_variational(tissue, seed=seed, **how).stains
        assert degrees(stains, RUIFROK).max() < limit
        assert np.allclose(np.linalg.norm(stains, axis=0), 1)


@pytest.mark.parametrize("case", ["hist1", "hist2"])
@pytest.mark.parametrize("profile", ["practical", "paper", "empirical-bayes"])
def test_agrees_with_the_authors_results(shared_data: Path, case: str, profile: str) -> None:
    image, truth, amounts = published(shared_data / "stain-reference" / "bksvd-matlab", case)
    if profile == "empirical-bayes":
        found = [search_empirical(tissue_of(image, 0.1), seed=seed).stains for seed in range(5)]
    else:
        how = PAPER if profile == "paper" else {}
        found = [search_variational(tissue_of(image), seed=seed, **how).stains for seed in range(5)]
    assert np.mean([degrees(stains, truth) for stains in found]) < 1
    density = DENSITY.forward(image.reshape(-1, 3))
    ours = [density @ unmixing(stains).T for stains in found]
    for stain in range(2):
        assert np.mean([np.corrcoef(one[:, stain], amounts[:, stain])[0, 1] for one in ours]) > 0.99


def test_least_squares_gives_the_authors_concentrations(shared_data: Path) -> None:
    for case in ("hist1", "hist2"):
        image, stains, amounts = published(shared_data / "stain-reference" / "bksvd-matlab", case)
        ours = DENSITY.forward(image.reshape(-1, 3)) @ unmixing(stains).T
        assert np.abs(ours - amounts).max() < 1e-3


def test_default_target_is_the_authors_reference(shared_data: Path) -> None:
    found = BKSVD(shared_data / "stain-reference" / "bksvd-matlab" / "Reference.jpg").target
    assert np.abs(found.stains - DEFAULT_TARGET.stains).max() < 1e-4
    assert np.abs(np.array(found.p99) - DEFAULT_TARGET.p99).max() < 1e-4


@pytest.mark.parametrize("profile", ["practical", "paper"])
def test_transfer_of_the_same_content(profile: str) -> None:
    source = synthetic_he(seed=0)
    truth, reference = (synthetic_he(MACENKO_TARGET.stains, seed=s, gain=(1.25, 0.8)) for s in (0, 1))
    assert psnr(source, truth) == pytest.approx(17.9, abs=0.2)
    assert psnr(BKSVD(reference, profile=profile).fit([source])(source), truth) >= 44


@pytest.mark.parametrize("method", ["variational", "empirical-bayes"])
def test_self_normalization(method: str) -> None:
    image = synthetic_he()
    assert psnr(BKSVD(image, method=method).fit([image])(image), image) >= 60


def residual(tissue: Densities, stains: Stains) -> float:
    return float(np.linalg.norm(tissue - tissue @ unmixing(stains).T @ stains.T))


@pytest.mark.parametrize("how", [{}, PAPER], ids=["practical", "paper"])
def test_residual_does_not_grow_over_batches(how: dict[str, Any]) -> None:
    for mixture in ("mixed", "exp", "dense"):
        tissue = tissue_of(synthetic_he(mixture=mixture, noise=0.02))
        left = [residual(tissue, belief.atoms) for belief in search_variational(tissue, **how).batches]
        assert len(left) > 1
        assert all(after <= 1.02 * before for before, after in pairwise(left))


def test_paper_profile_is_what_it_stands_for() -> None:
    paper = BKSVD(profile="paper")
    assert paper.to_dict() == BKSVD(residual="spectral", legacy_variance_as_precision=True).to_dict()
    assert paper.space != BKSVD().space
    assert BKSVD(residual="expected", beta=0.2, seed=0).space == BKSVD().space
    assert BKSVD(method="empirical-bayes").to_dict()["options"]["beta"] == 0.1


def test_residuals_differ_and_are_ordered() -> None:
    tissue = tissue_of(synthetic_he(mixture="exp", noise=0.02))
    found = {name: search_variational(tissue, residual=name) for name in RESIDUALS}
    precision = {name: search.batches[-1].precision for name, search in found.items()}
    assert precision["spectral"] > precision["frobenius"] > precision["expected"]
    for one in RESIDUALS[1:]:
        apart = degrees(found[one].stains, found["expected"].stains)
        assert 0.01 < apart.max() < 1.5


def test_squared_residual_by_hand() -> None:
    atoms = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    batch = np.array([[2.0, 1.0], [1.0, 1.0], [0.0, 3.0]])
    means = np.array([[1.0, 1.0], [1.0, 1.0]])
    belief = Posterior(means, np.zeros((2, 2)), np.diag([0.25, 0.5]))
    assert squared_residual(atoms, batch, belief, "frobenius") == pytest.approx(10)
    assert squared_residual(atoms, batch, belief, "expected") == pytest.approx(10.75)
    assert squared_residual(atoms, batch, belief, "spectral") == pytest.approx(9)


def test_variance_used_as_precision_shrinks_the_first_concentrations() -> None:
    tissue = tissue_of(synthetic_he(noise=0.02))
    ours, theirs = (search_variational(tissue, legacy_variance_as_precision=flag) for flag in (False, True))
    assert not np.array_equal(ours.stains, theirs.stains)
    assert degrees(ours.stains, theirs.stains).max() < 1.5
    batch, flat = tissue[:BATCH].T, np.ones((2, min(BATCH, len(tissue))))
    atoms, hundredth = unit_columns(LANDINI[:, :2]), float(tissue.var()) / 100
    right, wrong = (posterior(atoms, batch, flat, 1 / precision).means for precision in (1 / hundredth, hundredth))
    assert np.abs(wrong).max() < 0.1 * np.abs(right).max()


def test_leaving_the_noise_out_is_degrees_off(shared_data: Path) -> None:
    image, truth, _ = published(shared_data / "stain-reference" / "bksvd-matlab", "hist1")
    tissue = tissue_of(image)
    ours, port = (search_variational(tissue, legacy_without_noise=flag) for flag in (False, True))
    assert {belief.precision for belief in port.batches} == {1.0}
    assert degrees(ours.stains, truth).max() < 1
    assert degrees(port.stains, truth).max() > 4
    spaces = {BKSVD(legacy_without_noise=flag).space for flag in (False, True)}
    assert len(spaces) == 2


def blood(image: RGB, share: float) -> RGB:
    """The image with some of its pixels red blood cells."""
    color = np.array([0.10, 0.62, 0.78])
    flat = image.reshape(-1, 3).copy()
    amount = np.random.default_rng(0).gamma(6, 0.25, int(share * len(flat)))
    flat[: len(amount)] = DENSITY.inverse(amount[:, None] * (color / np.linalg.norm(color)))
    return flat.reshape(image.shape)


def test_blood_is_left_out() -> None:
    image = blood(synthetic_he(), 0.1)
    tissue = tissue_of(image)
    assert degrees(search_variational(tissue).stains, RUIFROK).max() > 10
    assert degrees(search_robust(tissue, 0.3).stains, RUIFROK).max() < 2
    assert degrees(BKSVD(image, blood=0.3).target.stains, RUIFROK).max() < 2


def test_three_stains_and_the_third_set_back() -> None:
    start = unit_columns(LANDINI)
    found = search_variational(tissue_of(blood(synthetic_he(), 0.2)), start=LANDINI).stains
    assert degrees(found[:, :2], RUIFROK).max() < 2
    atoms = start.copy()
    atoms[:, 2] = atoms[:, 0] + 1e-3
    batch, belief = np.zeros((3, 4)), Posterior(np.zeros((3, 4)), np.zeros((3, 4)), np.zeros((3, 3)))
    fresh = step(atoms, batch, belief, start)
    assert np.array_equal(fresh[:, :2], atoms[:, :2])
    assert np.array_equal(fresh[:, 2], start[:, 2])
    assert np.array_equal(step(start, batch, belief, start), start)


def test_draw_is_without_replacement_and_fixed() -> None:
    places = Draw(0).places(100_000, BATCH)
    assert len(set(places.tolist())) == BATCH
    assert places.min() >= 0
    assert places.max() < 100_000
    # the stream of numpy's PCG64, which it promises not to change
    assert places[:4].tolist() == [74271, 51617, 96024, 25533]
    assert Draw(1).places(BATCH + 1, BATCH).tolist() != Draw(2).places(BATCH + 1, BATCH).tolist()
    assert Draw(0).places(7, BATCH).tolist() == list(range(7))


def test_few_pixels_are_one_batch() -> None:
    tissue = tissue_of(synthetic_he(px=30))
    assert len(tissue) < BATCH
    few, many = search_variational(tissue), search_variational(tissue_of(synthetic_he(px=128)))
    assert len(few.batches) == 1
    assert 1 < len(many.batches) <= MOST_BATCHES


def test_seed_changes_little_and_the_same_seed_nothing() -> None:
    tissue = tissue_of(synthetic_he())
    found: list[Search] = [search_variational(tissue, seed=seed) for seed in (0, 0, 1)]
    assert np.array_equal(found[0].stains, found[1].stains)
    assert 0 < degrees(found[0].stains, found[2].stains).max() < 1


def test_a_slide_is_learned_from_as_one() -> None:
    patches = [synthetic_he(px=64, seed=seed) for seed in range(20)]
    fitted = BKSVD().fit(patches)
    assert isinstance(fitted, TwoStainMap)
    assert degrees(fitted.source.stains, RUIFROK).max() < 1.5
    whole = BKSVD().fit([np.concatenate(patches)])
    assert whole.to_dict() == fitted.to_dict()


def test_the_posterior_of_two_is_the_textbook_formula() -> None:
    rng = np.random.default_rng(0)
    atoms, batch, prior = unit(RUIFROK), rng.random((3, 5)), rng.random((2, 5)) + 0.1
    noise = rng.random(5) + 0.1
    belief = posterior(atoms, batch, prior, noise)
    total = np.zeros((2, 2))
    for q in range(5):
        covariance = np.linalg.inv(atoms.T @ atoms / noise[q] + np.diag(1 / prior[:, q]))
        total += covariance
        assert np.allclose(belief.means[:, q], covariance @ atoms.T @ batch[:, q] / noise[q])
        assert np.allclose(belief.variances[:, q], np.diag(covariance))
    assert np.allclose(belief.covariance, total)
    off = posterior(unit_columns(LANDINI), batch, np.vstack([prior, np.zeros(5)]), noise)
    two = posterior(unit_columns(LANDINI[:, :2]), batch, prior, noise)
    assert np.allclose(off.means[:2], two.means)
    assert np.allclose(off.covariance[:2, :2], two.covariance)
    assert not off.means[2].any()


def test_greedy_changes_are_the_published_roots() -> None:
    rng = np.random.default_rng(1)
    atoms, batch = unit(RUIFROK), rng.random((3, 50)) * 2
    seen, noise, prior = atoms.T @ batch, rng.random(50) * 0.01 + 0.001, rng.random((2, 50)) + 0.1
    fresh, _ = _best_changes(seen, prior, noise, float(atoms[:, 0] @ atoms[:, 1]))
    kept = 0
    for i, q in np.ndindex(2, 50):
        other = atoms[:, 1 - i]
        rest = np.linalg.inv(noise[q] * np.eye(3) + prior[1 - i, q] * np.outer(other, other))
        s, quality = atoms[:, i] @ rest @ atoms[:, i], float(atoms[:, i] @ rest @ batch[:, q]) ** 2
        rate = 2 / prior[:, q].sum()
        a, b, c = rate + s - quality, 2 * rate * s + s**2, rate * s**2
        expected = -2 * a / (b + np.sqrt(b**2 - 4 * a * c)) if quality - s > rate else 0.0
        assert fresh[i, q] == pytest.approx(expected, rel=1e-6, abs=1e-12)
        kept += expected > 0
    assert 0 < kept < 100


def test_greedy_switches_off_what_a_pixel_does_not_hold() -> None:
    atoms = unit(RUIFROK)
    pure = np.concatenate([atoms[:, :1] * 1.5, atoms[:, 1:] * 0.8, atoms.sum(axis=1, keepdims=True)], axis=1)
    on = greedy_variances(atoms, pure, np.full(3, 1e-4)) > 0
    assert on.T.tolist() == [[True, False], [False, True], [True, True]]


@pytest.mark.parametrize(
    "options",
    [
        {"profile": "best"},
        {"method": "mcmc"},
        {"residual": "nuclear"},
        {"beta": -1},
        {"percentile": 20},
        {"seed": -1},
        {"seed": 0.5},
        {"blood": 9},
        {"method": "empirical-bayes", "blood": 0.3},
        {"method": "empirical-bayes", "residual": "spectral"},
        {"method": "empirical-bayes", "legacy_without_noise": True},
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError) as caught:
        normalizer("bksvd", **options)
    assert caught.value.remedy


def test_one_color_lies_on_a_line() -> None:
    grey = np.random.default_rng(0).random((500, 1)) * np.ones(3)
    assert on_a_line(grey)
    assert not on_a_line(tissue_of(synthetic_he(px=64)))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31), st.floats(0.02, 3.0), st.floats(0.02, 3.0))
def test_found_stains_are_unit_ordered_and_finite(seed: int, h: float, e: float) -> None:
    tissue = tissue_of(synthetic_he(px=32, seed=seed, gain=(h, e)), 0.01)
    for stains in (search_variational(tissue, seed=seed).stains, search_empirical(tissue, seed=seed).stains):
        assert np.isfinite(stains).all()
        assert np.allclose(np.linalg.norm(stains, axis=0), 1)
        assert stains[0, 0] >= stains[0, 1]
        assert (stains.sum(axis=0) >= 0).all()


@given(st.floats(0, 100), st.floats(1e-6, 10), st.floats(1e-6, 10))
def test_prior_variance_solves_its_quadratic(power: float, one: float, other: float) -> None:
    found = laplace_variances(np.full((2, 1), power), np.array([[one], [other]]))[0, 0]
    rate = 2 / (one + other)
    assert found > 0
    assert abs(rate * found**2 + found - power) <= 1e-9 * max(power, 1e-6)
