"""Normalizing to files: images, regions, whole slides, broken ones among them."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from histokin.errors import UsageError
from histokin.retrieval.normalizing import normalize_paths
from histokin.slides.reading import open_slide
from histokin.stain.registry import normalizer
from histokin.testing.slides import section, spoil_tile, write_svs
from histokin.types import RGB, Region


def whole(path: Path) -> RGB:
    with open_slide(path) as slide:
        return slide.read(Region(0, 0, slide.width, slide.height), slide.width, slide.height)


@pytest.fixture(name="slide")
def slide_fixture(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    return write_svs(tmp_path / "in" / "a.svs", section(1200, 1500, seed=3))


def test_a_slide_is_written_whole_at_its_scale_and_kept_by_the_next_run(slide: Path, tmp_path: Path) -> None:
    before = slide.read_bytes()
    appearance = normalizer("macenko")
    done = normalize_paths([slide.parent], tmp_path / "out", appearance)
    copy = tmp_path / "out" / "a.ome.tif"
    assert done.written == [str(copy)]
    assert not done.failed
    assert not done.unchanged
    with open_slide(copy) as opened, open_slide(slide) as original:
        assert (opened.width, opened.height, opened.mpp) == (1500, 1200, original.mpp)
    region = normalize_paths([slide], tmp_path / "part", appearance, region=Region(300, 200, 400, 300))
    part = whole(Path(region.written[0]))
    assert np.abs(part.astype(int) - whole(copy)[200:500, 300:700]).mean() < 4
    written = copy.stat().st_mtime_ns
    again = normalize_paths([slide.parent], tmp_path / "out", appearance)
    assert again.kept == [str(copy)]
    assert not again.written
    assert copy.stat().st_mtime_ns == written
    other = normalize_paths([slide.parent], tmp_path / "out", normalizer("reinhard"))
    assert other.written == [str(copy)]
    assert slide.read_bytes() == before


def test_a_broken_slide_does_not_end_the_run(slide: Path, tmp_path: Path) -> None:
    (slide.parent / "b.svs").write_bytes(slide.read_bytes()[:5000])
    blank = write_svs(slide.parent / "c.svs", np.full((700, 700, 3), 244, np.uint8))
    done = normalize_paths([slide.parent], tmp_path / "out", normalizer("macenko"))
    assert [Path(path).name for path in done.written] == ["a.ome.tif"]
    failed = {Path(failure.path).name: failure for failure in done.failed}
    assert set(failed) == {"b.svs", blank.name}
    assert all(failure.remedy for failure in failed.values())


def test_a_tile_that_does_not_decode_is_white_and_told(slide: Path, tmp_path: Path) -> None:
    spoil_tile(slide, 8, keep=0)
    done = normalize_paths([slide], tmp_path / "out", normalizer("none"))
    copy = whole(tmp_path / "out" / "a.ome.tif")
    assert done.written
    assert "do not decode" in done.failed[0].reason
    assert (copy > 250).all(axis=2).mean() > 0.05


def test_two_inputs_of_one_name_are_not_written_over_each_other(tile_set: Path, tmp_path: Path) -> None:
    done = normalize_paths([tile_set], tmp_path / "a", normalizer("none"))
    assert not done.failed
    folder = Path(done.written[0]).parent
    for place in ("one", "two"):
        (tmp_path / place / "x").mkdir(parents=True)
        (tmp_path / place / "x" / "tile.png").write_bytes(Path(done.written[0]).read_bytes())
    both = normalize_paths([tmp_path / "one", tmp_path / "two"], tmp_path / "b", normalizer("none"))
    assert len(both.written) == 1
    assert "would replace that of" in both.failed[0].reason
    with pytest.raises(UsageError, match="cannot be written"):
        normalize_paths([tmp_path / "one"], folder / Path(done.written[0]).name, normalizer("none"))


def test_a_blank_image_is_kept_and_named_unless_the_published_way_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    cv2.imwrite(str(tmp_path / "in" / "blank.png"), np.full((64, 64, 3), 250, np.uint8))
    kept = normalize_paths([tmp_path / "in"], tmp_path / "a", normalizer("macenko"), each=True)
    assert len(kept.written) == 1
    assert "tissue pixels" in kept.unchanged[0][1]
    skipped = normalize_paths([tmp_path / "in"], tmp_path / "b", normalizer("macenko"), each=True, legacy_skip=True)
    assert not skipped.written
    assert not skipped.unchanged


def test_a_copy_never_replaces_its_slide(slide: Path, tmp_path: Path) -> None:
    first = Path(normalize_paths([slide], tmp_path / "out", normalizer("none")).written[0])
    before = first.read_bytes()
    again = normalize_paths([first], tmp_path / "out", normalizer("macenko"))
    assert "would replace it" in again.failed[0].reason
    assert first.read_bytes() == before
