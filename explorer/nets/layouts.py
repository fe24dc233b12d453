"""Checkpoints under other programs' names: which of our nets they are of, told from shapes alone.

Public ResNets agree on what there is (a stem, units of convolutions and batch norms, a classifier)
and on little of what it is called: ``layer1.0.conv1``, ``block1.layer.0.conv1``,
``conv2_x.0.residual_function.0``, ``stages.0.0.shortcut.0``. So names are read for their structure
(:func:`parts_of`): a unit is a numbered group with two convolutions or more in it, and what is in
none stands before or after the units. Two nets are the same where these parts have the same shapes,
tensor by tensor (:func:`renamed_for`).

What shapes cannot tell: on which side option A adds its zeros, activations, and a plain net from a
residual one without projections. :func:`fits` names residual nets.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from explorer.errors import SpecError
from explorer.nets.net import Net
from explorer.nets.weight_files import StoredTensors
from explorer.structure.blueprint import blueprint
from explorer.structure.specs import NetSpec, parse_net

Shapes = Mapping[str, tuple[int, ...]]
_SHORTCUT = re.compile(r"short_?cut|down_?sample|skip|proj|identity|residual_conv|match", re.I)
_COUNTER = "num_batches_tracked"
_NORM = ("weight", "bias", "running_mean", "running_var")


@dataclass
class Module:
    """One layer with weights: its path, and its tensors by their last names."""

    path: str
    tensors: dict[str, tuple[int, ...]] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        shape = self.tensors.get("weight", self.tensors.get("running_mean", ()))
        if "running_mean" in self.tensors:
            return "norm"
        return {4: "conv", 2: "linear"}.get(len(shape), "norm")

    @property
    def maps(self) -> int:
        """Of its output."""
        return next(iter(self.tensors.values()))[0]


@dataclass(frozen=True)
class Parts:
    """A net's layers by where they stand: lists in forward order."""

    stem: tuple[Module, ...]
    units: tuple[tuple[Module, ...], ...]
    shortcuts: tuple[tuple[Module, ...], ...]
    head: tuple[Module, ...]

    def in_order(self) -> list[Module]:
        inside = [
            [*unit, *shortcut] for unit, shortcut in zip(self.units, self.shortcuts, strict=True)
        ]
        return [*self.stem, *(module for unit in inside for module in unit), *self.head]


def parts_of(shapes: Shapes, *, ordered: bool = False) -> Parts | None:
    """What the names amount to; None where they have no such structure.

    Args:
        ordered: Whether they come in forward order, as ours do; else numbers in names tell it.
    """
    modules = _modules(shapes, ordered)
    groups = _units(modules)
    outside = [m for m in modules if not any(m in group for group in groups)]
    convs = [m for m in outside if m.kind == "conv"]
    if not groups or not convs:
        return None
    first = min(convs, key=lambda module: module.tensors["weight"][1])  # of the fewest maps
    norms = [m for m in outside if m.kind == "norm"]
    last = [m for m in outside if m is not first and m.kind != "norm"]
    units = [_main_and_shortcut(group) for group in groups]
    width, out = first.maps, _widest(units[-1][0])
    stem_norms = [m for m in norms if m.maps == width][: 1 if width != out or len(norms) > 1 else 0]
    # Of dense nets the transitions stand among these, which their maps put in order: they grow.
    head_norms = sorted((m for m in norms if m not in stem_norms), key=lambda m: m.maps)
    last.sort(key=lambda m: m.tensors["weight"][1])
    return Parts(
        (first, *stem_norms),
        tuple(main for main, _ in units),
        tuple(shortcut for _, shortcut in units),
        (*head_norms, *last),
    )


def _modules(shapes: Shapes, ordered: bool) -> list[Module]:
    found: dict[str, Module] = {}
    for name, shape in shapes.items():
        path, _, last = name.rpartition(".")
        if last != _COUNTER:
            found.setdefault(path, Module(path)).tensors[last] = shape
    for module in found.values():  # whatever order a file has
        order = [*_NORM, *sorted(set(module.tensors) - set(_NORM))]
        module.tensors = {name: module.tensors[name] for name in order if name in module.tensors}
    modules = list(found.values())
    return modules if ordered else sorted(modules, key=lambda module: _natural(module.path))


