"""pix2pix and CycleGAN between modalities: losses and schedules by known answers, then small trainings."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from histokin.errors import UnknownName, UsageError
from histokin.modality.registry import representation
from histokin.training.cyclegan import PROFILES as CYCLE
from histokin.training.cyclegan import cyclegan_profile, train_cyclegan
from histokin.training.pairs import PairSet, pairs_from_arrays
from histokin.training.pix2pix import PROFILES as PIX
from histokin.training.pix2pix import pix2pix_profile, train_pix2pix
from histokin.training.pix2pix_task import Pix2PixTask, gan_loss
from histokin.training.report import Trained
from histokin.training.translation import TranslationProfile
from histokin.training.translation_run import input_of, joint_range

TINY = TranslationProfile("tiny", width=4, depth=3, crop=32, batch=2, constant=1, falling=1)
CPU = torch.device("cpu")


def pairs(count: int = 4, brightest: int = 255) -> PairSet:
    made = []
    for i in range(count):
        rows = np.linspace(0, brightest, 40 + i, dtype=np.uint8)[:, None, None]
        one = np.broadcast_to(255 - rows, (40 + i, 44, 3)).copy()
        made.append((one, np.broadcast_to(rows, (40 + i, 44, 1)).copy()))
    return pairs_from_arrays(("brightfield", "shg"), [f"{i}" for i in range(count)], made)


def square(value: float) -> np.ndarray:
    return np.full((2, 3, 32, 32), value, np.float32)


def task_on(one: np.ndarray, other: np.ndarray, channels: tuple[int, int] = (3, 1)) -> Pix2PixTask:
    return Pix2PixTask(lambda step: (one, other), channels, TINY, seed=0, device=CPU)


def test_gan_loss_of_constants() -> None:
    nothing = torch.zeros(2, 1, 3, 3)
    assert float(gan_loss(nothing, True)) == float(gan_loss(nothing, False)) == pytest.approx(math.log(2))
    sure = torch.full((1, 1, 2, 2), 2.0)
    assert float(gan_loss(sure, True)) == pytest.approx(math.log(1 + math.exp(-2)))
    assert float(gan_loss(sure, False)) == pytest.approx(2 + math.log(1 + math.exp(-2)))


def test_losses_are_weighted_as_published() -> None:
    """Generators that always give mid-gray: L1 is the mean of the target's values; blind judges lose ln 2."""
    task = task_on(square(0.5), square(-0.25))
    for name, module in task.modules.items():
        last = list(module.parameters())
        for parameter in last if name.startswith("judge") else last[-2:]:
            torch.nn.init.zeros_(parameter)
    losses = task.step(0)
    assert losses["towards_other_l1"] == pytest.approx(100 * 0.25)
    assert losses["towards_one_l1"] == pytest.approx(100 * 0.5)
    assert losses["towards_other_judge"] == losses["towards_one_judge"] == pytest.approx(math.log(2))
    assert {group["betas"] for o in task.optimizers.values() for group in o.param_groups} == {(0.5, 0.999)}


def test_one_pair_is_learned_by_heart() -> None:
    draws = np.random.default_rng(0)
    one = np.repeat(draws.uniform(-1, 1, (2, 3, 8, 8)).astype(np.float32), 4, axis=2).repeat(4, axis=3)
    task = task_on(one, -one.mean(axis=1, keepdims=True).repeat(3, axis=1))
    task.plan(400)
    losses = [task.step(n)["towards_other_l1"] for n in range(150)]
    assert np.mean(losses[-5:]) < 0.6 * np.mean(losses[:5])


