"""Conditions on columns, and what is not a condition."""

import pytest

from histokin.archive.filters import select
from histokin.archive.records import Source
from histokin.errors import UsageError


def slide(name: str, columns: dict[str, str], label: str | None = None, mpp: float | None = 0.5) -> Source:
    """A slide of which only the columns matter."""
    return Source(
        id=name,
        kind="slide",
        path=f"/slides/{name}.svs",
        name=f"{name}.svs",
        digest=name,
        size=10,
        mtime_ns=20,
        width=4000,
        height=3000,
        mpp=mpp,
        label=label,
        columns=columns,
        group=name,
        appearance={},
        counts={},
    )


@pytest.fixture
def slides() -> list[Source]:
    return [
        slide("a1", columns={"Patient": "7", "centre": "Lübeck", "code": "007"}, label="tumor", mpp=0.25),
        slide("a2", columns={"Patient": "10", "centre": "O'Hara", "code": "7"}, label="normal", mpp=0.5),
        slide("b1", columns={"Patient": "", "centre": "Lübeck"}, label=None, mpp=None),
    ]


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (None, "111"),
        ({}, "111"),
        ({"label": "tumor"}, "100"),
        ({"patient": "10", "label": "normal"}, "010"),
        ({"centre": "O'Hara"}, "010"),
        ({"slide": "b1.svs"}, "001"),
        ("label = 'tumor'", "100"),
        ("label <> 'tumor'", "010"),
        ("label IS NULL", "001"),
        ("patient IS NULL", "001"),
        ("patient > 8", "010"),
        ("patient < 8 OR mpp > 0.3", "110"),
        ("mpp BETWEEN 0.2 AND 0.3", "100"),
        ("code = '7'", "010"),
        ("code = '007'", "100"),
        ("centre LIKE 'l%'", "101"),
        ("centre IN ('Lübeck', 'Kiel') AND NOT label = 'tumor'", "000"),
        ("LABEL = 'tumor' -- a remark", "100"),
        ("lower(slide) = 'a1.svs'", "100"),
        ("1", "111"),
        ("0", "000"),
        ("NULL", "000"),
    ],
)
def test_known_answers(slides: list[Source], where: str | dict[str, str] | None, expected: str) -> None:
    assert "".join(str(int(flag)) for flag in select(slides, where)) == expected


@pytest.mark.parametrize("where", ["stage = 2", {"stage": "2"}])
def test_unknown_column_names_the_choices(slides: list[Source], where: str | dict[str, str]) -> None:
    with pytest.raises(UsageError, match="no column 'stage'") as caught:
        select(slides, where)
    for name in ("slide", "label", "mpp", "patient", "centre"):
        assert name in caught.value.remedy


@pytest.mark.parametrize("where", ["label =", "label = 'tumor", "", "(", "label == == 1", "no_such_function(label)"])
def test_a_mistake_gets_an_example(slides: list[Source], where: str) -> None:
    with pytest.raises(UsageError) as caught:
        select(slides, where)
    assert "For example" in caught.value.remedy


@pytest.mark.parametrize(
    "where",
    [
        "1); DROP TABLE archive; --",
        "1; ATTACH DATABASE '/tmp/histokin-owned' AS owned",
        "1) UNION SELECT 99 FROM archive WHERE (1",
        "1) UNION SELECT -1 WHERE (1",
        "1) UNION SELECT 'text' WHERE (1",
        "load_extension('/tmp/owned.so')",
        "writefile('/tmp/histokin-owned', 'x')",
        "readfile('/etc/passwd') IS NOT NULL",
        "length(randomblob(1000000000)) > 0",
        "length(printf('%.*c', 1000000000, 'x')) > 0",
        "1 IN (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n WHERE i < 0)",
        "EXISTS (SELECT * FROM pragma_database_list)",
        "label = '\x00'; PRAGMA writable_schema = 1",
        "count(*) > 0",
        "label = ?",
    ],
)
def test_what_is_more_than_a_condition_is_refused(slides: list[Source], where: str) -> None:
    with pytest.raises(UsageError):
        select(slides, where)


def test_values_are_never_read_as_sql(slides: list[Source]) -> None:
    assert not select(slides, {"label": "x' OR '1'='1"}).any()


def test_odd_column_names() -> None:
    slides = [slide("a", {'my "odd" col': "1", "select": "x"}), slide("b", {})]
    assert select(slides, {'my "odd" col': "1"}).tolist() == [True, False]
    assert select(slides, "\"select\" = 'x'").tolist() == [True, False]


def test_no_sources() -> None:
    assert select([], "label = 'x'").tolist() == []
