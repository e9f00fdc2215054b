"""The published JSON feature file: its schema, exact numbers, and files that are broken."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from histokin.archive.store import Store
from histokin.errors import HistokinError, UnreadableFile
from histokin.retrieval.features import json_stream
from histokin.retrieval.features.exporting import export_features
from histokin.retrieval.features.json_features import JsonFile
from histokin.retrieval.features.json_stream import members

MakeArchive = Callable[..., Path]
ITEM = '{"file": "a.png", "label": "x", "feature": [1.5, 2.0]}'


def document(items: str = ITEM, **head: Any) -> str:
    fields = {"version": 1, "model_sha": "0123456789ab", "latent_dim": 2, **head}
    return json.dumps(fields)[:-1] + f', "items": [{items}]}}'


def read(folder: Path, text: str | bytes) -> JsonFile:
    file = folder / "features.json"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return JsonFile(file)


def vectors_of(file: JsonFile) -> np.ndarray:
    return np.concatenate([chunk.vectors for chunk in file.chunks()])


def test_the_schema_is_the_published_one(make_archive: MakeArchive, tmp_path: Path) -> None:
    report = export_features(make_archive(count=3), tmp_path / "out.json")
    document = json.loads((tmp_path / "out.json").read_text())
    assert list(document) == ["version", "model_sha", "latent_dim", "items"]
    assert (document["version"], document["model_sha"], document["latent_dim"]) == (1, "0123456789ab", 48)
    assert [list(item) for item in document["items"]] == [["file", "label", "feature"]] * 3
    assert [item["file"] for item in document["items"]] == [f"/pictures/{'aba'[i]}/{i}.png" for i in range(3)]
    assert [item["label"] for item in document["items"]] == ["a", "b", "a"]
    assert (report.files, report.slides, report.patches, report.dim) == (1, 3, 3, 48)
    assert report.bytes == (tmp_path / "out.json").stat().st_size


def test_patches_of_slides_have_their_place_and_scale_in_addition(make_archive: MakeArchive, tmp_path: Path) -> None:
    export_features(make_archive(slides=True, count=2, patches=2), tmp_path / "out.json")
    items = json.loads((tmp_path / "out.json").read_text())["items"]
    assert [[item[key] for key in ("x", "y", "width", "height", "mpp")] for item in items[:2]] == [
        [0, 0, 448, 448, 0.25],
        [5, 7, 448, 448, 0.25],
    ]
    file = JsonFile(tmp_path / "out.json")
    assert [(entry.file, entry.patches, entry.side, entry.reach) for entry in file.entries] == [
        ("/pictures/S0.svs", 2, 448, (5, 7)),
        ("/pictures/S1.svs", 2, 448, (5, 7)),
    ]
    assert np.concatenate([chunk.boxes for chunk in file.chunks()]).tolist() == [[0, 0, 448, 448], [5, 7, 448, 448]] * 2


def test_numbers_come_back_bit_by_bit(make_archive: MakeArchive, tmp_path: Path) -> None:
    """Powers of two down to the subnormals, neighbors of rounding limits, negative zero."""
    tiny = np.float32(2.0) ** np.arange(-149, 60, 5, dtype=np.float32)
    odd = np.nextafter(tiny, np.float32(np.inf))
    values = np.concatenate([tiny, odd, -tiny, [-0.0, 0.1, 1 / 3]]).astype(np.float32)
    archive = make_archive(count=1, dim=len(values), vectors=values[None])
    export_features(archive, tmp_path / "out.json")
    back = vectors_of(JsonFile(tmp_path / "out.json"))
    assert back.tobytes() == values.tobytes()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    values=arrays.arrays(
        np.float32, st.tuples(st.integers(1, 5), st.integers(1, 7)), elements=st.floats(-(2.0**59), 2.0**59, width=32)
    )
)
def test_any_numbers_come_back_bit_by_bit(values: np.ndarray, tmp_path: Path) -> None:
    items = ",".join(
        json.dumps({"file": f"{i}.png", "label": None, "feature": row.tolist()}) for i, row in enumerate(values)
    )
    back = vectors_of(read(tmp_path, document(items, latent_dim=values.shape[1])))
    assert back.tobytes() == values.tobytes()


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    head=st.dictionaries(st.text(max_size=4), st.integers() | st.text(max_size=5) | st.none(), max_size=3),
    items=st.lists(st.recursive(st.text(max_size=5) | st.floats(allow_nan=False, allow_infinity=False), st.lists)),
    piece=st.integers(1, 9),
    first=st.booleans(),
)
def test_read_in_pieces_as_read_whole(
    head: dict[str, Any], items: list[Any], piece: int, first: bool, tmp_path: Path
) -> None:
    whole = {"items": items, **head} if first else {**head, "items": items}
    (tmp_path / "doc.json").write_text(json.dumps(whole, indent=piece % 3, ensure_ascii=False), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_stream, "PIECE", piece)
        found = list(members(tmp_path / "doc.json", "items"))
    assert [value for key, value in found if key == "items"] == whole["items"]
    assert {key: value for key, value in found if key != "items"} == {k: v for k, v in head.items() if k != "items"}


def test_items_may_come_first_and_other_keys_are_passed_over(tmp_path: Path) -> None:
    text = f'\ufeff {{"items": [{ITEM}], "note": {{"by": [1]}}, "latent_dim": 2, "version": 1}}'
    file = read(tmp_path, text)
    assert file.head.model_sha is None
    assert file.entries[0].label == "x"
    assert vectors_of(file).tolist() == [[1.5, 2.0]]


def test_an_image_without_label_is_of_no_class(tmp_path: Path) -> None:
    file = read(tmp_path, document('{"file": "a", "feature": [1, 2]}, {"file": "b", "label": "", "feature": [1, 2]}'))
    assert [entry.label for entry in file.entries] == [None, None]


BROKEN: dict[str, tuple[str | bytes, str]] = {
    "cut off": (document()[:-9], "ends in the middle|not valid JSON"),
    "empty": ("", "ends in the middle"),
    "a list": ("[1]", "not a JSON object"),
    "not text": (b"\xff\xfe\x00", "not UTF-8"),
    "more after the end": (document() + "{}", "more after its end"),
    "a key twice": (document()[:-1] + ', "items": []}', "twice"),
    "no version": (document(version=None), "version is None"),
    "later version": (document(version=2), "version is 2"),
    "no items": ('{"version": 1, "model_sha": "0123456789ab", "latent_dim": 2}', "holds no features"),
    "no dimension": (document(latent_dim="2"), "latent_dim"),
    "another dimension": (document(latent_dim=48), "says latent_dim 48, its features have 2 numbers"),
    "sha is no text": (document(model_sha=5), "model_sha"),
    "ragged": (document(ITEM + ', {"file": "b", "label": "x", "feature": [1.0]}'), "item 1 has 1 features"),
    "NaN": (document(ITEM.replace("1.5", "NaN")), "NaN"),
    "infinity": (document(ITEM.replace("1.5", "-Infinity")), "Infinity"),
    "too large": (document(ITEM.replace("1.5", "1e39")), "not finite, or too large"),
    "far too large": (document(ITEM.replace("1.5", "1" + "0" * 400)), "too large for float32"),
    "endless number": (document(ITEM.replace("1.5", "1" * 5000)), "not valid JSON"),
    "a length that overflows": (document(ITEM.replace("1.5", "1e30")), "not finite, or too large"),
    "text for a number": (document(ITEM.replace("1.5", '"1.5"')), "list of numbers"),
    "true for a number": (document(ITEM.replace("1.5", "true")), "list of numbers"),
    "nested": (document(ITEM.replace("1.5", "[" * 100_000)), "not valid JSON"),
    "no feature": (document('{"file": "a", "label": "x"}'), "no 'feature'"),
    "no file": (document('{"label": "x", "feature": [1, 2]}'), "'file' of item 0"),
    "half a character": (document(ITEM.replace("a.png", "\\ud800")), "not valid UTF-8"),
    "a name with NUL": (document(ITEM.replace("a.png", "a\\u0000b")), "no name"),
    "an image twice": (document(f"{ITEM}, {ITEM}"), "without a place in it"),
    "an image again": (document(f"{ITEM}, {ITEM.replace('a.png', 'b')}, {ITEM}"), "not beside it"),
    "a place in words": (document(ITEM[:-1] + ', "x": "left"}'), "not x, y, width, height"),
    "a negative place": (document(ITEM[:-1] + ', "x": -1, "y": 0, "width": 1, "height": 1}'), "not x, y, width"),
    "no scale": (document(ITEM[:-1] + ', "mpp": 0}'), "no positive number"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_file_is_named_with_the_cause(kind: str, tmp_path: Path) -> None:
    text, cause = BROKEN[kind]
    with pytest.raises(HistokinError, match=cause) as caught:
        read(tmp_path, text)
    assert caught.value.path == str(tmp_path / "features.json")
    assert caught.value.remedy


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="no such file"):
        JsonFile(tmp_path / "absent.json")


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 160), noise=st.binary(max_size=3))
def test_damage_anywhere_is_refused_or_harmless(place: int, noise: bytes, tmp_path: Path) -> None:
    data = document(ITEM + ", " + ITEM.replace("a.png", "b.png")).encode()
    try:
        file = read(tmp_path, data[:place] + noise + data[place + len(noise) :])
    except HistokinError:
        return
    assert np.isfinite(vectors_of(file)).all()


def test_a_long_value_is_not_taken_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_stream, "LARGEST_VALUE", 1000)
    monkeypatch.setattr(json_stream, "PIECE", 100)
    with pytest.raises(UnreadableFile, match="far too long"):
        read(tmp_path, document(ITEM.replace("a.png", "a" * 5000)))


def test_an_archive_of_unusable_vectors_cannot_be_made(make_archive: MakeArchive) -> None:
    """So NaN cannot get into a file either."""
    with pytest.raises(HistokinError, match="without a finite length"):
        make_archive(count=1, dim=2, vectors=np.array([[1.0, np.nan]], np.float32))


def test_an_export_that_fails_leaves_the_old_file(
    make_archive: MakeArchive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive, out = make_archive(), tmp_path / "folder" / "out.json"
    out.parent.mkdir()
    out.write_text("old")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("histokin.retrieval.features.json_features._outgoing", fail)
        with pytest.raises(HistokinError, match="no space left"):
            export_features(archive, out)
    assert out.read_text() == "old"
    assert list(out.parent.iterdir()) == [out]
    export_features(archive, out)
    assert len(JsonFile(out).entries) == len(Store.open(archive).sources())
