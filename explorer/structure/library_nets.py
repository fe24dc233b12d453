"""Nets of other libraries: their names, and what stands for their spec. No torch."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from explorer.errors import SpecError
from explorer.structure.specs import DataSpec, Spec

PREFIXES = ("torchvision_", "timm_")
# What torchvision has, and the adapters take apart.
TORCHVISION = (
    *(f"resnet{depth}" for depth in (18, 34, 50, 101, 152)),
    *("wide_resnet50_2", "wide_resnet101_2"),
    *("resnext50_32x4d", "resnext101_32x8d", "resnext101_64x4d"),
    *(f"densenet{depth}" for depth in (121, 161, 169, 201)),
    *(f"vgg{depth}{norm}" for depth in (11, 13, 16, 19) for norm in ("", "_bn")),
    *("vit_b_16", "vit_b_32", "vit_l_16", "vit_l_32"),
    *("convnext_tiny", "convnext_small", "convnext_base", "convnext_large"),
)
# Some of timm's; any of its ResNets and ResNetV2s of plain convolutions and batch norm, and of its
# ViTs, DeiTs and ConvNeXts will do.
TIMM = (
    *("resnet50", "resnet50d", "resnext50_32x4d", "resnetv2_50", "resnetv2_101", "resnetv2_152"),
    *("vit_tiny_patch16_224", "vit_small_patch16_224", "deit_tiny_patch16_224"),
    *("convnext_atto", "convnext_tiny", "convnextv2_atto"),
)

SIDE = 224  # of ImageNet's images, as nearly all these nets take them
SHORT_SIDE = 256  # of an image, before its central ``SIDE`` pixels are cut out
# torchvision's own weights of these were made by a later recipe, and are measured at another one.
_SHORT_SIDE_OF_DEFAULT = {
    f"torchvision_{name}": side
    for side, names in {
        230: ("convnext_small",),
        232: (
            *("resnet50", "resnet101", "resnet152", "convnext_base", "convnext_large"),
            *(name for name in TORCHVISION if name.startswith(("resnext", "wide"))),
        ),
        236: ("convnext_tiny",),
        242: ("vit_l_16",),
    }.items()
    for name in names
}


def is_external(name: str) -> bool:
    """Whether a name is another library's net: ``torchvision_resnet50``, ``timm_resnetv2_50``."""
    return name.strip().startswith(PREFIXES)


def read_token(token: str) -> tuple[str, str | None]:
    """The name and the weights of a link's words, ``torchvision_resnet50;weights=default``.

    Weights are None, ``default`` or an upload's name (:mod:`explorer.runs.serve.uploads`); never a
    path, as anybody may write a link.

    Raises:
        SpecError: One sentence: the name, or what may follow it.
    """
    name, *changes = (part.strip() for part in token.split(";"))
    name = check_name(name)
    weights = None
    for change in changes:
        key, _, value = change.partition("=")
        if key.strip() != "weights" or not value or set(value) & set("/\\"):
            raise SpecError(
                f"{change[:60]!r} cannot follow {name}: write {name} for fresh weights, or "
                f"{name};weights=default for its library's own."
            )
        weights = value.strip()
    return name, weights


def short_side(name: str, weights: str | None) -> int:
    """To how many pixels the shorter side of images is made before their centre is cut out.

    Args:
        weights: None, ``default``, or any file's name.
    """
    own = _SHORT_SIDE_OF_DEFAULT.get(name.strip(), SHORT_SIDE)
    return own if weights == "default" else SHORT_SIDE


def images_for(name: str, weights: str | None, data: DataSpec) -> DataSpec:
    """The data for another library's net: a folder's images are cut as ImageNet's usually are,
    unless a size was said."""
    return _cut(data, SIDE, short_side(name, weights))


def images_of(net: ExternalSpec, data: DataSpec) -> DataSpec:
    """The same for a net that is built: its images' size, and how they are cut."""
    return _cut(data, net.input_shape[-1], net.resize)


def _cut(data: DataSpec, side: int, resize: int | None) -> DataSpec:
    if data.name != "folder" or "image_size" in data.model_fields_set:
        return data
    return data.model_copy(update={"image_size": side, "resize": data.resize or resize})


def check_name(name: str) -> str:
    """The name without spaces around it, as far as can be told without its library.

    timm's nets are known to timm alone, so its names are looked up where the net is built.

    Raises:
        SpecError: Not another library's net, or not one of torchvision's; with the nearest.
    """
    name = name.strip()
    if not is_external(name):
        raise SpecError(f"{name[:60]!r} is not another library's net: {examples()}.")
    library, _, inner = name.partition("_")
    if library == "torchvision" and inner not in TORCHVISION:
        raise unknown(name, TORCHVISION)
    return name


def unknown(name: str, known: Sequence[str]) -> SpecError:
    """What is said of a name that its library does not have; ``known`` are those it has."""
    library, _, inner = name.partition("_")
    near = difflib.get_close_matches(inner.lower(), known, n=1, cutoff=0.5)
    hint = f"did you mean '{library}_{near[0]}'?" if near else f"{examples()}."
    return SpecError(f"There is no net named {name[:60]!r}: {hint}")


def examples() -> str:
    """Some names, for a sentence."""
    return f"names are torchvision_{TORCHVISION[2]}, torchvision_vgg16_bn, timm_{TIMM[3]} and so on"


class ExternalSpec(Spec):
    """What the instruments must know of a net that another library built.

    It stands where a spec of ours would, but cannot be built from: the library does that.

    Attributes:
        name: What it goes by: ``torchvision_resnet50``.
        depth: Convolutions and linear maps on the longest path.
        class_names: The answers' names, where they are known.
        mean, std: By which its images are normalised, per channel on the scale 0 … 1; empty where
            that is not known, as for weights that nobody trained.
        resize: To how many pixels images' shorter side is made before their centre is cut out;
            None takes the largest central square.
    """

    layout: Literal["external"] = "external"
    family: Literal["plain", "residual", "dense"]
    name: str
    depth: int = Field(default=1, ge=1)
    input_shape: tuple[int, int, int]
    classes: int = Field(ge=1)
    batch_norm: bool
    class_names: tuple[str, ...] = ()
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    resize: int | None = None
