"""Stands for the encoder of vectors that were made elsewhere: it knows what it is, and encodes where that is here."""

from collections.abc import Mapping
from typing import Any, Literal, final

from histokin.encoders.base import Encoder, EncoderSpec
from histokin.encoders.identity import same_space
from histokin.encoders.registry import encoder
from histokin.encoders.weight_files import find, missing, needs_of, require_modules
from histokin.errors import EncoderError, HistokinError, UnknownName
from histokin.types import Images, Vectors

IMPORTED = "imported"
"""The name it is registered under."""

BY_EXAMPLE = "What is in the archive can be searched for without it: --slide NAME uses the stored vectors"


@final
class Imported(Encoder):
    """An encoder by name and space; the one that is registered under the name takes its place if it is the same.

    Parameters
    ----------
    called, space, dim, metric, input_px, mpp, precision, licence : as in :class:`EncoderSpec`, where ``called`` is its
        name. The space may end after the digest of the weights.
    registered : name to look for in the registry; default ``called``.
    options : what that encoder's constructor takes.
    """

    def __init__(
        self,
        *,
        called: str,
        space: str,
        dim: int,
        metric: Literal["euclidean", "cosine"] = "euclidean",
        input_px: int = 224,
        mpp: float | None = None,
        precision: str = "fp32",
        licence: str = "unknown",
        registered: str | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self._spec = EncoderSpec(called, space, dim, "dense", metric, input_px, mpp, precision, licence)
        self._registered = registered or called
        self._options = dict(options or {})
        self._found: Encoder | EncoderError | None = None

    @property
    def spec(self) -> EncoderSpec:
        return self._spec

    @property
    def options(self) -> dict[str, Any]:
        """What builds this again, JSON-ready."""
        spec = self._spec.to_dict()
        del spec["kind"]
        return {"called": spec.pop("name"), **spec, "registered": self._registered, "options": self._options}

    @property
    def missing(self) -> EncoderError | None:
        """Why no image can be encoded here; None where the encoder is available and the same."""
        found = self._look()
        return found if isinstance(found, EncoderError) else None

    def encode(self, images: Images) -> Vectors:
        """One row per image; see :meth:`histokin.encoders.base.Encoder.encode`."""
        found = self._look()
        if isinstance(found, EncoderError):
            raise EncoderError(found.reason, remedy=found.remedy, path=found.path)
        return found.encode(images)

    def _look(self) -> Encoder | EncoderError:
        if self._found is None:
            self._found = self._build()
        return self._found

    def _build(self) -> Encoder | EncoderError:
        name = self._registered
        wanted = f"the archive's vectors were made by encoder '{name}'"
        if name == IMPORTED:
            return EncoderError(
                f"{wanted}, which has no name of its own", remedy="Import them again with the encoder's name"
            )
        try:
            here = at_hand(name, self._options)
        except UnknownName:
            return EncoderError(
                f"{wanted}, which this installation does not have, so no image can be encoded for it",
                remedy="Install a package that registers it, or import again with --encoder-name FOLDER, for an ONNX "
                f"file of it with its encoder.json. {BY_EXAMPLE}",
            )
        except HistokinError as error:
            return EncoderError(f"{wanted}, which is not available here: {error.reason}", remedy=_both(error.remedy))
        if here.spec.dim != self._spec.dim:
            return EncoderError(
                f"{wanted} with {self._spec.dim} numbers, the one that is here makes {here.spec.dim}",
                remedy=f"Import them again under the right name. {BY_EXAMPLE}",
            )
        if not same_space(self._spec.space, here.spec.space):
            return EncoderError(
                f"{wanted} of {self._spec.space}, and the one that is here is of {here.spec.space}",
                remedy=f"If they are the same, import again with --encoder-space {here.spec.space}. {BY_EXAMPLE}",
            )
        return here


def at_hand(name: str, options: Mapping[str, Any]) -> Encoder:
    """The encoder where all it needs is on this computer; nothing is downloaded.

    Raises what :func:`~histokin.encoders.registry.encoder` raises.
    """
    needs = needs_of(name)
    if needs is not None and options.get("weights", "official") == "official":
        require_modules(needs)
        if needs.files and find(needs) is None:
            raise missing(needs, "nothing is downloaded for the sake of imported vectors")
    return encoder(name, **options)


def _both(remedy: str) -> str:
    return f"{remedy}. {BY_EXAMPLE}" if remedy else BY_EXAMPLE
