"""Augmentations: identity, known changes, kinds of images, and random numbers."""

import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from histokin.errors import UsageError
from histokin.stain.augment.base import Augmentation
from histokin.stain.augment.concentrations import ConcentrationJitter
from histokin.stain.augment.hed import BRH, HED, restained
from histokin.stain.augment.light import BR, relit, rotated
from histokin.stain.deconvolution import deconvolve, recompose
from histokin.testing.appearance import hostile_images, synthetic_he

KINDS = (BR, HED, BRH, ConcentrationJitter)


def test_changes_by_nothing_change_nothing() -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    assert np.array_equal(relit(image, 1.0, 1.0), image)
    assert np.array_equal(rotated(image, 0.0), image)
    assert np.array_equal(restained(image, np.ones(3)), image)
    for kind in (HED, BRH):
        assert np.array_equal(kind(0.0, *(() if kind is HED else (0.0,)), p=1.0)(image), image)


def test_known_light() -> None:
    image = np.full((4, 4, 3), 100, np.uint8)
    assert (relit(image, 1.2, 1.0) == 120).all()
    assert (relit(image, 3.0, 1.0) == 255).all()
    halves = np.concatenate([np.full((2, 4, 3), 50, np.uint8), np.full((2, 4, 3), 150, np.uint8)])
    assert relit(halves, 1.0, 1.2)[:, 0, 0].tolist() == [40, 40, 160, 160]


def test_quarter_turns_are_exact() -> None:
    image = np.random.default_rng(1).integers(0, 256, (33, 33, 3), np.uint8)
    assert np.array_equal(rotated(image, 90.0), np.rot90(image))
    assert np.array_equal(rotated(image, 180.0), image[::-1, ::-1])


def test_stains_change_as_asked() -> None:
    image = synthetic_he(px=64)
    strengths = np.array([1.2, 0.8, 1.1])
    exact = recompose(deconvolve(image) * strengths)
    assert np.abs(restained(image, strengths).astype(int) - exact).max() <= 1


def test_jitter_moves_concentrations_within_its_spread() -> None:
    image = synthetic_he(px=64)
    before = deconvolve(image)[..., :2]
    for seed in range(5):
        jitter = ConcentrationJitter(0.3, 0.0, p=1.0, seed=seed, background=True)
        after = deconvolve(jitter(image))[..., :2]
        strong = (before > 0.3) & (after < 2)
        ratio = after[strong] / before[strong]
        assert ratio.min() > 0.6
        assert ratio.max() < 1.4
        assert np.abs(np.median(ratio) - 1) > 1e-3


def test_jitter_leaves_glass_alone() -> None:
    image = np.full((20, 20, 3), 245, np.uint8)
    image[:10] = synthetic_he(px=20)[:10]
    changed = ConcentrationJitter("bksvd", p=1.0, seed=1)(image)
    assert np.array_equal(changed[10:], image[10:])
    assert not np.array_equal(changed[:10], image[:10])
    assert not np.array_equal(ConcentrationJitter("bksvd", p=1.0, seed=1, background=True)(image)[10:], image[10:])


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_image_comes_back_as_it_went_in(kind: type[Augmentation]) -> None:
    torch = pytest.importorskip("torch", reason="needs the torch extra")
    image = synthetic_he(px=48)
    image.flags.writeable = False
    make: Any = kind
    array = make(p=1.0, seed=3)(image)
    picture = make(p=1.0, seed=3)(Image.fromarray(image))
    tensor = make(p=1.0, seed=3)(torch.from_numpy(image.copy()).permute(2, 0, 1))
    assert isinstance(picture, Image.Image)
    assert np.array_equal(np.asarray(picture), array)
    assert tensor.dtype == torch.uint8
    assert np.array_equal(tensor.permute(1, 2, 0).numpy(), array)
    assert array.shape == image.shape
    assert not np.array_equal(array, image)


@pytest.mark.parametrize("kind", KINDS)
def test_seeds_repeat_and_pickles_start_anew(kind: type[Augmentation]) -> None:
    image = synthetic_he(px=32)
    make: Any = kind
    one, other = make(p=1.0, seed=7), make(p=1.0, seed=7)
    first = [one(image) for _ in range(3)]
    assert all(np.array_equal(a, other(image)) for a in first)
    assert not np.array_equal(first[0], first[1])
    copy = pickle.loads(pickle.dumps(one))
    assert np.array_equal(copy(image), first[0])
    assert "p=1.0" in repr(one)
    assert not np.array_equal(make(p=1.0)(image), make(p=1.0)(image))


def test_workers_draw_numbers_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    data = pytest.importorskip("torch", reason="needs the torch extra").utils.data
    image = synthetic_he(px=16)
    sums = []
    for worker in (None, 0, 1, 0):
        monkeypatch.setattr(data, "get_worker_info", lambda w=worker: None if w is None else SimpleNamespace(id=w))
        sums.append(int(HED(p=1.0, seed=5)(image).astype(np.int64).sum()))
    assert len(set(sums)) == 3
    assert sums[1] == sums[3]


def test_an_image_is_changed_as_often_as_asked() -> None:
    image = synthetic_he(px=16)
    change = HED(p=0.25, seed=0)
    changed = sum(change(image) is not image for _ in range(400))
    assert 70 < changed < 130


@given(st.integers(0, 10_000), st.sampled_from(sorted(hostile_images())))
def test_any_image_gives_an_image(seed: int, name: str) -> None:
    image = hostile_images()[name]
    for kind in KINDS:
        make: Any = kind
        changed = make(p=1.0, seed=seed)(image)
        assert changed.dtype == np.uint8
        assert changed.shape == image.shape


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: HED(2.0),
        lambda: HED(p=1.5),
        lambda: HED(seed=-1),
        lambda: ConcentrationJitter("nobody"),
        lambda: ConcentrationJitter(stains={"hematoxylin": [1, 0, 0]}),
        lambda: ConcentrationJitter(stains={"hematoxylin": [1, 0, 0], "eosin": [2, 0, 0]}),
        lambda: HED(p=1.0)(np.zeros((4, 4), np.uint8)),
        lambda: HED(p=1.0)("a picture"),
    ],
)
def test_wrong_use_is_told(wrong: Any) -> None:
    with pytest.raises(UsageError) as caught:
        wrong()
    assert caught.value.remedy


def test_a_real_image(shared_data: Path) -> None:
    image = np.asarray(Image.open(shared_data / "stain-reference" / "torchstain" / "source.png").convert("RGB"))
    for kind in KINDS:
        make: Any = kind
        changed = make(p=1.0, seed=2)(image)
        assert 1 < np.abs(changed.astype(int) - image).mean() < 120
