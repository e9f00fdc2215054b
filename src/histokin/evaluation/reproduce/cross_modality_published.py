"""What the paper on cross-modality sub-image retrieval prints. Nothing here was measured by us."""

from typing import NamedTuple, final


@final
class Row(NamedTuple):
    """Acc@10 (%) of one repository: of untransformed and transformed queries of the two kinds.

    In rows of originals and CoMIR the kinds are brightfield and SHG queries. In rows of translated images they are
    queries of the real modality that the row's repository shows or was made from, and queries translated from it or
    into it: the header was lost in print, and the order here is our reading, by which the within-modality cells are
    100 %.
    """

    first: float
    first_moved: float
    second: float
    second_moved: float


Block = dict[str, Row]
"""By repository."""

FULL: dict[tuple[str, str], Block] = {
    ("sift", "none"): {"BF": Row(100, 100, 9.7, 11.2), "SHG": Row(9.2, 10, 100, 100)},
    ("sift", "comir"): {"BF": Row(100, 97, 37.1, 32.8), "SHG": Row(31.1, 30.3, 100, 100)},
    ("sift", "cyclegan"): {
        "BF": Row(100, 100, 15.7, 16.4),
        "fake BF": Row(26.1, 24.6, 100, 70.9),
        "SHG": Row(100, 100, 14.2, 13.4),
        "fake SHG": Row(15.7, 18.7, 100, 48.5),
    },
    ("sift", "pix2pix"): {
        "BF": Row(100, 100, 14.2, 21.6),
        "fake BF": Row(20.9, 22.4, 100, 20.2),
        "SHG": Row(100, 100, 14.2, 14.2),
        "fake SHG": Row(0.0, 18.7, 100, 26.1),
    },
    ("surf", "none"): {"BF": Row(100, 97.3, 15.2, 14.2), "SHG": Row(10.9, 10.7, 100, 97.5)},
    ("surf", "comir"): {"BF": Row(100, 93.8, 71.4, 61.2), "SHG": Row(76.1, 59.0, 100, 92.1)},
    ("surf", "cyclegan"): {
        "BF": Row(100, 98.9, 21.6, 17.2),
        "fake BF": Row(35.8, 23.9, 100, 78.4),
        "SHG": Row(100, 98.1, 12.7, 12.7),
        "fake SHG": Row(14.2, 12.7, 100, 88.8),
    },
    ("surf", "pix2pix"): {
        "BF": Row(100, 98.9, 20.9, 12.7),
        "fake BF": Row(35.8, 31.3, 100, 67.9),
        "SHG": Row(100, 98.1, 26.1, 19.4),
        "fake SHG": Row(35.1, 31.3, 100, 85.1),
    },
    ("resnet", "none"): {"BF": Row(100, 73.1, 48.5, 29.1), "SHG": Row(46.3, 23.1, 100, 70.1)},
    ("resnet", "comir"): {"BF": Row(100, 61.6, 50.8, 20.9), "SHG": Row(50.4, 22.7, 100, 53.7)},
    ("2dkd", "none"): {"BF": Row(40.3, 28.7, 5.3, 3.7), "SHG": Row(5.2, 6.0, 24.6, 31.3)},
    ("2dkd", "comir"): {"BF": Row(24.6, 13.4, 11.2, 6.0), "SHG": Row(6.7, 9.7, 18.7, 12.7)},
}
"""Table 1a: full images, by feature and representation; 134 images in the repository."""

PATCHES: dict[tuple[str, str], Block] = {
    ("sift", "none"): {"BF": Row(97.5, 97, 8.7, 8.2), "SHG": Row(10.4, 10, 86.3, 82.1)},
    ("sift", "comir"): {"BF": Row(100, 69.9, 17.2, 18.2), "SHG": Row(18.9, 18.7, 100, 79.1)},
    ("sift", "cyclegan"): {
        "BF": Row(98.9, 97.8, 11.2, 11.2),
        "fake BF": Row(16.4, 17.9, 100, 35.8),
        "SHG": Row(87.7, 85.8, 14.2, 11.9),
        "fake SHG": Row(14.2, 15.7, 91.0, 24.6),
    },
    ("sift", "pix2pix"): {
        "BF": Row(98.9, 97.8, 14.2, 21.6),
        "fake BF": Row(18.7, 23.1, 98.5, 21.6),
        "SHG": Row(87.7, 85.8, 12.7, 9.7),
        "fake SHG": Row(15.7, 15.7, 98.5, 14.2),
    },
    ("surf", "none"): {"BF": Row(95.5, 84.8, 13.9, 13.7), "SHG": Row(10.9, 10, 95.8, 88.6)},
    ("surf", "comir"): {"BF": Row(100, 76.6, 46.3, 44.8), "SHG": Row(52.2, 35.8, 100, 73.6)},
    ("surf", "cyclegan"): {
        "BF": Row(96.3, 88.5, 17.9, 13.4),
        "fake BF": Row(26.1, 21.6, 98.5, 60.5),
        "SHG": Row(96.7, 91.1, 11.9, 8.2),
        "fake SHG": Row(13.4, 13.4, 84.3, 45.5),
    },
    ("surf", "pix2pix"): {
        "BF": Row(96.3, 88.5, 14.9, 11.9),
        "fake BF": Row(25.3, 18.7, 97.0, 34.3),
        "SHG": Row(96.7, 91.1, 16.4, 19.4),
        "fake SHG": Row(34.3, 34.3, 100, 42.5),
    },
    ("resnet", "none"): {"BF": Row(9.0, 12.7, 11.1, 9.0), "SHG": Row(11.1, 8.2, 11.9, 10.5)},
    ("resnet", "comir"): {"BF": Row(10.5, 12.3, 4.1, 7.1), "SHG": Row(8.2, 10.1, 14.1, 13.8)},
    ("2dkd", "none"): {"BF": Row(26.1, 23.8, 11.2, 6.0), "SHG": Row(5.2, 6.0, 24.6, 31.3)},
    ("2dkd", "comir"): {"BF": Row(11.2, 8.2, 7.5, 15.7), "SHG": Row(17.9, 14.9, 9.0, 12.0)},
}
"""Table 1b: central patches of 256 of 834 px. The SHG row of 2DKD on originals is that of Table 1a: perhaps a copy."""

