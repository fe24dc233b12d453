"""A net that a person built, taken apart where its maker says: stem, units, head.

The units are named; one pass tells what each takes and gives, and what is between them. What comes
before the first and after the last is named too, or followed through the net's own ``forward``.

A unit of known attributes (``conv1, bn1, …, downsample | shortcut``) is a residual unit to the last
layer. Of any other, what it is made for is seen from its answer with every weight at zero: one that
then answers the same to all is a plain block; one that gives its maps with zeros beside them, a
dense one. All else is taken as x + (block(x) − x): *the branch is what the block adds*.
"""

from __future__ import annotations

import fnmatch
import inspect
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from typing import Any, cast

import torch
from torch import Tensor, fx, nn
from torch.func import functional_call

from explorer.errors import NotApplicableError
from explorer.nets.adapters.pieces import Parts, Piece, UnitKind, chain, kind_of
from explorer.nets.dense import DenseUnit
from explorer.nets.layers import ZeroPad, named
from explorer.nets.plain import PlainUnit
from explorer.nets.residual import ResidualUnit

Where = str | Callable[[Tensor], Tensor] | Sequence[str | Callable[[Tensor], Tensor]]
"""Names or patterns of modules (``?`` and ``*`` within one part of a name), modules, functions."""

_MOST_NAMED = 6  # modules, in a sentence


class Own(nn.Module):
    """Layers that somebody else wrote, whole; what they are given stays as it was."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.block(x.clone()))


class Added(Own):
    """What a block adds to what passes by: block(x) − shortcut(x)."""

    def __init__(self, block: nn.Module, before: int = 0) -> None:
        super().__init__(block)
        self.before = before  # maps of zeros before what passes by

    def forward(self, x: Tensor) -> Tensor:
        passed = ZeroPad(self.before, 1, self.before)(x) if self.before else x
        return super().forward(x) - passed


class Grown(Own):
    """The maps that a dense block puts behind those it was given."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x)[:, x.shape[1] :]


class Function(nn.Module):
    """A function of a tensor as a step of a stem or head."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def take_apart_where_told(
    whole: nn.Module,
    name: str,
    x: Tensor,
    *,
    units: Where,
    stem: Where | None,
    head: Where | None,
) -> Parts:
    """The parts of a net; they share its weights.

    Args:
        whole: In evaluation mode.
        x: A small batch of images.

    Raises:
        NotApplicableError: Where the parts, one after the other, are not the net.
    """
    for module in whole.modules():
        if getattr(module, "inplace", False) is True:
            setattr(module, "inplace", False)  # noqa: B010 — mypy cannot know which have it
    steps = _steps(whole, name, units, "units")
    paths = [path for path, _ in steps]
    if not all(isinstance(step, nn.Module) for _, step in steps) or len(set(paths)) < len(paths):
        raise NotApplicableError(
            f"The units of {name} are named by their modules, each once, as in units='layer*.?'."
        )
    _refuse_nested(paths, name)
    seen = _watch(whole, name, x, paths)
    _check_order(whole, name, paths, seen)
    first, last = seen.given[paths[0]], seen.made[paths[-1]]
    if stem is None or head is None:
        followed = _followed(whole, name, paths)
    ends = {
        "stem": followed[0] if stem is None else _chained(whole, name, stem, "stem"),
        "head": followed[1] if head is None else _chained(whole, name, head, "head"),
    }
    _check_end(ends["stem"], x, first, name, "stem", "what the first unit is given")
    _check_end(ends["head"], last, seen.answer, name, "head", "the net's answer")
    pieces, stages = _staged(
        [(path, *_unit(whole.get_submodule(path), *seen.of(path), path)) for path in paths]
    )
    kinds = {piece.kind for piece in pieces}
    family = next((kind for kind in ("residual", "dense") if kind in kinds), "plain")
    opening, closing = (_as_chain(ends[what]) for what in ("stem", "head"))
    return Parts(cast(Any, family), opening, pieces, closing, stages)


# ------------------------------------------------------------------------------------ names


def _steps(
    whole: nn.Module, name: str, where: Where, what: str
) -> list[tuple[str, nn.Module | Callable[[Tensor], Tensor]]]:
    """(path, module or function) of what was named, pattern by pattern, each in natural order."""
    alone = isinstance(where, (str, nn.Module)) or callable(where)
    given = [where] if alone else where
    if not isinstance(given, (list, tuple)) or not given:
        raise NotApplicableError(
            f"{what}= takes names of modules of {name}, such as {_example(whole)}, or a list of "
            f"them, not {str(where)[:40]!r}."
        )
    found: list[tuple[str, nn.Module | Callable[[Tensor], Tensor]]] = []
    modules = {path: module for path, module in whole.named_modules() if path}
    for one in given:
        if isinstance(one, str):
            paths = sorted((path for path in modules if matches(path, one)), key=natural)
            if not paths:
                raise NotApplicableError(
                    f"No module of {name} is named {one[:60]!r}: there are {_listed(modules)}."
                )
            found += [(path, modules[path]) for path in paths]
        elif callable(one):
            step = type(one).__name__ if isinstance(one, nn.Module) else _name_of(one)
            found.append((f"{step}_{len(found)}", cast(Any, one)))
        else:
            raise NotApplicableError(
                f"{what}= takes names of modules of {name}, such as {_example(whole)}, not "
                f"{str(one)[:40]!r}."
            )
    return found


def matches(path: str, pattern: str) -> bool:
    """Whether a module's path fits a pattern, part by part: ``layer*.?`` fits ``layer1.0``."""
    parts, patterns = path.split("."), pattern.strip().split(".")
    return len(parts) == len(patterns) and all(map(fnmatch.fnmatchcase, parts, patterns))


