"""What a slide is, whatever it is called: a digest of its bytes."""

import hashlib
from pathlib import Path

from histokin.errors import UnreadableFile
from histokin.slides.companions import companions
from histokin.slides.content import check_regular


def fingerprint(path: Path) -> str:
    """BLAKE2b (256 bits, as 64 hex digits) of the whole content.

    For a slide of several files, of the digests of all of them; names and places do not count, except inside
    the data folder of a MIRAX slide, whose file names carry meaning.

    Raises
    ------
    UnreadableFile
    """
    check_regular(path)
    others = companions(path)
    if not others:
        return _digest(path).hex()
    whole = hashlib.blake2b(_digest(path), digest_size=32)
    for other in others if path.with_suffix("").is_dir() else sorted(others, key=_digest):
        whole.update(_digest(other))
    return whole.hexdigest()


def _digest(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=32)).digest()
    except OSError as error:
        reason = (error.strerror or "the system refuses to read it").lower()
        raise UnreadableFile(reason, remedy="Check its mode and the disk", path=path) from None
