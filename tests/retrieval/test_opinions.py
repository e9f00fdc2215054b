"""A classifier's word beside the votes of an archive: agreement, disagreement, and what cannot be seen."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from histokin.app.cli import cli
from histokin.app.pages.search_page import render_search_page
from histokin.errors import UsageError
from histokin.retrieval.archive import Archive, as_query
from histokin.retrieval.classifying.model import load_model
from histokin.retrieval.classifying.opinions import Opinion, Opinions, likeliest, opinions
from histokin.retrieval.recipe import Recipe
from histokin.slides.grid import Grid
from histokin.testing.slides import tissue

TINTS = {"red": (0.95, 0.45, 0.45), "blue": (0.40, 0.45, 0.95)}


def tile(path: Path, tint: str, seed: int) -> Path:
    image = (tissue(64, 64, seed=seed).astype(np.float32) * TINTS[tint]).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image[..., ::-1])
    return path


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    """Red and blue tiles; the folder of the blue ones is called red, and the other way round, where the test says."""
    for seed in range(4):
        tile(tmp_path / "tiles" / "red" / f"r{seed}.png", "red", seed)
        tile(tmp_path / "tiles" / "blue" / f"b{seed}.png", "blue", seed)
    made = Archive.create(tmp_path / "archive", Recipe(Grid(patch_px=64), encoder="color-histogram"))
    assert not made.index(tmp_path / "tiles").failed
    return made


def test_agreement(archive: Archive, classifier_folder: Path, tmp_path: Path) -> None:
    query = as_query(tile(tmp_path / "query.png", "red", 77))
    answer = archive.search(query, k=3)
    said = opinions(archive.searcher(), query, answer, load_model(classifier_folder))
    assert (said.predicted, said.voted, said.disagree) == ("red", "red", False)
    assert said.says.endswith("and so do the neighbors (3 of 3).")
    assert [likeliest(one.probabilities, said.classes)[0][0] for one in said.hits if one.probabilities is not None] == [
        "red"
    ] * 3
    page = render_search_page(archive, answer, opinions=said)
    assert "What a classifier says" in page
    assert page.count("class activation map of hit") == 3


def test_disagreement_is_said(archive: Archive, classifier_folder: Path, tmp_path: Path) -> None:
    about = json.loads((classifier_folder / "classifier.json").read_text())
    about["classes"] = ["blue", "green", "red"]  # what looks red is called blue
    (classifier_folder / "classifier.json").write_text(json.dumps(about))
    query = as_query(tile(tmp_path / "query.png", "red", 77))
    answer = archive.search(query, k=3)
    said = opinions(archive.searcher(), query, answer, load_model(classifier_folder))
    assert (said.predicted, said.voted, said.disagree) == ("blue", "red", True)
    assert "they DISAGREE" in said.says
    page = render_search_page(archive, answer, opinions=said)
    assert 'class="note"><b>The classifier says blue' in page
    assert page.count("classifier differs") == 3


def test_a_hit_whose_file_is_gone_carries_a_note(archive: Archive, classifier_folder: Path, tmp_path: Path) -> None:
    query = as_query(tile(tmp_path / "query.png", "red", 77))
    answer = archive.search(query, k=3)
    Path(answer.hits[1].slide).unlink()
    said = opinions(archive.searcher(), query, answer, load_model(classifier_folder))
    assert [one.note for one in said.hits] == ["", "there is no such file", ""]
    assert said.to_dict()["hits"][1] == {"probabilities": None, "note": "there is no such file"}
    assert "there is no such file" in render_search_page(archive, answer, opinions=said)


def test_whole_pictures_are_refused(classifier_folder: Path, tmp_path: Path) -> None:
    tile(tmp_path / "tiles" / "a.png", "red", 1)
    recipe = Recipe(Grid(patch_px=64), encoder="color-histogram", representation="none")
    made = Archive.create(tmp_path / "whole", recipe)
    made.index(tmp_path / "tiles")
    query = as_query(tile(tmp_path / "query.png", "red", 77))
    answer = made.search(query, k=1)
    with pytest.raises(UsageError, match=r"holds whole pictures.*Leave --model out"):
        opinions(made.searcher(), query, answer, load_model(classifier_folder))


@pytest.mark.parametrize(
    ("votes", "voted", "disagree", "words"),
    [
        ({"a": 2, "b": 1}, "a", False, "and so do the neighbors (2 of 3)"),
        ({"b": 2, "a": 1}, "b", True, "the neighbors say b (2 of 3): they DISAGREE"),
        ({"a": 2, "b": 2}, None, None, "the neighbors do not decide"),
        ({}, None, None, "the neighbors do not decide"),
        ({"c": 3}, "c", None, "the neighbors say c, which is none of its classes"),
    ],
)
def test_words(votes: dict[str, int], voted: str | None, disagree: bool | None, words: str) -> None:
    seen = Opinion(np.zeros((4, 4, 3), np.uint8), np.array([0.7, 0.3], np.float32), np.zeros((2, 2), np.float32))
    said = Opinions(("a", "b"), (seen,), (), votes)
    assert (said.predicted, said.voted, said.disagree) == ("a", voted, disagree)
    assert words in said.says
    blind = Opinions(("a", "b"), (Opinion(None, None, None, "gone"),), (), votes)
    assert blind.disagree is None
    assert blind.says == "The classifier could not see the query."


def test_search_and_classify_on_the_command_line(archive: Archive, classifier_folder: Path, tmp_path: Path) -> None:
    query = tile(tmp_path / "query.png", "blue", 5)
    html = tmp_path / "page.html"
    searching = [
        "search",
        "-a",
        str(archive.store.path),
        "--image",
        str(query),
        "-m",
        str(classifier_folder),
        "-k",
        "3",
    ]
    done = CliRunner().invoke(cli, [*searching, "--html", str(html)])
    assert done.exit_code == 0, done.output
    assert "The classifier says blue" in done.output
    assert "What a classifier says" in html.read_text()
    said = json.loads(CliRunner().invoke(cli, [*searching, "--json"]).stdout)["classifier"]
    assert said["predicted"] == "blue"
    assert sum(said["query"].values()) == pytest.approx(1, abs=1e-5)
    done = CliRunner().invoke(cli, ["classify", str(tmp_path / "tiles"), "-m", str(classifier_folder)])
    assert done.exit_code == 0, done.output
    assert "8 of 8 images are predicted as their folder is called" in done.output
    done = CliRunner().invoke(cli, ["classify", str(query), "-m", str(tmp_path / "nowhere")])
    assert done.exit_code == 1
    assert "nowhere" in done.output
