"""Pathology foundation models as encoders, through timm (extra ``foundation``)."""

from functools import partial
from pathlib import Path
from typing import Any

from histokin.encoders.base import EncoderSpec
from histokin.encoders.foundation_models import FOUNDATION, FoundationModel
from histokin.encoders.hub_names import timm_names
from histokin.encoders.torch_encoder import Color, TorchEncoder, check_threads
from histokin.encoders.weight_files import needs_of, obtain, require_modules
from histokin.errors import EncoderError, UnknownName
from histokin.nets import state_dict

SEED = 0


def foundation(
    name: str, *, weights: str | Path = "official", threads: int | None = None, device: str = "cpu"
) -> TorchEncoder:
    """One of :data:`histokin.encoders.foundation_models.FOUNDATION`; Euclidean distance.

    Parameters
    ----------
    weights : ``"official"`` for the published ones: from the folder for weights (``HISTOKIN_WEIGHTS``), from the cache
        of the Hugging Face hub, or downloaded; ``"random"`` for untrained ones, always the same, and then the name and
        the space say so; or the published file under any name, ``.safetensors`` or ``.bin``.
    threads : how many cores to use; None for all that this process may use.
    device : where it runs, such as ``cpu`` or ``cuda``.

    Raises
    ------
    UnknownName
        when the table has no such model.
    EncoderError
        when packages or weights are missing, or the weights are damaged or of another network; gated weights that are
        not here are named with the licence to accept, the page and the folder to put them into.
    UsageError
        when the device cannot be used.
    """
    if name not in FOUNDATION:
        raise UnknownName(f"no foundation model is called '{name}'", remedy=f"Choose one of: {', '.join(FOUNDATION)}")
    model, needs = FOUNDATION[name], needs_of(name)
    assert needs is not None
    require_modules(needs)
    check_threads(threads)
    random = str(weights) == "random"
    path = None if random else obtain(needs) if str(weights) == "official" else Path(weights).expanduser()
    network = _network(model, path)
    identity = state_dict.digest(network)[:12]
    spec = EncoderSpec(
        name=f"{name}-random" if random else name,
        space=f"{name}/{'random-' if random else ''}{identity}/fp32",
        dim=model.dim,
        input_px=model.input_px,
        mpp=model.mpp,
        licence="random weights" if random else model.licence,
    )
    return TorchEncoder(
        spec, network, partial(features, model.features), Color(*model.color), threads=threads, device=device
    )


def features(kind: str, network: Any, images: Any) -> Any:
    """The vector of each image, "n dim"; see :class:`FoundationModel` for the kinds."""
    import torch

    if kind == "own":
        return network.encode_image(images, proj_contrast=False, normalize=False)
    tokens = network.forward_features(images)
    if kind == "cls":
        return tokens[:, 0]
    return torch.cat([tokens[:, 0], tokens[:, network.num_prefix_tokens :].mean(dim=1)], dim=1)


def build(model: FoundationModel) -> Any:
    """The network of timm's, with random weights and no classes."""
    from histokin.nets.torchvision_compat import torchvision_models

    torchvision_models()  # timm imports torchvision, which may need help
    import timm
    import torch

    options: dict[str, Any] = dict(model.options)
    if "norm_eps" in options:
        options["norm_layer"] = partial(torch.nn.LayerNorm, eps=options.pop("norm_eps"))
    if model.swiglu:
        options |= {"mlp_layer": timm.layers.SwiGLUPacked, "act_layer": torch.nn.SiLU}
    return timm.create_model(
        model.network, pretrained=False, num_classes=0, img_size=model.input_px, global_pool="token", **options
    )


def _network(model: FoundationModel, path: Path | None) -> Any:
    import torch

    if model.tensors == "package":
        return _from_package(model, path)
    if path is None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(SEED)
            return build(model)
    state = timm_names(state_dict.read_state(path), model.tensors)
    return state_dict.filled(partial(build, model), state, path)


def _from_package(model: FoundationModel, path: Path | None) -> Any:
    """CONCH, whose network is in a package of its own."""
    from histokin.nets.torchvision_compat import torchvision_models

    if path is None:
        raise EncoderError(f"'{model.name}' has no random weights", remedy="Give its published weights")
    state_dict.read_state(path)  # refuses anything but plain tensors before the package opens it
    torchvision_models()
    from conch.open_clip_custom import create_model_from_pretrained

    try:
        return create_model_from_pretrained(model.network, str(path), return_transform=False)
    except (RuntimeError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise EncoderError(
            f"the weights belong to another network ({str(error).splitlines()[0][:120]})",
            path=path,
            remedy=f"Give {model.files[0]} from {model.page}",
        ) from None


def __getattr__(name: str) -> Any:
    """Each model as a factory of its own, for the registry."""
    if name in FOUNDATION:
        return partial(foundation, name)
    raise AttributeError(name)
