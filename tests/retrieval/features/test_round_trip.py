"""From an archive to a feature file to an archive: the same vectors, the same neighbors, in bounded memory."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from histokin.archive.exact import search
from histokin.archive.store import Store
from histokin.errors import ArchiveMissing, UnknownName, UsageError
from histokin.retrieval.archive import Archive
from histokin.retrieval.features.exporting import export_features
from histokin.retrieval.features.importing import Wanted, import_features
from histokin.retrieval.features.naming import Named
from histokin.retrieval.queries import RegionQuery, SlideQuery
from histokin.types import Region

MakeArchive = Callable[..., Path]
FORMATS = ("json", "npz", "hdf5", "trident", "clam")
NET = Wanted(named=Named("net", "net/0123456789ab/fp32"))


def there_and_back(archive: Path, form: str, folder: Path) -> Path:
    out = folder / (f"features.{form}" if form in ("json", "npz") else form)
    export_features(archive, out, format=form)
    report = import_features([out], folder / f"back-{form}", NET if form == "json" else None)
    assert not report.failed
    assert not report.changed
    return folder / f"back-{form}"


def by_path(archive: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    snapshot = Store.open(archive).snapshot()
    rows = [snapshot.rows_of(place) for place in range(len(snapshot.sources))]
    return {s.path: (snapshot.vectors[r], snapshot.boxes[r]) for s, r in zip(snapshot.sources, rows, strict=True)}


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("slides", [False, True])
def test_the_same_neighbors(form: str, slides: bool, make_archive: MakeArchive, tmp_path: Path) -> None:
    archive = make_archive(slides=slides, count=6, patches=7 if slides else 1, dim=9)
    back = there_and_back(archive, form, tmp_path)
    first, second = by_path(archive), by_path(back)
    assert set(first) == set(second)
    for path, (vectors, boxes) in first.items():
        assert np.asarray(vectors).tobytes() == np.asarray(second[path][0]).tobytes()
        if slides or form != "json":
            assert boxes.tolist() == second[path][1].tolist()
    for path in first:
        before = Archive.open(archive).search(SlideQuery(Path(path)), k=3)
        after = Archive.open(back).search(SlideQuery(Path(path)), k=3)
        assert [(hit.slide, hit.distance, hit.label) for hit in before.hits] == [
            (hit.slide, hit.distance, hit.label) for hit in after.hits
        ]
    info, again = Archive.open(archive).info(), Archive.open(back).info()
    for key in ("slides", "images", "patches", "labels", "scale"):
        assert info[key] == again[key], key
    assert again["recipe"]["encoder"]["space"] == "net/0123456789ab/fp32"


@pytest.mark.parametrize("form", ["npz", "hdf5"])
def test_all_that_the_archive_knows_comes_back(form: str, make_archive: MakeArchive, tmp_path: Path) -> None:
    archive = make_archive(slides=True, count=2, patches=3, metric="cosine")
    back = Store.open(there_and_back(archive, form, tmp_path))
    assert back.sources() == Store.open(archive).sources()
    assert back.recipe == Store.open(archive).recipe
    assert back.metric == "cosine"


def test_patches_that_are_no_squares_come_back(make_archive: MakeArchive, tmp_path: Path) -> None:
    """Whole images of any shape, in HDF5 that knows squares only."""
    archive = make_archive(count=3)
    store = Store.open(archive)
    from histokin.archive.records import PatchBatch

    wide = np.array([[0, 0, 900, 700]], np.int32)
    batch = PatchBatch(np.zeros(1, np.int32), wide, np.ones(1, np.float32), [""], np.ones((1, 48), np.float32), None)
    store.commit([store.sources()[1]], [batch])
    back = by_path(there_and_back(archive, "trident", tmp_path))
    assert back["/pictures/b/1.png"][1].tolist() == wide.tolist()


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    vectors=arrays.arrays(
        np.float32,
        st.tuples(st.integers(1, 6), st.integers(1, 5)),
        elements=st.floats(-(2.0**59), 2.0**59, width=32),
    ),
    form=st.sampled_from(FORMATS),
)
def test_any_vectors_come_back_bit_by_bit(
    vectors: np.ndarray, form: str, make_archive: MakeArchive, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("bits")
    archive = make_archive(str(folder / "archive"), count=len(vectors), dim=vectors.shape[1], vectors=vectors)
    first, second = by_path(archive), by_path(there_and_back(archive, form, folder))
    assert {p: v.tobytes() for p, (v, _) in first.items()} == {p: v.tobytes() for p, (v, _) in second.items()}


def test_only_what_the_condition_leaves(make_archive: MakeArchive, tmp_path: Path) -> None:
    archive = make_archive()
    report = export_features(archive, tmp_path / "a.npz", where="label = 'a'")
    assert (report.slides, report.patches) == (6, 6)
    with np.load(tmp_path / "a.npz") as found:
        assert set(found["labels"].tolist()) == {"a"}
    assert export_features(archive, tmp_path / "b.json", where={"label": "b"}).slides == 6
    with pytest.raises(UsageError, match="leaves nothing to export"):
        export_features(archive, tmp_path / "c.json", where="label = 'c'")
    with pytest.raises(UsageError, match="no column 'grade'"):
        export_features(archive, tmp_path / "c.json", where="grade = 1")
    assert not (tmp_path / "c.json").exists()


def test_wrong_places_and_formats_are_refused(make_archive: MakeArchive, tmp_path: Path) -> None:
    archive = make_archive()
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="is a folder, and json needs a file"):
        export_features(archive, tmp_path / "folder.json", format="json")
    with pytest.raises(UsageError, match="is a file, and clam needs a folder"):
        export_features(archive, tmp_path / "file", format="clam")
    with pytest.raises(UsageError, match=r"nothing says which format out\.csv has"):
        export_features(archive, tmp_path / "out.csv")
    with pytest.raises(UsageError, match="cannot be written"):
        export_features(archive, tmp_path / "file" / "out.json")
    with pytest.raises(UnknownName, match="no feature-format is called 'csv'"):
        export_features(archive, tmp_path / "out.json", format="csv")
    with pytest.raises(ArchiveMissing):
        export_features(tmp_path / "nowhere", tmp_path / "out.json")


def test_an_empty_archive_has_nothing_to_export(make_archive: MakeArchive, tmp_path: Path) -> None:
    archive = make_archive(count=1)
    store = Store.open(archive)
    store.remove([source.id for source in store.sources()])
    with pytest.raises(UsageError, match="the archive is empty"):
        export_features(archive, tmp_path / "out.json")


def test_a_region_of_a_slide_that_is_not_here_is_searched_for_by_its_vectors(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    back = Archive.open(there_and_back(make_archive(slides=True, count=3, patches=9), "trident", tmp_path))
    query = RegionQuery(Path("S1.svs"), Region(220, 220, 20, 30))
    answer = back.search(query, k=5, exclude="slide")
    assert [patch.x for patch in answer.query.patches] == [0, 5, 10, 15]
    assert all(hit.slide != "/pictures/S1.svs" for hit in answer.hits)
    assert "by the vectors in the archive" in answer.warnings[0]
    snapshot = back.store.snapshot()
    rows = np.arange(27) // 9 != 1
    direct = search(
        snapshot.vectors, snapshot.norms, np.array(snapshot.vectors[9:12]), 1, metric="euclidean", rows=rows
    )
    assert answer.hits[0].distance == pytest.approx(direct.distances.min())
    with pytest.raises(UsageError, match="no patch of the archive lies in the region"):
        back.search(RegionQuery(Path("S1.svs"), Region(800, 600, 5, 5)))


def test_a_real_slide_leaves_and_comes_back(shared_data: Path, tmp_path: Path) -> None:
    """The shipped encoder's vectors of a slide: a region finds the same places at the same distances."""
    slide = shared_data / "wsi" / "CMU-1-Small-Region.svs"
    archive = Archive.create(tmp_path / "archive")
    assert archive.index(slide).patches == 38
    query = RegionQuery(slide, Region(900, 900, 448, 448))
    wanted = [(hit.slide, hit.region, hit.distance) for hit in archive.search(query, k=4).hits]
    said = Wanted(named=Named("efficientnet-lite0-b14"))
    for form in ("json", "npz", "clam"):
        out = tmp_path / (form if form == "clam" else f"f.{form}")
        export_features(tmp_path / "archive", out, format=form)
        report = import_features([out], tmp_path / f"back-{form}", said)
        assert (report.patches, report.failed, report.warnings) == (38, [], [])
        back = Archive.open(tmp_path / f"back-{form}")
        assert [(hit.slide, hit.region, hit.distance) for hit in back.search(query, k=4).hits] == wanted
        assert back.info()["missing_files"] == []


