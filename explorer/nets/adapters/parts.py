"""Take nets of torchvision and timm apart: stem, units with their own names, head.

Every rule here restates a ``forward`` of those libraries in units of ours; :func:`adapt` holds
the outcome against the original's logits, so that a rule that no longer fits is noticed.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal, cast

from torch import nn

from explorer.errors import NotApplicableError
from explorer.nets.dense import DenseUnit
from explorer.nets.layers import named
from explorer.nets.plain import PlainUnit
from explorer.nets.residual import ResidualUnit
from explorer.structure.blueprint import LayerKind

Layers = list[tuple[str, nn.Module]]
UnitKind = Literal["plain", "residual", "dense", "transition"]

# Layers that may stand anywhere; anything else is refused.
KINDS: dict[type[nn.Module], LayerKind] = {
    nn.Conv2d: "conv",
    nn.Linear: "linear",
    nn.BatchNorm2d: "batch_norm",
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
}
_DROP_PATH = "timm.layers.drop.DropPath"
_NORM_ACT = "timm.layers.norm_act.BatchNormAct2d"
POSSIBLE = (
    "torchvision's resnet, wide_resnet, resnext, densenet and vgg, and timm's resnet, resnext and "
    "resnetv2 of plain convolutions and batch norm"
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


def take_apart(net: nn.Module, name: str) -> Parts:
    """The parts of a net; they share its weights.

    Raises:
        NotApplicableError: The net, or a layer in it, is of a kind that is not known here.
    """
    for class_name, rule in _RULES.items():
        if _is(net, class_name):
            return rule(net)
    raise NotApplicableError(
        f"{name} is a {type(net).__name__}, which the instruments cannot take apart; possible are "
        f"{POSSIBLE}."
    )


def kind_of(layer: nn.Module) -> LayerKind | None:
    """The kind of a single layer; None for what is not one, or not known."""
    if _is(layer, _DROP_PATH):
        return "dropout"
    return KINDS.get(type(layer))


def _is(module: object, class_name: str) -> bool:
    """Whether a module is of a class, by name: the library need not be imported."""
    return any(f"{c.__module__}.{c.__qualname__}" == class_name for c in type(module).__mro__)


# ---------------------------------------------------------------------------------- layers


def _chain(layers: Iterable[tuple[str, nn.Module | None]], where: str) -> nn.Sequential:
    """The layers in order, those that are None or do nothing left out."""
    return named(
        inner
        for name, layer in layers
        if layer is not None and type(layer) is not nn.Identity
        for inner in _usable(name, layer, where)
    )


def _usable(name: str, layer: nn.Module, where: str) -> Layers:
    """A layer as the instruments need it: its own module, not in place, norm and act apart."""
    if _is(layer, _NORM_ACT):
        return _norm_and_act(name, layer)
    if type(layer).forward is nn.Sequential.forward:
        inside = cast(nn.Sequential, layer).named_children()
        return [(name, _chain(inside, where))]
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
        layers += _usable(name.replace("norm", "act"), act, name)
    return layers


# --------------------------------------------------------------------------------- ResNets

_BASIC = ("conv1", "bn1", "relu", "conv2", "bn2")
_BOTTLENECK = ("conv1", "bn1", "relu", "conv2", "bn2", "relu", "conv3", "bn3")
_TIMM_BASIC = ("conv1", "bn1", "drop_block", "act1", "aa", "conv2", "bn2", "se", "drop_path")
_TIMM_BOTTLENECK = (
    *("conv1", "bn1", "act1", "conv2", "bn2", "drop_block", "act2", "aa"),
    *("conv3", "bn3", "se", "drop_path"),
)


def _torchvision_resnet(net: Any) -> Parts:
    def unit(block: Any, where: str) -> ResidualUnit:
        order = _BOTTLENECK if hasattr(block, "conv3") else _BASIC
        names = [
            f"relu{order[:i].count('relu') + 1}" if n == "relu" else n for i, n in enumerate(order)
        ]
        layers = [(name, getattr(block, old)) for name, old in zip(names, order, strict=True)]
        return ResidualUnit(
            _shortcut(block.downsample, where),
            _chain(layers, where),
            after=_chain([("relu", block.relu)], where),
        )

    head = [("avgpool", net.avgpool), ("flatten", nn.Flatten()), ("fc", net.fc)]
    return _resnet(net, ("conv1", "bn1", "relu", "maxpool"), unit, head)


def _timm_resnet(net: Any) -> Parts:
    def unit(block: Any, where: str) -> ResidualUnit:
        bottleneck = hasattr(block, "conv3")
        order = _TIMM_BOTTLENECK if bottleneck else _TIMM_BASIC
        last = "act3" if bottleneck else "act2"
        return ResidualUnit(
            _shortcut(block.downsample, where),
            _chain([(name, getattr(block, name)) for name in order], where),
            after=_chain([(last, getattr(block, last))], where),
        )

    drop = nn.Dropout(net.drop_rate) if net.drop_rate else None
    head = [*_timm_pool(net.global_pool), ("drop", drop), ("fc", net.fc)]
    return _resnet(net, ("conv1", "bn1", "act1", "maxpool"), unit, head)


def _resnet(
    net: Any,
    stem: tuple[str, ...],
    unit: Callable[[Any, str], ResidualUnit],
    head: Iterable[tuple[str, nn.Module | None]],
) -> Parts:
    stages = ("layer1", "layer2", "layer3", "layer4")
    pieces = [
        Piece(f"{stage}.{j}", "residual", i, unit(block, f"{stage}.{j}"))
        for i, stage in enumerate(stages)
        for j, block in enumerate(getattr(net, stage))
    ]
    opening = _chain([(name, getattr(net, name)) for name in stem], "The stem")
    return Parts("residual", opening, tuple(pieces), _chain(head, "The head"), stages)


def _shortcut(downsample: nn.Module | None, where: str) -> nn.Module:
    if downsample is None:
        return nn.Identity()
    return _chain(downsample.named_children(), where)


def _timm_resnetv2(net: Any) -> Parts:
    def unit(block: Any, where: str) -> ResidualUnit:
        layers: list[tuple[str, nn.Module]] = [
            (name, getattr(block, name))
            for name in ("norm1", "conv1", "norm2", "conv2", "norm3", "conv3", "drop_path")
            if hasattr(block, name)
        ]
        if block.downsample is None:
            return ResidualUnit(nn.Identity(), _chain(layers, where))
        # A projection takes the activated input, which both branches share.
        return ResidualUnit(
            _shortcut(block.downsample, where),
            _chain(layers[1:], where),
            split=_chain(layers[:1], where),
        )

    pieces = []
    for i, stage in enumerate(net.stages):
        for j, block in enumerate(stage.blocks):
            name = f"stages.{i}.blocks.{j}"
            if not any(_is(block, f"timm.models.resnetv2.{k}") for k in _PREACTIVATED):
                raise NotApplicableError(
                    f"{name} is not pre-activated, so it is none of timm's resnetv2 nets; "
                    f"possible are {POSSIBLE}."
                )
            pieces.append(Piece(name, "residual", i, unit(block, name)))
    ending = net.head
    head = [
        ("norm", net.norm),
        *_timm_pool(ending.global_pool),
        ("drop", ending.drop if ending.drop.p else None),
        ("fc", ending.fc),
        ("flatten", ending.flatten),
    ]
    names = tuple(f"stages.{i}" for i in range(len(net.stages)))
    stem = _chain(net.stem.named_children(), "The stem")
    return Parts("residual", stem, tuple(pieces), _chain(head, "The head"), names)


_PREACTIVATED = ("PreActBasic", "PreActBottleneck")


def _timm_pool(pool: Any) -> list[tuple[str, nn.Module | None]]:
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


# ------------------------------------------------------------------------------- DenseNets


def _torchvision_densenet(net: Any) -> Parts:
    stem: list[tuple[str, nn.Module]] = []
    pieces: list[Piece] = []
    stage_names: list[str] = []
    last: list[tuple[str, nn.Module]] = []
    for name, child in net.features.named_children():
        path = f"features.{name}"
        if _is(child, "torchvision.models.densenet._DenseBlock"):
            stage_names.append(name)
            pieces += [
                Piece(f"{path}.{inner}", "dense", len(stage_names) - 1, _dense_unit(layer, path))
                for inner, layer in child.named_children()
            ]
        elif _is(child, "torchvision.models.densenet._Transition"):
            module = _chain(child.named_children(), path)
            pieces.append(Piece(path, "transition", len(stage_names) - 1, module))
        else:
            (last if stage_names else stem).append((name, child))
    head = [
        *last,
        ("relu", nn.ReLU()),
        ("avgpool", nn.AdaptiveAvgPool2d(1)),
        ("flatten", nn.Flatten()),
        ("classifier", net.classifier),
    ]
    ends = _chain(stem, "The stem"), _chain(head, "The head")
    return Parts("dense", ends[0], tuple(pieces), ends[1], tuple(stage_names))


def _dense_unit(layer: Any, where: str) -> DenseUnit:
    order = ("norm1", "relu1", "conv1", "norm2", "relu2", "conv2")
    layers = [(name, getattr(layer, name)) for name in order]
    if layer.drop_rate > 0:
        layers.append(("drop", nn.Dropout(layer.drop_rate)))
    return DenseUnit(_chain(layers, where), layer.conv2.out_channels)


# ------------------------------------------------------------------------------------ VGGs


def _torchvision_vgg(net: Any) -> Parts:
    """Each convolution with its batch norm and ReLU is a unit, each max pool a transition.

    The stem is the first convolution, and the pool that follows it in the shallowest nets.
    """
    groups: list[tuple[str, Layers]] = []
    for index, layer in net.features.named_children():
        opens = isinstance(layer, (nn.Conv2d, nn.MaxPool2d))
        if opens or not groups:
            groups.append((f"features.{index}", []))
        groups[-1][1].append((_VGG_NAMES.get(type(layer), "layer"), layer))

    def is_pool(group: tuple[str, Layers]) -> bool:
        return group[1][0][0] == "pool"

    opening = 2 if len(groups) > 1 and is_pool(groups[1]) else 1
    stem = [layer for _, layers in groups[:opening] for layer in layers]
    pieces: list[Piece] = []
    stage = 0
    for group in groups[opening:]:
        name, layers = group
        if is_pool(group):
            pieces.append(Piece(name, "transition", stage, _chain(layers, name)))
            stage += 1
        else:
            inner = list(_chain(layers, name).named_children())
            pieces.append(Piece(name, "plain", stage, PlainUnit(inner, deletable=False)))
    stages = 1 + max(piece.stage for piece in pieces)
    head = [
        ("avgpool", net.avgpool),
        ("flatten", nn.Flatten()),
        ("classifier", net.classifier),
    ]
    return Parts(
        "plain",
        _chain(stem, "The stem"),
        tuple(pieces),
        _chain(head, "The head"),
        tuple(f"group {i + 1}" for i in range(stages)),
    )


_VGG_NAMES: dict[type[nn.Module], str] = {
    nn.Conv2d: "conv",
    nn.BatchNorm2d: "bn",
    nn.ReLU: "relu",
    nn.MaxPool2d: "pool",
}
_RULES: dict[str, Callable[[Any], Parts]] = {
    "torchvision.models.resnet.ResNet": _torchvision_resnet,
    "torchvision.models.densenet.DenseNet": _torchvision_densenet,
    "torchvision.models.vgg.VGG": _torchvision_vgg,
    "timm.models.resnet.ResNet": _timm_resnet,
    "timm.models.resnetv2.ResNetV2": _timm_resnetv2,
}
