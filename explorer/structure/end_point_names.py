"""What a net's end points are called: its own names, and those of the program that it is. No torch.

An end point is a place in the net whose output can be asked for: every unit, every stage, the
stem, every convolution or fully connected layer, the logits and the predictions.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from explorer.structure.blueprint import Blueprint, Layer, Shape, UnitPlan
from explorer.structure.names import has_program
from explorer.structure.specs import DenseSpec, HighwaySpec, PlainSpec, ResidualSpec

LOGITS = "logits"
PREDICTIONS = "predictions"


@dataclass(frozen=True)
class EndPoint:
    """One place.

    Attributes:
        name: As the net has it: the path of the module, ``stages.1`` for a whole stage.
        shape: Of one image's output, from the blueprint.
        kind: ``stem``, ``layer``, ``unit``, ``stage``, ``logits`` or ``predictions``.
    """

    name: str
    shape: Shape
    kind: str


def end_points_of(plan: Blueprint) -> tuple[EndPoint, ...]:
    """All end points under the net's own names, in forward order."""
    found = [*_inside(plan.stem), EndPoint("stem", plan.stem[-1].output_shape, "stem")]
    for i, unit in enumerate(plan.units):
        found += [*_inside(unit.layers), EndPoint(unit.name, unit.output_shape, "unit")]
        if i + 1 == len(plan.units) or plan.units[i + 1].stage != unit.stage:
            found.append(EndPoint(_stage(plan, unit), unit.output_shape, "stage"))
    classes = plan.head[-1].output_shape
    found += [*_inside(plan.head), EndPoint(LOGITS, classes, "logits")]
    found.append(EndPoint(PREDICTIONS, classes, "predictions"))
    # A transition of one layer is a unit and a layer; another library's unit may be, too.
    return tuple({point.name: point for point in found}.values())


def _inside(layers: tuple[Layer, ...]) -> Iterator[EndPoint]:
    for layer in layers:
        if layer.kind in ("conv", "linear"):
            yield EndPoint(layer.name, layer.output_shape, "layer")


def _stage(plan: Blueprint, last: UnitPlan) -> str:
    """``stages.1``; in another library's net what its units' paths begin with, as ``layer2``."""
    paths = [unit.name.split(".")[:-1] for unit in plan.units if unit.stage == last.stage]
    shared = [part for part, *others in zip(*paths, strict=False) if set(others) <= {part}]
    own = shared[:-1] if shared[-1:] == ["units"] else shared
    taken = {".".join(own)} & {unit.name for unit in plan.units}
    return ".".join(own) if own and not taken else plan.stage_names[last.stage]


def program_names(plan: Blueprint) -> dict[str, str]:
    """By name in the program that a net is: the module whose output that is, or an end point.

    slim's names are of what a layer returns after its batch norm and activation. The programs of
    25 units name no end points: there the names are their variables' scopes. Empty where no
    program stands behind the net.
    """
    spec = plan.spec
    if not has_program(spec) or not spec.batch_norm:
        return {}
    if spec.layout == "reference":
        return dict(_reference(plan))
    if spec.layout == "small":
        return dict(_small(plan))
    return dict(_resnet_v2(plan)) if getattr(spec, "unit", "") == "bottleneck" else {}


def _resnet_v2(plan: Blueprint) -> Iterator[tuple[str, str]]:
    scope = f"resnet_v2_{plan.spec.depth}"
    yield f"{scope}/conv1", "stem.conv"
    for unit, after in zip(plan.units, (*plan.units[1:], None), strict=True):
        block = f"{scope}/block{unit.stage + 1}"
        number = int(unit.name.rpartition(".")[2]) + 1
        inner = f"{block}/unit_{number}/bottleneck_v2"
        if unit.shortcut == "projection":
            yield f"{inner}/shortcut", f"{unit.name}.shortcut.conv"
        yield f"{inner}/conv1", f"{unit.name}.residual.act2"
        yield f"{inner}/conv2", f"{unit.name}.residual.act3"
        yield f"{inner}/conv3", f"{unit.name}.residual.conv3"
        yield inner, unit.name
        if after is None or after.stage != unit.stage:
            yield block, _stage(plan, unit)
    yield f"{scope}/logits", "head.conv"


def _reference(plan: Blueprint) -> Iterator[tuple[str, str]]:
    spec = plan.spec
    yield "conv_0", "stem.act"
    number = 0
    for unit in plan.units:
        name = unit.name
        if unit.kind == "transition":
            if isinstance(spec, DenseSpec):
                last = [u for u in plan.units if u.stage == unit.stage and u.kind == "dense"][-1]
                yield f"dense_unit{unit.stage}", f"{last.name}.growth"
            yield f"conv_s_{unit.stage}", name
            continue
        if isinstance(spec, DenseSpec):
            position = int(name.rpartition(".")[2])
            inner = f"dense_unit{unit.stage}/{_numbered('Conv', position)}"
            yield inner, f"{name}.growth" if position else name
            continue
        scope = {PlainSpec: "unit", ResidualSpec: "res_unit", HighwaySpec: "highway_unit"}[
            type(spec)
        ]
        scope = f"{scope}{number}"
        if isinstance(spec, ResidualSpec):
            for i in range(2):
                yield f"{scope}/{_numbered('BatchNorm', i)}", f"{name}.residual.bn{i + 1}"
                yield f"{scope}/{_numbered('Conv', i)}", f"{name}.residual.conv{i + 1}"
        elif isinstance(spec, HighwaySpec):
            yield f"{scope}/Conv", f"{name}.transform"
            yield f"{scope}/Conv_1", f"{name}.transform_gate"
        yield scope, name
        number += 1
    yield "conv_top", "head.bn"


def _small(plan: Blueprint) -> Iterator[tuple[str, str]]:
    """As Keras numbers the layers of a model that is the first of its session."""
    yield "conv2d", "stem.act"
    convolutions = norms = 0
    for unit in plan.units:
        inner = [x for x in unit.layers if x.branch == "residual"]
        inner += [x for x in unit.layers if x.branch == "shortcut"]
        for layer in inner:
            if layer.kind == "conv":
                convolutions += 1
                yield f"conv2d_{convolutions}", layer.name
            elif layer.kind == "batch_norm":
                yield _numbered("batch_normalization", norms), layer.name
                norms += 1
    if any(layer.name == "head.bn" for layer in plan.head):
        yield _numbered("batch_normalization", norms), "head.bn"


def _numbered(name: str, position: int) -> str:
    return f"{name}_{position}" if position else name
