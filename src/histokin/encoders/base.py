"""The contract of every encoder: images in, one vector per image out."""

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from typing import Any, Literal, final

from histokin.types import Images, Vectors


@final
@dataclass(frozen=True)
class EncoderSpec:
    """What an encoder is, enough to decide whether two vectors may be compared.

    ``space`` is the identity: it includes the digest of the weights and of whatever was fitted, and the
    precision. ``input_px`` is the side of the square input (images of other sizes are resized to it);
    ``mpp`` the scale it was made for, or None.
    """

    name: str
    space: str
    dim: int
    kind: Literal["dense", "counts", "points"] = "dense"
    metric: Literal["euclidean", "cosine"] = "euclidean"
    input_px: int = 224
    mpp: float | None = None
    precision: str = "fp32"
    licence: str = "Apache-2.0"

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


class Encoder(ABC):
    """Turns images into vectors. Construction may load weights; :meth:`encode` may be called from one thread."""

    @property
    @abstractmethod
    def spec(self) -> EncoderSpec:
        """What this encoder is."""

    @abstractmethod
    def encode(self, images: Images) -> Vectors:
        """One row per image, in order: float32 "n d", finite.

        Parameters
        ----------
        images : sequence of ``uint8`` RGB arrays "h w 3" of any size (resized to ``spec.input_px``).
            A vector does not depend on the other images of the call, to within 1e-6 relative.

        Raises
        ------
        EncoderError
            when an image has the wrong number of channels or the model answers with the wrong shape.
        """


class FittableEncoder(ABC):
    """An encoder that must first learn something (a vocabulary, a whitening)."""

    @abstractmethod
    def fit(self, images: Images, groups: list[str] | None = None) -> Encoder:
        """Learn from ``images`` and return the encoder; its space includes the digest of what was learned."""
