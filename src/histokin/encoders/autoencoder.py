"""The autoencoders of the two retrieval papers as encoders, from the folder that their training wrote."""

from pathlib import Path

from histokin.encoders.onnx import OnnxEncoder
from histokin.errors import EncoderError


def cbhir(path: str | Path, *, threads: int | None = None) -> OnnxEncoder:
    """200 features of the convolutional autoencoder of content-based histopathology retrieval.

    Parameters
    ----------
    path : the folder that ``histokin train cbhir`` wrote.
    threads : how many cores to use; None for all that this process may use.

    Raises
    ------
    EncoderError
        when the folder holds no such encoder.
    """
    return _trained("cbhir", path, threads)


def cbmir(path: str | Path, *, threads: int | None = None) -> OnnxEncoder:
    """48 features of the autoencoder of content-based medical image retrieval; as :func:`cbhir` otherwise."""
    return _trained("cbmir", path, threads)


def _trained(kind: str, path: str | Path, threads: int | None) -> OnnxEncoder:
    made = OnnxEncoder(path, threads=threads)
    if made.spec.name != kind:
        raise EncoderError(
            f"holds the encoder '{made.spec.name}', '{kind}' was asked for",
            path=Path(path),
            remedy=f"Give the folder that 'histokin train {kind}' wrote, or use the encoder 'onnx' for any other",
        )
    return made
