"""One engine for deleting, deleting many and shuffling: apply these units in this order.

A program is a sequence of units; the intact net is 0…n−1, a unit left out is *deleted*: it is
passed by (its ``bypass``: the shortcut of a residual unit, T = 0 in a highway unit, zeros for a
dense unit's new features). Purpose: evaluate many programs at once. They form a trie, so that
each shared prefix is computed once per chunk of images, and states that go through the same unit
next ride together on the batch axis. All n single deletions cost about n²/2 unit evaluations
instead of n². Batch norm uses its running statistics; the net itself is never touched, because
the engine works on a copy of it.
"""

from __future__ import annotations

import copy
import difflib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from explorer.blueprint import Blueprint, Layer, UnitPlan
from explorer.errors import Cancelled, NotApplicableError
from explorer.results import Floats, ProgramResult

Program = Sequence[str | int]
Precision = Literal["float32", "bfloat16"]
OnProgress = Callable[[int, int, Floats], None]


class Step(NamedTuple):
    """One unit of the net, applied or passed by."""

    unit: int
    bypass: bool = False


# ------------------------------------------------------------------------------ what is asked


def compile_program(plan: Blueprint, program: Program) -> tuple[Step, ...]:
    """Every unit of the net in the order it acts: the listed ones apply, the others pass by.

    A unit that is left out stands just before the first listed unit that follows it in the
    intact net, so that its shortcut keeps its place (it may change the shape).

    Args:
        program: Names or indices of units, each at most once.

    Raises:
        NotApplicableError: An unknown or repeated unit, one that cannot be deleted, or one in
            the place of a unit of another shape.
    """
    listed = [unit_index(plan, unit) for unit in program]
    seen: set[int] = set()
    for unit in listed:
        if unit in seen:
            raise NotApplicableError(
                f"Unit {plan.units[unit].name!r} stands twice in the program; "
                "each unit acts at most once."
            )
        seen.add(unit)
    left_out = [unit for unit in range(len(plan.units)) if unit not in seen]
    for unit in left_out:
        _check_deletable(plan.units[unit])
    steps: list[Step] = []
    for unit in listed:
        while left_out and left_out[0] < unit:
            steps.append(Step(left_out.pop(0), bypass=True))
        steps.append(Step(unit))
    steps += [Step(unit, bypass=True) for unit in left_out]
    for place, step in enumerate(steps):
        if step.unit != place:
            _check_swap(plan.units[step.unit], plan.units[place])
    return tuple(steps)


def without(plan: Blueprint, deleted: Program) -> tuple[str, ...]:
    """The program of the intact net less these units, as names."""
    gone = {unit_index(plan, unit) for unit in deleted}
    return tuple(unit.name for i, unit in enumerate(plan.units) if i not in gone)


def unit_index(plan: Blueprint, unit: str | int) -> int:
    """Position of a unit in forward order.

    Raises:
        NotApplicableError: If this net has no such unit.
    """
    names = [u.name for u in plan.units]
    if isinstance(unit, int):
        if 0 <= unit < len(names):
            return unit
        raise NotApplicableError(
            f"There is no unit {unit}: this net has {len(names)} units, 0 to {len(names) - 1}."
        )
    if unit in names:
        return names.index(unit)
    near = difflib.get_close_matches(unit, names, n=1, cutoff=0.0)
    hint = f"; the nearest is {near[0]!r}" if near else ""
    raise NotApplicableError(f"This net has no unit {unit!r}{hint}.")


def _check_deletable(unit: UnitPlan) -> None:
    if unit.deletable:
        return
    raise NotApplicableError(
        f"Unit {unit.name!r} cannot be deleted: without it nothing turns its input "
        f"{_shape(unit.input_shape)} into the {_shape(unit.output_shape)} that follows; "
        "choose a unit that keeps the shape or has a shortcut."
    )


def _check_swap(unit: UnitPlan, place: UnitPlan) -> None:
    if unit.swap_group is not None and unit.swap_group == place.swap_group:
        return
    raise NotApplicableError(
        f"Unit {unit.name!r} ({_change(unit)}) cannot stand in the place of {place.name!r} "
        f"({_change(place)}): only units that keep one and the same shape may change places."
    )


