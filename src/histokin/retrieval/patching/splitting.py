"""Patches into training, validation and test; what belongs together stays together."""

from collections.abc import Mapping, Sequence

import numpy as np

from histokin.errors import UsageError

PARTS = ("train", "validation", "test")
SHARES = (0.7, 0.15, 0.15)
BY = ("slide", "patient", "area", "patch")

Row = Mapping[str, str]


def split_rows(
    rows: Sequence[Row], by: str = "slide", shares: tuple[float, float, float] = SHARES, seed: int = 0
) -> tuple[list[str], list[str], list[str]]:
    """The group and the part of every row, and warnings.

    Groups go, the largest first and equal ones in an order drawn from ``seed``, to the part where they lower the
    squared distance from what each class should have there, relative to that, the most. With fewer groups than
    parts that are wanted, the parts stay empty, and a warning says so.

    Parameters
    ----------
    rows : with ``slide``, ``patient``, ``area``, ``path`` and ``label``.
    by : ``slide`` or ``patient``; ``area`` as published and ``patch`` divide slides, which a warning says.
    shares : of training, validation and test; 0 leaves a part out.

    Raises
    ------
    UsageError
        for another ``by`` or shares, or where a slide has no patient.
    """
    if by not in BY:
        raise UsageError(f"patches cannot be split by {by}", remedy=f"Choose one of: {', '.join(BY)}")
    if min(shares) < 0 or not 0.999 < sum(shares) < 1.001 or not shares[0]:
        raise UsageError(f"shares of {shares} are no split", remedy="Give validation and test shares below 1 together")
    if by == "patient" and (bare := next((row["slide"] for row in rows if not row["patient"]), None)):
        raise UsageError(
            f"the slide {bare} has no patient",
            remedy="Give --labels with a column 'patient' that is filled for every slide, or --split slide",
        )
    groups = [_group(row, by) for row in rows]
    wanted = sum(share > 0 for share in shares)
    if len(set(groups)) < wanted:
        what = f"{len(set(groups))} {by} cannot fill {wanted} parts without being divided"
        return groups, [""] * len(rows), [f"{what}: the column 'split' is empty"] if rows else []
    labels = [row["label"] for row in rows]
    parts = [PARTS[part] for part in _placed(groups, labels, shares, seed)]
    warnings = _absent(labels, parts, shares)
    if by in ("area", "patch"):
        warnings.append(f"split by {by}: patches of one slide are in several parts, and scores will read too high")
    return groups, parts, warnings


def legacy_area_split(rows: Sequence[Row], seed: int = 0) -> list[str]:
    """The published way: areas, not slides, kept apart; 571 of 5,182 patches for the test, none for validation."""
    return split_rows(rows, "area", (1 - 571 / 5182, 0.0, 571 / 5182), seed)[1]


def _group(row: Row, by: str) -> str:
    whole = {"slide": row["slide"], "patient": row["patient"], "patch": row["path"]}
    return whole.get(by) or f"{row['slide']}/{row['area']}"


def _placed(groups: Sequence[str], labels: Sequence[str], shares: tuple[float, ...], seed: int) -> list[int]:
    names, classes = list(dict.fromkeys(groups)), sorted(set(labels))
    number = {name: i for i, name in enumerate(names)}
    counts = np.zeros((len(names), len(classes)))
    np.add.at(counts, ([number[g] for g in groups], [classes.index(label) for label in labels]), 1)
    whole = counts.sum(axis=0)
    wanted = np.array(shares)[:, None] * whole
    given, part = np.zeros_like(wanted), np.zeros(len(names), np.int64)
    shuffled = np.random.default_rng([seed, 2]).permutation(len(names)).tolist()
    open_parts = [i for i, share in enumerate(shares) if share > 0]
    for left, group in zip(range(len(names), 0, -1), sorted(shuffled, key=lambda g: -counts[g].sum()), strict=True):
        empty = [i for i in open_parts if not given[i].any()]
        # the last groups go to parts that have none yet
        choices = empty if len(empty) >= left else open_parts
        lack = wanted - given
        gain = ((lack**2 - (lack - counts[group]) ** 2) / np.maximum(wanted * whole, 1e-9)).sum(axis=1)
        part[group] = max(choices, key=lambda i: gain[i])
        given[part[group]] += counts[group]
    return [int(part[number[g]]) for g in groups]


def _absent(labels: Sequence[str], parts: Sequence[str], shares: tuple[float, ...]) -> list[str]:
    held = set(zip(labels, parts, strict=True))
    return [
        f"no patch of the class {label} is in {part}: its groups are too few"
        for label in sorted(set(labels))
        for part, share in zip(PARTS, shares, strict=True)
        if share > 0 and (label, part) not in held
    ]
