"""``histokin export`` and ``histokin import-features``: exit statuses, JSON contracts, messages."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from histokin.app.cli import cli


def run(*args: object) -> Result:
    return CliRunner().invoke(cli, [str(arg) for arg in args])


def run_json(*args: object, status: int = 0) -> Any:
    result = run(*args, "--json")
    assert result.exit_code == status, result.output
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def archive(tile_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("features") / "archive"
    assert run("index", tile_set, "-a", folder, "--encoder", "color-histogram").exit_code == 0
    return folder


def test_export_json_contract(archive: Path, tmp_path: Path) -> None:
    report = run_json("export", archive, "--features", tmp_path / "f.npz", "--where", "label = 'fine'")
    assert set(report) == {
        *("path", "format", "model_sha", "dim", "files", "slides", "patches", "bytes", "warnings", "seconds"),
    }
    assert (report["format"], report["dim"], report["files"], report["slides"], report["patches"]) == (
        "npz",
        512,
        1,
        12,
        12,
    )
    assert report["bytes"] == (tmp_path / "f.npz").stat().st_size


def test_export_and_import_as_a_person_does(archive: Path, tmp_path: Path) -> None:
    result = run("export", archive, "--features", tmp_path / "f.json")
    assert result.exit_code == 0
    assert "24 features of 512 numbers from 24 slides and images" in result.stdout
    result = run("import-features", tmp_path / "f.json", "-a", tmp_path / "b", "--encoder-name", "color-histogram")
    assert result.exit_code == 0, result.output
    assert "24 slides and images imported, 24 patches, 0 failed" in result.stdout
    info = run("info", "-a", tmp_path / "b")
    assert "color-histogram/8x8x8/hellinger/fp32 (512 numbers, euclidean" in info.stdout


def test_wrong_usage_is_told_with_its_remedy(archive: Path, tmp_path: Path) -> None:
    result = run("export", archive, "--features", tmp_path / "f.csv")
    assert result.exit_code == 2
    assert "--format" in result.stderr
    assert run("export", tmp_path / "nowhere", "--features", tmp_path / "f.json").exit_code == 2
    (tmp_path / "g.json").write_text('{"version": 1, "latent_dim": 1, "items": [{"file": "a", "feature": [1]}]}')
    error = run_json("import-features", tmp_path / "g.json", "-a", tmp_path / "c", status=2)["error"]
    assert error["reason"] == "nothing says which encoder made its features"
    assert "--encoder-name" in error["remedy"]


def test_a_broken_file_among_many(archive: Path, tmp_path: Path) -> None:
    run("export", archive, "--features", tmp_path / "good.npz")
    (tmp_path / "broken.npz").write_bytes((tmp_path / "good.npz").read_bytes()[:1000])
    files = (tmp_path / "broken.npz", tmp_path / "good.npz")
    report = run_json("import-features", *files, "-a", tmp_path / "b", status=1)
    assert (report["slides"], report["patches"]) == (24, 24)
    assert [Path(failure["path"]).name for failure in report["failed"]] == ["broken.npz"]
    result = run("import-features", *files, "-a", tmp_path / "c")
    assert result.exit_code == 1
    assert "1 inputs failed" in result.stderr


def test_a_missing_encoder_is_named_before_and_after(archive: Path, tile_set: Path, tmp_path: Path) -> None:
    """The import warns, info works, a stored image is searched for, another image is refused with the remedy."""
    run("export", archive, "--features", tmp_path / "f.json")
    document = json.loads((tmp_path / "f.json").read_text())
    (tmp_path / "f.json").write_text(json.dumps({**document, "model_sha": "0123456789ab"}))
    result = run("import-features", tmp_path / "f.json", "-a", tmp_path / "b", "--encoder-name", "nobodys-net")
    assert result.exit_code == 0
    assert "nobodys-net" in result.stderr
    assert "nobodys-net/0123456789ab (512 numbers" in run("info", "-a", tmp_path / "b").stdout
    stored = run_json("search", "-a", tmp_path / "b", "--image", tile_set / "fine" / "fine_02.png", "-k", 2)
    assert len(stored["hits"]) == 2
    assert "by the vectors in the archive" in stored["warnings"][0]
    other = tmp_path / "other.png"
    other.write_bytes((tile_set / "fine" / "fine_02.png").read_bytes() + b"\0")
    error = run_json("search", "-a", tmp_path / "b", "--image", other, status=1)["error"]
    assert "'nobodys-net', which this installation does not have" in error["reason"]
    assert "--slide NAME" in error["remedy"]
    page = tmp_path / "page.html"
    assert run("search", "-a", tmp_path / "b", "--slide", "fine_02.png", "--html", page).exit_code == 0
    assert page.stat().st_size > 1000
