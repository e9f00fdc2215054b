"""StainGAN's training: losses and schedule by known answers, then small trainings."""

import json
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

from histokin.errors import UnknownName, UnreadableFile, UnsupportedFormat, UsageError
from histokin.nets.generator import load_generator
from histokin.stain.registry import normalizer
from histokin.testing.appearance import synthetic_he
from histokin.training.batches import Batch, to_planes
from histokin.training.cycle_task import CycleTask, ImagePool, Networks, lsgan
from histokin.training.images import ImageSet, from_arrays
from histokin.training.report import Moment
from histokin.training.stain_gan import FILE, PROFILES, GanProfile, gan_profile, train_stain_gan
from histokin.training.stain_gan_run import color_distance

TINY = GanProfile("tiny", 8, 2, 64, 1, 1, 1)
CPU = torch.device("cpu")


def lab(name: str, seed: int, gain: tuple[float, float], count: int = 6) -> ImageSet:
    return from_arrays(name, [synthetic_he(px=72, seed=seed + i, gain=gain) for i in range(count)])


def task_on(batches: Callable[[int], tuple[Batch, Batch]], **options: Any) -> CycleTask:
    networks = options.pop("networks", Networks(8, 2))
    return CycleTask(batches, networks, epochs=(100, 100), steps_per_epoch=None, seed=0, device=CPU, **options)


def test_lsgan_of_half_is_a_quarter() -> None:
    half = torch.full((2, 1, 6, 6), 0.5)
    assert float(lsgan(half, True)) == float(lsgan(half, False)) == 0.25
    assert float(lsgan(torch.ones(1, 1, 2, 2), True)) == 0.0
    assert float(lsgan(torch.ones(1, 1, 2, 2), False)) == 1.0


def test_published_profile() -> None:
    paper = PROFILES["paper"]
    assert (paper.width, paper.blocks, paper.crop, paper.batch) == (64, 9, 256, 4)
    assert (paper.constant, paper.falling, paper.minutes) == (100, 100, None)


def test_rate_is_constant_then_falls_to_zero() -> None:
    def nothing(step: int) -> tuple[Batch, Batch]:
        raise AssertionError(step)

    task = CycleTask(nothing, Networks(4, 0), epochs=(100, 100), steps_per_epoch=7, seed=0, device=CPU)
    task.plan(1400)
    assert task.rate(0) == task.rate(99 * 7) == task.rate(100 * 7) == 2e-4
    assert task.rate(150 * 7) == task.rate(150 * 7 + 6) == pytest.approx(1e-4)
    assert task.rate(200 * 7) == 0.0
    stretched = task_on(nothing)
    stretched.plan(40)
    assert [stretched.rate(n) for n in (0, 20, 30, 40)] == pytest.approx([2e-4, 2e-4, 1e-4, 0.0])


def test_losses_are_weighted_as_published() -> None:
    """With generators that always give mid-grey, every L1 is the mean of what it is compared with."""
    white = np.ones((1, 3, 64, 64), np.float32)
    task = task_on(lambda step: (white, white))
    for name in ("forward", "back"):
        for parameter in task.modules[name].parameters():
            torch.nn.init.zeros_(parameter)
    losses = task.step(0)
    assert losses["cycle_source"] == losses["cycle_target"] == pytest.approx(10.0)
    assert losses["identity_source"] == losses["identity_target"] == pytest.approx(5.0)
    assert {group["betas"] for o in task.optimizers.values() for group in o.param_groups} == {(0.5, 0.999)}


def test_discriminator_loss_is_the_mean_of_real_and_made() -> None:
    task = task_on(lambda step: (np.zeros((1, 3, 64, 64), np.float32),) * 2)
    for name in ("judge_target", "judge_source"):
        for parameter in task.modules[name].parameters():
            torch.nn.init.zeros_(parameter)
        torch.nn.init.constant_(list(task.modules[name].parameters())[-1], 0.5)
    losses = task.step(0)
    assert losses["judge_target"] == losses["judge_source"] == pytest.approx(0.25)
    assert losses["fool_target"] == pytest.approx(0.25)


def test_pool_of_fifty() -> None:
    pool, draws = ImagePool(), np.random.default_rng(0)
    for i in range(50):
        given = torch.full((1, 1, 2, 2), float(i))
        assert torch.equal(pool.query(given, draws), given)
    answers = [float(pool.query(torch.full((1, 1, 2, 2), 100.0 + i), draws).mean()) for i in range(200)]
    fresh = sum(answer == 100.0 + i for i, answer in enumerate(answers))
    assert 70 < fresh < 130
    assert len(pool.images) == 50


def test_discriminators_learn_from_the_pool_and_not_from_the_generators() -> None:
    image = to_planes([synthetic_he(px=64, seed=1)])
    task = task_on(lambda step: (image, image))
    before = {name: [p.detach().clone() for p in m.parameters()] for name, m in task.modules.items()}
    task.step(0)
    for name, module in task.modules.items():
        assert any(not torch.equal(a, b) for a, b in zip(before[name], module.parameters(), strict=True)), name
        assert all(p.requires_grad for p in module.parameters())


def test_identical_laboratories_lower_the_cycle_loss_in_twenty_steps() -> None:
    images = [synthetic_he(px=64, seed=i) for i in range(4)]

    def batches(step: int) -> tuple[Batch, Batch]:
        chosen = to_planes([images[step % 4]])
        return chosen, chosen

    task = task_on(batches)
    task.plan(20)
    losses = [task.step(n) for n in range(20)]
    cycles = [row["cycle_source"] + row["cycle_target"] for row in losses]
    assert np.mean(cycles[-4:]) < 0.8 * np.mean(cycles[:4])


