"""Where the weights of an encoder are, whether they can be had, and what to tell the user when they cannot."""

import hashlib
import os
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, final
from urllib.error import URLError
from urllib.request import Request, urlopen

from platformdirs import user_data_path

from histokin.encoders.foundation_models import FOUNDATION
from histokin.errors import EncoderError
from histokin.nets.backbones import BACKBONES

VARIABLE = "HISTOKIN_WEIGHTS"
"""Environment variable that names another folder for weight files put there by hand."""

OFFLINE = ("HISTOKIN_OFFLINE", "HF_HUB_OFFLINE")
"""Environment variables that forbid the network when set to 1, true, yes or on."""

BACKBONE_LICENCE = "BSD-3-Clause, trained on ImageNet"

WAIT = 10.0
"""Seconds for a server to answer."""

REFUSED = "the hub refuses it"

CONCH = "git+https://github.com/mahmoodlab/CONCH.git"


@final
@dataclass(frozen=True)
class Needs:
    """What an encoder needs before it can be built.

    ``modules`` must be importable, ``install`` is the command that makes them so. One of ``files`` must be at hand:
    in ``folder``, where a user may put it, or in the cache of torch hub or of the Hugging Face hub (``hub``).
    ``page`` is where it is published, and where the licence is accepted when ``gated``.
    """

    encoder: str
    modules: tuple[str, ...]
    install: str
    files: tuple[str, ...]
    folder: Path
    page: str
    licence: str
    megabytes: float
    gated: bool = False
    hub: str = ""


def needs_of(encoder: str) -> Needs | None:
    """What the registered backbone or foundation model called ``encoder`` needs; None for any other encoder."""
    if encoder in BACKBONES:
        known = BACKBONES[encoder]
        return Needs(
            encoder=encoder,
            modules=("torch", "torchvision"),
            install="pip install 'histokin[torch]'",
            files=(known.file,) if known.file else (),
            folder=torch_hub_folder(),
            page=known.url,
            licence=BACKBONE_LICENCE if known.file else "that of its weights",
            megabytes=known.megabytes,
        )
    if encoder in FOUNDATION:
        model = FOUNDATION[encoder]
        own = model.tensors == "package"
        return Needs(
            encoder=encoder,
            modules=("torch", "torchvision", "timm", "huggingface_hub", *(("conch",) if own else ())),
            install="pip install 'histokin[foundation]'" + (f" {CONCH}" if own else ""),
            files=model.files,
            folder=weights_folder() / encoder,
            page=model.page,
            licence=model.licence,
            megabytes=model.megabytes,
            gated=model.gated,
            hub=model.hub,
        )
    return None


def weights_folder() -> Path:
    """Where weight files may be put by hand (it may not exist yet); each encoder has its folder in it."""
    chosen = os.environ.get(VARIABLE)
    return Path(chosen) if chosen else user_data_path("histokin") / "weights"


def torch_hub_folder() -> Path:
    """Where PyTorch keeps the weights it downloads, found without PyTorch."""
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    home = os.environ.get("TORCH_HOME", str(Path(cache) / "torch"))
    return Path(home).expanduser() / "hub" / "checkpoints"


def offline() -> str:
    """The environment variable that forbids the network, or an empty text."""
    yes = ("1", "true", "yes", "on")
    return next((name for name in OFFLINE if os.environ.get(name, "").strip().lower() in yes), "")


def absent_modules(needs: Needs) -> list[str]:
    """Those of its modules that are not installed."""
    return [name for name in needs.modules if find_spec(name) is None]


def require_modules(needs: Needs) -> None:
    """Raises :class:`EncoderError` with the command to type when a package is not installed."""
    if absent := absent_modules(needs):
        raise EncoderError(
            f"encoder '{needs.encoder}' needs {' and '.join(absent)}, which is not installed here",
            remedy=f"{needs.install}; 'histokin doctor --encoder {needs.encoder}' tells what else is missing",
        )


def find(needs: Needs) -> Path | None:
    """The weight file where it is on this computer; the folder for files put by hand comes first."""
    for name in needs.files:
        if (needs.folder / name).is_file():
            return needs.folder / name
    if needs.hub and find_spec("huggingface_hub"):
        from huggingface_hub import try_to_load_from_cache

        for name in needs.files:
            cached = try_to_load_from_cache(needs.hub, name)
            if isinstance(cached, str) and Path(cached).is_file():
                return Path(cached)
    return None


