"""Backbones as encoders: the embedding of a network that was trained to name what photographs show."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, final

from histokin.encoders.base import EncoderSpec
from histokin.encoders.torch_encoder import Color, TorchEncoder, check_threads
from histokin.encoders.weight_files import Needs, needs_of, obtain, require_modules
from histokin.errors import EncoderError, UsageError
from histokin.nets import backbones, state_dict

SEED = 0
"""Of random weights: the same on every computer with the same version of PyTorch."""


SIDES = (64, 1024)
"""Least and greatest side of the input: below, the networks have nothing left to pool."""


def backbone(
    name: str,
    *,
    weights: str | Path = "official",
    threads: int | None = None,
    device: str = "cpu",
    input_px: int | None = None,
) -> TorchEncoder:
    """The embedding of one of :data:`histokin.nets.backbones.BACKBONES`: what its last linear layer sees.

    Euclidean distance; sizes, standardization and length of the vector are in that table.

    Parameters
    ----------
    weights : ``"official"`` for ImageNet's from torchvision (``IMAGENET1K_V1``), from PyTorch's cache or downloaded;
        ``"random"`` for untrained ones, always the same, and then the name and the space say so; or a state
        dictionary, ``.safetensors`` or ``.pth``, with any number of classes.
    threads : how many cores to use; None for all that this process may use.
    device : where it runs, such as ``cpu`` or ``cuda``.
    input_px : side of the square input in place of the network's own; half of it costs a quarter. Named in the space.

    Raises
    ------
    EncoderError
        when packages or weights are missing, or the weights are damaged or of another network.
    UsageError
        when the device cannot be used, or the network cannot take such an input.
    """
    known = backbones.backbone(name)
    side = _side(name, known.input_px, input_px)
    loaded = load(name, weights, threads=threads)
    spec = EncoderSpec(
        name=loaded.called,
        space=f"{name}/{loaded.identity}/{'' if side == known.input_px else f'{side}px/'}fp32",
        dim=known.dim,
        input_px=side,
        licence=loaded.licence,
    )
    color = Color(known.mean, known.std)
    return TorchEncoder(spec, loaded.network, backbones.embedding, color, threads=threads, device=device)


@final
@dataclass(frozen=True)
class Loaded:
    """A network with its weights, what it is called (random weights say so), their digest, and their licence."""

    network: Any
    called: str
    identity: str
    licence: str


def load(name: str, weights: str | Path, *, threads: int | None = None) -> Loaded:
    """One of :data:`histokin.nets.backbones.BACKBONES` with its weights; arguments and errors of :func:`backbone`."""
    backbones.backbone(name)
    needs = needs_of(name)
    assert needs is not None
    require_modules(needs)
    check_threads(threads)
    network, called, licence = _network(name, str(weights), needs)
    # The classes are not part of the embedding: the same body under another head is the same encoder.
    identity = state_dict.digest(network, leave_out=backbones.head_name(network))[:12]
    return Loaded(network, called, f"{'random-' if weights == 'random' else ''}{identity}", licence)


def _network(name: str, weights: str, needs: Needs) -> tuple[Any, str, str]:
    """The network, what the encoder is called, and its licence."""
    if weights == "random":
        return backbones.build(name, seed=SEED), f"{name}-random", "BSD-3-Clause, random weights"
    path = obtain(needs) if weights == "official" else Path(weights).expanduser()
    state = fitted(name, state_dict.read_state(path))
    network = state_dict.filled(partial(backbones.build, name, classes_of(name, state, path)), state, path)
    return network, name, needs.licence if weights == "official" else "that of its weights"


def fitted(name: str, state: dict[str, Any]) -> dict[str, Any]:
    """Tensors by today's names: DenseNet's official file has older ones, InceptionV3's an auxiliary classifier."""
    if name.startswith("densenet"):
        return {_without_inner_dots(key): tensor for key, tensor in state.items()}
    return {key: tensor for key, tensor in state.items() if not key.startswith("AuxLogits.")}


def _side(name: str, own: int, wanted: int | None) -> int:
    least = 75 if name == "inception_v3" else SIDES[0]
    if wanted is not None and not least <= wanted <= SIDES[1]:
        raise UsageError(f"input_px of {name} is {wanted}", remedy=f"Give {least} to {SIDES[1]} pixels")
    return wanted or own


def _without_inner_dots(key: str) -> str:
    """``denselayer1.norm.1.weight`` as ``denselayer1.norm1.weight``."""
    for part in ("norm", "relu", "conv"):
        for number in "12":
            key = key.replace(f".{part}.{number}.", f".{part}{number}.") if ".denselayer" in key else key
    return key


def classes_of(name: str, state: dict[str, Any], path: Path) -> int:
    """How many classes the weights tell apart: the rows of the last linear layer."""
    heads = ("fc.weight", "classifier.6.weight", "classifier.weight")
    rows = next((int(state[key].shape[0]) for key in heads if key in state and state[key].ndim == 2), 0)
    if rows < 2:
        raise EncoderError(
            f"the weights belong to another network than {name} (there is no layer of classes)",
            path=path,
            remedy="Give the whole state dictionary of a torchvision network, its last layer included",
        )
    return rows


def __getattr__(name: str) -> Any:
    """Each backbone as a factory of its own, for the registry."""
    if name in backbones.BACKBONES:
        return partial(backbone, name)
    raise AttributeError(name)
