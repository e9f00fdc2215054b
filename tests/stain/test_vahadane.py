"""Vahadane: known stains, an independent solver, and the published mistakes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from histokin.errors import UsageError
from histokin.stain.base import Appearance
from histokin.stain.lasso import lasso
from histokin.stain.macenko import DEFAULT_TARGET as OTHER
from histokin.stain.masks import luminosity_mask
from histokin.stain.optical_density import OpticalDensity
from histokin.stain.two_stain import TwoStainMap
from histokin.stain.vahadane import START, Vahadane, sparse_factors, stain_vectors, transposed_stain_vectors
from histokin.testing.appearance import RUIFROK, AppearanceContract, hostile_images, synthetic_he, unit
from histokin.types import RGB


def psnr(one: RGB, other: RGB) -> float:
    error = float(((one.astype(float) - other) ** 2).mean())
    return float("inf") if error == 0 else 10 * float(np.log10(255**2 / error))


def degrees(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.asarray(np.degrees(np.arccos(np.minimum((unit(one) * unit(other)).sum(axis=0), 1))))


def tissue_of(image: RGB) -> np.ndarray:
    return np.asarray(OpticalDensity("od255").forward(image)[luminosity_mask(image)])


class TestVahadane(AppearanceContract):
    def build(self, *, strict: bool = False) -> Appearance:
        return Vahadane(strict=strict)


class TestVahadaneByLeastSquares(AppearanceContract):
    def build(self, *, strict: bool = False) -> Appearance:
        return Vahadane(concentrations="least-squares", n_patches=3, strict=strict)


class TestTransposed(AppearanceContract):
    def build(self, *, strict: bool = False) -> Appearance:
        return Vahadane(legacy_transposed=True, strict=strict)


@pytest.mark.parametrize("stains", [RUIFROK, OTHER.stains], ids=["ruifrok", "macenko"])
@pytest.mark.parametrize(
    ("mixture", "noise", "limit"), [("mixed", 0.0, 2), ("mixed", 0.02, 2), ("exp", 0.0, 6), ("dense", 0.0, 12)]
)
def test_stain_vectors_of_a_synthetic_mixture(stains: np.ndarray, mixture: str, noise: float, limit: float) -> None:
    tissue = tissue_of(synthetic_he(stains, mixture=mixture, noise=noise))
    for n_patches in (1, 9):
        found = stain_vectors(tissue, n_patches=n_patches)
        assert degrees(found, stains).max() < limit
        assert found.min() >= 0
        assert np.allclose(np.linalg.norm(found, axis=0), 1)


def test_agrees_with_scikit_learn() -> None:
    from sklearn.decomposition import MiniBatchDictionaryLearning

    for mixture in ("mixed", "exp"):
        tissue = tissue_of(synthetic_he(mixture=mixture, noise=0.02))[::20]
        peer = MiniBatchDictionaryLearning(
            2, alpha=0.1, positive_code=True, positive_dict=True, fit_algorithm="cd", dict_init=START.T.copy(),
            transform_algorithm="lasso_cd", random_state=0, max_iter=10, batch_size=256,
        ).fit(tissue)  # fmt: skip
        assert degrees(stain_vectors(tissue), peer.components_.T).max() < 2


def test_factors_are_a_minimum() -> None:
    tissue = tissue_of(synthetic_he(noise=0.02, px=96))

    def cost(atoms: np.ndarray) -> float:
        codes = lasso(tissue, atoms, 0.1)
        return float((((tissue - codes @ atoms.T) ** 2).sum(axis=1) / 2 + 0.1 * codes.sum(axis=1)).mean())

    found = sparse_factors(tissue, START, 0.1)
    assert cost(found) < cost(START)
    rng = np.random.default_rng(0)
    for size in (0.003, 0.03, 0.3):
        for _ in range(10):
            other = np.maximum(found + rng.normal(0, size, (3, 2)), 0)
            assert cost(unit(other)) >= cost(found) - 1e-9


@pytest.mark.parametrize(("concentrations", "least"), [("lasso", 43), ("least-squares", 60)])
def test_self_normalization(concentrations: str, least: float) -> None:
    image = synthetic_he()
    assert psnr(Vahadane(image, concentrations=concentrations).fit([image])(image), image) > least


def test_same_tissue_stained_otherwise() -> None:
    """How far the 99th percentiles of two samples of 65,536 pixels agree makes 42 to 46 dB of it, SPAMS or not."""
    found = {"lasso": [], "least-squares": []}  # type: dict[str, list[float]]
    for seed in range(4):
        source = synthetic_he(seed=seed)
        truth, reference = (synthetic_he(OTHER.stains, seed=s, gain=(1.25, 0.8)) for s in (seed, seed + 100))
        for concentrations, values in found.items():
            mapped = Vahadane(reference, concentrations=concentrations).fit([source])(source)
            values.append(psnr(mapped, truth))
    assert min(found["lasso"]) > 42
    assert np.median(found["lasso"]) > 43.9
    assert max(found["lasso"]) > 45.5
    assert min(found["least-squares"]) > 48


def test_patches_are_estimated_apart() -> None:
    tissue = tissue_of(synthetic_he(px=128))
    halves = [stain_vectors(half) for half in np.array_split(tissue, 2)]
    assert np.allclose(stain_vectors(tissue, n_patches=2), unit(np.median(halves, axis=0)), atol=1e-12)
    pen = np.tile(OpticalDensity("od255").forward(np.array([[20, 60, 200]], np.uint8)), (len(tissue) // 4, 1))
    marked = np.concatenate([tissue, pen])
    one, many = (degrees(stain_vectors(marked, n_patches=n), RUIFROK).max() for n in (1, 10))
    assert many < 2 < one


def test_legacy_transposed_is_another_problem() -> None:
    tissue = tissue_of(synthetic_he(OTHER.stains))
    assert degrees(stain_vectors(tissue), OTHER.stains).max() < 2
    assert degrees(transposed_stain_vectors(tissue), OTHER.stains).max() > 5
    image = synthetic_he(px=96)
    right, wrong = (Vahadane(legacy_transposed=legacy).fit([image]) for legacy in (False, True))
    assert right.space != wrong.space
    assert not np.array_equal(right(image), wrong(image))


def test_legacy_overwrite_changes_the_callers_array() -> None:
    density, image = OpticalDensity("od255"), np.array([[[0, 5, 255], [0, 0, 1]]], np.uint8)
    given = image.copy()
    densities = density.forward(given)
    assert np.array_equal(given, image)
    assert np.array_equal(density.forward(given, legacy_overwrite=True), densities)
    assert given.tolist() == [[[1, 5, 255], [1, 1, 1]]]
    again = image.copy()
    OpticalDensity("od256").forward(again, legacy_overwrite=True)
    assert np.array_equal(again, image)


def test_the_lasso_map_has_no_product_and_the_linear_one_has() -> None:
    image = synthetic_he(px=64)
    for concentrations in ("lasso", "least-squares"):
        fitted = Vahadane(concentrations=concentrations).fit([image])
        assert isinstance(fitted, TwoStainMap)
        assert (fitted.product is None) == (concentrations == "lasso")
        exact = fitted.matrix.exact(image) if fitted.lasso is None else fitted.lasso.exact(image)
        assert np.abs(fitted(image).astype(int) - exact).max() <= 1


@pytest.mark.parametrize("name", ["white", "glass", "black", "one color", "grey", "one pixel", "no pixel"])
def test_impossible_targets_are_refused(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        Vahadane(hostile_images()[name])
    assert caught.value.remedy


@pytest.mark.parametrize(
    "option",
    [{"penalty": -1}, {"concentrations": "x"}, {"threshold": 2}, {"n_patches": 0}, {"od": "x"}, {"io": 0},
     {"n_patches": 5, "legacy_transposed": True}],
)  # fmt: skip
def test_impossible_options_are_refused(option: dict[str, Any]) -> None:
    with pytest.raises(UsageError) as caught:
        Vahadane(**option)
    assert caught.value.remedy


def test_default_target_is_the_reference_of_bksvds_authors(shared_data: Path) -> None:
    found = Vahadane(shared_data / "stain-reference" / "bksvd-matlab" / "Reference.jpg").target
    assert degrees(found.stains, Vahadane.DEFAULT.stains).max() < 0.01
    assert np.allclose(found.p99, Vahadane.DEFAULT.p99, atol=1e-3)


def test_real_tissue_comes_to_look_like_the_target(shared_data: Path) -> None:
    folder = shared_data / "stain-reference" / "vahadane"
    target, source = (np.asarray(Image.open(folder / f"{n}.png").convert("RGB")) for n in ("target1", "source1"))
    mapped = Vahadane(target).fit([source])(source)
    before, after = (
        np.abs(i.reshape(-1, 3).mean(axis=0) - target.reshape(-1, 3).mean(axis=0)) for i in (source, mapped)
    )
    assert after.sum() < before.sum()
