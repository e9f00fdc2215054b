"""CoMIR's training: the loss by known answers, the squares it sees, then small trainings."""

import json
import math
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from histokin.errors import UnknownName, UsageError
from histokin.metrics.agreement import tile_correlations, tile_top1
from histokin.modality.preparing import Input
from histokin.modality.registry import representation
from histokin.nets.comir_shape import DenseUnetShape
from histokin.training.comir import PROFILES, ComirProfile, comir_profile, train_comir
from histokin.training.comir_loss import activation_penalty, contrastive_loss, similarities, turned
from histokin.training.comir_task import ComirTask
from histokin.training.common_space import joint_scale
from histokin.training.pair_views import PairViews, Views
from histokin.training.pairs import PairSet, pairs_from_arrays, read_pairs

TINY = ComirProfile(
    "tiny",
    shape=DenseUnetShape(8, 4, (2,), 2, (2,), 1.0, 0.0),
    crop=16,
    pairs=8,
    tau=0.1,
    critic="standardized",
    optimizer="adam",
    rate=5e-3,
    turn_what="image",
    steps=10,
)


def blobs(seed: int, side: int = 48) -> np.ndarray:
    noise = np.random.default_rng(seed).random((side, side), np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 2.0)
    return np.asarray((smooth - smooth.min()) / (smooth.max() - smooth.min()))


def fibers(count: int = 5) -> PairSet:
    """Pairs with one structure: dark on colored ground in one modality, squared and bright in the other."""
    pairs = []
    for i in range(count):
        structure = blobs(i)
        one = np.stack([200 - 120 * structure, 180 - 60 * structure, 190 - 90 * structure], axis=2)
        other = 255 * structure[..., None] ** 2
        pairs.append((one.astype(np.uint8), other.astype(np.uint8)))
    return pairs_from_arrays(("brightfield", "shg"), [f"core {i}" for i in range(count)], pairs)


@pytest.mark.parametrize(("n", "expected"), [(24, 3.850148), (32, 4.143135)])
@pytest.mark.parametrize("critic", ["mse", "standardized", "both"])
def test_equal_maps_lose_the_logarithm_of_the_others(n: int, expected: float, critic: str) -> None:
    maps = torch.rand(1, 1, 4, 4).repeat(n, 1, 1, 1)
    loss = float(contrastive_loss(maps, maps, 0.5, critic))  # type: ignore[arg-type]
    assert loss == pytest.approx(expected, abs=1e-5)
    assert loss == pytest.approx(math.log(2 * n - 1), abs=1e-5)


def test_two_maps_of_one_pixel() -> None:
    maps = torch.tensor([0.0, 1.0]).reshape(2, 1, 1, 1)
    assert float(contrastive_loss(maps, maps, 0.5)) == pytest.approx(0.239545, abs=1e-6)
    assert float(contrastive_loss(maps, maps, 0.5)) == pytest.approx(math.log(1 + 2 * math.exp(-2)))


def test_one_gram_matrix_is_the_double_loop() -> None:
    maps = torch.rand(6, 2, 5, 5) + 40
    loop = torch.tensor([[-float((a - b).square().mean()) / 0.5 for b in maps] for a in maps])
    assert torch.allclose(similarities(maps, 0.5), loop, atol=1e-5)
    found = float(contrastive_loss(maps[:3], maps[3:], 0.5))
    by_hand = 0.0
    for i in range(6):
        rest = [loop[i, j] for j in range(6) if j != i]
        by_hand += float(-loop[i, (i + 3) % 6] + torch.stack(rest).logsumexp(0)) / 6
    assert found == pytest.approx(by_hand, abs=1e-5)


def test_the_standardized_critic_does_not_see_brightness_and_contrast() -> None:
    maps = torch.rand(4, 1, 6, 6)
    changed = maps * torch.rand(4, 1, 1, 1).add(0.5) + torch.rand(4, 1, 1, 1)
    assert torch.allclose(
        similarities(maps, 0.1, "standardized"), similarities(changed, 0.1, "standardized"), atol=1e-3
    )
    assert not torch.allclose(similarities(maps, 0.1), similarities(changed, 0.1), atol=1e-2)


def test_penalty_of_known_maps() -> None:
    maps = torch.full((1, 1, 2, 2), 3.0)
    assert float(activation_penalty(maps)) == pytest.approx(1e-4 * (1 + 12) / 4 + 1e-4 * (1 + 36) / 4)


