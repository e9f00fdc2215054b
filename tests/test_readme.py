"""The README's Python runs as it stands there."""

import re
import shutil
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"


def test_the_five_lines(tile_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)
    assert len(code) == 1
    shutil.copytree(tile_set, tmp_path / "tiles")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(compile(code[0], "README.md", "exec"), names)
    assert names["report"].slides == 24  # type: ignore[attr-defined]
    assert len(names["answer"].hits) == 5  # type: ignore[attr-defined]


def test_pictures_and_pages_it_points_to_are_there() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", README.read_text())
    assert links
    for link in links:
        assert "://" in link or (README.parent / link).is_file(), link
