"""Shared fixtures. Array shapes and types in annotations are enforced while the tests run."""

import os
from pathlib import Path

import pytest
from jaxtyping import install_import_hook

install_import_hook("histokin", "beartype.beartype")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real images: ``HISTOKIN_DATA``, or ``shared/data`` beside the checkout."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("HISTOKIN_DATA", default))
    if not (folder / "MANIFEST.csv").is_file():
        pytest.skip(f"no real images at {folder}; set HISTOKIN_DATA to the folder that has them")
    return folder
