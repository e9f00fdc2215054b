"""Encoders judged where it counts: the archive from one laboratory, the queries from another.

    python benchmarks/encoders_across_laboratories.py --data DIR [NAME or FOLDER ...]

NAME is a registered encoder, FOLDER one with an ``encoder.json``. No stain normalization. Printed, with chance:
precision at 1, precision at 5 and accuracy of the vote of 5

- across laboratories: archive ``crc5`` H and AC; queries LC25000 colon and NCT NORM/TUM;
- leave-one-out on ``crc5``: read it as "was the slide recognized by its color", not as accuracy on tissue;

then the share of queries farther from an archive (every second ``crc5`` image) than 95 % of its own members are
from each other: it should be near 1 for radiology and at most 0.1 for the other half; and images per CPU-second,
one thread, decoding excluded.
"""

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from histokin.encoders.base import Encoder
from histokin.encoders.registry import DEFAULT_ENCODER, ENCODERS, encoder
from histokin.metrics import ranking

PAIRS = {"H": "normal", "colon_n": "normal", "NORM": "normal", "AC": "cancer", "colon_aca": "cancer", "TUM": "cancer"}
ALIKE_PERCENTILE = 95


@dataclass(frozen=True)
class Coded:
    """Vectors of one data set, with the folder of each image."""

    vectors: np.ndarray
    folders: np.ndarray

    def only(self, names: list[str]) -> "Coded":
        keep = np.isin(self.folders, names)
        return Coded(self.vectors[keep], self.folders[keep])

    @property
    def diagnosis(self) -> np.ndarray:
        return np.array([PAIRS[name] for name in self.folders])


def encode(name: str, folder: Path, model: Encoder) -> Coded:
    """All images below ``folder``, in the order of their paths."""
    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in {".jpg", ".jpeg", ".png"})
    if not files:
        raise SystemExit(f"{name}: no images in {folder}")
    rows = []
    for start in range(0, len(files), 64):
        rows.append(model.encode([read(path) for path in files[start : start + 64]]))
    vectors = np.concatenate(rows).astype(np.float64)
    if model.spec.metric == "cosine":
        vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return Coded(vectors, np.array([path.parent.name for path in files]))


def read(path: Path) -> np.ndarray:
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise SystemExit(f"{path}: not an image")
    return np.ascontiguousarray(image[:, :, ::-1])


def distances(queries: np.ndarray, archive: np.ndarray) -> np.ndarray:
    squared = (queries**2).sum(1)[:, None] + (archive**2).sum(1)[None] - 2 * queries @ archive.T
    root: np.ndarray = np.sqrt(np.maximum(squared, 0))
    return root


def scores(table: np.ndarray, archive: np.ndarray, truth: np.ndarray) -> str:
    """P@1 / P@5 / vote@5 of a distance table, ties by index."""
    near = archive[np.argsort(table, axis=1, kind="stable")[:, :5]]
    vote = ranking.majority_vote(near, 5) == truth
    at = [ranking.precision_at_k(near, truth, k).mean() for k in (1, 5)]
    return " / ".join(f"{value:.3f}" for value in (*at, vote.mean()))


def across(sets: dict[str, Coded]) -> dict[str, str]:
    archive = sets["crc5"].only(["H", "AC"])
    out = {}
    for title, name, classes in (
        ("LC25000", "lc25000-colon-768", ["colon_n", "colon_aca"]),
        ("NCT", "nct-crc-val-70", ["NORM", "TUM"]),
    ):
        queries = sets[name].only(classes)
        out[title] = scores(distances(queries.vectors, archive.vectors), archive.diagnosis, queries.diagnosis)
    table = distances(sets["crc5"].vectors, sets["crc5"].vectors)
    np.fill_diagonal(table, np.inf)
    out["crc5 leave-one-out"] = scores(table, sets["crc5"].folders, sets["crc5"].folders)
    return out


def unalike(sets: dict[str, Coded]) -> dict[str, str]:
    """Share of queries beyond the archive's own nearest-neighbour distances."""
    archive = sets["crc5"].vectors[::2]
    own = distances(archive, archive)
    np.fill_diagonal(own, np.inf)
    limit = np.percentile(own.min(axis=1), ALIKE_PERCENTILE)

    def beyond(queries: np.ndarray) -> str:
        return f"{(distances(queries, archive).min(axis=1) > limit).mean():.3f}"

    radiology = np.concatenate([sets["brain-mri"].vectors, sets["medical-mnist"].vectors])
    return {
        "radiology": beyond(radiology),
        "other half": beyond(sets["crc5"].vectors[1::2]),
        "LC": beyond(sets["lc25000-colon-768"].vectors),
        "NCT all": beyond(sets["nct-crc-val-70"].vectors),
    }


def rate(model: Encoder, images: int = 64) -> float:
    """Images of 224 px per CPU-second."""
    draws = np.random.default_rng(0)
    batch = [draws.integers(0, 256, (224, 224, 3), dtype=np.uint8) for _ in range(images)]
    model.encode(batch[:4])
    start = time.process_time()
    model.encode(batch)
    return images / (time.process_time() - start)


def build(name: str) -> Encoder:
    if name not in ENCODERS.names() and Path(name).exists():
        return encoder("onnx", path=name, threads=1)
    return encoder(name) if name == "color-histogram" else encoder(name, threads=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with crc5, lc25000-colon-768, ...")
    parser.add_argument("encoders", nargs="*", default=["color-histogram", DEFAULT_ENCODER])
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    names = ("crc5", "lc25000-colon-768", "nct-crc-val-70", "brain-mri", "medical-mnist")
    rows: list[dict[str, str]] = []
    for name in arguments.encoders:
        model = build(name)
        sets = {each: encode(each, arguments.data / each, model) for each in names}
        rows.append({"encoder": name, **across(sets), **unalike(sets), "images/CPU s": f"{rate(model):.1f}"})
    half, fifth = "0.500 / 0.500 / 0.500", "0.200 / 0.200 / 0.200"
    rows.append({"encoder": "chance", "LC25000": half, "NCT": half, "crc5 leave-one-out": fifth})
    titles = list(rows[0])
    print("| " + " | ".join(titles) + " |\n|" + "---|" * len(titles))
    for row in rows:
        print("| " + " | ".join(row.get(title, "") for title in titles) + " |")


if __name__ == "__main__":
    main()
