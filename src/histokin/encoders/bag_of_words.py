"""Bag of words: how often each visual word occurs in an image.

Source: Sivic and Zisserman, "Video Google", ICCV 2003; Csurka et al., "Visual categorization with bags of keypoints",
ECCV workshop 2004; proportions as in the bag of features that cross-modality retrieval was published with.
"""

import hashlib
from pathlib import Path
from typing import Any, final

import numpy as np
from jaxtyping import Float32, Int32

from histokin.encoders.bag_file import BagManifest, read_bag, write_bag
from histokin.encoders.base import Encoder, EncoderSpec, FittableEncoder, LocalFeatures
from histokin.encoders.local import local_features
from histokin.encoders.vocabulary import ITERATIONS, PER_WORD, Passes, learn_vocabulary, nearest_words, require_faiss
from histokin.errors import EncoderError, UsageError
from histokin.extras import loaded
from histokin.types import Images, Vectors

NAME = "bag-of-words"


@final
class BagEncoder(Encoder):
    """Counts of visual words; images are described at the size they have.

    Parameters
    ----------
    features : what describes an image.
    vocabulary : the words, one a row.
    side : side of the images it was learned on, in pixels; for information.
    learned : JSON-ready facts about the learning, kept in the manifest.

    Raises
    ------
    EncoderError
        when the words are of another length than the descriptors, or not finite.
    """

    def __init__(
        self,
        features: LocalFeatures,
        vocabulary: Float32[np.ndarray, "k d"],
        *,
        side: int = 512,
        learned: dict[str, Any] | None = None,
    ) -> None:
        if not vocabulary.size or vocabulary.shape[1] != features.dim or not np.isfinite(vocabulary).all():
            raise EncoderError(
                f"a vocabulary of shape {vocabulary.shape} is none for {features.name}, "
                f"whose descriptors have {features.dim} finite numbers",
                remedy="Learn one with: histokin train vocabulary",
            )
        self._features = features
        self._words = np.ascontiguousarray(vocabulary)
        self._words.flags.writeable = False
        self._side, self._learned = side, dict(learned or {})
        digest = hashlib.sha256(f"{features.space}\n{vocabulary.shape}\n".encode() + self._words.tobytes()).hexdigest()
        self._space = f"{NAME}/{digest[:12]}/{features.space.replace('/', '-')}/{len(self._words)}"

    @property
    def spec(self) -> EncoderSpec:
        return EncoderSpec(
            name=NAME, space=self._space, dim=len(self._words), kind="counts", metric="cosine", input_px=self._side
        )

    @property
    def features(self) -> LocalFeatures:
        """What describes an image."""
        return self._features

    @property
    def vocabulary(self) -> Float32[np.ndarray, "k d"]:
        """The words, one a row; read-only."""
        return self._words

    @property
    def learned(self) -> dict[str, Any]:
        """Facts about the learning."""
        return dict(self._learned)

    def words(self, image: np.ndarray) -> Int32[np.ndarray, "n"]:
        """The word of every point of one image, in the order of :meth:`LocalFeatures.describe`."""
        return nearest_words(self._features.describe(image).descriptors, self._words)

    def counts(self, images: Images) -> Any:
        """A ``scipy.sparse.csr_matrix`` float32 "n k" with sorted columns: how often each word occurs in each image.

        Raises
        ------
        EncoderError
            when an image cannot be described, or scipy is not installed.
        """
        sparse: Any = loaded("counting visual words", "scipy.sparse", extra="subimage", error=EncoderError)
        rows = [np.unique(self.words(image), return_counts=True) for image in images]
        ends = np.concatenate([[0], np.cumsum([len(words) for words, _ in rows])]).astype(np.int64)
        columns = np.concatenate([np.empty(0, np.int32), *(words for words, _ in rows)])
        values = np.concatenate([np.empty(0), *(counts for _, counts in rows)]).astype(np.float32)
        return sparse.csr_matrix((values, columns, ends), shape=(len(rows), len(self._words)))

    def encode(self, images: Images) -> Vectors:
        """The counts with their zeros; see :meth:`histokin.encoders.base.Encoder.encode`. Gray images are taken too."""
        out = np.empty((len(images), len(self._words)), np.float32)
        for row, image in enumerate(images):
            out[row] = np.bincount(self.words(image), minlength=len(self._words))
        return out

    def save(self, folder: str | Path) -> Path:
        """Write ``bag.json`` and ``vocabulary.npy`` into a folder (made where it is missing); returns the folder.

        Raises
        ------
        EncoderError
            when they cannot be written.
        """
        manifest = BagManifest(
            features=self._features.name,
            options=self._features.options,
            features_space=self._features.space,
            space=self._space,
            words=len(self._words),
            dim=self._features.dim,
            input_px=self._side,
            learned=self._learned,
        )
        return write_bag(Path(folder), manifest, self._words)

    @staticmethod
    def load(folder: str | Path) -> "BagEncoder":
        """The encoder that :meth:`save` wrote.

        Raises
        ------
        EncoderError
            when the folder holds none, a file is damaged, or the features are not the same here.
        """
        manifest, vocabulary = read_bag(Path(folder))
        features = local_features(manifest.features, **manifest.options)
        made = BagEncoder(features, vocabulary, side=manifest.input_px, learned=manifest.learned)
        if features.space != manifest.features_space or made.spec.space != manifest.space:
            raise EncoderError(
                f"was learned on features of {manifest.features_space}, and those that are here are of "
                f"{features.space}",
                path=Path(folder),
                remedy="Use the version of histokin, and the weights, that it was learned with, or learn it again",
            )
        return made


