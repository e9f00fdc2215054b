"""A classifier made by hand, whose answers are known."""

from pathlib import Path

import pytest


@pytest.fixture
def folder(classifier_folder: Path) -> Path:
    """Its folder."""
    return classifier_folder
