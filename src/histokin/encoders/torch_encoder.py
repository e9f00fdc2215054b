"""A PyTorch network as an encoder: the part that all of them share."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from histokin.cores import usable_cores
from histokin.encoders.base import Encoder, EncoderSpec
from histokin.encoders.pixels import prepare
from histokin.errors import EncoderError, UsageError
from histokin.types import Image, Images, Vectors


@final
@dataclass(frozen=True)
class Color:
    """What is subtracted from RGB values in 0 to 1, and what the rest is divided by."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]


@final
class TorchEncoder(Encoder):
    """Resize, standardize, run the network, in single precision.

    The network sees one image at a time, on one core, and images are spread over cores: a vector then cannot depend
    on the images beside it or on the number of cores. On a GPU images follow one another.

    Parameters
    ----------
    spec : what the encoder is; ``dim`` is checked against every answer.
    network : the ``torch.nn.Module``, moved to ``device``.
    features : from the network and a tensor "1 3 side side" to a tensor "1 dim".
    threads : how many cores to use; None for all that this process may use.
    device : where it runs, such as ``cpu``, ``cuda`` or ``cuda:1``.

    Raises
    ------
    UsageError
        when the device cannot be used, or ``threads`` is below 1.
    """

    def __init__(
        self,
        spec: EncoderSpec,
        network: Any,
        features: Callable[[Any, Any], Any],
        color: Color,
        *,
        threads: int | None = None,
        device: str = "cpu",
    ) -> None:
        self._spec, self._features = spec, features
        self._device = torch_device(device)
        self._threads = check_threads(threads) if self._device.type == "cpu" else 1
        self._network = network.eval().requires_grad_(False).to(self._device)
        self._mean = np.array(color.mean, np.float32)[:, None, None]
        self._std = np.array(color.std, np.float32)[:, None, None]

    @property
    def spec(self) -> EncoderSpec:
        return self._spec

    def encode(self, images: Images) -> Vectors:
        """One row per image; see :meth:`histokin.encoders.base.Encoder.encode`."""
        import torch

        out = np.empty((len(images), self._spec.dim), dtype=np.float32)
        before = torch.get_num_threads()
        try:
            with ThreadPoolExecutor(max(1, min(self._threads, len(images))), initializer=self._one_core) as pool:
                for row, vector in enumerate(pool.map(self._encode_one, images)):
                    out[row] = vector
        finally:
            torch.set_num_threads(before)
        return out

    def _one_core(self) -> None:
        import torch

        torch.set_num_threads(1)

    def _encode_one(self, image: Image) -> np.ndarray:
        import torch

        planes = prepare(image, self._spec.input_px).transpose(2, 0, 1)
        batch = ((planes / np.float32(255) - self._mean) / self._std)[None]
        # Reduced precision on a GPU would move a vector by more than the archive's other vectors differ.
        exact = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
        try:
            with torch.inference_mode(), exact:
                answer = self._features(self._network, torch.from_numpy(batch).to(self._device)).float().cpu().numpy()
        except RuntimeError as error:
            raise EncoderError(
                f"encoder '{self._spec.name}' cannot run ({str(error).splitlines()[0][:120]})",
                remedy="If memory is short, use fewer threads or another device",
            ) from None
        return self._checked(answer)

    def _checked(self, answer: np.ndarray) -> np.ndarray:
        if answer.shape != (1, self._spec.dim):
            raise EncoderError(
                f"encoder '{self._spec.name}' answers with shape {answer.shape}, not (1, {self._spec.dim})",
                remedy="Give weights that belong to it",
            )
        if not np.isfinite(answer).all():
            raise EncoderError(
                f"encoder '{self._spec.name}' answers with values that are not finite", remedy="Check its weights"
            )
        vector: np.ndarray = answer[0]
        return vector


def check_threads(threads: int | None) -> int:
    """``threads``, or the cores that this process may use. Raises :class:`UsageError` below 1."""
    if threads is not None and threads < 1:
        raise UsageError(f"threads is {threads}", remedy="Give a number of cores from 1, or leave it out")
    return threads or usable_cores()


def torch_device(name: str) -> Any:
    """The device called ``name``. Raises :class:`UsageError` when it cannot be used."""
    import torch

    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UsageError(
            f"the device '{name}' cannot be used ({str(error).splitlines()[0][:100]})",
            remedy="Choose cpu, cuda or cuda:1, or leave it out",
        ) from None
    return device
