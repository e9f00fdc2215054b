"""Trains TC-Net on aligned pairs of two modalities: the images of one are the queries, those of the other the gallery.

H. Lin et al., "TC-Net for iSBIR", ACM Multimedia 2019, with the options of its authors' program where the paper leaves
them open: triplets (margin 0.3) and the softmax over instances, summed; Adam, rate 0.0001, weight decay 0.0005; images
resized to 256 pixels, random squares of 225, mirrored at even odds; negatives drawn at random.
"""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, final

from histokin.errors import UnknownName, UsageError
from histokin.training.course import train
from histokin.training.length import Length
from histokin.training.pairs import PairSet
from histokin.training.report import Trained, Watch, require_torch

KIND, ENCODER, UNTRAINED = "tc-net", "encoder.onnx", "untrained"


@final
@dataclass(frozen=True)
class TcNetProfile:
    """How much is trained.

    ``side``: crops have so many pixels; images are resized to 256 / 225 of it first. ``triplet``, ``instance`` and
    ``center`` weigh the three losses; without ``center`` there is none. ``turned``: images are also turned by multiples
    of 90 degrees, which the published training does not do. ``minutes``: take as many of the steps of all ``epochs`` as
    fit into this; None takes all.
    """

    name: str
    trunk: str = "densenet169"
    features: int = 512
    side: int = 225
    rate: float = 1e-4
    weight_decay: float = 5e-4
    margin: float = 0.3
    triplet: float = 1.0
    instance: float = 1.0
    center: float = 0.0
    center_rate: float = 0.5
    turned: bool = False
    epochs: int = 2000
    batch: int = 16
    minutes: float | None = None


PROFILES = {
    profile.name: profile
    for profile in (
        TcNetProfile("paper"),
        TcNetProfile("practical", trunk="densenet121", epochs=200),
        TcNetProfile("reduced", trunk="small", features=128, side=64, rate=1e-3, turned=True, minutes=5.0),
    )
}


def tc_net_profile(name: str = "reduced", side: int | None = None, *, center: float | None = None) -> TcNetProfile:
    """The profile called ``name``, with another side of the crops or weight of the center loss.

    Raises
    ------
    UnknownName
        when there is none.
    UsageError
        for a side below 32 pixels.
    """
    if name not in PROFILES:
        raise UnknownName(f"no profile is called '{name}'", remedy=f"Choose one of: {', '.join(PROFILES)}")
    if side is not None and side < 32:
        raise UsageError(f"squares of {side} pixels", remedy="Give at least 32")
    found = PROFILES[name]
    return replace(
        found,
        side=found.side if side is None else side,
        center=found.center if center is None else center,
    )


def train_tc_net(
    pairs: PairSet,
    out: Path,
    *,
    anchor: str,
    profile: TcNetProfile | str = "reduced",
    minutes: float | None = None,
    steps: int | None = None,
    seed: int = 0,
    device: str | None = None,
    start: str | Path | None = None,
    watch: Watch | None = None,
) -> Trained:
    """Train, or go on with the training that ``out`` holds; write ``encoder.onnx`` and ``encoder.json`` (``tc-net``).

    Also writes the same of the network before training in ``untrained/``, ``report.json`` and ``checkpoint.pt``. Every
    pair is an instance. The figures are of the pairs that :meth:`~histokin.training.pairs.PairSet.divided` holds out,
    each searched among the gallery images of all pairs.

    Parameters
    ----------
    anchor : the modality of the queries; the other one is the gallery.
    minutes : plan as many steps as fit into so many minutes (default: as the profile says), and stop after them.
    steps : so many steps in place of that.
    start : ``"official"``, or a state dictionary of the trunk's whole torchvision network: the published training
        begins with ImageNet's weights; without it weights are random, and the report says so.

    Raises
    ------
    UsageError
        without PyTorch, for another anchor, fewer than two pairs, or when ``out`` holds another training.
    EncoderError
        when ``start`` cannot be read or belongs to another network.
    KeyboardInterrupt
        after Ctrl-C, once the checkpoint is written.
    """
    require_torch()
    chosen = tc_net_profile(profile) if isinstance(profile, str) else profile
    _check_anchor(anchor, pairs)
    from histokin.training.tc_net_run import TcNetTraining

    training = TcNetTraining(pairs, anchor, chosen, seed, device, start)
    configuration = {
        "trainer": KIND,
        "profile": asdict(chosen),
        "anchor": anchor,
        "steps": steps,
        "seed": seed,
        **training.identity,
    }
    return train(
        training,
        out,
        configuration,
        Length(steps, training.epochs_steps, training.published_steps, chosen.minutes, minutes),
        _about(chosen, anchor, pairs, start),
        published=training.published_steps,
        products=(ENCODER, f"{UNTRAINED}/{ENCODER}"),
        seed=seed,
        watch=watch,
    )


def _check_anchor(anchor: str, pairs: PairSet) -> None:
    if anchor not in pairs.modalities:
        raise UsageError(
            f"no modality is called '{anchor}'", remedy=f"Choose the anchor of: {', '.join(pairs.modalities)}"
        )


def _about(profile: TcNetProfile, anchor: str, pairs: PairSet, start: str | Path | None) -> dict[str, Any]:
    """What the report says of the training's beginning."""
    return {
        "kind": KIND,
        "profile": profile.name,
        "anchor": anchor,
        "gallery": next(name for name in pairs.modalities if name != anchor),
        "start": "random weights" if start is None else str(start),
        "failed": [one.to_dict() for one in pairs.failed],
    }
