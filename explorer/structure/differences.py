"""What differs between two nets, unit by unit, from their blueprints alone. No torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, zip_longest

from explorer.structure.blueprint import Blueprint, Layer, Shape, UnitPlan

NOTHING = "nothing"


@dataclass(frozen=True)
class Difference:
    """One thing that two units have differently, in words: ``shortcut: none / identity``."""

    what: str
    left: str
    right: str

    def __str__(self) -> str:
        return f"{self.what}: {self.left} / {self.right}"


@dataclass(frozen=True)
class UnitPair:
    """Units at the same place of two nets; None where one net has none there.

    Attributes:
        differences: Empty where the two are alike.
    """

    left: UnitPlan | None
    right: UnitPlan | None
    differences: tuple[Difference, ...]


def compare(left: Blueprint, right: Blueprint) -> tuple[UnitPair, ...]:
    """The units of both nets in pairs, in forward order.

    Unit ``j`` of a stage meets unit ``j`` of the same stage, and a transition the transition.
    """
    pairs: list[UnitPair] = []
    for stage in range(max(len(left.stage_names), len(right.stage_names))):
        for kinds in (False, True):
            ours, theirs = (_in_stage(plan, stage, transitions=kinds) for plan in (left, right))
            for a, b in zip_longest(ours, theirs):
                pairs.append(UnitPair(a, b, tuple(_differences(a, b))))
    return tuple(pairs)


def runs(pairs: Sequence[UnitPair]) -> Iterator[list[UnitPair]]:
    """Neighbours of one stage that look alike on both sides and differ in the same way."""

    def alike(pair: UnitPair) -> tuple[object, ...]:
        sides = (None if unit is None else likeness(unit) for unit in (pair.left, pair.right))
        return (*sides, pair.differences)

    for _, group in groupby(pairs, alike):
        yield list(group)


def likeness(unit: UnitPlan) -> tuple[object, ...]:
    """What neighbours have alike that are drawn once.

    Two things grow from unit to unit by rule, and so keep no neighbours apart: the maps that a
    dense unit takes in, and what stochastic depth leaves of a unit.
    """
    dense = unit.kind == "dense"
    layers = tuple(
        (layer.name.removeprefix(unit.name), layer.kind, layer.branch, _detail(layer, dense=dense))
        for layer in unit.layers
    )
    shapes = (unit.input_shape, unit.output_shape)
    return (unit.kind, unit.stage, *(shape[1:] if dense else shape for shape in shapes), layers)


def _detail(layer: Layer, *, dense: bool) -> str:
    if layer.name.endswith(".survival"):
        return ""
    if dense and layer.kind == "conv":
        return layer.detail.rpartition(", ")[0]  # without the maps
    return "" if dense and layer.kind == "concatenate" else layer.detail


def _in_stage(plan: Blueprint, stage: int, *, transitions: bool) -> list[UnitPlan]:
    return [
        unit
        for unit in plan.units
        if unit.stage == stage and (unit.kind == "transition") == transitions
    ]


def _differences(left: UnitPlan | None, right: UnitPlan | None) -> Iterator[Difference]:
    if left is None or right is None:
        yield Difference("unit", _kind(left), _kind(right))
        return
    for (what, mine), (_, other) in zip(_facts(left), _facts(right), strict=True):
        if mine != other:
            yield Difference(what, mine, other)


def _kind(unit: UnitPlan | None) -> str:
    return "none" if unit is None else unit.kind


def _facts(unit: UnitPlan) -> tuple[tuple[str, str], ...]:
    """What is compared, in the order in which it is told."""
    inner = [layer for layer in unit.layers if layer.branch in ("main", "residual")]
    after = [layer for layer in unit.layers if layer.branch == "join"]
    return (
        ("kind", unit.kind),
        ("shortcut", unit.shortcut.replace("_", " ")),
        ("input", _shape(unit.input_shape)),
        ("output", _shape(unit.output_shape)),
        ("layers", _words(inner)),
        ("join", _words(after)),
        ("gate", _words([x for x in unit.layers if x.branch == "transform_gate"])),
        ("kept with probability", f"{unit.survival_prob:.3g}"),
        ("parameters", f"{unit.parameters:,}"),
    )


def _shape(shape: Shape) -> str:
    return "×".join(str(n) for n in shape)


def _words(layers: Sequence[Layer]) -> str:
    """``BN, ReLU, 3×3, BN, ReLU, 3×3``."""
    return ", ".join(_word(layer) for layer in layers) or NOTHING


def _word(layer: Layer) -> str:
    if layer.kind == "conv":
        return ", ".join(layer.detail.split(", ")[:-1])  # without the widths, told apart
    if layer.kind == "activation":
        return {"relu": "ReLU"}.get(layer.detail, layer.detail)
    short = {"batch_norm": "BN", "add": "+", "linear": "linear"}
    return short.get(layer.kind, layer.kind.replace("_", " "))
