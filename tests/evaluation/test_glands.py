"""Synthetic glands of five grades."""

from pathlib import Path

import numpy as np
import pytest

from histokin.errors import UsageError
from histokin.evaluation.synthetic.gland_grades import gland_grades
from histokin.evaluation.synthetic.glands import CLASSES, KEPT, gland_field
from histokin.training.images import read_images


@pytest.mark.parametrize("label", CLASSES)
def test_a_field_is_decided_by_its_seed_and_keeps_its_share_of_glands(label: str) -> None:
    for seed in range(2):
        first, again = gland_field(label, px=96, seed=seed), gland_field(label, px=96, seed=seed)
        assert (first.concentrations == again.concentrations).all()
        assert (first.glands == again.glands).all()
        assert first.concentrations.shape == (96, 96, 2)
        low, high = KEPT.get(label, (1.0, 1.0))
        assert low <= first.kept <= high
        assert 0.05 < first.glands.mean() < 0.99
    assert (gland_field(label, px=96, seed=9).glands != first.glands).any()


def test_the_same_field_at_two_sizes() -> None:
    small, large = gland_field("moderately", px=112, seed=4), gland_field("moderately", px=224, seed=4)
    assert small.kept == large.kept
    assert small.glands.mean() == pytest.approx(large.glands.mean(), abs=0.01)
    shrunk = large.concentrations.reshape(112, 2, 112, 2, 2).mean(axis=(1, 3))
    assert np.abs(shrunk - small.concentrations).mean() < 0.02


def test_grades_grow_in_disorder() -> None:
    fields = {label: [gland_field(label, px=128, seed=s) for s in range(2)] for label in CLASSES}
    blue = {label: np.mean([f.concentrations[..., 0].mean() for f in found]) for label, found in fields.items()}
    assert blue["normal"] < min(blue[label] for label in CLASSES[1:])
    kept = [np.mean([f.kept for f in fields[label]]) for label in CLASSES[2:]]
    assert kept == sorted(kept, reverse=True)
    for found in fields.values():
        for field in found:
            # most of the clear pixels are lumens of glands
            clear = field.concentrations.sum(axis=2) < 0.1
            assert clear.mean() < 0.4


def test_other_classes_and_sizes_are_refused() -> None:
    with pytest.raises(UsageError, match=r"called 'serrated'.*normal, adenoma, well"):
        gland_field("serrated")
    for px in (95, 225):
        with pytest.raises(UsageError, match="96 to 224"):
            gland_field("normal", px=px)
    with pytest.raises(UsageError, match="at least one"):
        gland_grades(0)


def test_a_set_is_written_as_synthetic_and_read_for_training(tmp_path: Path) -> None:
    from PIL import Image

    made = gland_grades(2, px=96, seed=1, slides=2)
    assert len(made.images) == 10
    assert set(made.labels) == set(CLASSES)
    table = made.write(tmp_path / "set")
    assert "SYNTHETIC" in (tmp_path / "set" / "README.txt").read_text()
    found = read_images(table)
    assert len(found) == 10
    assert not found.failed
    assert set(found.groups) == {f"{label}-{s}" for label in CLASSES for s in (1, 2)}
    first = Path(found.names[0])
    assert "synthetic" in Image.open(first).text["Description"]  # type: ignore[attr-defined]
    assert (found.load(0) == made.images[0]).all()
    rows = table.read_text().splitlines()
    assert rows[0] == "path,label,group,kept,gland,mask"
    mask = np.asarray(Image.open(tmp_path / "set" / rows[1].split(",")[-1]).convert("L")) > 127
    assert (mask == made.masks[0]).all()
