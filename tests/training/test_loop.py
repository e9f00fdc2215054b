"""The training loop: interrupted and resumed as if nothing had happened."""

import json
import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from histokin.errors import HistokinError, UnreadableFile, UsageError
from histokin.training.checkpoint import FILE, load_checkpoint
from histokin.training.loop import Outcome, Task, run, steps_within
from histokin.training.report import Moment


class Line(Task):
    """Fits a line, with dropout so that PyTorch's own generator matters, and state of its own."""

    def __init__(self) -> None:
        network = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Dropout(0.5), torch.nn.Linear(8, 1))
        draws = torch.Generator().manual_seed(1)
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, generator=draws)
        self.modules = {"network": network}
        self.optimizers = {"network": torch.optim.Adam(network.parameters(), lr=0.01)}
        self.total = 0.0
        self.planned = 0

    def plan(self, steps: int) -> None:
        self.planned = steps

    def step(self, number: int) -> dict[str, float]:
        draws = np.random.default_rng([7, number])
        inputs = torch.from_numpy(draws.normal(size=(8, 4)).astype(np.float32))
        loss = (self.modules["network"](inputs) - inputs.sum(1, keepdim=True)).square().mean()
        self.optimizers["network"].zero_grad()
        loss.backward()
        self.optimizers["network"].step()
        self.total += float(loss.detach())
        return {"loss": float(loss.detach())}

    def after(self, done: int) -> dict[str, float]:
        return {"held_out_total": self.total} if done % 7 == 0 else {}

    def extra(self) -> dict[str, Any]:
        return {"total": self.total}

    def restore(self, extra: Mapping[str, Any]) -> None:
        self.total = extra["total"]


CONFIGURATION = {"trainer": "line", "seed": 0}


def weights(task: Task) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for module in task.modules.values() for p in module.parameters()])


def stop_at(step: int) -> Any:
    def watch(moment: Moment) -> None:
        if moment.done == step:
            os.kill(os.getpid(), signal.SIGINT)

    return watch


def test_resumed_is_uninterrupted_bit_for_bit(tmp_path: Path) -> None:
    whole, first, second = Line(), Line(), Line()
    straight = run(whole, 50, tmp_path / "a", CONFIGURATION)
    broken = run(first, 50, tmp_path / "b", CONFIGURATION, watch=stop_at(23))
    assert (straight.stopped, broken.stopped, broken.steps) == ("finished", "interrupted", 23)
    torch.rand(3)
    resumed = run(second, lambda: pytest.fail("the plan is in the checkpoint"), tmp_path / "b", CONFIGURATION)
    assert (resumed.stopped, resumed.steps, second.planned) == ("finished", 50, 50)
    assert torch.equal(weights(whole), weights(second))
    assert resumed.history == straight.history
    assert second.total == whole.total
    assert resumed.seconds > broken.seconds


def test_finished_training_is_only_read(tmp_path: Path) -> None:
    first, again = Line(), Line()
    run(first, 10, tmp_path, CONFIGURATION)
    outcome = run(again, 10, tmp_path, CONFIGURATION, watch=lambda moment: pytest.fail("no step is left"))
    assert (outcome.stopped, outcome.steps) == ("finished", 10)
    assert torch.equal(weights(first), weights(again))


def test_minutes_stop_cleanly(tmp_path: Path) -> None:
    outcome = run(Line(), 10**9, tmp_path, CONFIGURATION, minutes=0.3 / 60)
    assert outcome.stopped == "time"
    assert 0 < outcome.steps < 10**9
    stored = load_checkpoint(tmp_path, CONFIGURATION)
    assert stored is not None
    assert stored["done"] == outcome.steps


def test_other_configuration_is_refused_and_nothing_changes(tmp_path: Path) -> None:
    run(Line(), 5, tmp_path, CONFIGURATION)
    before = (tmp_path / FILE).read_bytes()
    with pytest.raises(UsageError, match="seed is 0 there and 1 here") as caught:
        run(Line(), 5, tmp_path, {**CONFIGURATION, "seed": 1})
    assert "--out" in caught.value.remedy
    with pytest.raises(UsageError, match="crop is null there and 64 here"):
        run(Line(), 5, tmp_path, {**CONFIGURATION, "crop": 64})
    assert (tmp_path / FILE).read_bytes() == before


def test_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    run(Line(), 5, tmp_path, CONFIGURATION)
    whole = (tmp_path / FILE).read_bytes()
    for damaged in (b"", b"garbage", whole[: len(whole) // 2]):
        (tmp_path / FILE).write_bytes(damaged)
        with pytest.raises(UnreadableFile, match="damaged") as caught:
            run(Line(), 5, tmp_path, CONFIGURATION)
        assert caught.value.path is not None
        assert caught.value.path.endswith(FILE)


def test_crash_leaves_the_last_checkpoint_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(Line(), 5, tmp_path, CONFIGURATION)
    before = (tmp_path / FILE).read_bytes()

    def full(value: object, stream: Any) -> None:
        stream.write(b"half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(UsageError, match="No space left"):
        run(Line(), 5, tmp_path, CONFIGURATION)
    assert (tmp_path / FILE).read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_diverging_is_an_error(tmp_path: Path) -> None:
    task = Line()
    task.optimizers["network"].param_groups[0]["lr"] = float("nan")
    with pytest.raises(HistokinError, match="diverged: loss is not finite at step 1"):
        run(task, 5, tmp_path, CONFIGURATION)


def test_caller_s_random_numbers_are_left_alone(tmp_path: Path) -> None:
    task = Line()
    torch.manual_seed(5)
    wanted = torch.rand(4)
    torch.manual_seed(5)
    run(task, 5, tmp_path, CONFIGURATION)
    assert torch.equal(torch.rand(4), wanted)


def test_steps_that_fit_are_measured_on_another_task() -> None:
    made: list[Line] = []

    class Slow(Task):
        def __init__(self) -> None:
            self.inner = Line()
            made.append(self.inner)
            self.modules, self.optimizers = self.inner.modules, self.inner.optimizers

        def plan(self, steps: int) -> None:
            self.inner.plan(steps)

        def step(self, number: int) -> dict[str, float]:
            time.sleep(0.02)
            return self.inner.step(number)

    steps = steps_within(Slow, 1.0, 10_000)
    assert len(made) == 1
    assert 1 <= steps <= 50
    assert steps_within(Line, 1e9, 12) == 12


def test_history_is_short_and_complete(tmp_path: Path) -> None:
    outcome: Outcome = run(Line(), 2000, tmp_path, CONFIGURATION)
    losses = [row for row in outcome.history if "held_out_total" not in row]
    assert 300 < len(losses) <= 400
    assert outcome.history[-1]["step"] == 2000
    assert json.dumps(outcome.history)
