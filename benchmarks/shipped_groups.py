"""Groups and halves of the sets that make and judge the shipped encoder: ``oral2`` and both tissues of LC25000.

    python -m benchmarks.shipped_groups [--data DIR] [--out benchmarks/groups]

None of them names slides or patients, and all hold turned or mirrored copies. Groups of ``oral2`` are found as in
``benchmarks/crc5_groups.py``. LC25000 was made from 250 pictures a class by turning and mirroring: there a group is
what average linkage of color histograms at Hellinger distance joins below 0.15, which those copies survive. Whole
groups go to half A or B, in an order drawn with a fixed seed, each to the half that lacks the group's commoner class.
Half A may train and choose, half B only judges; of the colon both halves judge.
"""

import argparse
import csv
from pathlib import Path

import numpy as np
from benchmarks.crc5_groups import DATA, groups_of, read
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import pdist

from histokin.encoders.color_histogram import ColorHistogram
from histokin.encoders.pixels import prepare

SEED = 20240601
COPIES = 0.15
SIDE = 224
SETS = {"oral2": "oral2", "lc25000-lung-224": "lc25000-lung", "lc25000-colon-768": "lc25000-colon"}


def copies_of(images: list[np.ndarray]) -> np.ndarray:
    """A group number for every image, from 0."""
    colors = ColorHistogram().encode([prepare(image, SIDE) for image in images]).astype(np.float64)
    return np.asarray(fcluster(linkage(pdist(colors), "average"), COPIES, "distance")) - 1


def halves_of(groups: np.ndarray, labels: list[str]) -> np.ndarray:
    """ "A" or "B" for every image, the same for a whole group."""
    truth = np.array(labels)
    halves = np.full(len(groups), "A")
    filled = {(half, label): 0 for half in "AB" for label in set(labels)}
    order = np.random.default_rng(SEED).permutation(groups.max() + 1)
    for group in sorted(order, key=lambda g: -int((groups == g).sum())):
        names, counts = np.unique(truth[groups == group], return_counts=True)
        common = str(names[counts.argmax()])
        half = min("AB", key=lambda h: filled[h, common])
        halves[groups == group] = half
        for name, count in zip(names, counts, strict=True):
            filled[half, str(name)] += int(count)
    return halves


def main() -> None:
    """Write one file per set, and print the sizes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "groups")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    for folder, title in SETS.items():
        paths = sorted(p for p in (asked.data / folder).glob("*/*") if p.suffix.lower() in {".jpg", ".jpeg", ".png"})
        images, labels = [read(path) for path in paths], [path.parent.name for path in paths]
        names = [f"{path.parent.name}/{path.name}" for path in paths]
        groups = groups_of(images, names, labels) if title == "oral2" else copies_of(images)
        halves = halves_of(groups, labels)
        with (asked.out / f"{title}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(("file", "group", "half"))
            writer.writerows(zip(names, groups.tolist(), halves.tolist(), strict=True))
        print(f"{title}: {len(paths)} tiles in {len(set(groups.tolist()))} groups, half A {(halves == 'A').sum()}")


if __name__ == "__main__":
    main()
