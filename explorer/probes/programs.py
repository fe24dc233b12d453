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

import difflib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor

from explorer.blueprint import Blueprint, UnitPlan
from explorer.data.dataset import Dataset
from explorer.errors import Cancelled, NotApplicableError
from explorer.graph import shape_text, why_not_deletable
from explorer.nets import Net, Unit
from explorer.nets.fast import copied, fold_batch_norms
from explorer.probes.select import data_name, net_name, some_images
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
    if not unit.deletable:
        why = why_not_deletable(unit)
        raise NotApplicableError(f"Unit {unit.name!r} cannot be deleted: {why[0].lower()}{why[1:]}")


def _check_swap(unit: UnitPlan, place: UnitPlan) -> None:
    if unit.swap_group is not None and unit.swap_group == place.swap_group:
        return
    raise NotApplicableError(
        f"Unit {unit.name!r} ({_change(unit)}) cannot stand in the place of {place.name!r} "
        f"({_change(place)}): only units that keep one and the same shape may change places."
    )


def _change(unit: UnitPlan) -> str:
    return f"{shape_text(unit.input_shape)} → {shape_text(unit.output_shape)}"


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
        precision: ``float32`` computes as the net is; ``bfloat16`` is for a quick look.
        fold: Merge each batch norm that directly follows a convolution or linear map into it.
    """

    def __init__(self, net: Net, *, precision: Precision = "float32", fold: bool = True) -> None:
        self.plan = net.blueprint
        twin = copied(net).eval().requires_grad_(False)
        if fold:
            fold_batch_norms(twin)
        if precision == "bfloat16":
            twin.to(torch.bfloat16)
        self._maps = len(self.plan.units[0].input_shape) == 3
        if self._maps:
            twin.to(memory_format=torch.channels_last)
        weight = next(twin.parameters())
        self.device, self.dtype = weight.device, weight.dtype
        self._net, self._units = twin, cast(tuple[Unit, ...], twin.units)

    @torch.inference_mode()
    def logits(
        self,
        images: Tensor,
        programs: Sequence[tuple[Step, ...]],
        *,
        cancelled: Callable[[], bool] | None = None,
    ) -> Tensor:
        """Logits of each program, (programs, N, classes), of one chunk of images.

        Args:
            images: (N, C, H, W), normalised.
            programs: From :func:`compile_program`.
            cancelled: Asked before each unit.

        Raises:
            Cancelled: As soon as ``cancelled`` says so.
        """
        return self._run(images, _schedule(programs), cancelled)

    def images_at_once(self, programs: Sequence[tuple[Step, ...]]) -> int:
        """Images of one chunk, such that all states alive at once fit the memory set aside."""
        room = _STATE_BYTES if self.device.type == "cpu" else _ACCELERATOR_STATE_BYTES
        states = _schedule(programs).widest
        return max(1, room // (states * self._bytes_per_example()))

    def _states_at_once(self, images: int) -> int:
        """States in one call of a unit: enough to be efficient, few enough to stay in cache."""
        room = _CALL_BYTES if self.device.type == "cpu" else _ACCELERATOR_CALL_BYTES
        return max(1, room // (images * self._bytes_per_example()))

    def _bytes_per_example(self) -> int:
        shapes = [shape for u in self.plan.units for shape in (u.input_shape, u.output_shape)]
        entries: int = max(math.prod(shape) for shape in shapes)
        return entries * self.dtype.itemsize

    def _run(
        self, images: Tensor, schedule: _Schedule, cancelled: Callable[[], bool] | None
    ) -> Tensor:
        n = len(images)
        x = images.to(self.device, self.dtype)
        if self._maps:
            x = x.contiguous(memory_format=torch.channels_last)
        blocks = [_Block(self._net.stem(x), (0,))]
        at_once = self._states_at_once(n)
        for moves in schedule.levels:
            if cancelled is not None and cancelled():
                raise Cancelled("The measurement was stopped before its end.")
            blocks = [
                _Block(self._step(move.step, block.x), block.states)
                for move in moves
                for block in _gather(blocks, move, n, at_once)
            ]
        answers: dict[int, Tensor] = {}
        for block in blocks:
            logits = self._net.head(block.x)
            for k, state in enumerate(block.states):
                answers[state] = logits[k * n : (k + 1) * n]
        stacked = torch.stack([answers[leaf] for leaf in schedule.leaves])
        return stacked.float() if stacked.dtype == torch.bfloat16 else stacked

    def _step(self, step: Step, x: Tensor) -> Tensor:
        unit = self._units[step.unit]
        y = unit.bypass(x) if step.bypass else unit(x)
        return y.contiguous(memory_format=torch.channels_last) if self._maps else y


_CALL_BYTES = 8 << 20
_ACCELERATOR_CALL_BYTES = 256 << 20
_STATE_BYTES = 128 << 20
_ACCELERATOR_STATE_BYTES = 4 << 30


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


# --------------------------------------------------------------------------------- the answers


def count_correct(
    net: Net,
    dataset: Dataset,
    programs: Sequence[tuple[Step, ...]],
    *,
    n_images: int | None,
    precision: Precision = "float32",
    on_progress: OnProgress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> tuple[Floats, Floats]:
    """Correct answers (programs, classes), and how many images there were of each class.

    An answer that is not finite is wrong. ``on_progress`` gets (images done, images in all,
    counts so far) after each chunk.
    """
    images, labels = some_images(net, dataset, n_images)
    classes = len(dataset.info.classes)
    engine = Engine(net, precision=precision)
    correct = np.zeros((len(programs), classes))
    chunk = engine.images_at_once(programs)
    for start in range(0, len(labels), chunk):
        end = min(start + chunk, len(labels))
        truth = labels[start:end]
        logits = engine.logits(dataset.normalise(images[start:end]), programs, cancelled=cancelled)
        right = (logits.argmax(-1) == truth.to(logits.device)) & logits.isfinite().all(-1)
        np.add.at(correct.T, truth.cpu().numpy(), right.T.cpu().numpy())
        if on_progress is not None:
            on_progress(end, len(labels), correct)
    return correct, np.bincount(labels.cpu().numpy(), minlength=classes).astype(np.float64)


def evaluate_programs(
    net: Net,
    dataset: Dataset,
    programs: Sequence[Program],
    *,
    n_images: int | None = None,
    name: str | None = None,
    precision: Precision = "float32",
    on_progress: OnProgress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> list[ProgramResult]:
    """Accuracy of each program on the same test images.

    Args:
        n_images: A fixed, class-balanced choice of so many test images; None takes all.
        name: What the results call the net; None takes its token.
        precision: ``bfloat16`` is for a quick look only: it shifts accuracies by up to a point.
        on_progress: Called with (images done, images in all, accuracy of each program so far).
        cancelled: Asked before each unit and chunk of images.

    Raises:
        NotApplicableError: A program that is not possible; see :func:`compile_program`.
        DataError: The images do not fit the net.
        Cancelled: ``cancelled`` said so.
    """
    steps = [compile_program(net.blueprint, program) for program in programs]
    label = net_name(net) if name is None else name

    def tell(done: int, total: int, correct: Floats) -> None:
        if on_progress is not None:
            on_progress(done, total, correct.sum(1) / done)

    correct, of_class = count_correct(
        net,
        dataset,
        steps,
        n_images=n_images,
        precision=precision,
        on_progress=tell,
        cancelled=cancelled,
    )
    n = int(of_class.sum())
    with np.errstate(invalid="ignore"):
        per_class = correct / of_class  # 0 / 0: NaN for a class without images
    return [
        ProgramResult(
            net=label,
            data=data_name(dataset),
            n_images=n,
            program=tuple(net.blueprint.units[s.unit].name for s in row if not s.bypass),
            accuracy=float(right.sum() / n),
            per_class=shares,
        )
        for row, right, shares in zip(steps, correct, per_class, strict=True)
    ]


def evaluate_program(
    net: Net,
    dataset: Dataset,
    program: Program,
    *,
    n_images: int | None = None,
    name: str | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> ProgramResult:
    """Accuracy of one program; see :func:`evaluate_programs`."""
    return evaluate_programs(
        net, dataset, [program], n_images=n_images, name=name, cancelled=cancelled
    )[0]
