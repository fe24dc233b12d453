"""What a spec amounts to: every unit's name, layers, shapes, parameters and multiply-adds.

No torch: the server draws graphs and counts from blueprints; tests hold them equal to the nets.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import count
from types import ModuleType
from typing import Literal

from explorer.specs import (
    DenseSpec,
    HighwaySpec,
    NetSpec,
    Order,
    PlainSpec,
    ResidualSpec,
)

Shape = tuple[int, ...]  # (channels, height, width), or (features,)
LayerKind = Literal[
    "conv",
    "linear",
    "batch_norm",
    "activation",
    "max_pool",
    "average_pool",
    "flatten",
    "identity",
    "zero_pad",  # option A: subsample and pad channels with zeros
    "scale",
    "dropout",
    "sigmoid",
    "add",
    "gate",  # join of a highway or gated unit
    "concatenate",
    "multiply",
]
Branch = Literal["main", "residual", "shortcut", "transform_gate", "join"]


@dataclass(frozen=True)
class Layer:
    """One operation inside the stem, a unit, or the head.

    Attributes:
        name: Path of the torch module relative to the net, such as ``stages.0.units.1.conv1``;
            a join has the name of its unit and its kind, and no module.
        branch: Which side of the unit it stands on.
        parameters: Trainable values (batch norm: scale and shift).
        multiply_adds: For one image; convolutions and linear maps only.
        depth_index: 1-based position among the layers that the paper counts as depth; None for
            projections, gates, batch norm and everything without weights.
    """

    name: str
    kind: LayerKind
    branch: Branch
    input_shape: Shape
    output_shape: Shape
    parameters: int = 0
    multiply_adds: int = 0
    depth_index: int | None = None
    detail: str = ""  # "3×3, stride 2, 16→32"


@dataclass(frozen=True)
class UnitPlan:
    """One unit: what can be deleted, shuffled, clicked.

    Attributes:
        name: ``stages.1.units.3``: the torch module's path and the graph's node id.
        kind: ``plain``, ``residual``, ``highway``, ``dense`` or ``transition``.
        deletable: Whether the net still computes with this unit passed by.
        swap_group: Units with the same group (not None) may change places: they map the same
            shape to the same shape.
        shortcut: ``identity``, ``projection``, ``zero_pad``, ``gated``, ``scaled``, ``dropout``,
            ``concatenate`` or ``none``: how the graph draws it.
        stride: 2 where the unit halves the resolution.
        survival_prob: p_l of stochastic depth (SD16 Eq 4); 1 where the unit always stays.
    """

    name: str
    kind: Literal["plain", "residual", "highway", "dense", "transition"]
    stage: int
    input_shape: Shape
    output_shape: Shape
    layers: tuple[Layer, ...]
    deletable: bool
    swap_group: str | None
    shortcut: str
    stride: int = 1
    survival_prob: float = 1.0

    @property
    def parameters(self) -> int:
        return sum(layer.parameters for layer in self.layers)

    @property
    def multiply_adds(self) -> int:
        return sum(layer.multiply_adds for layer in self.layers)


@dataclass(frozen=True)
class Blueprint:
    """A whole net, in forward order: ``stem`` layers, ``units``, ``head`` layers."""

    spec: NetSpec
    stem: tuple[Layer, ...]
    units: tuple[UnitPlan, ...]
    head: tuple[Layer, ...]
    stage_names: tuple[str, ...] = field(default=())

    @property
    def layers(self) -> tuple[Layer, ...]:
        inner = tuple(layer for unit in self.units for layer in unit.layers)
        return self.stem + inner + self.head

    @property
    def weight_layers(self) -> tuple[Layer, ...]:
        """Convolutions and linear maps in forward order, projections and gates included."""
        return tuple(layer for layer in self.layers if layer.kind in ("conv", "linear"))

    @property
    def parameters(self) -> int:
        return sum(layer.parameters for layer in self.layers)

    @property
    def multiply_adds(self) -> int:
        return sum(layer.multiply_adds for layer in self.layers)


@dataclass(frozen=True)
class OrderPlan:
    """Where batch norm and activation stand in a residual unit (He16 Fig 4).

    Every order has ``bn, act`` between two convolutions; they differ at the ends of F and after
    the addition. Without batch norm the ``bn`` entries fall away.
    """

    start: tuple[str, ...]
    end: tuple[str, ...]
    after_addition: tuple[str, ...]


ORDERS: dict[Order, OrderPlan] = {
    "original": OrderPlan((), ("bn",), ("act",)),
    "bn_after_addition": OrderPlan((), (), ("bn", "act")),
    "relu_before_addition": OrderPlan((), ("bn", "act"), ()),
    "relu_only_preact": OrderPlan(("act",), ("bn",), ()),
    "full_preact": OrderPlan(("bn", "act"), (), ()),
}
BOTTLENECK_EXPANSION = 4


def residual_steps(spec: ResidualSpec, first: bool) -> tuple[str, ...]:
    """Names of the layers of F in order, such as ``bn1, act1, conv1, bn2, act2, conv2``.

    ``first`` leaves out the opening activation, which the net's first unit has before its
    split (He16 appendix): there it stands at the end of the stem.
    """
    plan = ORDERS[spec.order]
    convs = 3 if spec.unit == "bottleneck" else 2
    kinds = [*plan.start, "conv", *(["bn", "act", "conv"] * (convs - 1)), *plan.end]
    counters = {kind: count(1) for kind in ("conv", "bn", "act")}
    names = [f"{kind}{next(counters[kind])}" for kind in kinds]
    names = names[len(plan.start) :] if first else names
    return tuple(n for n in names if spec.batch_norm or not n.startswith("bn"))


def shares_activation(spec: ResidualSpec, first: bool, shortcut: str) -> bool:
    """Whether a unit's opening activation stands before the split and serves both branches.

    So it is for projections in pre-activation nets (He16 appendix): a projection takes the
    activated input, an identity or option A the raw one.
    """
    return bool(ORDERS[spec.order].start) and not first and shortcut == "projection"


def projection_has_norm(spec: ResidualSpec) -> bool:
    """Whether a projection ends as F does, in a batch norm (He15 §3.4).

    ``conv1x1`` is the bare convolution of He16 Fig 2e.
    """
    return spec.batch_norm and "bn" in ORDERS[spec.order].end and spec.shortcut != "conv1x1"


@lru_cache(maxsize=256)
def blueprint(spec: NetSpec) -> Blueprint:
    """The blueprint of a spec.

    ``cifar`` nets are a 3×3 stem, three stages and a pooled linear head; in ``fc`` nets the
    stem is the first plain layer, ``depth - 1`` units follow, and the softmax classifier at the
    end is not counted (SGS15 §3.1: "the first layer is plain, followed by 9, 19, 49 or 99").
    """
    if spec.layout == "fc":
        return _fully_connected(spec)
    if isinstance(spec, DenseSpec):
        return _dense(spec)
    return _convolutional(spec)


# ------------------------------------------------------------------------------ construction


class _Chain:
    """Layers one after another, each taking the shape that the last one gave.

    ``depth`` numbers the layers that count as depth; branches of one unit share it.
    """

    def __init__(self, prefix: str, shape: Shape, depth: Iterator[int], *, norm: bool) -> None:
        self.prefix = prefix
        self.shape = shape
        self.depth = depth
        self.norm = norm
        self.layers: list[Layer] = []
        self.branch: Branch = "main"

    def fork(self, branch: Branch, inner: str = "", shape: Shape | None = None) -> None:
        """Go on with another branch, whose module is ``inner``, from ``shape``."""
        self.branch = branch
        self.inner = inner
        self.shape = shape or self.shape

    inner = ""

    def _add(
        self,
        name: str,
        kind: LayerKind,
        output: Shape | None = None,
        parameters: int = 0,
        multiply_adds: int = 0,
        depth_index: int | None = None,
        detail: str = "",
    ) -> None:
        path = ".".join(part for part in (self.prefix, self.inner, name) if part)
        output = output or self.shape
        self.layers.append(
            Layer(
                path,
                kind,
                self.branch,
                self.shape,
                output,
                parameters,
                multiply_adds,
                depth_index,
                detail,
            )
        )
        self.shape = output

    def conv(
        self,
        name: str,
        maps: int,
        kernel: int = 3,
        stride: int = 1,
        *,
        counted: bool = True,
        bias: bool | None = None,
    ) -> None:
        """A convolution that keeps the size (divides it by ``stride``, rounding up)."""
        channels, height, width = self.shape
        output = (maps, math.ceil(height / stride), math.ceil(width / stride))
        weights = maps * channels * kernel * kernel
        has_bias = not self.norm if bias is None else bias
        step = f", stride {stride}" if stride > 1 else ""
        self._add(
            name,
            "conv",
            output,
            weights + (maps if has_bias else 0),
            weights * output[1] * output[2],
            next(self.depth) if counted else None,
            f"{kernel}×{kernel}{step}, {channels}→{maps}",
        )

    def linear(
        self, name: str, features: int, *, counted: bool = True, bias: bool | None = None
    ) -> None:
        (inputs,) = self.shape
        weights = inputs * features
        has_bias = not self.norm if bias is None else bias
        self._add(
            name,
            "linear",
            (features,),
            weights + (features if has_bias else 0),
            weights,
            next(self.depth) if counted else None,
            f"{inputs}→{features}",
        )

    def batch_norm(self, name: str) -> None:
        if self.norm:
            self._add(name, "batch_norm", parameters=2 * self.shape[0])

    def activation(self, name: str, detail: str = "relu") -> None:
        self._add(name, "activation", detail=detail)

    def other(
        self, name: str, kind: LayerKind, output: Shape | None = None, detail: str = ""
    ) -> None:
        self._add(name, kind, output, detail=detail)

    def steps(self, names: tuple[str, ...], activation: str) -> None:
        """Batch norms and activations by name."""
        for name in names:
            if name.startswith("bn"):
                self.batch_norm(name)
            else:
                self.activation(name, activation)

    def pooled_classifier(self, classes: int) -> None:
        channels = self.shape[0]
        self.other("pool", "average_pool", (channels, 1, 1), "global")
        self.other("flatten", "flatten", (channels,))
        self.linear("linear", classes, bias=True)


def _swap_group(input_shape: Shape, output_shape: Shape) -> str | None:
    same = input_shape == output_shape
    return "×".join(str(n) for n in output_shape) if same else None


def _convolutional(spec: PlainSpec | ResidualSpec | HighwaySpec) -> Blueprint:
    """Plain, residual and highway nets: three stages of w, 2w, 4w maps (He15 §4.2)."""
    depth = count(1)
    stem = _Chain("stem", spec.input_shape, depth, norm=spec.batch_norm)
    stem.conv("conv", spec.width)
    stem.batch_norm("bn")
    stem.activation("act", spec.activation)

    layers_a_unit, fixed = {"plain": (2, 2), "highway": (1, 4)}.get(spec.family, (2, 2))
    if isinstance(spec, ResidualSpec) and spec.unit == "bottleneck":
        layers_a_unit = 3
    per_stage = (spec.depth - fixed) // (3 * layers_a_unit)

    units: list[UnitPlan] = []
    shape = stem.shape
    for stage, factor in enumerate((1, 2, 4)):
        maps = spec.width * factor
        if isinstance(spec, HighwaySpec) and stage:
            units.append(_highway_transition(spec, stage - 1, shape, maps, depth))
            shape = units[-1].output_shape
        for j in range(per_stage):
            name = f"stages.{stage}.units.{j}"
            stride = 2 if stage and not j else 1
            if isinstance(spec, PlainSpec):
                unit = _plain_unit(spec, name, stage, shape, maps, stride, depth)
            elif isinstance(spec, ResidualSpec):
                position = (stage * per_stage + j + 1, 3 * per_stage)
                unit = _residual_unit(spec, name, stage, shape, maps, stride, position, depth)
            else:
                unit = _highway_unit(spec, name, stage, shape, depth)
            units.append(unit)
            shape = unit.output_shape

    head = _Chain("head", shape, depth, norm=spec.batch_norm)
    if isinstance(spec, ResidualSpec):  # the activation after the last addition
        head.steps(ORDERS[spec.order].start, spec.activation)
    head.pooled_classifier(spec.classes)
    names = ("stage 1", "stage 2", "stage 3")
    return Blueprint(spec, tuple(stem.layers), tuple(units), tuple(head.layers), names)


def _plain_unit(
    spec: PlainSpec,
    name: str,
    stage: int,
    shape: Shape,
    maps: int,
    stride: int,
    depth: Iterator[int],
) -> UnitPlan:
    chain = _Chain(name, shape, depth, norm=spec.batch_norm)
    for i, step in ((1, stride), (2, 1)):
        chain.conv(f"conv{i}", maps, stride=step)
        chain.batch_norm(f"bn{i}")
        chain.activation(f"act{i}", spec.activation)
    return UnitPlan(
        name,
        "plain",
        stage,
        shape,
        chain.shape,
        tuple(chain.layers),
        deletable=shape == chain.shape,
        swap_group=_swap_group(shape, chain.shape),
        shortcut="none",
        stride=stride,
    )


def shortcut_kind(spec: ResidualSpec, *, same_shape: bool) -> str:
    """How a unit's shortcut is drawn and built; see ``UnitPlan.shortcut``."""
    if spec.shortcut in ("C", "conv1x1") or (spec.shortcut == "B" and not same_shape):
        return "projection"
    if not same_shape:
        return "zero_pad"
    return {
        "constant_scaling": "scaled",
        "exclusive_gating": "gated",
        "shortcut_only_gating": "gated",
        "dropout": "dropout",
    }.get(spec.shortcut, "identity")


