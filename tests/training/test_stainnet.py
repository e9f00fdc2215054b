"""StainNet's training: what it can learn, what is selected, what is written."""

import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from histokin.errors import UnknownName, UsageError
from histokin.nets.stainnet import read_stainnet
from histokin.nets.stainnet_torch import StainNetModule, initialize
from histokin.stain.macenko import Macenko
from histokin.stain.none import NoNormalizer
from histokin.stain.registry import normalizer
from histokin.testing.appearance import synthetic_he
from histokin.training.batches import Batch, to_planes
from histokin.training.images import ImageSet, from_arrays
from histokin.training.report import Moment, Trained
from histokin.training.stainnet import (
    PROFILES,
    NetProfile,
    NetShape,
    net_profile,
    teacher_from,
    train_stainnet,
)
from histokin.training.stainnet_task import DistillTask
from histokin.types import RGB

TINY = NetProfile("tiny", "adam", 5e-3, 2, 32, 20, check_epochs=1)


def sources(count: int = 10) -> ImageSet:
    return from_arrays("a", [synthetic_he(px=48, seed=i, gain=(0.7, 1.3)) for i in range(count)])


def smooth(planes: Batch) -> Batch:
    """A fixed smooth color map in -1 to 1, channels mixed."""
    mix = np.array([[0.7, 0.2, 0.1], [0.1, 0.6, 0.2], [0.0, 0.3, 0.7]], np.float32)
    bent = np.einsum("oc,nchw->nohw", mix, np.sin(1.2 * planes))
    return np.asarray(bent, np.float32)


def decibels(one: Batch, other: Batch) -> float:
    """PSNR of images in -1 to 1."""
    return float(10 * np.log10(4.0 / np.mean((one - other) ** 2)))


def fit(optimizer: str, rate: float, planes: Batch, wanted: Batch, steps: int) -> tuple[float, float]:
    network = StainNetModule()
    initialize(network, torch.Generator().manual_seed(0))
    task = DistillTask(network, lambda step: (planes, wanted), lambda n: 0.0, optimizer=optimizer, rate=rate)
    task.plan(steps)
    found = []
    for done in (0, steps):
        with torch.no_grad():
            found.append(decibels(network(torch.from_numpy(planes)).numpy(), wanted))
        if not done:
            for number in range(steps):
                task.step(number)
    return found[0], found[1]


def test_published_profile() -> None:
    paper = PROFILES["paper"]
    assert (paper.optimizer, paper.rate, paper.batch, paper.epochs, paper.crop) == ("sgd", 0.01, 10, 300, 256)
    assert (paper.check_epochs, paper.minutes) == (5, None)


def test_sgd_is_plain_and_rate_falls_along_a_cosine_between_epochs() -> None:
    def nothing(step: int) -> tuple[Batch, Batch]:
        raise AssertionError(step)

    network = StainNetModule()
    task = DistillTask(network, nothing, lambda n: 0.0, optimizer="sgd", rate=0.01, steps_per_epoch=4)
    task.plan(1200)
    group = task.optimizers["network"].param_groups[0]
    assert (group["momentum"], group["weight_decay"]) == (0, 0)
    assert task.rate(0) == task.rate(3) == 0.01
    assert task.rate(4) < 0.01
    assert task.rate(600) == pytest.approx(0.005)
    assert task.rate(1200) == pytest.approx(0.0)


def test_one_batch_is_learned_by_heart() -> None:
    planes = to_planes([synthetic_he(px=32, seed=i) for i in range(2)])
    before, after = fit("adam", 1e-3, planes, smooth(planes), 1400)
    assert before < 15
    assert after > 30


def test_published_optimizer_rises_on_a_stain_shift() -> None:
    """Source and target show the same dyes in other amounts; the published rate is slow but sure."""
    pairs = [(synthetic_he(px=32, seed=i), synthetic_he(px=32, seed=i, gain=(0.6, 1.3))) for i in range(4)]
    planes, wanted = to_planes([one for one, _ in pairs]), to_planes([other for _, other in pairs])
    before, after = fit("sgd", 0.01, planes, wanted, 900)
    assert before < 14
    assert after > 20


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    out = tmp_path_factory.mktemp("net") / "out"
    return train_stainnet(sources(), Macenko(), out, profile=TINY, steps=120, target="built-in", device="cpu")


def test_files_and_figures(trained: Trained) -> None:
    report = json.loads((trained.folder / "report.json").read_text())
    assert report["steps"] == {"done": 120, "published": 67_800}
    assert report["images"] == {"learn": 8, "select": 1, "test": 1}
    assert trained.better_than_untrained
    assert report["held_out"]["trained"]["psnr"] > report["held_out"]["untrained"]["psnr"] + 5
    assert report["parameters"] == 1283
    assert report["configuration"]["sources"] == sources().digest
    weights = read_stainnet(trained.weights)
    assert weights.metadata["steps"] == "120/67800"
    assert (weights.metadata["style"], weights.metadata["target"]) == ("a", "built-in")
    assert weights.metadata["teacher"] == Macenko().space
    for name in ("curves.png", "samples.png"):
        assert (trained.folder / name).read_bytes().startswith(b"\x89PNG")