def natural(path: str) -> list[tuple[int, str]]:
    """For sorting: numbers by their size, so that ``layer1.2`` stands before ``layer1.10``."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", path)]


def _name_of(function: object) -> str:
    return re.sub(r"\W", "", getattr(function, "__name__", "function")) or "function"


def _example(whole: nn.Module) -> str:
    return repr(next((path for path, _ in whole.named_children()), "layer1.0"))


def _listed(paths: Iterable[str]) -> str:
    every = list(paths)
    told = ", ".join(every[:_MOST_NAMED])
    more = f" and {len(every) - _MOST_NAMED} more" if len(every) > _MOST_NAMED else ""
    return f"{told}{more}" if every else "none"


def _refuse_nested(paths: Sequence[str], name: str) -> None:
    for path in paths:
        outer = next((other for other in paths if path.startswith(f"{other}.")), None)
        if outer is not None:
            raise NotApplicableError(
                f"The units of {name} stand one after the other, and {path} stands inside of "
                f"{outer}: name one of both."
            )


# ------------------------------------------------------------------------- what the net does


@dataclass
class _Seen:
    """What one pass showed: which modules were called, in order, and of units what they did."""

    calls: list[str] = field(default_factory=list)
    given: dict[str, Tensor] = field(default_factory=dict)
    made: dict[str, Tensor] = field(default_factory=dict)
    answer: Tensor = field(default_factory=lambda: torch.empty(0))
    strange: dict[str, str] = field(default_factory=dict)

    def of(self, path: str) -> tuple[Tensor, Tensor]:
        return self.given[path], self.made[path]


@torch.no_grad()
def _watch(whole: nn.Module, name: str, x: Tensor, paths: Sequence[str]) -> _Seen:
    seen = _Seen()
    handles = []

    def before(path: str) -> Callable[..., None]:
        def note(_: nn.Module, given: tuple[Any, ...], more: dict[str, Any]) -> None:
            seen.calls.append(path)
            if path in paths:
                tensors = [value for value in (*given, *more.values()) if torch.is_tensor(value)]
                if len(tensors) != 1 or not given or tensors[0] is not given[0]:
                    seen.strange[path] = f"is given {len(tensors)} tensors"
                else:
                    seen.given[path] = given[0].clone()

        return note

    def after(path: str) -> Callable[..., None]:
        def note(_: nn.Module, given: object, made: object) -> None:
            if isinstance(made, Tensor):
                seen.made[path] = made.clone()
            else:
                seen.strange[path] = f"gives a {type(made).__name__}"

        return note

    for path, module in whole.named_modules():
        if path and not any(path.startswith(f"{unit}.") for unit in paths):
            handles.append(module.register_forward_pre_hook(before(path), with_kwargs=True))
    handles += [whole.get_submodule(path).register_forward_hook(after(path)) for path in paths]
    try:
        seen.answer = whole(x.clone())
    finally:
        for handle in handles:
            handle.remove()
    for path, what in seen.strange.items():
        raise NotApplicableError(
            f"Unit {path} of {name} {what}, and a unit takes one tensor and gives one: name others."
        )
    return seen


def _check_order(whole: nn.Module, name: str, paths: Sequence[str], seen: _Seen) -> None:
    """Refuse units that are not a chain, and say what is missing or out of place."""
    calls = [path for path in seen.calls if path in paths]
    for path in paths:
        if calls.count(path) != 1:
            times = f"{calls.count(path)} times" if path in calls else "never"
            raise NotApplicableError(
                f"{name} calls {path} {times} for an image, and a unit acts once: leave it out of "
                "the units, or give it a module for each call."
            )
    if calls != list(paths):
        place = next(
            i for i, (one, other) in enumerate(zip(calls, paths, strict=True)) if one != other
        )
        raise NotApplicableError(
            f"The units in this order do not give the net's own output: {calls[place]} acts where "
            f"{paths[place]} was named; name them in the order {_listed(calls)}."
        )
    for one, other in pairwise(paths):
        if torch.equal(seen.made[one], seen.given[other]):
            continue
        between = seen.calls[seen.calls.index(one) + 1 : seen.calls.index(other)]
        missing = [path for path in between if not other.startswith(f"{path}.")]
        tops = [path for path in missing if not any(path.startswith(f"{up}.") for up in missing)]
        if tops:
            raise NotApplicableError(
                f"The units in this order do not give the net's own output: between {one} and "
                f"{other} the net also calls {_listed(tops)}; name what is missing among the units."
            )
        raise NotApplicableError(
            f"The units in this order do not give the net's own output: what {other} is given is "
            f"not what {one} gives, as the net computes something between them; name the modules "
            "that do all of it, or make a module of it."
        )


def _chained(whole: nn.Module, name: str, where: Where, what: str) -> nn.Module:
    steps = _steps(whole, name, where, what)
    return named(
        (path.replace(".", "_"), step if isinstance(step, nn.Module) else Function(step))
        for path, step in steps
    )


@torch.no_grad()
def _check_end(part: nn.Module, x: Tensor, wanted: Tensor, name: str, what: str, is_: str) -> None:
    try:
        given = part(x.clone())
    except Exception as error:  # what other people's layers may raise
        raise NotApplicableError(
            f"The {what} that was named for {name} cannot compute {is_} ({reason_of(error)}): name "
            f"all of its modules and functions in order, or leave {what}= out."
        ) from None
    if not near(given, wanted):
        raise NotApplicableError(
            f"The {what} that was named for {name} does not give {is_}: name all of its modules "
            f"and functions in order, or leave {what}= out."
        )


def near(given: object, wanted: Tensor) -> bool:
    """Whether both are equal to 1e-5 of the largest value, or what the precision allows."""
    if not isinstance(given, Tensor) or given.shape != wanted.shape:
        return False
    size = float(wanted.abs().max()) if wanted.numel() else 0.0
    bound = max(1e-5, 8 * torch.finfo(wanted.dtype).eps)
    return torch.allclose(given, wanted, rtol=bound, atol=bound * size, equal_nan=True)


def reason_of(error: BaseException) -> str:
    """An error of somebody else's code, for a sentence of ours."""
    line = (str(error).strip().splitlines() or [""])[0].strip().rstrip(".")
    return f"{type(error).__name__}: {line[:160]}" if line else type(error).__name__


