"""Plain nets: layer upon layer, nothing passes by (He15 §4.2; SGS15 §3.1)."""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn

from explorer.errors import NotApplicableError
from explorer.nets.layers import conv_step, fully_connected, named
from explorer.structure.blueprint import BOTTLENECK_EXPANSION, UnitPlan, convolutions
from explorer.structure.specs import PlainSpec, ResidualSpec


class PlainUnit(nn.Sequential):
    """The layers between which a residual net would open a shortcut.

    Two 3×3 convolutions (one in the reference nets) or a bottleneck's three, (N, C, H, W) →
    (N, C', H', W'); or one fully connected layer, (N, width) → (N, width).
    """

    def __init__(self, layers: list[tuple[str, nn.Module]], *, deletable: bool) -> None:
        super().__init__(OrderedDict(layers))
        self.deletable = deletable

    def bypass(self, x: Tensor) -> Tensor:
        """What remains when the unit is deleted: its input, where the shapes allow it."""
        if not self.deletable:
            raise NotApplicableError(
                "This plain block changes the shape of its input, so the net cannot compute "
                "without it; delete one that keeps the shape."
            )
        return x


def build(spec: PlainSpec, plan: UnitPlan) -> PlainUnit:
    """The unit that ``plan`` describes."""
    inputs, maps = plan.input_shape[0], plan.output_shape[0]
    norm, act = spec.batch_norm, spec.activation
    if spec.layout == "fc":
        layers = fully_connected(inputs, maps, act, batch_norm=norm)
    elif spec.layout == "reference":
        layers = conv_step(inputs, maps, act, batch_norm=norm)
    else:
        inner = maps // BOTTLENECK_EXPANSION if spec.unit == "bottleneck" else maps
        layers, stride = [], plan.stride
        for i, (width, kernel) in enumerate(convolutions(spec, inner), start=1):
            layers += conv_step(
                inputs, width, act, kernel=kernel, stride=stride, batch_norm=norm, number=f"{i}"
            )
            inputs, stride = width, 1
    return PlainUnit(layers, deletable=plan.deletable)


def build_transition(spec: PlainSpec | ResidualSpec, plan: UnitPlan) -> nn.Sequential:
    """The layer of stride 2 that ends a group of a plain or residual reference net."""
    inputs, maps = plan.input_shape[0], plan.output_shape[0]
    norm = spec.batch_norm
    return named(conv_step(inputs, maps, spec.activation, stride=2, batch_norm=norm))
