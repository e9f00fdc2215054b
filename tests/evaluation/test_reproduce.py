"""The papers' pages, in their quick form: complete, honest about their data, and right where the answer is known."""

import csv
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from histokin.errors import UsageError
from histokin.evaluation.page.model import Page
from histokin.evaluation.reproduce.cbhir_colors import color_parts
from histokin.evaluation.reproduce.colors import reference_of, treat
from histokin.evaluation.reproduce.laboratories import synthetic_laboratories
from histokin.evaluation.reproduce.methods import by_reference, classical, known, untouched
from histokin.evaluation.reproduce.networks import taught_folder, train_networks
from histokin.evaluation.reproduce.orders import order_text, shown
from histokin.evaluation.reproduce.pairs import given_pairs, real_pair, synthetic_pairs
from histokin.evaluation.reproduce.records import load, read_manifest, tiled
from histokin.evaluation.reproduce.run import Run
from histokin.evaluation.reproduce.scoring import score
from histokin.evaluation.reproduce.stainnet import reproduce_stainnet
from histokin.evaluation.reproduce.stainnet_figures import segment
from histokin.evaluation.reproduce.stainnet_tables import another
from histokin.nets.stainnet import read_stainnet

TITLES = {"a": "A", "b": "B", "c": "C"}


def quick(out: Path, **options: Any) -> Run:
    return Run(out, quick=True, command="histokin reproduce", **options)


def table(report: Any, start: str) -> Any:
    return next(part for part in report["parts"] if part["title"].startswith(start))


def test_order_text_names_what_is_turned_round() -> None:
    text = order_text("PSNR", {"a": 3.0, "b": 2.0, "c": 1.0}, {"a": 1, "b": 2, "c": 0}, TITLES)
    assert "DIFFERS" in text
    assert "A > B > C" in text
    assert "B > A > C" in text
    assert text.endswith("Turned round here: A before B.")


def test_order_text_agrees_whichever_way_better_is() -> None:
    ours = {"a": 3.0, "b": 2.0, "c": math.nan}
    assert "the same order as in the paper (A > B)" in order_text("PSNR", ours, {"a": 9, "b": 1, "c": 5}, TITLES)
    assert "(B > A)" in order_text("NMI-SD", ours, {"a": 9, "b": 1}, TITLES, smaller_is_better=True)
    assert "nothing to compare" in order_text("PSNR", {"a": 1.0}, {"a": 9, "b": 1}, TITLES)


def test_numbers_that_are_none_are_a_dash() -> None:
    assert (shown(None, 2), shown(math.nan, 2), shown(1.005, 1)) == ("-", "-", "1.0")