def survival_prob(spec: ResidualSpec, position: int, total: int) -> float:
    """p_l of unit ``position`` (1-based) of ``total`` (SD16 Eq 4)."""
    if spec.survival_decay == "uniform":
        return spec.survival_prob
    return 1 - position / total * (1 - spec.survival_prob)


def _residual_unit(
    spec: ResidualSpec,
    name: str,
    stage: int,
    shape: Shape,
    maps: int,
    stride: int,
    position: tuple[int, int],
    depth: Iterator[int],
) -> UnitPlan:
    bottleneck = spec.unit == "bottleneck"
    outer = maps * BOTTLENECK_EXPANSION if bottleneck else maps
    kernels = (1, 3, 1) if bottleneck else (3, 3)
    widths = (maps, maps, outer) if bottleneck else (maps, outer)
    first = position[0] == 1
    kind = shortcut_kind(spec, same_shape=stride == 1 and shape[0] == outer)
    steps = residual_steps(spec, first)
    chain = _Chain(name, shape, depth, norm=spec.batch_norm)

    chain.fork("main", "split")
    if shares_activation(spec, first, kind):
        start = ORDERS[spec.order].start
        chain.steps(start, spec.activation)
        steps = steps[len([s for s in start if spec.batch_norm or s != "bn"]) :]
    _shortcut_layers(chain, spec, kind, outer, stride, shape)

    chain.fork("residual", "residual", shape)
    for step in steps:
        if step.startswith("conv"):
            i = int(step.removeprefix("conv")) - 1
            # The first convolution carries the stride, in bottlenecks too (He15 Table 1).
            chain.conv(step, widths[i], kernels[i], stride if i == 0 else 1)
        else:
            chain.steps((step,), spec.activation)
    p = survival_prob(spec, *position)
    if spec.shortcut == "constant_scaling":
        chain.fork("residual")
        chain.other("residual_scale", "scale", detail=f"× {spec.residual_scale:g}")
    if p < 1:
        chain.fork("residual")
        chain.other("survival", "dropout", detail=f"kept with probability {p:.3g}")

    chain.fork("join")
    chain.other("gate" if kind == "gated" else "add", "gate" if kind == "gated" else "add")
    chain.fork("join", "after")
    chain.steps(ORDERS[spec.order].after_addition, spec.activation)
    return UnitPlan(
        name,
        "residual",
        stage,
        shape,
        chain.shape,
        tuple(chain.layers),
        deletable=True,
        swap_group=_swap_group(shape, chain.shape),
        shortcut=kind,
        stride=stride,
        survival_prob=p,
    )