def test_other_channels_train_without_identity() -> None:
    rgb = to_planes([synthetic_he(px=64, seed=1)])
    task = task_on(lambda step: (rgb, rgb[:, :1].copy()), networks=Networks(4, 1, target_channels=1))
    losses = task.step(0)
    assert "identity_target" not in losses
    assert all(np.isfinite(list(losses.values())))


def test_color_distance_of_known_colors() -> None:
    dark, light = np.full((4, 4, 3), 10, np.uint8), np.full((8, 8, 3), 30, np.uint8)
    assert color_distance([dark], [light]) == pytest.approx(20.0)
    assert color_distance([dark, light], [light, dark]) == pytest.approx(0.0)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("gan") / "out"
    train_stain_gan(lab("a", 0, (1.0, 1.0)), lab("b", 50, (0.6, 1.3)), out, profile=TINY, steps=40, device="cpu")
    return out


def test_files_and_figures(trained: Path) -> None:
    report = json.loads((trained / "report.json").read_text())
    assert report["steps"] == {"done": 40, "published": 113_000}
    assert report["better_than_untrained"] is True
    held = report["held_out"]
    assert held["trained"]["cycle_l1"] < held["untrained"]["cycle_l1"]
    assert held["trained"]["color_distance"] < held["untrained"]["color_distance"]
    assert report["weights"]["onnx_max_abs_difference"] < 1e-4
    assert len(report["history"]) == 40
    for name in ("curves.png", "samples.png"):
        assert (trained / name).read_bytes().startswith(b"\x89PNG")


def test_exported_generator_runs_without_torch(trained: Path) -> None:
    generator = load_generator(trained / FILE, "stain-gan")
    assert generator.metadata["steps"] == "40/113000"
    assert (generator.metadata["style"], generator.metadata["target"]) == ("a", "b")
    for shape in ((1, 3, 64, 96), (3, 3, 20, 16)):
        assert generator.run(np.zeros(shape, np.float32)).shape == shape
    image = synthetic_he(px=70, seed=3)
    mapped = normalizer("stain-gan", weights=str(trained / FILE)).fit([image])(image)
    assert mapped.shape == image.shape
    session = onnxruntime.InferenceSession(str(trained / FILE), providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].name == "image"


def test_resumed_training_is_the_same(trained: Path, tmp_path: Path) -> None:
    def interrupt(moment: Moment) -> None:
        if moment.done == 15:
            os.kill(os.getpid(), signal.SIGINT)

    args = (lab("a", 0, (1.0, 1.0)), lab("b", 50, (0.6, 1.3)), tmp_path / "out")
    with pytest.raises(KeyboardInterrupt):
        train_stain_gan(*args, profile=TINY, steps=40, device="cpu", watch=interrupt)
    assert not (tmp_path / "out" / FILE).exists()
    again = train_stain_gan(*args, profile=TINY, steps=40, device="cpu")
    whole = json.loads((trained / "report.json").read_text())
    assert again.report["weights"]["sha256"] == whole["weights"]["sha256"]
    with pytest.raises(UsageError, match="another configuration: seed"):
        train_stain_gan(*args, profile=TINY, steps=40, device="cpu", seed=1)


def test_start_from_a_checkpoint_and_from_published_weights(trained: Path, tmp_path: Path) -> None:
    args = (lab("a", 0, (1.0, 1.0)), lab("b", 50, (0.6, 1.3)))
    state = torch.load(trained / "checkpoint.pt", weights_only=True)["modules"]["forward"]
    published = tmp_path / "latest_net_G_A.pth"
    torch.save({f"model.{i}.{k.rsplit('.', 1)[-1]}": v for i, (k, v) in enumerate(state.items())}, published)
    cold = train_stain_gan(*args, tmp_path / "cold", profile=TINY, steps=1, device="cpu")
    for start in (published, trained):
        warm = train_stain_gan(*args, tmp_path / f"warm-{start.name}", profile=TINY, steps=1, device="cpu", start=start)
        assert warm.report["losses"]["identity_target"] < cold.report["losses"]["identity_target"]
    wide = replace(TINY, width=12)
    with pytest.raises(UnsupportedFormat, match="do not fit"):
        train_stain_gan(*args, tmp_path / "wide", profile=wide, steps=1, device="cpu", start=published)
    published.write_bytes(b"garbage")
    with pytest.raises(UnreadableFile, match="cannot be read"):
        train_stain_gan(*args, tmp_path / "bad", profile=TINY, steps=1, device="cpu", start=published)


def test_wrong_requests(tmp_path: Path) -> None:
    images = lab("a", 0, (1.0, 1.0))
    with pytest.raises(UnknownName, match="no profile 'quick'"):
        train_stain_gan(images, images, tmp_path, profile="quick")
    with pytest.raises(UsageError, match="72 x 72 pixels, crops of 128"):
        train_stain_gan(images, images, tmp_path, profile="reduced", steps=1)
    with pytest.raises(UsageError, match="--crop is 50"):
        gan_profile("reduced", 50)
    with pytest.raises(UsageError, match="device 'abacus'"):
        train_stain_gan(images, images, tmp_path, profile=TINY, device="abacus")
