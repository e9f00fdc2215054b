"""Tissue masks: blank glass is none, pale stain is, ink is not, on made and on real images."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from histokin.slides.grid import Grid, grid_patches, keep_tissue
from histokin.slides.quality import is_blurred
from histokin.slides.reading import open_slide
from histokin.slides.tissue import MASK_MPP, is_blank, luminosity_fraction, tissue_mask
from histokin.testing import slides as make


@pytest.mark.parametrize("color", [(255, 255, 255), (243, 242, 244), (235, 230, 220), (225, 228, 235), (200, 200, 200)])
def test_blank_glass_is_not_tissue(color: tuple[int, int, int]) -> None:
    mask = tissue_mask(make.glass(200, 300, color=color), MASK_MPP)
    assert mask.fraction == 0
    assert mask.counts["pen"] == 0


@settings(max_examples=30, deadline=None)
@given(grey=st.integers(200, 255), tint=st.integers(0, 12), noise=st.floats(0, 2), seed=st.integers(0, 99))
def test_no_blank_slide_is_tissue(grey: int, tint: int, noise: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    flat = np.array([grey, grey - tint // 2, grey - tint]) + random.normal(0, noise, (120, 160, 3))
    assert tissue_mask(flat.clip(0, 255).astype(np.uint8), MASK_MPP).fraction < 0.001


@pytest.mark.parametrize("strength", [1.0, 0.5, 0.25])
def test_tissue_is_found_even_when_pale(strength: float) -> None:
    mask = tissue_mask(make.section(400, 400, strength=strength), MASK_MPP)
    assert mask.fraction == pytest.approx(np.pi * 0.35**2, rel=0.08)


@pytest.mark.parametrize("strength", [1.0, 0.35])
def test_a_section_without_glass_is_all_tissue(strength: float) -> None:
    assert tissue_mask(make.tissue(300, 300, strength=strength), MASK_MPP).fraction > 0.9


@pytest.mark.parametrize("color", ["blue", "green", "black"])
def test_ink_is_not_tissue(color: str) -> None:
    clean = make.section(400, 400)
    marked = make.with_pen(make.with_pen(clean, color, (20, 20, 40, 300)), color, (180, 150, 40, 100))
    mask = tissue_mask(marked, MASK_MPP)
    assert mask.pen[40:300, 25:55].all()
    assert mask.pen[155:245, 185:215].all()
    assert not mask.mask[:, :60].any()
    assert not (mask.mask & mask.pen).any()
    assert mask.counts["pen"] == mask.pen.sum()
    assert mask.pen.mean() < 1.4 * (40 * 300 + 40 * 100) / 400**2
    assert not tissue_mask(marked, MASK_MPP, pens=False).pen.any()


def test_folds_are_flagged() -> None:
    large = make.section(1600, 1600)
    image = np.asarray(cv2.resize(large, (400, 400), interpolation=cv2.INTER_AREA), np.uint8)
    fold = image[190:210, 120:280].astype(float)
    image[190:210, 120:280] = (fold * fold * fold / 255**2).astype(np.uint8)
    mask = tissue_mask(image, MASK_MPP)
    assert mask.fold[192:208, 125:275].mean() > 0.8
    assert mask.fold.sum() < 1.5 * 20 * 160
    assert mask.mask[192:208, 125:275].all()


def test_specks_and_small_holes_are_cleaned() -> None:
    image = make.section(400, 400)
    image[20:24, 20:24] = (200, 80, 150)
    image[200:208, 200:208] = 245
    mask = tissue_mask(image, MASK_MPP).mask
    assert not mask[:40, :40].any()
    assert mask[195:215, 195:215].all()


def test_a_tiny_overview() -> None:
    for side in (1, 2, 6):
        assert tissue_mask(make.glass(side, side), MASK_MPP).mask.shape == (side, side)


@pytest.mark.parametrize("color", [0, 128, 255])
def test_one_color_is_blank(color: int) -> None:
    flat = np.full((224, 224, 3), color, np.uint8)
    assert is_blank(flat)
    assert is_blank(make.glass(224, 224))
    assert not is_blank(make.tissue(224, 224))
    assert not is_blank(make.tissue(224, 224, strength=0.3))


def test_luminosity() -> None:
    half = np.full((10, 10, 3), 255, np.uint8)
    half[:5] = (120, 60, 140)
    assert luminosity_fraction(half) == 0.5


def test_cmu1(shared_data: Path) -> None:
    with open_slide(shared_data / "wsi" / "CMU-1-Small-Region.svs") as slide:
        mask = tissue_mask(slide.overview(MASK_MPP), MASK_MPP)
        assert 0.3 < mask.fraction < 0.42
        assert mask.counts["pen"] == 0
        regions = grid_patches(slide.width, slide.height, 0.499, Grid())
        patches, counts = keep_tissue(regions, mask, 0.499, Grid())
        assert counts["grid"] == 9 * 13
        assert 32 <= counts["kept"] <= 45
        for patch in patches:
            pixels = slide.read(patch.region, 224, 224)
            assert not is_blurred(pixels, 0.499)
            for sigma in (4, 6):
                assert is_blurred(np.asarray(cv2.GaussianBlur(pixels, (0, 0), sigma), np.uint8), 0.499)


def test_real_stains_are_not_taken_for_ink(shared_data: Path) -> None:
    """A field of 448 µm at the resolution of masks, from tiles of four laboratories."""
    for folder in ("crc5/H", "crc5/AC", "lc25000-colon-768/colon_aca", "oral2/OSCC", "oral2/Normal"):
        files = sorted((shared_data / folder).iterdir())[::40]
        for file in files:
            tile = np.asarray(Pillow.open(file).convert("RGB").resize((56, 56), Pillow.Resampling.BOX), np.uint8)
            mask = tissue_mask(tile, MASK_MPP)
            assert mask.pen.mean() < 0.05, file
    for file in sorted((shared_data / "crc5" / "H").iterdir())[::40]:
        tile = np.asarray(Pillow.open(file).convert("RGB"), np.uint8)
        assert not is_blank(tile)
        assert not is_blurred(tile, 0.5)
