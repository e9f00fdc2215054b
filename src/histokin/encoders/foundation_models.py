"""Pathology foundation models as data: what each is, where it lies, under which licence, how its features are taken.

Nothing here is loaded or downloaded. Sources: the models' own cards and repositories, and the tables of TRIDENT,
LazySlide, eva and slide2vec, read in November 2026; where they disagree the model is left out.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, final

HUB = "https://huggingface.co/"
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
OPENAI = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
BIOPTIMUS = ((0.707223, 0.578729, 0.703617), (0.211883, 0.230117, 0.177517))
LUNIT = ((0.70322989, 0.53606487, 0.66096631), (0.21716536, 0.26081574, 0.20723464))

NON_COMMERCIAL = "CC-BY-NC-ND-4.0"
SAFETENSORS, PICKLED = "model.safetensors", "pytorch_model.bin"


@final
@dataclass(frozen=True)
class FoundationModel:
    """One model.

    ``hub`` is its repository on the Hugging Face hub and ``files`` the weight files there, the first found is taken.
    ``gated``: the licence must be accepted there, with an account, before the file can be had. ``features`` are the
    class token after the last normalization ("cls"), that beside the mean of the patch tokens ("cls+mean"), or what
    the model's own package calls its image embedding ("own"). ``network`` is a network of timm's, changed by
    ``options``; with ``swiglu`` its blocks have gated SiLU layers. ``tensors`` tells how the weight file names them.
    ``parameters`` are of what is loaded (for CONCH as published, rounded). ``mpp`` is the scale it was made for in
    microns per pixel, None for several.
    """

    name: str
    hub: str
    dim: int
    parameters: int
    licence: str
    gated: bool
    network: str
    files: tuple[str, ...] = (PICKLED, SAFETENSORS)
    features: Literal["cls", "cls+mean", "own"] = "cls"
    color: tuple[tuple[float, float, float], tuple[float, float, float]] = IMAGENET
    input_px: int = 224
    mpp: float | None = 0.5
    options: tuple[tuple[str, float | int | bool], ...] = ()
    swiglu: bool = False
    tensors: Literal["timm", "vit", "dinov2", "package"] = "timm"
    licence_url: str = ""

    @property
    def page(self) -> str:
        """Where it is described, its licence accepted and its file downloaded."""
        return HUB + self.hub

    @property
    def megabytes(self) -> float:
        """Size of its weights in single precision."""
        return 4 * self.parameters / 1e6


_SCALED = ("init_values", 1e-5)
_VIRCHOW = (_SCALED, ("mlp_ratio", 5.3375))
_GIANT_MLP = ("mlp_ratio", 2.66667 * 2)
_UNI2 = (_SCALED, _GIANT_MLP, ("patch_size", 14), ("depth", 24), ("num_heads", 24), ("embed_dim", 1536))
_OWKIN = "Owkin non-commercial"
_OWKIN_URL = "https://github.com/owkin/HistoSSLscaling/blob/main/LICENSE.txt"
_KAIKO_HUB = "1aurent/vit_{}_224.kaiko_ai_towards_large_pathology_fms"
_KAIKO = "Kaiko non-commercial"


def _kaiko(name: str, size: str, dim: int, parameters: int) -> FoundationModel:
    return FoundationModel(
        name=name,
        hub=_KAIKO_HUB.format(size),
        dim=dim,
        parameters=parameters,
        licence=_KAIKO,
        gated=False,
        network=f"vit_{size}_224",
        files=(SAFETENSORS, PICKLED),
        color=HALF,
        mpp=None,
    )


def _lunit(name: str, size: str, parameters: int) -> FoundationModel:
    return FoundationModel(
        name=name,
        hub=f"1aurent/vit_{size}_224.lunit_dino",
        dim=384,
        parameters=parameters,
        licence="Lunit non-commercial",
        gated=False,
        network=f"vit_{size}_224",
        files=(SAFETENSORS, PICKLED),
        color=LUNIT,
        mpp=None,
    )


_ALL = (
    FoundationModel(
        name="uni",
        hub="MahmoodLab/UNI",
        dim=1024,
        parameters=303_350_784,
        licence=NON_COMMERCIAL,
        gated=True,
        network="vit_large_patch16_224",
        options=(_SCALED,),
    ),
    FoundationModel(
        name="uni2-h",
        hub="MahmoodLab/UNI2-h",
        dim=1536,
        parameters=681_394_176,
        licence=NON_COMMERCIAL,
        gated=True,
        network="vit_giant_patch14_224",
        options=(*_UNI2, ("no_embed_class", True), ("reg_tokens", 8)),
        swiglu=True,
    ),
    FoundationModel(
        name="conch",
        hub="MahmoodLab/CONCH",
        dim=512,
        parameters=395_200_000,
        licence=NON_COMMERCIAL,
        gated=True,
        network="conch_ViT-B-16",
        files=(PICKLED,),
        features="own",
        color=OPENAI,
        input_px=448,
        tensors="package",
    ),
    FoundationModel(
        name="virchow",
        hub="paige-ai/Virchow",
        dim=2560,
        parameters=631_229_184,
        licence="Apache-2.0, with terms of use",
        gated=True,
        network="vit_huge_patch14_224",
        features="cls+mean",
        options=_VIRCHOW,
        swiglu=True,
    ),
    FoundationModel(
        name="virchow2",
        hub="paige-ai/Virchow2",
        dim=2560,
        parameters=631_239_424,
        licence=NON_COMMERCIAL,
        gated=True,
        network="vit_huge_patch14_224",
        features="cls+mean",
        mpp=None,
        options=(*_VIRCHOW, ("reg_tokens", 4)),
        swiglu=True,
    ),
    FoundationModel(
        name="h-optimus-0",
        hub="bioptimus/H-optimus-0",
        dim=1536,
        parameters=1_134_774_272,
        licence="Apache-2.0",
        gated=False,
        network="vit_giant_patch14_reg4_dinov2",
        color=BIOPTIMUS,
        options=(_SCALED,),
    ),
    FoundationModel(
        name="h-optimus-1",
        hub="bioptimus/H-optimus-1",
        dim=1536,
        parameters=1_134_774_272,
        licence=NON_COMMERCIAL,
        gated=True,
        network="vit_giant_patch14_reg4_dinov2",
        color=BIOPTIMUS,
        options=(_SCALED,),
    ),
    FoundationModel(
        name="h0-mini",
        hub="bioptimus/H0-mini",
        dim=1536,
        parameters=85_739_520,
        licence=NON_COMMERCIAL,
        gated=True,
        network="vit_base_patch14_reg4_dinov2",
        files=(SAFETENSORS, PICKLED),
        features="cls+mean",
        color=BIOPTIMUS,
        options=(_SCALED, _GIANT_MLP),
        swiglu=True,
    ),
    FoundationModel(
        name="prov-gigapath",
        hub="prov-gigapath/prov-gigapath",
        dim=1536,
        parameters=1_134_953_984,
        licence="Apache-2.0, with terms of use",
        gated=True,
        network="vit_giant_patch14_dinov2",
        options=(_SCALED, ("patch_size", 16), ("mlp_ratio", 5.33334)),
    ),
    FoundationModel(
        name="phikon",
        hub="owkin/phikon",
        dim=768,
        parameters=85_798_656,
        licence=_OWKIN,
        licence_url=_OWKIN_URL,
        gated=False,
        network="vit_base_patch16_224",
        options=(("norm_eps", 1e-12),),
        tensors="vit",
    ),
    FoundationModel(
        name="phikon-v2",
        hub="owkin/phikon-v2",
        dim=1024,
        parameters=303_350_784,
        licence=_OWKIN,
        licence_url="https://huggingface.co/owkin/phikon-v2/blob/main/LICENSE.pdf",
        gated=False,
        network="vit_large_patch16_224",
        files=(SAFETENSORS, PICKLED),
        options=(_SCALED,),
        tensors="dinov2",
    ),
    _kaiko("kaiko-vits8", "small_patch8", 384, 21_670_272),
    _kaiko("kaiko-vits16", "small_patch16", 384, 21_665_664),
    _kaiko("kaiko-vitb8", "base_patch8", 768, 85_807_872),
    _kaiko("kaiko-vitb16", "base_patch16", 768, 85_798_656),
    _lunit("lunit-vits8", "small_patch8", 21_670_272),
    _lunit("lunit-vits16", "small_patch16", 21_665_664),
)

FOUNDATION: Mapping[str, FoundationModel] = MappingProxyType({model.name: model for model in _ALL})
