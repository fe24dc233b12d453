"""Residual nets: y = h(x) + F(x), in all the orders and shortcuts of He15 and He16."""

from __future__ import annotations

from torch import Tensor, nn

from explorer.nets.layers import (
    Gate,
    Scale,
    Survival,
    ZeroPad,
    activation,
    conv,
    fully_connected,
    named,
)
from explorer.structure.blueprint import (
    ORDERS,
    UnitPlan,
    projection_has_norm,
    residual_steps,
    shares_activation,
    stride_step,
)
from explorer.structure.specs import ResidualSpec


class ResidualUnit(nn.Module):
    """y = after(h(x) + F(x)), (N, C, H, W) → (N, C', H', W').

    Attributes:
        split: The activation that both branches share; passes x on in almost every unit.
        shortcut: h: identity, option A, a projection, a 1×1 max pool, a scale λ or dropout.
        shortcut_gate: g of He16 §3.1, where the shortcut is gated: h(x) = (1 − g(x))·x.
        residual: F.
        exclusive: Whether g multiplies F too (He16 Fig 2c).
        residual_scale: The factor on F of constant scaling (He16 Table 1).
        survival: Stochastic depth.
        after: What follows the addition: ReLU, BN and ReLU, or nothing (He16 Fig 4).
    """

    def __init__(
        self,
        shortcut: nn.Module,
        residual: nn.Module,
        *,
        split: nn.Module | None = None,
        shortcut_gate: Gate | None = None,
        exclusive: bool = False,
        residual_scale: nn.Module | None = None,
        survival: nn.Module | None = None,
        after: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.split = split or nn.Identity()
        self.shortcut = shortcut
        self.shortcut_gate = shortcut_gate
        self.residual = residual
        self.exclusive = exclusive
        self.residual_scale = residual_scale or nn.Identity()
        self.survival = survival or nn.Identity()
        self.after = after or nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        shortcut, residual = self.branches(x)
        output: Tensor = self.after(shortcut + residual)
        return output

    def branches(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The two addends, each of the output's shape: what arrives by shortcut and by F."""
        x = self.split(x)

        # shortcut branch
        shortcut, gate = self._gated_shortcut(x)

        # residual branch
        residual = self.residual(x)
        if gate is not None and self.exclusive:
            residual = gate * residual
        return shortcut, self.survival(self.residual_scale(residual))

    def bypass(self, x: Tensor) -> Tensor:
        """What remains when the unit is deleted (F = 0): after(h(x))."""
        shortcut, _ = self._gated_shortcut(self.split(x))
        output: Tensor = self.after(shortcut)
        return output

    def _gated_shortcut(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        shortcut = self.shortcut(x)
        if self.shortcut_gate is None:
            return shortcut, None
        gate = self.shortcut_gate(x)
        return (1 - gate) * shortcut, gate


def build(spec: ResidualSpec, plan: UnitPlan) -> ResidualUnit:
    """The unit that ``plan`` describes."""
    survival = Survival(plan.survival_prob) if plan.survival_prob < 1 else None
    if spec.layout == "fc":
        width = plan.input_shape[0]
        layer = fully_connected(width, width, spec.activation, batch_norm=spec.batch_norm)
        return ResidualUnit(nn.Identity(), named(layer), survival=survival)

    inputs, outputs = plan.input_shape[0], plan.output_shape[0]
    first = plan.name == "stages.0.units.0"
    steps = residual_steps(spec, first)
    shared: tuple[str, ...] = ()
    if shares_activation(spec, first, plan.shortcut):
        opening = steps.index("conv1")
        shared, steps = steps[:opening], steps[opening:]
    scaling = spec.shortcut == "constant_scaling"
    after = [s for s in ORDERS[spec.order].after_addition if spec.batch_norm or s != "bn"]
    return ResidualUnit(
        _shortcut(spec, plan),
        _branch(spec, plan, steps),
        split=named((s.rstrip("1"), _norm_or_act(spec, s, inputs)) for s in shared),
        shortcut_gate=_gate(spec, inputs) if plan.shortcut == "gated" else None,
        exclusive=spec.shortcut == "exclusive_gating",
        residual_scale=Scale(spec.residual_scale) if scaling else None,
        survival=survival,
        after=named((s, _norm_or_act(spec, s, outputs)) for s in after),
    )


def _norm_or_act(spec: ResidualSpec, step: str, maps: int) -> nn.Module:
    return nn.BatchNorm2d(maps) if step.startswith("bn") else activation(spec.activation)


def _gate(spec: ResidualSpec, maps: int) -> Gate:
    return Gate("conv", conv(maps, maps, 1, bias=True), spec.gate_bias)


def _branch(spec: ResidualSpec, plan: UnitPlan, steps: tuple[str, ...]) -> nn.Sequential:
    """F: the convolutions, with batch norms and activations where the order puts them."""
    inputs, outputs = plan.input_shape[0], plan.output_shape[0]
    if spec.unit == "bottleneck":
        inner = outputs // 4
        shapes = [(inputs, inner, 1), (inner, inner, 3), (inner, outputs, 1)]
    else:
        shapes = [(inputs, outputs, 3), (outputs, outputs, 3)]
    layers: list[tuple[str, nn.Module]] = []
    maps = inputs
    for step in steps:
        if step.startswith("conv"):
            before, maps, kernel = shapes[int(step.removeprefix("conv")) - 1]
            stride = plan.stride if step == stride_step(spec) else 1
            bias = not spec.batch_norm
            layers.append((step, conv(before, maps, kernel, stride=stride, bias=bias)))
        else:
            layers.append((step, _norm_or_act(spec, step, maps)))
    return named(layers)


def _shortcut(spec: ResidualSpec, plan: UnitPlan) -> nn.Module:
    inputs, outputs = plan.input_shape[0], plan.output_shape[0]
    if plan.shortcut == "projection":
        layers: list[tuple[str, nn.Module]] = [
            ("conv", conv(inputs, outputs, 1, stride=plan.stride, bias=not spec.batch_norm))
        ]
        if projection_has_norm(spec):
            layers.append(("bn", nn.BatchNorm2d(outputs)))
        return named(layers)
    if plan.shortcut == "zero_pad":
        extra = outputs - inputs
        pad = ZeroPad(extra, plan.stride, extra // 2 if spec.shortcut_pad == "both" else 0)
        if spec.shortcut == "constant_scaling":
            return named([("pad", pad), ("scale", Scale(spec.shortcut_scale))])
        return pad
    if plan.shortcut == "max_pool":
        return nn.MaxPool2d(1, stride=plan.stride)
    if plan.shortcut == "scaled":
        return Scale(spec.shortcut_scale)
    if plan.shortcut == "dropout":
        return nn.Dropout(spec.shortcut_dropout)
    return nn.Identity()
