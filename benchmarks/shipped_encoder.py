"""Judges encoders across laboratories: every ordered pair of three colon sources, gains with their intervals.

    python -m benchmarks.shipped_encoder [--data DIR] [BASE] [NAME or FOLDER ...]

The first is what the others are compared with (default: efficientnet-lite0-b14, then the default encoder). NAME is a
registered encoder, FOLDER one with an ``encoder.json``; either may be followed by ``+NORMALIZER``, whose stain is
fitted once per source, labels unseen. Printed as Markdown:

1. precision at 1 and 5 for all six directions between ``crc5`` H/AC, LC25000 colon and NCT NORM/TUM; a color histogram
   and chance stand beside them;
2. the gain over the first: mean of the six directions (each weighs the same) and all queries pooled, with 95 %
   intervals of the paired bootstrap over groups of queries (a group that is drawn is drawn in both its directions);
   and the same for the queries that the histogram answers worst and best;
3. where nothing may be lost: lung and oral mucosa, each in the half that trained and chose nothing, and five classes of
   ``crc5``; hits of the query's own group do not count;
4. images per CPU-second.

Groups: ``benchmarks/groups``, made by ``crc5_groups.py`` and ``shipped_groups.py``.
"""

import argparse
import csv
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from benchmarks.crc5_groups import DATA, read

from histokin.encoders.base import Encoder
from histokin.encoders.registry import DEFAULT_ENCODER, ENCODERS, encoder
from histokin.metrics.ranking import paired_interval, precision_at_k
from histokin.metrics.resampling import DRAWS, Interval, clusters, resamples
from histokin.retrieval.recipe import Recipe
from histokin.stain.registry import NORMALIZERS

BASE, HISTOGRAM = "efficientnet-lite0-b14", "color-histogram"
GROUPS = Path(__file__).parent / "groups"
COLON = {
    "crc5": {"H": "normal", "AC": "cancer"},
    "LC25000": {"colon_n": "normal", "colon_aca": "cancer"},
    "NCT": {"NORM": "normal", "TUM": "cancer"},
}
FOLDERS = {"crc5": "crc5", "LC25000": "lc25000-colon-768", "NCT": "nct-crc-val-70"}
PAIRS = [(archive, queries) for archive in COLON for queries in COLON if archive != queries]
BLOCK = 64


@dataclass(frozen=True)
class Tiles:
    """Files of one source with the label and group of each."""

    paths: list[Path]
    labels: np.ndarray
    groups: np.ndarray


def colon(data: Path, source: str) -> Tiles:
    """The tiles of a laboratory that are normal or cancer."""
    names = {"crc5": "crc5.csv", "LC25000": "lc25000-colon.csv"}
    paths = sorted(path for name in COLON[source] for path in (data / FOLDERS[source] / name).iterdir())
    known = _rows(names[source]) if source in names else {}
    groups = [known[_name(path)]["group"] if known else path.name for path in paths]
    return Tiles(paths, np.array([COLON[source][path.parent.name] for path in paths]), np.array(groups))


def apart(data: Path, folder: str, table: str, half: str | None) -> Tiles:
    """The tiles that a table of groups names, of one half or all."""
    rows = {name: row for name, row in _rows(table).items() if half is None or row["half"] == half}
    labels = np.array([name.split("/")[0] for name in rows])
    return Tiles([data / folder / name for name in rows], labels, np.array([row["group"] for row in rows.values()]))


@dataclass(frozen=True)
class Way:
    """An encoder on images in their own colors, or normalized."""

    encoder: Encoder
    normalizer: str = "none"