def test_manifest_errors_name_the_culprit(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read_manifest(tmp_path)
    manifest = tmp_path / "manifest.csv"
    manifest.write_text("file,set\nx.png,a\n")
    with pytest.raises(UsageError, match="no column 'path'"):
        read_manifest(tmp_path)
    manifest.write_text("path,set\n")
    with pytest.raises(UsageError, match="names no image"):
        read_manifest(manifest)
    manifest.write_text("path,set\nx.png,a\n")
    with pytest.raises(UsageError, match="line 2 names x"):
        read_manifest(manifest)
    Image.new("RGB", (8, 8)).save(tmp_path / "x.png")
    manifest.write_text("path,set,split\nx.png,a,validation\n")
    with pytest.raises(UsageError, match="split 'validation'"):
        read_manifest(manifest)


def test_a_pair_without_its_target_is_refused(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "x.png")
    (tmp_path / "manifest.csv").write_text("path,set,centre,label,pair,split\nx.png,a,O,,1,test\n")
    with pytest.raises(UsageError, match="pair '1' is not complete"):
        given_pairs(quick(tmp_path / "out", data=tmp_path))


def test_load_takes_the_central_square(tmp_path: Path) -> None:
    wide = np.zeros((10, 30, 3), np.uint8)
    wide[:, 10:20] = 200
    Image.fromarray(wide).save(tmp_path / "wide.png")
    assert (load(tmp_path / "wide.png", 5) == 200).all()
    assert load(tmp_path / "wide.png").shape == (10, 30, 3)


def test_tiled_repeats_and_cuts() -> None:
    image = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    made = tiled(image, 5)
    assert made.shape == (5, 5, 3)
    assert np.array_equal(made[4, 4], image[0, 1])


def test_the_known_map_is_above_every_classical_method(tmp_path: Path) -> None:
    pairs = synthetic_pairs(quick(tmp_path))
    assert pairs.color_map is not None
    ceiling = score(known(pairs.color_map), pairs.test).means()[1]
    plain = score(untouched(), pairs.test)
    assert ceiling > plain.means()[1] + 5
    assert plain.means()[2] == pytest.approx(1)
    for method in classical(("reinhard", "macenko")):
        assert score(method, pairs.test).means()[1] < ceiling


def test_a_reference_without_stains_is_counted(tmp_path: Path) -> None:
    pairs = synthetic_pairs(quick(tmp_path))
    white = np.full((64, 64, 3), 255, np.uint8)
    found = score(by_reference("macenko"), pairs.test, lambda i: white)
    assert found.refused == len(pairs.test)
    assert math.isnan(found.means()[1])


def test_the_other_reference_is_another_pair_of_the_same_class(tmp_path: Path) -> None:
    pairs = synthetic_pairs(Run(tmp_path, quick=True))
    pairs = type(pairs)(pairs.name, pairs.kind, pairs.about, (), pairs.train, pairs.color_map)
    for i in range(len(pairs.test)):
        j = another(pairs, i)
        assert j != i
        assert pairs.test[j].label == pairs.test[i].label


def test_the_segment_lies_in_the_image(tmp_path: Path) -> None:
    pairs = synthetic_pairs(quick(tmp_path))
    image = load(pairs.test[0].source)
    (x, y), (to_x, to_y) = segment(image)
    assert y == to_y
    assert 0 <= x < to_x < image.shape[1]


def test_no_normalizer_leaves_the_original_spread(tmp_path: Path) -> None:
    laboratories = synthetic_laboratories(quick(tmp_path))
    _, reference = reference_of(laboratories)
    plain = treat("none", laboratories, reference, "image")
    reinhard = treat("reinhard", laboratories, reference, "image")
    assert plain is not None
    assert reinhard is not None
    assert plain.psnr == ()
    assert len(reinhard.psnr) == 10
    assert reinhard.overall()[0] < plain.overall()[0]


@pytest.fixture(scope="module")
def stainnet_page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The quick page, its networks trained for a few steps; one thread, as tests of others may run beside it."""
    torch = pytest.importorskip("torch")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield reproduce_stainnet(quick(tmp_path_factory.mktemp("stainnet")))
    torch.set_num_threads(threads)


def test_stainnet_page_without_real_images_says_so(stainnet_page: Path) -> None:
    report = json.loads((stainnet_page.parent / "report.json").read_text())
    text = stainnet_page.read_text()
    for figure in ("1:", "2a", "2b", "3:", "4:", "5a", "5b", "6:", "7:"):
        assert any(part["title"].startswith(f"Figure {figure}") for part in report["parts"]), figure
    assert "SYNTHETIC" in text
    assert "are not here" in table(report, "Left out")["text"]
    assert [row[:2] for row in table(report, "Table 2")["rows"]] == [[3, 0], [2, 1], [1, 2], [0, 3]]


def test_every_method_of_table_1_is_there_beside_the_published_number(stainnet_page: Path) -> None:
    report = json.loads((stainnet_page.parent / "report.json").read_text())
    rows = {row[0]: row for row in table(report, "Table 1 on synthetic")["rows"]}
    assert set(rows) >= {"Reinhard", "Macenko", "Vahadane", "Khan", "StainGAN", "StainNet", "StainNet, untrained"}
    assert rows["StainNet"][2:7:2] == ["0.808", "29.8", "0.960"]
    assert rows["Vahadane"][9] == "0.5"
    ceiling = float(rows["the known color map (ceiling)"][3])
    assert all(float(row[3]) < ceiling for name, row in rows.items() if "ceiling" not in name)
    assert rows["StainGAN"][10] == "4 / 113000 (quick)"


def test_a_further_run_takes_the_networks_that_are_there(stainnet_page: Path) -> None:
    again = quick(stainnet_page.parent)
    before = {path: read_stainnet(path).digest for path in stainnet_page.parent.rglob("*.safetensors")}
    said: list[str] = []
    networks = train_networks(quick(stainnet_page.parent, say=said.append), synthetic_pairs(again))
    assert len(before) == 8
    assert {path: read_stainnet(path).digest for path in before} == before
    assert networks.net is not None
    assert networks.net.steps.startswith("30 / ")
    assert not any("step" in line for line in said)


def test_a_student_of_a_teacher_that_went_on_is_another(tmp_path: Path) -> None:
    teacher = tmp_path / "teacher.onnx"
    teacher.write_bytes(b"first")
    before = taught_folder(tmp_path / "student", teacher)
    assert taught_folder(tmp_path / "student", teacher) == before
    teacher.write_bytes(b"longer")
    assert taught_folder(tmp_path / "student", teacher) != before


def test_stainnet_page_takes_given_pairs(tmp_path: Path) -> None:
    made = synthetic_pairs(quick(tmp_path / "first"))
    folder = tmp_path / "first" / "synthetic" / "two-scanners"
    found = given_pairs(quick(tmp_path / "second", data=folder))
    assert [(len(p.train), len(p.test)) for p in found] == [(len(made.train), len(made.test))]
    assert found[0].kind == "given"


def test_cbhir_colors_are_of_the_given_and_the_synthetic_laboratories(tmp_path: Path) -> None:
    laboratories = synthetic_laboratories(quick(tmp_path / "made"))
    given = [(path, "mine", centre) for centre, files in laboratories.files.items() for path in files[:1]]
    with (tmp_path / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("path", "set", "centre"), *given])
    parts = color_parts(quick(tmp_path / "out", data=tmp_path / "manifest.csv"))
    report = Page("", "", tuple(parts)).to_dict()
    assert "GIVEN with --data: 5 images of 5 centres" in str(report)
    rows = {(row[0], row[1]): row for row in table(report, "Table 1 on five synthetic")["rows"]}
    assert {key[0] for key in rows} == {"original", "BKSVD", "Vahadane", "Macenko"}
    assert [rows[name, "image"][3] for name in ("BKSVD", "Vahadane", "Macenko")] == ["19.54", "12.74", "13.80"]
    spread = {(row[0], row[1]) for row in table(report, "NMI spread on mine")["rows"]}
    assert ("original", "-") in spread
    assert ("BKSVD", "laboratory") in spread
    for number in (1, 4, 5):
        assert any(part["title"].startswith(f"Figure {number} on mine") for part in report["parts"])


def test_the_published_checkpoint_on_its_pair(shared_data: Path, tmp_path: Path) -> None:
    """Known answer: SSIM target .8215, PSNR target 31.596, SSIM source .9854 with rounding to 8 bits."""
    from histokin.evaluation.reproduce.methods import trained

    pairs = real_pair(quick(tmp_path, shared=shared_data))
    assert pairs is not None
    assert pairs.checkpoint is not None
    ssim_t, psnr_t, ssim_s = score(trained("stainnet", pairs.checkpoint), pairs.test).means()
    assert ssim_t == pytest.approx(0.8215, abs=2e-4)
    assert psnr_t == pytest.approx(31.596, abs=2e-3)
    assert ssim_s == pytest.approx(0.9854, abs=2e-4)
