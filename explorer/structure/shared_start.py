"""What differs between the lanes of an experiment, and what they share, in words. No torch.

Lanes of one experiment see the same batches, augmentations and seeds; what else they share
depends on their nets: layers of the same position, shape and rule start from the same weights
(:func:`explorer.nets.init.initialise`), so a plain net and its residual twin start alike.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from explorer.structure.blueprint import Layer, UnitPlan, blueprint
from explorer.structure.specs import ExperimentSpec, NetSpec

_RULES = {"zero_last_scale": "he", "branch_scaled": "he"}  # He's, but for the last layer of each F
_ABSENT = "–"


def what_differs(
    lanes: Sequence[NetSpec], forked: Collection[int] = (), reseeded: Collection[int] = ()
) -> str:
    """Sentences on what the nets have differently, and on what they start from together.

    ``The lanes differ in family (plain / residual). All 56 layers start from the same weights.``

    Args:
        forked: Lanes, from 0, that went on from another lane's state instead of the seed's.
        reseeded: Lanes that start from another seed than the first.
    """
    if len(lanes) < 2:
        return "There is one lane, so nothing is compared."
    rows = [f"{name.replace('_', ' ')} ({' / '.join(values)})" for name, values in _fields(lanes)]
    differ = f"The lanes differ in {_joined(rows)}." if rows else "The lanes are all alike."
    others = sorted({*reseeded} - {*forked})
    fresh = [lane for lane in range(len(lanes)) if lane not in (*forked, *others)]
    sentences = [differ]
    if len(fresh) > 1:
        sentences.append(_starts(lanes, fresh))
    if others:
        verb = "starts" if len(others) == 1 else "start"
        sentences.append(f"{_lanes(others)} {verb} from another seed's weights.")
    if forked:
        sentences.append(f"{_lanes(sorted(forked))} went on from another lane's weights.")
    return " ".join(sentences)


def what_differs_between(left: ExperimentSpec, right: ExperimentSpec) -> str:
    """A sentence on what two experiments have differently besides their lanes."""
    rows = []
    for part in ("data", "training"):
        ours, theirs = getattr(left, part).model_dump(), getattr(right, part).model_dump()
        rows += [
            f"{name.replace('_', ' ')} ({_word(ours[name])} / {_word(theirs[name])})"
            for name in ours
            if ours[name] != theirs[name]
        ]
    rows += [
        f"{name} ({_word(getattr(left, name))} / {_word(getattr(right, name))})"
        for name in ("seed", "seeds")
        if getattr(left, name) != getattr(right, name)
    ]
    if not rows:
        return "They have the same data, recipe and seeds."
    return f"Besides their nets they differ in {_joined(rows)}."


def same_start(left: NetSpec, right: NetSpec) -> tuple[int, int]:
    """(layers that start from the same weights, layers that count as depth) of two nets.

    The second is the larger of both nets' numbers.
    """
    ours, theirs = _drawn(left), _drawn(right)
    same = sum(position in theirs and theirs[position] == how for position, how in ours.items())
    return same, max(len(ours), len(theirs))


def _fields(lanes: Sequence[NetSpec]) -> Iterator[tuple[str, list[str]]]:
    """Choices that differ; what only some families have counts where it is not their default."""
    dumps = [lane.model_dump() for lane in lanes]
    for name in dict.fromkeys(["family", *(key for dump in dumps for key in dump)]):
        if name in ("layout", "input_shape", "classes") and len({str(d[name]) for d in dumps}) == 1:
            continue
        values = [_word(dump[name]) if name in dump else _ABSENT for dump in dumps]
        having = [lane for lane, dump in zip(lanes, dumps, strict=True) if name in dump]
        if len(set(values)) == 1:
            continue
        if len(having) < len(lanes):
            usual = all(getattr(x, name) == type(x).model_fields[name].default for x in having)
            if usual and len(set(values) - {_ABSENT}) == 1:
                continue
        yield name, values


def _starts(lanes: Sequence[NetSpec], fresh: Sequence[int]) -> str:
    first, *others = fresh
    shared = [same_start(lanes[first], lanes[lane]) for lane in others]
    if len(fresh) == len(lanes) and all(same == n for same, n in shared):
        return f"All {shared[0][1]} layers start from the same weights."
    own = f"the same weights as lane {first + 1}"
    parts: list[str] = []
    for lane, (same, n) in zip(others, shared, strict=True):
        share = {n: f"all {n}", 0: f"none of {n}"}.get(same, f"{same} of {n}")
        begins = f"lane {lane + 1}" if parts else f"Lane {lane + 1} starts from {own}"
        parts.append(f"{begins} in {share} layers")
    return f"{', '.join(parts)}."


def _lanes(which: Sequence[int]) -> str:
    numbers = _joined([str(lane + 1) for lane in which])
    return f"Lane {numbers}" if len(which) == 1 else f"Lanes {numbers}"


def _drawn(spec: NetSpec) -> dict[int, tuple[str, ...]]:
    """By position in the depth how a layer's first weights are drawn."""
    plan = blueprint(spec)
    changed = _changed_last(plan.units) if spec.init in _RULES else {}
    return {
        layer.depth_index: (
            layer.kind,
            _size(layer),
            f"{_RULES.get(spec.init, spec.init)} × {spec.init_gain}",
            f"{spec.init} of {len(plan.units)} units" if layer.name in changed else "",
        )
        for layer in plan.weight_layers
        if layer.depth_index is not None
    }


def _size(layer: Layer) -> str:
    """``3×3, 16→32``: what the shape of a layer's weights is; neither stride nor padding."""
    first, *_, last = layer.detail.split(", ") * 2
    return f"{first}, {last}"


def _changed_last(units: Sequence[UnitPlan]) -> dict[str, Layer]:
    """The last layer of each F, where it is one with weights."""
    kinds = ("conv", "linear", "batch_norm")
    lasts = [
        [layer for layer in unit.layers if layer.branch == "residual" and layer.kind in kinds][-1:]
        for unit in units
        if unit.kind == "residual"
    ]
    return {layer.name: layer for last in lasts for layer in last if layer.kind != "batch_norm"}


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}".replace("-", "−")
    if isinstance(value, (tuple, list)):
        return "×".join(map(_word, value)) or "none"
    return "none" if value is None else str(value).replace("_", " ")


def _joined(words: Sequence[str]) -> str:
    *others, last = words
    return f"{', '.join(others)} and {last}" if others else last
