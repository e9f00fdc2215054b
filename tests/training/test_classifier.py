"""Training a classifier: what it writes, that it can be resumed, learns, and refuses what cannot work."""

import json
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from histokin.classifiers.registry import classifier
from histokin.errors import EncoderError, UsageError
from histokin.nets.classifier_file import planes
from histokin.nets.classifier_network import classifier_network
from histokin.stain.registry import appearance_from_dict, normalizer
from histokin.testing.appearance import synthetic_he
from histokin.training.classifier import train_classifier
from histokin.training.classifier_images import ClassifierImages, augmented
from histokin.training.classifier_profiles import ClassifierProfile
from histokin.training.classifier_run import ClassifierTraining
from histokin.training.classifier_start import SHIPPED, chosen_start
from histokin.training.classifier_steps import ClassifierSteps, HeldOut, optimizer_of
from histokin.training.images import ImageSet, from_arrays
from histokin.training.report import Moment

TINY = ClassifierProfile("tiny", 32, 1e-3, 2, batch=4, start="shipped")


def tiles(count: int = 16) -> tuple[ImageSet, dict[str, str]]:
    images = from_arrays("a", [synthetic_he(px=48, seed=i) for i in range(count)])
    return images, {name: "AC" if i % 2 else "H" for i, name in enumerate(images.names)}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("classifier")
    images, labels = tiles()
    train_classifier(images, labels, out, profile=TINY, normalizer=normalizer("macenko"), mpp=0.5)
    return out


def test_what_is_written(trained: Path) -> None:
    report = json.loads((trained / "report.json").read_text())
    assert report["class_names"] == ["AC", "H"]
    assert report["profile"] == "tiny"
    assert report["parts"]["train"]["images"] + report["parts"]["test"]["images"] < 16
    assert set(report["test"]["classes"]) == {"AC", "H"}
    for name in ("ece", "ece_before", "cross_entropy", "kappa", "mean_average_precision", "macro_f1"):
        assert report["test"][name] is not None
    assert set(report["weights"]["difference_from_torch"]) == {"logits", "maps", "pooled", "cam"}
    assert max(report["weights"]["difference_from_torch"].values()) < 1e-3
    assert [row["step"] for row in report["history"] if "held_out_accuracy" in row]
    for name in ("curves.png", "confusion.png", "roc.png", "reliability.png"):
        assert (trained / name).read_bytes().startswith(b"\x89PNG")


def test_the_written_classifier_explains_itself(trained: Path) -> None:
    made, raw = classifier(trained), classifier(trained / "untrained")
    images = [synthetic_he(px=48, seed=i) for i in range(3)]
    found = made.explain(images, [1, 0, 1])
    np.testing.assert_allclose(
        found.maps.mean(axis=(1, 2)) + made.bias[[1, 0, 1]], found.logits[[0, 1, 2], [1, 0, 1]], atol=1e-4
    )
    assert not np.allclose(found.logits, raw.logits(images))
    assert made.spec.classes == raw.spec.classes == ("AC", "H")
    assert made.spec.mpp == pytest.approx(0.5 * 48 / 32)
    assert made.spec.normalizer is not None
    assert appearance_from_dict(made.spec.normalizer).space == normalizer("macenko").space
    assert made.spec.temperature > 0


