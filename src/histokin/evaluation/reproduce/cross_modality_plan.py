"""What is scored: representations, features and sizes, by fold and seed; all that a worker needs to know."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

from histokin.evaluation.cross_modality.folds import Fold
from histokin.evaluation.cross_modality.reranking import depths
from histokin.evaluation.cross_modality.subjects import Subjects
from histokin.evaluation.reproduce.cross_modality_networks import SEEDS, Models, tc_nets

ALL = "all"
"""Name of the fold in which every item asks: for methods that learn nothing from pairs."""

PLACED = "placed"
LOCATED = "located"
LEARNED = ("comir", "placenet")
"""Trained representations of both modalities in one space."""

FEW = 3
"""Transforms an item for methods that are slow: the first three of the ten."""


@final
@dataclass(frozen=True)
class Ask:
    """One feature with the sizes of queries that it is asked with; see ``score_cell`` for the rest."""

    feature: str
    sizes: tuple[int, ...]
    transforms: int | None = None
    plain: bool = True
    across: bool = False


@final
@dataclass(frozen=True)
class Unit:
    """All cells of one representation in one fold: scored together, since its images are made once.

    ``folders`` are those of the trained models that the representation, or its features, need.
    """

    slug: str
    fold: str
    representation: str
    seed: int
    trained: bool
    asks: tuple[Ask, ...]
    folders: tuple[Path, ...] = ()

    @property
    def title(self) -> str:
        """For people."""
        copy = "" if self.trained else ", untrained"
        seed = f" (seed {self.seed})" if self.seed else ""
        return f"{self.slug}, fold {self.fold}: {self.representation}{copy}{seed}"

    def cell(self, feature: str, size: int) -> str:
        """Name of a cell's file."""
        return cell_name(self.slug, self.fold, self.representation, self.seed, self.trained, feature, size)


def cell_name(slug: str, fold: str, representation: str, seed: int, trained: bool, feature: str, size: int) -> str:
    """``SET/fold-F/REPRESENTATION[-untrained]-seed-S/FEATURE-SIZE``."""
    kind = representation.replace(">", "-to-") + ("" if trained else "-untrained")
    return f"{slug}/fold-{fold}/{kind}-seed-{seed}/{feature}-{size}"


def everything(subjects: Subjects) -> Fold:
    """The fold in which every item that asks in any fold asks."""
    asking = tuple(sorted({place for fold in subjects.folds for place in fold.test}))
    return Fold(ALL, (), asking, subjects.folds[0].repository)


def fold_of(subjects: Subjects, name: str) -> Fold:
    """By name."""
    return everything(subjects) if name == ALL else next(fold for fold in subjects.folds if fold.name == name)


def translations(subjects: Subjects, method: str) -> tuple[str, str]:
    """The two spaces of an image-to-image translation: ``pix2pix>brightfield`` and ``pix2pix>shg``."""
    first, second = subjects.modalities
    return f"{method}>{first}", f"{method}>{second}"


def reranks(subjects: Subjects) -> tuple[str, ...]:
    """Re-ranked features: ``rerank-D-reused`` for both depths."""
    return tuple(f"rerank-{depth}-reused" for depth in depths(len(subjects.folds[0].repository)))


def rebuilt(subjects: Subjects) -> str:
    """The re-ranking that learns a vocabulary for each query, of the greater depth."""
    return f"rerank-{depths(len(subjects.folds[0].repository))[-1]}-rebuilt"


def units(subjects: Subjects, models: Models, *, whole: bool, few: int | None = FEW, quick: bool = False) -> list[Unit]:
    """Everything to be scored of a set, what matters most first.

    Parameters
    ----------
    whole : every representation and feature of the paper; otherwise originals, CoMIR, PlaceNet and what improves them.
    few : transforms an item for all but the methods that the page is about; None for all there are.
    quick : less of everything.
    """
    plan = _Plan(subjects, models, whole, few, quick)
    found = [*plan.learned(), plan.originals(), *plan.untrained()]
    if whole:
        found += [*plan.translated(), *plan.rivals(), *plan.vocabularies()]
    return [unit for unit in found if unit.trained or unit.representation == "comir"] if quick else found


