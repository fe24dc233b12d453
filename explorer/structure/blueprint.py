"""What a spec amounts to: every unit's name, layers, shapes, parameters and multiply-adds.

No torch: the server draws graphs and counts from blueprints; tests hold them equal to the nets.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from itertools import count
from typing import Any, Literal, cast

from explorer.structure.conventions import follow
from explorer.structure.library_nets import ExternalSpec
from explorer.structure.specs import (
    FITNET_HIDDEN,
    FITNET_STAGES,
    IMAGENET_UNITS,
    REFERENCE_GROUPS,
    DenseSpec,
    HighwaySpec,
    NetSpec,
    Order,
    Padding,
    PlainSpec,
    ResidualSpec,
    parse,
    parse_net,
)

Shape = tuple[int, ...]  # (channels, height, width), or (features,)
LayerKind = Literal[
    "conv",
    "linear",
    "batch_norm",
    "layer_norm",  # over the channels of each token, or pixel
    "response_norm",  # of ConvNeXt V2: by each map's size beside the others'
    "activation",
    "attention",  # softmax(q·kᵀ/√d)·v
    "tokens",  # pixels of maps, as tokens
    "prepend",  # learnt tokens before the others
    "positions",  # what was learnt of every place, added
    "permute",  # the axes in another order
    "max_pool",
    "average_pool",
    "flatten",
    "pad",  # zeros around the maps, not as many on all sides
    "identity",
    "zero_pad",  # option A: subsample and pad channels with zeros
    "select",  # the last of the maps; the first token
    "scale",
    "dropout",
    "sigmoid",
    "add",
    "gate",  # join of a highway or gated unit
    "concatenate",
    "multiply",
    "module",  # somebody else's, whose steps are not known
]
Branch = Literal["main", "residual", "shortcut", "transform_gate", "join"]
GateKind = Literal["transform", "shortcut"]  # T(x) of highway units; g(x) of He16's gated shortcuts


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
        chained: Whether it takes just what the layer before it on its branch gives, and nobody else
            takes that; not known inside of a module that somebody else wrote.
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
    chained: bool = True

    @property
    def in_gate(self) -> bool:
        """Whether it computes a gate: a highway unit's, or that of a gated shortcut."""
        return self.branch == "transform_gate" or ".shortcut_gate." in self.name


@dataclass(frozen=True)
class UnitPlan:
    """One unit: what can be deleted, shuffled, clicked.

    Attributes:
        name: ``stages.1.units.3``: the torch module's path and the graph's node id.
        kind: ``plain``, ``residual``, ``highway``, ``dense`` or ``transition``.
        deletable: Whether the net still computes with this unit passed by.
        swap_group: Units with the same group (not None) may change places: they map the same
            shape to the same shape.
        shortcut: ``identity``, ``projection``, ``zero_pad``, ``max_pool``, ``gated``, ``scaled``,
            ``dropout``, ``concatenate`` or ``none``: how the graph draws it.
        stride: 2 where the unit halves the resolution.
        kernel: The side of a highway unit's kernels; see :func:`highway_kernel`.
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
    kernel: int = 3
    survival_prob: float = 1.0

    @property
    def parts_ways(self) -> bool:
        """Whether paths part here: through the unit's branch, or by what goes round it."""
        return self.kind in ("residual", "highway", "dense")

    @property
    def gate(self) -> str | None:
        """Its gate's torch module: ``….transform_gate``, ``….shortcut_gate``; None without one."""
        of_gate = (layer.name for layer in self.layers if layer.in_gate)
        return next((name.rpartition(".")[0] for name in of_gate), None)

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
    def gated_units(self) -> tuple[UnitPlan, ...]:
        """Those with a gate, in forward order; none, and the net has no gates."""
        return tuple(unit for unit in self.units if unit.gate is not None)

    @property
    def gate_kind(self) -> GateKind | None:
        """Of all its gates; None without any."""
        gates = [unit.gate for unit in self.units if unit.gate is not None]
        if not gates:
            return None
        return "transform" if gates[0].endswith(".transform_gate") else "shortcut"

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


