"""Reinhard: known answers, agreement with torchstain, background, and where the default target comes from."""

import warnings
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from histokin.errors import UsageError
from histokin.stain.color_spaces import LAB, SPACES
from histokin.stain.masks import luminosity_mask
from histokin.stain.reinhard import DEFAULT_TARGETS, ColorStatistics, Reinhard, ReinhardMap, color_statistics
from histokin.testing.appearance import synthetic_he
from histokin.types import RGB


def read(path: Path) -> RGB:
    return np.asarray(Image.open(path).convert("RGB"))


def test_lab_of_known_colors() -> None:
    colors = np.array([[[255, 255, 255], [0, 0, 0], [255, 0, 0], [0, 0, 255]]], np.uint8)
    light, a, b = LAB.forward(colors)
    assert np.allclose(light[0], [100, 0, 53.24, 32.30], atol=0.02)
    assert np.allclose(a[0], [0, 0, 80.09, 79.19], atol=0.02)
    assert np.allclose(b[0], [0, 0, 67.20, -107.86], atol=0.02)


@pytest.mark.parametrize("space", sorted(SPACES))
def test_color_spaces_come_back(space: str) -> None:
    image = np.random.default_rng(0).integers(0, 256, (301, 299, 3), np.uint8)
    assert np.array_equal(SPACES[space].inverse(SPACES[space].forward(image)), image)


@pytest.mark.parametrize("space", sorted(SPACES))
@pytest.mark.parametrize("background", ["keep", "transfer"])
def test_transfer_to_itself_is_the_identity(space: str, background: str) -> None:
    image = synthetic_he(px=128)
    method = Reinhard(image, color_space=space, background=background)
    assert np.array_equal(method.fit([image])(image), image)


@pytest.mark.parametrize("space", sorted(SPACES))
def test_output_has_the_targets_statistics(space: str) -> None:
    image = synthetic_he(px=128)
    fitted = Reinhard(color_space=space, statistics="all", background="transfer").fit([image])
    assert isinstance(fitted, ReinhardMap)
    planes = fitted.transfer(SPACES[space].forward(image))
    target = DEFAULT_TARGETS[space]
    assert np.allclose([plane.mean(dtype=float) for plane in planes], target.mean, atol=1e-3)
    assert np.allclose([plane.std(dtype=float) for plane in planes], target.std, atol=1e-3)


def test_agrees_with_torchstain(shared_data: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import torchstain
    folder = shared_data / "stain-reference"
    target = read(folder / "torchstain" / "target.png")
    peer = torchstain.normalizers.ReinhardNormalizer(backend="numpy")
    peer.fit(target)
    ours = Reinhard(target, statistics="all", background="transfer")
    for name in ("torchstain/source.png", "vahadane/source1.png"):
        source = read(folder / name)
        theirs = peer.normalize(source).astype(int)
        assert np.abs(ours.fit([source])(source) - theirs).max() <= 1, name


def test_background_keeps_its_color(shared_data: Path) -> None:
    source = read(shared_data / "stain-reference" / "torchstain" / "source.png")
    glass = np.array([[[255, 255, 255], [243, 243, 243], [240, 236, 244], [232, 232, 226]]], np.uint8)
    assert np.array_equal(Reinhard().fit([source])(glass), glass)
    moved = Reinhard(background="transfer").fit([source])(glass)
    assert not np.array_equal(moved, glass)


def test_the_fade_has_no_step(shared_data: Path) -> None:
    source = read(shared_data / "stain-reference" / "torchstain" / "source.png")
    grey = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    steps = np.abs(np.diff(Reinhard().fit([source])(grey).astype(int), axis=1))
    assert steps.max() <= 6


def test_statistics_do_not_follow_the_share_of_glass() -> None:
    tissue = synthetic_he(px=128)
    glass = np.full((128, 300, 3), 244, np.uint8)
    half = np.concatenate([tissue, glass], axis=1)
    assert Reinhard().fit([half]).to_dict() == Reinhard().fit([tissue]).to_dict()


def test_axis_without_spread_goes_to_the_targets_mean() -> None:
    flat = ColorStatistics((50.0, 0.0, 0.0), (10.0, 0.0, 5.0))
    target = ColorStatistics((60.0, 7.0, -3.0), (5.0, 4.0, 5.0))
    image = np.full((2, 3, 3), 120, np.uint8)
    fitted = ReinhardMap("test", "lab", flat, target, keep_background=False)
    light, a, b = fitted.transfer(LAB.forward(image))
    assert np.allclose(a, 7)
    assert np.isfinite(light).all()
    assert np.isfinite(b).all()


def test_default_targets_are_the_public_test_slides(shared_data: Path) -> None:
    path = shared_data / "wsi" / "CMU-1-Small-Region.svs"
    if not path.is_file():
        pytest.skip("no CMU-1-Small-Region.svs")
    import openslide

    with openslide.OpenSlide(path) as slide:
        image = np.asarray(slide.read_region((0, 0), 0, slide.dimensions).convert("RGB"))
    pixels = image[luminosity_mask(image)]
    for space, target in DEFAULT_TARGETS.items():
        found = color_statistics(pixels, space)
        assert np.allclose([*found.mean, *found.std], [*target.mean, *target.std], atol=2e-3)


@pytest.mark.parametrize("target", [{"mean": [1, 2, 3]}, {"mean": [1, 2, 3], "std": [1, -1, 1]}, 3.5])
def test_impossible_targets_are_refused(target: object) -> None:
    with pytest.raises(UsageError):
        Reinhard(target)


def test_legacy_uint8_lab_is_the_8_bit_computation(shared_data: Path) -> None:
    folder = shared_data / "stain-reference" / "torchstain"
    source, target = (np.asarray(Image.open(folder / f"{n}.png").convert("RGB")) for n in ("source", "target"))

    def lab(image: np.ndarray) -> np.ndarray:
        levels = cv2.cvtColor(image, cv2.COLOR_RGB2LAB).astype(np.float64)
        return np.asarray(levels / (2.55, 1, 1) - (0, 128, 128))

    moved = (lab(source) - lab(source).mean((0, 1))) * lab(target).std((0, 1)) / lab(source).std((0, 1))
    moved = np.clip((moved + lab(target).mean((0, 1)) + (0, 128, 128)) * (2.55, 1, 1), 0, 255).astype(np.uint8)
    published = cv2.cvtColor(moved, cv2.COLOR_LAB2RGB).astype(int)
    options: dict[str, Any] = {"statistics": "all", "background": "transfer"}
    ours = Reinhard(target, legacy_uint8_lab=True, **options).fit([source])(source)
    assert np.abs(ours - published).max() <= 1
    exact = Reinhard(target, **options).fit([source])(source)
    assert np.abs(exact - published).max() > 1
    with pytest.raises(UsageError, match="CIELAB only"):
        Reinhard(color_space="lalphabeta", legacy_uint8_lab=True)
