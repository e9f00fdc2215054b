"""What ``histokin doctor --encoder`` looks at before a long run: packages, licence, weights, disk, network."""

from pathlib import Path
from typing import Any

import numpy as np

from histokin.app.checks import Check, free_space, guarded
from histokin.encoders.registry import ENCODERS, chosen, encoder
from histokin.encoders.weight_files import (
    Needs,
    absent_modules,
    find,
    missing,
    needs_of,
    offline,
    unreachable,
)

SPARE = 2
"""Times its size that a download may need on the disk: the part file and what the cache keeps."""


def check_encoder(asked: str) -> list[Check]:
    """Everything that would stop a run with this encoder (``NAME`` or ``NAME=FILE``).

    It is built and tried on one gray image when its weights are here. Nothing is downloaded.

    Raises
    ------
    UnknownName
        when no such encoder is registered.
    UsageError
        when it takes no file.
    """
    name, options = chosen(asked)
    ENCODERS.load(name)
    needs = needs_of(name)
    if needs is None:
        return [guarded(f"encoder {name}", lambda: _tried(name, options))]
    checks = [_packages(needs), Check(f"{name}: licence", True, _licence(needs))]
    official = options.get("weights", "official") == "official"
    if not checks[0].ok:
        # Without the packages the weights cannot be tried, but whether they are here can still be told.
        return checks + (_files(needs) if official else [])
    here = not official or find(needs) is not None or not needs.files
    if not here:
        checks += _files(needs)
    if all(check.ok for check in checks) and here:
        checks.append(guarded(f"{name}: weights", lambda: _tried(name, options)))
    return checks


def _packages(needs: Needs) -> Check:
    name = f"{needs.encoder}: packages"
    if absent := absent_modules(needs):
        return Check(name, False, f"not installed: {', '.join(absent)}", needs.install)
    return Check(name, True, ", ".join(needs.modules))


def _licence(needs: Needs) -> str:
    return f"{needs.licence}; {f'gated: to be accepted at {needs.page}' if needs.gated else 'not gated'}"


def _files(needs: Needs) -> list[Check]:
    """Whether weights that are not here could be had, and whether they would fit."""
    name = f"{needs.encoder}: weights"
    if (path := find(needs)) is not None:
        return [Check(name, True, str(path))]
    if not needs.files:
        return []
    if variable := offline():
        why = f"the network is forbidden by {variable}"
    elif absent_modules(needs):
        why = "the packages that would download them are not installed"
    else:
        why = unreachable(needs)
    if why:
        error = missing(needs, why)
        return [Check(name, False, error.reason, error.remedy)]
    size = f"{needs.megabytes:,.0f} MB"
    space = free_space(_cache(needs), int(SPARE * needs.megabytes * 1e6))
    return [
        Check(name, True, f"not here; {size} will be downloaded from {needs.page}"),
        Check(f"{needs.encoder}: disk space", space.ok, space.found, space.remedy),
    ]


def _cache(needs: Needs) -> Path:
    if not needs.hub:
        return needs.folder
    from huggingface_hub.constants import HF_HUB_CACHE

    return Path(HF_HUB_CACHE)


def _tried(name: str, options: dict[str, Any]) -> str:
    built = encoder(name, **options)
    side = built.spec.input_px
    vectors = built.encode([np.full((side, side, 3), 128, np.uint8)])
    return f"{built.spec.space}, {vectors.shape[1]} numbers"
