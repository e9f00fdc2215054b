"""Groups that stand in for the slides of ``crc5``, which names none: tiles of like color, and copies, belong together.

    python -m benchmarks.crc5_groups FOLDER [--out benchmarks/groups/crc5.csv]

Average linkage (scipy) of 512-bin color histograms at Hellinger distance, cut into 100 clusters; clusters that share a
picture (the same, mirrored or turned) are joined. Nothing is drawn at random. 100 was chosen as the number at which a
color histogram, searching outside the tile's own group, is no better than color tells the classes apart at large; no
other encoder was looked at. The printed figures say how well that worked.
"""

import argparse
import csv
import os
from pathlib import Path

import cv2
import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import pdist, squareform

from histokin.encoders.color_histogram import ColorHistogram
from histokin.evaluation.coarse_color import coarse_accuracy
from histokin.evaluation.leakage import same_pictures, side
from histokin.types import RGB

CLUSTERS = 100
DATA = Path(os.environ.get("HISTOKIN_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))


def read(path: Path) -> RGB:
    """The image as RGB."""
    return np.asarray(cv2.imread(str(path), cv2.IMREAD_COLOR), np.uint8)[..., ::-1].copy()


def groups_of(images: list[RGB], names: list[str], labels: list[str]) -> np.ndarray:
    """A group number for every image, from 0 in the order of first appearance."""
    colors = ColorHistogram().encode(images).astype(np.float64)
    found = fcluster(linkage(pdist(colors), "average"), CLUSTERS, "maxclust")
    for one, other in same_pictures(side(names, labels, images).thumbs, None):
        found[found == found[one]] = found[other]
    _, first, place = np.unique(found, return_index=True, return_inverse=True)
    return np.asarray(np.argsort(np.argsort(first)))[place]


def main() -> None:
    """Write the groups and print what is left to color once they are held apart."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=DATA / "crc5")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "groups" / "crc5.csv")
    asked = parser.parse_args()
    paths = sorted(path for path in asked.folder.glob("*/*.jpg"))
    images, labels = [read(path) for path in paths], [path.parent.name for path in paths]
    names = [f"{path.parent.name}/{path.name}" for path in paths]
    groups = groups_of(images, names, labels)
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    with asked.out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("file", "group"))
        writer.writerows(zip(names, groups.tolist(), strict=True))
    colors, truth = ColorHistogram().encode(images), np.array(labels)
    distance = squareform(pdist(colors.astype(np.float64)))
    distance[groups[:, None] == groups[None]] = np.inf
    apart = float((truth[distance.argmin(axis=1)] == truth).mean())
    sizes = np.bincount(groups)
    print(f"{len(paths)} tiles in {len(sizes)} groups of {sizes.min()} to {sizes.max()}")
    print(
        f"color histogram, first hit outside the own group: {apart:.3f}; at large: {coarse_accuracy(colors, truth):.3f}"
    )


if __name__ == "__main__":
    main()
