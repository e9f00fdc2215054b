"""Any network in ONNX form as an encoder; the manifest beside it says what it takes."""

import hashlib
import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import final

import numpy as np

from histokin.cores import usable_cores
from histokin.encoders.base import Encoder, EncoderSpec
from histokin.encoders.pixels import prepare
from histokin.errors import EncoderError, UsageError
from histokin.nets.manifest import WeightManifest, load_manifest
from histokin.nets.onnx_session import OnnxSession
from histokin.types import Image, Images, Vectors


@final
class OnnxEncoder(Encoder):
    """Resize, standardize, run the network.

    The network sees one image at a time, on one core, and images are spread over cores: a vector then cannot depend
    on the images beside it or on the number of cores, and each image costs about half the CPU time of two cores
    sharing its layers.

    Parameters
    ----------
    path : folder with an ``encoder.json`` and its ONNX file, or either of the two files.
    threads : how many cores to use; None for all that this process may use.

    Raises
    ------
    EncoderError
        when the manifest or the weights are missing, damaged or do not belong together.
    """

    def __init__(self, path: str | Path, *, threads: int | None = None) -> None:
        if threads is not None and threads < 1:
            raise UsageError(f"threads is {threads}", remedy="Give a number of cores from 1, or leave it out")
        self._manifest, self._weights = load_manifest(path)
        self._session = OnnxSession(self._manifest, self._weights)
        self._threads = threads or usable_cores()
        self._spec = _spec(self._manifest)
        self._offset, self._scale = _standardization(self._manifest)

    @property
    def spec(self) -> EncoderSpec:
        return self._spec

    @property
    def manifest(self) -> WeightManifest:
        """Where the weights come from, and what they take."""
        return self._manifest

    def encode(self, images: Images) -> Vectors:
        """One row per image; see :meth:`histokin.encoders.base.Encoder.encode`."""
        out = np.empty((len(images), self._spec.dim), dtype=np.float32)
        workers = min(self._threads, len(images))
        if workers <= 1:
            for row, image in enumerate(images):
                out[row] = self._encode_one(image)
            return out
        with ThreadPoolExecutor(workers) as pool:
            for row, vector in enumerate(pool.map(self._encode_one, images)):
                out[row] = vector
        return out

    def _encode_one(self, image: Image) -> np.ndarray:
        planes = np.ascontiguousarray(prepare(image, self._spec.input_px).transpose(2, 0, 1))[None]
        if self._manifest.preprocessing == "graph":
            batch = planes.astype(self._session.dtype, copy=False)
        else:
            batch = (planes * self._scale - self._offset).astype(self._session.dtype, copy=False)
        return self._checked(self._session.run(batch))

    def _checked(self, answer: np.ndarray) -> np.ndarray:
        if answer.shape != (1, self._spec.dim):
            raise EncoderError(
                f"the network answers with shape {answer.shape}, its manifest says (1, {self._spec.dim})",
                path=self._weights,
                remedy="Correct dim in the manifest, or export the network with pooled features",
            )
        if not np.isfinite(answer).all():
            raise EncoderError(
                "the network answers with values that are not finite",
                path=self._weights,
                remedy="Check the mean and std of its manifest, and its weights",
            )
        vector: np.ndarray = answer[0]
        return vector


def _spec(manifest: WeightManifest) -> EncoderSpec:
    space = f"{manifest.name}/{manifest.sha256[:12].lower()}/{manifest.precision}"
    if manifest.preprocessing == "encoder":
        # What the graph does is in the digest of the weights; what is done before it has to be named.
        before = json.dumps([manifest.input_px, manifest.mean, manifest.std])
        space += f"/{hashlib.sha256(before.encode()).hexdigest()[:8]}"
    return EncoderSpec(
        name=manifest.name,
        space=space,
        dim=manifest.dim,
        metric=manifest.metric,
        input_px=manifest.input_px,
        mpp=manifest.mpp,
        precision=manifest.precision,
        licence=manifest.licence,
    )


def _standardization(manifest: WeightManifest) -> tuple[np.ndarray, np.ndarray]:
    """Offset and scale with ``x * scale - offset == (x / 255 - mean) / std``, float32 "3 1 1"."""

    def column(values: Iterable[float]) -> np.ndarray:
        return np.array(list(values), dtype=np.float32).reshape(3, 1, 1)

    pairs = list(zip(manifest.mean, manifest.std, strict=True))
    return column(m / s for m, s in pairs), column(1 / (255 * s) for _, s in pairs)
