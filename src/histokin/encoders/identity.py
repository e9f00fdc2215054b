"""Which encoder made a file's vectors: what a digest in a file can say about it."""

import hashlib
import re

HEX = re.compile(r"[0-9a-f]{8,64}")


def model_sha(space: str) -> str:
    """The digest that stands for an encoder in a feature file: that of its weights, as its space names them.

    An encoder without weights is named by the first 12 hex digits of the SHA-256 of its space.
    """
    parts = space.lower().split("/")
    return next((part for part in parts[1:] if HEX.fullmatch(part)), hashlib.sha256(space.encode()).hexdigest()[:12])


def same_space(said: str, installed: str) -> bool:
    """True when a space that was said, in full or up to the digest of its weights, is the one that is here."""
    if said == installed or installed.startswith(f"{said}/"):
        return True
    name, _, rest = said.rpartition("/")
    return name == installed.split("/", maxsplit=1)[0] and rest == model_sha(installed)