def _shortcut_layers(
    chain: _Chain, spec: ResidualSpec, kind: str, outer: int, stride: int, shape: Shape
) -> None:
    """The shortcut's layers; all that it passes on has ``outer`` maps."""
    output = (outer, math.ceil(shape[1] / stride), math.ceil(shape[2] / stride))
    chain.fork("shortcut", "shortcut", shape)
    if kind == "projection":
        chain.conv("conv", outer, 1, stride, counted=False)
        if projection_has_norm(spec):
            chain.batch_norm("bn")
    elif kind == "zero_pad":
        detail = f"stride {stride}, {shape[0]}→{outer}"
        if spec.shortcut == "constant_scaling":
            chain.other("pad", "zero_pad", output, detail)
            chain.other("scale", "scale", detail=f"× {spec.shortcut_scale:g}")
        else:
            chain.other("", "zero_pad", output, detail)
    elif kind == "scaled":
        chain.other("", "scale", detail=f"× {spec.shortcut_scale:g}")
    elif kind == "dropout":
        chain.other("", "dropout", detail=f"drop {spec.shortcut_dropout:g}")
    else:
        chain.other("", "identity")
    if kind == "gated":
        chain.fork("shortcut", "shortcut_gate", shape)
        chain.conv("conv", outer, 1, counted=False, bias=True)
        chain.other("sigmoid", "sigmoid")


