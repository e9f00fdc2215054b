"""What ``benchmarks/stain.py`` compares with: peers that install under permissive licences, each as it is used.

A peer that is not installed is left out, with its name in :attr:`Peers.missing`. StainTools and wsi-normalizer need
SPAMS, which is GPL, and TIAToolbox pins other versions of half our parts, so what they do is written here in its
published form over OpenCV and scikit-learn and called "-style".
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

from histokin.types import RGB

Transform = Callable[[RGB], object]


@dataclass(frozen=True)
class Peer:
    """One way to normalize an image, source fit included; ``kind`` is 8-bit or float, ``small``: too slow for 1 MP."""

    name: str
    method: str
    run: Transform
    kind: str = "float"
    small: bool = False


@dataclass
class Peers:
    """The peers there are, and the names of those that are not."""

    found: list[Peer] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    def add(self, name: str, make: Callable[[], list[Peer]]) -> None:
        """Take what ``make`` gives, unless something it imports is missing."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self.found.extend(make())
        except ImportError as error:
            self.missing.append(f"{name} ({error})")


def peers(target: RGB, stainnet: str | None) -> Peers:
    """All peers, fitted to the target; ``stainnet`` is a file of weights."""
    all_peers = Peers()
    all_peers.add("torchstain", lambda: _torchstain(target))
    all_peers.add("macenko-pca", lambda: _macenko_pca(target))
    all_peers.add("scikit-image", lambda: _scikit_image(target))
    all_peers.add("scikit-learn", lambda: _scikit_learn(target))
    all_peers.found.append(Peer("StainTools-style, 8-bit Lab", "reinhard", _staintools_reinhard(target), "8-bit"))
    if stainnet is not None:
        all_peers.add("torch", lambda: _torch_stainnet(stainnet))
    return all_peers


def _torchstain(target: RGB) -> list[Peer]:
    import torch
    import torchstain

    found = []
    for method in ("Reinhard", "Macenko"):
        for backend in ("numpy", "torch"):
            made = getattr(torchstain.normalizers, f"{method}Normalizer")(backend=backend)
            channels_first = backend == "torch"

            def given(image: RGB, torch_form: bool = channels_first) -> object:
                return torch.from_numpy(image).permute(2, 0, 1) if torch_form else image

            made.fit(given(target))
            options: dict[str, bool] = {"stains": False} if method == "Macenko" else {}

            def run(image: RGB, made: Any = made, options: dict[str, bool] = options, given: Any = given) -> object:
                return made.normalize(given(image), **options)

            found.append(Peer(f"torchstain {backend}", method.lower(), run))
    return found


def _macenko_pca(target: RGB) -> list[Peer]:
    import macenko_pca

    def parts(image: RGB) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        stains = macenko_pca.rgb_separate_stains_macenko_pca(image, bg_int=[240.0] * 3)
        amounts = macenko_pca.rgb_color_deconvolution(image, stains, bg_int=[240.0] * 3)
        # On its scale of intensities; what matters here is the strength of the two stains.
        return stains, amounts, np.percentile(amounts[..., :2].reshape(-1, 2), 1, axis=0)

    target_stains, _, target_low = parts(target)

    def run(image: RGB) -> object:
        _, amounts, low = parts(image)
        amounts[..., :2] *= target_low / np.maximum(low, 1e-3)
        return macenko_pca.reconstruct_rgb(amounts, target_stains, bg_int=240.0)

    return [Peer("macenko-pca (Rust)", "macenko", run)]


def _scikit_image(target: RGB) -> list[Peer]:
    from skimage.color import hed2rgb, lab2rgb, rgb2hed, rgb2lab
    from skimage.exposure import match_histograms

    lab = rgb2lab(target)
    mean, std = lab.mean((0, 1)), lab.std((0, 1))
    high = np.percentile(rgb2hed(target).reshape(-1, 3), 99, axis=0)

    def reinhard(image: RGB) -> object:
        source = rgb2lab(image)
        moved = (source - source.mean((0, 1))) * (std / source.std((0, 1))) + mean
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return np.rint(lab2rgb(moved) * 255).astype(np.uint8)

    def ruifrok(image: RGB) -> object:
        stains = rgb2hed(image)
        return np.rint(hed2rgb(stains * (high / np.percentile(stains.reshape(-1, 3), 99, axis=0))) * 255)

    def histogram(image: RGB) -> object:
        return match_histograms(image, target, channel_axis=-1)

    makes = (("reinhard", reinhard), ("ruifrok", ruifrok), ("histogram", histogram))
    return [Peer("scikit-image", method, run) for method, run in makes]


