"""TC-Net as an encoder of both modalities, from the folder that its training wrote."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import final

import numpy as np

from histokin.encoders.base import Encoder, EncoderSpec
from histokin.encoders.crops import VIEWS, resized, views, whole_side
from histokin.encoders.gray_planes import planes
from histokin.encoders.torch_encoder import check_threads
from histokin.errors import EncoderError, UsageError
from histokin.nets.manifest import load_manifest
from histokin.nets.onnx_session import OnnxSession
from histokin.types import Image, Images, Vectors


@final
class TcNetEncoder(Encoder):
    """Resize, cut the middle square, standardize, run the network; gray images are copied into three channels.

    One network serves both modalities. Distances are Euclidean, which ranks as TC-Net's squared Euclidean distance does
    (H. Lin et al., "TC-Net for iSBIR", ACM Multimedia 2019).

    Parameters
    ----------
    path : the folder that ``histokin train tc-net`` wrote.
    views : 1 for the middle square; 10 for the mean over it, the four corners and their mirror images.
    threads : how many cores to use; None for all that this process may use.

    Raises
    ------
    EncoderError
        when the folder holds no such encoder, or it is damaged.
    UsageError
        for another number of views, or ``threads`` below 1.
    """

    def __init__(self, path: str | Path, *, views: int = 1, threads: int | None = None) -> None:
        if views not in VIEWS:
            raise UsageError(f"{views} views of an image", remedy="Choose 1 or 10")
        self._threads, self._views = check_threads(threads), views
        manifest, weights = load_manifest(path)
        if manifest.name != "tc-net":
            raise EncoderError(
                f"holds the encoder '{manifest.name}', 'tc-net' was asked for",
                path=Path(path),
                remedy="Give the folder that 'histokin train tc-net' wrote, or use the encoder 'onnx' for any other",
            )
        self._manifest, self._weights = manifest, weights
        self._session = OnnxSession(manifest, weights)
        side = manifest.input_px
        self._spec = EncoderSpec(
            name="tc-net",
            space=f"tc-net/{manifest.sha256[:12].lower()}/{manifest.precision}/{whole_side(side)}-{side}-{views}",
            dim=manifest.dim,
            metric=manifest.metric,
            input_px=whole_side(side),
            mpp=manifest.mpp,
            precision=manifest.precision,
            licence=manifest.licence,
        )

    @property
    def spec(self) -> EncoderSpec:
        return self._spec

    def encode(self, images: Images) -> Vectors:
        """One row per image, gray ("h w 1") or RGB; see :meth:`histokin.encoders.base.Encoder.encode`."""
        out = np.empty((len(images), self._spec.dim), dtype=np.float32)
        with ThreadPoolExecutor(max(1, min(self._threads, len(images)))) as pool:
            for row, vector in enumerate(pool.map(self._encode_one, images)):
                out[row] = vector
        return out

    def _encode_one(self, image: Image) -> np.ndarray:
        side = self._manifest.input_px
        squares = views(resized(image, side), side, self._views)
        answers = [self._session.run(planes(one, self._manifest.mean, self._manifest.std)[None]) for one in squares]
        if wrong := next((a.shape for a in answers if a.shape != (1, self._spec.dim)), None):
            raise EncoderError(
                f"the network answers with shape {wrong}, its manifest says (1, {self._spec.dim})",
                path=self._weights,
                remedy="Train it again",
            )
        vector: np.ndarray = np.concatenate(answers).mean(axis=0, dtype=np.float64).astype(np.float32)
        if not np.isfinite(vector).all():
            raise EncoderError(
                "the network answers with values that are not finite", path=self._weights, remedy="Train it again"
            )
        return vector
