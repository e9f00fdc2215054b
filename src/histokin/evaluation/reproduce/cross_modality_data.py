"""Sets of the cross-modality page: the user's, the shared cores whole and in tiles, pairs of other modalities."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from histokin.errors import UsageError
from histokin.evaluation.cross_modality.aligning import align
from histokin.evaluation.cross_modality.folds import cross_validation, published_split
from histokin.evaluation.cross_modality.subjects import Subjects, tiles, whole_cores
from histokin.evaluation.reproduce.run import Run
from histokin.training.pairs import PairSet, pairs_from_arrays, read_pairs

Pixels = UInt8[np.ndarray, "_ _ _"]

CORES, TILES, PANELS, SECTIONS, SYNTHETIC = "cores", "tiles of cores", "DeepLIIF panels", "CIMA sections", "synthetic"
BF_SHG = {"he_aligned_derived": "brightfield", "shg": "shg"}
MOVED = "(T)"
"""At the end of a modality's name in the user's table: the transformed copies."""

PUBLISHED_PATCH = 256 / 834
TILE, PANEL_TILE, SECTION_TILE = 256, 128, 256


def subject_sets(run: Run) -> tuple[Subjects, ...]:
    """Every set there is, the user's alone where data is given.

    Raises
    ------
    UsageError
        when the user's data cannot be used.
    """
    if run.data is not None:
        return (given(run.data),)
    if run.quick:
        return (synthetic(run),)
    found = []
    for make in (_cores, _tiles, _panels, _sections):
        subjects = make(run)
        if subjects is not None:
            found.append(subjects)
    return tuple(found) or (synthetic(run),)


def find(run: Run, slug: str) -> Subjects:
    """One of them."""
    return next(subjects for subjects in subject_sets(run) if subjects.slug == slug)


def given(path: Path) -> Subjects:
    """The user's pairs: a table (pair, modality, path[, group, split]) or a folder with one folder per modality.

    Modalities whose names end in ``(T)`` are transformed copies, which then ask in place of drawn transforms. With a
    column ``split`` the test pairs ask and are the repository; without it there are three folds by group.

    Raises
    ------
    UsageError
        when the pairs, or their copies, cannot be used.
    """
    table = path / "manifest.csv" if (path / "manifest.csv").is_file() else path
    names = _modalities(table)
    plain = [name for name in names if not name.endswith(MOVED)]
    if len(plain) != 2:
        raise UsageError(
            f"there are {len(plain)} modalities ({', '.join(plain) or 'none'}) where two are needed",
            remedy="Name two, such as brightfield and shg; their transformed copies end in (T)",
            path=table,
        )
    plain.sort(key=lambda name: (name not in {"brightfield", "rgb"}, name))
    pairs = read_pairs(table, {name: name for name in plain})
    if pairs.failed:
        raise pairs.failed[0]
    copies = None
    moved = [f"{name}{MOVED}" for name in plain]
    if set(moved) & set(names):
        copies = _in_order(pairs, read_pairs(table, dict(zip(moved, plain, strict=True))), table)
    subjects = whole_cores(
        path.stem,
        f"GIVEN: {len(pairs)} pairs" + (" with their transformed copies" if copies else ""),
        pairs,
        kind="given",
        patches=(),
        copies=copies,
    )
    folds = (published_split(pairs.splits),) if any(pairs.splits) else cross_validation(pairs.groups)
    return _with(subjects, folds=folds, patches=(round(subjects.side * PUBLISHED_PATCH),))


def _cores(run: Run) -> Subjects | None:
    folder = run.share("bf-shg")
    if folder is None:
        return None
    return whole_cores(
        CORES,
        "REAL: brightfield (H&E) and second-harmonic images of tissue cores, 512 x 512, the H&E warped onto the SHG",
        read_pairs(folder, BF_SHG),
        patches=(160, 256),
    )


def _tiles(run: Run) -> Subjects | None:
    folder = run.share("bf-shg")
    if folder is None:
        return None
    return tiles(
        TILES,
        "REAL: the same cores, each cut into four tiles of 256 x 256 without overlap: a larger repository",
        read_pairs(folder, BF_SHG),
        TILE,
        patches=(),
    )


def _panels(run: Run) -> Subjects | None:
    folder = run.share("deepliif")
    if folder is None:
        return None
    names, panels = [], []
    for path in sorted(folder.glob("*.png")):
        strip = _rgb(path)
        side = strip.shape[0]
        names.append(path.stem)
        panels.append((strip[:, :side], strip[:, 2 * side : 3 * side]))
    if len(names) < 2:
        return None
    return tiles(
        PANELS,
        f"REAL: registered panels of {len(names)} immunofluorescence strips, brightfield IHC and DAPI, in tiles of "
        f"{PANEL_TILE} px; the test tiles are of the strip that was not learned from",
        pairs_from_arrays(("ihc", "dapi"), names, panels),
        PANEL_TILE,
        folds=len(names),
        patches=(),
    )


def _sections(run: Run) -> Subjects | None:
    folder = run.share("cima-multistain")
    if folder is None:
        return None
    names, sections, agreed = [], [], []
    for path in sorted(folder.glob("*-He-*.jpg")):
        other = next(iter(sorted(folder.glob(f"*-CD31-*-{path.stem.rsplit('-', 1)[1]}.jpg"))), None)
        if other is None:
            continue
        aligned = align(_rgb(path), _rgb(other))
        names.append(path.stem.rsplit("-", 1)[1])
        sections.append((aligned.fixed, aligned.moved))
        agreed.append(f"{aligned.correlation:.2f}")
    if len(names) < 2:
        return None
    return tiles(
        SECTIONS,
        "REAL: consecutive sections of lung lesions, H&E and CD31: not the same tissue but its neighbor, each "
        f"pair laid over each other by one affine transform (correlation of their darkness {' and '.join(agreed)}), in "
        f"tiles of {SECTION_TILE} px; the test tiles are of the lesion that was not learned from",
        pairs_from_arrays(("h&e", "cd31"), names, sections),
        SECTION_TILE,
        folds=len(names),
        patches=(),
    )


def synthetic(run: Run) -> Subjects:
    """A few fields of fibers drawn from a seed: to see that everything works, and nothing about how well."""
    side, count = (144, 4) if run.quick else (256, 6)
    names = [f"field {i}" for i in range(count)]
    pairs = pairs_from_arrays(("brightfield", "shg"), names, [fibers(side, i) for i in range(count)])
    about = "SYNTHETIC: fibers drawn from a seed"
    return whole_cores(
        SYNTHETIC, about, pairs, kind="synthetic", folds=2, patches=(side // 2,), transforms=1 if run.quick else 3
    )


def fibers(side: int, seed: int) -> tuple[Pixels, Pixels]:
    """One pair: pink fibers with blue nuclei, and the same fibers bright on black. "side side 3" and "side side 1"."""
    import cv2

    random = np.random.default_rng([seed, 77])
    field = np.zeros((side, side), np.float32)
    for _ in range(12):
        x, y = random.uniform(0, side, 2)
        angle, length = random.uniform(0, np.pi), random.uniform(0.3, 0.9) * side
        end = (int(x + length * np.cos(angle)), int(y + length * np.sin(angle)))
        cv2.line(field, (int(x), int(y)), end, float(random.uniform(0.5, 1)), int(random.integers(1, 4)))
    field = cv2.GaussianBlur(field, (0, 0), 1.0)
    pink = np.array([235, 215, 230]) - field[..., None] * np.array([20, 110, 60])
    for _ in range(side // 3):
        cv2.circle(pink, tuple(int(v) for v in random.integers(0, side, 2)), 2, (90, 60, 140), -1)
    noise = random.normal(0, 4, (side, side, 1))
    bright = np.clip(pink + noise, 0, 255).astype(np.uint8)
    dark = np.clip(220 * field[..., None] ** 1.5 + np.abs(noise[::-1]), 0, 255).astype(np.uint8)
    return bright, dark


def _modalities(table: Path) -> list[str]:
    import csv

    if table.is_dir():
        return sorted(p.name for p in table.iterdir() if p.is_dir() and not p.name.startswith("."))
    try:
        with table.open(encoding="utf-8-sig", newline="") as stream:
            return list(dict.fromkeys(str(row.get("modality", "")).strip() for row in csv.DictReader(stream)))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(
            "the table of pairs cannot be read", remedy="Its columns: pair, modality, path[, group, split]", path=table
        ) from error


def _in_order(pairs: PairSet, copies: PairSet, table: Path) -> PairSet:
    """The transformed copies in the order of the pairs; every pair that asks needs one."""
    where = {name: i for i, name in enumerate(copies.names)}
    asking = [i for i, split in enumerate(pairs.splits or ("test",) * len(pairs)) if split in ("", "test")]
    lacking = next((pairs.names[i] for i in asking if pairs.names[i] not in where), None)
    if lacking is not None:
        raise UsageError(
            f"the pair {lacking} has no transformed copies", remedy=f"Add them, or leave out all '{MOVED}'", path=table
        )
    return copies.some([where.get(name, 0) for name in pairs.names])


def _with(subjects: Subjects, **changes: object) -> Subjects:
    from dataclasses import replace

    return replace(subjects, **changes)  # type: ignore[arg-type]


def _rgb(path: Path) -> Pixels:
    from histokin.stain.pixels import read_image

    image: np.ndarray = read_image(path)
    return image


def core_lists(subjects: Subjects) -> list[tuple[str, Sequence[str]]]:
    """Each fold's name and the cores that ask in it."""
    return [(fold.name, sorted({subjects.items[i].core for i in fold.test})) for fold in subjects.folds]