def vectors(way: Way, tiles: Tiles) -> np.ndarray:
    """One row per tile, at unit length where the encoder's metric is the cosine."""
    model = way.encoder
    appearance = Recipe(encoder=HISTOGRAM, normalizer=way.normalizer).prepare().appearance
    mapped = appearance.fit([read(path) for path in tiles.paths[:: max(1, len(tiles.paths) // BLOCK)]])
    blocks = [tiles.paths[start : start + BLOCK] for start in range(0, len(tiles.paths), BLOCK)]
    made = [model.encode([mapped(read(path)) for path in block]) for block in blocks]
    rows = np.concatenate(made).astype(np.float64)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True).clip(1e-12) if model.spec.metric == "cosine" else rows


def precisions(queries: np.ndarray, asked: Tiles, archive: np.ndarray, held: Tiles) -> np.ndarray:
    """Precision at 1 and at 5 of every query, "q 2"; within one source hits of the query's own group are left out."""
    table = (queries**2).sum(1)[:, None] + (archive**2).sum(1)[None] - 2 * queries @ archive.T
    if asked is held:
        table[asked.groups[:, None] == held.groups[None]] = np.inf
    near = held.labels[np.argsort(table, axis=1, kind="stable")[:, :5]]
    return np.stack([precision_at_k(near, asked.labels, k) for k in (1, 5)], axis=1)


def mean_of_directions(gains: dict[tuple[str, str], np.ndarray], tiles: dict[str, Tiles], draws: int) -> Interval:
    """Mean over the directions of each one's mean gain; the groups of every laboratory are drawn once per draw."""
    total, value = np.zeros(draws), 0.0
    for seed, source in enumerate(COLON):
        asked = [gain for (_, queries), gain in gains.items() if queries == source]
        both = np.mean(asked, axis=0)
        place, sets = clusters(len(both), tiles[source].groups)
        sums, sizes = np.bincount(place, both, sets), np.bincount(place, minlength=sets).astype(np.float64)
        weights = np.concatenate(list(resamples(sets, seed, draws)))
        total += len(asked) / len(gains) * (weights @ sums) / (weights @ sizes)
        value += len(asked) / len(gains) * float(both.mean())
    low, high = np.quantile(total, [0.025, 0.975])
    return Interval(value, float(low), float(high))


def pooled(ours: list[np.ndarray], theirs: list[np.ndarray], groups: list[np.ndarray], draws: int) -> Interval:
    """The gain over all queries of all directions, each query with the same weight."""
    if not sum(map(len, ours)):
        return Interval(float("nan"), float("nan"), float("nan"))
    return paired_interval(np.concatenate(ours), np.concatenate(theirs), np.concatenate(groups), n=draws)


def judged(
    scores: dict[str, dict[tuple[str, str], np.ndarray]], tiles: dict[str, Tiles], base: str, draws: int
) -> None:
    """Print the tables of the six directions and of the gains."""
    print("| P@1 / P@5 | " + " | ".join(f"{a} ← {q}" for a, q in PAIRS) + " | mean |\n|" + "---|" * 8)
    for name, found in scores.items():
        means = [found[pair].mean(axis=0) for pair in PAIRS]
        cells = [f"{one:.3f} / {five:.3f}" for one, five in [*means, np.mean(means, axis=0)]]
        print(f"| `{name}` | " + " | ".join(cells) + " |")
    print("| chance |" + " 0.500 / 0.500 |" * 7)
    print(f"\n| gain over `{base}` | P@1, mean of six | P@5, mean of six | P@1, pooled | P@5, pooled |", end="")
    print(" P@5, histogram wrong | P@5, histogram right |\n|" + "---|" * 7)
    worst = [scores[HISTOGRAM][pair][:, 1] < 0.5 for pair in PAIRS]
    groups = [np.char.add(f"{query} ", tiles[query].groups.astype(str)) for _, query in PAIRS]
    for name, found in scores.items():
        if name == base:
            continue
        cells = [
            _signed(mean_of_directions({p: (found[p] - scores[base][p])[:, k] for p in PAIRS}, tiles, draws))
            for k in (0, 1)
        ]
        ours, theirs = ([each[pair] for pair in PAIRS] for each in (found, scores[base]))
        every = [np.ones(len(kept), bool) for kept in worst]
        for k, picked in ((0, every), (1, every), (1, worst), (1, [~kept for kept in worst])):
            chosen = [[side[kept, k] for side, kept in zip(sides, picked, strict=True)] for sides in (ours, theirs)]
            inside = [names[kept] for names, kept in zip(groups, picked, strict=True)]
            cells.append(_signed(pooled(chosen[0], chosen[1], inside, draws)))
        print(f"| `{name}` | " + " | ".join(cells) + " |")


def nothing_lost(models: dict[str, Way], base: str, data: Path, draws: int) -> None:
    """Print the table of the sets within one laboratory."""
    sets = {
        "lung, half B": apart(data, "lc25000-lung-224", "lc25000-lung.csv", "B"),
        "oral mucosa, half B": apart(data, "oral2", "oral2.csv", "B"),
        "`crc5`, five classes": apart(data, "crc5", "crc5.csv", None),
    }
    print("\n| P@1 / P@5, groups apart (gain in P@5) | " + " | ".join(sets) + " |\n|" + "---|" * (len(sets) + 1))
    found = {
        name: {title: precisions(rows, each, rows, each) for title, each in sets.items() for rows in [vectors(m, each)]}
        for name, m in models.items()
    }
    for name, by_set in found.items():
        cells = []
        for title, each in by_set.items():
            one, five = each.mean(axis=0)
            gain = paired_interval(each[:, 1], found[base][title][:, 1], sets[title].groups, n=draws)
            cells.append(f"{one:.3f} / {five:.3f}" + ("" if name == base else f" ({_signed(gain)})"))
        print(f"| `{name}` | " + " | ".join(cells) + " |")


def costs(models: dict[str, Way]) -> None:
    """Print images of 224 px per CPU-second, one thread, decoding and normalizing left out; and what a vector holds."""
    draws = np.random.default_rng(0)
    batch = [draws.integers(0, 256, (224, 224, 3), dtype=np.uint8) for _ in range(BLOCK)]
    print("\n| | images per CPU-second | numbers per image |\n|---|---|---|")
    for name, way in models.items():
        model = way.encoder
        model.encode(batch[:4])
        start = time.process_time()
        model.encode(batch)
        rate = BLOCK / (time.process_time() - start)
        print(f"| `{name}` | {rate:.0f} | {model.spec.dim} |")


def build(name: str) -> Way:
    """A registered encoder by its name, else the one in a folder; on one core. ``+NORMALIZER`` may follow."""
    head, plus, tail = name.rpartition("+")
    encoder_name, normalizer = (head, tail) if plus and tail in NORMALIZERS.names() else (name, "none")
    if encoder_name == HISTOGRAM:
        return Way(encoder(HISTOGRAM), normalizer)
    if encoder_name in ENCODERS.names():
        return Way(encoder(encoder_name, threads=1), normalizer)
    return Way(encoder("onnx", path=encoder_name, threads=1), normalizer)


def main() -> None:
    """Command line of the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("encoders", nargs="*", default=None)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--draws", type=int, default=5 * DRAWS)
    asked = parser.parse_args()
    cv2.setNumThreads(1)
    names = asked.encoders or list(dict.fromkeys([BASE, DEFAULT_ENCODER]))
    models = {Path(name).name: build(name) for name in names}
    base = next(iter(models))
    models.setdefault(HISTOGRAM, build(HISTOGRAM))
    tiles = {source: colon(asked.data, source) for source in COLON}
    scores = {}
    for name, model in models.items():
        rows = {source: vectors(model, each) for source, each in tiles.items()}
        scores[name] = {(a, q): precisions(rows[q], tiles[q], rows[a], tiles[a]) for a, q in PAIRS}
    judged(scores, tiles, base, asked.draws)
    nothing_lost(models, base, asked.data, asked.draws)
    costs(models)


def _rows(table: str) -> dict[str, dict[str, str]]:
    with (GROUPS / table).open(newline="", encoding="utf-8") as file:
        return {row["file"]: row for row in csv.DictReader(file)}


def _name(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def _signed(interval: Interval) -> str:
    return f"{interval.value:+.3f} [{interval.low:+.3f}, {interval.high:+.3f}]"


if __name__ == "__main__":
    main()
