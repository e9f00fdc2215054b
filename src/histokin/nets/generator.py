"""Image-to-image networks in ONNX form: an image in, an image of the same size out."""

import json
import threading
from pathlib import Path
from typing import Any, final

import numpy as np
from jaxtyping import Float32

from histokin.errors import EncoderError, NotComparable, UnreadableFile, UnsupportedFormat
from histokin.nets.manifest import file_digest
from histokin.nets.onnx_session import first_line, open_session

MULTIPLE = 4
"""Sides must be a multiple of this: the network halves the image twice."""

KEY = "histokin"
"""Property of the ONNX file that holds a JSON object of texts: kind, style, target, teacher, profile, steps."""

_PROBE = (32, 48)
_REMEDY = 'Export it with one float32 input and output "n 3 h w" in -1 to 1, n, h and w left open'


@final
class Generator:
    """One network, float32 "n 3 h w" in -1 to 1 on both sides, sides a multiple of :data:`MULTIPLE`.

    :meth:`run` may be called from several threads at once. Use :func:`load_generator`.

    Raises
    ------
    UnsupportedFormat
        when onnxruntime cannot run the file, or what comes out is not an image of the same size.
    """

    def __init__(self, path: Path, digest: str, kind: str) -> None:
        self.path, self.digest = path, digest
        try:
            self._session: Any = open_session(path, None)
        except EncoderError as error:
            raise UnsupportedFormat(error.reason, remedy=error.remedy, path=path) from None
        self.metadata = _metadata(self._session, path)
        if self.metadata.get("kind", kind) != kind:
            raise UnsupportedFormat(
                f"the file holds a {self.metadata['kind']}, not a {kind}", remedy="Give the right file", path=path
            )
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if len(inputs) != 1 or inputs[0].type != "tensor(float)" or not outputs:
            raise UnsupportedFormat("the network does not take one float32 image", remedy=_REMEDY, path=path)
        self._input, self._output = inputs[0].name, outputs[0].name
        self.run(np.zeros((1, 3, *_PROBE), np.float32))

    def run(self, batch: Float32[np.ndarray, "n 3 h w"]) -> Float32[np.ndarray, "n 3 h w"]:
        """The network's images, not clipped."""
        try:
            result = self._session.run([self._output], {self._input: batch})[0]
        except Exception as error:  # onnxruntime's own exception types share no public base
            raise UnsupportedFormat(
                f"the network cannot run on an input of shape {batch.shape} ({first_line(error)})",
                remedy=_REMEDY,
                path=self.path,
            ) from None
        found = getattr(result, "shape", None)
        if found != batch.shape or result.dtype != np.float32:
            raise UnsupportedFormat(
                f"the network makes {found} out of an image of shape {batch.shape}", remedy=_REMEDY, path=self.path
            )
        if not np.isfinite(result).all():
            raise UnsupportedFormat(
                "the network gives numbers that are not finite", remedy="Train it again", path=self.path
            )
        images: Float32[np.ndarray, "n 3 h w"] = result
        return images


_loaded: dict[tuple[str, int, int], Generator] = {}
_loading = threading.Lock()


def load_generator(path: Path, kind: str, digest: str | None = None) -> Generator:
    """The network in a file, opened once per process.

    ``digest`` (SHA-256) is what the file must have; None takes it as it is.

    Raises
    ------
    UnreadableFile
        when the file is missing.
    NotComparable
        when its digest is another one.
    UnsupportedFormat
        see :class:`Generator`.
    """
    place = path.expanduser().absolute()
    try:
        stat = place.stat()
        key = (str(place), stat.st_size, stat.st_mtime_ns)
        with _loading:
            found = _loaded.get(key)
            if found is None:
                now = file_digest(place)
                _check(place, now, digest)
                for old in [old for old in _loaded if old[0] == key[0]]:
                    del _loaded[old]
                found = _loaded[key] = Generator(place, now, kind)
    except OSError as error:
        raise UnreadableFile(
            f"the weights cannot be read ({error.strerror or error})",
            remedy="Put the file back where it was, or give its path" if digest else "Check the path",
            path=place,
        ) from None
    _check(place, found.digest, digest)
    return found


def _check(path: Path, now: str, wanted: str | None) -> None:
    if wanted is not None and now != wanted:
        raise NotComparable(
            f"the weights have changed (sha256 {now[:12]}, {wanted[:12]} was used before)",
            remedy="Put the earlier file back, or index into a new archive with this one",
            path=path,
        )


def _metadata(session: Any, path: Path) -> dict[str, str]:
    text = session.get_modelmeta().custom_metadata_map.get(KEY, "{}")
    try:
        return {str(key): str(value) for key, value in json.loads(text).items()}
    except (ValueError, AttributeError):
        raise UnsupportedFormat(
            f"its property '{KEY}' is not a JSON object", remedy="Export the network again", path=path
        ) from None
