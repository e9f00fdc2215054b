"""What an autoencoder keeps of an image: the image made again."""

from pathlib import Path
from typing import final

import numpy as np
from jaxtyping import UInt8

from histokin.encoders.pixels import prepare
from histokin.errors import EncoderError
from histokin.nets.manifest import load_manifest
from histokin.nets.onnx_session import first_line, open_session
from histokin.types import Image

FILE = "autoencoder.onnx"


@final
class Reconstructor:
    """Runs the whole network of an autoencoder's folder (``encoder.json`` beside ``autoencoder.onnx``).

    Raises
    ------
    EncoderError
        when the folder holds no autoencoder, or a damaged one.
    """

    def __init__(self, path: str | Path) -> None:
        manifest, weights = load_manifest(path)
        self._file = weights.parent / FILE
        if not self._file.is_file():
            raise EncoderError(
                "has no autoencoder.onnx, so nothing can be made again from its features",
                path=weights.parent,
                remedy="Give the folder that 'histokin train cbhir' or 'histokin train cbmir' wrote",
            )
        self.side = manifest.input_px
        self._session = open_session(self._file, 1)

    def __call__(self, image: Image) -> UInt8[np.ndarray, "side side 3"]:
        """``image`` (uint8 RGB "h w 3", any size) made again: uint8 RGB, ``side`` x ``side``."""
        planes = np.ascontiguousarray(prepare(image, self.side).transpose(2, 0, 1)[None], np.float32) / np.float32(255)
        try:
            made = self._session.run(["reconstruction"], {"image": planes})[0][0]
        except Exception as error:  # onnxruntime's own exception types share no public base
            raise EncoderError(
                f"the autoencoder cannot run ({first_line(error)})", path=self._file, remedy="Train or export it again"
            ) from None
        levels: UInt8[np.ndarray, "side side 3"] = (
            np.rint(np.clip(made, 0, 1) * 255).astype(np.uint8).transpose(1, 2, 0)
        )
        return np.ascontiguousarray(levels)