def stem_activates(spec: ResidualSpec) -> bool:
    """Whether the stem ends in batch norm and activation.

    A pre-activation net's first unit has its activation before its split (He16 appendix), so
    there; but ImageNet's (as in the programs that trained them) and the reference nets' open
    every unit with one, and the former leave the stem without.
    """
    return spec.layout != "imagenet" or not ORDERS[spec.order].start


def has_large_stem(spec: NetSpec) -> bool:
    """Whether a net begins as ImageNet's do, with a 7×7 of stride 2 and a max pool."""
    small = isinstance(spec, ResidualSpec) and spec.stem == "3x3"
    return spec.layout == "imagenet" and not small


def stem_has_norm(spec: NetSpec) -> bool:
    """Whether a stem that activates normalises first."""
    return spec.batch_norm and not (isinstance(spec, ResidualSpec) and spec.bare_frame)


def lacks_opening(spec: ResidualSpec, first: bool) -> bool:
    """Whether a unit's opening activation stands in the stem already."""
    return first and spec.layout in ("cifar", "small") and not spec.bare_frame


def residual_steps(spec: ResidualSpec, first: bool) -> tuple[str, ...]:
    """Names of the layers of F in order, such as ``bn1, act1, conv1, bn2, act2, conv2``.

    ``first`` is the net's first unit, whose opening activation may be the stem's.
    """
    plan = ORDERS[spec.order]
    convs = 3 if spec.unit == "bottleneck" else 2
    kinds = [*plan.start, "conv", *(["bn", "act", "conv"] * (convs - 1)), *plan.end]
    counters = {kind: count(1) for kind in ("conv", "bn", "act")}
    names = [f"{kind}{next(counters[kind])}" for kind in kinds]
    names = names[len(plan.start) :] if lacks_opening(spec, first) else names
    return tuple(n for n in names if spec.batch_norm or not n.startswith("bn"))


def shares_activation(spec: ResidualSpec, first: bool, shortcut: str) -> bool:
    """Whether a unit's opening activation stands before the split and serves both branches.

    So it is for projections in pre-activation nets (He16 appendix): a projection takes the
    activated input, an identity or option A the raw one.
    """
    opens = bool(ORDERS[spec.order].start) and not lacks_opening(spec, first)
    return opens and shortcut == "projection" and not spec.bare_frame


def projection_has_norm(spec: ResidualSpec) -> bool:
    """Whether a projection ends as F does, in a batch norm (He15 §3.4).

    ``conv1x1`` is the bare convolution of He16 Fig 2e.
    """
    bare = spec.bare_frame or spec.shortcut == "conv1x1"
    return spec.batch_norm and "bn" in ORDERS[spec.order].end and not bare


def head_steps(spec: ResidualSpec) -> tuple[str, ...]:
    """What follows the last addition: the activation that is still due."""
    steps = ORDERS[spec.order].start
    return tuple(step for step in steps if not (spec.bare_frame and step == "act"))


def ends_in_conv(spec: NetSpec) -> bool:
    """Whether the classifier is a 1×1 convolution of the pooled maps (ImageNet's v2 nets)."""
    return isinstance(spec, ResidualSpec) and not stem_activates(spec)


def stride_step(spec: ResidualSpec) -> str:
    """The convolution of F that carries the stride."""
    middle = spec.unit == "bottleneck" and spec.stride_conv == "3x3"
    return "conv2" if middle else "conv1"


