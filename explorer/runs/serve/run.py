"""One experiment's state in the server's process, and the pictures that are taken of it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from explorer.instruments.lesions.result import LesionCurve
from explorer.results import SeedBand
from explorer.runs.protocol import Message
from explorer.runs.serve.history import LaneHistory, training_curves
from explorer.runs.serve.process import WorkerProcess
from explorer.runs.serve.views import (
    ExperimentView,
    LaneMoment,
    LaneState,
    LesionState,
    LiveView,
    PhaseState,
    ProgramState,
)
from explorer.runs.store import ExperimentRow, Status
from explorer.structure.names import title_of
from explorer.structure.specs import ExperimentSpec, parse

RATE_SECONDS = 8.0


@dataclass
class Lesions:
    """A lane's lesion curve.

    Attributes:
        tried: Step of the weights last asked about, whatever came of it.
        asked: When that was.
        problem: Why there is none of these weights, a sentence; else empty.
    """

    state: LesionState | None = None
    tried: int = -1
    asked: float = 0.0
    failures: int = 0
    problem: str = ""


@dataclass
class Program:
    """Deletions that somebody watches on a lane; ``seen`` when they last did."""

    seen: float
    state: ProgramState | None = None
    tried: int = -1


@dataclass(eq=False)
class Run:
    """An experiment's state; changed under the service's lock alone.

    Attributes:
        worker: The process that trains it; None while it rests.
        afterwards: What the end means that it was told to come to: ``park`` lets a paused
            training's process go, ``close`` is the server's own end.
        play_again: Play was pressed while it was being parked.
        pause_reason: The sentence for the pause that it was told to make.
        prepared: Share of the data that is downloaded or decoded; None when not loading.
        deleted: When it was deleted (Unix seconds), as long as it can be brought back.
        errors: Of each lane the last test error, and the version at which they were read.
        saved: There is a checkpoint to go on from.
        snapshots: Step of the latest weights in its folder, by lane.
    """

    id: str
    name: str
    spec: ExperimentSpec
    lane_names: tuple[str, ...]
    status: Status
    reason: str
    step: int
    steps_total: int
    device: str | None
    created: float
    updated: float
    version: int
    worker: WorkerProcess | None = None
    start_paused: bool = False
    afterwards: Literal["stop", "park", "close"] = "stop"
    play_again: bool = False
    pause_reason: str = ""
    prepared: float | None = None
    slow: float | None = None
    note: str = ""
    kept: bool = False
    deleted: float | None = None
    errors: tuple[int, tuple[float | None, ...]] | None = None
    watched: float = field(default_factory=time.monotonic)
    saved: bool = False
    snapshot_asked: float = 0.0
    snapshots: dict[int, int] = field(default_factory=dict)
    history: list[LaneHistory] | None = None
    lesions: dict[int, Lesions] = field(default_factory=dict)
    programs: dict[tuple[int, tuple[str, ...]], Program] = field(default_factory=dict)
    pace: deque[tuple[float, int]] = field(default_factory=deque)  # (clock, step), lately
    phase: PhaseState | None = None
    shown: tuple[int, LiveView] | None = None  # max_points, and what was built for them

    @classmethod
    def from_row(cls, row: ExperimentRow, version: int) -> Run:
        """Raises :class:`SpecError` where another version wrote a spec that this one refuses."""
        spec = parse(ExperimentSpec, row.spec)
        return cls(
            id=row.id,
            name=row.name,
            spec=spec,
            lane_names=tuple(title_of(net) for net in spec.lanes),
            status=row.status,
            reason=row.reason,
            step=row.step,
            steps_total=row.steps_total,
            device=row.device,
            created=row.created,
            updated=row.updated,
            version=version,
            note=row.note,
            kept=row.kept,
            deleted=row.deleted,
        )

    def to_row(self) -> ExperimentRow:
        """As the store keeps it."""
        return ExperimentRow(
            id=self.id,
            name=self.name,
            spec=self.spec.model_dump_json(),
            created=self.created,
            updated=self.updated,
            status=self.status,
            reason=self.reason,
            step=self.step,
            steps_total=self.steps_total,
            device=self.device,
            note=self.note,
            kept=self.kept,
            deleted=self.deleted,
        )

    def control(self, action: str, value: Any = None) -> None:
        """Passes a command on to the process that trains it, if there is one."""
        if self.worker is not None:
            self.worker.send({"do": "control", "task": self.id, "action": action, "value": value})

    def respecify(self, spec: ExperimentSpec) -> None:
        """Takes in what the process that trains it has made of the experiment."""
        self.spec = spec
        self.lane_names = tuple(title_of(net) for net in spec.lanes)
        if self.history is not None:
            while len(self.history) < len(spec.lanes):
                self.history.append(LaneHistory())

    def count(self, step: int) -> None:
        """Notes the updates done, and the pace of the last seconds."""
        self.step = max(self.step, step)
        self.updated = time.time()
        now = time.monotonic()
        self.pace.append((now, self.step))
        while now - self.pace[0][0] > RATE_SECONDS:
            self.pace.popleft()


def lesion_state(value: Message, share: float = 1.0) -> LesionState:
    """A ``lesions`` job's result, whole or as far as it is known."""
    return LesionState(int(value["step"] or 0), LesionCurve.from_json(value), share)


