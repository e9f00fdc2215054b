"""The closed public surface, and that nothing heavy comes with it."""

import subprocess
import sys

import pytest

import histokin


def test_all_is_sorted_closed_and_importable() -> None:
    assert histokin.__all__ == sorted(histokin.__all__)
    for name in histokin.__all__:
        assert getattr(histokin, name) is not None
    assert dir(histokin) == histokin.__all__


def test_unknown_attribute_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = histokin.nonsense


@pytest.mark.parametrize("code", ["import histokin", "import histokin.app.cli"])
def test_nothing_heavy_is_imported(code: str) -> None:
    heavy = (
        "numpy",
        "cv2",
        "onnxruntime",
        "lance",
        "pyarrow",
        "openslide",
        "tifffile",
        "llvmlite",
        "torch",
        "PIL",
    )
    script = f"{code}; import sys; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