@lru_cache(maxsize=256)
def blueprint(spec: NetSpec) -> Blueprint:
    """The blueprint of a spec; see ``NetBase.layout`` for the frames.

    In ``fc`` nets the stem is the first plain layer, ``depth - 1`` units follow, and the softmax
    classifier at the end is not counted (SGS15 §3.1: "the first layer is plain, followed by 9,
    19, 49 or 99").
    """
    if spec.layout == "fc":
        return follow(_fully_connected(spec))
    if spec.layout == "reference":
        return follow(_reference(spec))
    if isinstance(spec, DenseSpec):
        return follow(_dense(spec))
    return follow(_convolutional(spec))


# ------------------------------------------------------------------------------ construction


class _Chain:
    """Layers one after another, each taking the shape that the last one gave.

    ``depth`` numbers the layers that count as depth; branches of one unit share it.
    """

    def __init__(
        self,
        prefix: str,
        shape: Shape,
        depth: Iterator[int],
        *,
        norm: bool,
        padding: Padding = "zeros",
    ) -> None:
        self.prefix = prefix
        self.shape = shape
        self.depth = depth
        self.norm = norm
        self.padding = padding
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
        if kernel > 1 and self.padding != "zeros":
            step += f", {self.padding} padding"
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

    def max_pool(self, name: str, kernel: int, stride: int) -> None:
        """A max pool that divides the size by ``stride``, rounding up."""
        channels, height, width = self.shape
        halved = (channels, math.ceil(height / stride), math.ceil(width / stride))
        self.other(name, "max_pool", halved, f"{kernel}×{kernel}, stride {stride}")

    def global_pool(self, kind: LayerKind = "average_pool") -> None:
        self.other("pool", kind, (self.shape[0], 1, 1), "global")

    def flatten(self) -> None:
        self.other("flatten", "flatten", (math.prod(self.shape),))

    def pooled_classifier(self, classes: int) -> None:
        self.global_pool()
        self.flatten()
        self.linear("linear", classes, bias=True)

    def imagenet_stem(self, maps: int, *, activates: bool, activation: str = "relu") -> None:
        """7×7 of stride 2 and a 3×3 max pool of stride 2 (He15 Table 1)."""
        self.conv("conv", maps, 7, 2)
        if activates:
            self.batch_norm("bn")
            self.activation("act", activation)
        self.max_pool("pool", 3, 2)


_AROUND_ALIKE = {"padding": "zeros", "asymmetric_padding": "none"}


def unmirrored(spec: NetSpec) -> Layer | None:
    """The first convolution whose input is too small to be mirrored around it, if any.

    To mirror p pixels at an edge takes maps of at least p + 1.
    """
    for layer in blueprint(spec.model_copy(update=_AROUND_ALIKE)).weight_layers:
        if layer.kind == "conv":
            kernel = int(layer.detail.partition("×")[0])
            if min(layer.input_shape[1:]) <= kernel // 2:
                return layer
    return None


def _swap_group(input_shape: Shape, output_shape: Shape) -> str | None:
    same = input_shape == output_shape
    return "×".join(str(n) for n in output_shape) if same else None


@dataclass(frozen=True)
class _StagePlan:
    """One stage: its units, each with its stride, and how wide they are."""

    strides: tuple[int, ...]
    maps: int


