import math
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from histokin.errors import UnknownName, UsageError
from histokin.modality.registry import chosen, map_from_dict, representation
from histokin.nets.placenet import PlaceNet
from histokin.retrieval.subimage.placing import Sweep, place
from histokin.training.pairs import PairSet, pairs_from_arrays
from histokin.training.placenet import PlaceProfile, place_profile, train_placenet
from histokin.training.placenet_loss import correlations, placing_loss


def scene(seed: int, side: int = 192) -> tuple[np.ndarray, np.ndarray]:
    """Fibers, dark red on pale ground in one modality, bright on black in the other."""
    noise = np.random.default_rng(seed).normal(size=(side, side)).astype(np.float32)
    field = cv2.GaussianBlur(noise, (0, 0), 4)
    fibers = np.clip(field / field.std(), 0, 2.5) / 2.5
    brightfield = np.stack([235 - 40 * fibers, 225 - 160 * fibers, 230 - 90 * fibers], axis=-1)
    return brightfield.astype(np.uint8), (200 * fibers**2).astype(np.uint8)[..., None]


def some_pairs(count: int = 4) -> PairSet:
    names = [f"core {i}" for i in range(count)]
    return pairs_from_arrays(("brightfield", "shg"), names, [scene(i) for i in range(count)])


def tiny() -> PlaceProfile:
    return replace(place_profile("reduced", 64), levels=2, pairs=6, rate=4e-3)


def test_size_of_the_network() -> None:
    assert sum(p.numel() for p in PlaceNet(3).parameters()) == 476_464
    network = PlaceNet(1, latent=3, width=4, levels=2).eval()
    assert network(torch.zeros(2, 1, 16, 24)).shape == (2, 3, 16, 24)
    assert network.coarse(torch.zeros(2, 1, 16, 24)).shape == (2, 3, 8, 12)
    with pytest.raises(UsageError, match="width 0"):
        PlaceNet(3, width=0)


def test_settled_answers_have_the_mean_and_spread_asked_for() -> None:
    network, image = PlaceNet(1, width=4, levels=2).eval(), torch.rand(1, 1, 32, 32)
    raw = network(image)
    network.settle(raw.mean(dim=(0, 2, 3)).detach(), 2.0)
    made = network(image)
    assert made.mean(dim=(0, 2, 3)).tolist() == pytest.approx([0, 0, 0], abs=1e-5)
    torch.testing.assert_close(2 * (made - made.mean()), raw - raw.mean(dim=(2, 3), keepdim=True), atol=1e-5, rtol=1e-4)
    network.settle(made.mean(dim=(0, 2, 3)).detach() + 1, 1.0)
    assert network(image).mean().item() == pytest.approx(-1, abs=1e-5)


def test_correlations_are_those_of_pearson() -> None:
    draws = torch.Generator().manual_seed(0)
    parts, maps = torch.randn(2, 1, 5, 5, generator=draws), torch.randn(3, 1, 12, 12, generator=draws)
    found = correlations(parts, maps)
    assert found.shape == (2, 3, 8, 8)
    window = maps[2, 0, 3:8, 6:11].flatten()
    wanted = np.corrcoef(parts[1].flatten(), window)[0, 1]
    assert float(found[1, 2, 3, 6]) == pytest.approx(wanted, abs=1e-5)


def test_equal_maps_find_their_own_place() -> None:
    maps = torch.randn(3, 2, 24, 24, generator=torch.Generator().manual_seed(1))
    loss, right = placing_loss(maps, 2 * maps + 1, 12, (4, 7), 0.02)
    assert float(right) == 1
    assert float(loss) < 0.01


def test_maps_that_tell_nothing_give_the_logarithm_of_the_number_of_places() -> None:
    maps = torch.zeros(3, 1, 10, 10)
    loss, _ = placing_loss(maps, maps, 6, (0, 0), 0.1)
    # 3 maps with 5 x 5 places; of the 3 x 3 near the right one, 8 do not count.
    assert float(loss) == pytest.approx(math.log(3 * 25 - 8), abs=1e-4)


def test_profiles() -> None:
    assert place_profile("reduced", 64).parts == (10, 16, 22)
    with pytest.raises(UnknownName):
        place_profile("huge")
    with pytest.raises(UsageError, match="multiple of 8"):
        place_profile("reduced", 70)


def test_a_trained_placenet_places_a_part_of_another_core_and_its_untrained_copy_does_worse(tmp_path: Path) -> None:
    trained = train_placenet(some_pairs(6), tmp_path, profile=tiny(), steps=40, seed=1)
    assert trained.report["steps"]["done"] == 40
    figures = trained.report["held_out"]
    assert figures["trained"]["placed"] > 0.8
    assert figures["untrained"]["placed"] < 0.2
    assert trained.better_than_untrained
    name, options = chosen(f"placenet={tmp_path}")
    made = representation(name, **options)
    brightfield, shg = scene(77)
    there = made.map("brightfield")(brightfield)
    assert there.dtype == np.uint8
    assert there.shape == (192, 192, 3)
    asked = made.map("shg")(np.rot90(shg[40:120, 60:140]).copy())
    found = place(asked, there, Sweep(max_turn=180))
    assert (found.x, found.y) == pytest.approx((99.5, 79.5), abs=3)
    assert abs(found.angle + 90) < 3
    again = map_from_dict(made.map("shg").to_dict())
    assert again.space == made.space == there_space(tmp_path)
    assert representation("placenet", path=tmp_path / "untrained").space != made.space


def there_space(folder: Path) -> str:
    return representation("placenet", path=folder).map("brightfield").space


def test_a_stopped_training_goes_on_and_gives_the_same(tmp_path: Path) -> None:
    profile, pairs = tiny(), some_pairs(2)
    whole = train_placenet(pairs, tmp_path / "whole", profile=profile, steps=8)
    # A tenth of a second is one step or a few, whatever the machine.
    part = train_placenet(pairs, tmp_path / "parts", profile=profile, steps=8, minutes=0.0017)
    assert part.report["steps"]["done"] < 8
    assert part.report["stopped"] == "time"
    rest = train_placenet(pairs, tmp_path / "parts", profile=profile, steps=8)
    assert rest.report["steps"]["done"] == 8
    assert rest.report["representation"]["digest"] == whole.report["representation"]["digest"]
    # What is finished is taken as it is, unless a part of it is gone.
    report = tmp_path / "whole" / "report.json"
    written = report.stat().st_mtime_ns
    again = train_placenet(pairs, tmp_path / "whole", profile=profile, steps=8)
    assert (report.stat().st_mtime_ns, again.report["steps"]) == (written, whole.report["steps"])
    (tmp_path / "whole" / "representation.json").unlink()
    mended = train_placenet(pairs, tmp_path / "whole", profile=profile, steps=8)
    assert mended.report["representation"] == whole.report["representation"]
    assert report.stat().st_mtime_ns > written
    with pytest.raises(UsageError):
        train_placenet(pairs, tmp_path / "whole", profile=profile, steps=8, seed=9)
