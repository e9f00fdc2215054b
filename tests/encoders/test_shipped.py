"""The encoders that come with the package: their numbers, their identity, the default's worth on real tiles."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from histokin.encoders.registry import DEFAULT_ENCODER, encoder
from histokin.encoders.shipped import WEIGHTS
from histokin.metrics import ranking
from histokin.nets.manifest import file_digest, load_manifest
from histokin.testing.encoders import check_encoder

# A name keeps its weights for good: archives remember both. New weights get a new name and a new line.
DIGESTS = {"efficientnet-lite0-b14": "927a190cbc52", "efficientnet-lite0-tissue": "ccd82b101b2a"}


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    rows, columns = np.mgrid[0:224, 0:224]
    return np.stack([rows, columns, (rows * columns) % 256], axis=2).astype(np.uint8)


def test_golden_vector(picture: np.ndarray) -> None:
    vector = encoder("efficientnet-lite0-b14").encode([picture])[0]
    golden = [0.030195, -0.015483, 0.050221, -0.061932, 0.064404, 0.015126, -0.055687, 0.014294]
    np.testing.assert_allclose(vector[:8], golden, atol=1e-4)
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)


def test_golden_vector_of_the_tissue_encoder(picture: np.ndarray) -> None:
    vector = encoder("efficientnet-lite0-tissue").encode([picture])[0]
    golden = [-0.202374, 0.105294, 0.307561, 0.163768, -0.06175, -0.234204, -0.011308, 0.08836]
    np.testing.assert_allclose(vector[:8], golden, atol=1e-4)
    assert vector.shape == (128,)
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)


def test_the_tissue_encoder_names_what_it_was_fitted_on_and_under_which_licences() -> None:
    manifest, file = load_manifest(WEIGHTS / "efficientnet-lite0-tissue")
    assert file_digest(file) == manifest.sha256
    assert (manifest.dim, manifest.licence, manifest.metric) == (128, "Apache-2.0", "euclidean")
    for part in ("700 tiles, CC0", "Kather et al. 2018 (50 tiles, CC BY 4.0)", "CMU-1-Small-Region (59 tiles, CC0)"):
        assert part in manifest.training_data


@pytest.mark.parametrize(("name", "digest"), DIGESTS.items())
def test_a_name_keeps_its_weights(name: str, digest: str) -> None:
    assert encoder(name).spec.space == f"{name}/{digest}/fp32"
    assert encoder(name).spec.name == name


def test_every_folder_of_weights_is_pinned() -> None:
    assert {folder.name for folder in WEIGHTS.iterdir() if folder.is_dir()} == set(DIGESTS)
    assert DEFAULT_ENCODER in DIGESTS
    assert DEFAULT_ENCODER == "efficientnet-lite0-b14"
    size = sum(file.stat().st_size for file in WEIGHTS.rglob("*.onnx"))
    assert size <= 20e6


@pytest.mark.parametrize("name", DIGESTS)
def test_contract(name: str) -> None:
    check_encoder(encoder(name))


def test_threads_do_not_change_a_bit(picture: np.ndarray) -> None:
    images = [np.roll(picture, shift, axis=0) for shift in range(5)]
    one, three = encoder(threads=1).encode(images), encoder(threads=3).encode(images)
    np.testing.assert_array_equal(one, three)


def _tiles(folders: list[Path]) -> tuple[np.ndarray, np.ndarray]:
    files = [path for folder in folders for path in sorted(folder.iterdir())]
    images = [np.asarray(Image.open(path).convert("RGB")) for path in files]
    return encoder().encode(images), np.array([path.parent.name for path in files])


@pytest.mark.slow
def test_across_laboratories(shared_data: Path) -> None:
    archive, labels = _tiles([shared_data / "crc5" / name for name in ("H", "AC")])
    expected = {
        ("lc25000-colon-768", "colon_n", "colon_aca"): (0.938, 0.910),
        ("nct-crc-val-70", "NORM", "TUM"): (0.750, 0.820),
    }
    for (folder, normal, cancer), (at_one, at_five) in expected.items():
        queries, names = _tiles([shared_data / folder / name for name in (normal, cancer)])
        truth = np.where(names == normal, "H", "AC")
        near = labels[np.argsort(-queries @ archive.T, axis=1, kind="stable")[:, :5]]
        assert ranking.precision_at_k(near, truth, 1).mean() == pytest.approx(at_one, abs=0.03)
        assert ranking.precision_at_k(near, truth, 5).mean() == pytest.approx(at_five, abs=0.03)
