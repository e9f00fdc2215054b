"""What ``histokin doctor`` looks at: parts, weights, machine, archive."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, final

from histokin.cores import usable_cores
from histokin.errors import HistokinError

REQUIRED = (
    ("numpy", "numpy"),
    ("opencv-python-headless", "cv2"),
    ("pillow", "PIL.Image"),
    ("openslide-python", "openslide"),
    ("tifffile", "tifffile"),
    ("imagecodecs", "imagecodecs"),
    ("onnxruntime", "onnxruntime"),
    ("pylance", "lance"),
)
OPTIONAL = (
    ("llvmlite", "pip install 'histokin[fast]' for faster color maps"),
    ("h5py", "pip install 'histokin[features]' for CLAM and TRIDENT feature files"),
    ("torch", "pip install 'histokin[torch]' to train encoders and to run backbones"),
    ("timm", "pip install 'histokin[foundation]' to run pathology foundation models"),
)
LEAST_FREE_BYTES = 1_000_000_000


@final
@dataclass(frozen=True)
class Check:
    """One thing looked at; an optional one that is missing is no fault."""

    name: str
    ok: bool
    found: str
    remedy: str = ""
    optional: bool = False

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


def run_checks(archive: Path | None = None, encoders: Sequence[str] = ()) -> list[Check]:
    """All checks, required ones first; of the ``encoders`` asked for (``NAME`` or ``NAME=FILE``) last.

    Raises :class:`~histokin.errors.UnknownName` for an encoder that nobody registered.
    """
    from histokin.app.encoder_checks import check_encoder

    asked = [check for encoder in encoders for check in check_encoder(encoder)]
    checks = [_import(name, module) for name, module in REQUIRED]
    checks.append(guarded("shipped encoder", _encoder))
    checks.append(guarded("stain normalizer", _normalizer))
    checks.extend(_optional(name, remedy) for name, remedy in OPTIONAL)
    checks.append(Check("cores", True, str(usable_cores())))
    checks.append(free_space(archive or Path.cwd()))
    checks.append(_tables())
    if archive is not None:
        checks.append(guarded("archive", lambda: _archive(archive)))
    return checks + asked


def _import(name: str, module: str) -> Check:
    try:
        import_module(module)
        return Check(name, True, version(name))
    except (ImportError, OSError, PackageNotFoundError) as error:
        return Check(name, False, str(error), f"pip install --force-reinstall {name}")


def _optional(name: str, remedy: str) -> Check:
    try:
        return Check(name, True, version(name), optional=True)
    except PackageNotFoundError:
        return Check(name, False, "not installed", remedy, optional=True)


def guarded(name: str, look: Callable[[], str]) -> Check:
    """What ``look`` found, or the error it raised."""
    try:
        return Check(name, True, look())
    except HistokinError as error:
        return Check(name, False, error.reason, error.remedy)


def _encoder() -> str:
    import numpy as np

    from histokin.encoders.registry import DEFAULT_ENCODER, encoder

    built = encoder(DEFAULT_ENCODER)
    vectors = built.encode([np.full((224, 224, 3), 128, np.uint8)])
    return f"{built.spec.space}, {vectors.shape[1]} numbers"


def _normalizer() -> str:
    from histokin.retrieval.recipe import DEFAULT_NORMALIZER
    from histokin.stain.registry import normalizer

    return str(normalizer(DEFAULT_NORMALIZER).space)


def _archive(path: Path) -> str:
    from histokin.retrieval.archive import Archive

    found = Archive.open(path).info()
    missing = len(found["missing_files"])
    return f"{found['patches']} patches of {found['slides']} slides and {found['images']} images, {missing} files moved"


def free_space(path: Path, needed: int = LEAST_FREE_BYTES) -> Check:
    """Whether the disk of ``path`` (which may not exist yet) has ``needed`` bytes left."""
    here = next(parent for parent in (path.absolute(), *path.absolute().parents) if parent.exists())
    free = shutil.disk_usage(here).free
    enough = free >= needed
    return Check(
        "free disk space",
        enough,
        f"{free / 1e9:.1f} GB at {here}",
        "" if enough else f"Free at least {needed / 1e9:.1f} GB",
    )


def _tables() -> Check:
    from histokin.stain.table_cache import folder, kept

    count, size = kept()
    return Check("color tables kept", True, f"{count}, {size / 1e6:.0f} MB at {folder()}")
