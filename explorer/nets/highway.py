"""Highway nets: y = H(x)·T(x) + x·(1 − T(x)) (SGS15 Eq 3)."""

from __future__ import annotations

from torch import Tensor, nn

from explorer.nets.layers import Gate, conv, conv_step, fully_connected, named
from explorer.structure.blueprint import UnitPlan, highway_has_norm
from explorer.structure.specs import HighwaySpec


class HighwayUnit(nn.Module):
    """y = H(x)·T(x) + x·(1 − T(x)), (N, C, H, W) or (N, width) → the same shape.

    Attributes:
        transform: H, a layer with its activation.
        transform_gate: T = σ(W_T x + b_T), after the sigmoid; the carry gate is 1 − T.
    """

    def __init__(self, transform: nn.Module, transform_gate: Gate) -> None:
        super().__init__()
        self.transform = transform
        self.transform_gate = transform_gate

    def forward(self, x: Tensor) -> Tensor:
        # transform branch
        transformed: Tensor = self.transform(x)
        gate: Tensor = self.transform_gate(x)

        # carry branch
        return transformed * gate + x * (1 - gate)

    def bypass(self, x: Tensor) -> Tensor:
        """What remains when the unit is deleted (T = 0): its input."""
        return x


def build(spec: HighwaySpec, plan: UnitPlan) -> HighwayUnit:
    """The unit that ``plan`` describes."""
    width = plan.input_shape[0]
    act, norm = spec.activation, highway_has_norm(spec)
    if spec.layout == "fc":
        transform = fully_connected(width, width, act, batch_norm=norm)
        gate = Gate("linear", nn.Linear(width, width), spec.transform_bias)
    else:
        transform = conv_step(width, width, act, kernel=plan.kernel, batch_norm=norm)
        gate = Gate("conv", conv(width, width, plan.kernel, bias=True), spec.transform_bias)
    return HighwayUnit(named(transform), gate)


def build_transition(spec: HighwaySpec, plan: UnitPlan) -> nn.Sequential:
    """A plain layer between stages: half the resolution, twice the maps (or as many)."""
    inputs, maps = plan.input_shape[0], plan.output_shape[0]
    norm = spec.batch_norm
    if spec.layout == "fitnet":
        pool = nn.MaxPool2d(2, stride=2, ceil_mode=True)
        return named([("pool", pool), *conv_step(inputs, maps, spec.activation, batch_norm=norm)])
    return named(conv_step(inputs, maps, spec.activation, stride=2, batch_norm=norm))