@final
@dataclass(frozen=True)
class _Plan:
    subjects: Subjects
    models: Models
    whole: bool
    few: int | None
    quick: bool

    @property
    def sizes(self) -> tuple[int, ...]:
        """Whole items and the first kind of patches."""
        return self.subjects.sizes[:2]

    def learned(self) -> list[Unit]:
        """CoMIR and PlaceNet, trained."""
        found = []
        for (method, fold, seed), model in self.models.found.items():
            if method in LEARNED and (self.whole or not seed):
                asks = (*(self._bags(seed) if method == "comir" else ()), *self._placing(method, seed))
                found.append(Unit(self.subjects.slug, fold, method, seed, True, asks, (model.folder,)))
        return sorted(found, key=lambda unit: unit.seed)

    def _bags(self, seed: int) -> list[Ask]:
        sizes = self.sizes if seed else self.subjects.sizes
        reused = reranks(self.subjects)
        asks = [Ask(name, sizes) for name in ("surf", *reused, "surf-plain", f"{reused[-1]}-plain")]
        if self.whole and not seed:
            asks.append(Ask(rebuilt(self.subjects), self.sizes, self.few, plain=False, across=True))
            asks += self._slow()
        return asks

    def _slow(self) -> list[Ask]:
        features = ("sift", "2dkd") if self.quick else ("sift", "2dkd", "resnet")
        return [Ask(feature, self.sizes, self.few) for feature in features]

    def _placing(self, method: str, seed: int) -> list[Ask]:
        asks = [Ask(PLACED, self.sizes if seed else self.subjects.sizes, across=True)]
        if self.whole and not seed and not (self.quick and method == "comir"):
            asks.append(Ask(LOCATED, locating(self.subjects)))
        return asks

    def originals(self) -> Unit:
        """Everything that learns nothing from pairs."""
        sizes = self.subjects.sizes
        asks = [Ask("surf", sizes), Ask("surf-plain", sizes), Ask("random", sizes)]
        asks += self._slow() if self.whole else []
        return Unit(self.subjects.slug, ALL, "none", 0, True, (*asks, Ask(PLACED, self.sizes, self.few, across=True)))

    def untrained(self) -> list[Unit]:
        """Copies of CoMIR and PlaceNet that were never trained."""
        found = []
        for (method, fold, seed), model in self.models.found.items():
            if method not in LEARNED or seed:
                continue
            bags = ("surf", "surf-plain") if method == "comir" else ()
            asks = [Ask(name, self.sizes, self.few, across=True) for name in bags]
            asks.append(Ask(PLACED, self.sizes, self.few, across=True))
            asks += [Ask(LOCATED, locating(self.subjects)[:1])] if self.whole else []
            found.append(Unit(self.subjects.slug, fold, method, seed, False, tuple(asks), (model.untrained,)))
        return found

    def translated(self) -> list[Unit]:
        """Images turned into the other modality, either way, and the same by untrained copies."""
        found = []
        for trained in (True, False):
            for (method, fold, seed), model in self.models.found.items():
                if method not in ("pix2pix", "cyclegan"):
                    continue
                features = ("surf", "surf-plain") if self.quick or not trained else ("surf", "surf-plain", "sift")
                asks = tuple(Ask(feature, self.sizes, self.few, across=not trained) for feature in features)
                folder = model.folder if trained else model.untrained
                found += [
                    Unit(self.subjects.slug, fold, towards, seed, trained, asks, (folder,))
                    for towards in translations(self.subjects, method)
                ]
        return found

    def rivals(self) -> list[Unit]:
        """TC-Net and IMTDF."""
        found: list[Unit] = []
        for fold in self.subjects.folds:
            nets = [self.models.of(name, fold) for name in tc_nets(self.subjects)]
            both = [net for net in nets if net is not None]
            # A gallery of the second modality is asked by anchors of the first, and the other way round.
            for trained in (True, False) if len(both) == 2 else ():
                folders = tuple(net.folder if trained else net.untrained for net in reversed(both))
                asks = (Ask("tc-net", self.sizes),)
                found.append(Unit(self.subjects.slug, fold.name, "tc-net", 0, trained, asks, folders))
            if not self.quick:
                found.append(Unit(self.subjects.slug, fold.name, "none", 0, True, (Ask("imtdf", self.sizes),)))
        return found

    def vocabularies(self) -> list[Unit]:
        """Originals with other vocabularies."""
        seeds = () if self.quick else SEEDS[1:]
        asks = (Ask("surf", self.sizes, self.few, across=True),)
        return [Unit(self.subjects.slug, ALL, "none", seed, True, asks) for seed in seeds]


def locating(subjects: Subjects) -> tuple[int, ...]:
    """Sides of the patches that are looked for in a mosaic: those of the central ones that fit in any turn."""
    return tuple(sorted((side for side in subjects.sizes[1:] if side * 2**0.5 < subjects.side - 2), reverse=True))


def methods_of(subjects: Subjects, *, whole: bool) -> Sequence[str]:
    """What is trained on a set."""
    return (*LEARNED, *(("pix2pix", "cyclegan", *tc_nets(subjects)) if whole else ()))
