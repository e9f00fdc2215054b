"""TC-Net's training: four pairs are learned by heart, resumption changes nothing, and files are what was trained."""

import json
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from histokin.encoders.registry import encoder
from histokin.errors import EncoderError, UnknownName, UsageError
from histokin.training.pairs import PairSet, pairs_from_arrays
from histokin.training.report import Moment
from histokin.training.tc_net import PROFILES, TcNetProfile, tc_net_profile, train_tc_net

torch = pytest.importorskip("torch")

TINY = TcNetProfile("tiny", trunk="small", features=16, side=32, rate=2e-3, epochs=30, batch=4)


def some_pairs(count: int, side: int = 40) -> PairSet:
    """The same blobs in color and, inverted, in gray."""
    draws = np.random.default_rng(0)
    made = []
    for _ in range(count):
        plane = np.kron(draws.integers(0, 256, (side // 8, side // 8), dtype=np.uint8), np.ones((8, 8), np.uint8))
        made.append((np.stack([plane, plane // 2, plane // 3], axis=2), 255 - plane[:, :, None]))
    return pairs_from_arrays(("brightfield", "shg"), [f"pair {i}" for i in range(count)], made)


def four_patterns() -> PairSet:
    """Stripes down, stripes right, both, and slanted ones; of one group, so that nothing is held out."""
    down, right = np.mgrid[0:40, 0:40]
    first, second = np.sin(down * 1.2), np.sin(right * 1.2)
    waves = [first, second, first * second, np.sin(0.4 * (down + right))]
    planes = [(127 + 100 * wave).astype(np.uint8) for wave in waves]
    made = [(np.stack([p, p // 2, p // 3], axis=2), 255 - p[:, :, None]) for p in planes]
    return pairs_from_arrays(("brightfield", "shg"), list("abcd"), made, ["one"] * 4)


def nearest(pairs: PairSet, folder: Path, anchor: str) -> list[int]:
    """For the image of each pair in the anchor's modality, the pair whose other image is nearest."""
    made, loaded = encoder("tc-net", path=folder), [pairs.load(i) for i in range(len(pairs))]
    sides = [made.encode([pair[side] for pair in loaded]) for side in (0, 1)]
    queries, gallery = sides if anchor == "brightfield" else sides[::-1]
    found: list[int] = ((queries[:, None] - gallery[None]) ** 2).sum(axis=2).argmin(axis=1).tolist()
    return found


@pytest.mark.parametrize("anchor", ["brightfield", "shg"])
def test_four_pairs_are_learned_by_heart(anchor: str, tmp_path: Path) -> None:
    pairs, profile = four_patterns(), replace(TINY, center=0.001)
    done = train_tc_net(pairs, tmp_path, anchor=anchor, profile=profile, steps=80, device="cpu")
    assert done.report["held_out"]["images"] == 0
    assert nearest(pairs, tmp_path, anchor) == [0, 1, 2, 3]
    assert nearest(pairs, tmp_path / "untrained", anchor) != [0, 1, 2, 3]
    first, last = done.report["history"][0], done.report["history"][-1]
    assert last["instance"] < 0.75 * first["instance"]
    assert {"triplet", "instance", "center"} < set(last)


def test_report_and_untrained_copy(tmp_path: Path) -> None:
    pairs = some_pairs(12)
    done = train_tc_net(pairs, tmp_path, anchor="shg", profile=TINY, steps=4, device="cpu")
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["anchor"], report["gallery"], report["start"]) == ("shg", "brightfield", "random weights")
    # Eleven pairs are learned from: one step an epoch of the published 16 pairs a step, 2000 epochs.
    assert report["steps"] == {"done": 4, "published": 2000}
    assert report["held_out"]["images"] == 1
    assert report["held_out"]["chance"]["top1"] == pytest.approx(1 / 12, rel=1e-5)
    assert done.report["weights"]["difference_from_torch"] < 1e-3
    trained, raw = (encoder("tc-net", path=folder) for folder in (tmp_path, tmp_path / "untrained"))
    assert trained.spec.space != raw.spec.space
    image = pairs.load(0)[0]
    assert np.abs(trained.encode([image]) - raw.encode([image])).max() > 1e-3


def test_resumed_as_if_never_stopped(tmp_path: Path) -> None:
    pairs = some_pairs(5)
    options: dict[str, Any] = {
        "anchor": "shg",
        "profile": replace(TINY, center=0.01, turned=True),
        "steps": 6,
        "device": "cpu",
    }

    def stop(moment: Moment) -> None:
        if moment.done == 3:
            os.kill(os.getpid(), signal.SIGINT)

    whole = train_tc_net(pairs, tmp_path / "a", **options)
    with pytest.raises(KeyboardInterrupt):
        train_tc_net(pairs, tmp_path / "b", **options, watch=stop)
    resumed = train_tc_net(pairs, tmp_path / "b", **options)
    assert resumed.report["steps"]["done"] == 6
    assert resumed.report["weights"]["sha256"] == whole.report["weights"]["sha256"]
    other = train_tc_net(pairs, tmp_path / "d", **{**options, "anchor": "brightfield"})
    assert other.report["weights"]["sha256"] != whole.report["weights"]["sha256"]
    with pytest.raises(UsageError, match="anchor is"):
        train_tc_net(pairs, tmp_path / "b", **{**options, "anchor": "brightfield"})


def test_negatives_are_other_instances_and_squares_are_random(tmp_path: Path) -> None:
    from histokin.training.tc_net_run import TcNetTraining

    training = TcNetTraining(some_pairs(6), "brightfield", TINY, 0, "cpu", None)
    for step in range(20):
        anchors, positives, negatives, same, other = training.batch(step)
        assert anchors.shape == positives.shape == negatives.shape == (len(same), 3, 32, 32)
        assert all(i != j for i, j in zip(same, other, strict=True))
    again = TcNetTraining(some_pairs(6), "brightfield", TINY, 0, "cpu", None)
    np.testing.assert_array_equal(again.batch(7)[0], training.batch(7)[0])
    assert not np.array_equal(training.batch(7)[0], training.batch(8)[0])


def test_it_begins_with_given_weights(tmp_path: Path) -> None:
    from histokin.nets.backbones import build
    from histokin.training.tc_net_run import TcNetTraining

    torch.save(build("dcnn", 4, seed=9).state_dict(), tmp_path / "start.pth")
    training = TcNetTraining(some_pairs(3), "shg", TINY, 0, "cpu", tmp_path / "start.pth")
    ours, theirs = training.network().body.state_dict(), build("dcnn", 4, seed=9).body.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    with pytest.raises(EncoderError, match="no such weight file"):
        TcNetTraining(some_pairs(3), "shg", TINY, 0, "cpu", tmp_path / "none.pth")


def test_profiles() -> None:
    paper = PROFILES["paper"]
    assert (paper.trunk, paper.features, paper.side, paper.batch, paper.epochs) == ("densenet169", 512, 225, 16, 2000)
    assert (paper.rate, paper.weight_decay, paper.margin) == (1e-4, 5e-4, 0.3)
    assert tc_net_profile("reduced", 64, center=0.0013).center == 0.0013
    with pytest.raises(UnknownName):
        tc_net_profile("huge")
    with pytest.raises(UsageError, match="squares of 8 pixels"):
        tc_net_profile("reduced", 8)


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no modality is called 'he'") as caught:
        train_tc_net(some_pairs(3), tmp_path, anchor="he", profile=TINY)
    assert "brightfield, shg" in caught.value.remedy
    with pytest.raises(UsageError, match="one pair to learn from"):
        train_tc_net(some_pairs(1), tmp_path, anchor="shg", profile=TINY)
