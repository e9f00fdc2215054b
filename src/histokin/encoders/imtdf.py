"""IMTDF: moments, texture and deep features in one vector, the best of the latter two chosen by pairs of images.

A competitor of the cross-modality retrieval paper (E. Breznik et al., Scientific Reports 14, 2024), which describes it
as discrete Tchebichef moments beside the best fifth, by ReliefF, of rotation-invariant Haralick texture and ResNet50
features. Its own program is not public; orders, classes and distance are our reading of it, and each is an option.
"""

import hashlib
import json
import math
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, final

import cv2
import numpy as np
from jaxtyping import Float64

from histokin.encoders.backbone import backbone
from histokin.encoders.base import Encoder, EncoderSpec, FittableEncoder
from histokin.encoders.gray_planes import as_rgb
from histokin.encoders.haralick import rotation_invariant
from histokin.encoders.pixels import prepare
from histokin.encoders.relieff import best, relieff
from histokin.encoders.tchebichef import low_moments
from histokin.errors import EncoderError, UsageError
from histokin.types import Image, Images, Vectors

FILE = "imtdf.json"
FORMAT = 1
SIDE = 256
TEXTURE = 26
NETWORK = "resnet50"
TURNS = (1, 4, 8)

Metric = Literal["euclidean", "cosine"]
Raw = Float64[np.ndarray, "n d"]


@final
class RawFeatures:
    """All features of an image before selection: moments, 26 of texture, 2048 of ResNet50.

    Images are resized to 256 x 256 pixels for moments (of brightness in 0 to 1) and texture, and to 224 for ResNet50.
    """

    def __init__(self, weights: str | Path, order: int, threads: int | None, device: str) -> None:
        if not 0 <= order < SIDE:
            raise UsageError(f"moments up to order {order}", remedy="Give an order from 0; 5 is usual")
        known = str(weights) in ("official", "random")
        self.weights = str(weights) if known else str(Path(weights).expanduser().absolute())
        self.order = order
        self.network = backbone(NETWORK, weights=weights, threads=threads, device=device)

    @property
    def moments(self) -> int:
        """How many of them are moments; they come first."""
        return (self.order + 1) * (self.order + 2) // 2

    def of(self, images: Images) -> Raw:
        """One row per image, gray or RGB. Raises :class:`EncoderError` for other images."""
        colored: list[Image] = [as_rgb(image) for image in images]
        deep = self.network.encode(colored)
        own = [self._own(prepare(np.asarray(image), SIDE)) for image in colored]
        return np.hstack([np.reshape(own, (len(colored), self.moments + TEXTURE)), deep.astype(np.float64)])

    def _own(self, image: np.ndarray) -> np.ndarray:
        gray = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY)
        return np.concatenate([low_moments(gray / 255, self.order), rotation_invariant(gray)])


@final
class Imtdf(FittableEncoder):
    """Learns which features to keep, from images whose pairs are known.

    Parameters
    ----------
    weights : ResNet50's: ``"official"``, ``"random"`` (name and space then say so), or a file.
    order : Tchebichef moments with p + q up to this are kept, all of them: 21 for 5.
    keep : share of the other 2074 features that is kept: 415 for 0.2.
    neighbors : of ReliefF.
    turned : each image enters 1, 4 (quarter turns) or 8 times (also mirrored), so that a pair has enough samples.
    metric : the distance between vectors.

    Raises
    ------
    EncoderError
        when torch, torchvision or the weights are missing.
    UsageError
        for an option out of its range.
    """

    def __init__(
        self,
        weights: str | Path = "official",
        *,
        order: int = 5,
        keep: float = 0.2,
        neighbors: int = 10,
        turned: int = 8,
        metric: Metric = "euclidean",
        threads: int | None = None,
        device: str = "cpu",
    ) -> None:
        if not 0 < keep <= 1 or turned not in TURNS or neighbors < 1 or metric not in ("euclidean", "cosine"):
            raise UsageError(
                f"keep {keep}, {neighbors} neighbors, {turned} turns, {metric} distance",
                remedy="Give keep above 0 and up to 1, neighbors from 1, turned 1, 4 or 8, and euclidean or cosine",
            )
        self._raw = RawFeatures(weights, order, threads, device)
        self._keep, self._neighbors, self._turned, self._metric = keep, neighbors, turned, metric

    def fit(self, images: Images, groups: list[str] | None = None) -> "ImtdfEncoder":
        """Choose features and standardize all by ``images``.

        Parameters
        ----------
        images : gray or RGB, of both modalities.
        groups : for each image, the pair it belongs to; images of one pair are one class.

        Raises
        ------
        UsageError
            without groups, or when there are fewer than two pairs.
        """
        if groups is None or len(groups) != len(images):
            raise UsageError("features cannot be chosen without pairs", remedy="Name the pair of every image")
        turns = [turn for image in images for turn in _turns(np.asarray(image), self._turned)]
        raw = self._raw.of(turns)
        classes = [group for group in groups for _ in range(self._turned)]
        worth = relieff(raw[:, self._raw.moments :], classes, self._neighbors)
        chosen = np.concatenate([np.arange(self._raw.moments), self._raw.moments + best(worth, self._keep)])
        plain = raw[:: self._turned, chosen]
        return ImtdfEncoder(self._raw, chosen.tolist(), *_standard(plain), self._metric)


