"""Vision transformers' tensors under timm's names, from files that name them as Hugging Face's transformers does."""

import re
from collections.abc import Mapping
from typing import Any

_OUTSIDE = {
    "embeddings.cls_token": "cls_token",
    "embeddings.position_embeddings": "pos_embed",
    "embeddings.patch_embeddings.projection.weight": "patch_embed.proj.weight",
    "embeddings.patch_embeddings.projection.bias": "patch_embed.proj.bias",
    "layernorm.weight": "norm.weight",
    "layernorm.bias": "norm.bias",
}

_INSIDE = {
    "vit": {
        "layernorm_before": "norm1",
        "layernorm_after": "norm2",
        "intermediate.dense": "mlp.fc1",
        "output.dense": "mlp.fc2",
        "attention.output.dense": "attn.proj",
    },
    "dinov2": {
        "norm1": "norm1",
        "norm2": "norm2",
        "mlp.fc1": "mlp.fc1",
        "mlp.fc2": "mlp.fc2",
        "attention.output.dense": "attn.proj",
        "layer_scale1": "ls1",
        "layer_scale2": "ls2",
    },
}

_UNUSED = ("pooler.", "embeddings.mask_token", "classifier.")
_BLOCK = re.compile(r"encoder\.layer\.(\d+)\.(.+)\.(weight|bias|lambda1)")
_ATTENTION = "attention.attention."


def timm_names(state: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """The same tensors under timm's names; queries, keys and values of a block become one tensor.

    ``kind`` is "timm" (nothing is done), or the naming of transformers' ViTModel ("vit") or Dinov2Model ("dinov2").
    A file that has timm's names already is left alone. Tensors of unknown names keep them, and are refused later.
    """
    if kind == "timm" or "cls_token" in state:
        return dict(state)
    inside, made = _INSIDE[kind], {}
    for name, tensor in state.items():
        short = name.removeprefix("vit.").removeprefix("dinov2.")
        if short.startswith(_UNUSED):
            continue
        block = _BLOCK.fullmatch(short)
        if block and block[2].startswith(_ATTENTION):
            made.update(_joined(state, name, block))
        elif block and block[2] in inside:
            made[f"blocks.{block[1]}.{inside[block[2]]}.{'gamma' if block[3] == 'lambda1' else block[3]}"] = tensor
        else:
            made[_OUTSIDE.get(short, short)] = tensor
    return made


def _joined(state: Mapping[str, Any], name: str, block: re.Match[str]) -> dict[str, Any]:
    """Queries, keys and values, stacked in this order when the queries are met."""
    import torch

    if block[2] != f"{_ATTENTION}query":
        return {}
    parts = [name.replace(".query.", f".{part}.") for part in ("query", "key", "value")]
    if not all(part in state for part in parts):
        return {}
    return {f"blocks.{block[1]}.attn.qkv.{block[3]}": torch.cat([state[part] for part in parts])}
