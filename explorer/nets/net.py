"""The skeleton of every net: a stem, units in stages, a head; forward is a fold over the units."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Protocol, cast

from torch import Tensor, nn

from explorer.errors import NotApplicableError
from explorer.nets import conventions, dense, highway, plain, residual
from explorer.nets.layers import (
    activation,
    conv,
    conv_step,
    fully_connected,
    imagenet_stem,
    named,
)
from explorer.structure.blueprint import (
    Blueprint,
    UnitPlan,
    blueprint,
    ends_in_conv,
    has_conv_head,
    has_large_stem,
    head_steps,
    stem_activates,
    stem_has_norm,
)
from explorer.structure.names import token_of
from explorer.structure.specs import (
    FITNET_HIDDEN,
    Activation,
    DenseSpec,
    HighwaySpec,
    NetSpec,
    PlainSpec,
    ResidualSpec,
    fit,
)
from explorer.structure.trained_on import TrainedOn


class Unit(Protocol):
    """What every unit but a transition offers."""

    def __call__(self, x: Tensor) -> Tensor: ...

    def bypass(self, x: Tensor) -> Tensor:
        """What remains when the unit is deleted."""
        ...


class Stage(nn.Module):
    """Units at one resolution, and the transition that ends the stage, if any."""

    def __init__(self, units: list[nn.Module], transition: nn.Module | None) -> None:
        super().__init__()
        self.units = nn.ModuleList(units)
        self.transition = transition

    def forward(self, x: Tensor) -> Tensor:
        for unit in self.units:
            x = unit(x)
        return x if self.transition is None else self.transition(x)


class Net(nn.Module):
    """logits = head(unit_n(… unit_1(stem(x)))).

    Attributes:
        spec: What was chosen.
        blueprint: What it amounts to; names there are paths of modules here.
        stem, stages, head: Modules; ``stages[i].units[j]`` is the unit ``stages.i.units.j``.
        trained_on: What is known of the images behind its weights; None for fresh ones.
    """

    trained_on: TrainedOn | None = None

    def __init__(self, plan: Blueprint) -> None:
        super().__init__()
        self.blueprint = plan
        self.spec: NetSpec = plan.spec
        self.stem = _stem(plan)
        self.stages = nn.ModuleList()
        for index in range(len(plan.stage_names)):
            inside = [unit for unit in plan.units if unit.stage == index]
            units = [_unit(plan.spec, unit) for unit in inside if unit.kind != "transition"]
            ends = [_unit(plan.spec, unit) for unit in inside if unit.kind == "transition"]
            self.stages.append(Stage(units, ends[0] if ends else None))
        self.head = _head(plan)
        conventions.follow(self, plan)
        for module in self.modules():
            if isinstance(module, nn.Conv2d) and any(module.padding):
                module.padding_mode = plan.spec.padding

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, height, width), normalised → (N, classes) logits."""
        x = self.stem(x)
        for unit in self.units:
            x = unit(x)
        return cast(Tensor, self.head(x))

    def for_classes(self, chosen: Sequence[int]) -> Net:
        """A copy that tells only these classes apart, in this order: the others' answers are gone.

        Args:
            chosen: Positions among this net's classes.

        Raises:
            NotApplicableError: The net's own answers go through a further layer.
        """
        if len(chosen) != self.spec.classes and self.spec.layout == "fitnet":
            raise NotApplicableError(
                f"{token_of(self.spec)} answers through layers as wide as its classes, so that it "
                "cannot tell some of them apart alone: take images of all its classes."
            )
        net = copy.deepcopy(self)
        keep_answers(net.head, list(chosen))
        if len(chosen) != self.spec.classes:
            net.blueprint = blueprint(fit(self.spec, self.spec.input_shape, len(chosen)))
            net.spec = net.blueprint.spec
        if self.trained_on is not None:
            names = tuple(self.trained_on.classes[i] for i in chosen)
            net.trained_on = self.trained_on.model_copy(update={"classes": names})
        return net

    @property
    def units(self) -> tuple[nn.Module, ...]:
        """All units in forward order, transitions included."""
        found: list[nn.Module] = []
        for stage in self.stages:
            assert isinstance(stage, Stage)
            found.extend(stage.units)
            if stage.transition is not None:
                found.append(stage.transition)
        return tuple(found)

    @property
    def unit_names(self) -> tuple[str, ...]:
        """Names of :attr:`units`, in the same order: paths of modules."""
        return tuple(unit.name for unit in self.blueprint.units)


def _unit(spec: NetSpec, plan: UnitPlan) -> nn.Module:
    transition = plan.kind == "transition"
    if isinstance(spec, PlainSpec):
        return (plain.build_transition if transition else plain.build)(spec, plan)
    if isinstance(spec, ResidualSpec):
        return (plain.build_transition if transition else residual.build)(spec, plan)
    if isinstance(spec, HighwaySpec):
        return (highway.build_transition if transition else highway.build)(spec, plan)
    return (dense.build_transition if transition else dense.build)(spec, plan)


