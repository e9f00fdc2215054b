"""What the colorectal classification paper prints, and the counts behind it. Nothing here was measured by us.

The counts of Table 4 are not printed: they are the only whole numbers, given the sizes of the test set in Table 1, that
reproduce the printed rates. Values that no counts reproduce are misprints, and are listed with what the counts give.
"""

from typing import NamedTuple, final

import numpy as np
from jaxtyping import Float64, Int64

CLASSES = ("normal", "adenoma", "well", "moderately", "poorly")
"""Normal tissue, adenoma, and adenocarcinoma by differentiation."""

GLANDS_KEPT = {"well": "more than 95 %", "moderately": "50 to 95 %", "poorly": "less than 50 %"}

NETWORKS = ("resnet50", "densenet121", "inception-v3")

COMPOSITION = {
    "slides": (152, 362, 100, 42, 37),
    "data areas": (348, 353, 360, 342, 348),
    "training patches": (935, 916, 880, 880, 1000),
    "test patches": (121, 121, 111, 109, 109),
}
"""Table 1, by class."""

TOTALS = {"slides": 693, "data areas": 1751, "training patches": 4611, "test patches": 571}
"""Table 1, as printed."""

FORMULAS = {
    "precision": "TP / (TP + FP)",
    "recall": "TP / (TP + FN)",
    "specificity": "TN / (TN + FP)",
    "NPV": "TN / (TN + FN)",
}
"""Table 2. The paper writes NVP for the negative predictive value."""

RATES = tuple(FORMULAS)

OVERALL = {
    "resnet50": (0.949, 0.942, 0.944, 0.986, 0.986),
    "densenet121": (0.936, 0.927, 0.925, 0.981, 0.981),
    "inception-v3": (0.922, 0.914, 0.914, 0.978, 0.978),
}
"""Table 3: mAP, then the means over the classes of precision, recall, specificity and NPV.

mAP is not defined in the paper and cannot be found from the counts.
"""


@final
class Counted(NamedTuple):
    """One class of one network, against all others: items, and the rates as the paper prints them."""

    tp: int
    fp: int
    fn: int
    tn: int
    printed: tuple[float, float, float, float]

    @property
    def confusion(self) -> Int64[np.ndarray, "2 2"]:
        """The class against the rest: truth in rows, predictions in columns."""
        return np.array([[self.tp, self.fn], [self.fp, self.tn]], np.int64)


PER_CLASS: dict[str, tuple[Counted, ...]] = {
    "resnet50": (
        Counted(112, 7, 9, 443, (0.941, 0.926, 0.984, 0.980)),
        Counted(106, 9, 15, 441, (0.922, 0.876, 0.980, 0.967)),
        Counted(109, 3, 2, 457, (0.973, 0.982, 0.993, 0.996)),
        Counted(102, 9, 7, 453, (0.919, 0.936, 0.981, 0.988)),
        Counted(109, 5, 0, 457, (0.956, 1.0, 0.989, 1.0)),
    ),
    "densenet121": (
        Counted(111, 7, 10, 443, (0.941, 0.917, 0.984, 0.978)),
        Counted(109, 10, 12, 440, (0.916, 0.901, 0.978, 0.973)),
        Counted(111, 17, 0, 443, (0.867, 1.0, 0.963, 1.0)),
        Counted(91, 4, 18, 458, (0.958, 0.835, 0.991, 0.962)),
        Counted(106, 5, 3, 457, (0.955, 0.973, 0.989, 0.993)),
    ),
    "inception-v3": (
        Counted(103, 8, 18, 442, (0.928, 0.851, 0.982, 0.961)),
        Counted(99, 11, 22, 439, (0.900, 0.818, 0.998, 0.952)),
        Counted(110, 5, 1, 455, (0.957, 0.991, 0.989, 0.998)),
        Counted(108, 23, 1, 439, (0.824, 0.991, 0.950, 0.998)),
        Counted(100, 4, 9, 458, (0.962, 0.174, 0.991, 0.981)),
    ),
}
"""Table 4, in the order of :data:`CLASSES`."""

MISPRINTS = {
    ("resnet50", "moderately", "NPV"): 0.985,
    ("densenet121", "poorly", "recall"): 0.972,
    ("inception-v3", "adenoma", "specificity"): 0.976,
    ("inception-v3", "poorly", "recall"): 0.917,
}
"""Values of Table 4 that its other values contradict, and what the counts give."""

ACCURACY = {"resnet50": 0.942, "densenet121": 0.925, "inception-v3": 0.911}
"""Not printed: the right ones of all classes (538, 528, 520) among the 571 test patches."""


def recomputed(network: str) -> Float64[np.ndarray, "5 4"]:
    """Table 4 from the counts: precision, recall, specificity and NPV of each class."""
    from histokin.metrics.one_vs_rest import one_vs_rest

    found = [one_vs_rest(one.confusion) for one in PER_CLASS[network]]
    return np.array([[r.precision[0], r.recall[0], r.specificity[0], r.npv[0]] for r in found], np.float64)


def corrected(network: str, label: str, rate: str) -> tuple[float, bool]:
    """A value of Table 4, and whether it stands in for a misprint."""
    right = MISPRINTS.get((network, label, rate))
    if right is not None:
        return right, True
    return PER_CLASS[network][CLASSES.index(label)].printed[RATES.index(rate)], False
