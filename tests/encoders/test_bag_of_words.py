"""Bag of words: counts by hand, the encoder's contract, and the folder it is kept in."""

import json
import sys
from pathlib import Path
from typing import final

import cv2
import numpy as np
import pytest

from histokin.encoders.bag_of_words import BagEncoder, BagOfWords
from histokin.encoders.base import LocalFeatures, Points
from histokin.encoders.local import LOCAL, local_features
from histokin.encoders.registry import chosen, encoder
from histokin.encoders.sift import Sift
from histokin.encoders.surf import DenseSurf
from histokin.errors import EncoderError, UnknownName, UsageError
from histokin.testing.encoders import check_company, check_input_untouched, check_plain_images, check_shape, check_spec
from histokin.types import Image


@final
class Pairs(LocalFeatures):
    """Every pixel is a point: (value, 0); strength is the value."""

    name, space, dim = "pairs", "pairs/1", 2

    def describe(self, image: Image) -> Points:
        values = image[..., 0].astype(np.float32).ravel()
        y, x = (part.ravel() for part in np.indices(image.shape[:2]))
        xy = np.stack([x, y], axis=1).astype(np.float32)
        return Points(xy, np.stack([values, np.zeros_like(values)], axis=1), values)


def _gray(values: list[list[int]]) -> Image:
    return np.array(values, np.uint8)[..., None]


def _tissue(seed: int, size: int = 96) -> Image:
    noise = np.random.default_rng(seed).uniform(0, 1, (size, size)).astype(np.float32)
    smooth = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 1.0 + seed % 3), None, 0, 255, cv2.NORM_MINMAX)
    out: Image = np.repeat(smooth.astype(np.uint8)[..., None], 3, axis=2)
    return out


@pytest.fixture(scope="module")
def bag() -> BagEncoder:
    """Learned from six textures."""
    return BagOfWords(DenseSurf(widths=(32,)), words=40, seed=1).fit([_tissue(seed) for seed in range(6)])


def test_counts_by_hand() -> None:
    """Words at 0, 10 and 100: 4 and 5 are nearer to the first, 6 to the second."""
    toy = BagEncoder(Pairs(), np.array([[0, 0], [10, 0], [100, 0]], np.float32))
    images = [_gray([[0, 4, 6], [10, 99, 255]]), _gray([[200, 200]]), _gray([[5]])]
    expected = [[2, 2, 2], [0, 0, 2], [1, 0, 0]]
    np.testing.assert_array_equal(toy.encode(images), expected)
    counts = toy.counts(images)
    np.testing.assert_array_equal(counts.toarray(), expected)
    assert counts.dtype == np.float32
    assert counts.has_canonical_format
    assert counts.nnz == 5
    np.testing.assert_array_equal(toy.words(images[0]), [0, 0, 1, 1, 2, 2])


def test_the_order_of_pixels_changes_no_count() -> None:
    toy = BagEncoder(Pairs(), np.array([[0, 0], [128, 0], [255, 0]], np.float32))
    image = np.random.default_rng(0).integers(0, 256, (9, 11, 1), dtype=np.uint8)
    shuffled = np.random.default_rng(1).permutation(image.reshape(-1)).reshape(11, 9, 1)
    np.testing.assert_array_equal(toy.encode([image]), toy.encode([shuffled]))


def test_the_weakest_fifth_is_not_learned_from_but_counted() -> None:
    """Values 0 and 1 are a fifth of all pixels; no word of ten is one of them."""
    image = _gray([[0, 20, 30, 40, 50], [1, 60, 70, 80, 90]])
    fitted = BagOfWords(Pairs(), words=10).fit([image])
    assert sorted(fitted.vocabulary[:, 0].tolist()) == [20, 30, 40, 50, 60, 70, 80, 90]
    assert fitted.learned["descriptors"] == 10
    assert fitted.encode([image]).sum() == 10
    everything = BagOfWords(Pairs(), words=10, strongest=1.0).fit([image])
    assert len(everything.vocabulary) == 10


def test_the_strongest_are_those_of_all_images_together() -> None:
    fitted = BagOfWords(Pairs(), words=20, strongest=0.5).fit([_gray([[1, 2, 3]]), _gray([[7, 8, 9]])])
    assert sorted(fitted.vocabulary[:, 0].tolist()) == [7, 8, 9]


def test_learning_from_many_images_holds_a_sample_of_them() -> None:
    """Of 40 images of 100 pixels, 2 words of at most 5 descriptors are learned from 10, drawn over all images."""
    images = [np.full((10, 10, 1), value, np.uint8) for value in range(40)]
    fitted = BagOfWords(Pairs(), words=2, strongest=1.0, per_word=5).fit(images)
    assert fitted.learned["descriptors"] == 4000
    assert fitted.learned["used"] == 10
    assert fitted.vocabulary[:, 0].max() - fitted.vocabulary[:, 0].min() > 5


def test_contract(bag: BagEncoder) -> None:
    for check in (check_spec, check_shape, check_plain_images, check_company, check_input_untouched):
        check(bag)
    assert bag.spec.kind == "counts"
    assert bag.spec.metric == "cosine"
    wrong: list[Image] = [np.zeros((8, 8, 4), np.uint8), np.zeros((8, 8, 3), np.float32)]
    for image in wrong:
        with pytest.raises(EncoderError, match="cannot be described"):
            bag.encode([image])


