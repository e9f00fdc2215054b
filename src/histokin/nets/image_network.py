"""Networks in ONNX form from an image to an image of the same size, whatever their channels."""

import threading
from pathlib import Path
from typing import Any, final

import numpy as np
from jaxtyping import Float32

from histokin.errors import EncoderError, NotComparable, UnreadableFile, UnsupportedFormat
from histokin.nets.manifest import file_digest
from histokin.nets.onnx_session import first_line, open_session

_REMEDY = "Train it again, or restore the folder from a copy"


@final
class ImageNetwork:
    """One network: float32 "n c h w" in, float32 "n d h w" out. Use :func:`load_network`.

    :meth:`run` may be called from several threads at once.

    Raises
    ------
    UnsupportedFormat
        when onnxruntime cannot load the file, or it does not take one float32 image.
    """

    def __init__(self, path: Path, digest: str) -> None:
        self.path, self.digest = path, digest
        try:
            self._session: Any = open_session(path, None)
        except EncoderError as error:
            raise UnsupportedFormat(error.reason, remedy=error.remedy, path=path) from None
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if len(inputs) != 1 or inputs[0].type != "tensor(float)" or not outputs:
            raise UnsupportedFormat("the network does not take one float32 image", remedy=_REMEDY, path=path)
        self._input, self._output = inputs[0].name, outputs[0].name

    def run(self, batch: Float32[np.ndarray, "n _ h w"]) -> Float32[np.ndarray, "n _ h w"]:
        """The network's images. Raises :class:`UnsupportedFormat` for another size, or numbers not finite."""
        try:
            result = self._session.run([self._output], {self._input: batch})[0]
        except Exception as error:  # onnxruntime's own exception types share no public base
            raise UnsupportedFormat(
                f"the network cannot run on an input of shape {batch.shape} ({first_line(error)})",
                remedy=_REMEDY,
                path=self.path,
            ) from None
        found = tuple(getattr(result, "shape", ()))
        if len(found) != 4 or found[:1] + found[2:] != batch.shape[:1] + batch.shape[2:]:
            raise UnsupportedFormat(
                f"the network makes {found} out of an image of shape {batch.shape}", remedy=_REMEDY, path=self.path
            )
        if result.dtype != np.float32 or not np.isfinite(result).all():
            raise UnsupportedFormat(
                "the network gives numbers that are no finite float32", remedy=_REMEDY, path=self.path
            )
        images: Float32[np.ndarray, "n _ h w"] = result
        return images


_loaded: dict[tuple[str, int, int], ImageNetwork] = {}
_loading = threading.Lock()


def load_network(path: Path, digest: str) -> ImageNetwork:
    """The network in a file, opened once per process.

    Raises
    ------
    UnreadableFile
        when the file is missing.
    NotComparable
        when its SHA-256 is not ``digest``.
    UnsupportedFormat
        see :class:`ImageNetwork`.
    """
    place = path.expanduser().absolute()
    try:
        stat = place.stat()
        key = (str(place), stat.st_size, stat.st_mtime_ns)
        with _loading:
            found = _loaded.get(key)
            now = found.digest if found is not None else file_digest(place)
            if now != digest:
                raise NotComparable(
                    f"the weights have changed (sha256 {now[:12]}, {digest[:12]} belongs here)",
                    remedy="Put the earlier file back, or train again",
                    path=place,
                )
            if found is None:
                for old in [old for old in _loaded if old[0] == key[0]]:
                    del _loaded[old]
                found = _loaded[key] = ImageNetwork(place, now)
    except OSError as error:
        raise UnreadableFile(
            f"the weights cannot be read ({error.strerror or error})",
            remedy="Put the file back where it was, or train again",
            path=place,
        ) from None
    return found
