"""The page of content-based histopathology retrieval with color normalization: both halves of the paper."""

from pathlib import Path

from histokin.evaluation.page.model import Page
from histokin.evaluation.page.write import write_page
from histokin.evaluation.reproduce.cbhir_colors import Part, color_parts
from histokin.evaluation.reproduce.cbhir_search import search_parts
from histokin.evaluation.reproduce.hospitals import all_hospitals
from histokin.evaluation.reproduce.run import Run

LEAD = (
    "Content-based retrieval of breast cancer images with color normalization. The published numbers are from "
    "CAMELYON17; ours are from the data named below, marked as what it is, with networks trained for minutes where the "
    "paper's were trained for hours. First the search (Tables 2 and 3, Figures 6 to 10), then the colors (Table 1, "
    "Figures 1, 4 and 5). The paper does not say what its PSNR compares; here it is the original with the normalized "
    "image, so a method that changes little scores high, and the value says nothing about how good the colors are."
)


def reproduce_cbhir(run: Run) -> Path:
    """Make the page; returns the path of its ``index.html``.

    Raises
    ------
    UsageError
        when the given manifest cannot be used.
    """
    sets = list(all_hospitals(run))
    parts: list[Part] = []
    weights = [1.0 if hospitals.kind == "synthetic" else 3.0 for hospitals in sets]
    for hospitals, weight in zip(sets, weights, strict=True):
        parts += search_parts(run, hospitals, run.minutes * weight / sum(weights))
    parts += color_parts(run)
    return write_page(Page("Retrieval with color normalization, reproduced", LEAD, tuple(parts)), run.out)
