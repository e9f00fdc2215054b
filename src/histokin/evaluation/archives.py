"""Archives measured: their vectors are read, nothing that is in one is encoded again."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
from jaxtyping import Int64

from histokin.archive import tables
from histokin.archive.exact import Metric
from histokin.archive.records import PATCHES, Source
from histokin.archive.snapshot import Snapshot
from histokin.archive.store import ABOUT, Store
from histokin.errors import HistokinError, InputError, NotComparable, UsageError
from histokin.evaluation.encoding import BASELINE, encode_pictures
from histokin.evaluation.labelled import LabelledSet, choose
from histokin.evaluation.leakage import Side, side_of
from histokin.evaluation.protocols import plan
from histokin.evaluation.retrieval import Loaded, load
from histokin.evaluation.tabulate import KS, Coded, Measured, Picture, tabulate
from histokin.retrieval.recipe import Prepared
from histokin.retrieval.report import Progress, Silent
from histokin.retrieval.scale import archive_scale, require_same_scale
from histokin.slides.labels import Labels
from histokin.slides.reading import open_slide
from histokin.types import RGB, Vectors


@final
@dataclass(frozen=True, eq=False)
class ArchiveSet:
    """The labelled patches of an archive. ``rows`` are their rows in the snapshot, ``unlabelled`` how many have none.

    ``disk_bytes`` is per patch, of all the archive's files.
    """

    items: LabelledSet
    rows: Int64[np.ndarray, "n"]
    vectors: Vectors
    metric: Metric
    store: Store
    snapshot: Snapshot
    unlabelled: int
    disk_bytes: float

    @property
    def encoder(self) -> str:
        """Name of the encoder it was made with."""
        return str(self.store.recipe["encoder"]["name"])

    @property
    def normalizer(self) -> str:
        """Name of the normalizer it was made with."""
        return str(self.store.recipe["appearance"]["name"])

    @property
    def spaces(self) -> dict[str, str]:
        """What has to be equal for two archives to be compared."""
        recipe = self.store.recipe
        scale = archive_scale(self.snapshot.sources)
        grid = recipe["grid"]
        return {
            "encoder": recipe["encoder"]["space"],
            "normalizer": recipe["appearance"]["space"],
            "representation": _representation(recipe),
            "scale": f"{grid['mpp']} µm per pixel" if scale == "known" else "unknown scale",
            "patch": f"{grid['patch_px']} px",
        }


def _representation(recipe: Mapping[str, Any]) -> str:
    """The space of representations; images that have none are comparable within their modality."""
    made = recipe.get("representation")
    return str(made["space"]) if made else f"{recipe.get('modality', 'brightfield')} images as they are"


def is_archive(path: Path) -> bool:
    """Whether a folder is an archive."""
    return (path / ABOUT).is_file()


def read_archive(
    path: Path, rename: Mapping[str, str] | None = None, only: Sequence[str] = (), table: Labels | None = None
) -> ArchiveSet:
    """The labelled patches of an archive, with the columns of their slides (and of ``table``, which counts more).

    A slide's patches get a column ``slide`` if they have none.

    Raises
    ------
    ArchiveError
        when there is none or it cannot be read.
    UsageError
        when no patch has a label, or the archive holds word counts.
    """
    store = Store.open(path)
    if store.counts:
        raise UsageError(
            "the archive holds word counts, and these measures are of vectors",
            remedy="Index with another encoder than bag-of-words",
            path=path,
        )
    snapshot = store.snapshot()
    if table is not None:
        table.check(Path(source.path) for source in snapshot.sources)
    said = [_said(source, table) for source in snapshot.sources]
    owners = np.asarray(snapshot.source_index)
    labelled = np.array([bool(label) for label, _ in said], bool)
    rows = np.flatnonzero(labelled[owners]) if len(owners) else np.zeros(0, np.int64)
    if not len(rows):
        raise UsageError(
            "no patch of the archive has a label",
            remedy="Give --table with a column label, or index with --labels",
            path=path,
        )
    sources = [snapshot.sources[int(owners[row])] for row in rows]
    everything = LabelledSet(
        path.absolute().name,
        tuple(Path(source.path) for source in sources),
        tuple(said[int(owners[row])][0] for row in rows),
        tuple(said[int(owners[row])][1] for row in rows),
        tuple(_title(source, snapshot, int(row)) for source, row in zip(sources, rows, strict=True)),
    )
    kept = choose(everything, rename, only, path)
    named = [(rename or {}).get(label, label) for label in everything.labels]
    rows = rows[[place for place, label in enumerate(named) if not only or label in only]]
    vectors = np.asarray(snapshot.vectors[rows], np.float32)
    return ArchiveSet(
        kept,
        rows,
        vectors,
        snapshot.metric,
        store,
        snapshot,
        len(owners) - int(labelled[owners].sum()),
        _bytes_under(path) / max(len(owners), 1),
    )


def measure_archives(
    archive: ArchiveSet,
    queries: ArchiveSet | LabelledSet | None,
    *,
    protocol: str | None = None,
    group: str | None = None,
    ks: Sequence[int] = KS,
    broken: list[InputError] | None = None,
    progress: Progress | None = None,
) -> Measured:
    """Score an archive's own vectors; ``queries`` may be another archive, or a set to be encoded by its recipe.

    Raises
    ------
    NotComparable
        when the two archives were not made alike; both sides are named.
    """
    watch = progress or Silent()
    second: ArchiveSet | Loaded | None
    if isinstance(queries, LabelledSet):
        plan(archive.items, queries, protocol, group)
        _require_patches(archive)
        second = load(queries, Prepared.from_dict(archive.store.recipe).grid, broken=broken, progress=watch)
    else:
        second = queries
    asked = archive.items if second is None else second.items
    task = plan(archive.items, None if second is None else asked, protocol, group)
    if isinstance(second, ArchiveSet):
        require_comparable(archive, second)
    vectors, cost = _query_vectors(archive, second, watch)
    looked, why = _looked(archive)
    others, why_not = (
        (None, "") if second is None else (second.side, "") if isinstance(second, Loaded) else _looked(second)
    )
    ours = Coded(
        archive.encoder,
        archive.normalizer,
        archive.vectors[task.archive],
        vectors[task.queries],
        archive.metric,
        cost,
        archive.disk_bytes,
    )
    rows = [ours]
    asked_side = looked if second is None else others
    if looked is not None and asked_side is not None:
        rows.append(
            Coded(BASELINE, "none", looked.colors[task.archive], asked_side.colors[task.queries], "euclidean", None)
        )
    return tabulate(
        (archive.items, looked),
        None if second is None else (second.items, others),
        task,
        rows,
        ks,
        notes=[note for note in (_left_out(archive, second), why or why_not) if note],
        pictures=(_picture(archive), _picture(archive if second is None else second)),
    )


def _require_patches(archive: ArchiveSet) -> None:
    if "modality" in archive.store.recipe:
        raise NotComparable(
            f"the folder's images would be RGB patches, {archive.items.name} holds whole pictures or a representation",
            remedy="Index the folder with the archive's recipe and give that archive",
        )


def require_comparable(one: ArchiveSet, other: ArchiveSet) -> None:
    """Raises :class:`NotComparable` when two archives were made by recipes whose vectors must not be compared."""
    here, there = one.spaces, other.spaces
    for what, value in here.items():
        if there[what] != value:
            raise NotComparable(
                f"{one.items.name} was made with {what} {value}, {other.items.name} with {there[what]}",
                remedy="Index one of them again with the recipe of the other (see histokin info)",
            )


def _query_vectors(
    archive: ArchiveSet, second: ArchiveSet | Loaded | None, progress: Progress
) -> tuple[Vectors, float | None]:
    """Vectors of who asks, and the CPU seconds per 1000 where they had to be made."""
    if second is None:
        return archive.vectors, None
    if isinstance(second, ArchiveSet):
        return second.vectors, None
    prepared = Prepared.from_dict(archive.store.recipe)
    require_same_scale(archive_scale(archive.snapshot.sources), "unknown", prepared.grid, second.items.paths[0])
    progress.begin(f"encoding {second.items.name}", len(second.items))
    made = encode_pictures(
        second.pictures, second.items.name, prepared.appearance, [prepared.encoder], progress=progress
    )[0]
    reading = second.pictures.seconds / max(second.pictures.decoded, 1)
    return made.vectors, 1000 * (made.seconds + reading)


def _looked(archive: ArchiveSet) -> tuple[Side | None, str]:
    """What the checks need, from the stored crops or the slides; or why there is no such thing."""
    try:
        pictures = _crops(archive) if archive.store.recipe["crops"] else _from_files(archive)
        return side_of(archive.items.names, archive.items.labels, pictures, archive.items.columns or None), ""
    except HistokinError as error:
        return None, f"No color histogram and no look for copies: {error}."


def _crops(archive: ArchiveSet) -> Iterator[tuple[int, RGB]]:
    """The stored crops of the set's patches, in the order of the table."""
    first = {key: int(start) for key, start in zip(archive.snapshot.keys, archive.snapshot.starts, strict=False)}
    place_of = {int(row): place for place, row in enumerate(archive.rows)}
    path = archive.store.path / PATCHES
    with tables.reading(path):
        table = tables.open_table(path)
        for batch in table.scanner(columns=["key", "place", "crop"], batch_size=1024).to_batches():
            for key, place, crop in zip(*(batch[name].to_pylist() for name in ("key", "place", "crop")), strict=True):
                start = first.get(key)
                if start is not None and crop and start + place in place_of:
                    yield place_of[start + place], _decoded(crop)