def test_quarter_turns_go_there_and_back() -> None:
    images = torch.rand(4, 3, 6, 6)
    quarters = [0, 1, 2, 3]
    there = turned(images, quarters)
    assert torch.equal(there[1], torch.rot90(images[1], 1, (1, 2)))
    assert torch.equal(turned(there, [-k for k in quarters]), images)


def test_published_profiles() -> None:
    paper, aerial = PROFILES["paper"], PROFILES["aerial"]
    assert (paper.crop, paper.pairs, paper.tau, paper.critic, paper.latent) == (128, 24, 0.5, "mse", 1)
    assert (paper.optimizer, paper.rate, paper.decay, paper.steps, paper.quarters) == ("sgd", 1e-2, 1e-5, 736, True)
    assert (paper.shrink, paper.light, paper.together, paper.turn_what) == (1, 0.0, 1, "square")
    assert 2 * paper.pairs - 2 == 46
    assert (aerial.shape.first, aerial.shape.blocks, aerial.shape.bottleneck) == (16, (2, 2, 2), 3)
    assert (aerial.latent, aerial.tau, aerial.optimizer, aerial.decay) == (3, 0.1, "adam", 1e-4)
    assert (aerial.quarters, aerial.shape.dropout, aerial.shape.compression) == (False, 0.0, 1.0)
    with pytest.raises(UnknownName):
        comir_profile("fast")
    with pytest.raises(UsageError, match="multiple of 64"):
        comir_profile("paper", 100)


def views(pairs: PairSet, how: Views, seed: int = 0) -> PairViews:
    return PairViews(pairs, (Input(1), Input(1)), how, seed)


def twins(count: int = 3) -> PairSet:
    """Both images of a pair are the same."""
    images = [(255 * blobs(i)[..., None]).astype(np.uint8) for i in range(count)]
    return pairs_from_arrays(("a", "b"), [f"{i}" for i in range(count)], [(image, image) for image in images])


@pytest.mark.parametrize("turn_what", ["square", "image"])
def test_squares_are_aligned_and_decided_by_seed_and_step(turn_what: str) -> None:
    how = Views(24, turn_what=turn_what, scale=0.1)  # type: ignore[arg-type]
    one, other = views(twins(), how).batch(3, 5)
    assert one.shape == other.shape == (5, 1, 24, 24)
    assert np.array_equal(one, other)
    again, _ = views(twins(), how).batch(3, 5)
    assert np.array_equal(one, again)
    assert not np.array_equal(one, views(twins(), how).batch(4, 5)[0])
    assert not np.array_equal(one, views(twins(), how, seed=1).batch(3, 5)[0])


def test_a_square_without_turn_is_a_piece_of_the_image() -> None:
    pairs = twins(1)
    whole = pairs.load(0)[0][..., 0].astype(np.float32) / 255
    square = views(pairs, Views(24, turn=0.0)).batch(0, 1)[0][0, 0]
    pieces = np.lib.stride_tricks.sliding_window_view(np.hstack([whole, whole[:, ::-1]]), (24, 24))
    assert np.abs(pieces - square).max(axis=(2, 3)).min() < 1e-5


def test_light_changes_the_two_independently() -> None:
    one, other = views(twins(), Views(24, light=0.3, noise=0.01)).batch(0, 6)
    assert not np.allclose(one.mean(axis=(1, 2, 3)), other.mean(axis=(1, 2, 3)), atol=0.01)


def test_drop_sets_pixels_to_zero_independently() -> None:
    one, other = views(twins(), Views(24, turn=0.0, drop=0.25)).batch(0, 8)
    assert np.mean(one == 0) == pytest.approx(0.25, abs=0.05)
    assert np.mean((one == 0) & (other == 0)) == pytest.approx(0.0625, abs=0.04)


def test_together_and_content() -> None:
    blank = np.full((48, 48, 1), 7, np.uint8)
    image = (255 * blobs(0)[..., None]).astype(np.uint8)
    image[:, :40] = 0
    pairs = pairs_from_arrays(("a", "b"), ["x"], [(image, image)])
    spread = views(pairs, Views(16, turn=0.0, content=0.02)).batch(0, 40)[1].std(axis=(1, 2, 3))
    plain = views(pairs, Views(16, turn=0.0)).batch(0, 40)[1].std(axis=(1, 2, 3))
    assert np.mean(spread > 0.02) > np.mean(plain > 0.02)
    mixed = pairs_from_arrays(("a", "b"), ["x", "y"], [(image, image), (blank, blank)])
    flat = views(mixed, Views(16, together=4)).batch(1, 16)[0].std(axis=(1, 2, 3)) == 0
    assert all(part.all() or not part.all() for part in flat.reshape(4, 4))
    with pytest.raises(UsageError, match="squares of 64 are wanted"):
        views(pairs, Views(64))