def _shape(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape))


def _change(unit: UnitPlan) -> str:
    return f"{_shape(unit.input_shape)} → {_shape(unit.output_shape)}"


# -------------------------------------------------------------------------------- the schedule


class _Move(NamedTuple):
    """All states that take the same step: state ``parents[k]`` becomes state ``children[k]``."""

    step: Step
    parents: tuple[int, ...]
    children: tuple[int, ...]


@dataclass(frozen=True)
class _Schedule:
    """The trie of programs by level: moves from place to place, and each program's last state."""

    levels: tuple[tuple[_Move, ...], ...]
    leaves: tuple[int, ...]
    widest: int  # most states alive at once


def _schedule(programs: Sequence[tuple[Step, ...]]) -> _Schedule:
    states = [0] * len(programs)  # the state that each program is in
    levels: list[tuple[_Move, ...]] = []
    widest = 1
    for place in range(len(programs[0])):
        children: dict[tuple[int, Step], int] = {}
        for i, steps in enumerate(programs):
            edge = (states[i], steps[place])
            states[i] = children.setdefault(edge, len(children))
        by_step: dict[Step, list[tuple[int, int]]] = {}
        for (parent, step), child in children.items():
            by_step.setdefault(step, []).append((parent, child))
        levels.append(
            tuple(
                _Move(step, tuple(p for p, _ in edges), tuple(c for _, c in edges))
                for step, edges in by_step.items()
            )
        )
        widest = max(widest, len(children))
    return _Schedule(tuple(levels), tuple(states), widest)


# ------------------------------------------------------------------------------------ the work


class _Block(NamedTuple):
    """Several states of one chunk of images, one after the other on the batch axis."""

    x: Tensor  # (states · images, …)
    states: tuple[int, ...]


