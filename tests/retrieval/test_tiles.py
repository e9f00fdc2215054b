"""Archives of loose images: index, resume, search, refuse."""

import shutil
from pathlib import Path

import numpy as np
import pytest

import histokin
from histokin.errors import ArchiveExists, ArchiveMissing, MissingScale, NotComparable, UnknownName, UsageError
from histokin.retrieval.archive import Archive
from histokin.retrieval.queries import PatchQuery
from histokin.retrieval.recipe import Recipe
from histokin.slides.reading import open_slide
from histokin.types import RGB, Region

PLAIN = Recipe(normalizer="none", encoder="color-histogram")


def read(path: Path) -> RGB:
    with open_slide(path) as slide:
        return slide.read(Region(0, 0, slide.width, slide.height), slide.width, slide.height)


@pytest.fixture(scope="module")
def archive(tile_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Archive:
    made = Archive.create(
        tmp_path_factory.mktemp("a") / "archive", Recipe(normalizer="macenko", encoder="color-histogram")
    )
    report = made.index(tile_set)
    assert (report.slides, report.patches, report.failed) == (24, 24, [])
    return made


def test_folder_name_is_the_label(archive: Archive) -> None:
    assert archive.info()["labels"] == {"coarse": 12, "fine": 12}
    assert archive.info()["scale"] == "unknown"


def test_a_tile_of_the_archive_does_not_find_itself(archive: Archive, tile_set: Path) -> None:
    path = tile_set / "fine" / "fine_03.png"
    answer = archive.search(path, k=24)
    assert str(path) not in [hit.slide for hit in answer.hits]
    assert len(answer.hits) == 23
    assert answer.query.label == "fine"


def test_it_does_when_nothing_is_excluded_and_at_no_distance(archive: Archive, tile_set: Path) -> None:
    path = tile_set / "fine" / "fine_03.png"
    answer = archive.search(path, k=1, exclude="none")
    assert answer.hits[0].slide == str(path)
    assert answer.hits[0].distance <= 1e-5


def test_ranks_and_distances_ascend(archive: Archive, tile_set: Path) -> None:
    hits = archive.search(tile_set / "coarse" / "coarse_00.png", k=10).hits
    assert [hit.rank for hit in hits] == list(range(1, 11))
    distances = [hit.distance for hit in hits]
    assert distances == sorted(distances)


def test_where_filters_before_the_search(archive: Archive, tile_set: Path) -> None:
    query = tile_set / "coarse" / "coarse_00.png"
    for where in ("label = 'fine'", {"label": "fine"}):
        hits = archive.search(query, k=24, where=where).hits
        assert len(hits) == 12
        assert {hit.label for hit in hits} == {"fine"}


def test_unknown_column_names_the_choices(archive: Archive, tile_set: Path) -> None:
    with pytest.raises(UsageError, match="organ"):
        archive.search(tile_set / "fine" / "fine_00.png", where="organ = 'colon'")


def test_array_and_file_give_the_same_distances(tile_set: Path, tmp_path: Path) -> None:
    made = Archive.create(tmp_path / "archive", PLAIN)
    made.index(tile_set)
    path = tile_set / "fine" / "fine_05.png"
    by_file = made.search(path, k=3, exclude="none")
    by_array = made.search(read(path), k=3)
    assert [h.distance for h in by_array.hits] == pytest.approx([h.distance for h in by_file.hits], abs=1e-6)


def test_indexing_again_changes_nothing(archive: Archive, tile_set: Path) -> None:
    before = archive.store.version
    report = archive.index(tile_set)
    assert (report.slides, report.unchanged) == (0, 24)
    assert archive.store.version == before


def test_moved_changed_and_added_images(tile_set: Path, tmp_path: Path) -> None:
    folder = tmp_path / "tiles"
    shutil.copytree(tile_set, folder)
    made = Archive.create(tmp_path / "archive", PLAIN)
    made.index(folder)
    (folder / "fine" / "fine_00.png").rename(folder / "coarse" / "moved.png")
    shutil.copy(tile_set / "coarse" / "coarse_01.png", folder / "fine" / "fine_01.png")
    shutil.copy(tile_set / "coarse" / "coarse_02.png", folder / "fine" / "new.png")
    report = made.index(folder)
    assert len(report.relinked) == 1
    assert report.relinked[0].endswith("moved.png")
    assert [Path(p).name for p in report.changed] == ["fine_01.png"]
    assert report.slides == 2
    info = made.info()
    assert info["patches"] == info["images"] == 25
    assert info["missing_files"] == []
    assert info["labels"] == {"coarse": 13, "fine": 12}


def test_labels_table_can_be_attached_later(archive: Archive, tile_set: Path, tmp_path: Path) -> None:
    table = tmp_path / "labels.csv"
    rows = [f"{p.name},P{i % 4}" for i, p in enumerate(sorted(tile_set.rglob("*.png")))]
    table.write_text("slide,patient\n" + "\n".join(rows) + "\n")
    assert archive.index(tile_set, labels=table).unchanged == 24
    answer = archive.search(tile_set / "coarse" / "coarse_00.png", k=24, exclude="patient")
    assert {hit.columns["patient"] for hit in answer.hits} == {"P1", "P2", "P3"}
    assert len(archive.search(tile_set / "coarse" / "coarse_00.png", k=24, one_per="patient").hits) == 4
    assert archive.info()["labels"] == {"coarse": 12, "fine": 12}
    case = archive.search(histokin.CaseQuery("P2"), k=30)
    assert {hit.columns["patient"] for hit in case.hits} == {"P0", "P1", "P3"}
    with pytest.raises(UsageError, match="P0, P1, P2, P3"):
        archive.search(histokin.CaseQuery("nobody"))


def test_scales_are_never_mixed(archive: Archive, tile_set: Path, tmp_path: Path) -> None:
    path = tile_set / "fine" / "fine_00.png"
    with pytest.raises(NotComparable, match="unknown scale"):
        archive.search(PatchQuery(path, mpp=0.5))
    scaled = Archive.create(tmp_path / "scaled", PLAIN)
    assert scaled.index(tile_set / "fine", mpp=0.5).slides == 12
    with pytest.raises(MissingScale, match="--mpp"):
        scaled.search(tile_set / "coarse" / "coarse_00.png")
    assert scaled.search(PatchQuery(tile_set / "coarse" / "coarse_00.png", mpp=0.5)).hits
    failed = scaled.index(tile_set / "coarse").failed
    assert len(failed) == 12
    assert "--mpp" in failed[0].remedy


def test_an_archive_keeps_its_recipe(tmp_path: Path) -> None:
    Archive.create(tmp_path / "archive", PLAIN)
    opened = Archive.open(tmp_path / "archive")
    assert opened.prepared.encoder.spec.name == "color-histogram"
    assert opened.prepared.to_dict() == PLAIN.prepare().to_dict()


def test_another_encoder_under_the_name_is_refused(tmp_path: Path) -> None:
    made = Archive.create(tmp_path / "archive", PLAIN)
    about = made.store.path / "archive.json"
    space = made.prepared.encoder.spec.space
    about.write_text(about.read_text().replace(space, "color-histogram@other"))
    with pytest.raises(NotComparable, match="color-histogram@other"):
        Archive.open(tmp_path / "archive")


def test_errors_of_opening(tmp_path: Path) -> None:
    with pytest.raises(ArchiveMissing):
        Archive.open(tmp_path / "nowhere")
    Archive.create(tmp_path / "archive", PLAIN)
    with pytest.raises(ArchiveExists):
        Archive.create(tmp_path / "archive", PLAIN)
    with pytest.raises(UnknownName, match="Did you mean 'macenko'"):
        Archive.create(tmp_path / "other", Recipe(normalizer="macenco"))


def test_an_empty_archive_answers_with_nothing(tmp_path: Path, tile_set: Path) -> None:
    made = Archive.create(tmp_path / "archive", PLAIN)
    answer = made.search(tile_set / "fine" / "fine_00.png")
    assert answer.hits == ()
    assert answer.alike.value is None


def test_broken_and_blank_images_are_named_and_the_rest_kept(tile_set: Path, tmp_path: Path) -> None:
    import cv2

    folder = tmp_path / "tiles"
    shutil.copytree(tile_set / "fine", folder)
    (folder / "empty.png").touch()
    cv2.imwrite(str(folder / "white.png"), np.full((224, 224, 3), 255, np.uint8))
    made = Archive.create(tmp_path / "archive", PLAIN)
    report = made.index(folder)
    assert report.slides == 12
    assert sorted(Path(f.path).name for f in report.failed) == ["empty.png", "white.png"]
    assert all(f.reason and f.remedy for f in report.failed)


def test_no_crops(tile_set: Path, tmp_path: Path) -> None:
    made = Archive.create(tmp_path / "archive", Recipe(normalizer="none", encoder="color-histogram", crops=False))
    made.index(tile_set / "fine")
    assert not any(made.store.crops(np.arange(3)))


def test_odd_file_names(tile_set: Path, tmp_path: Path) -> None:
    folder = tmp_path / "tiles"
    folder.mkdir()
    sources = sorted((tile_set / "fine").iterdir())
    for name, source in zip(('it\'s "q" ü.png', "two\nlines.png", "not-text-\udcff.png"), sources, strict=False):
        shutil.copy(source, folder / name)
    made = Archive.create(tmp_path / "archive", PLAIN)
    report = made.index(folder)
    assert report.slides == 2
    assert [failure.reason for failure in report.failed] == ["its name is not valid UTF-8"]
    report.failed[0].path.encode()
    assert made.search(folder / 'it\'s "q" ü.png', exclude="none").hits[0].distance <= 1e-5


def test_excluding_an_unknown_patient_is_said(archive: Archive, tile_set: Path) -> None:
    image = read(tile_set / "fine" / "fine_00.png")
    assert "patient" in archive.search(image, exclude="patient").warnings[-1]
    assert archive.search(image).warnings == ()