def _natural(path: str) -> list[tuple[int, str]]:
    """Numbers by their size: unit 10 after unit 9."""
    parts = re.findall(r"\d+|\D+", path)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def _units(modules: list[Module]) -> list[list[Module]]:
    """Groups of layers below a number, the innermost that have two convolutions or more."""
    for number in (r"\d+", r"\w*?\d+"):  # layer1.0; then denseblock1.denselayer1
        by_path: dict[str, list[Module]] = {}
        for module in modules:
            steps = module.path.split(".")
            for n, step in enumerate(steps, start=1):
                if re.fullmatch(number, step):
                    by_path.setdefault(".".join(steps[:n]), []).append(module)
        units = {
            path: group
            for path, group in by_path.items()
            if sum(module.kind == "conv" for module in group) > 1
        }
        innermost = [path for path in units if not any(p.startswith(f"{path}.") for p in units)]
        if innermost:
            return [units[path] for path in innermost]
    return []


def _main_and_shortcut(group: list[Module]) -> tuple[tuple[Module, ...], tuple[Module, ...]]:
    """F's layers, and those of the shortcut, which go by their name."""
    prefix = len(_common_path(group))
    aside = [m for m in group if _SHORTCUT.search(m.path[prefix:])]
    main = [m for m in group if m not in aside]
    if not any(m.kind == "conv" for m in main):  # their names say something else
        return tuple(group), ()
    # An activation that both branches share comes first in ours, under a name of its own.
    main.sort(key=lambda m: not m.path[prefix:].lstrip(".").startswith("split"))
    return tuple(main), tuple(aside)


def _common_path(group: list[Module]) -> str:
    paths = [module.path.split(".") for module in group]
    same = 0
    while all(len(p) > same and p[same] == paths[0][same] for p in paths):
        same += 1
    return ".".join(paths[0][:same])


def _widest(main: tuple[Module, ...]) -> int:
    return [m for m in main if m.kind == "conv"][-1].maps


# ------------------------------------------------------------------------------ the same net


def renamed_for(net: Net, stored: StoredTensors) -> StoredTensors | None:
    """The tensors under the net's own names; None where they are not, part by part, its own."""
    own = {name: tuple(value.shape) for name, value in net.state_dict().items()}
    wanted, given = parts_of(own, ordered=True), parts_of(stored.shapes)
    if wanted is None or given is None:
        return None
    names = _pairs(wanted, given)
    return None if names is None else stored.taken(names)


def first_difference(net: Net, stored: StoredTensors) -> str | None:
    """Where a file has the net's parts, but not all in its shapes: the first that is otherwise."""
    own = {name: tuple(value.shape) for name, value in net.state_dict().items()}
    wanted, given = parts_of(own, ordered=True), parts_of(stored.shapes)
    both = None if wanted is None or given is None else _side_by_side(wanted, given)
    for ours, theirs in both or ():
        for last, shape in ours.tensors.items():
            other = theirs.tensors.get(last)
            if other is not None and other != shape:
                return (
                    f"{theirs.path}.{last} has the shape {other}, and what stands there in the "
                    f"net, {ours.path}.{last}, {shape}"
                )
    return None


def _pairs(wanted: Parts, given: Parts) -> dict[str, str] | None:
    """Their name by ours, of every tensor."""
    both = _side_by_side(wanted, given)
    if both is None or any(own.tensors != other.tensors for own, other in both):
        return None
    return {
        f"{own.path}.{last}": f"{other.path}.{last}" for own, other in both for last in own.tensors
    }


def _side_by_side(wanted: Parts, given: Parts) -> list[tuple[Module, Module]] | None:
    """Ours and theirs, layer by layer; None where there are not as many."""
    if [len(u) for u in wanted.units] != [len(u) for u in given.units]:
        moved = _with_first_norm_in_unit(wanted)
        if moved is None or [len(u) for u in moved.units] != [len(u) for u in given.units]:
            return None
        wanted = moved
    ours, theirs = list(_by_kind(wanted)), list(_by_kind(given))
    return list(zip(ours, theirs, strict=True)) if len(ours) == len(theirs) else None


def _with_first_norm_in_unit(parts: Parts) -> Parts | None:
    """As programs have it that open the first unit with the batch norm that ends our stem.

    The two compute the same where that unit's shortcut is a projection, which takes what is
    normalised and activated either way.
    """
    if len(parts.stem) < 2 or not parts.shortcuts[0]:
        return None
    *stem, norm = parts.stem
    first = (norm, *parts.units[0])
    return Parts(tuple(stem), (first, *parts.units[1:]), parts.shortcuts, parts.head)


def _by_kind(parts: Parts) -> Iterator[Module]:
    """All layers, unit by unit: convolutions in their order, then norms in theirs.

    Programs list a unit's layers in different orders, but each kind's in that of the unit.
    """
    for group in (parts.stem, *_interleaved(parts), parts.head):
        for kind in ("conv", "norm", "linear"):
            yield from (module for module in group if module.kind == kind)