# --------------------------------------------------------------------------- stem and head


class _Tracer(fx.Tracer):
    """Follows the net and what lies around its units; every other module is one step."""

    def __init__(self, paths: Sequence[str]) -> None:
        super().__init__()
        self.paths = paths

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return not any(path.startswith(f"{module_qualified_name}.") for path in self.paths)


def _followed(whole: nn.Module, name: str, paths: Sequence[str]) -> tuple[nn.Module, nn.Module]:
    """Stem and head from the net's own ``forward``.

    Raises:
        NotApplicableError: It cannot be followed, or more than the last unit's output reaches the
            answer.
    """
    _, *more = inspect.signature(whole.forward).parameters.values()
    fixed = {p.name: p.default for p in more if p.default is not inspect.Parameter.empty}
    try:
        graph = _Tracer(paths).trace(whole, fixed)
    except Exception as error:  # what a forward does with what is no tensor
        raise NotApplicableError(
            f"What {name} does before and after its units cannot be followed in its forward "
            f"({reason_of(error)}): name it with stem= and head=, modules and functions in order."
        ) from None
    calls = {str(node.target): node for node in graph.nodes if node.op == "call_module"}
    end = next(node for node in graph.nodes if node.op == "output").args[0]
    first, last = calls[paths[0]].args[0], calls[paths[-1]]
    opening = next(node for node in graph.nodes if node.op == "placeholder")
    try:
        return _part(whole, opening, first), _part(whole, last, end)
    except _Elsewhere:
        raise NotApplicableError(
            f"The answer of {name} takes more than the last unit's output: its units are no chain, "
            "or the head looks at the images; name all units, or say stem= and head=."
        ) from None


