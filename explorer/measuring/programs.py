"""Deleting, deleting many, shuffling, holding gates: apply these units in this order.

A program is a sequence of units; the intact net is 0…n−1, a unit left out is *deleted*: it is
passed by (its ``bypass``: the shortcut of a residual unit, T = 0 in a highway unit, zeros for a
dense unit's new features). :class:`explorer.measuring.engine.Engine` evaluates many at once. Batch
norm uses the intact net's statistics (:mod:`explorer.measuring.statistics`), or statistics measured
anew for each program (:mod:`explorer.measuring.recalibrate`); the net itself is never touched. A
net that never trained guesses, with any program: what is measured of it is chance.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from explorer.data.dataset import Dataset
from explorer.errors import Cancelled, NotApplicableError
from explorer.measuring.engine import Engine, GateValue, Precision, Step
from explorer.measuring.recalibrate import Recalibrated, calibration_batches
from explorer.measuring.select import data_name, net_name, some_images
from explorer.measuring.statistics import measuring
from explorer.measuring.taps import eval_mode, tap
from explorer.nets import Net
from explorer.results import Floats, ProgramResult, Statistics
from explorer.structure.blueprint import Blueprint, UnitPlan
from explorer.structure.graph import shape_text, why_not_deletable

__all__ = [
    "Engine",
    "Precision",
    "Program",
    "Step",
    "compile_program",
    "count_correct",
    "evaluate_program",
    "evaluate_programs",
    "unit_index",
    "without",
]

Program = Sequence[str | int]
Gates = Mapping[str | int, GateValue] | Mapping[str, GateValue]
OnProgress = Callable[[int, int, Floats], None]


# ------------------------------------------------------------------------------ what is asked


def compile_program(
    plan: Blueprint, program: Program, *, gates: Gates | None = None
) -> tuple[Step, ...]:
    """Every unit of the net in the order it acts: the listed ones apply, the others pass by.

    A unit that is left out stands just before the first listed unit that follows it in the
    intact net, so that its shortcut keeps its place (it may change the shape).

    Args:
        program: Names or indices of units, each at most once.
        gates: Units whose gate is held: at a value in [0, 1], or at its ``mean`` over images.

    Raises:
        NotApplicableError: An unknown or repeated unit, one that cannot be deleted, one in the
            place of a unit of another shape, or a gate that is not there or not in [0, 1].
    """
    held = {unit_index(plan, unit): value for unit, value in (gates or {}).items()}
    for unit, value in held.items():
        _check_gate(plan.units[unit], value)
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
        steps.append(Step(unit, gate=held.get(unit)))
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


def _check_gate(unit: UnitPlan, value: GateValue) -> None:
    if unit.gate is None:
        raise NotApplicableError(
            f"Unit {unit.name!r} has no gate that could be held; gates stand in the units of "
            "highway nets and of residual nets with gated shortcuts."
        )
    if value != "mean" and not (isinstance(value, (int, float)) and 0 <= value <= 1):
        raise NotApplicableError(
            f"The gate of {unit.name!r} is held at a value from 0 to 1 or at its 'mean', not at "
            f"{value!r}."
        )


def _check_swap(unit: UnitPlan, place: UnitPlan) -> None:
    if unit.swap_group is not None and unit.swap_group == place.swap_group:
        return
    raise NotApplicableError(
        f"Unit {unit.name!r} ({_change(unit)}) cannot stand in the place of {place.name!r} "
        f"({_change(place)}): only units that keep one and the same shape may change places."
    )


def _change(unit: UnitPlan) -> str:
    return f"{shape_text(unit.input_shape)} → {shape_text(unit.output_shape)}"


# --------------------------------------------------------------------------------- the answers

FIRST_CHUNK = 40  # images: an answer soon, refined by chunks twice as large each time
MEAN_GATE_IMAGES = 1000  # training images that a gate's mean is taken over


@dataclass(frozen=True)
class Counts:
    """Correct answers of each program on the same images, as far as they are counted.

    Attributes:
        correct: (programs, classes).
        of_class: (classes,): images counted.
        total: Images that there will be in all.
        recalibrated: Training images by which batch norm's statistics were measured anew for
            each program; 0 leaves them as trained.
        statistics: What batch norms normalised by; ``batch`` also where measured anew.
    """

    correct: Floats
    of_class: Floats
    total: int
    recalibrated: int = 0
    statistics: Statistics | None = None

    @property
    def n_images(self) -> int:
        return int(self.of_class.sum())

    @property
    def share_done(self) -> float:
        return self.n_images / self.total

    @property
    def accuracy(self) -> Floats:
        """(programs,)."""
        return np.asarray(self.correct.sum(1) / self.n_images)

    @property
    def per_class(self) -> Floats:
        """(programs, classes); NaN for a class without images."""
        with np.errstate(invalid="ignore"):
            return np.asarray(self.correct / self.of_class)


def count_correct(
    net: Net,
    dataset: Dataset,
    programs: Sequence[tuple[Step, ...]],
    *,
    n_images: int | None,
    train: bool = False,
    precision: Precision = "float32",
    recalibrate: int = 0,
    on_progress: Callable[[Counts], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Counts:
    """Correct answers of each program; one that is not finite is wrong.

    Programs are taken in groups, and images in chunks, such that memory is bounded. The first
    chunk is small and has each class in its share, so that there is an answer soon.

    Args:
        train: On training images, not on test images.
        recalibrate: Measure batch norm's statistics anew for each program, on so many training
            images; 0 leaves them as trained.
        on_progress: Called after each chunk.

    Raises:
        NotApplicableError: A net without batch norm, or bfloat16, is to be recalibrated.
        DataError: The images do not fit the net.
        Cancelled: ``cancelled`` said so.
    """
    images, labels = some_images(net, dataset, n_images, train=train)
    truth, classes = labels.cpu().numpy(), len(dataset.info.classes)
    engine: Engine
    with measuring(net, dataset, images, cancelled=cancelled) as statistics:
        means = mean_gates(net, dataset, programs, cancelled=cancelled)
        made = Recalibrated if recalibrate else Engine
        engine = made(net, precision=precision, mean_gates=means)
    if isinstance(engine, Recalibrated):
        statistics, batches = "batch", calibration_batches(net, dataset, recalibrate)
        used = sum(map(len, batches))
        groups = _groups(engine, programs, fewest=max(map(len, batches)))
        for group in groups:
            engine.calibrate([programs[i] for i in group], batches, cancelled=cancelled)
    else:
        used = 0
        groups = _groups(engine, programs, fewest=_FEWEST_AT_ONCE)
    inside = [[programs[i] for i in group] for group in groups]
    most = max(1, min(engine.images_at_once(some) for some in inside))
    correct = np.zeros((len(programs), classes))
    for start, end in _chunks(len(truth), most):
        x = dataset.normalise(images[start:end])
        for group, some in zip(groups, inside, strict=True):
            logits = engine.logits(x, some, cancelled=cancelled)
            right = logits.argmax(-1) == labels[start:end].to(logits.device)
            right &= logits.isfinite().all(-1)
            counted = np.zeros((classes, len(group)))
            np.add.at(counted, truth[start:end], right.T.cpu().numpy())
            correct[group] += counted.T
        of_class = np.bincount(truth[:end], minlength=classes).astype(np.float64)
        counts = Counts(correct.copy(), of_class, len(truth), used, statistics)
        if on_progress is not None:
            on_progress(counts)
    return counts


_FEWEST_AT_ONCE = 4  # images of a chunk; more programs than memory holds for them are parted


def _groups(
    engine: Engine, programs: Sequence[tuple[Step, ...]], *, fewest: int
) -> list[list[int]]:
    """Positions of programs that are evaluated together: neighbours share long prefixes."""
    order = sorted(range(len(programs)), key=lambda i: [str(step) for step in programs[i]])

    def parted(some: list[int]) -> list[list[int]]:
        if len(some) == 1 or engine.images_at_once([programs[i] for i in some]) >= fewest:
            return [sorted(some)]
        half = len(some) // 2
        return parted(some[:half]) + parted(some[half:])

    return parted(order)


def _chunks(n: int, most: int) -> Iterator[tuple[int, int]]:
    start, size = 0, min(FIRST_CHUNK, most)
    while start < n:
        yield start, min(start + size, n)
        start, size = start + size, min(2 * size, most)


def mean_gates(
    net: Net,
    dataset: Dataset,
    programs: Sequence[tuple[Step, ...]],
    *,
    cancelled: Callable[[], bool] | None = None,
) -> dict[int, Tensor]:
    """By position, the mean of each gate that a program holds there: entry by entry over images.

    Over training images on the intact net, so that the test images have no part in it.
    """
    units = sorted({step.unit for steps in programs for step in steps if step.gate == "mean"})
    if not units:
        return {}
    names = [name for name in (net.blueprint.units[unit].gate for unit in units) if name]
    images, _ = some_images(net, dataset, MEAN_GATE_IMAGES, train=True)
    device = next(net.parameters()).device
    with (
        eval_mode(net),
        torch.inference_mode(),
        tap(net, names, reduce=lambda gate: gate.sum(0)) as taps,
    ):
        for part in torch.split(images, 256):
            if cancelled is not None and cancelled():
                raise Cancelled("The measurement was stopped before its end.")
            net(dataset.normalise(part).to(device, next(net.parameters()).dtype))
    return {
        unit: torch.stack(taps.outputs[name]).sum(0) / len(images)
        for unit, name in zip(units, names, strict=True)
    }


def evaluate_programs(
    net: Net,
    dataset: Dataset,
    programs: Sequence[Program],
    *,
    gates: Gates | None = None,
    n_images: int | None = None,
    name: str | None = None,
    precision: Precision = "float32",
    recalibrate: int = 0,
    on_progress: OnProgress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> list[ProgramResult]:
    """Accuracy of each program on the same test images, also class by class.

    Args:
        gates: Held in every program; see :func:`compile_program`.
        n_images: A fixed choice of so many test images, each class in its share; None takes all.
        name: What the results call the net; None takes its token.
        precision: ``bfloat16`` is for a quick look only: it shifts accuracies by up to a point.
        recalibrate: Measure batch norm's statistics anew for each program, on so many training
            images; 0 leaves them as trained.
        on_progress: Called with (images done, images in all, accuracy of each program so far).
        cancelled: Asked before each unit and chunk of images.

    Raises:
        NotApplicableError: A program that is not possible; see :func:`compile_program`.
        DataError: The images do not fit the net.
        Cancelled: ``cancelled`` said so.
    """
    steps = [compile_program(net.blueprint, program, gates=gates) for program in programs]
    label = net_name(net) if name is None else name

    def tell(so_far: Counts) -> None:
        if on_progress is not None:
            on_progress(so_far.n_images, so_far.total, so_far.accuracy)

    counts = count_correct(
        net,
        dataset,
        steps,
        n_images=n_images,
        precision=precision,
        recalibrate=recalibrate,
        on_progress=tell,
        cancelled=cancelled,
    )
    return [
        ProgramResult(
            net=label,
            data=data_name(dataset),
            n_images=counts.n_images,
            program=tuple(net.blueprint.units[s.unit].name for s in row if not s.bypass),
            accuracy=float(accuracy),
            per_class=shares,
            statistics=counts.statistics,
        )
        for row, accuracy, shares in zip(steps, counts.accuracy, counts.per_class, strict=True)
    ]


def evaluate_program(
    net: Net,
    dataset: Dataset,
    program: Program,
    *,
    gates: Gates | None = None,
    n_images: int | None = None,
    name: str | None = None,
    recalibrate: int = 0,
    cancelled: Callable[[], bool] | None = None,
) -> ProgramResult:
    """Accuracy of one program; see :func:`evaluate_programs`."""
    return evaluate_programs(
        net,
        dataset,
        [program],
        gates=gates,
        n_images=n_images,
        name=name,
        recalibrate=recalibrate,
        cancelled=cancelled,
    )[0]
