"""The report engine: everything said is on the page and in the JSON, escaped, whole."""

import json
from pathlib import Path

import numpy as np
import pytest

from histokin.errors import UsageError
from histokin.evaluation.figures import curves, gallery, profiles, violins
from histokin.evaluation.page.model import Figure, Note, Page, Percent, Table, shown
from histokin.evaluation.page.write import write_page

PNG = b"\x89PNG\r\n\x1a\n"


def image(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (60, 80, 3), np.uint8)


def test_a_page_holds_what_it_was_given(tmp_path: Path) -> None:
    picture = gallery([[image(0), image(1)], [image(2)]], ["first", "second"], ["source", "target"])
    page = Page(
        "A <report>",
        "What came out & why.",
        (
            Table(
                "T1",
                ("method", "SSIM"),
                (("none", 0.12345), ("ours", None)),
                note="higher is better",
                command="run --it",
            ),
            Figure("F1", picture, "three images"),
            Note("N1", "One.\n\nTwo."),
        ),
    )
    path = write_page(page, tmp_path / "new" / "folder")
    text = path.read_text(encoding="utf-8")
    for words in (
        "A &lt;report&gt;",
        "What came out &amp; why.",
        "0.123",
        "–",
        "run --it",
        "<p>One.</p>",
        "<p>Two.</p>",
    ):
        assert words in text
    assert "data:image/png;base64," in text
    assert "http" not in text.replace('lang="en"', "")
    data = json.loads((path.parent / "report.json").read_text(encoding="utf-8"))
    assert data["parts"][0]["rows"] == [["none", 0.12345], ["ours", None]]
    assert [part["kind"] for part in data["parts"]] == ["table", "figure", "note"]
    assert sorted(p.name for p in path.parent.iterdir()) == ["index.html", "report.json"]


def test_numbers_that_json_cannot_hold(tmp_path: Path) -> None:
    table = Table("T", ("a",), ((float("inf"),), (np.float32(0.5),), (np.int64(1234),), (True,)))
    path = write_page(Page("p", "l", (table,)), tmp_path)
    rows = json.loads((path.parent / "report.json").read_text(encoding="utf-8"))["parts"][0]["rows"]
    assert rows == [["inf"], [0.5], [1234], [True]]


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (None, "–"),
        (0.5, "0.500"),
        (12.345, "12.35"),
        (1234.56, "1,234.6"),
        (1234, "1,234"),
        (True, "yes"),
        ("x", "x"),
        (Percent(9.7), "9.7"),
    ],
)
def test_cells_as_people_read_them(cell: object, text: str) -> None:
    assert shown(cell) == text


def test_percents_keep_their_digits_for_programs(tmp_path: Path) -> None:
    path = write_page(Page("p", "l", (Table("T", ("a",), ((Percent(100 / 3),),)),)), tmp_path)
    assert ">33.3<" in path.read_text(encoding="utf-8")
    data = json.loads((path.parent / "report.json").read_text(encoding="utf-8"))
    assert data["parts"][0]["rows"] == [[100 / 3]]


def test_columns_of_figures_stand_flush_right() -> None:
    rows = (
        (1, "86-100", "+3.2 (-4.8 to +11.1)", "0.5 ± 0.1", "372 / 1,024", "736 / 736 (reduced)", "cores", None),
        (None, "0-8", "-1.0 (-2.0 to -0.5)", "12.3 %", "–", "1 / 2", "21", None),
    )
    assert Table("T", tuple("abcdefgh"), rows).numeric == (True, True, True, True, True, False, False, False)


def test_a_folder_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UsageError, match="cannot be written"):
        write_page(Page("p", "l"), tmp_path / "file")


def test_figures_are_png_and_stand_odd_input() -> None:
    assert gallery([], [], []).startswith(PNG)
    assert violins({"a": {"x": [1.0, 2.0, 3.0], "y": []}, "b": {"x": [1.0], "y": [2.0, 2.0]}}, "NMI").startswith(PNG)
    assert violins({}, "NMI").startswith(PNG)
    assert profiles({"source": image(0), "target": image(1)}, (5, 5), (70, 50)).startswith(PNG)
    assert profiles({"one": image(0)}, (5, 5), (70, 50)).startswith(PNG)
    assert curves({"loss": [(0.0, 1.0), (1.0, 0.5)]}, "step", "loss").startswith(PNG)
    assert curves({}, "step", "loss").startswith(PNG)
