from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image as Pillow

from histokin.errors import NotComparable, NoTissue, TooSmall, UnreadableFile, UsageError
from histokin.modality.none import NoRepresentation
from histokin.retrieval.subimage.locate import Found, locate, outlined
from histokin.retrieval.subimage.placing import Placement
from histokin.types import Region


def tissue(side: int = 320) -> np.ndarray:
    noise = np.random.default_rng(4).normal(size=(side, side, 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 4)
    image: np.ndarray = np.clip(150 + 60 * smooth / smooth.std(), 0, 255).astype(np.uint8)
    return image


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    Pillow.fromarray(tissue()).save(tmp_path / "section.png")
    return tmp_path / "section.png"


def patch(path: Path, x: float, y: float, angle: float, side: int = 96) -> Path:
    matrix = cv2.getRotationMatrix2D((x, y), -angle, 1.0)
    matrix[:, 2] += (side - 1) / 2 - np.array([x, y])
    Pillow.fromarray(cv2.warpAffine(tissue(), matrix, (side, side))).save(path)
    return path


def test_a_turned_patch_is_found(picture: Path, tmp_path: Path) -> None:
    query = patch(tmp_path / "query.png", 140, 180, 112)
    found = locate(query, picture, NoRepresentation(), modality="brightfield")
    assert np.hypot(found.place.x - 140, found.place.y - 180) < 1
    assert found.place.angle == pytest.approx(112, abs=1)
    assert found.place.margin > 0.3
    assert found.to_dict()["corners"][0] == pytest.approx(found.place.corners(96, 96)[0].tolist(), abs=0.01)


def test_a_place_that_is_there_twice_is_doubtful(tmp_path: Path) -> None:
    Pillow.fromarray(np.concatenate([tissue(200), tissue(200)], axis=1)).save(tmp_path / "twice.png")
    Pillow.fromarray(tissue(200)[50:130, 60:140]).save(tmp_path / "query.png")
    found = locate(tmp_path / "query.png", tmp_path / "twice.png", NoRepresentation(), modality="brightfield")
    assert found.place.margin < 0.01
    assert "another place fits nearly as well" in found.warnings[-1]


def test_places_of_a_region_are_those_of_the_whole(picture: Path, tmp_path: Path) -> None:
    query = patch(tmp_path / "query.png", 200, 180, 10)
    found = locate(query, picture, NoRepresentation(), modality="brightfield", region=Region(100, 90, 200, 200))
    assert (found.place.x, found.place.y) == pytest.approx((200, 180), abs=1)
    assert found.picture.shape == (200, 200, 3)


def test_the_query_is_resized_to_the_scale_of_the_picture(picture: Path, tmp_path: Path) -> None:
    large = cv2.resize(tissue()[60:160, 120:220], (200, 200), interpolation=cv2.INTER_CUBIC)
    Pillow.fromarray(large).save(tmp_path / "large.png")
    query = tmp_path / "large.png"
    found = locate(query, picture, NoRepresentation(), modality="brightfield", mpp=0.25, image_mpp=0.5)
    assert (found.width, found.height) == (100, 100)
    assert (found.place.x, found.place.y) == pytest.approx((169.5, 109.5), abs=1)
    assert not found.warnings
    with pytest.raises(NotComparable, match="--in-mpp"):
        locate(query, picture, NoRepresentation(), modality="brightfield", mpp=0.01, image_mpp=0.5)
    one_known = locate(query, picture, NoRepresentation(), modality="brightfield", mpp=0.25)
    assert "scale of the searched picture is unknown" in one_known.warnings[0]


def test_what_cannot_be_located(picture: Path, tmp_path: Path) -> None:
    Pillow.fromarray(np.full((64, 64, 3), 9, np.uint8)).save(tmp_path / "flat.png")
    Pillow.fromarray(tissue(24)).save(tmp_path / "tiny.png")
    none = NoRepresentation()
    with pytest.raises(NoTissue):
        locate(tmp_path / "flat.png", picture, none, modality="brightfield")
    with pytest.raises(TooSmall):
        locate(tmp_path / "tiny.png", picture, none, modality="brightfield")
    with pytest.raises(UnreadableFile):
        locate(tmp_path / "absent.png", picture, none, modality="brightfield")
    with pytest.raises(UsageError, match="no map for images of modality 'mri'"):
        locate(picture, picture, none, modality="mri")
    with pytest.raises(UsageError, match="not within"):
        locate(picture, picture, none, modality="brightfield", region=Region(300, 0, 100, 100))


def test_the_outline_is_drawn_where_the_query_lies() -> None:
    blank = np.full((400, 300, 3), 255, np.uint8)
    found = Found(Placement(0.9, 1150.0, 700.0, 90.0), 100, 60, blank, (1000, 500), "raw")
    drawn = outlined(found)
    # Turned counterclockwise by a quarter its upper edge is on the left, here 30 px from the middle at (150, 200).
    assert drawn[200, 120].tolist() == [220, 30, 30]
    assert drawn[200, 180].tolist() == [255, 214, 10]
    assert drawn[200, 150].tolist() == [255, 255, 255]
    assert outlined(found, 200).shape == (200, 150, 3)
