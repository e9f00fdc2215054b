"""Synthetic sets: known answers, determinism, and a folder that says what it is."""

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from histokin.errors import UsageError
from histokin.evaluation.synthetic.centres import CENTRES, five_centres
from histokin.evaluation.synthetic.folder import COLUMNS
from histokin.evaluation.synthetic.scanners import ScannerMap, two_scanners
from histokin.evaluation.synthetic.staining import DENSITY, Staining
from histokin.evaluation.synthetic.tissue import CLASSES, tissue
from histokin.types import RGB


def error(one: RGB, other: RGB) -> float:
    """Mean squared difference, grey levels squared."""
    return float(((one.astype(np.float64) - other.astype(np.float64)) ** 2).mean())


@pytest.mark.parametrize("label", CLASSES)
def test_tissue_is_decided_by_its_seed(label: str) -> None:
    one, same, other = tissue(label, px=96, seed=3), tissue(label, px=96, seed=3), tissue(label, px=96, seed=4)
    assert np.array_equal(one.concentrations, same.concentrations)
    assert not np.array_equal(one.concentrations, other.concentrations)
    assert one.concentrations.min() > 0
    assert np.isfinite(one.concentrations).all()


def test_crowded_tissue_has_more_and_larger_nuclei() -> None:
    shares, sizes = {}, {}
    for label in CLASSES:
        fields = [tissue(label, px=224, seed=seed) for seed in range(6)]
        shares[label] = np.mean([field.nuclei.mean() for field in fields])
        # how far a nuclear pixel lies from the edge: touching nuclei count once
        sizes[label] = np.mean(
            [cv2.distanceTransform(f.nuclei.astype(np.uint8), cv2.DIST_L2, 3)[f.nuclei].mean() for f in fields]
        )
    assert shares["crowded"] > 3 * shares["sparse"] > 0
    assert sizes["crowded"] > 1.5 * sizes["sparse"]


@pytest.mark.parametrize("label", CLASSES)
def test_hematoxylin_lies_in_nuclei_and_glass_is_empty(label: str) -> None:
    fields = [tissue(label, px=160, seed=seed) for seed in range(4)]
    h = np.concatenate([f.concentrations[f.nuclei] for f in fields])
    rest = np.concatenate([f.concentrations[~f.nuclei & ~f.glass] for f in fields])
    glass = np.concatenate([f.concentrations[f.glass] for f in fields])
    assert h[:, 0].mean() > 4 * rest[:, 0].mean()
    assert h[:, 1].mean() < rest[:, 1].mean()
    assert np.median(glass) < 0.02


def test_tissue_names_its_classes_and_its_least_size() -> None:
    with pytest.raises(UsageError, match="sparse, crowded"):
        tissue("bone")
    with pytest.raises(UsageError, match="32"):
        tissue("sparse", px=8)


def test_staining_can_be_undone() -> None:
    field = tissue("crowded", px=96, seed=1)
    staining = Staining((0.65, 0.70, 0.29), (0.22, 0.80, 0.56), (1.2, 0.8))
    density = DENSITY.forward(staining.image(field.concentrations))
    found = density.reshape(-1, 3) @ np.linalg.pinv(staining.stains).T / [1.2, 0.8]
    assert np.abs(found - field.concentrations.reshape(-1, 2)).mean() < 0.01


def test_five_centres_have_two_classes_each_and_the_fifth_is_farthest_from_the_standard() -> None:
    made = five_centres(3, px=96, seed=1)
    assert len(made.images) == len(made.labels) == len(made.centres) == len(made.standard) == 30
    assert {(c, made.centres.count(c)) for c in made.centres} == {(f"centre-{i}", 6) for i in range(1, 6)}
    errors = [error(image, standard) for image, standard in zip(made.images, made.standard, strict=True)]
    apart = {
        name: sum(e for e, c in zip(errors, made.centres, strict=True) if c == name)
        for name in sorted(set(made.centres))
    }
    assert max(apart, key=lambda name: apart[name]) == "centre-5"
    assert min(apart, key=lambda name: apart[name]) == "centre-1"
    again = five_centres(3, px=96, seed=1)
    assert all(np.array_equal(a, b) for a, b in zip(made.images, again.images, strict=True))


def test_the_centres_differ_in_dyes_strength_and_light() -> None:
    assert len({(c.hematoxylin, c.eosin) for c in CENTRES}) == 5
    assert len({c.gains for c in CENTRES}) == 5
    assert len({c.light for c in CENTRES}) == 5


def test_scanner_pairs_obey_the_known_map() -> None:
    pairs = two_scanners(2, 2, px=96, seed=2, noise=0.0, blur=0.0)
    for source, target in zip(pairs.sources, pairs.targets, strict=True):
        assert np.array_equal(pairs.color_map.apply(source), target)
    assert pairs.splits == ("train", "train", "test", "test")


def test_noise_and_blur_leave_the_known_map_close_and_the_source_far() -> None:
    pairs = two_scanners(0, 3, px=96, seed=2)
    for source, target, other in zip(pairs.sources, pairs.targets, pairs.others, strict=True):
        mapped = error(pairs.color_map.apply(source), target)
        assert mapped < 20
        assert error(source, target) > 5 * mapped
        # the map belongs to scanner O: on scanner P it is wrong
        assert error(pairs.color_map.apply(other), target) > 5 * mapped


def test_the_known_map_is_smooth() -> None:
    levels = np.arange(32, 256, 8, dtype=np.uint8)
    cube = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1).reshape(28 * 28, 28, 3)
    mapped = ScannerMap().apply(np.ascontiguousarray(cube)).reshape(28, 28, 28, 3).astype(np.float64)
    bends = [np.abs(np.diff(mapped, n=2, axis=axis)).max() for axis in range(3)]
    assert max(bends) < 16


def test_folders_say_that_they_are_synthetic(tmp_path: Path) -> None:
    manifest = two_scanners(1, 1, px=64).write(tmp_path / "pairs")
    with manifest.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    assert [(row["centre"], row["pair"], row["split"]) for row in rows[:3]] == [
        ("O", "0000", "train"),
        ("T", "0000", "train"),
        ("P", "0000", "train"),
    ]
    assert "SYNTHETIC" in (tmp_path / "pairs" / "README.txt").read_text()
    with Image.open(tmp_path / "pairs" / rows[0]["path"]) as opened:
        assert "synthetic" in opened.info["Description"]


def test_centres_write_their_truth_beside_them(tmp_path: Path) -> None:
    made = five_centres(1, px=64)
    with made.write(tmp_path).open(newline="") as file:
        rows = list(csv.DictReader(file))
    truth = [row for row in rows if row["set"] == "truth"]
    assert len(rows) == 20
    assert len(truth) == 10
    with Image.open(tmp_path / truth[0]["path"]) as opened:
        assert np.array_equal(np.asarray(opened), made.standard[0])