class Engine:
    """A net made ready for programs: a copy in evaluation mode, batch norms folded.

    Args:
        precision: ``float32`` for numbers that are kept; ``bfloat16`` to look quickly.
        fold: Merge each batch norm that directly follows a convolution or linear map into it.
    """

    def __init__(
        self, net: nn.Module, *, precision: Precision = "float32", fold: bool = True
    ) -> None:
        self.plan: Blueprint = net.blueprint  # type: ignore[assignment]
        self.device = next(net.parameters()).device
        copied = copy.deepcopy(net).eval().requires_grad_(False)
        if fold:
            fold_batch_norms(copied, self.plan)
        self.dtype = next(copied.parameters()).dtype
        if precision == "bfloat16":
            self.dtype = torch.bfloat16
            copied.to(self.dtype)
        self.images_are_maps = len(self.plan.units[0].input_shape) == 3
        if self.images_are_maps:
            copied.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._net = copied
        self._units: list[nn.Module] = list(copied.units)  # type: ignore[arg-type]

    @torch.inference_mode()
    def logits(
        self,
        images: Tensor,
        programs: Sequence[tuple[Step, ...]],
        *,
        rows: int | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> Tensor:
        """Logits of each program: (programs, N, classes), in float32 or the net's own precision.

        Args:
            images: (N, C, H, W), normalised.
            rows: Most examples (images × states) in one call of a unit.
            cancelled: Asked before each unit.
        """
        schedule = _schedule(programs)
        return self._run(images, schedule, rows or self.rows_per_call(), cancelled)

    def rows_per_call(self) -> int:
        """Examples that go through a unit at once: enough to be efficient, few enough to cache."""
        if self.device.type != "cpu":
            return max(64, _ACCELERATOR_CALL_BYTES // self._bytes_per_example())
        return max(16, _CALL_BYTES // self._bytes_per_example())

    def images_per_chunk(self, schedule_width: int) -> int:
        """Images of one chunk, such that all states alive at once fit in memory."""
        room = _STATE_BYTES if self.device.type == "cpu" else 8 * _STATE_BYTES
        return max(1, room // (schedule_width * self._bytes_per_example()))

    def _bytes_per_example(self) -> int:
        widest = max(
            int(np.prod(shape))
            for u in self.plan.units
            for shape in (u.input_shape, u.output_shape)
        )
        return widest * torch.finfo(self.dtype).bits // 8

    def _run(
        self,
        images: Tensor,
        schedule: _Schedule,
        rows: int,
        cancelled: Callable[[], bool] | None,
    ) -> Tensor:
        n = len(images)
        x = images.to(self.device, self.dtype)
        if self.images_are_maps:
            x = x.contiguous(memory_format=torch.channels_last)
        blocks = [_Block(self._net.stem(x), (0,))]  # type: ignore[operator]
        at_once = max(1, rows // n)
        for moves in schedule.levels:
            if cancelled is not None and cancelled():
                raise Cancelled("The measurement was stopped before its end.")
            blocks = [
                _Block(self._step(move.step, block.x), block.states)
                for move in moves
                for block in _gather(blocks, move, n, at_once)
            ]
        out: list[Tensor | None] = [None] * schedule.widest
        for block in blocks:
            answer: Tensor = self._net.head(block.x)  # type: ignore[operator]
            for k, state in enumerate(block.states):
                out[state] = answer[k * n : (k + 1) * n]
        logits = torch.stack([_present(out[leaf]) for leaf in schedule.leaves])
        return logits.float() if logits.dtype == torch.bfloat16 else logits

    def _step(self, step: Step, x: Tensor) -> Tensor:
        unit = self._units[step.unit]
        result: Tensor = unit.bypass(x) if step.bypass else unit(x)  # type: ignore[operator]
        return result


_CALL_BYTES = 4 << 20
_ACCELERATOR_CALL_BYTES = 256 << 20
_STATE_BYTES = 256 << 20


def _present(value: Tensor | None) -> Tensor:
    assert value is not None  # every leaf of the trie is some block's state
    return value


def _gather(blocks: list[_Block], move: _Move, n: int, at_once: int) -> Iterator[_Block]:
    """The states that take this step, packed into blocks of at most ``at_once`` states.

    A block that goes on whole is not copied; the states of the blocks returned are the children.
    """
    child_of = dict(zip(move.parents, move.children, strict=True))
    pack: list[Tensor] = []
    states: list[int] = []
    for block in blocks:
        places = [k for k, state in enumerate(block.states) if state in child_of]
        while places:
            room = at_once - len(states)
            if room == 0:
                yield _packed(pack, states)
                pack, states, room = [], [], at_once
            taken, places = places[:room], places[room:]
            pack.append(_rows(block.x, taken, n))
            states += [child_of[block.states[k]] for k in taken]
    if states:
        yield _packed(pack, states)


def _packed(pack: list[Tensor], states: list[int]) -> _Block:
    return _Block(pack[0] if len(pack) == 1 else torch.cat(pack), tuple(states))


def _rows(x: Tensor, places: list[int], n: int) -> Tensor:
    """States ``places`` of a block: a view where they stand side by side."""
    if places[-1] - places[0] == len(places) - 1:
        return x[places[0] * n : (places[-1] + 1) * n]
    return torch.cat([x[k * n : (k + 1) * n] for k in places])


def fold_batch_norms(net: nn.Module, plan: Blueprint) -> int:
    """Merge, in place, every batch norm whose input is just a convolution's or linear map's output.

    In evaluation mode batch norm is an affine map, so W' = (γ/√(σ²+ε))·W, and the norm becomes
    an identity. Returns how many were merged. The first norm of a pre-activation unit follows
    the addition and stays.
    """
    merged = 0
    for part in (plan.stem, *(unit.layers for unit in plan.units), plan.head):
        branches: dict[str, list[Layer]] = {}
        for layer in part:
            branches.setdefault(layer.branch, []).append(layer)
        for layers in branches.values():
            for before, norm in pairwise(layers):
                if norm.kind == "batch_norm" and before.kind in ("conv", "linear"):
                    weight, bn = net.get_submodule(before.name), net.get_submodule(norm.name)
                    fused: nn.Module
                    if isinstance(weight, nn.Conv2d):
                        fused = fuse_conv_bn_eval(weight, bn)  # type: ignore[type-var]
                    else:
                        fused = fuse_linear_bn_eval(weight, bn)  # type: ignore[type-var]
                    net.set_submodule(before.name, fused)
                    net.set_submodule(norm.name, nn.Identity())
                    merged += 1
    return merged
