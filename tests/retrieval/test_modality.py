"""Archives and queries of several microscopes: what is comparable, and what is refused."""

import json
import os
from pathlib import Path
from typing import Any, final

import cv2
import numpy as np
import pytest

from histokin.archive.store import Store
from histokin.encoders.bag_of_words import BagEncoder
from histokin.encoders.registry import encoder
from histokin.encoders.surf import DenseSurf
from histokin.errors import (
    ArchiveBusy,
    ArchiveError,
    EncoderError,
    NotComparable,
    UnsupportedFormat,
    UsageError,
)
from histokin.modality.base import Representation
from histokin.retrieval.answer import Answer
from histokin.retrieval.archive import Archive
from histokin.retrieval.estimate import estimate
from histokin.retrieval.features.exporting import export_features
from histokin.retrieval.forms import EightBits, as_rgb, resampled
from histokin.retrieval.learning import fittable, needs_learning
from histokin.retrieval.queries import PatchQuery, RegionQuery, SlideQuery
from histokin.retrieval.recipe import Prepared, Recipe
from histokin.slides.grid import Grid
from histokin.stain.registry import normalizer
from histokin.types import Image, ImageMap, Mapped, Region, Status

PLAIN = Recipe(encoder="color-histogram")
BAG: dict[str, Any] = {"words": 100}


def read(path: Path, how: int = cv2.IMREAD_COLOR) -> Any:
    """The pixels of a file as OpenCV gives them."""
    image = cv2.imread(str(path), how)
    assert image is not None
    return image


