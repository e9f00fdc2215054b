"""The contracts of this room: encoders (one vector per image) and local features (many located vectors per image)."""

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from typing import Any, Literal, final

import numpy as np
from jaxtyping import Float32

from histokin.types import Image, Images, Vectors


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


@final
@dataclass(frozen=True, eq=False)
class Points:
    """Located descriptions of one image.

    ``xy`` holds column and row in pixels of the image, origin at the center of the first pixel; ``strength`` says how
    much there is to see at a point (0 or more), comparable within one kind of feature only.
    """

    xy: Float32[np.ndarray, "n 2"]
    descriptors: Float32[np.ndarray, "n d"]
    strength: Float32[np.ndarray, "n"]

    def __len__(self) -> int:
        return len(self.xy)


class LocalFeatures(ABC):
    """Describes an image by vectors at many places. May be called from several threads at once."""

    @property
    @abstractmethod
    def name(self) -> str:
        """What it is registered as."""

    @property
    @abstractmethod
    def space(self) -> str:
        """Identity of the descriptors, with every option (and the digest of weights) that changes them."""

    @property
    @abstractmethod
    def dim(self) -> int:
        """Length of a descriptor."""

    @property
    def options(self) -> dict[str, Any]:
        """What makes this again through the registry, JSON-ready."""
        return {}

    @abstractmethod
    def describe(self, image: Image) -> Points:
        """The points of an image, in an order that depends on the image alone.

        Parameters
        ----------
        image : ``uint8`` "h w 1" or "h w 3" (gray or RGB), any size; never written to.

        Returns
        -------
        Points
            finite; none (``len(points) == 0``) where the image shows nothing to describe.

        Raises
        ------
        EncoderError
            when the image has another type or number of channels.
        """
