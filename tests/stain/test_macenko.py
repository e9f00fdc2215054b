"""Macenko: known stains, agreement with torchstain, and sources that have none."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from histokin.errors import DegenerateStain, UnreadableFile, UsageError
from histokin.stain.macenko import DEFAULT_TARGET, Macenko, stain_vectors
from histokin.stain.masks import density_mask
from histokin.stain.optical_density import OpticalDensity
from histokin.stain.two_stain import StainModel, TwoStainMap, unmixing
from histokin.testing.appearance import RUIFROK, synthetic_he, unit
from histokin.types import RGB


def read(path: Path) -> RGB:
    return np.asarray(Image.open(path).convert("RGB"))


def psnr(one: RGB, other: RGB) -> float:
    error = float(((one.astype(float) - other) ** 2).mean())
    return float("inf") if error == 0 else 10 * float(np.log10(255**2 / error))


def torchstain(kind: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import torchstain as package
    return getattr(package.normalizers, f"{kind}Normalizer")(backend="numpy")


def degrees(stains: np.ndarray) -> np.ndarray:
    cosines = (unit(stains) * unit(RUIFROK)).sum(axis=0)
    return np.asarray(np.degrees(np.arccos(np.minimum(cosines, 1))))


@pytest.mark.parametrize(
    ("mixture", "noise", "limit"), [("mixed", 0, 1.5), ("mixed", 0.02, 3), ("exp", 0, 3), ("dense", 0, 5)]
)
def test_stain_vectors_of_a_synthetic_mixture(mixture: str, noise: float, limit: float) -> None:
    density = OpticalDensity().forward(synthetic_he(mixture=mixture, noise=float(noise)).reshape(-1, 3))
    stains = stain_vectors(density[density_mask(density, 0.15)])
    assert degrees(stains).max() < limit
    assert np.allclose(np.linalg.norm(stains, axis=0), 1)


def test_unmixing_is_the_pseudo_inverse() -> None:
    stains = unit(RUIFROK)
    assert np.allclose(unmixing(stains), np.linalg.pinv(stains), atol=1e-12)


@pytest.mark.parametrize(("od", "least"), [("od240", 35), ("od255", 47), ("od256", 47)])
def test_self_normalization(od: str, least: float) -> None:
    image = synthetic_he()
    same = Macenko(image, od=od).fit([image])(image)
    assert psnr(same, image) > least


def test_same_tissue_stained_otherwise() -> None:
    source = synthetic_he(seed=0)
    truth, reference = (synthetic_he(DEFAULT_TARGET.stains, seed=s, gain=(1.25, 0.8)) for s in (0, 1))
    assert psnr(source, truth) == pytest.approx(17.9, abs=0.2)
    assert psnr(Macenko(reference, od="od255").fit([source])(source), truth) > 44
    assert psnr(Macenko(reference).fit([source])(source), truth) > 27


def test_agrees_with_torchstain(shared_data: Path) -> None:
    folder = shared_data / "stain-reference"
    target = read(folder / "torchstain" / "target.png")
    ours, peer = Macenko(target), torchstain("Macenko")
    peer.fit(target)
    published = np.array([[0.7216, 0.3497], [0.6620, 0.9101], [0.2023, 0.2221]])
    assert np.abs(ours.target.stains - published).max() < 1e-4
    assert np.abs(ours.target.stains - peer.HERef).max() < 1e-5
    assert np.abs(np.array(ours.target.p99) - peer.maxCRef).max() < 1e-5
    for name in ("torchstain/source.png", "vahadane/source1.png", "mitkovetta/example1.tif"):
        source = read(folder / name)
        fitted = ours.fit([source])
        theirs = peer.normalize(source.copy(), stains=False)[0].astype(int)
        assert np.abs(fitted(source) - theirs).max() <= 1, name
        default = torchstain("Macenko").normalize(source.copy(), stains=False)[0].astype(int)
        assert np.abs(Macenko().fit([source])(source) - default).max() <= 1, name


def test_a_slide_level_fit_pools_its_patches() -> None:
    image = synthetic_he(px=128)
    together = Macenko().fit([image])
    assert Macenko().fit([image[:50], image[50:]]).to_dict() == together.to_dict()
    white = np.full((64, 64, 3), 255, np.uint8)
    assert together(white).min() >= 245
    assert np.array_equal(together(image[:30]), together(image)[:30])


def test_a_good_map_never_darkens_pale_patches(shared_data: Path) -> None:
    fitted = Macenko().fit([read(shared_data / "stain-reference" / "torchstain" / "source.png")])
    for level in range(225, 256):
        pale = np.full((2, 2, 3), level, np.uint8)
        assert int(fitted(pale).min()) > level - 12


def test_stain_that_is_hardly_there_is_not_blown_up() -> None:
    image = np.full((300, 300, 3), 250, np.uint8)
    image[:25, :25] = synthetic_he(px=25)
    fitted = Macenko().fit([image])
    assert not fitted.status.ok
    assert "faint" in fitted.status.reason
    with pytest.raises(DegenerateStain) as caught:
        Macenko(strict=True).fit([image])
    assert caught.value.remedy


def test_targets(tmp_path: Path) -> None:
    image = synthetic_he(px=64)
    path = tmp_path / "target.png"
    Image.fromarray(image).save(path)
    by_array = Macenko(image)
    assert Macenko(path).space == Macenko(str(path)).space == by_array.space
    assert Macenko(by_array.to_dict()["target"]).space == by_array.space
    assert Macenko().target == DEFAULT_TARGET
    assert Macenko().space != by_array.space
    assert Macenko().space != Macenko(io=255).space
    assert Macenko(strict=True).space == Macenko().space


@pytest.mark.parametrize(
    "target",
    [
        np.full((50, 50, 3), 255, np.uint8),
        np.zeros((50, 50), np.uint8),
        {"hematoxylin": [1, 0, 0]},
        {"hematoxylin": [0.6, 0.7, 0.4], "eosin": [0.6, 0.7, 0.41], "p99": [1, 1]},
        {"hematoxylin": [0.6, 0.7, 0.4], "eosin": [0.2, 0.8, "x"], "p99": [1, 1]},
        {"hematoxylin": [0.6, 0.7, 0.4], "eosin": [0.2, 0.8, 0.5], "p99": [0, 1]},
        7,
    ],
)
def test_impossible_targets_are_refused(target: object) -> None:
    with pytest.raises(UsageError) as caught:
        Macenko(target)
    assert caught.value.remedy


def test_unreadable_targets_are_named(tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    for name in ("bad.png", "absent.png", "."):
        with pytest.raises(UnreadableFile) as caught:
            Macenko(tmp_path / name)
        assert caught.value.path == str(tmp_path / name)


@pytest.mark.parametrize("option", [{"beta": -1}, {"alpha": 60}, {"io": 0}, {"od": "x"}, {"rule": 3 * "x"}])
def test_impossible_options_are_refused(option: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Macenko(**option)


def test_maps_hold_the_model() -> None:
    fitted = Macenko().fit([synthetic_he(px=64)])
    assert isinstance(fitted, TwoStainMap)
    assert isinstance(fitted.source, StainModel)
    assert 5 < fitted.source.angle < 90
    assert fitted.matrix.safe