MEASURE = """
import sys, tracemalloc
from pathlib import Path
from unittest.mock import Mock
from histokin.archive.store import Store
from histokin.retrieval.archive import Archive
from histokin.retrieval.features.exporting import export_features
from histokin.retrieval.features.importing import Wanted, import_features
from histokin.retrieval.features.naming import Named

archive, out, back, form = (*map(Path, sys.argv[1:4]), sys.argv[4])
Archive.searcher = Mock()  # what searching takes is another matter
Store.open(archive).snapshot()
tracemalloc.start()
left = export_features(archive, out, format=form).patches
leaving = tracemalloc.get_traced_memory()[1]
tracemalloc.reset_peak()
named = Named("net", "net/0123456789ab/fp32") if form == "json" else Named()
came = import_features([out], back, Wanted(named=named)).patches
print(left, leaving, came, tracemalloc.get_traced_memory()[1])
"""


@pytest.mark.parametrize(("form", "dim", "most"), [("json", 16, 7e6), ("npz", 512, 22e6), ("trident", 512, 22e6)])
def test_twenty_thousand_rows_in_bounded_memory(
    form: str, dim: int, most: float, make_archive: MakeArchive, tmp_path: Path
) -> None:
    """41 MB of vectors leave and come back in half of that, JSON of 9 MB in less than its size.

    In a process of its own, without the checks of types, which take memory and ten times as long.
    """
    vectors = np.random.default_rng(0).normal(size=(20_000, dim)).astype(np.float32)
    archive = make_archive(slides=True, count=4, patches=5000, dim=dim, vectors=vectors)
    out = tmp_path / (f"out.{form}" if form in ("json", "npz") else "out")
    command = [sys.executable, "-c", MEASURE, str(archive), str(out), str(tmp_path / "back"), form]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    left, leaving, came, coming = map(int, answer.stdout.split())
    assert (left, came) == (20_000, 20_000)
    assert leaving < most
    assert coming < most
