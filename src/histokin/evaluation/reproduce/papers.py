"""Papers whose pages can be made, by name. A further paper is one line here, or an entry point."""

from histokin.registry import Registry

PAPERS = Registry(
    "paper",
    {
        "stainnet": "histokin.evaluation.reproduce.stainnet:reproduce_stainnet",
        "cbhir": "histokin.evaluation.reproduce.cbhir_colors:reproduce_cbhir_colors",
    },
)
"""Each is a function from :class:`~histokin.evaluation.reproduce.run.Run` to the path of the page."""
