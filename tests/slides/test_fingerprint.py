"""Digests: of content, not of names."""

import hashlib
import shutil
from pathlib import Path

import pytest

from histokin.errors import UnreadableFile
from histokin.slides.fingerprint import fingerprint


def test_known_digest_and_moving(tmp_path: Path) -> None:
    path = tmp_path / "a.svs"
    path.write_bytes(b"abc")
    assert fingerprint(path) == hashlib.blake2b(b"abc", digest_size=32).hexdigest()
    assert fingerprint(path) == fingerprint(path.rename(tmp_path / "b.svs"))
    (tmp_path / "b.svs").write_bytes(b"abd")
    assert fingerprint(tmp_path / "b.svs") != hashlib.blake2b(b"abc", digest_size=32).hexdigest()


def test_all_files_of_a_slide_count(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m.mrxs").write_bytes(b"index")
    (tmp_path / "m" / "Data0.dat").write_bytes(b"1")
    before = fingerprint(tmp_path / "m.mrxs")
    shutil.copytree(tmp_path, tmp_path / "copy", ignore=shutil.ignore_patterns("copy"))
    assert fingerprint(tmp_path / "copy" / "m.mrxs") == before
    (tmp_path / "m" / "Data0.dat").write_bytes(b"2")
    assert fingerprint(tmp_path / "m.mrxs") != before


def test_missing_and_empty(tmp_path: Path) -> None:
    (tmp_path / "empty.svs").touch()
    for path in (tmp_path / "missing.svs", tmp_path / "empty.svs", tmp_path):
        with pytest.raises(UnreadableFile):
            fingerprint(path)
