"""The plane of an archive's vectors: known planes, numpy's own decomposition, and the odd cases."""

import numpy as np
import pytest

from histokin.retrieval.explaining.projection import Plane, sample_rows


def cloud(count: int, dim: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    scales = np.concatenate([[9.0, 5.0], np.linspace(2, 0.1, dim - 2)])
    return np.asarray(rng.standard_normal((count, dim)) * scales + 3, np.float32)


def test_points_of_a_plane_keep_their_distances() -> None:
    rng = np.random.default_rng(1)
    basis, _ = np.linalg.qr(rng.standard_normal((30, 2)))
    flat = rng.standard_normal((50, 2)) * [4, 1]
    vectors = (flat @ basis.T + 7).astype(np.float32)
    plane = Plane.fit(vectors, "euclidean")
    assert sum(plane.shares) == pytest.approx(1, abs=1e-6)
    placed = plane.place(vectors)
    gaps = np.linalg.norm(placed[:, None] - placed[None], axis=2)
    np.testing.assert_allclose(gaps, np.linalg.norm(flat[:, None] - flat[None], axis=2), atol=1e-4)
    assert plane.shown(vectors[:5], vectors[5:10]) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("shape", [(400, 60), (12, 60), (60, 12), (40, 3)])
def test_agrees_with_the_whole_decomposition(shape: tuple[int, int]) -> None:
    vectors = cloud(*shape)
    centered = vectors.astype(np.float64) - vectors.astype(np.float64).mean(axis=0)
    _, spread, axes = np.linalg.svd(centered, full_matrices=False)
    plane = Plane.fit(vectors, "euclidean")
    np.testing.assert_allclose(plane.shares, spread[:2] ** 2 / (spread**2).sum(), rtol=1e-6)
    np.testing.assert_allclose(np.abs((plane.axes * axes[:2]).sum(axis=1)), 1, atol=1e-5)


def test_is_the_same_each_time_and_has_a_fixed_sign() -> None:
    first, second = Plane.fit(cloud(100, 20), "euclidean"), Plane.fit(cloud(100, 20), "euclidean")
    np.testing.assert_array_equal(first.axes, second.axes)
    mirrored = Plane.fit(-cloud(100, 20), "euclidean")
    np.testing.assert_allclose(first.axes, mirrored.axes, atol=1e-9)
    assert (first.axes[np.arange(2), np.abs(first.axes).argmax(axis=1)] > 0).all()


def test_lengths_do_not_count_under_cosine() -> None:
    vectors = cloud(80, 10)
    lengths = np.random.default_rng(2).uniform(0.1, 10, (80, 1)).astype(np.float32)
    once, again = Plane.fit(vectors, "cosine"), Plane.fit(vectors * lengths, "cosine")
    np.testing.assert_allclose(once.place(vectors), again.place(vectors * lengths), atol=1e-5)


def test_what_lies_across_the_plane_is_not_shown() -> None:
    vectors = np.zeros((4, 3), np.float32)
    vectors[:, 0], vectors[:, 1] = [3, -3, 0, 0], [0, 0, 2, -2]
    plane = Plane.fit(vectors, "euclidean")
    here = np.zeros((1, 3), np.float32)
    assert plane.shown(here, np.array([[0, 0, 5]], np.float32)) == pytest.approx(0)
    assert plane.shown(here, np.array([[3, 0, 4]], np.float32)) == pytest.approx(9 / 25)
    assert plane.shown(here, here) == 1


@pytest.mark.parametrize("vectors", [np.ones((1, 5)), np.full((9, 5), 0.1), np.zeros((3, 4)), np.arange(4.0)[:, None]])
def test_odd_archives_have_a_plane_too(vectors: np.ndarray) -> None:
    plane = Plane.fit(vectors.astype(np.float32), "euclidean")
    assert np.isfinite(plane.place(vectors.astype(np.float32))).all()
    assert sum(plane.shares) == pytest.approx(1.0 if vectors.std() > 0.5 else 0.0)


def test_a_sample_is_even_and_at_most_as_large_as_asked() -> None:
    np.testing.assert_array_equal(sample_rows(4, 10), [0, 1, 2, 3])
    rows = sample_rows(100_001, 5000)
    assert (len(rows), rows[0], rows[-1], len(set(rows.tolist()))) == (5000, 0, 100_000, 5000)
    assert set(np.diff(rows).tolist()) <= {20, 21}
