"""Packages that come with an extra of this one: what a feature needs, and the command to type."""

import importlib
import importlib.util
from types import ModuleType

from histokin.errors import HistokinError, UsageError

PACKAGES = {"sklearn": "scikit-learn", "faiss": "faiss-cpu"}
"""Where the package is not called as its module."""


def needed(purpose: str, *modules: str, extra: str, error: type[HistokinError] = UsageError) -> None:
    """Do nothing where all modules are installed; none is imported.

    Raises
    ------
    error
        "PURPOSE needs PACKAGE, which is not installed here", with the command that installs the extra.
    """
    missing = [PACKAGES.get(name, name) for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        raise error(
            f"{purpose} needs {' and '.join(missing)}, which is not installed here",
            remedy=f"pip install 'histokin[{extra}]'",
        )


def loaded(purpose: str, module: str, *, extra: str, error: type[HistokinError] = UsageError) -> ModuleType:
    """The module, imported. Raises ``error`` as :func:`needed` does, and where what is installed does not import."""
    needed(purpose, module.partition(".")[0], extra=extra, error=error)
    try:
        return importlib.import_module(module)
    except ImportError as broken:
        raise error(
            f"{purpose} needs {module}, which does not import here ({broken})",
            remedy=f"pip install --force-reinstall 'histokin[{extra}]'",
        ) from None