def test_the_scale_is_joint_and_never_empty() -> None:
    one = np.linspace(0, 1, 1001, dtype=np.float32).reshape(-1, 1, 1)
    low, high = joint_scale([one, one * np.float32(0) + np.float32(0.5)])
    assert (low, high) == pytest.approx((0.02, 0.98), abs=0.005)
    low, high = joint_scale([np.zeros((4, 4, 1), np.float32)])
    assert low < high


def test_gradients_are_clipped_for_either_network() -> None:
    profile = replace(TINY, optimizer="sgd", rate=1.0)
    source = views(twins(), Views(16))
    task = ComirTask(lambda step: source.batch(step, 4), (1, 1), profile, seed=0, device=torch.device("cpu"))
    before = {name: [p.detach().clone() for p in m.parameters()] for name, m in task.modules.items()}
    task.step(0)
    for name, module in task.modules.items():
        pairs = zip(before[name], module.parameters(), strict=True)
        moved = math.sqrt(sum(float((a - b.detach()).square().sum()) for a, b in pairs))
        assert 0 < moved <= 1.01


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("comir") / "out"
    train_comir(fibers(), out, profile=TINY, steps=60, device="cpu")
    return out


def test_files_and_figures(trained: Path) -> None:
    report = json.loads((trained / "report.json").read_text())
    assert report["steps"] == {"done": 60, "published": 736}
    assert report["pairs"] == {"learned_from": 4, "held_out": 1}
    assert report["held_out_was_learned_from"] is False
    assert report["better_than_untrained"] is True
    assert report["held_out"]["trained"]["correlation"] > 0.6
    for name in ("curves.png", "samples.png", "one.onnx", "untrained/one.onnx", "untrained/representation.json"):
        assert (trained / name).stat().st_size > 500
    assert any("held_out_correlation" in row for row in report["history"])


def test_the_folder_is_a_representation(trained: Path) -> None:
    made, before = (representation("comir", path=folder) for folder in (trained, trained / "untrained"))
    assert made.space != before.space
    assert made.facts["steps"]["done"] == 60
    assert before.facts["steps"]["done"] == 0
    pairs = fibers()
    one, other = pairs.load(0)
    answers = made.map("brightfield")(one), made.map("shg")(other)
    assert {answer.shape for answer in answers} == {(48, 48, 1)}
    values = np.concatenate([answer.ravel() for answer in answers])
    assert 0.001 < np.mean(values == 0) < 0.1


def test_four_learned_pairs_find_each_other(trained: Path) -> None:
    made, pairs = representation("comir", path=trained), fibers()
    shown = [
        [made.map(m)(pairs.load(i)[side]).astype(np.float32) for i in range(4)]
        for side, m in enumerate(("brightfield", "shg"))
    ]
    assert tile_top1(tile_correlations(shown[0], shown[1], 24)) > 0.9


def test_going_on_is_the_same_as_never_having_stopped(trained: Path, tmp_path: Path) -> None:
    stopped: list[int] = []

    def interrupt(moment: object) -> None:
        stopped.append(1)
        if len(stopped) == 3:
            raise RuntimeError

    whole = train_comir(fibers(2), tmp_path / "whole", profile=TINY, steps=6, device="cpu")
    train_comir(fibers(2), tmp_path / "parts", profile=TINY, steps=6, minutes=1e-9, device="cpu")
    parts = train_comir(fibers(2), tmp_path / "parts", profile=TINY, steps=6, device="cpu")
    assert whole.report["representation"]["digest"] == parts.report["representation"]["digest"]
    assert whole.report["held_out_was_learned_from"] is True
    with pytest.raises(UsageError, match="another configuration"):
        train_comir(fibers(2), tmp_path / "whole", profile=TINY, steps=6, seed=1, device="cpu")


def test_real_cores_agree_more_than_before_training(shared_data: Path, tmp_path: Path) -> None:
    """Held-out cores of both microscopes: sixty steps at a quarter of the size."""
    found = read_pairs(shared_data / "bf-shg", {"he_aligned_derived": "brightfield", "shg": "shg"})
    profile = replace(TINY, shrink=4, crop=32, tau=0.5, light=0.25, content=0.03, together=4)
    report = train_comir(found.some(range(0, 21, 2)), tmp_path, profile=profile, steps=60, device="cpu").report
    trained, before = report["held_out"]["trained"], report["held_out"]["untrained"]
    print(report["held_out"])
    assert report["pairs"]["held_out"] == 1
    assert trained["correlation"] > before["correlation"] + 0.1
