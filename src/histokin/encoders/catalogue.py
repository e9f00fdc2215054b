"""Every encoder in one table, for the documentation: ``python -m histokin.encoders.catalogue`` prints it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from histokin.encoders.foundation_models import FOUNDATION
from histokin.encoders.registry import DEFAULT_ENCODER, ENCODERS, encoder
from histokin.encoders.weight_files import BACKBONE_LICENCE
from histokin.nets.backbones import BACKBONES

COLUMNS = ("encoder", "numbers", "input px", "µm/px", "licence of the weights", "weights", "extra")
OWN_FILES = {
    "bag-of-words": ("any", "any", "that of its images", "`bag-of-words=FOLDER`, from `histokin train vocabulary`"),
    "cbhir": ("200", "any", "that of its images", "`cbhir=FOLDER`, from `histokin train cbhir`"),
    "cbmir": ("48", "any", "that of its images", "`cbmir=FOLDER`, from `histokin train cbmir`"),
    "classifier": ("384 to 2048", "any", "that of its images", "`classifier=FOLDER`, from `histokin train classifier`"),
    "imtdf": ("436", "256", "that of ResNet50's weights", "`imtdf=FOLDER`, from `Imtdf.fit(...).save(FOLDER)`"),
    "tc-net": ("128 or 512", "any", "that of its images", "`tc-net=FOLDER`, from `histokin train tc-net`"),
    "onnx": ("any", "any", "its manifest's", "the folder with the file and its `encoder.json`"),
    "imported": ("any", "any", "its own", "made elsewhere; comes with the vectors that are imported"),
}
"""Encoders without numbers of their own: how many they give, of which input, under which licence, from where."""

EXTRAS = {"bag-of-words": "`subimage`", "imtdf": "`torch`"}
"""What those of them need that do not run with the package alone."""


@final
@dataclass(frozen=True)
class Row:
    """One line of the table, as text."""

    encoder: str
    numbers: str
    input_px: str
    mpp: str
    licence: str
    weights: str
    extra: str


def rows() -> list[Row]:
    """One row for each registered encoder of ours: those at hand, backbones by size of file, foundation models."""
    built_in = [name for name in ENCODERS.names() if name not in BACKBONES and name not in FOUNDATION]
    first = [_at_hand(name) for name in sorted(built_in, key=lambda name: (name in OWN_FILES, name))]
    return first + [_backbone(name) for name in BACKBONES] + [_foundation(name) for name in FOUNDATION]


def markdown() -> str:
    """The table in Markdown."""
    lines: list[Sequence[str]] = [COLUMNS, ["---"] * len(COLUMNS)]
    lines += [(r.encoder, r.numbers, r.input_px, r.mpp, r.licence, r.weights, r.extra) for r in rows()]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _at_hand(name: str) -> Row:
    if name in OWN_FILES:
        numbers, side, licence, where = OWN_FILES[name]
        return Row(f"`{name}`", numbers, side, "any", licence, where, EXTRAS.get(name, "none"))
    spec = encoder(name).spec
    default = " (default)" if name == DEFAULT_ENCODER else ""
    scale = "any" if spec.mpp is None else str(spec.mpp)
    return Row(f"`{name}`{default}", str(spec.dim), str(spec.input_px), scale, spec.licence, "in the package", "none")


def _backbone(name: str) -> Row:
    known = BACKBONES[name]
    if known.file:
        licence, where = BACKBONE_LICENCE, f"[`{known.file}`]({known.url}), {known.megabytes:.0f} MB"
    else:
        licence, where = "that of its images", f"`{name}=FILE`"
    return Row(f"`{name}`", str(known.dim), str(known.input_px), "any", licence, where, "`torch`")


def _foundation(name: str) -> Row:
    model = FOUNDATION[name]
    gate = "**gated**" if model.gated else "open"
    licence = f"[{model.licence}]({model.licence_url})" if model.licence_url else model.licence
    where = f"{gate}, [{model.hub}]({model.page}), {model.megabytes:,.0f} MB"
    scale = "several" if model.mpp is None else str(model.mpp)
    extra = "`foundation`, CONCH's package" if model.tensors == "package" else "`foundation`"
    return Row(f"`{name}`", str(model.dim), str(model.input_px), scale, licence, where, extra)


if __name__ == "__main__":
    print(markdown(), end="")
