"""Frames per second: what is called, in what order."""

import time

import pytest

from histokin.errors import UsageError
from histokin.evaluation.timing import frames_per_second


def test_it_warms_up_waits_and_takes_the_median() -> None:
    calls: list[str] = []
    speed = frames_per_second(lambda: calls.append("work"), 4, repeats=5, synchronize=lambda: calls.append("wait"))
    assert calls == ["work", "wait"] * 6
    assert speed.slowest <= speed.fps <= speed.fastest
    assert (speed.batch, speed.repeats, speed.threads) == (4, 5, 1)
    assert speed.device
    assert "median of 5 runs" in speed.text
    assert speed.to_dict()["fps"] == speed.fps


def test_a_device_that_is_not_waited_for_seems_faster() -> None:
    def wait() -> None:
        time.sleep(0.01)

    honest = frames_per_second(lambda: None, 1, synchronize=wait)
    published = frames_per_second(lambda: None, 1, legacy_unsynchronized=True, synchronize=wait)
    assert honest.fps < 110
    assert published.fps > 10 * honest.fps


@pytest.mark.parametrize(("frames", "repeats"), [(0, 5), (1, 4)])
def test_too_little_to_time(frames: int, repeats: int) -> None:
    with pytest.raises(UsageError, match="give no speed"):
        frames_per_second(lambda: None, frames, repeats=repeats)
