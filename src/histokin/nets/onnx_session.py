"""ONNX-runtime sessions: weights checked against their manifest, CPU only, quiet."""

from pathlib import Path
from typing import Any, final

import numpy as np

from histokin.errors import EncoderError
from histokin.nets.manifest import WeightManifest, file_digest

_ERRORS_ONLY = 3
_INPUTS: dict[str, type[np.generic]] = {"tensor(uint8)": np.uint8, "tensor(float)": np.float32}


@final
class OnnxSession:
    """One network ready to run on the CPU: an array "n 3 h w" in, an array "n d" out.

    :meth:`run` may be called from several threads at once.

    Parameters
    ----------
    manifest, weights : what :func:`histokin.nets.manifest.load_manifest` returns.
    threads : cores that share the work of one call; None for all of them.

    Raises
    ------
    EncoderError
        when the file differs from its manifest or is no network that onnxruntime can run.
    """

    def __init__(self, manifest: WeightManifest, weights: Path, threads: int | None = 1) -> None:
        found = file_digest(weights)
        if found != manifest.sha256.lower():
            raise EncoderError(
                f"the weights differ from their manifest (sha256 {found[:12]}, expected {manifest.sha256[:12]})",
                path=weights,
                remedy="Restore the file (install histokin again), or give changed weights a manifest of their own",
            )
        self._session = open_session(weights, threads)
        self._weights = weights
        inputs = self._session.get_inputs()
        if len(inputs) != 1 or inputs[0].type not in _INPUTS:
            raise EncoderError(
                "the network does not take exactly one uint8 or float32 array",
                path=weights,
                remedy='Export it with one input "n 3 h w"',
            )
        self._input: str = inputs[0].name
        self._output: str = self._session.get_outputs()[0].name
        self.dtype: np.dtype[Any] = np.dtype(_INPUTS[inputs[0].type])

    def run(self, batch: np.ndarray) -> np.ndarray:
        """The first output for ``batch`` ("n 3 h w", of :attr:`dtype`)."""
        try:
            result: np.ndarray = self._session.run([self._output], {self._input: batch})[0]
        except Exception as error:  # onnxruntime's own exception types share no public base
            raise EncoderError(
                f"the network cannot run on an input of shape {batch.shape} ({first_line(error)})",
                path=self._weights,
                remedy='Check input_px in its manifest; the network must take "n 3 input_px input_px"',
            ) from None
        return result


def open_session(weights: Path, threads: int | None) -> Any:
    """onnxruntime's session for a file, CPU only. Raises :class:`EncoderError` when it cannot load it."""
    import onnxruntime

    onnxruntime.set_default_logger_severity(_ERRORS_ONLY)
    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    options.intra_op_num_threads = threads or 0
    options.inter_op_num_threads = 1
    # Idle workers would otherwise spin, and take cores from the readers of slides.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(str(weights), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # as above
        raise EncoderError(
            f"onnxruntime cannot load it ({first_line(error)})",
            path=weights,
            remedy="Export the network again, as ONNX with an opset that the installed onnxruntime knows",
        ) from None


def first_line(error: Exception) -> str:
    """What an exception says, in one clause."""
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".")[:200] if lines else type(error).__name__
