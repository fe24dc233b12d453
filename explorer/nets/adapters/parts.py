"""Take nets of torchvision and timm apart: stem, units with their own names, head.

Every rule here restates a ``forward`` of those libraries in units of ours; :func:`adapt` holds
the outcome against the original's logits, so that a rule that no longer fits is noticed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from torch import nn

from explorer.errors import NotApplicableError
from explorer.nets.adapters.pieces import POSSIBLE, Layers, Parts, Piece, chain, is_a, timm_pool
from explorer.nets.adapters.vision import (
    timm_convnext,
    timm_vit,
    torchvision_convnext,
    torchvision_vit,
)
from explorer.nets.dense import DenseUnit
from explorer.nets.plain import PlainUnit
from explorer.nets.residual import ResidualUnit


def take_apart(net: nn.Module, name: str) -> Parts:
    """The parts of a net; they share its weights.

    Raises:
        NotApplicableError: The net, or a layer in it, is of a kind that is not known here.
    """
    for class_name, rule in _RULES.items():
        if is_a(net, class_name):
            return rule(net)
    raise NotApplicableError(
        f"{name} is a {type(net).__name__}, which the instruments cannot take apart; possible are "
        f"{POSSIBLE}."
    )


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
            chain(layers, where),
            after=chain([("relu", block.relu)], where),
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
            chain([(name, getattr(block, name)) for name in order], where),
            after=chain([(last, getattr(block, last))], where),
        )

    drop = nn.Dropout(net.drop_rate) if net.drop_rate else None
    head = [*timm_pool(net.global_pool), ("drop", drop), ("fc", net.fc)]
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
    opening = chain([(name, getattr(net, name)) for name in stem], "The stem")
    return Parts("residual", opening, tuple(pieces), chain(head, "The head"), stages)


def _shortcut(downsample: nn.Module | None, where: str) -> nn.Module:
    if downsample is None:
        return nn.Identity()
    return chain(downsample.named_children(), where)


def _timm_resnetv2(net: Any) -> Parts:
    def unit(block: Any, where: str) -> ResidualUnit:
        layers: list[tuple[str, nn.Module]] = [
            (name, getattr(block, name))
            for name in ("norm1", "conv1", "norm2", "conv2", "norm3", "conv3", "drop_path")
            if hasattr(block, name)
        ]
        if block.downsample is None:
            return ResidualUnit(nn.Identity(), chain(layers, where))
        # A projection takes the activated input, which both branches share.
        return ResidualUnit(
            _shortcut(block.downsample, where),
            chain(layers[1:], where),
            split=chain(layers[:1], where),
        )

    pieces = []
    for i, stage in enumerate(net.stages):
        for j, block in enumerate(stage.blocks):
            name = f"stages.{i}.blocks.{j}"
            if not any(is_a(block, f"timm.models.resnetv2.{k}") for k in _PREACTIVATED):
                raise NotApplicableError(
                    f"{name} is not pre-activated, so it is none of timm's resnetv2 nets; "
                    f"possible are {POSSIBLE}."
                )
            pieces.append(Piece(name, "residual", i, unit(block, name)))
    ending = net.head
    head = [
        ("norm", net.norm),
        *timm_pool(ending.global_pool),
        ("drop", ending.drop if ending.drop.p else None),
        ("fc", ending.fc),
        ("flatten", ending.flatten),
    ]
    names = tuple(f"stages.{i}" for i in range(len(net.stages)))
    stem = chain(net.stem.named_children(), "The stem")
    return Parts("residual", stem, tuple(pieces), chain(head, "The head"), names)


_PREACTIVATED = ("PreActBasic", "PreActBottleneck")


# ------------------------------------------------------------------------------- DenseNets


def _torchvision_densenet(net: Any) -> Parts:
    stem: list[tuple[str, nn.Module]] = []
    pieces: list[Piece] = []
    stage_names: list[str] = []
    last: list[tuple[str, nn.Module]] = []
    for name, child in net.features.named_children():
        path = f"features.{name}"
        if is_a(child, "torchvision.models.densenet._DenseBlock"):
            stage_names.append(name)
            pieces += [
                Piece(f"{path}.{inner}", "dense", len(stage_names) - 1, _dense_unit(layer, path))
                for inner, layer in child.named_children()
            ]
        elif is_a(child, "torchvision.models.densenet._Transition"):
            module = chain(child.named_children(), path)
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
    ends = chain(stem, "The stem"), chain(head, "The head")
    return Parts("dense", ends[0], tuple(pieces), ends[1], tuple(stage_names))


def _dense_unit(layer: Any, where: str) -> DenseUnit:
    order = ("norm1", "relu1", "conv1", "norm2", "relu2", "conv2")
    layers = [(name, getattr(layer, name)) for name in order]
    if layer.drop_rate > 0:
        layers.append(("drop", nn.Dropout(layer.drop_rate)))
    return DenseUnit(chain(layers, where), layer.conv2.out_channels)


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
            pieces.append(Piece(name, "transition", stage, chain(layers, name)))
            stage += 1
        else:
            inner = list(chain(layers, name).named_children())
            pieces.append(Piece(name, "plain", stage, PlainUnit(inner, deletable=False)))
    stages = 1 + max(piece.stage for piece in pieces)
    head = [
        ("avgpool", net.avgpool),
        ("flatten", nn.Flatten()),
        ("classifier", net.classifier),
    ]
    return Parts(
        "plain",
        chain(stem, "The stem"),
        tuple(pieces),
        chain(head, "The head"),
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
    "torchvision.models.vision_transformer.VisionTransformer": torchvision_vit,
    "torchvision.models.convnext.ConvNeXt": torchvision_convnext,
    "timm.models.resnet.ResNet": _timm_resnet,
    "timm.models.resnetv2.ResNetV2": _timm_resnetv2,
    "timm.models.vision_transformer.VisionTransformer": timm_vit,
    "timm.models.convnext.ConvNeXt": timm_convnext,
}
