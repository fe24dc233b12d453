"""What is told of trainings: lanes of stored runs, or of a folder of ``skipscope train``."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import get_args

from explorer.drawing.lane import Lane
from explorer.errors import RunError, SkipscopeError
from explorer.instruments.contract import Training as RecordedTraining
from explorer.instruments.history.measure import layer_history
from explorer.instruments.history.result import LayerHistory, Quantity
from explorer.instruments.lesions.result import LesionCurve
from explorer.results import Record, TrainingCurves
from explorer.runs.serve.history import LaneHistory, power_of_two, training_curves
from explorer.runs.serve.recorded_as_results import (
    clip_of,
    gates_of,
    gradients_of,
    lesions_of,
    notes,
)
from explorer.runs.serve.service import RunService
from explorer.runs.stored_reader import StoredRun
from explorer.structure.blueprint import Blueprint, blueprint
from explorer.structure.cards import longer_trial
from explorer.structure.names import title_of, token_of
from explorer.structure.specs import MAX_LANES, ExperimentSpec
from explorer.system.bounded import local_path

POINTS = 1000  # of a curve
MOMENTS = 200  # of a history by layer


@dataclass(frozen=True)
class Training:
    """What all lanes of one training have in common.

    Attributes:
        status: In words: ``finished``, ``stopped``; empty where that is not known.
        created: Unix seconds; None where that is not known.
    """

    id: str
    name: str
    note: str
    spec: ExperimentSpec
    status: str
    step: int
    steps_total: int
    device: str | None
    created: float | None


@dataclass(frozen=True, kw_only=True)
class ReportLane(Lane):
    """One lane of one training; its index is that in the report.

    Attributes:
        lane: In its training, from 0.
        notes: Sentences that need reading: divergence, where it comes from, what is passed by.
        forked: It began as a duplicate of another lane.
        histories: What was recorded of every layer over time.
    """

    training: Training
    lane: int
    curves: TrainingCurves
    notes: tuple[str, ...] = ()
    forked: bool = False
    histories: Mapping[Quantity, LayerHistory] = field(default_factory=dict)


def of_runs(service: RunService, lanes: Sequence[tuple[str, int]]) -> list[ReportLane]:
    """Lanes of stored runs, as (experiment, lane), in the order given.

    Raises:
        RunError: There is no such run or lane, or there are too many.
    """
    _few(lanes)
    told = []
    trainings: dict[str, Training] = {}
    for index, (experiment, lane) in enumerate(lanes):
        live = service.live(experiment, POINTS)
        view = live.experiment
        if not 0 <= lane < len(live.lanes):
            raise RunError(
                f"The run {experiment!r} has no lane {lane}: it has {len(live.lanes)}, counted "
                "from 0."
            )
        training = trainings.setdefault(
            experiment,
            Training(
                id=view.id,
                name=view.name,
                note=view.note,
                spec=view.spec,
                status=view.status,
                step=view.step,
                steps_total=view.steps_total,
                device=view.device,
                created=view.created,
            ),
        )
        state, shown = view.lanes[lane], live.lanes[lane]
        one = _lane(
            index,
            training,
            lane,
            shown.curves,
            shown.records,
            partial(_recorded, service, experiment, lane),
            (state.message, state.origin, state.deleted),
        )
        measured = shown.lesions
        one = _with_lesions(one, None if measured is None else (measured.step, measured.curve))
        told.append(one)
    return _told_apart(told)


@dataclass(frozen=True)
class Recorded:
    """A training with everything recorded of it.

    Attributes:
        lesions: By lane, a lesion curve measured beside the training, with its weights' step.
    """

    training: Training
    records: Sequence[Record]
    lesions: Mapping[int, tuple[int, LesionCurve]] = field(default_factory=dict)


def of_folder(
    name: str, spec: ExperimentSpec, records: Sequence[Record], lanes: Sequence[int] | None = None
) -> list[ReportLane]:
    """Lanes of a training that was not stored but written to a folder; None takes them all."""
    one = folder_recorded(name, spec, records)
    chosen = range(len(spec.lanes)) if lanes is None else lanes
    return of_recorded([(one, lane) for lane in chosen])


def folder_recorded(name: str, spec: ExperimentSpec, records: Sequence[Record]) -> Recorded:
    """What `skipscope train --out` left in a folder."""
    path = local_path(name)
    training = Training(
        id=path.name,
        name=path.resolve().name,
        note="",
        spec=spec,
        status="",
        step=max((r.step + (r.kind == "step") for r in records), default=0),
        steps_total=spec.training.steps,
        device=None,
        created=None,
    )
    return Recorded(training, records)


def stored_recorded(run: StoredRun) -> Recorded:
    """A run that the app stored, read from its file."""
    row = run.row
    training = Training(
        id=row.id,
        name=row.name,
        note=row.note,
        spec=run.spec,
        status=row.status,
        step=row.step,
        steps_total=row.steps_total,
        device=row.device,
        created=row.created,
    )
    return Recorded(training, run.records, run.lesions)


def of_recorded(lanes: Sequence[tuple[Recorded, int]]) -> list[ReportLane]:
    """Lanes of any trainings, as (training, lane), in the order given.

    Raises:
        RunError: There is no such lane, or there are too many.
    """
    _few(lanes)
    told = []
    for index, (one, lane) in enumerate(lanes):
        spec = one.training.spec
        if not 0 <= lane < len(spec.lanes):
            raise RunError(
                f"There is no lane {lane}: this training has {len(spec.lanes)}, counted from 0."
            )
        history = LaneHistory()
        by_kind: dict[str, list[Record]] = defaultdict(list)
        for record in one.records:
            if record.lane == lane:
                history.add(record)
                by_kind[record.kind].append(record)
        latest = history.latest
        lost = latest.get("diverged") or latest.get("failed") or latest.get("reached")
        origin, deleted = latest.get("forked"), latest.get("deleted")
        drawn = _lane(
            index,
            one.training,
            lane,
            training_curves("", history, POINTS),
            latest,
            lambda kind, of=by_kind: _thinned(of[kind]),  # type: ignore[misc]
            (
                None if lost is None else str(lost.values["message"]),
                None if origin is None else str(origin.values["message"]),
                () if deleted is None else tuple(deleted.values["units"]),
            ),
        )
        told.append(_with_lesions(drawn, one.lesions.get(lane)))
    return _told_apart(told)


def _thinned(records: Sequence[Record]) -> list[Record]:
    """Every 2ᵏ-th and the last, at most ``MOMENTS``."""
    chosen = list(records[:: power_of_two(len(records), MOMENTS - 1)])
    return chosen if not records or chosen[-1] is records[-1] else [*chosen, records[-1]]


def _with_lesions(lane: ReportLane, measured: tuple[int, LesionCurve] | None) -> ReportLane:
    """The lane with the curve measured beside its training, where that is not the older one."""
    if measured is None:
        return lane
    step, curve = measured
    if lane.lesions_step is not None and step < lane.lesions_step:
        return lane
    return replace(lane, lesions=curve, lesions_step=step)


def begun(training: Training) -> str | None:
    """When it was created, in local time."""
    if training.created is None:
        return None
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(training.created))


def _few(lanes: Sequence[object]) -> None:
    if not 1 <= len(lanes) <= MAX_LANES:
        raise RunError(
            f"One to {MAX_LANES} lanes are told apart in a figure, not {len(lanes)}: choose fewer."
        )


def _lane(
    index: int,
    training: Training,
    lane: int,
    curves: TrainingCurves,
    latest: Mapping[str, Record | None],
    recorded: Callable[[str], list[Record]],
    past: tuple[str | None, str | None, Sequence[str]],
) -> ReportLane:
    spec = training.spec
    plan = blueprint(spec.lanes[lane])
    name = title_of(plan.spec)
    lesions = recorded("lesions")[-1:]
    return ReportLane(
        index=index,
        name=name,
        training=training,
        lane=lane,
        plan=plan,
        curves=replace(curves, name=name),
        notes=notes(plan, *past),
        forked=past[1] is not None,
        gradients=gradients_of(plan, spec, latest.get("layers")),
        gates=gates_of(plan, spec, latest.get("gates")),
        lesions=lesions_of(plan, spec, lesions[0]) if lesions else None,
        lesions_step=lesions[0].step if lesions else None,
        histories=_histories(plan, spec, recorded),
        clip=clip_of(next(iter(recorded("layers")), None), latest.get("layers")),
        progress=training.step / max(1, training.steps_total),
        longer=longer_trial(plan.spec, spec.data, spec.training),
    )


def _recorded(service: RunService, experiment: str, lane: int, kind: str) -> list[Record]:
    return service.recorded(experiment, lane, kind, MOMENTS)


def _histories(
    plan: Blueprint, spec: ExperimentSpec, recorded: Callable[[str], list[Record]]
) -> dict[Quantity, LayerHistory]:
    net, batch_size = token_of(plan.spec), spec.training.batch_size
    training = RecordedTraining(plan, net, spec.data.name, batch_size, recorded)
    found: dict[Quantity, LayerHistory] = {}
    for quantity in get_args(Quantity):
        with suppress(SkipscopeError):  # the net has nothing of the kind
            found[quantity] = layer_history(training, quantity)
    return found


def _told_apart(told: list[ReportLane]) -> list[ReportLane]:
    """The same lanes with names of which no two are equal."""
    more: list[Callable[[ReportLane], str]] = [
        lambda lane: lane.training.name,
        lambda lane: lane.training.id,
        lambda lane: f"lane {lane.lane + 1}",
    ]
    for suffix in more:
        count = Counter(lane.name for lane in told)
        told = [
            named(lane, f"{lane.name} · {suffix(lane)}") if count[lane.name] > 1 else lane
            for lane in told
        ]
    return told


def named(lane: ReportLane, name: str) -> ReportLane:
    """The same lane by another name."""
    return replace(lane, name=name, curves=replace(lane.curves, name=name))
