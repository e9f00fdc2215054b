"""The color histogram against counts done by hand, and against its published baseline on real tiles."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from histokin.encoders.color_histogram import BINS, ColorHistogram, color_shares
from histokin.metrics import ranking
from histokin.testing.encoders import check_encoder


def test_contract() -> None:
    check_encoder(ColorHistogram())


def test_bins_of_known_colors() -> None:
    image = np.array([[[255, 0, 0], [255, 31, 0]], [[0, 32, 0], [0, 0, 255]]], dtype=np.uint8)
    shares = color_shares(image)
    expected = np.zeros(BINS)
    expected[[7 * 64, 8, 7]] = [0.5, 0.25, 0.25]
    np.testing.assert_array_equal(shares, expected)


def test_distance_is_hellingers_times_root_two() -> None:
    red, blue = (np.zeros((224, 224, 3), dtype=np.uint8) for _ in range(2))
    red[..., 0], blue[..., 2] = 255, 255
    half = red.copy()
    half[:112] = blue[:112]
    one, two, mixed = ColorHistogram().encode([red, blue, half]).astype(np.float64)
    assert np.linalg.norm(one - two) == pytest.approx(np.sqrt(2))
    assert np.linalg.norm(one - mixed) == pytest.approx(np.sqrt(2) * np.sqrt(1 - np.sqrt(0.5)), rel=1e-6)


def _tiles(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    files = sorted(folder.rglob("*.jp*g"))
    images = [np.asarray(Image.open(path).convert("RGB")) for path in files]
    return ColorHistogram().encode(images).astype(np.float64), np.array([path.parent.name for path in files])


def test_published_baseline(shared_data: Path) -> None:
    vectors, labels = _tiles(shared_data / "crc5")
    squared = 2 - 2 * vectors @ vectors.T
    np.fill_diagonal(squared, np.inf)
    near = labels[np.argsort(squared, axis=1, kind="stable")[:, :5]]
    assert ranking.precision_at_k(near, labels, 1).mean() == pytest.approx(0.986, abs=0.01)
    assert ranking.precision_at_k(near, labels, 5).mean() == pytest.approx(0.958, abs=0.01)
    assert (ranking.majority_vote(near, 5) == labels).mean() == pytest.approx(0.971, abs=0.01)

    archive, classes = vectors[np.isin(labels, ["H", "AC"])], labels[np.isin(labels, ["H", "AC"])]
    queries, folders = _tiles(shared_data / "lc25000-colon-768")
    truth = np.where(folders == "colon_n", "H", "AC")
    near = classes[np.argsort(-queries @ archive.T, axis=1, kind="stable")[:, :5]]
    assert ranking.precision_at_k(near, truth, 1).mean() == pytest.approx(0.537, abs=0.01)
    assert ranking.precision_at_k(near, truth, 5).mean() == pytest.approx(0.545, abs=0.01)
    assert (ranking.majority_vote(near, 5) == truth).mean() == pytest.approx(0.475, abs=0.01)