def _interleaved(parts: Parts) -> Iterator[tuple[Module, ...]]:
    for unit, shortcut in zip(parts.units, parts.shortcuts, strict=True):
        yield unit
        yield shortcut


# ----------------------------------------------------------------------------- which net it is


def fits(shapes: Shapes, input_shape: tuple[int, int, int] | None = None) -> list[NetSpec]:
    """The residual (and bottlenecked dense) nets whose parts these are, the likeliest first; of
    both sides of option A's zeros there are both.

    Args:
        input_shape: Of the images; None takes CIFAR's, or ImageNet's for nets of four stages.
    """
    parts = parts_of(shapes)
    if parts is None:
        return []
    channels = parts.stem[0].tensors["weight"][1]
    found = []
    for fields in _candidates(parts):
        side = 224 if fields.get("stem") == "7x7" else 32
        shape = input_shape or (channels, side, side)
        try:
            spec = parse_net({**fields, "input_shape": (channels, *shape[1:])})
            with torch.device("meta"):
                net = Net(blueprint(spec))
        except SpecError:
            continue
        own = {name: tuple(value.shape) for name, value in net.state_dict().items()}
        wanted = parts_of(own, ordered=True)
        if wanted is not None and _pairs(wanted, parts) is not None:
            found.append(spec)
    return found


def _candidates(parts: Parts) -> Iterator[dict[str, Any]]:
    """Fields of specs that the parts may be of."""
    if parts.head[-1].kind != "linear" and parts.head[-1].kind != "conv":
        return
    convs = [[m for m in unit if m.kind == "conv"] for unit in parts.units]
    if len({len(unit) for unit in convs}) != 1 or len(convs[0]) not in (2, 3):
        return
    normed = any(m.kind == "norm" for unit in parts.units for m in unit)
    per_unit = len(convs[0])
    width = parts.stem[0].maps
    first = convs[0][-1].maps // (1 if per_unit == 2 else 4)
    stages = len(dict.fromkeys(unit[-1].maps for unit in convs))
    base = {
        "family": "residual",
        "unit": "basic" if per_unit == 2 else "bottleneck",
        "depth": per_unit * len(convs) + 2,
        "width": width,
        "widen": max(1, first // width),
        "classes": parts.head[-1].maps,
        "batch_norm": normed,
    }
    transitions = [m for m in parts.head if m.kind == "conv"]
    if len(transitions) == 2 and len({unit[-1].maps for unit in convs}) == 1 and per_unit == 2:
        out, given = transitions[0].tensors["weight"][:2]
        yield {
            "family": "dense",
            "growth_rate": convs[0][-1].maps,
            "depth": 2 * len(convs) + 4,
            "bottleneck": True,
            "compression": round(out / given, 3),
            "classes": parts.head[-1].maps,
        }
        return
    v2 = any(m.kind == "norm" for m in parts.head)
    changing = sum(bool(shortcut) for shortcut in parts.shortcuts)
    shortcuts = ["A"] if not changing else ["B", "C"] if changing > 1 else ["B"]
    layouts = ["cifar"] if stages == 3 else ["imagenet"] if stages == 4 else []
    for layout in layouts:
        for order in ("v2", "v1") if v2 else ("v1", "v2"):
            for shortcut in shortcuts:
                strides = ("3x3", "1x1") if per_unit == 3 else ("1x1",)
                for stride in strides[:1] if layout == "imagenet" else strides:
                    fields = {**base, "layout": layout, "order": order, "shortcut": shortcut}
                    if layout == "imagenet":
                        kernel = parts.stem[0].tensors["weight"][-1]
                        fields["stem"] = "3x3" if kernel == 3 else "7x7"
                    fields |= {"stride_conv": stride} if per_unit == 3 else {}
                    for pad in ("end", "both") if shortcut == "A" else ("end",):
                        yield {**fields, "shortcut_pad": pad}


def said_of(file: str, shapes: Shapes) -> str:
    """One sentence on a file that no net of ours is found for."""
    parts = parts_of(shapes)
    if parts is None:
        return (
            f"{file} has no units of convolutions that could be told by their names: name the net "
            "that it is of, with the names that its tensors have there."
        )
    return (
        f"{file} seems to be of a net with {len(parts.units)} units, {parts.stem[0].maps} maps "
        f"in the stem and {parts.head[-1].maps} classes, and no net here has just its tensors."
    )


__all__ = ["fits", "parts_of", "renamed_for", "said_of"]
