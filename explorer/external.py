"""Nets of other libraries: their names, and what stands for their spec. No torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from explorer.specs import Spec

PREFIXES = ("torchvision_", "timm_")
# What torchvision has, and the adapters take apart.
TORCHVISION = (
    *(f"resnet{depth}" for depth in (18, 34, 50, 101, 152)),
    *("wide_resnet50_2", "wide_resnet101_2"),
    *("resnext50_32x4d", "resnext101_32x8d", "resnext101_64x4d"),
    *(f"densenet{depth}" for depth in (121, 161, 169, 201)),
    *(f"vgg{depth}{norm}" for depth in (11, 13, 16, 19) for norm in ("", "_bn")),
)
# Some of timm's; any of its ResNets and ResNetV2s of plain convolutions and batch norm will do.
TIMM = ("resnet50", "resnet50d", "resnext50_32x4d", "resnetv2_50", "resnetv2_101", "resnetv2_152")


def is_external(name: str) -> bool:
    """Whether a name is another library's net: ``torchvision_resnet50``, ``timm_resnetv2_50``."""
    return name.strip().startswith(PREFIXES)


class ExternalSpec(Spec):
    """What the instruments must know of a net that another library built.

    It stands where a spec of ours would, but cannot be built from: the library does that.

    Attributes:
        name: What it goes by: ``torchvision_resnet50``.
        depth: Convolutions and linear maps on the longest path.
        class_names: The answers' names, where they are known.
        mean, std: By which its images are normalised, per channel on the scale 0 … 1; empty where
            that is not known, as for weights that nobody trained.
    """

    layout: Literal["external"] = "external"
    family: Literal["plain", "residual", "dense"]
    name: str
    depth: int = Field(ge=1)
    input_shape: tuple[int, int, int]
    classes: int = Field(ge=1)
    batch_norm: bool
    class_names: tuple[str, ...] = ()
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
