"""What every augmentation shares: kinds of images, chance, and random numbers that workers do not share."""

import os
import sys
from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from jaxtyping import Float64

from histokin.errors import UsageError
from histokin.stain.options import number
from histokin.stain.pixels import rgb
from histokin.types import RGB


class Augmentation(ABC):
    """Changes an image at random, with probability ``p``; otherwise gives the image itself back.

    Picklable. Each process has random numbers of its own: with a ``seed`` they follow from it and from the number of
    torch's data worker, so a run can be repeated; without one they never do. Nothing is drawn from numpy's or torch's
    global generators.
    """

    def __init__(self, p: float | int, seed: int | None, **parameters: Any) -> None:
        self.p = number("p", p, 0, 1)
        if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int) or seed < 0):
            raise UsageError(f"seed is {seed!r}", remedy="Give a whole number from 0, or None")
        self.seed = seed
        self._parameters = parameters
        self._rng: np.random.Generator | None = None
        self._process = -1

    @abstractmethod
    def change(self, image: RGB, rng: np.random.Generator) -> RGB:
        """The changed image: a new array. ``image`` is never written to."""

    def __call__(self, image: Any) -> Any:
        """An image of the same kind and size. Raises :class:`UsageError` for what is no 8-bit RGB image."""
        rng = self._generator()
        if rng.random() >= self.p:
            return image
        if isinstance(image, np.ndarray):
            return self.change(rgb(image), rng)
        if type(image).__module__.partition(".")[0] == "torch":
            return _tensor(self.change(_pixels(image), rng), image)
        if type(image).__module__.partition(".")[0] == "PIL":
            from PIL import Image

            return Image.fromarray(self.change(np.asarray(image.convert("RGB")), rng))
        return self.change(rgb(image), rng)

    def __repr__(self) -> str:
        values = {**self._parameters, "p": self.p, "seed": self.seed}
        return f"{type(self).__name__}({', '.join(f'{key}={value!r}' for key, value in values.items())})"

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_rng": None, "_process": -1}

    def _generator(self) -> np.random.Generator:
        if self._rng is None or self._process != os.getpid():
            self._process = os.getpid()
            self._rng = np.random.default_rng(None if self.seed is None else [self.seed, _worker()])
        return self._rng


def factors(rng: np.random.Generator, spread: float | int, count: int) -> Float64[np.ndarray, "n"]:
    """Numbers drawn evenly from ``1 - spread`` to ``1 + spread``."""
    return rng.uniform(1 - spread, 1 + spread, count)


def _worker() -> int:
    """The number of torch's data worker that this process is, from 1; 0 elsewhere."""
    torch = sys.modules.get("torch")
    info = torch.utils.data.get_worker_info() if torch is not None else None
    return 0 if info is None else int(info.id) + 1


def _pixels(tensor: Any) -> RGB:
    if tensor.ndim != 3 or tensor.shape[0] != 3 or str(tensor.dtype) != "torch.uint8":
        raise UsageError(
            f"a tensor of {tensor.dtype}, shape {tuple(tensor.shape)} is no 8-bit RGB image",
            remedy="Give a uint8 tensor of shape 3 x height x width; augment before scaling to floats",
        )
    return np.ascontiguousarray(tensor.cpu().numpy().transpose(1, 2, 0))


def _tensor(image: RGB, like: Any) -> Any:
    import torch

    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))).to(like.device)
