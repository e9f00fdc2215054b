"""Training of the autoencoders: what they can learn, what is chosen, what is written."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from histokin.encoders.autoencoder import cbhir, cbmir
from histokin.encoders.onnx import OnnxEncoder
from histokin.encoders.reconstruction import Reconstructor
from histokin.errors import EncoderError, UnknownName, UsageError
from histokin.nets.cbhir_autoencoder import CbhirAutoencoder
from histokin.nets.cbmir_autoencoder import CbmirAutoencoder, learning_rate
from histokin.testing.appearance import synthetic_he
from histokin.testing.encoders import check_encoder
from histokin.training.autoencoder import (
    PROFILES,
    PUBLISHED_STEPS,
    AutoencoderProfile,
    autoencoder_profile,
    train_autoencoder,
)
from histokin.training.autoencoder_run import moved
from histokin.training.autoencoder_task import AutoencoderTask, pixel_accuracy, remade
from histokin.training.images import ImageSet, from_arrays
from histokin.training.report import Trained

TINY = {
    "cbhir": AutoencoderProfile("tiny", 32, 1e-3, 3, batch=4),
    "cbmir": AutoencoderProfile("tiny", 32, 1e-3, 3, batch=4, decay=2e-5),
}


def pictures(count: int = 12) -> ImageSet:
    return from_arrays("a", [synthetic_he(px=48, seed=i, gain=(0.7, 1.3)) for i in range(count)])


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Trained]:
    folder = tmp_path_factory.mktemp("autoencoders")
    return {kind: train_autoencoder(kind, pictures(), folder / kind, profile=TINY[kind], steps=12) for kind in TINY}


def test_published_schedules() -> None:
    paper = PROFILES["cbhir"]["paper"]
    assert (paper.side, paper.rate, paper.batch, paper.epochs) == (224, 1e-6, 32, 10)
    assert PUBLISHED_STEPS["cbhir"] == 48_000 // 32 * 10
    other = PROFILES["cbmir"]["paper"]
    assert (other.side, other.rate, other.decay, other.epochs, other.patience) == (128, 1e-3, 2e-5, 50, 5)
    assert learning_rate(0, other.rate, other.decay) == 1e-3
    assert learning_rate(50_000, other.rate, other.decay) == pytest.approx(5e-4)


def test_pixel_accuracy_counts_values_within_the_tolerance() -> None:
    wanted = np.zeros((1, 1, 2, 2), np.float32)
    made = np.array([[[[0.0, 0.0625], [0.125, 0.5]]]], np.float32)
    assert pixel_accuracy(made, wanted) == 0.5
    assert pixel_accuracy(made, wanted, tolerance=0.125) == 0.75


@pytest.mark.parametrize("kind", ["cbhir", "cbmir"])
def test_steps_bring_the_error_down(kind: str) -> None:
    torch.manual_seed(0)
    small = np.stack([synthetic_he(px=32, seed=i) for i in range(4)]).transpose(0, 3, 1, 2)
    images = np.ascontiguousarray(small, np.float32) / np.float32(255)
    network = CbhirAutoencoder(32, dropout=0.0) if kind == "cbhir" else CbmirAutoencoder(32)
    task = AutoencoderTask(network, lambda step: images, images, lambda step: 1e-3)
    task.plan(25)
    first = task.step(0)["mse"]
    last = [task.step(i)["mse"] for i in range(1, 25)][-1]
    assert last < 0.7 * first


@pytest.mark.parametrize(("kind", "dim"), [("cbhir", 200), ("cbmir", 48)])
def test_the_folder_is_an_encoder(kind: str, dim: int, trained: dict[str, Trained]) -> None:
    found = trained[kind]
    made = {"cbhir": cbhir, "cbmir": cbmir}[kind](found.folder)
    assert made.spec.dim == dim
    assert made.spec.metric == "euclidean"
    assert made.spec.input_px == 32
    check_encoder(made)
    untrained = OnnxEncoder(found.folder / "untrained")
    assert untrained.spec.space != made.spec.space
    image = synthetic_he(px=48, seed=99)
    assert np.array_equal(made.encode([image]), made.encode([image]))
    assert not np.allclose(made.encode([image]), untrained.encode([image]))


@pytest.mark.parametrize("kind", ["cbhir", "cbmir"])
def test_the_report(kind: str, trained: dict[str, Trained]) -> None:
    found = trained[kind]
    report = json.loads((found.folder / "report.json").read_text())
    assert report["steps"] == {"done": 12, "published": PUBLISHED_STEPS[kind]}
    assert report["weights"]["difference_from_torch"] < 1e-3
    assert report["images"] == {"learn": 10, "select": 1, "test": 1}
    assert {"trained", "untrained", "mean image"} <= set(report["held_out"])
    assert ("without the skip" in report["held_out"]) == (kind == "cbhir")
    assert report["better_than_untrained"] is found.better_than_untrained is True
    assert {"mse", "held_out_mse", "held_out_pixel_accuracy", "step"} <= set(report["history"][-1])
    for name in ("curves.png", "samples.png", "checkpoint.pt", "autoencoder.onnx"):
        assert (found.folder / name).stat().st_size > 1000


def test_onnx_reconstruction_is_that_of_torch(trained: dict[str, Trained]) -> None:
    found = trained["cbmir"]
    stored = torch.load(found.folder / "checkpoint.pt", weights_only=True)
    network = CbmirAutoencoder(32)
    network.load_state_dict(stored["extra"]["best_state"])
    image = synthetic_he(px=32, seed=5)
    planes = np.ascontiguousarray(image.transpose(2, 0, 1)[None], np.float32) / np.float32(255)
    expected = np.rint(remade(network, planes)[0].transpose(1, 2, 0) * 255)
    again = Reconstructor(found.folder)(image)
    assert again.shape == (32, 32, 3)
    assert np.abs(again.astype(float) - expected).max() <= 1


@pytest.mark.parametrize("kind", ["cbhir", "cbmir"])
def test_a_stopped_training_goes_on_to_the_same_weights(kind: str, tmp_path: Path) -> None:
    whole = train_autoencoder(kind, pictures(), tmp_path / "whole", profile=TINY[kind], steps=6)
    reached: list[int] = []

    class Stop(Exception):
        pass

    def stop(moment: object) -> None:
        reached.append(moment.done)  # type: ignore[attr-defined]
        if len(reached) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_autoencoder(kind, pictures(), tmp_path / "parts", profile=TINY[kind], steps=6, watch=stop)
    again = train_autoencoder(kind, pictures(), tmp_path / "parts", profile=TINY[kind], steps=6)
    assert again.report["weights"]["sha256"] == whole.report["weights"]["sha256"]


def test_it_stops_when_nothing_gets_better(tmp_path: Path) -> None:
    profile = replace(TINY["cbmir"], rate=1e-9, patience=2, epochs=50)
    found = train_autoencoder("cbmir", pictures(), tmp_path, profile=profile)
    assert found.report["stopped"] in ("enough", "finished")
    images = np.zeros((2, 3, 16, 16), np.float32)
    task = AutoencoderTask(
        CbmirAutoencoder(16), lambda step: images, images, lambda step: 0.0, check_every=1, patience=2
    )
    task.plan(10)
    asked = []
    for number in range(4):
        task.step(number)
        task.best = -1.0 if number == 1 else task.best  # from here on nothing is better
        task.after(number + 1)
        asked.append(task.enough())
    assert asked[-1]
    assert not asked[0]


def test_double_scaling_is_another_training(tmp_path: Path) -> None:
    """BUG-10: pixels divided by 255 twice while training, once in use."""
    right = train_autoencoder("cbmir", pictures(), tmp_path / "right", profile=TINY["cbmir"], steps=8)
    wrong = train_autoencoder(
        "cbmir", pictures(), tmp_path / "wrong", profile=TINY["cbmir"], steps=8, legacy_double_scaling=True
    )
    image = synthetic_he(px=32, seed=77)

    def error(folder: Path) -> float:
        return float(np.mean((Reconstructor(folder)(image).astype(float) - image) ** 2))

    assert error(wrong.folder) > 1.5 * error(right.folder)


def test_a_start_continues_from_its_weights(trained: dict[str, Trained], tmp_path: Path) -> None:
    start = trained["cbmir"].folder
    fresh = train_autoencoder("cbmir", pictures(), tmp_path / "a", profile=TINY["cbmir"], steps=1)
    later = train_autoencoder(
        "cbmir", pictures(), tmp_path / "b", profile=TINY["cbmir"], steps=1, start=start / "checkpoint.pt"
    )
    assert later.report["history"][0]["mse"] < fresh.report["history"][0]["mse"]


def test_moved_images_stay_images() -> None:
    image = synthetic_he(px=64, seed=1)
    draws = np.random.default_rng(0)
    changed = [moved(image, draws) for _ in range(3)]
    assert all(one.shape == image.shape and one.dtype == np.uint8 for one in changed)
    assert not np.array_equal(changed[0], changed[1])


def test_refusals(tmp_path: Path, trained: dict[str, Trained]) -> None:
    with pytest.raises(UnknownName, match="no autoencoder"):
        train_autoencoder("nobody", pictures(), tmp_path)
    with pytest.raises(UnknownName, match="no profile"):
        autoencoder_profile("cbhir", "nobody")
    with pytest.raises(UsageError, match="side of 20 pixels"):
        autoencoder_profile("cbhir", "paper", 20)
    with pytest.raises(UsageError, match="another configuration"):
        train_autoencoder("cbmir", pictures(), trained["cbmir"].folder, profile=TINY["cbmir"], steps=13)
    with pytest.raises(EncoderError, match="holds the encoder 'cbmir', 'cbhir' was asked for"):
        cbhir(trained["cbmir"].folder)
    folder = tmp_path / "bare"
    folder.mkdir()
    for name in ("encoder.json", "encoder.onnx"):
        (folder / name).write_bytes((trained["cbmir"].folder / name).read_bytes())
    with pytest.raises(EncoderError, match="no autoencoder"):
        Reconstructor(folder)