class _Elsewhere(Exception):
    """No error of its own: a part needs what another part computes."""


def _part(whole: nn.Module, start: fx.Node, end: Any) -> fx.GraphModule:
    """What is computed from ``start``, as a module of its own."""
    graph = fx.Graph()
    copies: dict[fx.Node, fx.Node] = {start: graph.placeholder("x")}

    def copied(node: fx.Node) -> fx.Node:
        for needed in node.all_input_nodes:
            if needed not in copies:
                copied(needed)
        if node.op == "placeholder":
            raise _Elsewhere
        copies[node] = graph.node_copy(node, lambda one: copies[one])
        return copies[node]

    if not isinstance(end, fx.Node):
        raise _Elsewhere
    graph.output(copies[end] if end in copies else copied(end))
    return fx.GraphModule(whole, graph)


def _as_chain(part: nn.Module) -> nn.Sequential:
    """A part as a chain: its known layers one by one, or all of it as one step."""
    if isinstance(part, fx.GraphModule):
        nodes = [node for node in part.graph.nodes if node.op not in ("placeholder", "output")]
        if not nodes:
            return nn.Sequential()
        return named([("own", Own(part))])
    return cast(nn.Sequential, part)


# ------------------------------------------------------------------------------------ units

_Made = tuple[UnitKind, nn.Module]


@torch.no_grad()
def _unit(block: nn.Module, x: Tensor, y: Tensor, path: str) -> _Made:
    """A unit of ours that computes what the block does, from what it takes and gives."""
    if not any(value.dim() > 1 for value in block.parameters()):
        return "transition", named([("block", Own(block))])  # a pool, a norm
    known = _known_residual(block, x, y)
    if known is not None:
        return "residual", known
    same = x.shape == y.shape
    maps = x.shape[1] if x.dim() > 1 else 0
    grows = x.dim() == 4 == y.dim() and x.shape[2:] == y.shape[2:] and y.shape[1] > maps
    if grows and torch.equal(y[:, :maps], x):
        return "dense", DenseUnit(named([("block", Grown(block))]), y.shape[1] - maps)
    if grows and torch.equal(y[:, -maps:], x):  # its new maps stand before those it was given
        new = y.shape[1] - maps
        shortcut = ZeroPad(new, 1, new)
        return "residual", ResidualUnit(shortcut, named([("block", Added(block, new))]))
    if not same or _answers_alike(block, x):
        return "plain", PlainUnit([("block", Own(block))], deletable=same)
    return "residual", ResidualUnit(nn.Identity(), named([("block", Added(block))]))


