"""One set of weights per centre, from the label table to the archive, its queries and the command line."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from histokin.app.cli import cli
from histokin.app.cli.common import parse_weights
from histokin.errors import MissingStyle, NotComparable, UsageError
from histokin.evaluation.labelled import encode_set, read_set
from histokin.nets.stainnet import Layer, StainNetWeights, write_stainnet
from histokin.retrieval.archive import Archive
from histokin.retrieval.queries import PatchQuery, RegionQuery, SlideQuery
from histokin.retrieval.recipe import Recipe
from histokin.stain.pixels import read_image
from histokin.stain.registry import appearance_from_dict, map_from_dict
from histokin.stain.stainnet import StainNet
from histokin.types import Region

SLIDE = "CMU-1-Small-Region.svs"


def tinted(tint: tuple[float, float, float]) -> StainNetWeights:
    """A net of one layer that adds a tint to every color."""
    eye = np.eye(3, dtype=np.float32)[..., None, None]
    return StainNetWeights((Layer(eye * np.float32(0.8), np.array(tint, np.float32)),), {"kind": "stainnet"})


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("weights")
    tints = {"A": (0.15, 0.0, 0.0), "B": (0.0, 0.0, 0.15)}
    return {style: write_stainnet(tinted(tint), folder / f"{style}.safetensors") for style, tint in tints.items()}


@pytest.fixture(scope="module")
def tiles(tile_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder with four tiles of centre A, four of B, one of C and one of no centre."""
    folder = tmp_path_factory.mktemp("mixed") / "tiles"
    folder.mkdir()
    sources = sorted(tile_set.rglob("*.png"))
    lines = ["slide,centre,patient"]
    for place, centre in enumerate([*"AAAABBBBC", ""]):
        name = f"{centre or 'none'}{place}.png"
        shutil.copy(sources[place], folder / name)
        lines.append(f"{name},{centre},p{place}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    return folder


def recipe(files: dict[str, Path]) -> Recipe:
    return Recipe(normalizer="stainnet", normalizer_options={"weights": files}, encoder="color-histogram")


@pytest.fixture(scope="module")
def archive(files: dict[str, Path], tiles: Path, tmp_path_factory: pytest.TempPathFactory) -> Archive:
    made = Archive.create(tmp_path_factory.mktemp("a") / "archive", recipe(files))
    report = made.index(tiles, labels=tiles / "labels.csv")
    assert report.slides == 8
    assert sorted(Path(failure.path).name for failure in report.failed) == ["C8.png", "none9.png"]
    reasons = {Path(failure.path).name: failure.reason for failure in report.failed}
    assert "stainnet has no weights for centre 'C' (it has some for A, B)" in reasons["C8.png"]
    assert "not known" in reasons["none9.png"]
    assert all(failure.remedy for failure in report.failed)
    return made


def test_every_image_is_mapped_by_its_centres_weights(archive: Archive, files: dict[str, Path]) -> None:
    image = np.full((4, 4, 3), 128, np.uint8)
    expected = {style: StainNet(weights=path).fit([])(image) for style, path in files.items()}
    assert not np.array_equal(expected["A"], expected["B"])
    sources = archive.store.sources()
    assert {source.columns["centre"] for source in sources} == {"A", "B"}
    for source in sources:
        fitted = map_from_dict(source.appearance)
        assert np.array_equal(fitted(image), expected[source.columns["centre"]])
        assert fitted.space == archive.prepared.appearance.space
    assert len({source.group for source in sources}) == 2


def test_vectors_are_those_of_the_mapped_images(archive: Archive, tiles: Path, files: dict[str, Path]) -> None:
    snapshot = archive.searcher().snapshot
    for place, source in enumerate(snapshot.sources):
        mapped = StainNet(weights=files[source.columns["centre"]]).fit([])(read_image(Path(source.path)))
        expected = archive.prepared.encoder.encode([mapped])
        found = np.asarray(snapshot.vectors[np.r_[snapshot.rows_of(place)]])
        assert np.allclose(found, expected, atol=1e-6)


def test_a_query_of_the_archive_knows_its_centre(archive: Archive, tiles: Path) -> None:
    answer = archive.search(tiles / "B5.png", k=1, exclude="none")
    assert Path(answer.hits[0].slide).name == "B5.png"
    assert answer.hits[0].distance < 1e-6


def test_a_query_from_outside_has_to_say_its_centre(archive: Archive, tiles: Path, tmp_path: Path) -> None:
    image = read_image(tiles / "A0.png")
    with pytest.raises(MissingStyle, match=r"A, B.*not known") as caught:
        archive.search(image)
    assert "--centre" in caught.value.remedy
    with pytest.raises(MissingStyle, match="'C'"):
        archive.search(PatchQuery(image, centre="C"))
    by_centre = {c: archive.search(PatchQuery(image, centre=c), k=1, exclude="none").hits[0] for c in "AB"}
    assert Path(by_centre["A"].slide).name == "A0.png"
    assert by_centre["A"].distance < 1e-6 < by_centre["B"].distance


def test_run_again_leaves_all_alone_and_needs_no_file(files: dict[str, Path], tiles: Path, tmp_path: Path) -> None:
    own = {style: tmp_path / f"{style}.safetensors" for style in files}
    for style, path in own.items():
        shutil.copy(files[style], path)
    made = Archive.create(tmp_path / "archive", recipe(own))
    made.index(tiles, labels=tiles / "labels.csv")
    for path in own.values():
        path.unlink()
    opened = Archive.open(tmp_path / "archive")
    assert opened.prepared.digest == made.prepared.digest
    report = opened.index(tiles, labels=tiles / "labels.csv")
    assert (report.slides, report.unchanged, len(report.failed)) == (0, 8, 2)
    assert opened.index(tiles).unchanged == 8
    assert opened.search(tiles / "A1.png", k=3).hits
    assert str(tmp_path) not in json.dumps(opened.prepared.to_dict())
    assert len(json.dumps(opened.prepared.describe())) < 3000


def test_a_corrected_centre_is_indexed_again(files: dict[str, Path], tiles: Path, tmp_path: Path) -> None:
    made = Archive.create(tmp_path / "archive", recipe(files))
    made.index(tiles, labels=tiles / "labels.csv")
    corrected = tmp_path / "corrected.csv"
    corrected.write_text((tiles / "labels.csv").read_text().replace("A0.png,A", "A0.png,B"))
    report = made.index(tiles, labels=corrected)
    assert (report.slides, report.unchanged) == (1, 7)
    assert [Path(path).name for path in report.changed] == ["A0.png"]
    moved = next(source for source in made.store.sources() if source.name == "A0.png")
    assert moved.columns["centre"] == "B"
    image = read_image(tiles / "A0.png")
    assert np.array_equal(map_from_dict(moved.appearance)(image), StainNet(weights=files["B"]).fit([])(image))
    assert made.info()["images"] == 8


def test_slides_and_their_regions(shared_data: Path, files: dict[str, Path], tmp_path: Path) -> None:
    slide = shared_data / "wsi" / SLIDE
    table = tmp_path / "labels.csv"
    made = Archive.create(tmp_path / "archive", recipe(files))
    report = made.index(slide)
    assert [failure.path for failure in report.failed] == [str(slide)]
    table.write_text(f"slide,centre\n{SLIDE},C\n")
    assert "'C'" in made.index(slide, labels=table).failed[0].reason
    table.write_text(f"slide,centre\n{SLIDE},B\n")
    assert made.index(slide, labels=table).slides == 1
    image = np.full((4, 4, 3), 128, np.uint8)
    stored = map_from_dict(made.store.sources()[0].appearance)
    assert np.array_equal(stored(image), StainNet(weights=files["B"]).fit([])(image))
    other = tmp_path / "other.svs"
    other.write_bytes(slide.read_bytes() + b"\0" * 16)  # the same pixels, another file: not the archive's
    region = Region(896, 672, 224, 224)
    for query in (SlideQuery(other), RegionQuery(other, region)):
        with pytest.raises(MissingStyle, match="not known"):
            made.search(query, exclude="none")
    near = made.search(SlideQuery(other, centre="B"), k=1, exclude="none").hits[0].distance
    far = made.search(SlideQuery(other, centre="A"), k=1, exclude="none").hits[0].distance
    assert near < 1e-3 < far
    hits = made.search(RegionQuery(other, region, centre="B"), k=1, exclude="none").hits
    assert hits[0].region == region


def test_sets_are_styles_of_their_own_name(tile_set: Path, files: dict[str, Path]) -> None:
    images = read_set(tile_set)
    prepared = recipe({images.name: files["A"], "other": files["B"]}).prepare()
    alone = recipe({images.name: files["A"]}).prepare()
    assert np.array_equal(encode_set(images, prepared), encode_set(images, alone, "image"))
    with pytest.raises(MissingStyle, match=images.name):
        encode_set(images, recipe(files).prepare())


def test_one_file_for_all_needs_no_centre(files: dict[str, Path], tiles: Path, tmp_path: Path) -> None:
    single = Recipe(normalizer="stainnet", normalizer_options={"weights": files["A"]}, encoder="color-histogram")
    made = Archive.create(tmp_path / "archive", single)
    assert made.index(tiles, labels=tiles / "labels.csv").slides == 10
    assert len({source.group for source in made.store.sources()}) == 1
    assert made.search(read_image(tiles / "C8.png"), k=1).hits[0].distance < 1e-6


def run(*args: object) -> Any:
    return CliRunner().invoke(cli, [str(arg) for arg in args])


def test_on_the_command_line(files: dict[str, Path], tiles: Path, tmp_path: Path) -> None:
    archive, encoder = tmp_path / "archive", ("--encoder", "color-histogram")
    asked = ("--normalizer", "stainnet", "--weights", f"A={files['A']}", "--weights", f"B={files['B']}")
    labels = ("--labels", tiles / "labels.csv")
    dry = run("index", tiles, "-a", archive, *encoder, *asked, *labels, "--dry-run", "--json")
    assert dry.exit_code == 1, dry.output
    assert json.loads(dry.stdout)["images"] == 8
    assert len(json.loads(dry.stdout)["failed"]) == 2
    first = run("index", tiles, "-a", archive, *encoder, *asked, *labels, "--json")
    assert first.exit_code == 1
    assert json.loads(first.stdout)["slides"] == 8
    assert "no weights for centre 'C'" in first.stdout
    for again in (asked, asked[:2], ()):
        resumed = run("index", tiles, "-a", archive, *again, *labels)
        assert "8 unchanged, 2 failed" in resumed.output, resumed.output
    other = run("index", tiles, "-a", archive, *asked[:2], "--weights", files["A"])
    assert other.exit_code == 1
    assert "made with weights stainnet@" in other.stderr
    found = run("search", "-a", archive, "--image", tiles / "none9.png", "--centre", "A", "--json")
    assert found.exit_code == 0, found.output
    assert json.loads(found.stdout)["hits"]
    lost = run("search", "-a", archive, "--image", tiles / "none9.png")
    assert lost.exit_code == 1
    assert "--centre" in lost.stderr


def test_wrong_usage_on_the_command_line(files: dict[str, Path], tiles: Path, tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    bare = run("index", tiles, "-a", archive, "--normalizer", "stainnet")
    assert bare.exit_code == 2
    assert "histokin train stainnet" in bare.stderr
    unused = run("index", tiles, "-a", archive, "--weights", files["A"])
    assert unused.exit_code == 2
    assert "none has no option 'weights'" in unused.stderr
    missing = run("index", tiles, "-a", archive, "--normalizer", "stainnet", "--weights", tmp_path / "no.pth")
    assert missing.exit_code == 1
    assert "no.pth" in missing.stderr
    assert not archive.exists()


def test_weights_as_text(tmp_path: Path) -> None:
    odd = tmp_path / "rate=0.01.pth"
    odd.touch()
    assert parse_weights(()) is None
    assert parse_weights([str(odd)]) == str(odd)
    assert parse_weights(["a.pth"]) == str(Path("a.pth").absolute())
    assert parse_weights([f"A={odd}", "B=b.pth"]) == {"A": str(odd), "B": str(Path("b.pth").absolute())}
    for wrong in (["a", "b"], ["A=a", "A=b"], ["A="], ["A=a", "b"]):
        with pytest.raises(UsageError, match="--weights"):
            parse_weights(wrong)


def test_another_space_is_not_comparable(archive: Archive, files: dict[str, Path]) -> None:
    stored = archive.prepared.to_dict()
    weights = stored["appearance"]["options"]["weights"]
    weights["A"] = tinted((0.2, 0.2, 0.2)).to_dict()
    from histokin.retrieval.recipe import Prepared

    with pytest.raises(NotComparable):
        Prepared.from_dict(stored)


def test_a_centre_that_looks_like_the_target_stays_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "a.safetensors"
    write_stainnet(
        StainNetWeights((Layer(-np.eye(3, dtype=np.float32)[:, :, None, None], np.zeros(3, np.float32)),), {}), file
    )
    given = parse_weights([f"a={file}", "b=none"])
    assert given == {"a": str(file), "b": "none"}
    appearance = StainNet(weights=given)
    image = np.full((4, 4, 3), 30, np.uint8)
    for made in (appearance, appearance_from_dict(appearance.to_dict())):
        assert made.space == appearance.space
        assert (made.for_style("a").fit([])(image) == 225).all()
        assert np.array_equal(made.for_style("b").fit([])(image), image)
        assert made.for_style("b").fit([]).space == appearance.space
        with pytest.raises(MissingStyle, match="centre 'c'"):
            made.for_style("c")
    with pytest.raises(UsageError, match="no weights for any source"):
        StainNet(weights={"a": "none"})
