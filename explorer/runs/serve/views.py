"""What the run service shows: frozen pictures of an experiment, safe to keep in any thread."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from explorer.instruments.lesions.result import LesionCurve
from explorer.results import Record, SeedBand, TrainingCurves
from explorer.runs.store import Status
from explorer.structure.specs import ExperimentSpec


@dataclass(frozen=True)
class LaneState:
    """How one lane stands.

    Attributes:
        diverged: It has ended because its loss was not finite, or for want of memory.
        message: Why it has ended, those reasons or its target; None while it trains.
        origin: Where it came from, a sentence, if it was duplicated from another lane.
        deleted: Names of the units that its training passes by.
        learning_rate: Of its latest step; None before the first.
        snapshot_step: Step of the latest weights that instruments can look at; None before any.
    """

    name: str
    diverged: bool
    message: str | None
    learning_rate: float | None
    snapshot_step: int | None
    origin: str | None = None
    deleted: tuple[str, ...] = ()


@dataclass(frozen=True)
class ExperimentView:
    """One experiment at one moment.

    Attributes:
        reason: A sentence on the status, where it needs one; else empty.
        prepared: While it starts, the share of its data that is downloaded or decoded; else None.
        queue_position: 1 for the next in the queue; None when not queued.
        steps_per_second: Over the last seconds; None unless it is running.
        slow: Most steps a second, in slow motion; else None.
        note: A person's own words on it.
        kept: Goes on without anybody watching.
        deleted: When it was deleted, where it can still be brought back.
        resumable: Play takes it up again.
        created, updated: Unix seconds.
        version: Grows whenever anything shown has changed.
    """

    id: str
    name: str
    spec: ExperimentSpec
    status: Status
    reason: str
    prepared: float | None
    step: int
    steps_total: int
    steps_per_second: float | None
    seconds_left: float | None
    device: str | None
    queue_position: int | None
    slow: float | None
    note: str
    kept: bool
    deleted: float | None
    resumable: bool
    lanes: tuple[LaneState, ...]
    created: float
    updated: float
    version: int

    @property
    def active(self) -> bool:
        """Whether it is on its way, or waits to be."""
        return self.status in ("queued", "starting", "running", "paused")


@dataclass(frozen=True)
class LesionState:
    """A lane's lesion curve, on its weights at ``step``; ``share`` below 1 while it is measured."""

    step: int
    curve: LesionCurve
    share: float = 1.0


@dataclass(frozen=True)
class ProgramState:
    """The accuracy of a lane with some units deleted, on its weights at ``step``.

    Attributes:
        result: The JSON of a ProgramResult; None where ``error`` says why not.
    """

    lane: int
    deleted: tuple[str, ...]
    step: int
    result: dict[str, Any] | None
    error: str | None = None


@dataclass(frozen=True)
class LaneMoment:
    """What is known of a lane: now, or at an earlier step.

    Attributes:
        records: The last of each kind: ``step``, ``eval``, ``layers``, ``gates``, ``responses``,
            ``lesions``, ``deleted``, …
        first_layers: Of kind ``layers``, the first step's.
        lesions: The newest curve, recorded or measured while somebody watched.
        band: Training and test errors of every seed, where there are several.
        problem: Why its lesions could not be measured, a sentence; else empty.
        weights_step: At an earlier step, of the weights kept for good at or before it, if any.
    """

    curves: TrainingCurves
    records: Mapping[str, Record]
    first_layers: Record | None = None
    lesions: LesionState | None = None
    band: SeedBand | None = None
    problem: str = ""
    weights_step: int | None = None


@dataclass(frozen=True)
class PhaseState:
    """The last part of a step that is done, in slow motion.

    Attributes:
        name: ``forward``, ``backward`` or ``update``.
        lanes: By lane what that part made known, see :class:`explorer.training.loop.Phase`.
    """

    name: str
    step: int
    lanes: dict[int, dict[str, Any]]


@dataclass(frozen=True)
class LiveView:
    """Everything that the page draws of an experiment.

    Attributes:
        step: The earlier one at which the lanes are shown; None for now.
    """

    experiment: ExperimentView
    lanes: tuple[LaneMoment, ...]
    programs: tuple[ProgramState, ...]
    phase: PhaseState | None = None
    step: int | None = None

    @property
    def version(self) -> int:
        return self.experiment.version
