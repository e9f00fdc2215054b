"""The schedule, the targets and the recipes of the paper; how images are split and ordered."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from histokin.errors import UnknownName, UsageError
from histokin.training.class_labels import read_classes
from histokin.training.class_split import ClassOrder, split_classes
from histokin.training.classifier_profiles import NETWORKS, classifier_profile, paper_share, smoothed
from histokin.training.classifier_report import epochs_of
from histokin.training.images import from_arrays


def test_rates_of_the_paper() -> None:
    rates = {epoch: 1e-3 * paper_share(epoch) for epoch in (0, 80, 81, 120, 121, 161, 180, 181, 199)}
    wanted = {0: 1e-3, 80: 1e-3, 81: 1e-4, 120: 1e-4, 121: 1e-5, 161: 1e-6, 180: 1e-6, 181: 1e-7, 199: 1e-7}
    assert rates == pytest.approx(wanted, rel=1e-9)


def test_smoothed_targets() -> None:
    targets = smoothed(np.array([2, 0]), 5, 0.1)
    assert targets[0].tolist() == pytest.approx([0.02, 0.02, 0.92, 0.02, 0.02])
    assert targets.sum(axis=1).tolist() == pytest.approx([1, 1])
    assert smoothed(np.array([1]), 2, 0).tolist() == [[0, 1]]


def test_paper_profiles() -> None:
    for name in NETWORKS:
        paper = classifier_profile(name, "paper")
        assert (paper.epochs, paper.batch, paper.rate, paper.schedule) == (200, 32, 1e-3, "drops")
        assert not paper.augment
        assert paper.start == "random"
        assert (paper.optimizer == "rmsprop") == (name == "inception_v3") == paper.auxiliary
    inception = classifier_profile("inception_v3", "paper")
    assert (inception.input_px, inception.smoothing, inception.epsilon) == (299, 0.1, 1.0)
    assert classifier_profile("resnet50", "paper").input_px is None
    assert classifier_profile("inception_v3", "practical").epsilon == 1e-7
    assert all(classifier_profile(name, "reduced").least_epochs >= 3 for name in NETWORKS if name != "small")


def test_unknown_profiles_and_sizes() -> None:
    with pytest.raises(UnknownName, match="no classifier network is called 'vgg'"):
        classifier_profile("vgg")
    with pytest.raises(UnknownName, match="no profile is called 'full'"):
        classifier_profile("small", "full")
    with pytest.raises(UsageError, match="inception_v3 cannot take 64 x 64"):
        classifier_profile("inception_v3", "reduced", 64)


def labelled(groups: list[int], classes: list[str]) -> tuple:  # type: ignore[type-arg]
    blank = [np.full((1, 1, 3), i % 251, np.uint8) for i in range(len(groups))]
    images = from_arrays("set", blank, [f"g{g}" for g in groups])
    return images, dict(zip(images.names, classes, strict=True))


@settings(deadline=None, max_examples=12)
@given(st.integers(0, 1000), st.integers(3, 15), st.integers(2, 4))
def test_groups_are_never_divided_and_every_class_is_everywhere(seed: int, slides: int, classes: int) -> None:
    rng = np.random.default_rng(seed)
    groups, kinds = [], []
    for kind in range(classes):
        for slide in range(slides):
            for _ in range(int(rng.integers(1, 6))):
                groups.append(100 * kind + slide)
                kinds.append("abcd"[kind])
    images, labels = labelled(groups, kinds)
    parts = split_classes(images, labels, seed)
    assert sorted(name for part in parts for name in part.names) == sorted(images.names)
    for i, one in enumerate(parts):
        assert {labels[name] for name in one.names} == set(kinds)
        for other in parts[i + 1 :]:
            assert not set(one.groups) & set(other.groups)
    if slides >= 10:
        assert len(parts[0]) == pytest.approx(0.7 * len(images), rel=0.15)


def test_a_class_of_two_groups_cannot_be_split() -> None:
    images, labels = labelled([0, 1, 2, 3, 4, 4], ["a", "a", "a", "b", "b", "b"])
    with pytest.raises(UsageError, match="no image of the class b is left for test"):
        split_classes(images, labels, 0)


def test_every_image_once_an_epoch_and_never_one_alone() -> None:
    order = ClassOrder(np.arange(9) % 2, 4, seed=0)
    assert order.steps_per_epoch == 2
    seen = [order.places(step) for step in range(4)]
    assert [len(one) for one in seen] == [4, 5, 4, 5]
    assert sorted(seen[0] + seen[1]) == list(range(9)) == sorted(seen[2] + seen[3])
    assert seen[0] + seen[1] != seen[2] + seen[3]
    assert order.places(1) == seen[1]


def test_rare_classes_come_again_where_balanced() -> None:
    numbers = np.array([0] * 12 + [1] * 3)
    order = ClassOrder(numbers, 6, seed=1, balanced=True)
    epoch = [place for step in range(order.steps_per_epoch) for place in order.places(step)]
    assert np.bincount(numbers[epoch]).tolist() == [12, 12]
    assert set(epoch) == set(range(15))


def test_epochs_are_means_over_their_steps() -> None:
    history = [
        {"step": 2.0, "cross_entropy": 4.0},
        {"step": 3.0, "cross_entropy": 1.0, "held_out_accuracy": 0.5},
        {"step": 6.0, "cross_entropy": 2.0, "held_out_accuracy": 0.6},
    ]
    assert epochs_of(history, 3) == [
        {"epoch": 1.0, "cross_entropy": 3.0, "held_out_accuracy": 0.5},
        {"epoch": 2.0, "cross_entropy": 2.0, "held_out_accuracy": 0.6},
    ]


def test_classes_from_folders_and_tables(tile_set: Path, tmp_path: Path) -> None:
    images, labels = read_classes(tile_set)
    assert {labels[name] for name in images.names} == {"coarse", "fine"}
    files = [Path(name).relative_to(tile_set) for name in images.names]
    (tmp_path / "groups.csv").write_text("file,group\n" + "".join(f"{file},{i // 2}\n" for i, file in enumerate(files)))
    (tmp_path / "classes.csv").write_text(
        "file,label\n" + "".join(f"{file},{'xy'[i % 2]}\n" for i, file in enumerate(files))
    )
    grouped, other = read_classes(tile_set, classes=tmp_path / "classes.csv", groups=tmp_path / "groups.csv")
    assert grouped.groups[:4] == ("0", "0", "1", "1")
    assert set(other.values()) == {"x", "y"}
    (tile_set / "table.csv").write_text(
        "path,label,group,split\n"
        + "".join(f"{file},z{i % 3},{i},{('train', 'val', 'test')[i % 3]}\n" for i, file in enumerate(files))
    )
    tabled, third = read_classes(tile_set / "table.csv")
    (tile_set / "table.csv").unlink()
    assert set(tabled.splits) == {"train", "validation", "test"}
    assert sorted(set(third.values())) == ["z0", "z1", "z2"]


def test_images_without_class_or_group_are_named(tile_set: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="lies in no folder of a class"):
        read_classes(tile_set / "fine")
    table = tmp_path / "some.csv"
    table.write_text("file,label,group\nfine/fine_00.png,x,1\n")
    with pytest.raises(UsageError, match=r"coarse_00.png has no class"):
        read_classes(tile_set, classes=table)
    with pytest.raises(UsageError, match=r"coarse_00.png has no group"):
        read_classes(tile_set, groups=table)
    table.write_text("file,other\nfine/fine_00.png,x\n")
    with pytest.raises(UsageError, match="no column 'label'"):
        read_classes(tile_set, classes=table)
