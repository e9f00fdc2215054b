"""What a page is made of: tables, figures and notes, in order."""

import base64
import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, final

Cell = object
"""A text, a number (shown with three decimals), :class:`Percent`, a truth value, or None (shown as a dash)."""

FIGURE = re.compile(r"[-+±]?\d[\d.,]*( ?%)?([-–/±( ]+(to )?[-+±]?\d[\d.,]*\)?( ?%)?)*")
"""Texts that stand among numbers: "12.3 %", "86-100", "0.5 ± 0.1", "+3.2 (-4.8 to +11.1)", "372 / 1,024"."""


@final
class Percent(float):
    """A number in percent: shown with one decimal, in ``report.json`` with all."""

    def __str__(self) -> str:
        return f"{float(self):.1f}"


@final
@dataclass(frozen=True)
class Table:
    """Rows under columns. ``note`` says how to read it; ``command`` makes it again."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""
    command: str = ""

    @property
    def numeric(self) -> tuple[bool, ...]:
        """The columns that hold nothing but figures, which stand flush right."""
        return tuple(_is_numeric([row[i] for row in self.rows]) for i in range(len(self.columns)))

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; numbers keep all their digits, and what is not finite becomes a text."""
        rows = [[plain(cell) for cell in row] for row in self.rows]
        return {"kind": "table", **{k: v for k, v in asdict(self).items() if k != "rows"}, "rows": rows}


@final
@dataclass(frozen=True)
class Figure:
    """A picture (PNG or JPEG bytes) with its caption."""

    title: str
    png: bytes
    caption: str = ""

    @property
    def uri(self) -> str:
        """The picture as a data address, so that the page needs no other file."""
        kind = "jpeg" if self.png[:2] == b"\xff\xd8" else "png"
        return f"data:image/{kind};base64,{base64.b64encode(self.png).decode()}"

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: without the picture, which is on the page."""
        return {"kind": "figure", "title": self.title, "caption": self.caption, "bytes": len(self.png)}


@final
@dataclass(frozen=True)
class Note:
    """A few plain sentences; an empty line starts a paragraph."""

    title: str
    text: str

    @property
    def paragraphs(self) -> list[str]:
        """The text, cut at empty lines."""
        return [part.strip() for part in self.text.split("\n\n") if part.strip()]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"kind": "note", "title": self.title, "text": self.text}


Part = Table | Figure | Note


@final
@dataclass(frozen=True)
class Page:
    """A whole report. ``lead`` is its first paragraph: what was measured, on what, and what came out."""

    title: str
    lead: str
    parts: tuple[Part, ...] = field(default_factory=tuple)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"title": self.title, "lead": self.lead, "parts": [part.to_dict() for part in self.parts]}


def plain(cell: Cell) -> Any:
    """A cell as JSON has it."""
    if hasattr(cell, "item"):
        cell = cell.item()
    if isinstance(cell, float) and not math.isfinite(cell):
        return str(cell)
    if cell is None or isinstance(cell, (bool, int, float, str)):
        return cell
    return str(cell)


def shown(cell: Cell) -> str:
    """A cell as people read it."""
    value = plain(cell)
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Percent):
        return str(value)
    if isinstance(value, float):
        return f"{value:,.1f}" if abs(value) >= 100 else f"{value:.3f}" if abs(value) < 10 else f"{value:.2f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _is_numeric(cells: Sequence[Cell]) -> bool:
    said = [cell for cell in cells if cell is not None and cell not in ("-", "–", "")]
    return bool(said) and all(FIGURE.fullmatch(cell) if isinstance(cell, str) else True for cell in said)