def _stem(plan: Blueprint) -> nn.Sequential:
    spec = plan.spec
    channels, norm = spec.input_shape[0], spec.batch_norm
    maps = plan.stem[-1].output_shape[0]
    kind = "relu" if isinstance(spec, DenseSpec) else spec.activation
    if has_large_stem(spec):
        activates = not isinstance(spec, ResidualSpec) or stem_activates(spec)
        return imagenet_stem(channels, maps, kind, activates=activates, batch_norm=norm)
    if spec.layout == "fc":
        flat = plan.stem[0].output_shape[0]
        return named(
            [("flatten", nn.Flatten()), *fully_connected(flat, maps, kind, batch_norm=norm)]
        )
    if isinstance(spec, DenseSpec) and spec.layout == "cifar":
        return named([("conv", conv(channels, maps, 3, bias=not norm))])
    return named(_stem_step(spec, channels, maps, kind))


def _stem_step(
    spec: NetSpec, channels: int, maps: int, kind: Activation
) -> list[tuple[str, nn.Module]]:
    steps = conv_step(channels, maps, kind, batch_norm=spec.batch_norm)
    return [(name, step) for name, step in steps if name != "bn" or stem_has_norm(spec)]


def _head(plan: Blueprint) -> nn.Sequential:
    """The classifier; pre-activation and dense nets open it with the activation still due."""
    spec = plan.spec
    features = plan.head[0].input_shape[0]
    if spec.layout == "fc":
        return named([("linear", nn.Linear(features, spec.classes))])
    if spec.layout == "reference":
        return _conv_head(features, spec.classes, batch_norm=spec.batch_norm)
    if isinstance(spec, HighwaySpec) and spec.layout == "fitnet":
        return _fitnet_head(spec, features)

    layers: list[tuple[str, nn.Module]] = []
    due = head_steps(spec) if isinstance(spec, ResidualSpec) else ()
    due = ("bn", "act") if isinstance(spec, DenseSpec) else due
    if "bn" in due and spec.batch_norm:
        layers.append(("bn", nn.BatchNorm2d(features)))
    if "act" in due:
        kind = "relu" if isinstance(spec, DenseSpec) else spec.activation
        layers.append(("act", activation(kind)))
    if spec.layout != "small":
        layers.append(("pool", nn.AdaptiveAvgPool2d(1)))
    if ends_in_conv(spec):
        layers.append(("conv", conv(features, spec.classes, 1, bias=True)))
        return named([*layers, ("flatten", nn.Flatten())])
    inputs = plan.head[-1].input_shape[0]
    return named([*layers, ("flatten", nn.Flatten()), ("linear", nn.Linear(inputs, spec.classes))])


def _fitnet_head(spec: HighwaySpec, features: int) -> nn.Sequential:
    """The last two layers of SGS15 Table 2; see :class:`HighwaySpec`."""
    act = activation(spec.activation)
    last = nn.Linear(spec.classes if has_conv_head(spec) else FITNET_HIDDEN, spec.classes)
    if has_conv_head(spec):
        return named(
            [
                ("conv", conv(features, spec.classes, 1, bias=True)),
                ("act", act),
                ("pool", nn.AdaptiveAvgPool2d(1)),
                ("flatten", nn.Flatten()),
                ("linear", last),
            ]
        )
    return named(
        [
            ("pool", nn.AdaptiveMaxPool2d(1)),
            ("flatten", nn.Flatten()),
            ("hidden", nn.Linear(features, FITNET_HIDDEN)),
            ("act", act),
            ("linear", last),
        ]
    )


def keep_answers(head: nn.Module, chosen: list[int]) -> None:
    """Keep these rows of the last layer with weights, and of the batch norm after it."""
    layers = [m for m in head.modules() if isinstance(m, (nn.Linear, nn.Conv2d, nn.BatchNorm2d))]
    last = max(i for i, m in enumerate(layers) if not isinstance(m, nn.BatchNorm2d))
    for layer in layers[last:]:
        for name, value in [*layer.named_parameters(recurse=False)]:
            setattr(layer, name, nn.Parameter(value.detach()[chosen]))
        for name, kept in [*layer.named_buffers(recurse=False)]:
            if kept.dim():
                layer.register_buffer(name, kept[chosen])
        wide = {"Linear": "out_features", "Conv2d": "out_channels"}
        setattr(layer, wide.get(type(layer).__name__, "num_features"), len(chosen))


def passed_by(unit: nn.Module) -> bool:
    """Whether a training passes this unit by for good: its ``forward`` is then its ``bypass``."""
    return "forward" in unit.__dict__


def _conv_head(maps: int, classes: int, *, batch_norm: bool) -> nn.Sequential:
    """A last 3×3 convolution to one map a class, and BN; its maps are of one pixel at 32×32."""
    layers: list[tuple[str, nn.Module]] = [("conv", conv(maps, classes, 3, bias=not batch_norm))]
    if batch_norm:
        layers.append(("bn", nn.BatchNorm2d(classes)))
    return named([*layers, ("pool", nn.AdaptiveAvgPool2d(1)), ("flatten", nn.Flatten())])
