"""Table 3 of the StainNet paper: a classifier learned on one scanner, used on another, after StainGAN and StainNet."""

import csv
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import final

import numpy as np

from histokin.errors import UsageError
from histokin.evaluation.page.model import Table
from histokin.evaluation.reproduce.colorectal_answers import answers_of, read_arrays, write_arrays
from histokin.evaluation.reproduce.colorectal_data import CANCER, GROUPS, MARK, SPLIT_SEED, Tiles, divided
from histokin.evaluation.reproduce.colorectal_networks import Job, Models, profile_of
from histokin.evaluation.reproduce.colorectal_scores import binary_figures, text
from histokin.evaluation.reproduce.networks import taught_folder
from histokin.evaluation.reproduce.run import Run
from histokin.evaluation.synthetic.centres import CENTRES, SLIDES_DIFFER
from histokin.evaluation.synthetic.glands import gland_field
from histokin.evaluation.synthetic.staining import Staining
from histokin.stain.augment.base import Augmentation
from histokin.stain.augment.hed import BRH
from histokin.stain.augment.light import BR
from histokin.stain.registry import normalizer
from histokin.training.classifier_profiles import ClassifierProfile
from histokin.training.images import ImageSet, Picture, from_arrays
from histokin.training.report import require_torch
from histokin.training.stain_gan import GanProfile, gan_profile, train_stain_gan
from histokin.training.stainnet import NetProfile, net_profile, train_stainnet
from histokin.types import RGB, ImageMap

PUBLISHED = {
    ("E1", "original"): (0.767, 0.874, 0.824, 0.817),
    ("E1", "StainGAN"): (0.919, 0.910, 0.912, 0.914),
    ("E1", "StainNet"): (0.773, 0.923, 0.851, 0.841),
    ("E2", "original"): (0.859, 0.918, 0.888, 0.887),
    ("E2", "StainGAN"): (0.957, 0.893, 0.919, 0.923),
    ("E2", "StainNet"): (0.955, 0.902, 0.924, 0.928),
    ("E3", "original"): (0.911, 0.917, 0.912, 0.914),
    ("E3", "StainGAN"): (0.958, 0.900, 0.924, 0.928),
    ("E3", "StainNet"): (0.961, 0.909, 0.931, 0.934),
}
"""Recall, precision, accuracy, F1: 6,535 cytology patches of one scanner, learned from 13,178 of another."""

EXPERIMENTS: dict[str, Augmentation | None] = {"E1": None, "E2": BR(p=0.25, seed=0), "E3": BRH(p=0.25, seed=0)}
COPIES = 4
"""Of every training tile, each changed or not by its own draw; of E1 all the same."""

DROPS = (39, 49)
"""A tenth of the rate from epochs 40 and 50 on, counted from 0."""

RESNET = ClassifierProfile(
    "stainnet-paper", 224, 2e-4, 60, batch=64, schedule="drops", drops=DROPS, augment=False, scaling="own"
)
EPOCHS = 3
GAN_SHARE = 0.85
GLANDS = ("normal", "adenoma")


@final
@dataclass(frozen=True, eq=False)
class Transfer:
    """Two scanners: tiles to learn from (T), tiles to be tested on (O), and unlabelled tiles of both for StainGAN."""

    name: str
    about: str
    learn: Tiles
    test: Tiles
    sources: ImageSet
    targets: ImageSet
    positive: str

    @property
    def slug(self) -> str:
        return self.test.slug


def real_transfer(tiles: Tiles, foreign: Sequence[Tiles]) -> Transfer | None:
    """Learned on crc5 H and AC, tested on one half of LC25000; StainGAN sees the other half, without labels."""
    other = next((one for one in foreign if one.name == "LC25000"), None)
    if other is None:
        return None
    halves = _halves()
    sides: dict[str, list[int]] = {"A": [], "B": []}
    for i, name in enumerate(other.images.names):
        sides[halves[name]].append(i)
    learn = tiles.part("train", "validation")
    about = (
        f"REAL: the small network learns H and AC of crc5 (T); tested on {len(sides['B'])} tiles of LC25000 (O). "
        f"StainGAN learns from {len(sides['A'])} other tiles of LC25000, of other groups, and the training "
        "tiles, without labels"
    )
    return Transfer(
        "crc5 and LC25000",
        about,
        tiles,
        replace(other.take(sides["B"]), slug="lc25000-b"),
        replace(other.images.some(sides["A"]), groups=tuple(other.units[i] for i in sides["A"])),
        _undivided(learn.images),
        CANCER,
    )


