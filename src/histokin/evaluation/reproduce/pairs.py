"""Sets of aligned pairs: synthetic, the user's own, and the one real pair of the shared data."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, final

from histokin.errors import UsageError
from histokin.evaluation.reproduce.records import Record, read_manifest
from histokin.evaluation.reproduce.run import Run
from histokin.evaluation.synthetic.scanners import ScannerMap, two_scanners

Kind = Literal["synthetic", "real", "given"]

SOURCE, TARGET, OTHER = "O", "T", "P"
"""Scanners as a manifest names them: from O to T; P, where there is one, is a third that shows the same tissue."""

CHECKPOINT = "aligned_cytopathology_dataset__StainNet-3x0_best_psnr_layer3_ch32.pth"
"""Weights that the authors published, trained on the pairs of which one is published."""


@final
@dataclass(frozen=True)
class Pair:
    """One field on both scanners, and on a third where the set has one."""

    source: Path
    target: Path
    label: str = ""
    other: Path | None = None


@final
@dataclass(frozen=True)
class PairSet:
    """Aligned pairs, and what they are. ``color_map`` is the truth where it is known."""

    name: str
    kind: Kind
    about: str
    train: tuple[Pair, ...]
    test: tuple[Pair, ...]
    color_map: ScannerMap | None = None
    checkpoint: Path | None = None


def synthetic_pairs(run: Run) -> PairSet:
    """Two invented scanners; written to ``out/synthetic/two-scanners``."""
    run.say("making synthetic two-scanner pairs")
    train, test = (4, 2) if run.quick else (48, 16)
    made = two_scanners(train, test, px=run.side, seed=1)
    records = read_manifest(made.write(run.out / "synthetic" / "two-scanners"))
    pairs = {split: _pairs([r for r in records if r.split == split]) for split in ("train", "test")}
    return PairSet(
        "synthetic two scanners",
        "synthetic",
        "SYNTHETIC: invented H&E-like tissue on two invented scanners; the color map between them is known exactly",
        pairs["train"],
        pairs["test"],
        made.color_map,
    )


def given_pairs(run: Run) -> tuple[PairSet, ...]:
    """The user's sets that have pairs.

    Raises
    ------
    UsageError
        when a pair lacks its source (scanner O) or its target (scanner T).
    """
    records = [record for record in run.given() if record.pair]
    sets = []
    for name in dict.fromkeys(record.set for record in records):
        own = [record for record in records if record.set == name]
        train = _pairs([record for record in own if record.split == "train"])
        test = _pairs([record for record in own if record.split != "train"])
        sets.append(PairSet(name, "given", f"GIVEN with --data: {len(train)} + {len(test)} pairs", train, test))
    return tuple(sets)


def real_pair(run: Run) -> PairSet | None:
    """The published sample pair of the StainNet authors (cytology, 512 x 512), with their checkpoint."""
    folder = run.share("stain-reference", "stainnet-cyto")
    if folder is None:
        return None
    checkpoint = run.share(
        "weights", "stainnet", "aligned_cytopathology_dataset__StainNet-3x0_best_psnr_layer3_ch32.pth"
    )
    about = "REAL: the one aligned cytology pair (512 x 512) that the authors published"
    pair = Pair(folder / "ori.png", folder / "target.png")
    return PairSet("published cytology pair", "real", about, (), (pair,), checkpoint=checkpoint)


def _pairs(records: Sequence[Record]) -> tuple[Pair, ...]:
    by_pair: dict[str, dict[str, Record]] = {}
    for record in records:
        by_pair.setdefault(record.pair, {})[record.centre] = record
    pairs = []
    for name, sides in by_pair.items():
        if SOURCE not in sides or TARGET not in sides:
            raise UsageError(
                f"pair '{name}' is not complete",
                remedy=f"Every pair needs a row with centre {SOURCE} (source) and one with centre {TARGET} (target)",
            )
        other = sides[OTHER].path if OTHER in sides else None
        pairs.append(Pair(sides[SOURCE].path, sides[TARGET].path, sides[SOURCE].label, other))
    return tuple(pairs)
