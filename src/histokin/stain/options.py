"""Checks of what a user passes to a normalizer, and the digest that names its space."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from histokin.errors import DegenerateStain, UsageError
from histokin.types import Status

DECIMALS = 6
"""Fitted numbers are rounded to this, so that the last bits of a linear algebra library change no digest."""


def number(name: str, value: object, low: float | int, high: float | int) -> float:
    """``value`` as a float within ``low``–``high``. Raises :class:`UsageError`."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and low <= value <= high:
        return float(value)
    raise UsageError(f"{name} is {value!r}", remedy=f"Give a number from {low:g} to {high:g}")


def choice(name: str, value: object, choices: Sequence[str]) -> str:
    """``value`` when it is one of ``choices``. Raises :class:`UsageError`."""
    if isinstance(value, str) and value in choices:
        return value
    raise UsageError(f"{name} is {value!r}", remedy=f"Choose one of: {', '.join(choices)}")


def numbers(name: str, value: object, count: int) -> tuple[float, ...]:
    """``count`` finite numbers, rounded. Raises :class:`UsageError`."""
    if isinstance(value, Sequence) and not isinstance(value, str) and len(value) == count:
        return tuple(round(number(name, v, -1e6, 1e6), DECIMALS) for v in value)
    raise UsageError(f"{name} is {value!r}", remedy=f"Give {count} numbers")


def space(method: str, target: Mapping[str, Any], options: Mapping[str, Any], usual: Mapping[str, Any]) -> str:
    """``method@digest``: 12 hex digits of the target and of the options that differ from the usual ones.

    Usual options stay out of it, so that an option added later does not rename the space of an old archive.
    """
    unusual = {key: value for key, value in options.items() if value != usual[key]}
    text = json.dumps({"target": target, "options": unusual}, sort_keys=True)
    return f"{method}@{hashlib.blake2b(text.encode(), digest_size=6).hexdigest()}"


def refuse_if(strict: bool, status: Status) -> None:
    """Raise :class:`DegenerateStain` for a source without stain when asked to be strict."""
    if strict and not status.ok:
        raise DegenerateStain(
            status.reason,
            remedy="Fit on patches that hold more stained tissue, or leave strict off to keep such images as they are",
        )