def experiment_view(run: Run, queue_position: int | None) -> ExperimentView:
    rate = _per_second(run.pace) if run.status == "running" else None
    return ExperimentView(
        id=run.id,
        name=run.name,
        spec=run.spec,
        status=run.status,
        reason=run.reason,
        prepared=run.prepared if run.status == "starting" else None,
        step=run.step,
        steps_total=run.steps_total,
        steps_per_second=rate,
        seconds_left=(run.steps_total - run.step) / rate if rate else None,
        device=run.device,
        queue_position=queue_position,
        slow=run.slow,
        note=run.note,
        kept=run.kept,
        deleted=run.deleted,
        resumable=run.saved and run.status in ("interrupted", "stopped", "failed"),
        lanes=tuple(_lane_state(run, lane) for lane in range(len(run.lane_names))),
        created=run.created,
        updated=run.updated,
        version=run.version,
    )


def live_view(
    run: Run, history: Sequence[LaneHistory], queue_position: int | None, max_points: int
) -> LiveView:
    lanes = []
    for lane, (name, lane_history) in enumerate(zip(run.lane_names, history, strict=True)):
        lesions = run.lesions.get(lane)
        lanes.append(
            LaneMoment(
                curves=training_curves(name, lane_history, max_points),
                records=dict(lane_history.latest),
                first_layers=lane_history.first_layers,
                lesions=None if lesions is None else lesions.state,
                problem="" if lesions is None else lesions.problem,
                band=SeedBand.from_records(name, run.spec.seed, lane_history.by_seed),
            )
        )
    programs = tuple(p.state for p in run.programs.values() if p.state is not None)
    phase = run.phase if run.worker is not None and run.slow is not None else None
    return LiveView(experiment_view(run, queue_position), tuple(lanes), programs, phase)


def _lane_state(run: Run, lane: int) -> LaneState:
    latest = run.history[lane].latest if run.history is not None else {}
    lost = latest.get("diverged") or latest.get("failed")
    ended, step = lost or latest.get("reached"), latest.get("step")
    origin, deleted = latest.get("forked"), latest.get("deleted")
    rate: Any = None if step is None else step.values.get("learning_rate")
    return LaneState(
        name=run.lane_names[lane],
        diverged=lost is not None,
        message=None if ended is None else str(ended.values["message"]),
        learning_rate=rate,
        snapshot_step=run.snapshots.get(lane),
        origin=None if origin is None else str(origin.values["message"]),
        deleted=() if deleted is None else tuple(deleted.values["units"]),
    )


def _per_second(pace: Sequence[tuple[float, int]]) -> float | None:
    """Steps a second; None before there is something to go by."""
    if len(pace) < 2:
        return None
    seconds, steps = pace[-1][0] - pace[0][0], pace[-1][1] - pace[0][1]
    return steps / seconds if seconds > 0.2 and steps > 0 else None
