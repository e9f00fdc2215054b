"""The page about encoders: its table is the registry's, and its example runs."""

import re
from pathlib import Path
from typing import Any

import numpy as np

from histokin.encoders.catalogue import markdown, rows
from histokin.encoders.registry import ENCODERS
from histokin.encoders.weight_files import OFFLINE, VARIABLE
from histokin.testing.encoders import check_encoder

PAGE = (Path(__file__).parents[2] / "docs" / "encoders.md").read_text()


def test_the_table_is_up_to_date() -> None:
    table = re.search(r"<!-- encoders: begin[^\n]*\n\n(.*?)\n<!-- encoders: end -->", PAGE, re.DOTALL)
    assert table is not None
    assert table[1] == markdown(), "write it again with: python -m histokin.encoders.catalogue"


def test_every_encoder_has_one_row() -> None:
    named = [row.encoder.split("`")[1] for row in rows()]
    assert sorted(named) == ENCODERS.names()


def test_environment_variables_are_named() -> None:
    assert all(name in PAGE for name in (*OFFLINE, VARIABLE))


def test_links_inside_the_documentation_lead_somewhere() -> None:
    folder = Path(__file__).parents[2] / "docs"
    links = re.findall(r"\]\(([\w-]+\.md)(?:#([\w-]+))?\)", PAGE)
    assert links
    for target, part in links:
        headings = re.findall(r"^#+ (.*)$", (folder / target).read_text(), re.MULTILINE)
        assert not part or part in {heading.lower().replace(" ", "-") for heading in headings}, (target, part)


def _example(told_by: str) -> str:
    """The block of Python on the page that holds this text."""
    (found,) = [code for code in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if told_by in code]
    return str(found)


def test_the_example_of_local_features_runs() -> None:
    draws = np.random.default_rng(0)
    images = [draws.integers(0, 60 * i + 60, (40, 40, 3), dtype=np.uint8) for i in range(3)]
    space: dict[str, Any] = {"images": images}
    exec(_example("local_features"), space)
    np.testing.assert_array_equal(space["found"].rows[0, 0], 0)
    np.testing.assert_allclose(space["found"].similarity[0, 0], 1)
    assert space["points"].descriptors.shape == (4 * 25, 64)


def test_the_example_keeps_the_contract() -> None:
    space: dict[str, Any] = {}
    exec(_example("class MeanColor"), space)
    check_encoder(space["MeanColor"]())
    assert space["MeanColor"](gain=2.0).spec.space != space["MeanColor"]().spec.space
    white = np.full((40, 40, 3), 255, np.uint8)
    np.testing.assert_allclose(space["MeanColor"](gain=0.5).encode([white]), [[0.5, 0.5, 0.5]])
