"""Papers whose pages can be made, by name. A further paper is one line here, or an entry point."""

from histokin.registry import Registry

PAPERS = Registry(
    "paper",
    {
        "stainnet": "histokin.evaluation.reproduce.stainnet:reproduce_stainnet",
        "cbhir": "histokin.evaluation.reproduce.cbhir:reproduce_cbhir",
        "cbmir": "histokin.evaluation.reproduce.cbmir:reproduce_cbmir",
        "cross-modality": "histokin.evaluation.reproduce.cross_modality:reproduce_cross_modality",
        "colorectal": "histokin.evaluation.reproduce.colorectal:reproduce_colorectal",
    },
)
"""Each is a function from :class:`~histokin.evaluation.reproduce.run.Run` to the path of the page."""

MINUTES = {"cross-modality": 45.0, "colorectal": 45.0}
"""Of training, where none are given; 15 for papers that are not named here."""
