"""XML that strangers wrote, read safely: no document type, so no entities, nothing fetched and nothing blown up."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import final
from xml.parsers import expat

import numpy as np

from histokin.errors import UnreadableFile
from histokin.slides.areas import Ring

MOST_DEPTH = 32
"""Elements within elements; annotations take eight."""


@final
@dataclass(frozen=True)
class Element:
    """An element with its attributes and the elements in it; text is of no use here and not kept."""

    tag: str
    attributes: Mapping[str, str]
    line: int
    children: list["Element"] = field(default_factory=list)

    def get(self, name: str) -> str:
        """An attribute without the blanks around it, empty where it is missing."""
        return self.attributes.get(name, "").strip()

    def find(self, *tags: str) -> Iterator["Element"]:
        """The elements at the end of a way of names, in the order of the file."""
        for child in self.children:
            if child.tag == tags[0]:
                if len(tags) == 1:
                    yield child
                else:
                    yield from child.find(*tags[1:])


def parse_xml(data: bytes) -> Element:
    """The outermost element.

    Raises
    ------
    UnreadableFile
        not well-formed (the line is named), nested too deeply, or with a document type declaration.
    """
    parser = expat.ParserCreate()
    stack = [Element("", {}, 0)]

    def start(tag: str, attributes: dict[str, str]) -> None:
        if len(stack) > MOST_DEPTH:
            raise UnreadableFile(f"line {parser.CurrentLineNumber}: more than {MOST_DEPTH} elements within each other")
        found = Element(tag, attributes, parser.CurrentLineNumber)
        stack[-1].children.append(found)
        stack.append(found)

    def end(_tag: str) -> None:
        stack.pop()

    def doctype(*_declared: object) -> None:
        raise UnreadableFile(
            f"line {parser.CurrentLineNumber}: a document type declaration, which no annotation needs",
            remedy="Remove everything from <!DOCTYPE to its >, if you trust the file",
        )

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.StartDoctypeDeclHandler = doctype
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, UnicodeError, ValueError, LookupError) as error:
        raise UnreadableFile(f"not well-formed XML ({error})") from None
    return stack[0].children[0]


def corners(parent: Element, tag: str, what: str) -> Ring:
    """x and y of all children called ``tag``. Raises :class:`UnreadableFile`, naming the line of what is no number."""
    values = [(_number(point, "X", what), _number(point, "Y", what)) for point in parent.find(tag)]
    return np.array(values, np.float64).reshape(-1, 2)


def _number(point: Element, name: str, what: str) -> float:
    text = point.get(name)
    try:
        value = float(text)
    except ValueError:
        # ASAP writes the decimal comma of some locales
        value = float(text.replace(",", ".")) if _is_comma_number(text) else math.nan
    if not math.isfinite(value):
        said = f"is '{text[:40]}'" if text else "is missing"
        raise UnreadableFile(f"line {point.line}, {what}: {name} of a <{point.tag}> {said}, not a number")
    return value


def _is_comma_number(text: str) -> bool:
    head, comma, tail = text.partition(",")
    return bool(comma) and head.removeprefix("-").isdecimal() and tail.isdecimal()
