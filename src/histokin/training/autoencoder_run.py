"""An autoencoder's training put together: batches, selection, figures, files. PyTorch."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, final

import numpy as np
import torch

from histokin.encoders.pixels import prepare
from histokin.nets.cbhir_autoencoder import CbhirAutoencoder
from histokin.nets.cbmir_autoencoder import CbmirAutoencoder, learning_rate
from histokin.nets.cyclegan import parameter_count
from histokin.nets.manifest import file_digest
from histokin.training.autoencoder import UNTRAINED, AutoencoderProfile
from histokin.training.autoencoder_file import read_autoencoder, write_autoencoder
from histokin.training.autoencoder_task import AutoencoderTask, pixel_accuracy, remade
from histokin.training.batches import Batch, Crops, to_images
from histokin.training.device import choose_device, describe_device
from histokin.training.images import ImageSet, Picture
from histokin.training.loop import Outcome
from histokin.training.pictures import write_curves, write_panel

SELECT_IMAGES = TEST_IMAGES = 128

NETWORKS: dict[str, Callable[..., torch.nn.Module]] = {"cbhir": CbhirAutoencoder, "cbmir": CbmirAutoencoder}


@final
class AutoencoderTraining:
    """One training of an autoencoder: what it sees and what comes out of it."""

    def __init__(
        self,
        kind: str,
        images: ImageSet,
        profile: AutoencoderProfile,
        seed: int,
        device: str | None,
        start: Path | None,
        double_scaling: bool,
    ) -> None:
        self._kind, self._profile, self._seed, self._double = kind, profile, seed, double_scaling
        self._device = choose_device(device)
        self._parts = dict(zip(("learn", "select", "test"), images.split(seed), strict=True))
        self._crops = Crops(len(self._parts["learn"]), profile.batch, seed)
        self._start, self.start_digest = start, None if start is None else file_digest(start)
        self._training_data = f"{len(self._parts['learn'])} images of {images.name} ({images.digest})"

    @property
    def epochs_steps(self) -> int:
        """Steps of all epochs of the profile."""
        return self._crops.steps_per_epoch * self._profile.epochs

    @property
    def counts(self) -> dict[str, int]:
        """How many images are learned from, chosen by, and measured on."""
        return {name: len(part) for name, part in self._parts.items()}

    def network(self) -> torch.nn.Module:
        """The network before training: the same for the same seed."""
        with torch.random.fork_rng():
            torch.manual_seed(self._seed)
            return NETWORKS[self._kind](self._profile.side)

    def batch(self, step: int) -> Batch:
        """The images of one step, 0 to 1."""
        draws = self._crops.draws(step)
        images = [self._picture("learn", place) for place in self._crops.places(step)]
        if self._profile.augment:
            images = [moved(image, draws) for image in images]
        return self._planes(images)

    def task(self) -> AutoencoderTask:
        """The training's steps, from the start."""
        profile = self._profile
        network = self.network()
        if self._start is not None:
            read_autoencoder(self._start, network)
        rate = partial(learning_rate, start=profile.rate, decay=profile.decay)
        return AutoencoderTask(
            network.to(self._device),
            self.batch,
            self._planes(self._first("select", SELECT_IMAGES)),
            rate,
            check_every=self._crops.steps_per_epoch if profile.minutes is None else None,
            patience=profile.patience,
        )

    def finish(self, task: AutoencoderTask, outcome: Outcome, out: Path) -> dict[str, Any]:
        """Measure, draw and write what was trained, and its untrained copy."""
        chosen, raw = task.best_network(), self.network().to(self._device).eval()
        pictures = self._first("test", TEST_IMAGES)
        test = self._planes(pictures)
        made, before = remade(chosen, test), remade(raw, test)
        mean = np.broadcast_to(self._planes(self._first("learn", 256)).mean(axis=0), test.shape)
        held_out: dict[str, Any] = {
            "images": len(test),
            "trained": _figures(made, test),
            "untrained": _figures(before, test),
            "mean image": _figures(np.ascontiguousarray(mean), test),
        }
        columns = {"input": pictures, "made again": _shown(made), "untrained": _shown(before)}
        if self._kind == "cbhir":
            features_only = remade(chosen, test, zero_skip=True)
            held_out["without the skip"] = _figures(features_only, test)
            columns["without the skip"] = _shown(features_only)
        write_curves(outcome.history, out / "curves.png")
        write_panel(columns, out / "samples.png")
        steps = f"{outcome.steps} steps, profile {self._profile.name}"
        manifest, difference = write_autoencoder(
            self._kind, chosen, out, self._profile.side, self._training_data, steps
        )
        write_autoencoder(self._kind, raw, out / UNTRAINED, self._profile.side, "nothing", "untrained")
        return {
            "images": self.counts,
            **outcome.course,
            "device": describe_device(self._device),
            "parameters": parameter_count(chosen),
            "selection": {"mse": task.best, "step": task.best_step, "of": min(SELECT_IMAGES, self.counts["select"])},
            "held_out": held_out,
            "better_than_untrained": held_out["trained"]["mse"] < held_out["untrained"]["mse"],
            "weights": {"file": manifest.file, "sha256": manifest.sha256, "difference_from_torch": difference},
            **outcome.curve,
        }

    def _picture(self, part: str, place: int) -> Picture:
        return prepare(self._parts[part].load(place), self._profile.side)

    def _first(self, part: str, most: int) -> list[Picture]:
        images = self._parts[part]
        return [prepare(image, self._profile.side) for image in images.sample(most)]

    def _planes(self, images: list[Picture]) -> Batch:
        scale = 255.0 * 255.0 if self._double else 255.0
        return np.ascontiguousarray(np.stack(images).transpose(0, 3, 1, 2), np.float32) / np.float32(scale)


def moved(image: Picture, draws: np.random.Generator) -> Picture:
    """``image`` turned by up to 5 degrees, shifted by up to 10 of 224 pixels, zoomed by 0.9 to 1.05; edges mirrored."""
    import cv2

    side = image.shape[0]
    turn, zoom = draws.uniform(-5, 5), draws.uniform(0.9, 1.05)
    matrix = cv2.getRotationMatrix2D((side / 2, side / 2), turn, zoom)
    matrix[:, 2] += draws.uniform(-10, 10, 2) * side / 224
    found: Picture = cv2.warpAffine(image, matrix, (side, side), borderMode=cv2.BORDER_REFLECT_101)
    return found


def _figures(made: Batch, wanted: Batch) -> dict[str, float]:
    mse = float(np.mean((made - wanted) ** 2))
    return {"mse": mse, "psnr": float(-10 * np.log10(max(mse, 1e-12))), "pixel_accuracy": pixel_accuracy(made, wanted)}


def _shown(planes: Batch) -> list[Picture]:
    return to_images(planes * np.float32(2) - np.float32(1))
