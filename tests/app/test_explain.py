"""``histokin search --explain``: the page's section, its pictures, and the numbers."""

import base64
import json
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result

from histokin.app.cli import cli
from histokin.app.pages.explain_colors import ALIKE, APART, legend_stops, overlay
from histokin.app.pages.explain_map import COLORS, draw_latent, label_groups
from histokin.nets.manifest import file_digest
from histokin.retrieval.explaining.latent import LatentMap
from histokin.retrieval.explaining.occlusion import WINDOWS


def run(*args: object) -> Result:
    return CliRunner().invoke(cli, [str(arg) for arg in args])


@pytest.fixture(scope="module")
def archive(tile_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("explain") / "archive"
    made = run("index", tile_set, "-a", folder, "--encoder", "color-histogram", "--normalizer", "macenko")
    assert made.exit_code == 0, made.output
    return folder


def decoded(uri: str) -> Any:
    return cv2.imdecode(np.frombuffer(base64.b64decode(uri), np.uint8), cv2.IMREAD_COLOR)


def test_the_page_has_maps_and_a_plane_and_stays_self_contained(archive: Path, tile_set: Path, tmp_path: Path) -> None:
    page = tmp_path / "why.html"
    query = tile_set / "fine" / "fine_00.png"
    result = run("search", "-a", archive, "--image", query, "-k", 3, "--explain", "--html", page)
    assert result.exit_code == 0, result.output
    text = page.read_text()
    assert not re.search(r"(src|href)=.?https?:", text)
    pictures = re.findall(r"data:image/png;base64,([^\"]+)", text)
    assert len(pictures) == 2 * 3 + 1
    assert all(decoded(picture) is not None for picture in pictures)
    for words in (
        "Why these hits",
        "makes them alike",
        "sets them apart",
        "This picture can mislead",
        "% of the variance",
    ):
        assert words in text
    assert "what the autoencoder keeps" not in text


def test_without_it_the_page_is_as_before(archive: Path, tile_set: Path, tmp_path: Path) -> None:
    page = tmp_path / "plain.html"
    assert run("search", "-a", archive, "--image", tile_set / "fine" / "fine_00.png", "--html", page).exit_code == 0
    assert "Why these hits" not in page.read_text()


def test_json_has_the_grids(archive: Path, tile_set: Path) -> None:
    query = tile_set / "coarse" / "coarse_02.png"
    result = run("search", "-a", archive, "--image", query, "-k", 12, "--explain", "--json")
    assert result.exit_code == 0, result.output
    why = json.loads(result.stdout)["explanation"]
    assert [pair["hit"] for pair in why["pairs"]] == list(range(1, 11))
    assert all(np.array(pair["query"]["windows"]).shape == (WINDOWS, WINDOWS) for pair in why["pairs"])
    assert (why["cells"], why["window"]) == (7, 2)


def test_it_needs_somewhere_to_say_it(archive: Path, tile_set: Path) -> None:
    result = run("search", "-a", archive, "--image", tile_set / "fine" / "fine_00.png", "--explain")
    assert result.exit_code == 2
    assert "--html" in result.output


def write_autoencoder(folder: Path) -> Path:
    """Half the brightness as reconstruction; the mean of each channel as features."""
    onnx = pytest.importorskip("onnx")
    helper, kinds = onnx.helper, onnx.TensorProto
    folder.mkdir()
    image = helper.make_tensor_value_info("image", kinds.FLOAT, ["n", 3, 64, 64])

    def save(name: str, nodes: list[Any], out: Any, constants: list[Any]) -> None:
        graph = helper.make_graph(nodes, name, [image], [out], constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        onnx.save(model, folder / name)

    half = helper.make_tensor("half", kinds.FLOAT, [], [0.5])
    remade = helper.make_tensor_value_info("reconstruction", kinds.FLOAT, ["n", 3, 64, 64])
    save("autoencoder.onnx", [helper.make_node("Mul", ["image", "half"], ["reconstruction"])], remade, [half])
    features = helper.make_tensor_value_info("features", kinds.FLOAT, ["n", 3])
    mean = helper.make_node("ReduceMean", ["image"], ["features"], axes=[2, 3], keepdims=0)
    save("encoder.onnx", [mean], features, [])
    about = {"name": "half", "file": "encoder.onnx", "sha256": file_digest(folder / "encoder.onnx")}
    (folder / "encoder.json").write_text(json.dumps({**about, "input_px": 64, "dim": 3}))
    return folder


def test_an_autoencoder_shows_what_it_keeps(tile_set: Path, tmp_path: Path) -> None:
    folder = write_autoencoder(tmp_path / "half")
    archive, page = tmp_path / "archive", tmp_path / "why.html"
    made = run("index", tile_set / "fine", "-a", archive, "--encoder", f"onnx={folder}")
    assert made.exit_code == 0, made.output
    query = tile_set / "fine" / "fine_00.png"
    result = run("search", "-a", archive, "--image", query, "-k", 2, "--explain", "--html", page, "--json")
    assert result.exit_code == 0, result.output
    text = page.read_text()
    assert text.count("made again by the autoencoder") == 4
    assert "what the autoencoder keeps" in text
    level = float(np.asarray(cv2.imread(str(query))).mean())
    error = json.loads(result.stdout)["explanation"]["pairs"][0]["query"]["reconstruction_error"]
    assert error == pytest.approx(level / 2, abs=2)


def test_colors_follow_sign_and_size() -> None:
    image = np.full((224, 224, 3), 255, np.uint8)
    grid = np.zeros((WINDOWS, WINDOWS))
    grid[0, 0], grid[-1, -1] = 1.0, -1.0
    drawn = overlay(image, grid, 1.0).astype(int)
    assert np.abs(drawn[0, 0] - np.array(ALIKE)).sum() < np.abs(255 - np.array(ALIKE)).sum() / 3
    assert np.abs(drawn[-1, -1] - np.array(APART)).sum() < np.abs(255 - np.array(APART)).sum() / 3
    assert drawn[112, 112].tolist() == [255, 255, 255]
    faint = overlay(image, grid, 4.0).astype(int)
    assert (np.abs(255 - faint[0, 0]).sum()) < np.abs(255 - drawn[0, 0]).sum()
    np.testing.assert_array_equal(overlay(image, np.zeros((WINDOWS, WINDOWS)), 0.0), 255)


def test_the_legend_runs_from_apart_to_alike() -> None:
    stops = [tuple(map(int, re.findall(r"\d+", stop))) for stop in legend_stops()]
    middle = stops[len(stops) // 2]
    assert len(set(middle)) == 1
    assert stops[0][2] > stops[0][0]
    assert stops[-1][0] > stops[-1][2]


def test_frequent_labels_have_colors_and_the_rest_share_gray() -> None:
    labels = [f"label {n}" for n in range(20) for _ in range(20 - n)] + [None] * 50
    groups = label_groups(labels)
    assert list(groups) == [f"label {n}" for n in range(len(COLORS))]
    assert len(set(groups.values())) == len(COLORS)


@pytest.mark.parametrize("count", [1, 300])
def test_the_plane_is_drawn_for_few_and_many_patches(count: int) -> None:
    rng = np.random.default_rng(0)
    labels = tuple(None if n % 3 == 0 else f"_$\\bad{{{n % 15}$ {'long' * 9}" for n in range(count))
    place = rng.standard_normal((count, 2))
    latent = LatentMap(place, labels, place[:1], place[:1], (1,), (0.5, 0.1), 0.4, count)
    png = draw_latent(latent)
    image: Any = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
    assert image.shape[0] > 300
    assert draw_latent(latent) == png
