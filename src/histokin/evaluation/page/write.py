"""A page on disk: ``index.html``, which needs no other file and no network, and ``report.json`` beside it."""

import json
import os
from pathlib import Path

from histokin._version import __version__
from histokin.errors import UsageError
from histokin.evaluation.page.model import Figure, Page, Table, shown


def write_page(page: Page, folder: Path) -> Path:
    """Write both files and return the path of the page; each is whole or the old one.

    Raises
    ------
    UsageError
        when the folder cannot be written to.
    """
    text = render(page)
    data = json.dumps({"histokin": __version__, **page.to_dict()}, indent=2, ensure_ascii=False)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _replace(folder / "report.json", data)
        _replace(folder / "index.html", text)
    except OSError as error:
        raise UsageError(
            f"cannot be written ({error.strerror or error})", remedy="Choose another folder", path=folder
        ) from None
    return folder / "index.html"


def render(page: Page) -> str:
    """The page as HTML."""
    from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

    environment = Environment(
        loader=PackageLoader("histokin.evaluation.page"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    kinds = [_kind(part) for part in page.parts]
    return environment.get_template("page.html.j2").render(
        page=page, parts=list(zip(kinds, page.parts, strict=True)), shown=shown, version=__version__
    )


def _kind(part: object) -> str:
    return "table" if isinstance(part, Table) else "figure" if isinstance(part, Figure) else "note"


def _replace(path: Path, text: str) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