def test_written_weights_serve_the_normalizer(trained: Trained) -> None:
    image = sources().load(0)
    mapped = normalizer("stainnet", weights=str(trained.weights)).fit([image])(image)
    taught = Macenko().fit([sources().load(i) for i in range(10)])(image)

    def apart(one: RGB, other: RGB) -> float:
        return float(np.abs(one.astype(int) - other).mean())

    assert apart(np.asarray(mapped, np.uint8), np.asarray(taught, np.uint8)) < 12


def test_resumed_training_is_the_same(trained: Trained, tmp_path: Path) -> None:
    def interrupt(moment: Moment) -> None:
        if moment.done == 47:
            os.kill(os.getpid(), signal.SIGINT)

    args = (sources(), Macenko(), tmp_path / "out")
    with pytest.raises(KeyboardInterrupt):
        train_stainnet(*args, profile=TINY, steps=120, target="built-in", device="cpu", watch=interrupt)
    again = train_stainnet(*args, profile=TINY, steps=120, target="built-in", device="cpu")
    assert read_stainnet(again.weights).digest == read_stainnet(trained.weights).digest
    assert again.report["history"] == trained.report["history"]
    with pytest.raises(UsageError, match="another configuration: teacher"):
        train_stainnet(sources(), NoNormalizer(), tmp_path / "out", profile=TINY, steps=120, device="cpu")
    with pytest.raises(UsageError, match="another configuration: profile"):
        train_stainnet(*args, profile=replace(TINY, rate=1e-4), steps=120, device="cpu")


def test_selection_on_test_images_only_when_asked(trained: Trained, tmp_path: Path) -> None:
    """The published choice uses the images that give the figures: it can only look better on them."""
    args = (sources(), Macenko(), tmp_path / "out")
    legacy = train_stainnet(*args, profile=TINY, steps=120, device="cpu", legacy_select_on_test=True).report
    usual = trained.report
    assert legacy["selection"]["psnr"] == pytest.approx(legacy["held_out"]["trained"]["psnr"])
    assert usual["selection"]["psnr"] != pytest.approx(usual["held_out"]["trained"]["psnr"])
    assert legacy["held_out"]["trained"]["psnr"] >= usual["held_out"]["trained"]["psnr"]
    chosen = max(row["held_out_psnr"] for row in legacy["history"] if "held_out_psnr" in row)
    assert legacy["selection"]["psnr"] == chosen


def test_wide_layers_and_a_start(trained: Trained, tmp_path: Path, shared_data: Path) -> None:
    args = (sources(), Macenko())
    wide = train_stainnet(*args, tmp_path / "wide", profile=TINY, steps=2, shape=NetShape(3, 8, 2), device="cpu")
    assert [layer.side for layer in read_stainnet(wide.weights).layers] == [3, 3, 1]
    warm = train_stainnet(*args, tmp_path / "warm", profile=TINY, steps=1, start=trained.weights, device="cpu")
    cold = train_stainnet(*args, tmp_path / "cold", profile=TINY, steps=1, device="cpu")
    assert warm.report["losses"]["l1"] < 0.5 * cold.report["losses"]["l1"]
    published = next((shared_data / "weights" / "stainnet").glob("*.pth"))
    from_published = train_stainnet(*args, tmp_path / "pub", profile=TINY, steps=1, start=published, device="cpu")
    assert from_published.report["configuration"]["start"] == read_stainnet(published).digest
    with pytest.raises(UsageError, match="a start and a structure"):
        train_stainnet(*args, tmp_path / "x", profile=TINY, steps=1, start=published, shape=NetShape())


def test_teachers_by_name_and_by_file(trained: Trained, tmp_path: Path) -> None:
    assert teacher_from("macenko").name == "macenko"
    assert teacher_from(str(trained.weights)).name == "stainnet"
    with pytest.raises(UnknownName, match="macenkoo"):
        teacher_from("macenkoo")
    with pytest.raises(UsageError, match="takes no target"):
        teacher_from(str(trained.weights), tmp_path / "target.png")


def test_wrong_requests(tmp_path: Path) -> None:
    blank = from_arrays("blank", [np.full((48, 48, 3), 255, np.uint8)] * 6)
    with pytest.raises(UsageError, match="nothing to teach"):
        train_stainnet(blank, Macenko(), tmp_path, profile=TINY, steps=1)
    with pytest.raises(UsageError, match="48 x 48 pixels, crops of 128"):
        train_stainnet(sources(), Macenko(), tmp_path / "b", profile="reduced", steps=1)
    with pytest.raises(UnknownName, match="no profile 'quick'"):
        net_profile("quick")
    with pytest.raises(UsageError, match="4 of 3 layers"):
        train_stainnet(sources(), Macenko(), tmp_path / "c", profile=TINY, shape=NetShape(wide=4), steps=1)
