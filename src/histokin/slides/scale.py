"""Microns per pixel: what counts as a scale, and what is only a printer's default."""

import math

from histokin.errors import UsageError

PLAUSIBLE_UM = (0.05, 20.0)
"""A pixel of a microscope image spans between these many microns."""

_MICRONS = {"nm": 1e-3, "µm": 1.0, "μm": 1.0, "um": 1.0, "mm": 1e3, "cm": 1e4, "dm": 1e5, "m": 1e6, "pm": 1e-6}
_TAG_UNIT_UM = {2: 25_400.0, 3: 10_000.0}


def given_mpp(mpp: float | None) -> float | None:
    """Check a scale that a person gave; raises :class:`UsageError` when it is not a positive number."""
    if mpp is not None and not (math.isfinite(mpp) and mpp > 0):
        raise UsageError(f"{mpp} is not a scale", remedy="Give microns per pixel, for example --mpp 0.5")
    return mpp


def file_mpp(x: object, y: object) -> float | None:
    """The mean of both directions, or None unless both are positive and finite (or one of them is missing)."""
    values = [v for v in (_number(x), _number(y)) if v is not None]
    return sum(values) / len(values) if values else None


def length_um(value: object, unit: str | None) -> float | None:
    """A length with its unit (as OME-XML writes them; micron when missing) in microns, or None."""
    number = _number(value)
    factor = _MICRONS.get((unit or "µm").strip())
    return number * factor if number is not None and factor is not None else None


def tag_mpp(x: object, y: object, unit: int) -> float | None:
    """Microns per pixel from TIFF resolution tags (pixels per inch or cm), only where plausible.

    72, 96 or 300 dots per inch, which software writes by default, come to 85 to 353 µm/px and are no scale.
    """
    if unit not in _TAG_UNIT_UM:
        return None
    spans = [_TAG_UNIT_UM[unit] / n for n in (_rational(x), _rational(y)) if n]
    if not spans:
        return None
    mpp = sum(spans) / len(spans)
    return mpp if PLAUSIBLE_UM[0] <= mpp <= PLAUSIBLE_UM[1] else None


def _rational(value: object) -> float | None:
    if isinstance(value, tuple) and len(value) == 2:
        top, bottom = _number(value[0]), _number(value[1])
        return top / bottom if top and bottom else None
    return _number(value)


def _number(value: object) -> float | None:
    if value is None:
        return None
    try:
        number = float(str(value))
    except ValueError:
        return None
    return number if math.isfinite(number) and number > 0 else None
