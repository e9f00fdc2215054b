"""The StainNet page's networks: trained as far as the minutes go, kept for the next run, beside untrained copies."""

import functools
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

from histokin.errors import UsageError
from histokin.evaluation.reproduce.methods import Method, trained
from histokin.evaluation.reproduce.pairs import PairSet
from histokin.evaluation.reproduce.records import load
from histokin.evaluation.reproduce.run import Run
from histokin.stain.registry import normalizer
from histokin.training.images import ImageSet
from histokin.training.report import Trained, require_torch
from histokin.training.stain_gan import GanProfile, gan_profile, train_stain_gan
from histokin.training.stainnet import NetProfile, NetShape, net_profile, train_stainnet
from histokin.training.untrained import untrained_stain_gan, untrained_stainnet

KERNELS = ("111", "311", "331", "333")
"""Kernel sizes of the three layers, as in the paper's second table; 3x3 replaces the first layers."""

GAN_SHARE, NET_SHARE, MIX_SHARE = 0.5, 0.05, 0.15
"""Shares of the minutes: of the teacher, of StainNet, and at most of each of the three mixes with 3x3 layers.

The mixes take as many steps as StainNet did, which cost them several times its time.
"""

FULL_SIZE = "StainGAN of the published size (speed only)"


@final
@dataclass(frozen=True)
class Network:
    """A trained network and its untrained copy.

    ``steps`` is "done / published", ``planned`` how many it shall have; ``curve`` holds (step, loss).
    """

    kind: str
    weights: Path
    untrained: Path
    steps: str
    planned: int = 0
    curve: tuple[tuple[float, float], ...] = ()

    def method(self, title: str = "", *, published: bool = True) -> Method:
        """The trained network, to be scored."""
        return trained(self.kind, self.weights, title=title, note=self.steps, published=published)

    def untrained_method(self, title: str) -> Method:
        """Its untrained copy, to be scored."""
        return trained(self.kind, self.untrained, title=f"{title}, untrained", note="0", published=False)


@final
@dataclass(frozen=True)
class Networks:
    """All networks of the page; ``absent`` says why there are none.

    ``full_width`` is an untrained StainGAN of the published size: its speed is that of a trained one.
    """

    gan: Network | None = None
    kernels: Mapping[str, Network] = field(default_factory=dict)
    full_width: Path | None = None
    absent: str = ""

    @property
    def net(self) -> Network | None:
        """StainNet as published: three 1x1 convolutions."""
        return self.kernels.get("111")

    def methods(self) -> tuple[Method, ...]:
        """StainGAN and StainNet, each followed by its untrained copy, and the full-size StainGAN to be timed."""
        found: list[Method] = []
        for network, title in ((self.gan, "StainGAN"), (self.net, "StainNet")):
            if network:
                found += [network.method(), network.untrained_method(title)]
        if self.full_width:
            found.append(trained("stain-gan", self.full_width, title=FULL_SIZE, note="0", published=False))
        return tuple(found)


def train_networks(run: Run, pairs: PairSet) -> Networks:
    """Train a StainGAN on the unpaired images of both scanners, then four StainNets on what it makes of the sources.

    Weights go to ``out/networks``; a training that is there is gone on with, or taken as it is when it is done.
    """
    try:
        require_torch()
    except UsageError as error:
        return Networks(absent=error.reason)
    sources = _image_set(f"{pairs.name}, scanner O", [pair.source for pair in pairs.train])
    targets = _image_set(f"{pairs.name}, scanner T", [pair.target for pair in pairs.train])
    folder = run.out / "networks" / re.sub(r"[^a-z0-9]+", "-", pairs.name.lower()).strip("-")
    gan = _gan(run, sources, targets, folder / "stain-gan")
    kernels: dict[str, Network] = {}
    planned = 30 if run.quick else None
    for name in KERNELS:
        kernels[name] = _net(run, sources, gan, name, planned, taught_folder(folder / f"stainnet-{name}", gan.weights))
        planned = planned or kernels[name].planned
    full = None if run.quick else untrained_stain_gan(gan_profile("paper"), folder / "stain-gan-full-width.onnx")
    return Networks(gan, kernels, full)


def taught_folder(folder: Path, teacher: Path) -> Path:
    """The folder of a student of these weights: a teacher whose time was up goes on when the page is made again."""
    return folder.with_name(f"{folder.name}-{hashlib.blake2b(teacher.read_bytes(), digest_size=4).hexdigest()}")


def _gan(run: Run, sources: ImageSet, targets: ImageSet, folder: Path) -> Network:
    profile = GanProfile("quick", 8, 1, 32, 1, 1, 1, minutes=1.0) if run.quick else gan_profile("reduced")
    done = train_stain_gan(
        sources,
        targets,
        folder,
        profile=profile,
        minutes=None if run.quick else GAN_SHARE * run.minutes,
        steps=4 if run.quick else None,
        watch=run.teller("StainGAN"),
    )
    raw = untrained_stain_gan(profile, folder / "untrained.onnx")
    return Network("stain-gan", done.weights, raw, _steps(done), int(done.report["planned_steps"]), _curve(done))


def _net(run: Run, sources: ImageSet, gan: Network, kernels: str, steps: int | None, folder: Path) -> Network:
    profile = NetProfile("quick", "adam", 4e-3, 4, 32, 1, minutes=1.0) if run.quick else net_profile("reduced")
    shape = NetShape(wide=kernels.count("3"))
    done = train_stainnet(
        sources,
        normalizer("stain-gan", weights=gan.weights),
        folder,
        profile=profile,
        shape=shape,
        minutes=None if run.quick else (NET_SHARE if steps is None else MIX_SHARE) * run.minutes,
        steps=steps,
        watch=run.teller(f"StainNet {kernels}"),
    )
    raw = untrained_stainnet(shape, folder / "untrained.safetensors")
    return Network("stainnet", done.weights, raw, _steps(done), int(done.report["planned_steps"]), _curve(done))


def _steps(done: Trained) -> str:
    steps = done.report["steps"]
    return f"{steps['done']} / {steps['published']} ({done.report['configuration']['profile']['name']})"


def _curve(done: Trained) -> tuple[tuple[float, float], ...]:
    """Steps and the sum of what the trained network is led by; what its judges are led by is left out."""
    rows = [dict(row) for row in done.report["history"]]
    points = []
    for row in rows:
        step = float(row.pop("step"))
        parts = [v for k, v in row.items() if not k.startswith(("judge", "held_out"))]
        points.append((step, float(sum(parts))))
    return tuple(points)


def _image_set(name: str, paths: Sequence[Path]) -> ImageSet:
    """Images that are read when used; the last few hundred stay in memory."""
    digests = tuple(hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest() for path in paths)
    names = tuple(path.name for path in paths)
    kept = functools.lru_cache(maxsize=256)(load)
    return ImageSet(name, names, names, ("",) * len(paths), digests, lambda i: kept(paths[i]))