def test_published_profiles_and_rates() -> None:
    paper = PIX["paper"]
    assert (paper.width, paper.depth, paper.crop, paper.batch) == (64, 8, 256, 16)
    assert (paper.epoch, paper.steps, paper.pressed) == (320, 64_000, None)
    cycle = CYCLE["paper"]
    assert (cycle.width, cycle.depth, cycle.crop, cycle.batch, cycle.steps) == (64, 9, 256, 1, 1_024_000)
    task = task_on(square(0), square(0))
    task.plan(TINY.steps)
    assert task.rate(0) == task.rate(TINY.epoch) == 2e-4
    pressed = task_on(square(0), square(0))
    pressed.plan(100)
    assert [pressed.rate(n) for n in (0, 50, 75, 100)] == pytest.approx([2e-4, 2e-4, 1e-4, 0.0])


def test_refused_profiles() -> None:
    for profile in (pix2pix_profile, cyclegan_profile):
        with pytest.raises(UnknownName):
            profile("fast")
    with pytest.raises(UsageError, match="multiple of 256"):
        pix2pix_profile("paper", 128)
    with pytest.raises(UsageError, match="multiple of 4"):
        cyclegan_profile("paper", 66)


def test_scaling_is_by_modality_unless_legacy() -> None:
    assert input_of("brightfield", 1, None).high == 1.0
    assert input_of("shg", 1, None).high == pytest.approx(math.log(2))
    low, high = joint_range(pairs(brightest=128))
    assert low == 0.0
    assert high == pytest.approx(1.0)
    legacy = input_of("shg", 1, (low, high))
    white = np.full((32, 32, 1), 255, np.uint8)
    assert legacy.prepare(white).max() == pytest.approx(2 * math.log(2) - 1)
    assert input_of("shg", 1, None).prepare(white).max() == pytest.approx(1)


@pytest.fixture(scope="module", params=["pix2pix", "cyclegan"])
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    train: Callable[..., Trained] = {"pix2pix": train_pix2pix, "cyclegan": train_cyclegan}[request.param]
    profile = TranslationProfile("tiny", width=4, depth=3, shrink=1, crop=32, batch=2, constant=1, falling=1)
    return train(pairs(), tmp_path_factory.mktemp(request.param), profile=profile, steps=25, device="cpu")


def test_files_and_figures(trained: Trained) -> None:
    report = json.loads((trained.folder / "report.json").read_text())
    assert report["steps"]["done"] == 25
    assert report["pairs"] == {"learned_from": 3, "held_out": 1}
    assert set(report["held_out"]["trained"]) == {
        f"{what}_{modality}" for what in ("correlation", "l1") for modality in ("brightfield", "shg")
    }
    for name in ("curves.png", "samples.png", "representation.json", "untrained/representation.json"):
        assert (trained.folder / name).is_file()


def test_the_folder_leads_both_ways(trained: Trained) -> None:
    kind = trained.report["kind"]
    one, other = pairs().load(2)
    for towards, home, channels in (("brightfield", one, 3), ("shg", other, 1)):
        made = representation(kind, path=trained.folder, towards=towards)
        assert made.map("brightfield")(one).shape == made.map("shg")(other).shape == (42, 44, channels)
        kept = made.map(towards)(home).astype(int)
        if towards == "brightfield":
            assert np.array_equal(kept, home)
        else:
            assert np.abs(kept - 255 * np.log1p(home / 255) / math.log(2)).max() <= 1
        before = representation(kind, path=trained.folder / "untrained", towards=towards)
        assert before.space != made.space


def test_going_on_is_the_same_as_never_having_stopped(tmp_path: Path) -> None:
    whole = train_pix2pix(pairs(2), tmp_path / "whole", profile=TINY, steps=4, device="cpu")
    train_pix2pix(pairs(2), tmp_path / "parts", profile=TINY, steps=4, minutes=1e-9, device="cpu")
    parts = train_pix2pix(pairs(2), tmp_path / "parts", profile=TINY, steps=4, device="cpu")
    assert whole.report["representation"]["digest"] == parts.report["representation"]["digest"]
    with pytest.raises(UsageError, match="legacy_scaling"):
        train_pix2pix(pairs(2), tmp_path / "whole", profile=TINY, steps=4, device="cpu", legacy_scaling=True)