def test_the_sparse_form_is_the_dense_one(bag: BagEncoder) -> None:
    images = [_tissue(9), _tissue(10, 64)[..., :1], np.zeros((40, 40, 1), np.uint8)]
    counts = bag.counts(images)
    np.testing.assert_array_equal(counts.toarray(), bag.encode(images))
    np.testing.assert_array_equal(counts.sum(axis=1).A1, [144, 64, 25])
    assert bag.counts([]).shape == (0, 40)


def test_images_without_points_count_nothing() -> None:
    fitted = BagOfWords(Sift(), words=8).fit([_tissue(0, 200)])
    assert not fitted.encode([np.zeros((64, 64, 3), np.uint8)]).any()
    assert fitted.counts([np.zeros((64, 64, 3), np.uint8)]).nnz == 0
    with pytest.raises(UsageError, match="nothing to describe"):
        BagOfWords(Sift(), words=8).fit([np.zeros((64, 64, 3), np.uint8)])


def test_saving_and_loading_keeps_everything(bag: BagEncoder, tmp_path: Path) -> None:
    folder = bag.save(tmp_path / "a" / "bag")
    again = BagEncoder.load(folder)
    assert again.spec == bag.spec
    assert again.learned == bag.learned
    np.testing.assert_array_equal(again.encode([_tissue(3)]), bag.encode([_tissue(3)]))
    name, options = chosen(f"bag-of-words={folder}")
    assert encoder(name, **options).spec == bag.spec
    # Saving over an older one leaves one whole vocabulary.
    other = BagOfWords(DenseSurf(step=16), words=5).fit([_tissue(0)])
    assert BagEncoder.load(other.save(folder)).spec == other.spec != bag.spec


def test_the_space_holds_what_was_learned_and_from_which_features() -> None:
    images = [_tissue(0), _tissue(1)]
    features = (DenseSurf(), DenseSurf(upright=False), DenseSurf(step=16))
    spaces = {BagOfWords(one, words=5).fit(images).spec.space for one in features}
    spaces |= {BagOfWords(DenseSurf(), words=5, seed=seed).fit(images).spec.space for seed in (0, 1)}
    assert len(spaces) == 4


def test_damaged_folders_are_refused_by_name(bag: BagEncoder, tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match=r"bag\.json: the manifest cannot be read"):
        BagEncoder.load(tmp_path)
    folder = bag.save(tmp_path)
    manifest = json.loads((folder / "bag.json").read_text())

    def broken(text: str) -> None:
        (folder / "bag.json").write_text(text)

    for change, reason in (
        ({"kind": "other"}, "not that of a bag"),
        ({"version": 9}, "version 9"),
        ({"words": "many"}, "lacks words"),
        ({"sha256": "0" * 64}, "digest"),
        ({"dim": 3}, "the manifest says"),
        ({"features_space": "surf/other"}, "was learned on features of surf/other"),
    ):
        broken(json.dumps({**manifest, **change}))
        with pytest.raises(EncoderError, match=reason) as caught:
            BagEncoder.load(folder)
        assert caught.value.path
        assert caught.value.remedy
    broken("not json")
    with pytest.raises(EncoderError, match="not JSON"):
        BagEncoder.load(folder)
    bag.save(tmp_path)
    (folder / "vocabulary.npy").unlink()
    with pytest.raises(EncoderError, match="cannot be read"):
        BagEncoder.load(folder)
    (tmp_path / "file").write_text("")
    with pytest.raises(EncoderError, match="cannot be written"):
        bag.save(tmp_path / "file")


def test_wrong_vocabularies_and_options_are_refused() -> None:
    with pytest.raises(EncoderError, match="is none for pairs"):
        BagEncoder(Pairs(), np.zeros((4, 3), np.float32))
    with pytest.raises(UsageError, match="0 words"):
        BagOfWords(Pairs(), words=0)
    with pytest.raises(UsageError, match="strongest 0"):
        BagOfWords(Pairs(), strongest=0.0)


def test_missing_packages_are_named_with_their_extra(bag: BagEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(EncoderError, match=r"faiss.*histokin\[subimage\]"):
        BagOfWords(Pairs()).fit([_gray([[1]])])
    monkeypatch.setitem(sys.modules, "scipy", None)
    with pytest.raises(EncoderError, match=r"scipy.*histokin\[subimage\]"):
        bag.counts([_tissue(0)])
    assert bag.encode([_tissue(0)]).shape == (1, 40)


def test_local_features_by_name() -> None:
    for name in ("krawtchouk", "sift", "surf", "surf-oriented"):
        features = local_features(name)
        assert features.name == name
        again = local_features(name, **json.loads(json.dumps(features.options)))
        assert again.space == features.space
        points = features.describe(_tissue(1))
        assert points.descriptors.shape == (len(points), features.dim)
    assert "resnet152-channels" in LOCAL.names()
    with pytest.raises(UnknownName, match="Did you mean 'surf'"):
        local_features("surv")
    with pytest.raises(UsageError, match="no option pace"):
        local_features("surf", pace=3)


def test_turned_and_shifted_tissue_is_told_apart(shared_data: Path) -> None:
    """Within one modality: the counts of a shifted image are nearer to its own than to any other image's."""
    files = sorted((shared_data / "bf-shg" / "he_aligned_derived").iterdir())[:6]
    images = [np.asarray(cv2.imread(str(file)), np.uint8)[:256, :256, ::-1].copy() for file in files]
    bag = BagOfWords(DenseSurf(widths=(32, 64)), words=1000).fit(images)
    moved = [np.roll(image, (8, -5), axis=(0, 1)) for image in images]
    one, other = bag.encode(images).astype(float), bag.encode(moved).astype(float)
    one, other = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (one, other))
    np.testing.assert_array_equal((other @ one.T).argmax(axis=1), np.arange(6))