@final
class BagOfWords(FittableEncoder):
    """Learns a vocabulary from images.

    Descriptors of all images are pooled and the strongest of them kept (all are counted afterwards); of more than
    ``per_word * words``, so many are drawn at random, so that memory does not grow with the number of images.

    Parameters
    ----------
    features : what describes an image.
    words : size of the vocabulary; fewer where there are fewer descriptors.
    strongest : share of the pooled descriptors, those of greatest strength, that is learned from, above 0 to 1.
    seed : same seed, same words.
    iterations, per_word, watch : as :func:`~histokin.encoders.vocabulary.learn_vocabulary` takes them.
    """

    def __init__(
        self,
        features: LocalFeatures,
        words: int = 20_000,
        strongest: float = 0.8,
        seed: int = 0,
        *,
        iterations: int = ITERATIONS,
        per_word: int = PER_WORD,
        watch: Passes | None = None,
    ) -> None:
        if words < 1 or not 0 < strongest <= 1:
            raise UsageError(
                f"no vocabulary has {words} words of the strongest {strongest:g} of descriptors",
                remedy="Give at least 1 word and a share above 0, up to 1",
            )
        self._features, self._words, self._strongest, self._seed = features, words, strongest, seed
        self._iterations, self._per_word, self._watch = iterations, per_word, watch

    def fit(self, images: Images, groups: list[str] | None = None) -> BagEncoder:
        """Learn the words of ``images``, ``uint8`` "h w 1" or "h w 3"; ``groups`` are not used.

        Raises
        ------
        UsageError
            when the images show nothing to describe.
        EncoderError
            when an image cannot be described, or faiss is not installed.
        """
        require_faiss()
        pool = _Pool(int(np.ceil(1.02 * self._per_word * self._words / self._strongest)), self._seed)
        sides = []
        for image in images:
            points = self._features.describe(image)
            pool.add(points.descriptors, points.strength)
            sides.append(max(image.shape[:2]))
        used = pool.strongest(self._strongest)
        vocabulary = learn_vocabulary(used, self._words, self._seed, self._iterations, self._per_word, self._watch)
        learned = {
            "images": len(sides),
            "descriptors": pool.seen,
            "used": min(len(used), self._per_word * len(vocabulary)),
            "strongest": self._strongest,
            "iterations": self._iterations,
            "per_word": self._per_word,
            "seed": self._seed,
        }
        return BagEncoder(self._features, vocabulary, side=int(np.median(sides)), learned=learned)


@final
class _Pool:
    """A uniform sample of all descriptors offered so far: those with the smallest of random numbers."""

    def __init__(self, most: int, seed: int) -> None:
        self._most, self._draws = most, np.random.default_rng([seed, 0])
        self._parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        self._held = 0
        self.seen = 0

    def add(self, descriptors: Float32[np.ndarray, "n d"], strength: Float32[np.ndarray, "n"]) -> None:
        self._parts.append((descriptors, strength, self._draws.random(len(strength))))
        self._held += len(strength)
        self.seen += len(strength)
        if self._held > 2 * self._most:
            self._prune()

    def strongest(self, share: float) -> Float32[np.ndarray, "m d"]:
        """The strongest share of the sample; where none was cut, of all descriptors."""
        if not self._held:
            raise UsageError("the images show nothing to describe", remedy="Give images with structure")
        self._prune()
        descriptors, strength, _ = self._parts[0]
        kept = np.argsort(-strength, kind="stable")[: int(np.ceil(share * len(strength)))]
        chosen: Float32[np.ndarray, "m d"] = descriptors[np.sort(kept)]
        return chosen

    def _prune(self) -> None:
        descriptors, strength, keys = (np.concatenate(part) for part in zip(*self._parts, strict=True))
        if len(keys) > self._most:
            chosen = np.sort(np.argpartition(keys, self._most - 1)[: self._most])
            descriptors, strength, keys = descriptors[chosen], strength[chosen], keys[chosen]
        self._parts, self._held = [(descriptors, strength, keys)], len(keys)


def bag_of_words(path: str | Path) -> BagEncoder:
    """The bag of words in a folder that ``histokin train vocabulary`` wrote.

    Raises
    ------
    EncoderError
        when the folder holds none.
    """
    return BagEncoder.load(path)
