"""The papers' tables and figures, each beside the published one, on the data that is at hand."""
