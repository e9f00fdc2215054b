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


def test_the_example_keeps_the_contract() -> None:
    code = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert code is not None
    space: dict[str, Any] = {}
    exec(code[1], space)
    check_encoder(space["MeanColor"]())
    assert space["MeanColor"](gain=2.0).spec.space != space["MeanColor"]().spec.space
    white = np.full((40, 40, 3), 255, np.uint8)
    np.testing.assert_allclose(space["MeanColor"](gain=0.5).encode([white]), [[0.5, 0.5, 0.5]])