def _highway_unit(
    spec: HighwaySpec, name: str, stage: int, shape: Shape, depth: Iterator[int]
) -> UnitPlan:
    chain = _Chain(name, shape, depth, norm=spec.batch_norm)
    chain.fork("residual", "transform", shape)
    if len(shape) == 1:
        chain.linear("linear", shape[0])
    else:
        chain.conv("conv", shape[0])
    chain.batch_norm("bn")
    chain.activation("act", spec.activation)
    chain.fork("transform_gate", "transform_gate", shape)
    if len(shape) == 1:
        chain.linear("linear", shape[0], counted=False, bias=True)
    else:
        chain.conv("conv", shape[0], counted=False, bias=True)
    chain.other("sigmoid", "sigmoid")
    chain.fork("join")
    chain.other("gate", "gate")
    return UnitPlan(
        name,
        "highway",
        stage,
        shape,
        shape,
        tuple(chain.layers),
        deletable=True,
        swap_group=_swap_group(shape, shape),
        shortcut="gated",
    )


def _highway_transition(
    spec: HighwaySpec, stage: int, shape: Shape, maps: int, depth: Iterator[int]
) -> UnitPlan:
    chain = _Chain(f"stages.{stage}.transition", shape, depth, norm=spec.batch_norm)
    chain.conv("conv", maps, stride=2)
    chain.batch_norm("bn")
    chain.activation("act", spec.activation)
    return _transition(chain, stage, shape)