def _staintools_reinhard(target: RGB) -> Transform:
    """Means and deviations of 8-bit OpenCV Lab, in 32-bit floats: the formula of StainTools 2."""

    def planes(image: RGB) -> list[np.ndarray]:
        light, a, b = (plane.astype(np.float32) for plane in cv2.split(cv2.cvtColor(image, cv2.COLOR_RGB2LAB)))
        return [light / np.float32(2.55), a - np.float32(128), b - np.float32(128)]

    def numbers(axes: list[np.ndarray]) -> list[tuple[float, float]]:
        return [(float(m[0, 0]), float(s[0, 0])) for m, s in map(cv2.meanStdDev, axes)]

    wanted = numbers(planes(target))

    def run(image: RGB) -> object:
        axes = planes(image)
        moved = [
            (axis - np.float32(m)) * np.float32(s_to / s) + np.float32(m_to)
            for axis, (m, s), (m_to, s_to) in zip(axes, numbers(axes), wanted, strict=True)
        ]
        lab = cv2.merge([moved[0] * np.float32(2.55), moved[1] + np.float32(128), moved[2] + np.float32(128)])
        return cv2.cvtColor(np.clip(lab, 0, 255).astype(np.uint8), cv2.COLOR_LAB2RGB)

    return run


def _scikit_learn(target: RGB) -> list[Peer]:
    from sklearn.decomposition import MiniBatchDictionaryLearning, sparse_encode

    def density(image: RGB) -> np.ndarray:
        return np.asarray(-np.log(np.maximum(image.reshape(-1, 3), 1) / 255))

    def stains(image: RGB) -> np.ndarray:
        od = density(image)
        tissue = od[od.mean(axis=1) > 0.15]
        learner = MiniBatchDictionaryLearning(
            2, alpha=0.1, batch_size=1024, max_iter=5, fit_algorithm="cd", transform_algorithm="lasso_cd",
            positive_code=True, positive_dict=True, random_state=0,
        )  # fmt: skip
        found: np.ndarray = learner.fit(tissue).components_
        return np.asarray(found[np.argsort(-found[:, 0])])

    def codes(image: RGB, dictionary: np.ndarray, algorithm: str) -> np.ndarray:
        if algorithm == "least squares":
            return np.asarray(np.linalg.lstsq(dictionary.T, density(image).T, rcond=None)[0].T)
        return np.asarray(sparse_encode(density(image), dictionary, algorithm=algorithm, alpha=0.01, positive=True))

    wanted = stains(target)

    def peer(algorithm: str) -> Transform:
        high = np.percentile(codes(target[:224, :224], wanted, algorithm), 99, axis=0)

        def run(image: RGB) -> object:
            amounts = codes(image, stains(image), algorithm)
            amounts *= high / np.maximum(np.percentile(amounts, 99, axis=0), 0.01)
            return (255 * np.exp(-amounts @ wanted)).astype(np.uint8).reshape(image.shape)

        return run

    return [
        Peer("stand-in for StainTools, lasso by scikit-learn", "vahadane", peer("lasso_cd"), small=True),
        Peer("stand-in for TIAToolbox, dictionary by scikit-learn", "vahadane", peer("least squares")),
    ]


def _torch_stainnet(weights: str) -> list[Peer]:
    import torch

    from histokin.nets.stainnet import read_stainnet
    from histokin.nets.stainnet_torch import from_weights

    net = from_weights(read_stainnet(weights)).eval()

    def run(image: RGB) -> object:
        with torch.inference_mode():
            pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float()
            out = net((pixels / 255 - 0.5) / 0.5)
            return ((out * 0.5 + 0.5) * 255).clamp(0, 255).byte()[0].permute(1, 2, 0).contiguous().numpy()

    return [Peer("its own network in torch", "stainnet", run)]