def _from_files(archive: ArchiveSet) -> Iterator[tuple[int, RGB]]:
    """The patches read from their slides and images again: one slide open at a time."""
    px = int(archive.store.recipe["grid"]["patch_px"])
    owners = np.asarray(archive.snapshot.source_index)[archive.rows]
    for owner in np.unique(owners).tolist():
        source = archive.snapshot.sources[owner]
        with open_slide(Path(source.path), mpp=source.mpp) as slide:
            for place in np.flatnonzero(owners == owner).tolist():
                yield place, slide.read(archive.snapshot.region(int(archive.rows[place])), px, px)


def _picture(one: ArchiveSet | Loaded) -> Picture:
    if isinstance(one, Loaded):
        return one.pictures.__getitem__

    def stored(place: int) -> RGB:
        crop = one.store.crops(one.rows[[place]], one.snapshot)[0]
        if crop is None:
            raise UsageError("the archive keeps no pictures", remedy="Index without --no-crops", path=one.store.path)
        return _decoded(crop)

    return stored


def _decoded(crop: bytes) -> RGB:
    import cv2

    image: Any = cv2.imdecode(np.frombuffer(crop, np.uint8), cv2.IMREAD_COLOR)
    return np.ascontiguousarray(image[..., ::-1])


def _said(source: Source, table: Labels | None) -> tuple[str, dict[str, str]]:
    row = dict((table.for_path(Path(source.path)) if table else None) or {})
    label = row.pop("label", "") or source.label or ""
    columns = {**source.columns, **{name: value for name, value in row.items() if value}}
    if source.kind == "slide":
        columns.setdefault("slide", source.path)
    return label, columns


def _title(source: Source, snapshot: Snapshot, row: int) -> str:
    if source.kind != "slide":
        return source.path
    region = snapshot.region(row)
    return f"{source.path}@{region.x},{region.y}"


def _left_out(archive: ArchiveSet, second: object) -> str:
    sides = [archive, *([second] if isinstance(second, ArchiveSet) else [])]
    told = [
        f"{side.unlabelled} patches of {side.items.name} have no label and are left out."
        for side in sides
        if side.unlabelled
    ]
    return " ".join(told)


def _bytes_under(path: Path) -> int:
    total = 0
    for file in path.rglob("*"):
        with suppress(FileNotFoundError):  # a writer may be joining files meanwhile
            total += file.stat().st_size if file.is_file() else 0
    return total