def _stage_plans(spec: PlainSpec | ResidualSpec | HighwaySpec) -> list[_StagePlan]:
    """Stages of w, 2w, 4w, … maps, each at half the resolution of the one before."""
    if spec.layout == "small":
        return [_StagePlan((1,), spec.width), _StagePlan((1,), 2 * spec.width)]
    if spec.layout == "fitnet":
        table = FITNET_STAGES[spec.depth]
        scale = spec.width / table[0][0]
        return [_StagePlan((1,) * units, max(1, round(scale * maps))) for maps, units in table]
    if spec.layout == "imagenet":
        counts = IMAGENET_UNITS["basic" if isinstance(spec, HighwaySpec) else spec.unit][spec.depth]
    else:
        layers_a_unit, fixed = (1, 4) if isinstance(spec, HighwaySpec) else (2, 2)
        if not isinstance(spec, HighwaySpec) and spec.unit == "bottleneck":
            layers_a_unit = 3
        counts = ((spec.depth - fixed) // (3 * layers_a_unit),) * 3
    last = isinstance(spec, ResidualSpec) and spec.stride_unit == "last"
    width = spec.width * (spec.widen if isinstance(spec, ResidualSpec) else 1)
    plans = []
    for stage, units in enumerate(counts):
        strides = [1] * units
        if last and stage < len(counts) - 1:
            strides[-1] = 2
        elif not last and stage > 0 and not isinstance(spec, HighwaySpec):
            strides[0] = 2
        plans.append(_StagePlan(tuple(strides), width * 2**stage))
    return plans


def _convolutional(spec: PlainSpec | ResidualSpec | HighwaySpec) -> Blueprint:
    """Plain, residual and highway nets in stages (He15 §3.3, §3.4 and §4.2)."""
    depth = count(1)
    stem = _Chain("stem", spec.input_shape, depth, norm=spec.batch_norm, padding=spec.padding)
    if has_large_stem(spec):
        activates = not isinstance(spec, ResidualSpec) or stem_activates(spec)
        stem.imagenet_stem(spec.width, activates=activates, activation=spec.activation)
    else:
        stem.conv("conv", spec.width)
        if stem_has_norm(spec):
            stem.batch_norm("bn")
        stem.activation("act", spec.activation)

    units: list[UnitPlan] = []
    shape = stem.shape
    stages = _stage_plans(spec)
    total = sum(len(plan.strides) for plan in stages)
    for stage, plan in enumerate(stages):
        if isinstance(spec, HighwaySpec) and stage:
            units.append(_conv_transition(spec, stage - 1, shape, plan.maps, depth))
            shape = units[-1].output_shape
        for j, stride in enumerate(plan.strides):
            name = f"stages.{stage}.units.{j}"
            if isinstance(spec, PlainSpec):
                unit = _plain_unit(spec, name, stage, shape, plan.maps, stride, depth)
            elif isinstance(spec, ResidualSpec):
                position = (len(units) + 1, total)
                unit = _residual_unit(spec, name, stage, shape, plan.maps, stride, position, depth)
            else:
                unit = _highway_unit(spec, name, stage, shape, depth)
            units.append(unit)
            shape = unit.output_shape

    head = _Chain("head", shape, depth, norm=spec.batch_norm, padding=spec.padding)
    if isinstance(spec, ResidualSpec):
        head.steps(head_steps(spec), spec.activation)
    if isinstance(spec, HighwaySpec) and spec.layout == "fitnet":
        _fitnet_head(head, spec)
    elif ends_in_conv(spec):
        head.global_pool()
        head.conv("conv", spec.classes, 1, bias=True)
        head.flatten()
    elif spec.layout == "small":
        head.flatten()
        head.linear("linear", spec.classes, bias=True)
    else:
        head.pooled_classifier(spec.classes)
    names = tuple(f"stage {i}" for i in range(1, len(stages) + 1))
    return Blueprint(spec, tuple(stem.layers), tuple(units), tuple(head.layers), names)


def has_conv_head(spec: HighwaySpec) -> bool:
    """Whether a ``fitnet`` net ends in a convolution to the classes, as 32 layers do here."""
    return spec.depth == 32


def highway_kernel(spec: HighwaySpec, index: int) -> int:
    """The side of the kernels of a stage's unit ``index``, of H and of T alike.

    3, but for the 32-layer net of SGS15 Table 2: its stages open with a plain 3×3 convolution,
    after which 1×1 and 3×3 take turns.
    """
    return 1 if spec.layout == "fitnet" and spec.depth == 32 and index % 2 == 0 else 3


def _fitnet_head(head: _Chain, spec: HighwaySpec) -> None:
    """The last two layers of SGS15 Table 2; neither has batch norm."""
    if has_conv_head(spec):
        head.conv("conv", spec.classes, 1, bias=True)
        head.activation("act", spec.activation)
        head.pooled_classifier(spec.classes)
        return
    head.global_pool("max_pool")
    head.flatten()
    head.linear("hidden", FITNET_HIDDEN, bias=True)
    head.activation("act", spec.activation)
    head.linear("linear", spec.classes, bias=True)


def convolutions(spec: PlainSpec | ResidualSpec, maps: int) -> tuple[tuple[int, int], ...]:
    """(maps, side of the kernel) of a unit's convolutions; ``maps`` inside (He15 Fig 5)."""
    if spec.unit == "bottleneck":
        return ((maps, 1), (maps, 3), (BOTTLENECK_EXPANSION * maps, 1))
    return ((maps, 3), (maps, 3))


def _plain_unit(
    spec: PlainSpec,
    name: str,
    stage: int,
    shape: Shape,
    maps: int,
    stride: int,
    depth: Iterator[int],
) -> UnitPlan:
    chain = _Chain(name, shape, depth, norm=spec.batch_norm, padding=spec.padding)
    for i, (width, kernel) in enumerate(convolutions(spec, maps), start=1):
        chain.conv(f"conv{i}", width, kernel, stride if i == 1 else 1)
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


def shortcut_kind(spec: ResidualSpec, *, same_maps: bool, stride: int) -> str:
    """How a unit's shortcut is drawn and built; see ``UnitPlan.shortcut``."""
    if spec.shortcut in ("C", "conv1x1") or (spec.shortcut == "B" and not same_maps):
        return "projection"
    if spec.shortcut == "B" and stride > 1:
        return "max_pool"
    if not same_maps or stride > 1:
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
    convs = convolutions(spec, maps)
    outer = convs[-1][0]
    first = position[0] == 1
    kind = shortcut_kind(spec, same_maps=shape[0] == outer, stride=stride)
    steps = residual_steps(spec, first)
    chain = _Chain(name, shape, depth, norm=spec.batch_norm, padding=spec.padding)

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
            chain.conv(step, *convs[i], stride if step == stride_step(spec) else 1)
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
        detail += ", zeros on both sides" if spec.shortcut_pad == "both" else ""
        if spec.shortcut == "constant_scaling":
            chain.other("pad", "zero_pad", output, detail)
            chain.other("scale", "scale", detail=f"× {spec.shortcut_scale:g}")
        else:
            chain.other("", "zero_pad", output, detail)
    elif kind == "max_pool":
        chain.max_pool("", 1, stride)
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


def highway_has_norm(spec: HighwaySpec) -> bool:
    """Whether H normalises: in the reference nets only what stands between the units does."""
    return spec.batch_norm and spec.layout != "reference"


def _highway_unit(
    spec: HighwaySpec, name: str, stage: int, shape: Shape, depth: Iterator[int]
) -> UnitPlan:
    chain = _Chain(name, shape, depth, norm=highway_has_norm(spec), padding=spec.padding)
    kernel = highway_kernel(spec, int(name.rpartition(".")[2]))
    chain.fork("residual", "transform", shape)
    if len(shape) == 1:
        chain.linear("linear", shape[0])
    else:
        chain.conv("conv", shape[0], kernel)
    chain.batch_norm("bn")
    chain.activation("act", spec.activation)
    chain.fork("transform_gate", "transform_gate", shape)
    if len(shape) == 1:
        chain.linear("linear", shape[0], counted=False, bias=True)
    else:
        chain.conv("conv", shape[0], kernel, counted=False, bias=True)
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
        kernel=kernel,
    )