def _transition(chain: _Chain, stage: int, shape: Shape) -> UnitPlan:
    return UnitPlan(
        chain.prefix,
        "transition",
        stage,
        shape,
        chain.shape,
        tuple(chain.layers),
        deletable=False,
        swap_group=None,
        shortcut="none",
        stride=2,
    )


def _dense(spec: DenseSpec) -> Blueprint:
    """DenseNets of three blocks (Huang16 §3, "Implementation Details")."""
    depth = count(1)
    k = spec.growth_rate
    stem = _Chain("stem", spec.input_shape, depth, norm=spec.batch_norm)
    stem.conv("conv", 2 * k if spec.bottleneck and spec.compression < 1 else 16)

    per_stage = (spec.depth - 4) // (6 if spec.bottleneck else 3)
    units: list[UnitPlan] = []
    shape = stem.shape
    for stage in range(3):
        for j in range(per_stage):
            units.append(_dense_unit(spec, f"stages.{stage}.units.{j}", stage, shape, depth))
            shape = units[-1].output_shape
        if stage < 2:
            units.append(_dense_transition(spec, stage, shape, depth))
            shape = units[-1].output_shape

    head = _Chain("head", shape, depth, norm=spec.batch_norm)
    head.batch_norm("bn")
    head.activation("act")
    head.pooled_classifier(spec.classes)
    names = ("block 1", "block 2", "block 3")
    return Blueprint(spec, tuple(stem.layers), tuple(units), tuple(head.layers), names)


