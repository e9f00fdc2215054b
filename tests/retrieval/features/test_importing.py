"""Feature files of other programs: names, scales, slides, labels, and what is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from histokin.encoders.registry import encoder
from histokin.errors import ArchiveFormat, ArchiveMissing, EncoderError, UsageError
from histokin.retrieval.archive import Archive
from histokin.retrieval.features.base import Asked
from histokin.retrieval.features.exporting import export_features
from histokin.retrieval.features.importing import Wanted, import_features
from histokin.retrieval.features.naming import Named
from histokin.retrieval.queries import PatchQuery, SlideQuery
from histokin.retrieval.recipe import Recipe
from histokin.slides.labels import read_labels

h5py = pytest.importorskip("h5py")
MakeArchive = Callable[..., Path]


def slide_file(path: Path, *, dim: int = 4, count: int = 3, seed: int = 0, side: int = 512, **attributes: Any) -> Path:
    """As TRIDENT leaves a slide scanned at magnification 40; attributes given as None are left out."""
    path.parent.mkdir(parents=True, exist_ok=True)
    found: dict[str, Any] = {
        "patch_size": side // 2,
        "patch_size_level0": side,
        "level0_magnification": 40,
        "target_magnification": 20,
    }
    found |= {"overlap": 0, "name": path.stem, **attributes}
    with h5py.File(path, "w") as file:
        file["features"] = np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32)
        file["coords"] = np.arange(count)[:, None] * [side, 0]
        for key, value in found.items():
            if value is not None:
                file["coords"].attrs[key] = value
    return path


def json_file(path: Path, items: list[dict[str, Any]], sha: str | None = "0123456789ab") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    dim = len(items[0]["feature"])
    path.write_text(json.dumps({"version": 1, "model_sha": sha, "latent_dim": dim, "items": items}))
    return path


UNI = Wanted(named=Named("uni-of-somebody"))


def test_trident_features_become_an_archive(tmp_path: Path) -> None:
    for seed, name in enumerate("ABC"):
        slide_file(tmp_path / "features" / f"{name}.h5", seed=seed)
    (tmp_path / "labels.csv").write_text("slide,label,patient,mpp\nA,tumor,P1,\nB,,P2,\nX,tumor,P3,\n")
    labels = read_labels(tmp_path / "labels.csv")
    report = import_features([tmp_path / "features"], tmp_path / "a", Wanted(named=UNI.named, labels=labels))
    assert (report.slides, report.patches, report.failed) == (3, 9, [])
    assert any("uni-of-somebody" in warning and "does not have" in warning for warning in report.warnings)
    assert any("1 rows of the label table match no slide: X" in warning for warning in report.warnings)
    info = Archive.open(tmp_path / "a").info()
    assert (info["slides"], info["patches"], info["labels"], info["scale"]) == (3, 9, {"tumor": 1}, "known")
    assert info["recipe"]["encoder"]["space"] == "uni-of-somebody/imported"
    assert (info["recipe"]["grid"]["mpp"], info["recipe"]["grid"]["patch_px"]) == (0.5, 256)
    assert [Path(path).name for path in info["missing_files"]] == ["A", "B", "C"]
    answer = Archive.open(tmp_path / "a").search(SlideQuery(Path("A")), k=2)
    assert {Path(hit.slide).name for hit in answer.hits} == {"B", "C"}
    assert Archive.open(tmp_path / "a").search(SlideQuery(Path("A")), where="patient = 'P2'").hits[0].columns == {
        "patient": "P2"
    }


def test_an_image_needs_the_encoder_and_the_message_says_so(tmp_path: Path) -> None:
    slide_file(tmp_path / "A.h5")
    import_features([tmp_path / "A.h5"], tmp_path / "a", UNI)
    archive = Archive.open(tmp_path / "a")
    with pytest.raises(EncoderError, match="'uni-of-somebody', which this installation does not have") as caught:
        archive.search(PatchQuery(np.full((256, 256, 3), 90, np.uint8), 0.5))
    assert "Install" in caught.value.remedy
    assert "--slide NAME" in caught.value.remedy


def test_nothing_says_which_encoder(tmp_path: Path) -> None:
    slide_file(tmp_path / "A.h5")
    with pytest.raises(UsageError, match="nothing says which encoder made its features") as caught:
        import_features([tmp_path / "A.h5"], tmp_path / "a")
    assert "--encoder-name" in caught.value.remedy
    with pytest.raises(ArchiveMissing):
        Archive.open(tmp_path / "a")


def test_a_broken_file_among_many_is_named_and_the_rest_imported(tmp_path: Path) -> None:
    files = [slide_file(tmp_path / f"{name}.h5", seed=seed) for seed, name in enumerate("ABC")]
    files[0].write_bytes(b"nothing")
    (tmp_path / "odd.csv").write_text("")
    report = import_features([*files, tmp_path / "odd.csv", tmp_path / "absent.h5"], tmp_path / "a", UNI)
    assert (report.slides, report.patches) == (2, 6)
    assert [Path(failure.path).name for failure in report.failed] == ["A.h5", "odd.csv", "absent.h5"]
    assert all(failure.reason and failure.remedy for failure in report.failed)


def test_no_archive_is_made_of_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "A.h5").write_bytes(b"nothing")
    report = import_features([tmp_path / "A.h5", tmp_path / "empty"], tmp_path / "a", UNI)
    assert len(report.failed) == 2
    assert not (tmp_path / "a").exists()


def test_what_cannot_be_compared_is_refused_by_name(tmp_path: Path) -> None:
    """Other dimension, other magnification, other encoder: each beside an archive of three slides."""
    first = slide_file(tmp_path / "A.h5")
    others = {
        "dim": slide_file(tmp_path / "dim.h5", dim=5),
        "field": slide_file(tmp_path / "field.h5", side=1024),
        "scaled": slide_file(tmp_path / "scaled.h5", level0_magnification=20, target_magnification=10),
    }
    report = import_features([first, *others.values()], tmp_path / "a", UNI)
    assert report.slides == 1
    assert [failure.reason for failure in report.failed] == [
        "its features have 5 numbers, the archive's 4",
        "its patches span 256 µm, the archive's 128 µm",
        "its patches span 256 µm, the archive's 128 µm",
    ]
    again = import_features([slide_file(tmp_path / "B.h5")], tmp_path / "a", Wanted(named=Named("conch")))
    assert again.failed[0].reason == "its features were made with encoder conch/imported, not uni-of-somebody/imported"
    loose = json_file(tmp_path / "l.json", [{"file": "x.png", "label": "l", "feature": [1, 2, 3, 4]}], None)
    (failure,) = import_features([loose], tmp_path / "a", UNI).failed
    assert "scale is unknown" in failure.reason


def test_scanners_of_one_magnification_may_stand_together(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("slide,mpp\nA,0.2525\nB,0.2265\n")
    files = [slide_file(tmp_path / f"{name}.h5") for name in "AB"]
    report = import_features(
        files, tmp_path / "a", Wanted(named=UNI.named, labels=read_labels(tmp_path / "labels.csv"))
    )
    assert not report.failed
    assert [source.mpp for source in Archive.open(tmp_path / "a").store.sources()] == [0.2525, 0.2265]


def test_a_scale_that_nothing_says_is_asked_for(tmp_path: Path) -> None:
    file = slide_file(tmp_path / "A.h5", level0_magnification="None")
    (failure,) = import_features([file], tmp_path / "a", UNI).failed
    assert "how many microns a pixel of A spans" in failure.reason
    assert "--mpp" in failure.remedy
    assert import_features([file], tmp_path / "a", Wanted(named=UNI.named, asked=Asked(mpp=0.25))).slides == 1


def test_features_again_take_the_place_of_the_old_ones(tmp_path: Path) -> None:
    file = slide_file(tmp_path / "A.h5")
    import_features([file], tmp_path / "a", UNI)
    slide_file(file, count=2, seed=5)
    report = import_features([file], tmp_path / "a", UNI)
    assert report.changed == [str(tmp_path / "A")]
    assert Archive.open(tmp_path / "a").info()["patches"] == 2
    twice = import_features([file, slide_file(tmp_path / "more" / "A.h5", name="A")], tmp_path / "a", UNI)
    assert twice.slides == 2


def test_json_finds_its_encoder_by_digest(tile_set: Path, tmp_path: Path) -> None:
    """Where the encoder is here and is the one, the archive is as if indexed; else images are refused by name."""
    archive = Archive.create(tmp_path / "a", Recipe(encoder="color-histogram"))
    archive.index(tile_set)
    export_features(tmp_path / "a", tmp_path / "f.json")
    report = import_features([tmp_path / "f.json"], tmp_path / "b", Wanted(named=Named("color-histogram")))
    assert (report.slides, report.failed, report.warnings) == (24, [], [])
    query = tile_set / "fine" / "fine_03.png"
    first, second = archive.search(query), Archive.open(tmp_path / "b").search(query)
    assert [(hit.slide, hit.distance, hit.label) for hit in first.hits] == [
        (hit.slide, hit.distance, hit.label) for hit in second.hits
    ]
    sources = {source.path: source for source in archive.store.sources()}
    for source in Archive.open(tmp_path / "b").store.sources():
        assert (source.id, source.digest, source.width, source.kind) == (
            sources[source.path].id,
            sources[source.path].digest,
            224,
            "image",
        )
    text = (
        (tmp_path / "f.json").read_text().replace(json.loads((tmp_path / "f.json").read_text())["model_sha"], "f" * 12)
    )
    (tmp_path / "other.json").write_text(text)
    other = import_features([tmp_path / "other.json"], tmp_path / "c", Wanted(named=Named("color-histogram")))
    assert "is of color-histogram/8x8x8" in other.warnings[0]
    known = Archive.open(tmp_path / "c").search(query)
    assert [hit.slide for hit in known.hits] == [hit.slide for hit in first.hits]
    with pytest.raises(EncoderError, match="import again with --encoder-space color-histogram/8x8x8/hellinger/fp32"):
        Archive.open(tmp_path / "c").search(np.full((224, 224, 3), 90, np.uint8))
    refused = import_features([tmp_path / "other.json"], tmp_path / "b", Wanted())
    assert "not color-histogram/8x8x8" in refused.failed[0].reason


def test_a_name_of_another_dimension_is_refused(tmp_path: Path) -> None:
    file = json_file(tmp_path / "f.json", [{"file": "a.png", "label": "x", "feature": [1.0, 2.0]}])
    (failure,) = import_features([file], tmp_path / "a", Wanted(named=Named("color-histogram"))).failed
    assert failure.reason == "its features have 2 numbers, encoder 'color-histogram' makes 512"
    assert not (tmp_path / "a").exists()


def test_digest_and_space_must_agree_with_the_file(tmp_path: Path) -> None:
    file = json_file(tmp_path / "f.json", [{"file": "a.png", "label": "x", "feature": [1.0, 2.0]}])
    for named in (Named("net", digest="ffffffffffff"), Named("net", space="net/ffffffffffff/fp32")):
        (failure,) = import_features([file], tmp_path / "a", Wanted(named=named)).failed
        assert "encoder digest 0123456789ab, not ffffffffffff" in failure.reason
    report = import_features([file], tmp_path / "a", Wanted(named=Named("net", digest="0123456789AB", metric="cosine")))
    assert report.slides == 1
    spec = Archive.open(tmp_path / "a").prepared.encoder.spec
    assert (spec.space, spec.metric) == ("net/0123456789ab", "cosine")


def test_slides_are_found_by_name(tmp_path: Path) -> None:
    """The picture gives its size and its identity; places outside it say that it is another one."""
    (tmp_path / "slides" / "deep").mkdir(parents=True)
    picture = np.random.default_rng(0).integers(0, 255, (600, 2000, 3), np.uint8)
    assert cv2.imwrite(str(tmp_path / "slides" / "deep" / "A.png"), picture)
    assert cv2.imwrite(str(tmp_path / "slides" / "B.png"), picture[:100, :100])
    files = [slide_file(tmp_path / "features" / f"{name}.h5") for name in "AB"]
    report = import_features(files, tmp_path / "a", Wanted(named=UNI.named, slides=tmp_path / "slides"))
    (source,) = Archive.open(tmp_path / "a").store.sources()
    assert (source.path, source.width, source.height) == (str(tmp_path / "slides" / "deep" / "A.png"), 2000, 600)
    assert "a patch begins at 1024 across or 0 down" in report.failed[0].reason
    assert cv2.imwrite(str(tmp_path / "slides" / "A.png"), picture)
    (failure,) = import_features(files[:1], tmp_path / "b", Wanted(named=UNI.named, slides=tmp_path / "slides")).failed
    assert "'A' may be" in failure.reason


def test_two_files_for_one_slide_in_a_run(tmp_path: Path) -> None:
    (tmp_path / "slides").mkdir()
    assert cv2.imwrite(str(tmp_path / "slides" / "A.png"), np.zeros((600, 2000, 3), np.uint8))
    files = [slide_file(tmp_path / folder / "A.h5") for folder in ("one", "two")]
    report = import_features(files, tmp_path / "a", Wanted(named=UNI.named, slides=tmp_path / "slides"))
    assert report.slides == 1
    assert "are in" in report.failed[0].reason


def test_moved_images_are_linked_anew(tile_set: Path, tmp_path: Path) -> None:
    archive = Archive.create(tmp_path / "a", Recipe(encoder="color-histogram"))
    (tmp_path / "old" / "fine").mkdir(parents=True)
    tile = (tile_set / "fine" / "fine_00.png").read_bytes()
    (tmp_path / "old" / "fine" / "t.png").write_bytes(tile)
    archive.index(tmp_path / "old")
    export_features(tmp_path / "a", tmp_path / "f.npz")
    (tmp_path / "old").rename(tmp_path / "new")
    import_features([tmp_path / "f.npz"], tmp_path / "b", Wanted(slides=tmp_path / "new"))
    assert Archive.open(tmp_path / "b").info()["missing_files"] == []
    (tmp_path / "new" / "fine" / "t.png").write_bytes((tile_set / "fine" / "fine_01.png").read_bytes())
    (failure,) = import_features([tmp_path / "f.npz"], tmp_path / "c", Wanted(slides=tmp_path / "new")).failed
    assert "is not the slide that its features were made from" in failure.reason


def test_files_of_archives_that_do_not_match(make_archive: MakeArchive, tmp_path: Path) -> None:
    """Ours say their recipe, so another encoder and another normalizer are refused without a word from the user."""
    first = make_archive("first", count=2)
    export_features(make_archive("second", count=2, space="net/ffffffffffff/fp32"), tmp_path / "other.npz")
    (failure,) = import_features([tmp_path / "other.npz"], first).failed
    assert failure.reason == "its features were made with encoder net/ffffffffffff/fp32, not net/0123456789ab/fp32"
    export_features(first, tmp_path / "mine.npz")
    assert import_features([tmp_path / "mine.npz"], first).slides == 2
    wrong = Wanted(named=Named(space="net/ffffffffffff/fp32"))
    (failure,) = import_features([tmp_path / "mine.npz"], tmp_path / "new", wrong).failed
    assert "net/0123456789ab/fp32, not net/ffffffffffff/fp32" in failure.reason


def test_the_normalizer_comes_along(tile_set: Path, tmp_path: Path) -> None:
    archive = Archive.create(tmp_path / "a", Recipe(normalizer="macenko", encoder="color-histogram"))
    archive.index(tile_set / "fine")
    report = export_features(tmp_path / "a", tmp_path / "f.json")
    assert "the normalizer (macenko" in report.warnings[0]
    export_features(tmp_path / "a", tmp_path / "f")
    import_features([tmp_path / "f"], tmp_path / "b")
    query = tile_set / "coarse" / "coarse_03.png"
    first, second = archive.search(query), Archive.open(tmp_path / "b").search(query)
    assert [hit.distance for hit in first.hits] == [hit.distance for hit in second.hits]
    plain = Archive.create(tmp_path / "c", Recipe(encoder="color-histogram"))
    plain.index(tile_set / "fine")
    assert (
        import_features([tmp_path / "f"], tmp_path / "c")
        .failed[0]
        .reason.startswith("its features were made with normalizer macenko")
    )


@pytest.mark.parametrize(
    "damage",
    [
        {"grid": {"mpp": "x"}},
        {"grid": {"other": 1}},
        {"appearance": {}},
        {"appearance": {"name": "nobody", "options": {}, "target": None}},
        {"encoder": {"registered": "gone", "space": "gone/1", "metric": "sideways"}},
        {"encoder": {"registered": "gone", "space": "gone/1", "input_px": "large"}},
    ],
)
def test_a_damaged_recipe_is_refused(damage: dict[str, Any], make_archive: MakeArchive, tmp_path: Path) -> None:
    export_features(make_archive(count=1), tmp_path / "f")
    with h5py.File(tmp_path / "f" / "0.h5", "a") as file:
        ours = json.loads(file["histokin"][()])
        ours["recipe"] |= damage
        del file["histokin"]
        file["histokin"] = json.dumps(ours)
    (failure,) = import_features([tmp_path / "f"], tmp_path / "b").failed
    assert "recipe is damaged" in failure.reason
    assert not (tmp_path / "b").exists()


def test_a_busy_or_foreign_archive_is_no_failure_of_a_file(make_archive: MakeArchive, tmp_path: Path) -> None:
    archive = make_archive(count=1)
    (archive / "archive.json").write_text("{}")
    with pytest.raises(ArchiveFormat):
        import_features([slide_file(tmp_path / "A.h5")], archive, UNI)


def test_the_encoder_may_be_the_folder_of_a_network(tmp_path: Path) -> None:
    """Named by its folder, the shipped network serves vectors that say the digest of its weights."""
    from histokin.encoders.identity import model_sha
    from histokin.encoders.shipped import WEIGHTS

    spec = encoder().spec
    vector = np.eye(1, spec.dim, dtype=np.float32)[0].tolist()
    file = json_file(tmp_path / "f.json", [{"file": "a.png", "label": "x", "feature": vector}], model_sha(spec.space))
    report = import_features([file], tmp_path / "a", Wanted(named=Named(str(WEIGHTS / "efficientnet-lite0-b14"))))
    assert (report.failed, report.warnings) == ([], [])
    answer = Archive.open(tmp_path / "a").search(np.random.default_rng(0).integers(0, 255, (224, 224, 3), np.uint8))
    assert Path(answer.hits[0].slide).name == "a.png"
    with pytest.raises(EncoderError):
        import_features([file], tmp_path / "b", Wanted(named=Named(str(tmp_path / "no" / "network"))))


def test_names_that_are_no_text(tmp_path: Path) -> None:
    """Of a feature file, and of the slide in it."""
    strange = tmp_path / "S\udcff.h5"
    try:
        slide_file(tmp_path / "plain.h5").rename(strange)
    except OSError:
        pytest.skip("this file system keeps names as text")
    named = slide_file(tmp_path / "B.h5", name=np.bytes_(b"\xff"))
    report = import_features([strange, named, slide_file(tmp_path / "C.h5")], tmp_path / "a", UNI)
    assert report.slides == 1
    assert [failure.reason for failure in report.failed] == [
        "its name is not valid UTF-8",
        "its 'name' is not valid UTF-8",
    ]
    assert all(failure.path.encode() for failure in report.failed)


def test_a_known_model_need_not_be_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its dimension is checked all the same; nothing is downloaded, and the warning says where its weights belong."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("histokin.encoders.weight_files._from_hub", lambda _: pytest.fail("went to the network"))
    (failure,) = import_features([slide_file(tmp_path / "A.h5")], tmp_path / "a", Wanted(named=Named("uni"))).failed
    assert failure.reason == "its features have 4 numbers, encoder 'uni' makes 1024"
    report = import_features([slide_file(tmp_path / "A.h5", dim=1024)], tmp_path / "a", Wanted(named=Named("uni")))
    assert report.slides == 1
    assert "'uni'" in report.warnings[0]
    assert "not available here" in report.warnings[0]
    with pytest.raises(EncoderError, match="made by encoder 'uni', which is not available here"):
        Archive.open(tmp_path / "a").search(PatchQuery(np.full((256, 256, 3), 90, np.uint8), 0.5))


def test_a_trained_autoencoder_is_named_with_its_folder(tmp_path: Path) -> None:
    file = json_file(tmp_path / "f.json", [{"file": "a.png", "label": "x", "feature": [1.0, 2.0]}])
    assert import_features([file], tmp_path / "a", Wanted(named=Named("cbmir"))).slides == 1
    assert Archive.open(tmp_path / "a").prepared.encoder.spec.space == "cbmir/0123456789ab"
    with pytest.raises(EncoderError, match="manifest cannot be read"):
        import_features([file], tmp_path / "b", Wanted(named=Named(f"cbmir={tmp_path / 'nothing'}")))