RERANKED: dict[tuple[str, str], dict[str, tuple[float, float, float, float]]] = {
    ("full", "BF(T) in SHG"): {
        "none": (26.9, 51.5, 59.0, 63.4),
        "15": (32.8, 55.2, 62.0, 63.4),
        "30": (34.3, 59.7, 75.4, 75.4),
    },
    ("full", "SHG(T) in BF"): {
        "none": (21.6, 45.5, 61.2, 69.4),
        "15": (42.5, 57.5, 66.4, 69.4),
        "30": (45.5, 64.9, 83.6, 83.6),
    },
    ("patch", "BF(T) in SHG"): {
        "none": (11.2, 25.4, 35.8, 42.5),
        "15": (23.1, 37.3, 41.8, 42.5),
        "30": (27.6, 47.0, 51.5, 55.9),
    },
    ("patch", "SHG(T) in BF"): {
        "none": (10.4, 32.8, 44.8, 53.7),
        "15": (29.1, 46.3, 53.7, 53.7),
        "30": (29.1, 53.7, 63.4, 67.2),
    },
}
"""Table 2: Acc@1, 5, 10 and 15 (%) of CoMIR + SURF without and with re-ranking of the first 15 and 30 of 134."""

RERANKED_KS = (1, 5, 10, 15)

RIVALS: dict[str, dict[str, tuple[float, float, float, float]]] = {
    "full": {
        "proposed": (89.6, 83.6, 86.6, 75.4),
        "tc-net": (47.8, 43.4, 35.8, 37.3),
        "imtdf": (9.7, 11.9, 12.7, 11.2),
    },
    "patch": {
        "proposed": (66.4, 63.4, 56.7, 51.5),
        "tc-net": (22.4, 20.1, 12.7, 16.4),
        "imtdf": (7.5, 7.5, 7.5, 8.2),
    },
}
"""Table 3: Acc@10 (%) of SHG in BF, SHG(T) in BF, BF in SHG, BF(T) in SHG; proposed with re-ranking of 30."""

RIVAL_COLUMNS = ("SHG in BF", "SHG(T) in BF", "BF in SHG", "BF(T) in SHG")

CHANCE = 100 * 10 / 134
"""Acc@10 of a random order of 134 images, in %."""

AERIAL_TOP_1 = 91.9
"""Appendix: average Acc@1 (%) on aerial images of Zurich, RGB and near infrared."""


def cross_moved(table: dict[tuple[str, str], Block], feature: str, representation: str) -> float:
    """Average of the transformed cross-modality cells (the paper's red ones), as in its Figure 3.

    Two directions; four cells for translated images, where either side may be the translated one.
    """
    return _average(table[feature, representation], cross=True)


def within_moved(table: dict[tuple[str, str], Block], feature: str, representation: str) -> float:
    """Average over directions of the transformed within-modality cells (the paper's orange ones)."""
    return _average(table[feature, representation], cross=False)


def _average(block: Block, *, cross: bool) -> float:
    if len(block) == 2:
        cells = (block["BF"].second_moved, block["SHG"].first_moved)
        within = (block["BF"].first_moved, block["SHG"].second_moved)
        return sum(cells if cross else within) / 2
    real = (block["BF"], block["SHG"])
    fake = (block["fake BF"], block["fake SHG"])
    if cross:
        return sum(row.second_moved for row in real) / 4 + sum(row.first_moved for row in fake) / 4
    return sum(row.first_moved for row in real) / 4 + sum(row.second_moved for row in fake) / 4
