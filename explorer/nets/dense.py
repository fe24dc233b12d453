"""Dense nets: every unit sees the maps of all before it in its block (Huang16)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from explorer.nets.layers import LastMaps, activation, conv, conv_step, named
from explorer.nets.plain import PlainUnit
from explorer.structure.blueprint import UnitPlan
from explorer.structure.specs import DenseSpec


class DenseUnit(nn.Module):
    """y = [x, growth(x)], (N, C, H, W) → (N, C + k, H, W) (Huang16 Eq 2).

    Input and output are the concatenation of all maps so far, so that the net is a fold.

    Attributes:
        growth: BN–ReLU–3×3, after BN–ReLU–1×1 in DenseNet-B; 3×3–BN–ReLU in the reference net:
            the k new maps.
        growth_rate: k.
    """

    def __init__(self, growth: nn.Module, growth_rate: int) -> None:
        super().__init__()
        self.growth = growth
        self.growth_rate = growth_rate

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat((x, self.growth(x)), dim=1)

    def bypass(self, x: Tensor) -> Tensor:
        """What remains when the unit is deleted: its new maps are zero."""
        n, _, height, width = x.shape
        return torch.cat((x, x.new_zeros(n, self.growth_rate, height, width)), dim=1)


def build(spec: DenseSpec, plan: UnitPlan) -> DenseUnit | PlainUnit:
    """The unit that ``plan`` describes."""
    inputs, k = plan.input_shape[0], spec.growth_rate
    if spec.layout == "reference":
        opens = plan.kind == "plain"  # a group
        maps = plan.output_shape[0] if opens else k
        layer = conv_step(inputs, maps, "relu", batch_norm=spec.batch_norm)
        return PlainUnit(layer, deletable=plan.deletable) if opens else DenseUnit(named(layer), k)
    if spec.bottleneck:
        layers = [
            *_pre_activated(spec, inputs, 4 * k, 1, "1"),
            *_pre_activated(spec, 4 * k, k, 3, "2"),
        ]
    else:
        layers = _pre_activated(spec, inputs, k, 3, "1")
    return DenseUnit(named(layers), k)


def build_transition(spec: DenseSpec, plan: UnitPlan) -> nn.Sequential:
    """BN–ReLU–1×1 convolution–2×2 average pool between blocks (Huang16 §3).

    In the reference net: the block's last maps, 3×3 of stride 2–BN–ReLU.
    """
    inputs, maps = plan.input_shape[0], plan.output_shape[0]
    if spec.layout == "reference":
        layer = conv_step(maps, maps, "relu", stride=2, batch_norm=spec.batch_norm)
        return named([("select", LastMaps(maps)), *layer])
    return named([*_pre_activated(spec, inputs, maps, 1), ("pool", nn.AvgPool2d(2))])


def _pre_activated(
    spec: DenseSpec, inputs: int, maps: int, kernel: int, number: str = ""
) -> list[tuple[str, nn.Module]]:
    norm: list[tuple[str, nn.Module]] = []
    if spec.batch_norm:
        norm.append((f"bn{number}", nn.BatchNorm2d(inputs)))
    return [
        *norm,
        (f"act{number}", activation("relu")),
        (f"conv{number}", conv(inputs, maps, kernel, bias=not spec.batch_norm)),
    ]
