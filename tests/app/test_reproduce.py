"""``histokin reproduce``: exit statuses, messages and the JSON contract."""

import json
from pathlib import Path

from click.testing import CliRunner, Result

from histokin.app.cli import cli


def run(*args: object) -> Result:
    return CliRunner().invoke(cli, [str(arg) for arg in args])


def test_page_and_json(tmp_path: Path) -> None:
    result = run("reproduce", "cbhir", "--quick", "--out", tmp_path / "page", "--shared", tmp_path, "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert set(found) == {"paper", "page", "report"}
    assert Path(found["page"]).is_file()
    report = json.loads(Path(found["report"]).read_text())
    commands = {part["command"] for part in report["parts"] if part.get("command")}
    assert commands == {f"histokin reproduce cbhir --out {tmp_path / 'page'} --shared {tmp_path} --quick"}


def test_an_unknown_paper_names_the_choices() -> None:
    result = run("reproduce", "stainet")
    assert result.exit_code == 2
    assert "Did you mean 'stainnet'" in result.stderr


def test_a_manifest_that_is_not_there(tmp_path: Path) -> None:
    result = run("reproduce", "cbhir", "--quick", "--out", tmp_path / "page", "--data", tmp_path / "nowhere")
    assert result.exit_code == 2
    assert "nowhere" in result.stderr
    assert "manifest.csv" in result.stderr


def test_a_shared_folder_that_is_not_there(tmp_path: Path) -> None:
    result = run("reproduce", "cbhir", "--quick", "--out", tmp_path / "page", "--shared", tmp_path / "nowhere")
    assert result.exit_code == 2
    assert "nowhere" in result.stderr