def synthetic_transfer(run: Run) -> Transfer:
    """Normal glands and adenoma, drawn as two invented laboratories stain them."""
    each, px, slides = (3, 96, 3) if run.quick else (60, 128, 8)
    near = _scanner(run, "synthetic-t", each, px, slides, 0, 11)
    far = _scanner(run, "synthetic-o", each, px, slides, len(CENTRES) - 1, 12)
    more = _scanner(run, "synthetic-o-unlabelled", each, px, slides, len(CENTRES) - 1, 13)
    about = (
        f"{MARK}: normal glands and adenoma. Learned on {len(near)} images of one invented laboratory (T), tested on "
        f"{len(far)} of another that stains most differently (O); StainGAN learns from {len(more)} further ones"
    )
    return Transfer(
        "two synthetic laboratories",
        about,
        near,
        far,
        _undivided(more.images),
        _undivided(near.part("train", "validation").images),
        "adenoma",
    )


def transfer_jobs(run: Run, transfer: Transfer) -> list[Job]:
    """A classifier for each experiment: the small network on a CPU, ResNet50 as published on a GPU."""
    network, profile = _recipe(run)
    names = ("E1",) if run.quick else tuple(EXPERIMENTS)
    return [
        Job(
            f"stains/{transfer.slug}-{name}",
            _with_copies(transfer.learn, name, EXPERIMENTS[name]),
            network,
            epochs=EPOCHS,
            profile=profile,
        )
        for name in names
    ]


def stains_table(run: Run, transfer: Transfer, models: Models, minutes: float) -> Table:
    """Recall, precision, accuracy and F1, ours and published."""
    maps, told = stain_maps(run, transfer, minutes)
    rows: list[tuple[object, ...]] = []
    for job in transfer_jobs(run, transfer):
        model, name = models.get(job.name), job.name[-2:]
        if model is None:
            rows.append((name, f"left out: {models.absent.get(job.name, '?')}", *("-" * 6)))
            continue
        for title, made in maps.items():
            found = binary_figures(answers_of(run, model, mapped(transfer.test, title, made)), transfer.positive)
            published = PUBLISHED.get((name, title))
            shown = "-" if published is None else " / ".join(f"{value:.3f}" for value in published)
            rows.append((name, title, model.title, *(text(interval) for interval in found), shown))
    rows += _untrained(run, transfer, models)
    rows.append(("-", "any", "chance", *("0.500" for _ in range(4)), "-"))
    columns = ("experiment", "test tiles", "classifier", "recall", "precision", "accuracy", "F1", "published")
    note = (
        f"{transfer.about}. E1: no augmentation. E2: brightness, contrast and rotation, with probability 0.25. E3: the "
        f"same and each stain stronger or weaker. Each training tile has {COPIES} copies, changed or not, in place of "
        f"new draws every epoch. The kept epoch is chosen on validation tiles; the paper's, on the test set. {told} "
        "Published: recall / precision / accuracy / F1, of cytology. 95 % intervals by group."
    )
    return Table(f"StainNet paper, Table 3 (E1 to E3): {transfer.name}", columns, tuple(rows), note, run.command)


def _untrained(run: Run, transfer: Transfer, models: Models) -> list[tuple[object, ...]]:
    job = transfer_jobs(run, transfer)[0]
    model = models.get(job.name)
    if model is None:
        return []
    found = binary_figures(answers_of(run, model, transfer.test, untrained=True), transfer.positive)
    return [("-", "original", f"{model.title}, untrained", *(text(interval) for interval in found), "-")]


def stain_maps(run: Run, transfer: Transfer, minutes: float) -> tuple[dict[str, ImageMap | None], str]:
    """What the test tiles are mapped with, by title, and how far the two networks were trained."""
    try:
        require_torch()
    except UsageError as error:
        return {"original": None}, f"No StainGAN and StainNet: {error.reason}."
    told = hashlib.blake2b(f"{transfer.sources.digest} {transfer.targets.digest}".encode(), digest_size=4).hexdigest()
    folder = run.out / "networks" / "stains" / f"{transfer.slug}-maps-{told}"
    side = 64 if run.quick else 128
    gan = train_stain_gan(
        transfer.sources,
        transfer.targets,
        folder / "stain-gan",
        profile=GanProfile("quick", 8, 1, 32, 1, 1, 1, minutes=1.0) if run.quick else gan_profile("reduced"),
        minutes=None if run.quick else GAN_SHARE * minutes,
        steps=2 if run.quick else None,
        watch=run.teller(f"{transfer.name}: StainGAN"),
    )
    teacher = normalizer("stain-gan", weights=gan.weights)
    quick = NetProfile("quick", "adam", 4e-3, 4, min(32, side), 1, minutes=1.0)
    net = train_stainnet(
        transfer.sources,
        teacher,
        taught_folder(folder / "stainnet", gan.weights),
        profile=quick if run.quick else net_profile("reduced"),
        minutes=None if run.quick else (1 - GAN_SHARE) * minutes,
        steps=4 if run.quick else None,
        watch=run.teller(f"{transfer.name}: StainNet"),
    )
    steps = [f"{one.report['steps']['done']:,} of {one.report['steps']['published']:,} steps" for one in (gan, net)]
    maps = {"StainGAN": teacher.fit([]), "StainNet": normalizer("stainnet", weights=net.weights).fit([])}
    return {"original": None, **maps}, f"StainGAN: {steps[0]}; StainNet: {steps[1]}."


