"""A real slide: regions find themselves only when allowed, whole slides by their patches."""

import shutil
from pathlib import Path

import pytest

import histokin
from histokin.errors import UsageError
from histokin.retrieval.archive import Archive
from histokin.retrieval.queries import RegionQuery, SlideQuery
from histokin.retrieval.recipe import Recipe
from histokin.types import Region

SLIDE = "CMU-1-Small-Region.svs"


@pytest.fixture(scope="module")
def slide(shared_data: Path) -> Path:
    return shared_data / "wsi" / SLIDE


@pytest.fixture(scope="module")
def archive(slide: Path, tmp_path_factory: pytest.TempPathFactory) -> Archive:
    made = Archive.create(tmp_path_factory.mktemp("a") / "archive", Recipe(normalizer="macenko"))
    report = made.index(slide)
    assert report.slides == 1
    assert not report.failed
    assert report.patches == report.counts["kept"] > 20
    return made


def _first_patch(archive: Archive) -> Region:
    return Region(*map(int, archive.searcher().snapshot.boxes[7]))


def test_a_region_equal_to_a_patch_is_first_at_no_distance(archive: Archive, slide: Path) -> None:
    region = _first_patch(archive)
    answer = archive.search(RegionQuery(slide, region), exclude="none")
    assert answer.hits[0].region == region
    assert answer.hits[0].distance <= 1e-5
    assert len(answer.query.patches) == 1


def test_by_default_nothing_that_overlaps_the_region(archive: Archive, slide: Path) -> None:
    region = Region(600, 900, 700, 500)
    answer = archive.search(RegionQuery(slide, region), k=50, min_separation=0.0)
    assert len(answer.hits) > 10
    assert not any(hit.region and hit.region.overlaps(Region(600, 900, 700, 500)) for hit in answer.hits)
    left_out = archive.search(RegionQuery(slide, region), k=50, min_separation=0.0, exclude="none")
    assert any(hit.region and hit.region.overlaps(region) for hit in left_out.hits)
    assert all(0 <= match.query < len(answer.query.patches) for match in answer.matches)


def test_adjacent_hits_are_one_hit(archive: Archive, slide: Path) -> None:
    hits = archive.search(RegionQuery(slide, _first_patch(archive)), k=8).hits
    for i, one in enumerate(hits):
        for other in hits[:i]:
            assert one.region is not None
            assert other.region is not None
            assert max(abs(one.region.x - other.region.x), abs(one.region.y - other.region.y)) > one.region.width + 2


def test_excluding_the_slide_leaves_nothing(archive: Archive, slide: Path) -> None:
    answer = archive.search(RegionQuery(slide, _first_patch(archive)), exclude="slide")
    assert answer.hits == ()
    assert archive.search(SlideQuery(slide)).hits == ()


def test_a_slide_finds_itself_at_no_distance_when_allowed(archive: Archive, slide: Path) -> None:
    answer = archive.search(SlideQuery(slide), exclude="none")
    assert answer.hits[0].slide == str(slide)
    assert answer.hits[0].distance <= 1e-5
    assert answer.hits[0].region is None
    assert answer.matches


def test_small_region_grows_and_says_so(archive: Archive, slide: Path) -> None:
    answer = archive.search(RegionQuery(slide, Region(1000, 1000, 50, 60)))
    assert "grown" in answer.warnings[0]
    assert answer.query.region is not None
    assert answer.query.region.width >= 224


@pytest.mark.parametrize("box", [(-1, 0, 300, 300), (2000, 0, 300, 300), (0, 0, 0, 5)])
def test_region_outside_is_wrong_usage(archive: Archive, slide: Path, box: tuple[int, int, int, int]) -> None:
    with pytest.raises(UsageError, match="2220 x 2967"):
        archive.search(RegionQuery(slide, Region(*box)))


def test_a_slide_outside_the_archive_is_prepared_the_same_way(archive: Archive, slide: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.svs"
    shutil.copy(slide, copy)
    region = _first_patch(archive)
    answer = archive.search(RegionQuery(copy, region), exclude="none")
    assert answer.hits[0].region == region
    assert answer.hits[0].distance <= 1e-5


def test_copies_are_indexed_and_a_moved_one_is_relinked(slide: Path, tmp_path: Path) -> None:
    folder = tmp_path / "slides"
    folder.mkdir()
    for name in ("a.svs", "b.svs"):
        shutil.copy(slide, folder / name)
    made = Archive.create(tmp_path / "archive", Recipe(encoder="color-histogram"))
    assert made.index(folder).slides == 2
    (folder / "a.svs").rename(folder / "c.svs")
    report = made.index(folder)
    assert (report.slides, len(report.relinked)) == (0, 1)
    assert {Path(s.path).name for s in made.store.sources()} == {"b.svs", "c.svs"}
    hits = made.search(SlideQuery(folder / "c.svs")).hits
    assert [Path(hit.slide).name for hit in hits] == ["b.svs"]
    assert hits[0].distance <= 1e-5
    table = tmp_path / "labels.csv"
    table.write_text("slide,patient,centre\nb,1,A\nc,2,B\n")
    made.index(folder, labels=table)
    assert made.search(histokin.CaseQuery("1")).hits[0].columns == {"patient": "2", "centre": "B"}


def test_the_shared_slides_and_the_two_dicom_files(shared_data: Path, tmp_path: Path) -> None:
    made = Archive.create(tmp_path / "archive")
    report = made.index(shared_data / "wsi")
    assert report.slides == 1
    reasons = {Path(failure.path).name: failure.reason for failure in report.failed}
    assert set(reasons) == {"jpeg.dicom", "highdicom_sm_image.dcm"}
    assert "16.78" in reasons["jpeg.dicom"]
    assert "50 x 50" in reasons["highdicom_sm_image.dcm"]


def test_a_changed_slide_is_named_and_indexed_again(slide: Path, tmp_path: Path) -> None:
    from histokin.testing import slides as make

    path = make.write_svs(tmp_path / "a.svs", make.tissue(900, 900, seed=1))
    made = Archive.create(tmp_path / "archive", Recipe(encoder="color-histogram"))
    first = made.index(path).patches
    make.write_svs(path, make.tissue(1200, 1200, seed=2))
    report = made.index(path)
    assert report.changed == [str(path)]
    assert report.patches > first
    assert made.info()["patches"] == report.patches
    assert len(made.searcher().snapshot.source_index) == report.patches


def test_a_slide_changed_since_it_was_indexed_is_no_longer_the_archives(tmp_path: Path) -> None:
    from histokin.testing import slides as make

    path = make.write_svs(tmp_path / "a.svs", make.tissue(900, 900, seed=1))
    made = Archive.create(tmp_path / "archive", Recipe(encoder="color-histogram"))
    made.index(path)
    make.write_svs(path, make.tissue(900, 900, seed=2))
    answer = made.search(RegionQuery(path, Region(0, 0, 224, 224)))
    assert answer.query.source is None
    assert answer.hits[0].distance > 0