def _answers_alike(block: nn.Module, x: Tensor) -> bool:
    """Whether a block with all its matrices and kernels at zero answers the same to all.

    Then nothing passes it by: it is a plain one.
    """
    zeros = {
        key: torch.zeros_like(value) if value.dim() > 1 else value
        for key, value in block.named_parameters()
    }
    biases = {key: torch.zeros_like(value) for key, value in zeros.items() if key.endswith("bias")}
    try:
        one, other = (
            functional_call(block, {**zeros, **biases}, (given,)) for given in (x.clone(), -2 * x)
        )
    except Exception:  # what other people's layers may raise
        return False
    return bool(one.isfinite().all()) and torch.equal(one, other)


_SHORTCUTS = ("downsample", "shortcut", "skip", "projection")


def _known_residual(block: nn.Module, x: Tensor, y: Tensor) -> ResidualUnit | None:
    """The unit of a block with the usual attributes, in the order that gives the block's answer."""
    children = dict(block.named_children())
    count = 3 if "conv3" in children else 2
    norm = "norm" if "norm1" in children else "bn"
    needed = [f"{kind}{i}" for i in range(1, count + 1) for kind in ("conv", norm)]
    if not all(key in children and kind_of(children[key]) for key in needed):
        return None
    passing = next((children[key] for key in _SHORTCUTS if key in children), nn.Identity())
    used = {id(value) for key in needed for value in children[key].parameters()}
    used |= {id(value) for value in passing.parameters()}
    if {id(value) for value in block.parameters()} != used:
        return None
    if isinstance(passing, nn.Sequential) and not len(passing):
        passing = nn.Identity()
    acts = {type(child): child for child in children.values() if kind_of(child) == "activation"}
    act = next(iter(acts.values()), None) or nn.ReLU()
    original: list[tuple[str, nn.Module | None]] = []
    before: list[tuple[str, nn.Module | None]] = []
    for i in range(1, count + 1):
        conv, bn = ((key, children[key]) for key in (f"conv{i}", f"{norm}{i}"))
        original += [conv, bn, *([(f"act{i}", act)] if i < count else [])]
        before += [bn, (f"act{i}", act), conv]
    last: list[tuple[str, nn.Module | None]] = [("act", act)]
    tries: list[Callable[[], ResidualUnit]] = [
        lambda: ResidualUnit(passing, chain(original, ""), after=chain(last, "")),
        lambda: ResidualUnit(passing, chain(original, "")),
        lambda: ResidualUnit(passing, chain(before, "")),
        lambda: ResidualUnit(passing, chain(before[2:], ""), split=chain(before[:2], "")),
    ]
    for made in tries:
        try:
            unit = made().eval()
            if near(unit(x.clone()), y):
                return unit
        except Exception:
            continue
    return None


def _staged(
    units: Sequence[tuple[str, UnitKind, nn.Module]],
) -> tuple[tuple[Piece, ...], tuple[str, ...]]:
    """Units into stages: those that stand in one module are one; a transition ends the one before.

    Where every unit stands in a module of its own, all are one stage.
    """
    homes: list[str] = []
    for path, kind, _ in units:
        home = path.rpartition(".")[0]
        homes.append(homes[-1] if kind == "transition" and homes else home)
    groups = [home for home, _ in groupby(homes)]
    if len(groups) == len(homes) or len(groups) > len(set(groups)):
        groups, homes = ["units"], ["units"] * len(homes)
    stages = {home: i for i, home in enumerate(groups)}
    pieces = tuple(
        Piece(path, kind, stages[home], module)
        for (path, kind, module), home in zip(units, homes, strict=True)
    )
    return pieces, tuple(group or "units" for group in groups)
