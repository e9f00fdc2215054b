"""The DCNN comparator: it learns classes that can be told, and its encoder file is what it learned."""

from pathlib import Path

import numpy as np
import pytest

from histokin.encoders.registry import encoder
from histokin.errors import UsageError
from histokin.training.dcnn import DcnnProfile, train_dcnn
from histokin.training.images import ImageSet, from_arrays

torch = pytest.importorskip("torch")

TINY = DcnnProfile(side=16, epochs=3, batch=8)


def two_classes(each: int = 20) -> tuple[ImageSet, dict[str, str]]:
    """Stripes across and stripes down, at random phases."""
    rng = np.random.default_rng(0)
    pictures = []
    for i in range(2 * each):
        wave = 127 + 100 * np.sin(np.arange(16) * 1.5 + rng.uniform(0, 6))
        plane = np.tile(wave, (16, 1)) if i % 2 else np.tile(wave, (16, 1)).T
        noisy = plane[:, :, None] + rng.normal(0, 8, (16, 16, 3))
        pictures.append(np.clip(noisy, 0, 255).astype(np.uint8))
    images = from_arrays("stripes", pictures)
    return images, {name: ("down" if i % 2 else "across") for i, name in enumerate(images.names)}


def test_it_learns_and_writes_an_encoder(tmp_path: Path) -> None:
    images, labels = two_classes()
    done = train_dcnn(images, labels, tmp_path / "dcnn", profile=TINY, steps=40, device="cpu")
    held = done.report["held_out"]
    assert held["trained"]["accuracy"] == 1.0
    assert held["untrained"]["cross_entropy"] > 10 * held["trained"]["cross_entropy"]
    assert done.report["parameters"] == 389_890
    assert done.report["classes"] == ["across", "down"]
    assert done.report["weights"]["difference_from_torch"] < 1e-3
    trained, raw = encoder("onnx", path=tmp_path / "dcnn"), encoder("onnx", path=tmp_path / "dcnn" / "untrained")
    assert (trained.spec.name, trained.spec.dim, trained.spec.input_px) == ("dcnn", 256, 16)
    assert trained.spec.space != raw.spec.space


def test_it_is_decided_by_its_seed_and_taken_as_it_is_when_done(tmp_path: Path) -> None:
    images, labels = two_classes(10)

    one = train_dcnn(images, labels, tmp_path / "a", profile=TINY, steps=6, device="cpu")
    two = train_dcnn(images, labels, tmp_path / "b", profile=TINY, steps=6, device="cpu")
    other = train_dcnn(images, labels, tmp_path / "c", profile=TINY, steps=6, device="cpu", seed=1)
    assert one.report["weights"]["sha256"] == two.report["weights"]["sha256"]
    assert one.report["weights"]["sha256"] != other.report["weights"]["sha256"]
    again = train_dcnn(images, labels, tmp_path / "a", profile=TINY, steps=6, device="cpu")
    assert again.report["weights"]["sha256"] == one.report["weights"]["sha256"]


def test_what_cannot_be_trained_is_refused(tmp_path: Path) -> None:
    images, labels = two_classes(3)
    with pytest.raises(UsageError, match="has no class"):
        train_dcnn(images, {}, tmp_path, profile=TINY)
    with pytest.raises(UsageError, match="one class only"):
        train_dcnn(images, dict.fromkeys(labels, "same"), tmp_path, profile=TINY)
    with pytest.raises(UsageError, match="multiple of 16"):
        train_dcnn(images, labels, tmp_path, profile=DcnnProfile(side=20))