@final
class Inverted(ImageMap):
    """Brightfield turned into what the other microscope shows: gray, dark where it is bright."""

    def __init__(self, modality: str) -> None:
        self.modality = modality

    @property
    def space(self) -> str:
        return "bridge/1"

    def apply(self, image: Image) -> tuple[Mapped, Status]:
        values = image[..., :1] if self.modality == "glow" else 255 - image[..., :1]
        return np.ascontiguousarray(values if image.dtype == np.uint8 else values // 257).astype(np.uint8), Status()

    def to_dict(self) -> dict[str, Any]:
        return {"method": "bridge", "modality": self.modality}


@final
class Bridge(Representation):
    name = "bridge"

    @property
    def space(self) -> str:
        return "bridge/1"

    @property
    def modalities(self) -> tuple[str, ...]:
        return ("brightfield", "glow")

    def _map(self, modality: str) -> ImageMap:
        return Inverted(modality)

    def to_dict(self) -> dict[str, Any]:
        return {"name": self.name, "options": {}}


def bridged(path: Path, modality: str = "brightfield") -> Archive:
    made = encoder("color-histogram")
    prepared = Prepared(Grid(), normalizer("none"), made, "color-histogram", {}, True, modality, Bridge())
    spec = made.spec
    return Archive(Store.create(path, prepared.to_dict(), dim=spec.dim, metric=spec.metric), prepared)


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """Six brightfield pictures (gray as RGB) of different darkness, and the same in 16 bits from elsewhere."""
    random = np.random.default_rng(5)
    for name in ("bright", "glow"):
        (tmp_path / name).mkdir()
    for i in range(6):
        shade = (random.integers(0, 30, (60, 80)) + 35 * i).astype(np.uint8)
        assert cv2.imwrite(str(tmp_path / "bright" / f"{i}.png"), np.repeat(shade[..., None], 3, axis=2))
        assert cv2.imwrite(str(tmp_path / "glow" / f"{i}.png"), (255 - shade).astype(np.uint16) * 257)
    return tmp_path


def first(answer: Answer) -> str:
    return Path(answer.hits[0].slide).name


def test_a_recipe_without_modality_is_as_before() -> None:
    prepared = PLAIN.prepare()
    assert sorted(prepared.to_dict()) == ["appearance", "crops", "encoder", "grid"]
    assert sorted(prepared.to_dict()["encoder"]) == sorted([*prepared.encoder.spec.to_dict(), "registered", "options"])
    assert not prepared.whole
    assert (prepared.modality, prepared.representation) == ("brightfield", None)
    same = normalizer("none").fit([])
    assert prepared.mapping(same) is same


def test_a_picture_of_another_microscope_finds_its_brightfield_twin(pairs: Path, tmp_path: Path) -> None:
    archive = bridged(tmp_path / "a")
    report = archive.index(pairs / "bright")
    assert (report.slides, report.patches, report.failed) == (6, 6, [])
    for i in range(6):
        answer = archive.search(PatchQuery(pairs / "glow" / f"{i}.png", modality="glow"), k=3)
        assert first(answer) == f"{i}.png"
        assert answer.hits[0].distance == pytest.approx(0, abs=1e-6)
        assert answer.query.region == Region(0, 0, 80, 60)
        assert answer.to_dict()["query"]["modality"] == "glow"
        assert answer.seen is not None
        assert answer.seen.picture.dtype == np.uint16
        assert answer.seen.picture.shape == (60, 80, 1)
        assert answer.seen.mapped.shape == (60, 80, 1)
    deep = read(pairs / "glow" / "3.png", cv2.IMREAD_UNCHANGED)[..., None]
    assert first(archive.search(PatchQuery(deep, modality="glow"))) == "3.png"
    region = archive.search(RegionQuery(pairs / "glow" / "2.png", Region(10, 10, 50, 40), modality="glow"))
    assert first(region) == "2.png"


def test_an_archive_of_another_microscope(pairs: Path, tmp_path: Path) -> None:
    archive = bridged(tmp_path / "a", "glow")
    report = archive.index(pairs / "glow")
    assert (report.slides, report.failed, report.warnings) == (6, [], [])
    assert archive.searcher().snapshot.tissue.tolist() == [1.0] * 6
    answer = archive.search(PatchQuery(pairs / "bright" / "4.png", modality="brightfield"))
    assert first(answer) == "4.png"
    assert archive.store.crops(np.arange(6))[0]
    # The archive's own image is known by its content and left out.
    own = archive.search(pairs / "glow" / "4.png", k=6)
    assert "4.png" not in [Path(hit.slide).name for hit in own.hits]
    with pytest.raises(NotComparable, match="a slide is read as brightfield, the archive holds glow"):
        archive.search(SlideQuery(_slide(tmp_path)))
    refused = archive.index(_slide(tmp_path))
    assert "a slide is read as brightfield" in refused.failed[0].reason


def _slide(folder: Path) -> Path:
    import tifffile

    path = folder / "slide.tif"
    tifffile.imwrite(path, np.full((300, 300, 3), 200, np.uint8), tile=(128, 128), photometric="rgb")
    return path


def test_dark_pictures_are_judged_by_no_brightfield_rule(tmp_path: Path) -> None:
    (tmp_path / "dark").mkdir()
    dark = np.zeros((64, 64), np.uint8)
    cv2.imwrite(str(tmp_path / "dark" / "nothing.png"), dark)
    dark[20:22, 20:22] = 9  # blank to a rule made for stained tissue
    cv2.imwrite(str(tmp_path / "dark" / "fibre.png"), dark)
    archive = Archive.create(tmp_path / "a", Recipe(encoder="color-histogram", modality="shg"))
    report = archive.index(tmp_path / "dark")
    assert report.slides == 1
    assert [(Path(f.path).name, f.reason) for f in report.failed] == [("nothing.png", "the image is blank")]


def test_one_channel_is_not_taken_for_brightfield(pairs: Path, tmp_path: Path) -> None:
    archive = bridged(tmp_path / "a")
    archive.index(pairs / "bright")
    with pytest.raises(UnsupportedFormat, match="it has one channel, and brightfield images have three") as caught:
        archive.search(pairs / "glow" / "1.png")
    assert "--modality" in caught.value.remedy
    report = archive.index(pairs / "glow")
    assert len(report.failed) == 6
    assert "one channel" in report.failed[0].reason
    with pytest.raises(NotComparable, match="no 8-bit RGB image"):
        archive.search(np.zeros((64, 64, 1), np.uint16))
    plain = Archive.create(tmp_path / "plain", PLAIN)
    plain.index(pairs / "bright")
    with pytest.raises(NotComparable, match="no 8-bit RGB image"):
        plain.search(np.zeros((64, 64, 1), np.uint8))


def test_what_is_not_comparable_is_refused_with_both_names(pairs: Path, tmp_path: Path) -> None:
    plain = Archive.create(tmp_path / "plain", PLAIN)
    plain.index(pairs / "bright")
    query = PatchQuery(pairs / "glow" / "1.png", modality="shg")
    with pytest.raises(NotComparable, match="the query is shg, the archive holds brightfield") as caught:
        plain.search(query)
    assert "--representation" in caught.value.remedy
    archive = bridged(tmp_path / "a")
    archive.index(pairs / "bright")
    with pytest.raises(NotComparable, match="bridge maps brightfield and glow, not shg"):
        archive.search(query)
    with pytest.raises(NotComparable, match="its scale is known, the archive holds images of unknown scale"):
        archive.search(PatchQuery(pairs / "glow" / "1.png", mpp=0.5, modality="glow"))
    with pytest.raises(UsageError, match="macenko is for brightfield images, the archive's are shg"):
        Recipe(normalizer="macenko", modality="shg").prepare()
    with pytest.raises(NotComparable, match="none maps brightfield and shg, not dapi"):
        Recipe(modality="dapi", representation="none").prepare()
    with pytest.raises(UsageError, match="patches of images, none of them in one piece"):
        plain.search(pairs / "bright" / "1.png", method="paper")


def test_a_representation_that_changed_is_refused(pairs: Path, tmp_path: Path) -> None:
    recipe = Recipe(encoder="color-histogram", representation="none", modality="shg")
    archive = Archive.create(tmp_path / "a", recipe)
    archive.index(pairs / "glow")
    assert Archive.open(tmp_path / "a").prepared.to_dict() == archive.prepared.to_dict()
    assert Archive.open(tmp_path / "a").prepared.modality == "shg"
    file = tmp_path / "a" / "archive.json"
    stored = json.loads(file.read_text())
    stored["recipe"]["representation"]["space"] = "comir/0123"
    file.write_text(json.dumps(stored))
    with pytest.raises(NotComparable, match="made with representation comir/0123, this installation has raw"):
        Archive.open(tmp_path / "a")


def test_raw_pixels_across_microscopes_come_with_a_warning(pairs: Path, tmp_path: Path) -> None:
    archive = Archive.create(tmp_path / "a", Recipe(encoder="color-histogram", representation="none"))
    archive.index(pairs / "bright")
    answer = archive.search(PatchQuery(pairs / "glow" / "0.png", modality="shg"))
    assert any("a comparator, not a method" in warning for warning in answer.warnings)
    assert not archive.search(pairs / "bright" / "0.png").warnings


def test_scaled_pictures_are_brought_to_the_archives_scale(tmp_path: Path) -> None:
    folder = tmp_path / "scaled"
    folder.mkdir()
    small = np.random.default_rng(0).integers(0, 256, (50, 60), np.uint8)
    cv2.imwrite(str(folder / "a.png"), cv2.resize(small, (120, 100), interpolation=cv2.INTER_NEAREST))
    archive = Archive.create(tmp_path / "a", Recipe(encoder="color-histogram", modality="shg"))
    archive.index(folder, mpp=0.25)
    answer = archive.search(PatchQuery(small[..., None], mpp=0.5))
    assert answer.seen is not None
    assert answer.hits[0].region == Region(0, 0, 120, 100)
    assert answer.hits[0].distance == pytest.approx(0, abs=1e-6)
    with pytest.raises(UsageError, match="not inside"):
        archive.search(RegionQuery(folder / "a.png", Region(0, 0, 121, 100), mpp=0.25))
    with pytest.raises(Exception, match="span 2 µm"):
        archive.search(PatchQuery(folder / "a.png", mpp=2.0, modality="shg"))


def test_forms_of_pictures() -> None:
    deep = np.array([[[0], [257], [65535]]], np.uint16)
    assert as_rgb(deep)[0, :, 0].tolist() == [0, 1, 255]
    assert as_rgb(deep).shape == (1, 3, 3)
    assert as_rgb(np.array([[[-1.0, 0.5, 2.0]]], np.float32))[0, 0].tolist() == [0, 128, 255]
    assert EightBits()(deep)[0, :, 0].tolist() == [0, 1, 255]
    assert EightBits()(deep).shape == (1, 3, 1)
    assert resampled(np.zeros((4, 6, 1), np.uint16), 3, 2).shape == (2, 3, 1)


@pytest.fixture(scope="module")
def textures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight pictures of noise of different grain."""
    folder = tmp_path_factory.mktemp("textures") / "noise"
    folder.mkdir()
    random = np.random.default_rng(1)
    for i in range(8):
        small = random.integers(0, 256, (16 + 8 * i, 16 + 8 * i, 3), np.uint8)
        assert cv2.imwrite(str(folder / f"{i}.png"), cv2.resize(small, (160, 128)))
    return folder


def learned(path: Path, textures: Path, **options: Any) -> Archive:
    recipe = Recipe(encoder="bag-of-words", encoder_options={**BAG, **options}, representation="none")
    return Archive.create(path, recipe, learn_from=textures)


def test_a_vocabulary_is_learned_kept_in_the_archive_and_moves_with_it(textures: Path, tmp_path: Path) -> None:
    archive = learned(tmp_path / "a", textures)
    assert archive.prepared.encoder.spec.dim == 100
    report = archive.index(textures)
    assert (report.slides, report.failed) == (8, [])
    assert not [child.name for child in (tmp_path / "a").iterdir() if child.name.startswith(".")]
    stored = json.loads((tmp_path / "a" / "archive.json").read_text())
    assert stored["format"] == 2
    assert stored["recipe"]["encoder"]["options"] == {"path": "learned-encoder"}
    (tmp_path / "a").rename(tmp_path / "b")
    opened = Archive.open(tmp_path / "b")
    assert opened.prepared.digest == archive.prepared.digest
    image = read(textures / "5.png")[..., ::-1]
    answer = opened.search(np.ascontiguousarray(image[:64, :96]))
    assert first(answer) == "5.png"
    assert opened.index(textures).unchanged == 8


def test_counts_are_those_of_the_encoder(textures: Path, tmp_path: Path) -> None:
    archive = learned(tmp_path / "a", textures, features="surf")
    archive.index(textures)
    made = archive.prepared.encoder
    assert isinstance(made, BagEncoder)
    snapshot = archive.searcher().snapshot
    assert snapshot.counts is not None
    for source, row in zip(snapshot.sources, snapshot.counts.matrix().toarray(), strict=True):
        image = np.ascontiguousarray(read(Path(source.path))[..., ::-1])
        assert np.array_equal(row, made.encode([image])[0])


class Killed(BaseException):
    pass


def test_a_creation_with_a_vocabulary_killed_at_any_moment_can_be_repeated(
    textures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from histokin.archive import tables
    from histokin.encoders.bag_of_words import BagOfWords

    few = tmp_path / "few"
    few.mkdir()
    (few / "0.png").write_bytes((textures / "0.png").read_bytes())
    left = 0

    def dying(original: Any) -> Any:
        def call(*args: Any, **options: Any) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                raise Killed
            return original(*args, **options)

        return call

    vocabulary = BagOfWords(DenseSurf(), 20).fit([np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)])
    moment, killed, reused = 0, True, 0
    places = ((os, "fsync"), (Path, "mkdir"), (Path, "replace"), (Path, "rename"), (tables, "make_empty"))
    while killed:
        archive = tmp_path / f"archive{moment}"
        with monkeypatch.context() as patch:
            left = moment
            patch.setattr(BagOfWords, "fit", dying(lambda *_: vocabulary))
            patch.setattr(json, "dumps", dying(json.dumps))
            for owner, name in places:
                patch.setattr(owner, name, dying(getattr(owner, name)))
            try:
                learned(archive, few, words=20)
                killed = False
            except Killed:
                moment += 1
        fits: list[int] = []
        with monkeypatch.context() as patch:
            patch.setattr(BagOfWords, "fit", lambda *_, fits=fits: fits.append(1) or vocabulary)
            whole = (archive / "archive.json").exists()
            again = Archive.open(archive) if whole else learned(archive, few, words=20)
        reused += not whole and not fits
        assert again.prepared.encoder.spec.dim == 20
        assert not list(archive.glob(".*"))
    assert moment > 15
    assert reused > 3  # killed after the vocabulary was there: it was not learned twice


def test_another_vocabulary_replaces_one_that_no_archive_has(
    textures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Store, "create", stop)
        with pytest.raises(Killed):
            learned(tmp_path / "a", textures)
    assert (tmp_path / "a" / "learned-encoder" / "learned-from.json").is_file()
    assert learned(tmp_path / "a", textures, words=50).prepared.encoder.spec.dim == 50


def test_a_folder_of_that_name_that_is_not_ours_is_left_alone(textures: Path, tmp_path: Path) -> None:
    (tmp_path / "a" / "learned-encoder").mkdir(parents=True)
    (tmp_path / "a" / "learned-encoder" / "mine.txt").write_text("x")
    with pytest.raises(ArchiveError, match="is not an empty folder"):
        learned(tmp_path / "a", textures)
    assert (tmp_path / "a" / "learned-encoder" / "mine.txt").read_text() == "x"


def test_two_creations_at_once(textures: Path, tmp_path: Path) -> None:
    from histokin.archive.lock import writer_lock

    (tmp_path / "a").mkdir()
    with writer_lock(tmp_path / "a" / "lock"), pytest.raises(ArchiveBusy):
        learned(tmp_path / "a", textures)


def test_nothing_to_learn_from(tmp_path: Path, textures: Path) -> None:
    recipe = Recipe(encoder="bag-of-words", representation="none")
    assert needs_learning(recipe)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="no loose image to learn a vocabulary from"):
        Archive.create(tmp_path / "a", recipe, learn_from=tmp_path / "empty")
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n garbage")
    with pytest.raises(UsageError, match="none of the images can be read"):
        Archive.create(tmp_path / "a", recipe, learn_from=broken)
    with pytest.raises(UsageError, match="'bag-of-words' has no option colour"):
        fittable("bag-of-words", {"colour": 3})
    archive = learned(tmp_path / "b", textures)
    with pytest.raises(UsageError, match="feature files hold vectors of RGB patches"):
        export_features(archive.store.path, tmp_path / "out.npz")
    assert estimate(archive.prepared, [textures], []).patches == 8


def test_an_encoder_that_does_not_keep_its_word() -> None:
    from histokin.retrieval.recipe import counter

    with pytest.raises(EncoderError, match="counts nothing"):
        counter(encoder("color-histogram"))