@final
class ImtdfEncoder(Encoder):
    """Moments and chosen features, each with mean 0 and deviation 1 on the images it was standardized by.

    Made by :meth:`Imtdf.fit` or read by :meth:`load`.
    """

    def __init__(
        self, raw: RawFeatures, chosen: Sequence[int], mean: np.ndarray, std: np.ndarray, metric: Metric
    ) -> None:
        self._raw, self._chosen, self._metric = raw, list(chosen), metric
        self._mean, self._std = mean, std
        text = json.dumps([raw.network.spec.space, raw.order, self._chosen, mean.tolist(), std.tolist()])
        network = raw.network.spec
        random = "random-" if raw.weights == "random" else ""
        self._spec = EncoderSpec(
            name="imtdf-random" if random else "imtdf",
            space=f"imtdf/{random}{hashlib.sha256(text.encode()).hexdigest()[:12]}/fp32",
            dim=len(self._chosen),
            metric=metric,
            input_px=SIDE,
            licence=network.licence,
        )

    @property
    def spec(self) -> EncoderSpec:
        return self._spec

    @property
    def chosen(self) -> list[int]:
        """Which of all features are kept: moments, then texture, then ResNet50's."""
        return list(self._chosen)

    def encode(self, images: Images) -> Vectors:
        """One row per image, gray ("h w 1") or RGB; see :meth:`histokin.encoders.base.Encoder.encode`."""
        found: Vectors = ((self._raw.of(images)[:, self._chosen] - self._mean) / self._std).astype(np.float32)
        return found

    def standardized_by(self, images: Images) -> "ImtdfEncoder":
        """The same features, with mean 0 and deviation 1 on ``images``: those of the archive that is searched.

        Raises
        ------
        UsageError
            for fewer than two images.
        """
        if len(images) < 2:
            raise UsageError(f"{len(images)} images to standardize by", remedy="Give those of the archive, at least 2")
        found = self._raw.of(images)[:, self._chosen]
        return ImtdfEncoder(self._raw, self._chosen, *_standard(found), self._metric)

    def save(self, folder: str | Path) -> Path:
        """Write ``imtdf.json`` into ``folder``, made where needed. Raises :class:`UsageError` when it cannot."""
        stored = {
            "format": FORMAT,
            "weights": self._raw.weights,
            "network": self._raw.network.spec.space,
            "order": self._raw.order,
            "metric": self._metric,
            "chosen": self._chosen,
            "mean": self._mean.tolist(),
            "std": self._std.tolist(),
        }
        path = Path(folder) / FILE
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False, encoding="utf-8") as stream:
                stream.write(json.dumps(stored) + "\n")
            Path(stream.name).chmod(0o644)
            Path(stream.name).replace(path)
        except OSError as error:
            raise UsageError(
                f"cannot be written ({error.strerror or error})", remedy="Choose another folder", path=path
            ) from None
        return path

    @staticmethod
    def load(path: str | Path, *, threads: int | None = None, device: str = "cpu") -> "ImtdfEncoder":
        """The encoder that :meth:`save` wrote into a folder.

        Raises
        ------
        EncoderError
            when the file is missing or damaged, or ResNet50's weights are not those it was fitted with.
        """
        where = Path(path).expanduser() / FILE
        stored = _stored(where)
        raw = RawFeatures(stored["weights"], stored["order"], threads, device)
        if raw.network.spec.space != stored["network"]:
            raise EncoderError(
                f"was fitted with the network {stored['network']}, here is {raw.network.spec.space}",
                path=where,
                remedy="Put back the weights it was fitted with, or fit it again",
            )
        mean, std = (np.array(stored[key], np.float64) for key in ("mean", "std"))
        return ImtdfEncoder(raw, stored["chosen"], mean, std, stored["metric"])


def imtdf(path: str | Path, *, threads: int | None = None, device: str = "cpu") -> ImtdfEncoder:
    """IMTDF from the folder that :meth:`ImtdfEncoder.save` wrote; see :meth:`ImtdfEncoder.load`."""
    return ImtdfEncoder.load(path, threads=threads, device=device)


def _turns(image: np.ndarray, count: int) -> list[np.ndarray]:
    turned = [np.ascontiguousarray(np.rot90(image, k)) for k in range(min(count, 4))]
    return turned + [np.ascontiguousarray(one[:, ::-1]) for one in turned] if count == 8 else turned


def _standard(features: Raw) -> tuple[np.ndarray, np.ndarray]:
    std = features.std(axis=0)
    return features.mean(axis=0), np.where(std > 0, std, 1.0)


def _stored(where: Path) -> dict[str, Any]:
    """The content of ``imtdf.json``, checked."""
    remedy = "Give the folder that ImtdfEncoder.save wrote, or fit it again"
    try:
        found = json.loads(where.read_text(encoding="utf-8"))
    except OSError as error:
        raise EncoderError(f"cannot be read ({error.strerror or error})", path=where, remedy=remedy) from None
    except ValueError:
        raise EncoderError("is not JSON", path=where, remedy=remedy) from None
    if not _sound(found):
        raise EncoderError("is damaged, or of another format", path=where, remedy=remedy)
    kept: dict[str, Any] = found
    return kept


def _sound(found: Any) -> bool:
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        return False
    lists = [found.get(key) for key in ("chosen", "mean", "std")]
    if not all(isinstance(one, list) and one for one in lists) or len({len(one) for one in lists if one}) != 1:
        return False
    chosen, mean, std = lists
    order = found.get("order")
    if type(order) is not int or not 0 <= order < SIDE:
        return False
    count = (order + 1) * (order + 2) // 2 + TEXTURE + 2048
    return (
        all(isinstance(found.get(key), str) for key in ("weights", "network"))
        and found.get("metric") in ("euclidean", "cosine")
        and all(type(place) is int and 0 <= place < count for place in chosen or ())
        and all(type(v) in (int, float) and math.isfinite(v) for v in [*(mean or ()), *(std or ())])
        and all(v > 0 for v in std or ())
    )
