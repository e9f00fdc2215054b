"""The labels table."""

from pathlib import Path

import pytest

from histokin.errors import UsageError
from histokin.slides.labels import read_labels


def _table(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    (folder / "labels.csv").write_bytes(text.encode(encoding))
    return folder / "labels.csv"


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_table_in_every_delimiter_and_with_a_mark(tmp_path: Path, delimiter: str) -> None:
    text = "Slide,Label,Patient\r\na.svs, tumor ,P1\r\n\r\nsub/b.svs,normal,\r\nc,,P3\r\n".replace(",", delimiter)
    labels = read_labels(_table(tmp_path, text, "utf-8-sig"))
    assert labels.columns == ("label", "patient")
    assert labels.for_path(Path("/data/a.svs")) == {"label": "tumor", "patient": "P1"}
    assert labels.for_path(Path("/data/sub/b.svs")) == {"label": "normal", "patient": ""}
    assert labels.for_path(Path("/data/b.svs")) is None
    assert labels.for_path(Path("/data/c.ome.tif")) == {"label": "", "patient": "P3"}
    assert labels.unused([Path("a.svs"), Path("x/c.png")]) == ["sub/b.svs"]


def test_quotes_and_the_longest_path(tmp_path: Path) -> None:
    labels = read_labels(_table(tmp_path, 'file,note\nx.svs,"one, two"\na/x.svs,a\nb/a/x.svs,ba\n'))
    assert labels.for_path(Path("/x.svs")) == {"note": "one, two"}
    assert labels.for_path(Path("/q/a/x.svs")) == {"note": "a"}
    assert labels.for_path(Path("/q/b/a/x.svs")) == {"note": "ba"}


def test_scale_column(tmp_path: Path) -> None:
    labels = read_labels(_table(tmp_path, "slide,mpp\na,0.25\nb,\nc,20x\n"))
    assert labels.mpp(Path("a.svs")) == 0.25
    assert labels.mpp(Path("b.svs")) is None
    assert labels.mpp(Path("z.svs")) is None
    with pytest.raises(UsageError, match="20x"):
        labels.mpp(Path("c.svs"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "first column"),
        ("name,label\na,b\n", "first column"),
        ("slide,label,Label\na,b,c\n", "two columns"),
        ("slide,,label\na,b,c\n", "no name"),
        ("slide,label\na,b\nb,c\na,d\n", "lines 2 and 4"),
        ("slide,label\na,b,c\n", "line 2 has 3 fields"),
        ("slide,label\n,b\n", "line 2 names no file"),
        ('slide,label\na,"b\n', "line 2"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        read_labels(_table(tmp_path, text))


def test_unreadable_tables(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"\xff\xfe\x00slide")
    for path in (tmp_path / "a.csv", tmp_path / "missing.csv", tmp_path):
        with pytest.raises(UsageError):
            read_labels(path)


def test_ambiguity(tmp_path: Path) -> None:
    labels = read_labels(_table(tmp_path, "slide,label\n1.png,a\nx/2.png,b\n3,c\n3.svs,d\n"))
    with pytest.raises(UsageError, match="lines 4 and 5"):
        labels.for_path(Path("3.svs"))
    labels.check([Path("h/1.png"), Path("x/2.png"), Path("y/2.png")])
    with pytest.raises(UsageError, match="line 2"):
        labels.check([Path("h/1.png"), Path("ac/1.png")])
