"""``histokin doctor --encoder``: what would stop a run, said before it."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from histokin.app import encoder_checks
from histokin.app.cli import cli
from histokin.encoders import weight_files


@pytest.fixture(autouse=True)
def nothing_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No weights on this computer, and no network."""
    monkeypatch.setenv("HISTOKIN_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def doctor(*asked: str) -> tuple[int, dict[str, Any]]:
    options = [part for name in asked for part in ("--encoder", name)]
    done = CliRunner().invoke(cli, ["doctor", "--json", *options])
    return done.exit_code, json.loads(done.stdout)


def named(report: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {check["name"]: check for check in report["checks"]}


def test_a_gated_encoder_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder_checks, "absent_modules", lambda needs: [])
    monkeypatch.setattr(weight_files, "find_spec", lambda name: None)
    status, report = doctor("uni")
    checks = named(report)
    assert status == 1
    assert not report["ok"]
    assert "gated: to be accepted at https://huggingface.co/MahmoodLab/UNI" in checks["uni: licence"]["found"]
    weights = checks["uni: weights"]
    assert not weights["ok"]
    assert "not on this computer" in weights["found"]
    for word in ("pytorch_model.bin", str(tmp_path / "weights" / "uni"), "CC-BY-NC-ND-4.0", "--encoder uni=FILE"):
        assert word in weights["remedy"]


def test_missing_packages_and_missing_weights_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weight_files, "find_spec", lambda name: None)
    status, report = doctor("h-optimus-0", "resnet50")
    checks = named(report)
    assert status == 1
    assert "timm" in checks["h-optimus-0: packages"]["found"]
    assert "histokin[foundation]" in checks["h-optimus-0: packages"]["remedy"]
    assert "Accept" not in checks["h-optimus-0: weights"]["remedy"]
    assert "histokin[torch]" in checks["resnet50: packages"]["remedy"]
    assert "resnet50-0676ba61.pth" in checks["resnet50: weights"]["remedy"]


def test_an_encoder_that_is_ready(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    status, report = doctor("dcnn=random", "color-histogram")
    checks = named(report)
    assert status == 0
    assert checks["dcnn: weights"]["found"].startswith("dcnn/random-")
    assert checks["encoder color-histogram"]["ok"]


def test_a_file_that_is_no_weights(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    (tmp_path / "w.pth").write_text("no")
    status, report = doctor(f"dcnn={tmp_path / 'w.pth'}")
    assert status == 1
    assert "cannot be read" in named(report)["dcnn: weights"]["found"]


def test_online_the_server_is_asked_and_the_disk_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setattr(encoder_checks, "unreachable", lambda needs: "")
    status, report = doctor("alexnet")
    checks = named(report)
    assert status == 0
    assert "233 MB will be downloaded" in checks["alexnet: weights"]["found"]
    assert "GB at" in checks["alexnet: disk space"]["found"]
    monkeypatch.setattr(encoder_checks, "SPARE", 10**9)
    status, report = doctor("alexnet")
    assert status == 1
    assert "Free at least" in named(report)["alexnet: disk space"]["remedy"]
    monkeypatch.setattr(encoder_checks, "unreachable", lambda needs: "it cannot be downloaded (URLError)")
    status, report = doctor("alexnet")
    assert status == 1
    assert "cannot be downloaded" in named(report)["alexnet: weights"]["found"]


def test_unknown_encoders_are_wrong_usage() -> None:
    done = CliRunner().invoke(cli, ["doctor", "--encoder", "resnet51"])
    assert done.exit_code == 2
    assert "Did you mean 'resnet50'" in done.stderr


def test_an_archive_by_a_backbone_opens_again_with_its_weights(tile_set: Path, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from histokin.nets.backbones import build

    torch.save(build("dcnn", 3, seed=1).state_dict(), tmp_path / "w.pth")
    archive, run = tmp_path / "archive", CliRunner().invoke
    common = ["--archive", str(archive), "--normalizer", "none", "--json"]
    done = run(cli, ["index", str(tile_set / "fine"), *common, "--encoder", f"dcnn={tmp_path / 'w.pth'}"])
    assert done.exit_code == 0, done.output
    found = run(cli, ["search", "-a", str(archive), "--image", str(tile_set / "fine" / "fine_00.png"), "--json"])
    assert found.exit_code == 0, found.output
    answer = json.loads(found.stdout)
    assert answer["hits"]
    assert answer["recipe"]["encoder"]["options"] == {"weights": str(tmp_path / "w.pth")}
    torch.save(build("dcnn", 3, seed=2).state_dict(), tmp_path / "w.pth")
    other = run(cli, ["search", "-a", str(archive), "--image", str(tile_set / "fine" / "fine_00.png")])
    assert other.exit_code == 1
    assert "the archive was made with encoder dcnn/" in other.stderr
