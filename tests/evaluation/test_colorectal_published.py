"""The published tables of the colorectal paper hold together, but for misprints that are marked."""

import numpy as np
import pytest

from histokin.evaluation.reproduce.colorectal_published import (
    ACCURACY,
    CLASSES,
    COMPOSITION,
    MISPRINTS,
    NETWORKS,
    OVERALL,
    PER_CLASS,
    RATES,
    TOTALS,
    corrected,
    recomputed,
)
from histokin.evaluation.synthetic.glands import CLASSES as DRAWN


def test_table_1_adds_up() -> None:
    for name, parts in COMPOSITION.items():
        assert len(parts) == len(CLASSES)
        assert sum(parts) == TOTALS[name]


@pytest.mark.parametrize("network", NETWORKS)
def test_the_counts_fit_the_test_set_and_each_other(network: str) -> None:
    rows = PER_CLASS[network]
    assert [row.tp + row.fn for row in rows] == list(COMPOSITION["test patches"])
    assert all(sum(row[:4]) == 571 for row in rows)
    wrong = 571 - sum(row.tp for row in rows)
    assert sum(row.fp for row in rows) == sum(row.fn for row in rows) == wrong
    assert sum(row.tp for row in rows) / 571 == pytest.approx(ACCURACY[network], abs=5e-4)


@pytest.mark.parametrize("network", NETWORKS)
def test_every_printed_value_of_table_4_follows_from_the_counts(network: str) -> None:
    found = recomputed(network)
    for i, label in enumerate(CLASSES):
        for j, rate in enumerate(RATES):
            printed = PER_CLASS[network][i].printed[j]
            value, misprint = corrected(network, label, rate)
            assert round(float(found[i, j]), 3) == value, (label, rate)
            assert misprint == (value != printed) == ((network, label, rate) in MISPRINTS)


@pytest.mark.parametrize("network", NETWORKS)
def test_no_other_counts_give_the_printed_values(network: str) -> None:
    for i, label in enumerate(CLASSES):
        have = COMPOSITION["test patches"][i]
        others = 571 - have
        wanted = [corrected(network, label, rate)[0] for rate in RATES]
        fits = [
            (tp, fp)
            for tp in range(1, have + 1)
            if round(tp / have, 3) == wanted[1]
            for fp in range(others)
            if [round(v, 3) for v in (tp / (tp + fp), (others - fp) / others, (others - fp) / (571 - tp - fp))]
            == [wanted[0], *wanted[2:]]
        ]
        assert fits == [PER_CLASS[network][i][:2]]


@pytest.mark.parametrize("network", NETWORKS)
def test_table_3_is_the_mean_of_table_4(network: str) -> None:
    assert recomputed(network).mean(axis=0) == pytest.approx(np.array(OVERALL[network][1:]), abs=5e-4)


def test_misprints_are_few_and_the_classes_are_those_that_are_drawn() -> None:
    assert len(MISPRINTS) == 4
    assert CLASSES == DRAWN