def _dense_unit(
    spec: DenseSpec, name: str, stage: int, shape: Shape, depth: Iterator[int]
) -> UnitPlan:
    chain = _Chain(name, shape, depth, norm=spec.batch_norm)
    k = spec.growth_rate
    convs = [(4 * k, 1), (k, 3)] if spec.bottleneck else [(k, 3)]
    chain.fork("residual", "growth", shape)
    for i, (maps, kernel) in enumerate(convs, start=1):
        chain.batch_norm(f"bn{i}")
        chain.activation(f"act{i}")
        chain.conv(f"conv{i}", maps, kernel)
    chain.fork("join")
    chain.other("concatenate", "concatenate", (shape[0] + k, *shape[1:]), f"{shape[0]} + {k}")
    return UnitPlan(
        name,
        "dense",
        stage,
        shape,
        chain.shape,
        tuple(chain.layers),
        deletable=True,
        swap_group=None,
        shortcut="concatenate",
    )


def _dense_transition(spec: DenseSpec, stage: int, shape: Shape, depth: Iterator[int]) -> UnitPlan:
    chain = _Chain(f"stages.{stage}.transition", shape, depth, norm=spec.batch_norm)
    chain.batch_norm("bn")
    chain.activation("act")
    maps = max(1, math.floor(spec.compression * shape[0]))
    chain.conv("conv", maps, 1)
    halved = (maps, shape[1] // 2, shape[2] // 2)
    chain.other("pool", "average_pool", halved, "2×2")
    return _transition(chain, stage, shape)


def _fully_connected(spec: NetSpec) -> Blueprint:
    """Flatten, a plain layer, ``depth - 1`` units of one layer each, a classifier."""
    assert not isinstance(spec, DenseSpec)  # DenseSpec has no such layout
    depth = count(1)
    stem = _Chain("stem", spec.input_shape, depth, norm=spec.batch_norm)
    stem.other("flatten", "flatten", (math.prod(spec.input_shape),))
    stem.linear("linear", spec.width)
    stem.batch_norm("bn")
    stem.activation("act", spec.activation)
    total = spec.depth - 1
    units = []
    for j in range(total):
        name = f"stages.0.units.{j}"
        if isinstance(spec, HighwaySpec):
            units.append(_highway_unit(spec, name, 0, stem.shape, depth))
        else:
            units.append(_fully_connected_unit(spec, name, stem.shape, (j + 1, total), depth))
    head = _Chain("head", stem.shape, depth, norm=spec.batch_norm)
    head.linear("linear", spec.classes, counted=False, bias=True)
    return Blueprint(spec, tuple(stem.layers), tuple(units), tuple(head.layers), ("layers",))


def _fully_connected_unit(
    spec: PlainSpec | ResidualSpec,
    name: str,
    shape: Shape,
    position: tuple[int, int],
    depth: Iterator[int],
) -> UnitPlan:
    """act(Wx + b), or x + act(Wx + b)."""
    chain = _Chain(name, shape, depth, norm=spec.batch_norm)
    p = 1.0
    if isinstance(spec, ResidualSpec):
        p = survival_prob(spec, *position)
        chain.fork("shortcut", "shortcut")
        chain.other("", "identity")
        chain.fork("residual", "residual", shape)
    chain.linear("linear", shape[0])
    chain.batch_norm("bn")
    chain.activation("act", spec.activation)
    if isinstance(spec, ResidualSpec):
        if p < 1:
            chain.fork("residual")
            chain.other("survival", "dropout", detail=f"kept with probability {p:.3g}")
        chain.fork("join")
        chain.other("add", "add")
    return UnitPlan(
        name,
        spec.family,
        0,
        shape,
        shape,
        tuple(chain.layers),
        deletable=True,
        swap_group=_swap_group(shape, shape),
        shortcut="identity" if isinstance(spec, ResidualSpec) else "none",
        survival_prob=p,
    )


class _CallableModule(ModuleType):
    """``explorer.blueprint("plain_20")`` works in a notebook, although this module, which has
    the same name, is what that attribute holds once it has been imported."""

    def __call__(self, net: NetSpec | str) -> Blueprint:
        from explorer.names import spec_of

        return blueprint(spec_of(net) if isinstance(net, str) else net)


sys.modules[__name__].__class__ = _CallableModule
