"""The learned encoders that come with the package, one function each.

A name is bound to its weights for good (their digest is in the archive's recipe): better weights get a new name,
and the old files stay, so that older archives remain searchable.
"""

from pathlib import Path

from histokin.encoders.onnx import OnnxEncoder

WEIGHTS = Path(__file__).parent / "weights"


def efficientnet_lite0_b14(*, threads: int | None = None) -> OnnxEncoder:
    """Mean of the feature map after block 14 of EfficientNet-Lite0 (ImageNet), at unit length; 192 values."""
    return OnnxEncoder(WEIGHTS / "efficientnet-lite0-b14", threads=threads)


def efficientnet_lite0_tissue(*, threads: int | None = None) -> OnnxEncoder:
    """Blocks 12, 14 and 16 of EfficientNet-Lite0, joined and projected to what tells tiles apart rather than stains.

    128 values at unit length; the projection was fitted on openly licensed tissue, without labels.
    """
    return OnnxEncoder(WEIGHTS / "efficientnet-lite0-tissue", threads=threads)
