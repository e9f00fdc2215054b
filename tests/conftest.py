"""Shared fixtures. Array shapes and types in annotations are enforced while the tests run."""

import os
from pathlib import Path

import pytest
from jaxtyping import install_import_hook

install_import_hook("histokin", "beartype.beartype")


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Color tables are kept for this run only, not in the user's cache."""
    os.environ["HISTOKIN_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real images: ``HISTOKIN_DATA``, or ``shared/data`` beside the checkout."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("HISTOKIN_DATA", default))
    if not (folder / "MANIFEST.csv").is_file():
        pytest.skip(f"no real images at {folder}; set HISTOKIN_DATA to the folder that has them")
    return folder


@pytest.fixture(scope="session")
def tile_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of twelve synthetic stained tiles each, as PNG files in one folder per class."""
    import cv2
    import numpy as np

    from histokin.testing.appearance import synthetic_he

    root = tmp_path_factory.mktemp("tiles")
    for label, grain in (("coarse", 12), ("fine", 2)):
        (root / label).mkdir()
        for seed in range(12):
            noise = synthetic_he(px=224 // grain + 1, seed=seed, gain=(1.0 + 0.05 * seed, 1.0))
            grown = cv2.resize(noise, None, fx=grain, fy=grain, interpolation=cv2.INTER_CUBIC)
            tile = np.ascontiguousarray(grown[:224, :224, ::-1])
            assert cv2.imwrite(str(root / label / f"{label}_{seed:02d}.png"), tile)
    return root