def obtain(needs: Needs) -> Path:
    """The weight file, downloaded where it is not here and the network allows.

    Raises
    ------
    EncoderError
        when it cannot be had: names the file, where to get it, and where to put it.
    """
    path = find(needs)
    if path is None:
        if not needs.files:
            raise EncoderError(
                f"no official weights of '{needs.encoder}' exist",
                remedy="Give weights=FILE with your own, or weights='random'",
            )
        if variable := offline():
            raise missing(needs, f"the network is forbidden by {variable}")
        path = _from_hub(needs) if needs.hub else _from_torch(needs)
    if not needs.hub:
        _check_official(path)
    return path


def missing(needs: Needs, why: str) -> EncoderError:
    """The error that says which file is missing, why it was not downloaded, and what to do."""
    file = needs.files[0]
    gated = needs.gated or REFUSED in why  # owners may close a repository that was open
    terms = f"Accept its licence ({needs.licence}) at {needs.page}, download {file} there" if gated else ""
    get = terms or f"Download {file} from {needs.page} (licence: {needs.licence})"
    token = " With a network and 'hf auth login' it is downloaded by itself." if gated else ""
    return EncoderError(
        f"the weights of encoder '{needs.encoder}' are not on this computer, and {why}",
        remedy=f"{get} and put it into {needs.folder}, or name it: --encoder {needs.encoder}=FILE, in Python "
        f"weights=FILE.{token}",
    )


def unreachable(needs: Needs) -> str:
    """Why the file cannot be downloaded now, asked of its server within seconds; empty when it can."""
    if needs.hub:
        from huggingface_hub import get_hf_file_metadata, hf_hub_url

        try:
            for name in needs.files:
                try:
                    get_hf_file_metadata(hf_hub_url(needs.hub, name), timeout=WAIT)
                    return ""
                except _absent_there():
                    continue
        except Exception as error:  # the hub's client raises those of its transport, too
            return _why(error, needs)
        return f"its repository has none of {', '.join(needs.files)}"
    try:
        with urlopen(Request(needs.page, method="HEAD"), timeout=WAIT):
            return ""
    except (OSError, URLError) as error:
        return _why(error, needs)


def _from_torch(needs: Needs) -> Path:
    if why := unreachable(needs):
        raise missing(needs, why)
    import torch

    path = needs.folder / needs.files[0]
    try:
        needs.folder.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(needs.page, str(path), hash_prefix=_prefix(path))
    except (OSError, RuntimeError) as error:
        raise missing(needs, _why(error, needs)) from None
    return path


def _from_hub(needs: Needs) -> Path:
    if why := unreachable(needs):  # at once, where the download itself would try for half a minute
        raise missing(needs, why)
    from huggingface_hub import hf_hub_download

    for name in needs.files:
        try:
            return Path(hf_hub_download(needs.hub, name))
        except _absent_there():
            continue
        except Exception as error:  # the hub's client raises those of its transport, too
            raise missing(needs, _why(error, needs)) from None
    raise missing(needs, f"its repository has none of {', '.join(needs.files)}")


def _absent_there() -> type[Exception]:
    """What the hub raises for a file that a repository does not have."""
    from huggingface_hub import errors

    found: type[Exception] = getattr(errors, "RemoteEntryNotFoundError", errors.EntryNotFoundError)
    return found


def _why(error: Exception, needs: Needs) -> str:
    """An exception of the network as one clause."""
    status: Any = getattr(getattr(error, "response", None), "status_code", None)
    if status in (401, 403) and needs.hub:
        return f"{REFUSED} to this computer's account (status {status})"
    first = str(error).strip().splitlines()[0][:100] if str(error).strip() else ""
    return f"it cannot be downloaded ({type(error).__name__}{': ' if first else ''}{first})"


def _prefix(path: Path) -> str:
    """The eight digits that torchvision puts at the end of a weight file's name."""
    return path.stem.rpartition("-")[2]


def _check_official(path: Path) -> None:
    with path.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if not found.startswith(_prefix(path)):
        raise EncoderError(
            f"the file is not the official one (sha256 {found[:8]}, its name says {_prefix(path)})",
            path=path,
            remedy="Delete it and download it again, or give your own weights as weights=FILE",
        )