def _conv_transition(
    spec: NetSpec, stage: int, shape: Shape, maps: int, depth: Iterator[int]
) -> UnitPlan:
    """A plain layer that halves the resolution."""
    chain = _Chain(
        f"stages.{stage}.transition", shape, depth, norm=spec.batch_norm, padding=spec.padding
    )
    if isinstance(spec, DenseSpec):
        chain.other("select", "select", (maps, *shape[1:]), f"last {maps} maps")
    if spec.layout == "fitnet":
        chain.max_pool("pool", 2, 2)
        chain.conv("conv", maps)
    else:
        chain.conv("conv", maps, stride=2)
    chain.batch_norm("bn")
    chain.activation("act", "relu" if isinstance(spec, DenseSpec) else spec.activation)
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
    """DenseNets of three blocks, or four on ImageNet (Huang16 §3, "Implementation Details")."""
    depth = count(1)
    k = spec.growth_rate
    stem = _Chain("stem", spec.input_shape, depth, norm=spec.batch_norm, padding=spec.padding)
    if spec.layout == "imagenet":
        stem.imagenet_stem(2 * k, activates=True)
        counts = IMAGENET_UNITS["dense"][spec.depth]
    else:
        stem.conv("conv", 2 * k if spec.bottleneck and spec.compression < 1 else 16)
        counts = ((spec.depth - 4) // (6 if spec.bottleneck else 3),) * 3

    units: list[UnitPlan] = []
    shape = stem.shape
    for stage, per_stage in enumerate(counts):
        for j in range(per_stage):
            units.append(_dense_unit(spec, f"stages.{stage}.units.{j}", stage, shape, depth))
            shape = units[-1].output_shape
        if stage < len(counts) - 1:
            units.append(_dense_transition(spec, stage, shape, depth))
            shape = units[-1].output_shape

    head = _Chain("head", shape, depth, norm=spec.batch_norm, padding=spec.padding)
    head.batch_norm("bn")
    head.activation("act")
    head.pooled_classifier(spec.classes)
    names = tuple(f"block {i}" for i in range(1, len(counts) + 1))
    return Blueprint(spec, tuple(stem.layers), tuple(units), tuple(head.layers), names)


def _dense_unit(
    spec: DenseSpec, name: str, stage: int, shape: Shape, depth: Iterator[int]
) -> UnitPlan:
    chain = _Chain(name, shape, depth, norm=spec.batch_norm, padding=spec.padding)
    k = spec.growth_rate
    convs = [(4 * k, 1), (k, 3)] if spec.bottleneck else [(k, 3)]
    chain.fork("residual", "growth", shape)
    if spec.layout == "reference":
        chain.conv("conv", k)
        chain.batch_norm("bn")
        chain.activation("act")
        convs = []
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
    chain = _Chain(
        f"stages.{stage}.transition", shape, depth, norm=spec.batch_norm, padding=spec.padding
    )
    chain.batch_norm("bn")
    chain.activation("act")
    maps = max(1, math.floor(spec.compression * shape[0]))
    chain.conv("conv", maps, 1)
    halved = (maps, shape[1] // 2, shape[2] // 2)
    chain.other("pool", "average_pool", halved, "2×2")
    return _transition(chain, stage, shape)


def _reference(spec: NetSpec) -> Blueprint:
    """Five groups of units, all as wide as the stem, each followed by a layer of stride 2.

    A residual unit here has two convolutions, the others' have one. A group of the dense net
    opens with a plain layer, whose maps are the first of the concatenation; only the last maps
    leave it. ``depth`` counts the units (without those openings).
    """
    depth = count(1)
    maps = spec.growth_rate if isinstance(spec, DenseSpec) else spec.width
    activation = "relu" if isinstance(spec, DenseSpec) else spec.activation
    stem = _Chain("stem", spec.input_shape, depth, norm=spec.batch_norm, padding=spec.padding)
    stem.conv("conv", maps)
    stem.batch_norm("bn")
    stem.activation("act", activation)

    units: list[UnitPlan] = []
    shape = stem.shape
    openings = 1 if isinstance(spec, DenseSpec) else 0
    for stage in range(REFERENCE_GROUPS):
        for j in range(openings + spec.depth // REFERENCE_GROUPS):
            name = f"stages.{stage}.units.{j}"
            if isinstance(spec, ResidualSpec):
                position = (len(units) - stage + 1, spec.depth)
                unit = _residual_unit(spec, name, stage, shape, maps, 1, position, depth)
            elif isinstance(spec, HighwaySpec):
                unit = _highway_unit(spec, name, stage, shape, depth)
            elif isinstance(spec, DenseSpec) and j >= openings:
                unit = _dense_unit(spec, name, stage, shape, depth)
            else:
                unit = _one_layer_unit(spec, name, stage, shape, depth)
            units.append(unit)
            shape = unit.output_shape
        units.append(_conv_transition(spec, stage, shape, maps, depth))
        shape = units[-1].output_shape

    head = _Chain("head", shape, depth, norm=spec.batch_norm, padding=spec.padding)
    head.conv("conv", spec.classes)
    head.batch_norm("bn")
    head.global_pool()
    head.flatten()
    names = tuple(f"group {i}" for i in range(1, REFERENCE_GROUPS + 1))
    return Blueprint(spec, tuple(stem.layers), tuple(units), tuple(head.layers), names)


def _one_layer_unit(
    spec: NetSpec, name: str, stage: int, shape: Shape, depth: Iterator[int]
) -> UnitPlan:
    """conv, BN, activation."""
    chain = _Chain(name, shape, depth, norm=spec.batch_norm, padding=spec.padding)
    chain.conv("conv", shape[0])
    chain.batch_norm("bn")
    chain.activation("act", "relu" if isinstance(spec, DenseSpec) else spec.activation)
    return UnitPlan(
        name,
        "plain",
        stage,
        shape,
        shape,
        tuple(chain.layers),
        deletable=True,
        swap_group=_swap_group(shape, shape),
        shortcut="none",
    )


def _fully_connected(spec: NetSpec) -> Blueprint:
    """Flatten, a plain layer, ``depth - 1`` units of one layer each, a classifier."""
    assert not isinstance(spec, DenseSpec)  # DenseSpec has no such layout
    depth = count(1)
    stem = _Chain("stem", spec.input_shape, depth, norm=spec.batch_norm, padding=spec.padding)
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
    head = _Chain("head", stem.shape, depth, norm=spec.batch_norm, padding=spec.padding)
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
    chain = _Chain(name, shape, depth, norm=spec.batch_norm, padding=spec.padding)
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


# ------------------------------------------------------------------------------- to and from JSON


def to_json(plan: Blueprint) -> dict[str, Any]:
    """A blueprint as plain values; :func:`from_json` makes an equal one of them."""
    return {**asdict(plan), "spec": plan.spec.model_dump(mode="json")}


def from_json(value: dict[str, Any]) -> Blueprint:
    """The blueprint that :func:`to_json` wrote; its net may be another library's."""
    spec: NetSpec
    if value["spec"]["layout"] == "external":
        # Where only family, shape and classes are asked, this stands for a spec of ours.
        spec = cast(NetSpec, parse(ExternalSpec, value["spec"]))
    else:
        spec = parse_net(value["spec"])
    return Blueprint(
        spec,
        tuple(_layer(layer) for layer in value["stem"]),
        tuple(_unit(unit) for unit in value["units"]),
        tuple(_layer(layer) for layer in value["head"]),
        tuple(value["stage_names"]),
    )


def _layer(value: dict[str, Any]) -> Layer:
    shapes = {name: tuple(value[name]) for name in ("input_shape", "output_shape")}
    return Layer(**{**value, **shapes})


def _unit(value: dict[str, Any]) -> UnitPlan:
    shapes = {name: tuple(value[name]) for name in ("input_shape", "output_shape")}
    layers = tuple(_layer(layer) for layer in value["layers"])
    return UnitPlan(**{**value, **shapes, "layers": layers})
