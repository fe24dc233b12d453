"""What a net of another library is taken apart into, and the layers that may stand in it."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, cast

from torch import nn

from explorer.errors import NotApplicableError
from explorer.nets.adapters import tokens
from explorer.nets.layers import named
from explorer.structure.blueprint import LayerKind

Layers = list[tuple[str, nn.Module]]
UnitKind = Literal["plain", "residual", "dense", "transition"]

# Layers that may stand anywhere; anything else is refused.
KINDS: dict[type[nn.Module], LayerKind] = {
    nn.Conv2d: "conv",
    nn.Linear: "linear",
    nn.BatchNorm2d: "batch_norm",
    nn.LayerNorm: "layer_norm",
    **dict.fromkeys(
        (nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.SiLU, nn.GELU, nn.Hardswish, nn.Tanh),
        "activation",
    ),
    nn.MaxPool2d: "max_pool",
    nn.AvgPool2d: "average_pool",
    nn.AdaptiveAvgPool2d: "average_pool",
    nn.Flatten: "flatten",
    nn.Identity: "identity",
    nn.Dropout: "dropout",
    tokens.Tokens: "tokens",
    tokens.Prepended: "prepend",
    tokens.Positions: "positions",
    tokens.Attend: "attention",
    tokens.ChannelScale: "scale",
    tokens.Axes: "permute",
    tokens.FirstToken: "select",
    tokens.MeanToken: "average_pool",
}
# By their names, as their libraries need not be imported.
_BY_NAME: dict[str, LayerKind] = {
    "timm.layers.drop.DropPath": "dropout",
    "torchvision.ops.stochastic_depth.StochasticDepth": "dropout",
    "torchvision.models.convnext.LayerNorm2d": "layer_norm",
    "timm.layers.norm.LayerNorm": "layer_norm",
    "timm.layers.norm.LayerNorm2d": "layer_norm",
    "timm.layers.norm.RmsNorm": "layer_norm",
    "timm.layers.norm.RmsNorm2d": "layer_norm",
    "timm.layers.grn.GlobalResponseNorm": "response_norm",
    "timm.layers.layer_scale.LayerScale": "scale",
    "timm.layers.activations.GELU": "activation",
    "timm.layers.activations.GELUTanh": "activation",
    "timm.layers.activations.QuickGELU": "activation",
    "torchvision.ops.misc.Permute": "permute",
}
_NORM_ACT = "timm.layers.norm_act.BatchNormAct2d"
POSSIBLE = (
    "torchvision's resnet, wide_resnet, resnext, densenet, vgg, vit and convnext, and timm's "
    "resnet, resnext and resnetv2 of plain convolutions and batch norm, vit, deit and convnext"
)


@dataclass(frozen=True)
class Piece:
    """One unit: its path as the library has it, and a module of ours that computes the same."""

    name: str
    kind: UnitKind
    stage: int
    module: nn.Module


@dataclass(frozen=True)
class Parts:
    """A net taken apart."""

    family: Literal["plain", "residual", "dense"]
    stem: nn.Sequential
    pieces: tuple[Piece, ...]
    head: nn.Sequential
    stage_names: tuple[str, ...]


def kind_of(layer: nn.Module) -> LayerKind | None:
    """The kind of a single layer; None for what is not one, or not known."""
    kind = type(layer)
    return KINDS.get(kind) or _BY_NAME.get(f"{kind.__module__}.{kind.__qualname__}")


def is_a(module: object, class_name: str) -> bool:
    """Whether a module is of a class, by name: the library need not be imported."""
    return any(f"{c.__module__}.{c.__qualname__}" == class_name for c in type(module).__mro__)


# ---------------------------------------------------------------------------------- layers


def chain(layers: Iterable[tuple[str, nn.Module | None]], where: str) -> nn.Sequential:
    """The layers in order, those that are None or do nothing left out."""
    return named(
        inner
        for name, layer in layers
        if layer is not None and type(layer) is not nn.Identity
        for inner in usable(name, layer, where)
    )


def usable(name: str, layer: nn.Module, where: str) -> Layers:
    """A layer as the instruments need it: its own module, not in place, norm and act apart."""
    if is_a(layer, _NORM_ACT):
        return _norm_and_act(name, layer)
    if type(layer).forward is nn.Sequential.forward:
        inside = cast(nn.Sequential, layer).named_children()
        return [(name, chain(inside, where))]
    if kind_of(layer) is None:
        raise NotApplicableError(
            f"{where} has a layer of the kind {type(layer).__name__} ({name}), which the "
            f"instruments do not know; possible are {POSSIBLE}."
        )
    if next(layer.parameters(), None) is None:
        layer = copy.deepcopy(layer)  # one activation may stand in several places
        if hasattr(layer, "inplace"):
            setattr(layer, "inplace", False)  # noqa: B010 — which modules have it, mypy cannot know
    return [(name, layer)]


def _norm_and_act(name: str, layer: nn.Module) -> Layers:
    """timm's batch norm with an activation inside, as two layers."""
    given = cast(Any, layer)
    norm = nn.BatchNorm2d(given.num_features, given.eps, given.momentum, device="meta")
    for key in ("weight", "bias"):
        setattr(norm, key, getattr(given, key))
    for key in ("running_mean", "running_var", "num_batches_tracked"):
        setattr(norm, key, getattr(given, key))
    act = given.act
    layers: Layers = [(name, norm)]
    if type(act) is not nn.Identity:
        layers += usable(name.replace("norm", "act"), act, name)
    return layers


def timm_pool(pool: Any) -> list[tuple[str, nn.Module | None]]:
    if pool.pool_type not in ("avg", "fast", "fastavg"):
        raise NotApplicableError(
            f"The head pools by {pool.pool_type!r}, and the instruments know the average alone: "
            "build the net with global_pool='avg'."
        )
    flattens = isinstance(pool.flatten, nn.Flatten) or getattr(pool.pool, "flatten", False)
    return [
        ("global_pool", nn.AdaptiveAvgPool2d(1)),
        ("pooled", nn.Flatten() if flattens else None),
    ]
