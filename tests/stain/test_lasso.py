"""The two-atom lasso against its optimality conditions, and the map made of it for every color there is."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from histokin.stain.lasso import CONCENTRATION_PENALTY, DensityLasso, lasso
from histokin.stain.macenko import DEFAULT_TARGET, Macenko
from histokin.stain.optical_density import OpticalDensity
from histokin.stain.registry import map_from_dict
from histokin.stain.two_stain import TwoStainMap, one_direction, unmixing
from histokin.testing.appearance import RUIFROK, synthetic_he, unit


def objective(samples: np.ndarray, atoms: np.ndarray, codes: np.ndarray, penalty: float) -> np.ndarray:
    rest = samples - codes @ atoms.T
    return np.asarray((rest**2).sum(axis=1) / 2 + penalty * codes.sum(axis=1))


def atoms_at(degrees: float, lengths: tuple[float, float]) -> np.ndarray:
    turn = np.radians(degrees)
    return np.array([[1.0, np.cos(turn)], [0.0, np.sin(turn)], [0.0, 0.0]]) * lengths


def test_codes_by_hand() -> None:
    atoms = np.eye(3)[:, :2]
    samples = np.array([[1.0, 2, 9], [0.05, 2, 9], [-1, -1, 0], [0.1, 0.1, 0]])
    assert np.allclose(lasso(samples, atoms, 0.1), np.array([[0.9, 1.9], [0, 1.9], [0, 0], [0, 0]]), atol=1e-15)
    samples = np.array([[2.0, 1.0, 0.0]])
    assert np.allclose(lasso(samples, atoms_at(45, (1, 1)), 0), [[1, 2**0.5]], atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(
    degrees=st.floats(5, 175),
    lengths=st.tuples(st.floats(0.2, 5), st.floats(0.2, 5)),
    penalty=st.sampled_from([0.0, 0.01, 0.1, 1.0]),
    seed=st.integers(0, 1000),
)
def test_optimality_conditions_hold(degrees: float, lengths: tuple[float, float], penalty: float, seed: int) -> None:
    atoms = atoms_at(degrees, lengths)
    samples = np.random.default_rng(seed).normal(0, 2, (300, 3))
    codes = lasso(samples, atoms, penalty)
    slope = (codes @ atoms.T - samples) @ atoms + penalty
    assert codes.min() >= 0
    assert slope.min() > -1e-9
    assert np.abs(slope[codes > 0]).max(initial=0) < 1e-9


def test_no_other_code_is_better() -> None:
    rng = np.random.default_rng(4)
    samples = OpticalDensity("od255").forward(rng.integers(0, 256, (50, 3), np.uint8))
    atoms = unit(RUIFROK)
    best = objective(samples, atoms, lasso(samples, atoms, 0.01), 0.01)
    steps = np.linspace(0, 8, 81)
    for one in steps:
        for two in steps:
            codes = np.tile([one, two], (50, 1))
            assert (objective(samples, atoms, codes, 0.01) >= best - 1e-12).all()


def test_without_penalty_and_inside_the_cone_it_is_least_squares() -> None:
    stains = unit(RUIFROK)
    samples = np.random.default_rng(0).exponential(1, (100, 2)) @ stains.T
    assert np.allclose(lasso(samples, stains, 0), samples @ unmixing(stains).T, atol=1e-12)


@pytest.mark.parametrize("od", ["od255", "od256"])
def test_map_is_within_a_level_for_every_color(od: str) -> None:
    fitted = DensityLasso(OpticalDensity(od), unit(RUIFROK), DEFAULT_TARGET.stains * [1.3, 0.7], 0.01)
    step = 1 if od == "od255" else 5
    image = np.empty((256, 256, 3), np.uint8)
    image[..., 1], image[..., 2] = np.mgrid[:256, :256]
    differing = 0
    for red in range(0, 256, step):
        image[..., 0] = red
        difference = np.abs(fitted.fast(image).astype(np.int16) - fitted.exact(image))
        assert difference.max() <= 1
        differing += int((difference > 0).sum())
    assert differing < 1e-5 * (256**3 * 3) / step


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 7, 8, 9, 15, 17, 31, 33, (1 << 14) + 1, (1 << 14) + 5])
def test_one_color_gets_the_same_bytes_in_any_company(count: int) -> None:
    pixels = np.random.default_rng(count).integers(0, 256, (count, 1, 3), np.uint8)
    for outer in (DEFAULT_TARGET.stains, np.array([[1.0, -0.4], [0.5, 2.0], [0.2, 0.3]])):
        fitted = DensityLasso(OpticalDensity("od255"), unit(RUIFROK), outer, 0.01)
        together = fitted.fast(pixels)
        assert np.array_equal(together[::-1], fitted.fast(np.ascontiguousarray(pixels[::-1])))
        assert np.array_equal(together[-1:], fitted.fast(pixels[-1:]))
        assert np.array_equal(together[count // 2 :], fitted.fast(pixels[count // 2 :]))


def test_colors_brighter_than_white_are_white() -> None:
    outer = np.array([[-30.0, -30], [1, 1], [1, 1]])
    fitted = DensityLasso(OpticalDensity("od255", 512), unit(RUIFROK), outer, 0.01)
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    assert (fitted.fast(image)[..., 0] == 255).all()
    assert np.abs(fitted.fast(image).astype(int) - fitted.exact(image)).max() <= 1


@pytest.mark.parametrize("scale", [1.0, 7.0])
def test_stains_that_are_hardly_apart_stay_within_a_level(scale: float) -> None:
    turn = np.radians(5.5)
    near = np.array([[np.cos(turn), 1.0], [np.sin(turn), 0.0], [0.3, 0.3]])
    fitted = DensityLasso(OpticalDensity("od255"), unit(near), DEFAULT_TARGET.stains * scale, 0.01)
    assert fitted.safe
    assert not DensityLasso(fitted.density, fitted.stains, fitted.outer * 10, 0.01).safe
    image = np.random.default_rng(3).integers(0, 256, (500, 500, 3), np.uint8)
    assert np.abs(fitted.fast(image).astype(int) - fitted.exact(image)).max() <= 1


def test_macenko_takes_lasso_concentrations() -> None:
    image = synthetic_he(px=128)
    plain, sparse = (Macenko(od="od255", concentrations=c).fit([image]) for c in ("least-squares", "lasso"))
    assert isinstance(plain, TwoStainMap)
    assert isinstance(sparse, TwoStainMap)
    assert plain.product is not None
    assert plain.penalty is None
    assert "penalty" not in plain.to_dict()
    assert sparse.product is None
    assert sparse.to_dict()["penalty"] == CONCENTRATION_PENALTY
    assert np.array_equal(map_from_dict(sparse.to_dict())(image), sparse(image))
    assert sparse.space != plain.space
    assert plain.space == Macenko(od="od255").space
    assert max(np.subtract(sparse.source.p99, plain.source.p99)) < 0  # the penalty takes a little off


def test_densities_of_one_direction() -> None:
    amounts = np.random.default_rng(0).exponential(1, (500, 1))
    assert one_direction(amounts * np.array([[0.6, 0.7, 0.3]]))
    assert one_direction(np.zeros((100, 3)))
    assert not one_direction(np.random.default_rng(1).exponential(1, (500, 2)) @ unit(RUIFROK).T)