def mapped(tiles: Tiles, title: str, made: ImageMap | None) -> Tiles:
    """The tiles after a map."""
    if made is None:
        return tiles
    images = tiles.images

    def load(i: int) -> RGB:
        return np.asarray(made(images.load(i)), np.uint8)

    digests = tuple(_digest(digest, made.space) for digest in images.digests)
    return replace(tiles, slug=f"{tiles.slug}-{title.lower()}", images=replace(images, digests=digests, load=load))


def _undivided(images: ImageSet) -> ImageSet:
    """Without the parts named: StainGAN holds some out by itself."""
    return replace(images, splits=("",) * len(images))


def _recipe(run: Run) -> tuple[str, ClassifierProfile | None]:
    try:
        require_torch()
    except UsageError:
        return "small", None  # nothing is trained, and the page says why
    if run.quick:
        return "small", None
    import torch

    if torch.cuda.is_available():
        return "resnet50", RESNET
    return "small", replace(profile_of(run, "small", EPOCHS), name="stains", augment=False)


def _with_copies(tiles: Tiles, name: str, change: Augmentation | None) -> Tiles:
    """Every training tile several times, each changed with the augmentation's probability; the others once."""
    images = tiles.images
    rows: list[tuple[int, int]] = []
    for i, split in enumerate(images.splits):
        rows += [(i, copy) for copy in range(COPIES if split == "train" else 1)]

    def load(place: int) -> Picture:
        i, copy = rows[place]
        image = images.load(i)
        if change is None or images.splits[i] != "train":
            return image
        draws = np.random.default_rng([copy, int(_digest(images.digests[i], "draws")[:12], 16)])
        return change.change(image, draws) if draws.random() < change.p else image

    names = tuple(f"{images.names[i]}#{copy}" for i, copy in rows)
    copied = ImageSet(
        images.name,
        names,
        tuple(images.groups[i] for i, _ in rows),
        tuple(images.splits[i] for i, _ in rows),
        tuple(_digest(images.digests[i], f"{name} {copy}") for i, copy in rows),
        load,
    )
    labels = {own: tiles.labels[images.names[i]] for own, (i, _) in zip(names, rows, strict=True)}
    return replace(
        tiles, slug=f"{tiles.slug}-{name}", images=copied, labels=labels, units=tuple(tiles.units[i] for i, _ in rows)
    )


def _scanner(run: Run, slug: str, each: int, px: int, slides: int, centre: int, seed: int) -> Tiles:
    kept = run.out / "synthetic" / f"{slug}-{px}-{each}.npz"
    stored = read_arrays(kept)
    if stored is None:
        run.say(f"making synthetic glands: {slug}")
        stored = write_arrays(kept, _drawn(each, px, slides, CENTRES[centre], seed))
    groups = [str(one) for one in stored["slides"]]
    images = from_arrays(slug, list(stored["images"]), groups)
    labels = {name: str(label) for name, label in zip(images.names, stored["labels"], strict=True)}
    images = divided(images, labels, SPLIT_SEED)
    return Tiles(slug, slug, "synthetic", MARK, images, labels, GLANDS, tuple(groups))


def _drawn(each: int, px: int, slides: int, staining: Staining, seed: int) -> dict[str, np.ndarray]:
    """Images of both classes, dealt out to invented slides that stain a little differently."""
    images, labels, names = [], [], []
    for c, label in enumerate(GLANDS):
        strengths = np.exp(np.random.default_rng([seed, c, 31]).normal(0, SLIDES_DIFFER, (slides, 2))).tolist()
        for i in range(each):
            field = gland_field(label, px=px, seed=seed * 100_000 + i)
            key = (seed * 10 + c) * 100_000 + i
            images.append(staining.image(field.concentrations, gains=strengths[i % slides], noise=1.0, seed=key))
            labels.append(label)
            names.append(f"{label}-{i % slides + 1}")
    return {"images": np.stack(images), "labels": np.array(labels), "slides": np.array(names)}


def _halves() -> dict[str, str]:
    with (GROUPS / "lc25000-colon.csv").open(newline="", encoding="utf-8") as file:
        return {row["file"]: row["half"] for row in csv.DictReader(file)}


def _digest(*told: str) -> str:
    return hashlib.blake2b("\0".join(told).encode(), digest_size=16).hexdigest()
