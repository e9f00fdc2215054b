"""Reading a JSON document piece by piece: one object whose list is too long for memory."""

import codecs
import json
from collections.abc import Iterator
from json import JSONDecodeError, JSONDecoder
from pathlib import Path
from typing import Any, BinaryIO, final

from histokin.errors import UnreadableFile

PIECE = 1 << 20
LARGEST_VALUE = 64 << 20
"""Characters of the longest single value taken in."""

SPACE = " \t\r\n"
NUMERIC = ("", *"0123456789+-.eE")


def members(path: Path, streamed: str) -> Iterator[tuple[str, Any]]:
    """Keys and values of the object that a file holds; of the list under ``streamed`` one element at a time.

    An element comes under the key ``streamed``, and no two keys are the same.

    Raises
    ------
    UnreadableFile
        not readable, not UTF-8, not JSON (cut off, or with NaN), not an object, or a key twice.
    """
    try:
        with path.open("rb") as file:
            yield from _Reader(file, path).members(streamed)
    except OSError as error:
        reason = (error.strerror or "cannot be read").lower()
        raise UnreadableFile(reason, remedy="Check that the file exists and that you may read it", path=path) from None
    except UnicodeDecodeError:
        raise UnreadableFile("not UTF-8 text", remedy="Save it in UTF-8", path=path) from None


@final
class _Reader:
    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file = file
        self._path = path
        self._decode = codecs.getincrementaldecoder("utf-8-sig")()
        self._json = JSONDecoder(parse_constant=self._refuse_constant)
        self._text = ""
        self._at = 0
        self._ended = False

    def members(self, streamed: str) -> Iterator[tuple[str, Any]]:
        self._expect("{", "it is not a JSON object")
        seen: set[str] = set()
        first = True
        while self._peek() != "}":
            if not first:
                self._expect(",", "a comma is missing")
            first = False
            key = self._value()
            if not isinstance(key, str) or key in seen:
                raise self._broken(f"the key {str(key)[:40]!r} is there twice" if key in seen else "a key is no text")
            seen.add(key)
            self._expect(":", "a colon is missing")
            if key == streamed:
                for element in self._elements(key):
                    yield key, element
            else:
                yield key, self._value()
        self._at += 1
        if self._peek():
            raise self._broken("there is more after its end")

    def _elements(self, key: str) -> Iterator[Any]:
        self._expect("[", f"'{key}' is not a list")
        first = True
        while self._peek() != "]":
            if not first:
                self._expect(",", "a comma is missing")
            first = False
            yield self._value()
        self._at += 1

    def _value(self) -> Any:
        """The next value, whole."""
        self._peek()
        while True:
            try:
                value, end = self._json.raw_decode(self._text, self._at)
            except JSONDecodeError as error:
                if not self._more():
                    raise self._broken(f"it is not valid JSON ({error.msg.lower()})") from None
            except (RecursionError, ValueError) as error:
                raise self._broken(f"it is not valid JSON ({str(error)[:60]})") from None
            else:
                # A number at the end of what was read may go on; "0." reads as 0, too.
                if self._text[end : end + 1] not in NUMERIC or not self._more():
                    self._at = end
                    return value

    def _peek(self) -> str:
        """The next character that is no space, or nothing at the end."""
        while True:
            while self._at < len(self._text) and self._text[self._at] in SPACE:
                self._at += 1
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def _expect(self, character: str, otherwise: str) -> None:
        if self._peek() != character:
            raise self._broken(otherwise if self._peek() else "it ends in the middle")
        self._at += 1

    def _more(self) -> bool:
        """Read on, letting go of what was used. False at the end of the file."""
        if self._ended:
            return False
        self._text = self._text[self._at :]
        self._at = 0
        if len(self._text) > LARGEST_VALUE:
            raise self._broken("one of its values is far too long")
        # As much again as is waiting: a long value is not looked at too often.
        data = self._file.read(max(PIECE, len(self._text)))
        self._ended = not data
        self._text += self._decode.decode(data, final=self._ended)
        return True

    def _refuse_constant(self, name: str) -> float:
        raise self._broken(f"it holds {name}, which is no number")

    def _broken(self, reason: str) -> UnreadableFile:
        return UnreadableFile(reason, remedy="Make or copy the file again", path=self._path)


def dumps(value: Any) -> str:
    """JSON on one line; raises ``ValueError`` for NaN and infinity."""
    return json.dumps(value, allow_nan=False, ensure_ascii=False)
