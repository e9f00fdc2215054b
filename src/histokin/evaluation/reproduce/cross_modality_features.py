"""Representations and features of the cross-modality page by name, as what ranks a repository."""

from collections.abc import Callable
from functools import cached_property
from typing import Any, final

from histokin.encoders.local import local_features
from histokin.errors import EncoderError, UsageError
from histokin.evaluation.cross_modality.bags import PLAIN, BagMatcher, Vocabularies
from histokin.evaluation.cross_modality.folds import Fold
from histokin.evaluation.cross_modality.matching import Matcher
from histokin.evaluation.cross_modality.placed import PlacedMatcher
from histokin.evaluation.cross_modality.plain_methods import EncoderMatcher, PointMatcher, RandomMatcher, three
from histokin.evaluation.cross_modality.representing import Maps
from histokin.evaluation.cross_modality.reranking import RerankMatcher
from histokin.evaluation.cross_modality.subjects import Subjects
from histokin.evaluation.reproduce.cross_modality_plan import PLACED, Unit, fold_of
from histokin.modality.registry import representation

PUBLISHED_WORDS = 20_000
RANDOM = "random weights"
"""Said of networks whose published weights are not at hand."""
PUBLISHED_IMAGE = 105 * 105 * 4
"""Dense SURF descriptors of an image of 834 x 834 px: 2.2 for each published word."""

FEW_ITEMS, FEW_WORDS = 100, 4000
"""Fewer items than this do with fewer words: learning and finding 20,000 words takes hours."""


def words_for(items: int, side: int) -> int:
    """Words of a vocabulary: as many for the descriptors of an image as in the paper, at most its 20,000; 4,000 at
    most where items are few.
    """
    described = (-(-side // 8)) ** 2 * 4
    wanted = min(PUBLISHED_WORDS, round(PUBLISHED_WORDS * described / PUBLISHED_IMAGE))
    return wanted if items >= FEW_ITEMS else min(FEW_WORDS, wanted)


def maps_of(subjects: Subjects, unit: Unit) -> Maps:
    """The representation of a unit.

    Raises
    ------
    HistokinError
        when its trained folder cannot be read.
    """
    if unit.representation in ("none", "tc-net"):
        return representation("none", modalities=subjects.modalities)
    name, _, towards = unit.representation.partition(">")
    if towards:
        return representation(name, path=unit.folders[0], towards=towards)
    return representation(name, path=unit.folders[0])


@final
class Features:
    """Makes matchers for one unit; what is costly is made once."""

    def __init__(self, subjects: Subjects, unit: Unit) -> None:
        self._subjects, self._unit = subjects, unit

    def matcher(self, feature: str) -> Matcher:
        """The method called ``feature``.

        Raises
        ------
        UsageError
            for a name that there is not; a package that is missing.
        """
        if feature.startswith("rerank-"):
            _, depth, way, *plain = feature.split("-")
            bag = self._plain if plain else self._surf
            return RerankMatcher(feature, bag, int(depth), "rebuilt" if way == "rebuilt" else "reused")
        makers: dict[str, Callable[[], Matcher]] = {
            "surf": lambda: self._surf,
            "surf-plain": lambda: self._plain,
            "sift": lambda: self._bag("sift"),
            "resnet": self._resnet,
            "2dkd": self._krawtchouk,
            "tc-net": self._tc_net,
            "imtdf": self._imtdf,
            "random": RandomMatcher,
            PLACED: PlacedMatcher,
        }
        if feature not in makers:
            raise UsageError(f"no feature '{feature}'", remedy=f"Choose one of: {', '.join(makers)}")
        return makers[feature]()

    @cached_property
    def _surf(self) -> BagMatcher:
        return self._bag("surf")

    @cached_property
    def _plain(self) -> BagMatcher:
        return BagMatcher("surf-plain", self._surf.vocabularies, PLAIN)

    @property
    def _words(self) -> int:
        return words_for(len(self._subjects.folds[0].repository), self._subjects.side)

    def _bag(self, name: str, note: str = "", **options: Any) -> BagMatcher:
        vocabularies = Vocabularies(local_features(name, **options), self._words, seed=self._unit.seed)
        return BagMatcher(name, vocabularies, note=note)

    def _resnet(self) -> BagMatcher:
        try:
            return self._bag("resnet152-channels")
        except EncoderError:
            return self._bag("resnet152-channels", f"ResNet50, {RANDOM}", network="resnet50", weights="random")

    def _krawtchouk(self) -> Matcher:
        from histokin.encoders.krawtchouk import KrawtchoukPoints

        points = KrawtchoukPoints()

        def center(image: Any) -> Any:
            return points.describe_at(image, image.shape[1] // 2, image.shape[0] // 2)

        return PointMatcher("2dkd", lambda image: points.describe(image).descriptors, center, points.space)

    def _tc_net(self) -> Matcher:
        from histokin.encoders.registry import encoder

        first, second = (encoder("tc-net", path=folder) for folder in self._unit.folders)
        return EncoderMatcher("tc-net", (first, second))

    def _imtdf(self) -> Matcher:
        from histokin.encoders.imtdf import Imtdf

        note = ""
        try:
            learner = Imtdf(threads=1)
        except EncoderError:
            learner, note = Imtdf("random", threads=1), RANDOM
        subjects = self._subjects
        fold = fold_of(subjects, self._unit.fold)
        learned = [place for place in fold.train if subjects.items[place].pair in _unasked(subjects, fold)]
        images = [three(subjects.image(place, modality)) for place in learned for modality in (0, 1)]
        names = [subjects.items[place].name for place in learned for _ in (0, 1)]
        fitted = learner.fit(images, names)
        first, second = (
            fitted.standardized_by([three(subjects.image(place, modality)) for place in fold.repository])
            for modality in (0, 1)
        )
        return EncoderMatcher("imtdf", (first, second), note=note)


def _unasked(subjects: Subjects, fold: Fold) -> set[int]:
    """Pairs none of whose items ask."""
    return {item.pair for item in subjects.items} - {subjects.items[place].pair for place in fold.test}
