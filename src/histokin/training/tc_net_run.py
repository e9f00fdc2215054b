"""TC-Net's training put together: pairs, triplets, steps, figures, files. PyTorch."""

import tempfile
from pathlib import Path
from typing import Any, final

import numpy as np
import torch

from histokin.encoders.backbone import load
from histokin.encoders.crops import resized, views, whole_side
from histokin.encoders.gray_planes import planes
from histokin.errors import UsageError
from histokin.nets import state_dict
from histokin.nets.backbones import IMAGENET_MEAN, IMAGENET_STD
from histokin.nets.manifest import MANIFEST, WeightManifest, file_digest
from histokin.nets.tc_net import TcNet
from histokin.training.batches import Crops
from histokin.training.device import choose_device, describe_device
from histokin.training.files import write_whole
from histokin.training.images import KEPT_BYTES
from histokin.training.loop import Outcome
from histokin.training.onnx_file import write_onnx
from histokin.training.pairs import PairSet
from histokin.training.tc_net import ENCODER, KIND, PROFILES, UNTRAINED, TcNetProfile
from histokin.training.tc_net_task import Heads, TcNetTask, Triplets


@final
class TcNetTraining:
    """One training of TC-Net: what it sees and what comes out of it."""

    def __init__(
        self,
        pairs: PairSet,
        anchor: str,
        profile: TcNetProfile,
        seed: int,
        device: str | None,
        start: str | Path | None,
    ) -> None:
        self._profile, self._seed, self._start = profile, seed, start
        self._device = choose_device(device)
        self._learn, self._held = pairs.divided(seed)
        if len(self._learn) < 2:
            raise UsageError("one pair to learn from", remedy="Give two pairs at least: the other is the negative")
        self._anchor, self._pairs = pairs.modalities.index(anchor), pairs
        self._crops = Crops(len(self._learn), profile.batch, seed)
        self._pictures = _Pictures(self._learn, profile.side)
        self.identity = {
            "pairs": pairs.digest,
            "held_out": list(self._held.names),
            "start": "" if start is None else state_dict.digest(self.network().body)[:12],
        }
        """What makes this training another than the next, beside its options."""
        self._data = (
            f"{len(self._learn)} pairs of {' and '.join(pairs.modalities)} ({pairs.digest}), anchors of {anchor}"
        )

    @property
    def epochs_steps(self) -> int:
        """Steps of all epochs of the profile."""
        return self._crops.steps_per_epoch * self._profile.epochs

    @property
    def published_steps(self) -> int:
        """Steps of the published training on as many pairs."""
        paper = PROFILES["paper"]
        return -(-len(self._learn) // paper.batch) * paper.epochs

    def network(self) -> TcNet:
        """The network before training: the same for the same seed and start."""
        with torch.random.fork_rng():
            torch.manual_seed(self._seed)
            network = TcNet(self._profile.trunk, self._profile.features)
        if self._start is not None:
            whole = load("dcnn" if self._profile.trunk == "small" else self._profile.trunk, str(self._start)).network
            body = whole.body if self._profile.trunk == "small" else whole.features
            network.body.load_state_dict(body.state_dict())
        return network

    def task(self) -> TcNetTask:
        """The training's steps, from the start."""
        with torch.random.fork_rng():
            torch.manual_seed(self._seed + 1)
            heads = Heads(self._profile.features, len(self._learn))
        return TcNetTask(self.network().to(self._device), heads.to(self._device), self.batch, self._profile)

    def batch(self, step: int) -> Triplets:
        """The triplets of one step: each anchor with its own partner, and with the partner of another at random."""
        draws, places = self._crops.draws(step), self._crops.places(step)
        others = [(place + int(draws.integers(1, len(self._learn)))) % len(self._learn) for place in places]
        gallery = 1 - self._anchor
        wanted = ((places, self._anchor), (places, gallery), (others, gallery))
        stacks = [
            np.stack([self._square(self._pictures.get(i, side), draws) for i in chosen]) for chosen, side in wanted
        ]
        return stacks[0], stacks[1], stacks[2], places, others

    def _square(self, image: np.ndarray, draws: np.random.Generator) -> np.ndarray:
        px = self._profile.side
        top, left = (int(draws.integers(image.shape[0] - px + 1)) for _ in range(2))
        square = image[top : top + px, left : left + px]
        if draws.random() < 0.5:
            square = square[:, ::-1]
        if self._profile.turned:
            square = np.rot90(square, int(draws.integers(4)))
        return planes(np.ascontiguousarray(square), IMAGENET_MEAN, IMAGENET_STD)

    def finish(self, task: TcNetTask, outcome: Outcome, out: Path) -> dict[str, Any]:
        """Measure and write what was trained, and its untrained copy."""
        trained, raw = task.network.eval(), self.network().to(self._device).eval()
        figures = {"trained": self._figures(trained), "untrained": self._figures(raw)}
        manifest, difference = write_tc_net(trained, out, self._profile.side, self._data, f"{outcome.steps} steps")
        write_tc_net(raw, out / UNTRAINED, self._profile.side, "nothing", "untrained")
        return {
            **outcome.course,
            "device": describe_device(self._device),
            "parameters": sum(p.numel() for p in trained.parameters()),
            "held_out": {"images": len(self._held), **figures, "chance": _chance(len(self._pairs), len(self._held))},
            "better_than_untrained": _better(figures["trained"], figures["untrained"]),
            "weights": {"file": ENCODER, "sha256": manifest.sha256, "difference_from_torch": difference},
            **outcome.curve,
        }

    def _figures(self, network: TcNet) -> dict[str, float]:
        """The pairs held out: how their gallery image ranks for their anchor, among those of all pairs."""
        if not len(self._held):
            return {}
        sets = (self._held, self._learn)
        gallery = np.concatenate([self._embedded(network, own, 1 - self._anchor) for own in sets])
        queries = self._embedded(network, self._held, self._anchor)
        far = ((queries[:, None] - gallery[None]) ** 2).sum(axis=2)
        right = np.diagonal(far)[:, None]
        nearer, equal = (far < right).sum(axis=1), (far == right).sum(axis=1) - 1
        rank = 1 + nearer + equal / 2
        return {
            "top1": float((rank == 1).mean()),
            "reciprocal_rank": float((1 / rank).mean()),
            "farther": float(1 - ((rank - 1) / max(1, len(gallery) - 1)).mean()),
        }

    def _embedded(self, network: TcNet, pairs: PairSet, side: int) -> np.ndarray:
        px = self._profile.side
        rows = []
        with torch.no_grad():
            for i in range(len(pairs)):
                square = views(resized(pairs.load(i)[side], px), px)[0]
                batch = torch.from_numpy(planes(square, IMAGENET_MEAN, IMAGENET_STD)[None]).to(self._device)
                rows.append(network(batch).double().cpu().numpy()[0])
        return np.stack(rows)


@final
class _Pictures:
    """Resized images, held in memory as far as they fit."""

    def __init__(self, pairs: PairSet, crop: int) -> None:
        self._pairs, self._crop = pairs, crop
        self._most = KEPT_BYTES // (6 * whole_side(crop) ** 2)
        self._kept: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def get(self, i: int, side: int) -> np.ndarray:
        both = self._kept.get(i)
        if both is None:
            one, other = self._pairs.load(i)
            both = resized(one, self._crop), resized(other, self._crop)
            if len(self._kept) < self._most:
                self._kept[i] = both
        return both[side]


def _chance(gallery: int, queries: int) -> dict[str, float]:
    """The same figures of a random order."""
    if not queries:
        return {}
    mean = float(np.mean(1 / np.arange(1, gallery + 1)))
    return {"top1": 1 / gallery, "reciprocal_rank": mean, "farther": 0.5}


def _better(trained: dict[str, float], untrained: dict[str, float]) -> bool:
    names = ("reciprocal_rank", "farther")
    return bool(trained) and all(trained[name] > untrained[name] for name in names)


def write_tc_net(network: TcNet, out: Path, side: int, training_data: str, steps: str) -> tuple[WeightManifest, float]:
    """Write ``encoder.onnx`` and, last, ``encoder.json``.

    Returns the manifest and the largest relative difference of the file from PyTorch.

    Raises
    ------
    EncoderError
        when that difference is above 0.001.
    UsageError
        when a file cannot be written.
    """
    dim, difference = write_onnx(network, out / ENCODER, side, "features")
    manifest = WeightManifest(
        name=KIND,
        file=ENCODER,
        sha256=file_digest(out / ENCODER),
        input_px=side,
        dim=dim,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        licence="that of the images it was trained on",
        upstream=f"histokin train {KIND}: {steps}",
        layer="one linear layer on the mean of the last map",
        training_data=training_data,
    )
    with tempfile.TemporaryDirectory() as scratch:
        text = manifest.save(Path(scratch)).read_bytes()
    write_whole(out / MANIFEST, lambda stream: stream.write(text))
    return manifest, difference