def test_resumed_is_the_same_as_never_stopped(tmp_path: Path) -> None:
    images, labels = tiles()

    def sit(out: Path, seed: int = 0, stop_at: int = 0) -> tuple[dict[str, torch.Tensor], int]:
        def watch(moment: Moment) -> None:
            if moment.done == stop_at:
                signal.raise_signal(signal.SIGINT)

        training = ClassifierTraining("small", images, labels, ["AC", "H"], TINY, seed, "cpu", None, None, None)
        task, outcome = training.sit(out, {"seed": seed}, 4, None, watch)
        return dict(task.modules["network"].state_dict()), outcome.steps

    whole, _ = sit(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        sit(tmp_path / "part", stop_at=2)
    part, steps = sit(tmp_path / "part")
    assert steps == 4
    assert all(torch.allclose(part[name], whole[name], atol=1e-6) for name in whole)
    with pytest.raises(UsageError, match="another configuration: seed is 0 there and 1 here"):
        sit(tmp_path / "part", seed=1)


def test_profiles_sized_by_time_take_their_least_epochs_at_least(tmp_path: Path) -> None:
    images, labels = tiles(12)
    hurried = replace(TINY, minutes=1e-6, least_epochs=2)
    training = ClassifierTraining("small", images, labels, ["AC", "H"], hurried, 0, "cpu", None, None, None)
    _, outcome = training.sit(tmp_path, {}, None, None, None)
    assert outcome.stopped == "finished"
    assert outcome.steps == 2 * 2  # eight or nine images, four a step


def test_small_network_overfits_ten_images_within_60_steps() -> None:
    torch.manual_seed(0)
    images = np.stack([planes(synthetic_he(px=64, seed=i)) for i in range(10)])
    numbers = np.arange(10) % 5
    profile = replace(TINY, rate=1e-2, augment=False)
    network = classifier_network("small", 5, seed=0)
    chosen_start("small", None, "shipped").fill(network)
    held = HeldOut(lambda place: images if place == 0 else None, numbers)
    task = ClassifierSteps(network, lambda step: (images, numbers), held, profile, 5)
    task.plan(60)
    accuracy = 0.0
    for number in range(60):
        task.step(number)
        accuracy = max(accuracy, task.after(number + 1).get("held_out_accuracy", 0.0))
        if accuracy == 1:
            break
    assert accuracy == 1.0
    assert (held.logits(task.best_network()).argmax(axis=1) == numbers).mean() >= 0.9


def test_best_epoch_and_patience() -> None:
    network = classifier_network("small", 2, seed=0)
    images, numbers = np.zeros((2, 3, 32, 32), np.float32), np.array([0, 1])
    held = HeldOut(lambda place: images if place == 0 else None, numbers)
    task = ClassifierSteps(network, lambda step: (images, numbers), held, replace(TINY, patience=2), 1)
    task.plan(10)
    assert task.after(1)
    first = task.best
    with torch.no_grad():
        network.head.bias.copy_(torch.tensor([9.0, -9.0]))
    task.after(2)
    assert not task.enough()
    task.after(3)
    assert task.enough()
    assert (task.best, task.best_step) == (first, 1)
    assert float(task.best_network().head.bias[0].detach()) < 1


def test_optimizers_are_those_of_the_paper() -> None:
    network = torch.nn.Linear(2, 2)
    prop = optimizer_of(network, replace(TINY, optimizer="rmsprop", epsilon=1.0, rate=1e-3))
    assert isinstance(prop, torch.optim.RMSprop)
    assert (prop.defaults["alpha"], prop.defaults["eps"], prop.defaults["lr"]) == (0.9, 1.0, 1e-3)
    adam = optimizer_of(network, replace(TINY, epsilon=1e-7))
    assert isinstance(adam, torch.optim.AdamW)
    assert (adam.defaults["weight_decay"], adam.defaults["eps"]) == (0.0, 1e-7)


def test_augmentation_keeps_the_size_and_the_input() -> None:
    image = synthetic_he(px=48, seed=0)
    before = image.copy()
    made = [augmented(image, np.random.default_rng(seed)) for seed in range(8)]
    assert all(one.shape == image.shape and one.dtype == np.uint8 for one in made)
    assert (image == before).all()
    assert not np.array_equal(made[0], made[1])
    np.testing.assert_array_equal(made[0], augmented(image, np.random.default_rng(0)))


def test_a_normalizer_is_fitted_to_every_group_by_itself() -> None:
    pictures = [synthetic_he(px=48, seed=i, gain=(1.0 + i // 3, 1.0)) for i in range(6)]
    images = from_arrays("a", pictures, ["one"] * 3 + ["two"] * 3)
    method = normalizer("reinhard")
    own = ClassifierImages(images, 48, method)
    for i, group in ((1, pictures[:3]), (4, pictures[3:])):
        np.testing.assert_array_equal(own.image(i), method.fit(group)(pictures[i]))


def test_refusals(tmp_path: Path) -> None:
    images, labels = tiles(6)
    with pytest.raises(UsageError, match="has no class"):
        train_classifier(images, {}, tmp_path, profile=TINY)
    with pytest.raises(UsageError, match="one class only"):
        train_classifier(images, dict.fromkeys(images.names, "H"), tmp_path, profile=TINY)
    with pytest.raises(UsageError, match="no weights of resnet50 come with the package"):
        train_classifier(images, labels, tmp_path, network="resnet50", profile=replace(TINY, input_px=48))
    with pytest.raises(UsageError, match="cannot take 16 x 16"):
        train_classifier(images, labels, tmp_path, profile=replace(TINY, input_px=16))
    with pytest.raises(EncoderError, match="no such weight file"):
        train_classifier(images, labels, tmp_path, profile=TINY, start=tmp_path / "none.pth")
    (tmp_path / "wrong.pth").write_bytes(b"no weights")
    with pytest.raises(EncoderError, match="cannot be read"):
        chosen_start("resnet50", tmp_path / "wrong.pth", "random").fill(classifier_network("resnet50", 2, seed=0))
    torch.save({"fc.weight": torch.zeros(2, 2)}, tmp_path / "other.pth")
    with pytest.raises(EncoderError, match="belong to another network than resnet50"):
        chosen_start("resnet50", tmp_path / "other.pth", "random").fill(classifier_network("resnet50", 2, seed=0))


def test_a_damaged_checkpoint_is_named(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "checkpoint.pt").write_bytes((trained / "checkpoint.pt").read_bytes()[:1000])
    images, labels = tiles()
    with pytest.raises(Exception, match="the checkpoint is damaged") as caught:
        train_classifier(images, labels, tmp_path, profile=TINY, steps=1)
    assert str(tmp_path / "checkpoint.pt") in str(caught.value)


def test_weights_of_imagenet_are_taken_but_for_the_last_layer(tmp_path: Path) -> None:
    source = classifier_network("resnet50", 1000, seed=3).body
    torch.save(source.state_dict(), tmp_path / "imagenet.pth")
    start = chosen_start("resnet50", tmp_path / "imagenet.pth", "random")
    made = classifier_network("resnet50", 5, seed=0)
    start.fill(made)
    assert torch.equal(made.body.layer4[2].conv3.weight, source.layer4[2].conv3.weight)
    assert made.head.weight.shape == (5, 2048)
    assert start.name == "imagenet.pth"
    assert chosen_start("small", None, "shipped").path == SHIPPED
