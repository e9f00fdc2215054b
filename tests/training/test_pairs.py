"""Pairs of images: folders, tables, memory, and what is left out."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from histokin.errors import UsageError
from histokin.training.pairs import PairSet, pairs_from_arrays, read_pairs

NAMED = {"he": "brightfield", "shg": "shg"}


def write(path: Path, seed: int, *, gray: bool = False, side: int = 40) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (side, side) if gray else (side, side, 3)
    assert cv2.imwrite(str(path), np.random.default_rng(seed).integers(0, 256, shape, np.uint8))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for i in range(4):
        write(tmp_path / "he" / f"core {i}.png", i)
        write(tmp_path / "shg" / f"core {i}.tif", 10 + i, gray=True)
    write(tmp_path / "other" / "core 0.png", 99)
    return tmp_path


def test_pairs_of_a_folder(folder: Path) -> None:
    pairs = read_pairs(folder, NAMED)
    assert pairs.names == pairs.groups == ("core 0", "core 1", "core 2", "core 3")
    assert pairs.modalities == ("brightfield", "shg")
    assert (pairs.channels, pairs.failed) == ((3, 1), ())
    one, other = pairs.load(2)
    assert (one.shape, other.shape) == ((40, 40, 3), (40, 40, 1))
    stored = cv2.imread(str(folder / "shg" / "core 2.tif"), cv2.IMREAD_UNCHANGED)
    assert stored is not None
    assert np.array_equal(other[..., 0], stored)


def test_order_and_names_are_those_asked_for(folder: Path) -> None:
    turned = read_pairs(folder, {"shg": "second harmonic", "he": "brightfield"})
    assert turned.modalities == ("second harmonic", "brightfield")
    assert turned.channels == (1, 3)
    assert turned.digest != read_pairs(folder, NAMED).digest


def test_three_folders_need_a_choice(folder: Path) -> None:
    with pytest.raises(UsageError, match="3 modalities"):
        read_pairs(folder)
    with pytest.raises(UsageError, match="nothing of 'ihc'"):
        read_pairs(folder, {"he": "brightfield", "ihc": "ihc"})
    with pytest.raises(UsageError, match="no such folder"):
        read_pairs(folder / "nowhere")


def test_what_cannot_be_used_is_named(folder: Path) -> None:
    write(folder / "he" / "alone.png", 5)
    write(folder / "he" / "large.png", 6, side=50)
    write(folder / "shg" / "large.png", 7, gray=True)
    (folder / "shg" / "core 0.tif").write_bytes(b"II*\x00 garbage")
    pairs = read_pairs(folder, NAMED)
    assert pairs.names == ("core 1", "core 2", "core 3")
    told = " ".join(str(error) for error in pairs.failed)
    assert len(pairs.failed) == 3
    assert "alone has no image of 'shg'" in told
    assert "50 x 50 and 40 x 40" in told


def test_no_pair_at_all_gives_the_first_cause(tmp_path: Path) -> None:
    write(tmp_path / "a" / "1.png", 0)
    write(tmp_path / "b" / "2.png", 1)
    with pytest.raises(UsageError, match="no pair of images"):
        read_pairs(tmp_path)


def test_pairs_of_a_table(folder: Path) -> None:
    rows = ["pair,modality,path,group,split"]
    for i in range(4):
        split = "test" if i == 3 else "train"
        rows += [f"p{i},BF,he/core {i}.png,patient {i // 2},{split}", f"p{i},SHG,shg/core {i}.tif,,"]
    table = folder / "pairs.csv"
    table.write_text("\n".join(rows) + "\n")
    pairs = read_pairs(table, {"BF": "brightfield", "SHG": "shg"})
    assert pairs.groups == ("patient 0", "patient 0", "patient 1", "patient 1")
    learn, held = pairs.divided(0)
    assert (learn.names, held.names) == (("p0", "p1", "p2"), ("p3",))
    assert pairs.digest == read_pairs(folder, NAMED).digest


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pair,path\n1,a.png\n", "no column 'modality'"),
        ("pair,modality,path\n1,he,\n", "line 2 lacks a cell"),
        ("pair,modality,path,split\n1,he,a.png,maybe\n", "split is 'maybe' in line 2"),
    ],
)
def test_tables_that_are_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "pairs.csv").write_text(text)
    with pytest.raises(UsageError, match=message):
        read_pairs(tmp_path / "pairs.csv")


def arrays(groups: int, each: int = 2) -> PairSet:
    draws = np.random.default_rng(0)
    pairs = [
        (draws.integers(0, 256, (32, 32, 3), np.uint8), draws.integers(0, 256, (32, 32, 1), np.uint8))
        for _ in range(groups * each)
    ]
    names = [f"{i}" for i in range(len(pairs))]
    return pairs_from_arrays(("brightfield", "shg"), names, pairs, [f"g{i // each}" for i in range(len(pairs))])


@pytest.mark.parametrize(("groups", "held"), [(1, 0), (2, 0), (3, 1), (20, 2), (40, 4)])
def test_whole_groups_are_held_out(groups: int, held: int) -> None:
    learn, kept = arrays(groups).divided(3)
    assert not set(learn.groups) & set(kept.groups)
    assert (len(set(kept.groups)), len(learn) + len(kept)) == (held, 2 * groups)


def test_some_of_them() -> None:
    pairs = arrays(3)
    part = pairs.some([4, 0])
    assert part.names == ("4", "0")
    assert np.array_equal(part.load(0)[0], pairs.load(4)[0])
    assert part.digest != pairs.digest
    assert part.some([1]).digest == pairs.some([0]).digest


def test_arrays_that_are_no_pairs() -> None:
    one, other = np.zeros((32, 32, 3), np.uint8), np.zeros((32, 40, 1), np.uint8)
    with pytest.raises(UsageError, match="32 x 32 and 40 x 32"):
        pairs_from_arrays(("a", "b"), ["x"], [(one, other)])
    with pytest.raises(UsageError, match="0 pairs"):
        pairs_from_arrays(("a", "b"), [], [])


def test_the_shared_cores(shared_data: Path) -> None:
    pairs = read_pairs(shared_data / "bf-shg", {"he_aligned_derived": "brightfield", "shg": "shg"})
    assert (len(pairs), pairs.channels, pairs.failed) == (21, (3, 1), ())
