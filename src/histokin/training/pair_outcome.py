"""What comes out of a training on aligned pairs: its facts and its report. PyTorch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import torch

from histokin.nets.cyclegan import parameter_count
from histokin.training.device import describe_device
from histokin.training.loop import Outcome

Figures = Mapping[str, float]


@final
@dataclass(frozen=True)
class Measured:
    """Figures of the held-out pairs, of the trained networks and of their untrained copy.

    ``images`` pairs were measured; ``more`` is said beside the figures, such as those of the images themselves.
    """

    images: int
    trained: Figures
    untrained: Figures
    more: Mapping[str, Any]


def pair_facts(
    profile: str, seed: int, pairs: str, counts: Mapping[str, int], steps: int, published: int | None, figures: Figures
) -> dict[str, Any]:
    """What the written folder says of the training; ``pairs`` is their digest, ``counts`` how they were divided."""
    return {
        "profile": profile,
        "seed": seed,
        "pairs": pairs,
        **counts,
        "steps": {"done": steps, "published": published},
        "figures": figures,
    }


def pair_report(
    outcome: Outcome,
    modules: Mapping[str, torch.nn.Module],
    device: torch.device,
    counts: Mapping[str, int],
    measured: Measured,
    *,
    better: bool,
    written: Mapping[str, Any],
) -> dict[str, Any]:
    """What every such training says of its course, its figures and the folder that it wrote."""
    return {
        **outcome.course,
        "device": describe_device(device),
        "parameters": {name: parameter_count(module) for name, module in modules.items()},
        "pairs": counts,
        "held_out": {
            "images": measured.images,
            "trained": measured.trained,
            "untrained": measured.untrained,
            **measured.more,
        },
        "held_out_was_learned_from": not counts["held_out"],
        "better_than_untrained": better,
        "representation": written,
        **outcome.curve,
    }
