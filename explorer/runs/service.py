"""The run service: experiments and jobs of one server process. It holds no torch.

Workers (:mod:`explorer.runs.worker`) compute, the store remembers, and this joins them: it starts
and queues trainings, passes commands on, keeps what workers say, and shows it as frozen views.
Every method is quick and may be called from any thread.
"""

from __future__ import annotations

import atexit
import contextlib
import itertools
import json
import os
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from explorer.errors import RunError, SkipscopeError
from explorer.names import title_of
from explorer.results import LesionCurve, Record, TrainingCurves
from explorer.runs.desk import Job, JobDesk, JobHandle
from explorer.runs.history import LaneHistory
from explorer.runs.process import WorkerOptions, WorkerProcess
from explorer.runs.protocol import Message, snapshot_path
from explorer.runs.requests import (
    PRIORITIES,
    FileSource,
    FreshSource,
    JobKind,
    PredictRequest,
    PrepareDataRequest,
    Priority,
    Request,
    RunSource,
    ShippedSource,
    Source,
    parse_request,
)
from explorer.runs.store import (
    ExperimentRow,
    ResultRow,
    Status,
    Store,
    default_home,
    updates_done,
)
from explorer.runs.views import (
    ExperimentView,
    LaneLive,
    LaneState,
    LesionState,
    LiveView,
    ProgramState,
)
from explorer.shipped import shipped, shipped_path
from explorer.specs import DataSpec, ExperimentSpec, parse

Action = Literal["play", "pause", "step", "slow", "stop", "learning_rate", "resume", "keep"]
SLOW_STEPS_PER_SECOND = 2.0
SNAPSHOT_SECONDS = 2.0  # between two fresh looks at the weights of a watched training
WATCHED_SECONDS = 15.0  # after its last poll, a viewer counts as gone
LESION_IMAGES = 512
RATE_SECONDS = 8.0
SPARE_DELAY = 3.0  # after a training's start, before the next warm process takes its share
BROKEN_DELAY = 15.0
CLOSE_SECONDS = 6.0
HISTORIES_KEPT = 12


@dataclass
class _Lesions:
    """A lane's lesion curve: the last complete one, and the one being measured."""

    state: LesionState | None = None
    tried: int = -1  # step of the weights last asked about, whatever came of it


@dataclass
class _Program:
    """Deletions that somebody watches on a lane."""

    seen: float
    state: ProgramState | None = None
    tried: int = -1


@dataclass
class _Run:
    """One experiment's state in this process; changed under the service's lock."""

    id: str
    name: str
    spec: ExperimentSpec
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
    afterwards: Literal["stop", "park", "close"] = "stop"  # what an end by ``stop`` means
    play_again: bool = False  # Play was pressed while it was being parked
    pause_reason: str = ""
    slow: float | None = None
    kept: bool = False
    watched: float = field(default_factory=time.monotonic)
    saved: bool = False  # its worker has written a checkpoint
    snapshot_asked: float = 0.0
    snapshots: dict[int, int] = field(default_factory=dict)  # lane -> step
    history: list[LaneHistory] | None = None
    lesions: dict[int, _Lesions] = field(default_factory=dict)
    programs: dict[tuple[int, tuple[str, ...]], _Program] = field(default_factory=dict)
    rate: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=256))
    live: tuple[int, int, LiveView] | None = None  # version, max_points, what was shown

    @property
    def lane_names(self) -> tuple[str, ...]:
        return tuple(title_of(net) for net in self.spec.lanes)


class RunService:
    """Trainings and measurements of one server.

    Attributes:
        notice: A sentence for people about the store, or None.

    Args:
        home: Skipscope's folder; None is ``SKIPSCOPE_HOME``, or ``~/.skipscope``.
        instrument_workers: Processes that measure.
        max_training: Trainings at a time; more of them wait in a queue.
        lease_seconds: A training that nobody watches for so long is paused, unless it is kept.
        threads: Of torch in each process; None divides the machine's cores among them.

    Raises:
        RunError: The folder cannot be used.
    """

    def __init__(
        self,
        home: Path | None = None,
        *,
        instrument_workers: int = 1,
        max_training: int = 2,
        lease_seconds: float = 600.0,
        threads: int | None = None,
    ) -> None:
        self.home = (home or default_home()).resolve()
        self._store = Store(self.home)
        self.notice = self._store.notice
        self._max_training = max_training
        self._lease_seconds = lease_seconds
        cores = os.cpu_count() or 1
        each = threads or max(1, cores // (max_training + instrument_workers))
        self._training_options = WorkerOptions("train", threads=each, nice=10)
        measuring = WorkerOptions("measure", threads=each, nice=5)
        self._desk = JobDesk(
            lambda on_event, on_end: WorkerProcess(self.home, measuring, on_event, on_end),
            instrument_workers,
        )
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._versions = itertools.count(1)
        self._runs: dict[str, _Run] = {}
        self._queue: list[_Run] = []
        self._spare: WorkerProcess | None = None
        self._last_start = 0.0
        self._histories: OrderedDict[str, None] = OrderedDict()  # of runs at rest, by last use
        self._closing = threading.Event()
        self._keeper = threading.Thread(target=self._keep_house, name="skipscope", daemon=True)
        for row in self._store.experiments():
            run = self._from_row(row)
            if run is not None:
                self._runs[run.id] = run

    # ----------------------------------------------------------------------- start and close

    def start(self) -> None:
        """Starts the warm workers; returns at once."""
        self._desk.start()
        self._keeper.start()

    @property
    def closed(self) -> bool:
        return self._closing.is_set()

    def close(self) -> None:
        """Saves what trains, and ends the workers that this service started."""
        with self._lock:
            if self._closing.is_set():
                return
            self._closing.set()
            self._queue.clear()
            workers = [self._spare] if self._spare is not None else []
            for run in self._runs.values():
                if run.worker is not None:
                    workers.append(run.worker)
                    run.afterwards = "close"
                    run.worker.send(_control(run, "stop"))
            self._changed.wait_for(
                lambda: all(run.worker is None for run in self._runs.values()), CLOSE_SECONDS
            )
        for worker in workers:
            worker.end()
        for worker in workers:
            worker.kill(patience=1.0)
        self._desk.close()
        if self._keeper.ident is not None:
            self._keeper.join()
        self._store.close()

    # -------------------------------------------------------------------------- experiments

    def create(self, spec: ExperimentSpec, *, name: str | None = None, start: bool = True) -> str:
        """A new experiment, which starts as soon as there is room; returns its id.

        Args:
            name: None names it after its nets.
            start: False only loads it, and waits at step 0 for ``play`` or ``step``.
        """
        title = name or " and ".join(title_of(net) for net in spec.lanes)
        steps = spec.training.steps
        experiment = self._store.create(title, spec.model_dump_json(), steps)
        row = self._store.experiment(experiment)
        assert row is not None  # it was created on the line before
        run = self._from_row(row)
        assert run is not None
        run.history = [LaneHistory() for _ in spec.lanes]
        run.start_paused = not start
        with self._lock:
            self._runs[experiment] = run
            self._enqueue(run)
        return experiment

    def control(self, experiment: str, action: Action, value: float | None = None) -> None:
        """Tells a training what to do; it obeys before its next step.

        Args:
            action: ``play`` (also takes up what was stopped or cut short, as ``resume`` does),
                ``pause``, ``step``, ``slow`` (at most ``value`` steps a second; 0 is full speed,
                None switches between both), ``stop``, ``learning_rate`` (``value``), ``keep``
                (go on when nobody watches; ``value`` 0 takes it back).

        Raises:
            RunError: No such experiment, or it is over and cannot do that.
        """
        with self._lock:
            run = self._run(experiment)
            match action:
                case "play" | "resume":
                    self._play(run)
                case "pause":
                    self._pause(run)
                case "step":
                    self._step(run)
                case "stop":
                    self._stop(run)
                case "slow":
                    self._slow(run, value)
                case "learning_rate":
                    self._learning_rate(run, value)
                case "keep":
                    run.kept = value != 0
                case _:
                    raise RunError(
                        f"There is no action {action!r}: choose play, pause, step, slow, stop, "
                        "learning_rate, resume or keep."
                    )
            self._touch(run)

    def experiment(self, experiment: str) -> ExperimentView:
        """How an experiment stands; raises :class:`RunError` where there is none."""
        with self._lock:
            return self._view(self._run(experiment))

    def experiments(self) -> list[ExperimentView]:
        """All experiments, the newest first."""
        with self._lock:
            runs = sorted(self._runs.values(), key=lambda run: run.created, reverse=True)
            return [self._view(run) for run in runs]

    def rename(self, experiment: str, name: str) -> None:
        with self._lock:
            run = self._run(experiment)
            name = " ".join(name.split())[:200]
            if not name:
                raise RunError("An experiment's name cannot be empty: write at least one letter.")
            self._store.rename(experiment, name)
            run.name = name
            self._touch(run)

    def delete(self, experiment: str) -> None:
        """Removes an experiment with its records and weights; one that trains is ended first."""
        with self._lock:
            run = self._run(experiment)
            del self._runs[experiment]
            if run in self._queue:
                self._queue.remove(run)
            worker, run.worker = run.worker, None
        if worker is not None:
            worker.end()
            worker.kill()
        self._store.delete(experiment)
        with self._lock:
            self._schedule()

    # ------------------------------------------------------------------------------ showing

    def version(self, experiment: str) -> int:
        """Grows whenever anything shown of the experiment has changed."""
        with self._lock:
            return self._run(experiment).version

    def live(self, experiment: str, max_points: int = 1000) -> LiveView:
        """Everything that the page draws; the same object as before if nothing has changed."""
        with self._lock:
            run = self._run(experiment)
            self._forget_histories(run)
            missing = run.history is None
        if missing:  # outside the lock: a long history takes a moment to read
            history = self._store.history(experiment, len(run.spec.lanes))
            curves = self._store.latest_results(experiment, "lesions")
            with self._lock:
                if run.history is None:
                    run.history = history
                    for lane, row in curves.items():
                        if lane not in run.lesions:
                            run.lesions[lane] = _Lesions(_lesion_state(row.payload), row.step)
        with self._lock:
            if run.live is None or run.live[:2] != (run.version, max_points):
                run.live = (run.version, max_points, self._live_view(run, max_points))
            return run.live[2]

    def watch(self, experiment: str, deleted: Mapping[int, Sequence[str]] | None = None) -> None:
        """To be called at every poll of a viewer: somebody looks.

        It renews the lease, and keeps lesion curves up to date in the background.

        Args:
            deleted: By lane, units whose deletion this viewer watches: its accuracy is measured
                again whenever there are newer weights, and stands in ``LiveView.programs``.
        """
        with self._lock:
            run = self._run(experiment)
            run.watched = time.monotonic()
            for lane, units in (deleted or {}).items():
                key = (lane, tuple(units))
                program = run.programs.setdefault(key, _Program(run.watched))
                program.seen = run.watched
        self._refresh(run)

    # --------------------------------------------------------------------------------- jobs

    def submit(
        self,
        kind: JobKind,
        payload: Mapping[str, Any] | Request,
        *,
        priority: Priority | None = None,
    ) -> JobHandle:
        """Asks for a measurement; the same question, asked twice, is answered once.

        Args:
            kind: See :mod:`explorer.runs.requests` for the payload of each.
            priority: ``click`` is answered in the middle of a ``sweep``; None is the kind's own.

        Raises:
            SkipscopeError: One sentence: what is wrong with the payload, or which net is missing.
        """
        request = parse_request(kind, payload if not isinstance(payload, Mapping) else {**payload})
        return self._submit(kind, request, priority or PRIORITIES[kind])

    def job(self, job_id: str) -> JobHandle:
        """A job that was submitted before; raises :class:`RunError` where it is forgotten."""
        return self._desk.job(job_id)

    # ---------------------------------------------------------------- controls, with the lock

    def _play(self, run: _Run) -> None:
        run.watched = time.monotonic()
        if run.status == "finished":
            raise RunError("This training has finished: change a choice and start a new one.")
        if run.afterwards == "park":
            run.play_again = True
        elif run.worker is not None:
            run.worker.send(_control(run, "play"))
        elif run in self._queue:
            run.start_paused = False
        else:
            run.start_paused = False
            self._enqueue(run)

    def _pause(self, run: _Run) -> None:
        run.pause_reason = ""
        run.play_again = False
        if run.worker is not None:
            run.worker.send(_control(run, "pause"))
        elif run in self._queue:
            self._queue.remove(run)
            self._settle(run, "paused", "Taken out of the queue; Play puts it back.")

    def _step(self, run: _Run) -> None:
        run.watched = time.monotonic()
        if run.worker is not None and run.afterwards != "park":
            run.worker.send(_control(run, "step"))
        elif run.status == "paused" and run.worker is None:
            run.start_paused = True
            self._enqueue(run)
        else:
            raise RunError(f"This training is {_IN_WORDS[run.status]}: press Play to go on.")

    def _stop(self, run: _Run) -> None:
        if run.worker is not None:
            run.afterwards = "stop"
            run.worker.send(_control(run, "stop"))
        elif run.status in ("queued", "paused"):
            if run in self._queue:
                self._queue.remove(run)
            self._settle(run, "stopped", _stopped_at(run.step))

    def _slow(self, run: _Run, value: float | None) -> None:
        if value is None:
            value = 0.0 if run.slow is not None else SLOW_STEPS_PER_SECOND
        if not 0 <= value <= 1000:
            raise RunError(f"Slow motion is 0 (full speed) to 1000 steps a second, not {value}.")
        run.slow = value or None
        if run.worker is not None:
            run.worker.send(_control(run, "slow", run.slow))

    def _learning_rate(self, run: _Run, value: float | None) -> None:
        if value is None or not 1e-8 <= value <= 100:
            raise RunError(f"The learning rate must be between 1e-8 and 100, not {value}.")
        if run.worker is None:
            raise RunError(
                f"This training is {_IN_WORDS[run.status]}: press Play before changing its "
                "learning rate."
            )
        run.worker.send(_control(run, "learning_rate", value))

    # --------------------------------------------------------------- scheduling, with the lock

    def _enqueue(self, run: _Run) -> None:
        self._queue.append(run)
        run.afterwards = "stop"
        self._settle(run, "queued", "")
        self._schedule()

    def _schedule(self) -> None:
        """Starts what waits while there is room, and makes room where a training only rests."""
        while self._queue and not self._closing.is_set():
            active = [run for run in self._runs.values() if run.worker is not None]
            if len(active) < self._max_training:
                self._begin(self._queue.pop(0))
                continue
            parking = [run for run in active if run.afterwards == "park"]
            resting = [run for run in active if run.status == "paused" and run.afterwards == "stop"]
            if len(parking) < len(self._queue) and resting:
                self._park(min(resting, key=lambda run: run.updated))
            else:
                break
        for run in self._queue:
            self._touch(run)

    def _park(self, run: _Run) -> None:
        """Lets a paused training's process go; its checkpoint holds everything."""
        assert run.worker is not None
        run.afterwards = "park"
        run.worker.send(_control(run, "stop"))

    def _begin(self, run: _Run) -> None:
        worker, self._spare = self._spare, None
        run.worker = worker or self._new_trainer()
        run.saved = False
        run.rate.clear()
        self._last_start = time.monotonic()
        self._settle(run, "starting", "")
        folder = self._store.folder(run.id)
        run.worker.send(
            {
                "do": "train",
                "task": run.id,
                "spec": run.spec.model_dump(mode="json"),
                "folder": str(folder),
                "resume": run.step > 0,
                "paused": run.start_paused,
            }
        )
        if run.slow is not None:
            run.worker.send(_control(run, "slow", run.slow))

    def _new_trainer(self) -> WorkerProcess:
        return WorkerProcess(
            self.home, self._training_options, self._on_training, self._on_trainer_end
        )

    def _release(self, run: _Run) -> None:
        """Takes a training's worker back: it is warm, so the next one may have it."""
        worker, run.worker = run.worker, None
        run.rate.clear()
        if worker is not None:
            if self._spare is None and not self._closing.is_set():
                self._spare = worker
            else:
                worker.end()
        self._changed.notify_all()
        self._schedule()

    def _keep_house(self) -> None:
        """Leases and the spare process, twice a second."""
        while not self._closing.wait(0.5):
            now = time.monotonic()
            with self._lock:
                active = [run for run in self._runs.values() if run.worker is not None]
                if (
                    self._spare is None
                    and len(active) < self._max_training
                    and now - self._last_start > SPARE_DELAY
                    and self._desk.ready
                ):
                    self._spare = self._new_trainer()
                for run in active:
                    if now - run.watched < self._lease_seconds or run.kept:
                        continue
                    if run.status == "running" and not run.pause_reason:
                        minutes = self._lease_seconds / 60
                        run.pause_reason = (
                            f"Paused because nobody has watched it for {minutes:.3g} minutes; "
                            "Play goes on."
                        )
                        assert run.worker is not None
                        run.worker.send(_control(run, "pause"))
                    elif run.status == "paused" and run.afterwards == "stop":
                        self._park(run)

    # ------------------------------------------------------------- in trainers' reader threads

    def _on_training(self, worker: WorkerProcess, event: Message) -> None:
        with self._lock:
            run = self._runs.get(event.get("task", ""))
            if run is None or run.worker is not worker:
                return
        try:
            if event["event"] == "records":
                self._keep_records(run, [Record.from_json(value) for value in event["records"]])
            elif event["event"] == "started":
                self._started(run, event)
            else:
                with self._lock:
                    self._on_status(run, event)
                    self._touch(run)
        except RunError as error:  # the store cannot be written
            self._give_up(run, worker, str(error))
            return
        if event["event"] in ("snapshot", "done"):
            self._refresh(run)

    def _started(self, run: _Run, event: Message) -> None:
        if run.step > 0 or run.history is None:
            # Resumed: what came after its checkpoint is measured again.
            self._store.cut(run.id, event["step"])
            history = self._store.history(run.id, len(run.spec.lanes))
            with self._lock:
                run.history = history
        with self._lock:
            run.step, run.steps_total = event["step"], event["steps_total"]
            run.device = event["device"]
            for lesions in run.lesions.values():
                lesions.tried = -1
            self._touch(run)

    def _keep_records(self, run: _Run, records: list[Record]) -> None:
        self._store.append(run.id, records)
        with self._lock:
            assert run.history is not None  # a run has its history while it trains
            for record in records:
                run.history[record.lane].add(record)
            run.step = max(run.step, updates_done(records))
            now = time.monotonic()
            run.updated = time.time()
            run.rate.append((now, run.step))
            while now - run.rate[0][0] > RATE_SECONDS:
                run.rate.popleft()
            self._touch(run)

    def _on_status(self, run: _Run, event: Message) -> None:
        match event["event"]:
            case "progress":
                run.reason = f"{event['text']}: {event['share']:.0%}"
            case "running":
                run.pause_reason = ""
                run.rate.clear()
                run.rate.append((time.monotonic(), event["step"]))
                self._settle(run, "running", "")
            case "paused":
                run.rate.clear()
                self._settle(run, "paused", run.pause_reason)
                self._schedule()
            case "snapshot":
                run.snapshots[event["lane"]] = event["step"]
            case "saved":
                run.saved = True
            case "done":
                self._done(run, event)
            case "failed":
                self._settle(run, "failed", event["sentence"])
                self._release(run)

    def _done(self, run: _Run, event: Message) -> None:
        run.step = event["step"]
        if event["status"] == "finished":
            reason = ""
            if run.step < run.steps_total:
                reason = (
                    f"Training ended at step {run.step} because every net diverged: lower the "
                    "learning rate and start anew."
                )
            self._settle(run, "finished", reason)
        elif run.afterwards == "close":
            self._settle(
                run,
                "interrupted",
                f"Cut short at step {run.step} when the app was closed; Play goes on from there.",
            )
        elif run.afterwards == "park":
            self._settle(run, "paused", run.reason)
        else:
            self._settle(run, "stopped", _stopped_at(run.step))
        again = run.afterwards == "park" and run.play_again
        run.afterwards, run.play_again = "stop", False
        if again:
            run.start_paused = False
            self._queue.append(run)
            self._settle(run, "queued", "")
        self._release(run)

    def _on_trainer_end(self, worker: WorkerProcess, how: str) -> None:
        with self._lock:
            if not worker.ready:  # something is wrong with the machine: do not try in a loop
                self._last_start = time.monotonic() + BROKEN_DELAY
            if worker is self._spare:
                self._spare = None
            run = next((run for run in self._runs.values() if run.worker is worker), None)
            if run is None or self._closing.is_set():
                return
            run.worker = None
            from_where = "its last checkpoint" if run.saved else "the beginning"
            reason = (
                f"The process that trained this {how} at step {run.step}; everything up to there "
                f"is kept, and Play goes on from {from_where}."
            )
            self._settle(run, "failed", reason)
            self._release(run)

    def _give_up(self, run: _Run, worker: WorkerProcess, sentence: str) -> None:
        with self._lock:
            run.worker = None
            self._settle(run, "failed", sentence)
            self._release(run)
        worker.end()
        worker.kill()

    # ------------------------------------------------------------ keeping instruments up to date

    def _refresh(self, run: _Run) -> None:
        """Measures the lane whose curve is oldest, if somebody watches and a worker is free."""
        now = time.monotonic()
        with self._lock:
            if self._closing.is_set() or now - run.watched > WATCHED_SECONDS:
                return
            if run.id not in self._runs:  # deleted while it was being measured
                return
            for key in [k for k, p in run.programs.items() if now - p.seen > WATCHED_SECONDS]:
                del run.programs[key]
            self._find_snapshots(run)
            running = run.worker if run.status == "running" else None
            if running is not None and now - run.snapshot_asked > SNAPSHOT_SECONDS:
                run.snapshot_asked = now
                running.send(_control(run, "snapshot"))
            programs = [
                (key, program)
                for key, program in run.programs.items()
                if run.snapshots.get(key[0], -1) > program.tried
            ]
            for (lane, _), program in programs:
                program.tried = run.snapshots[lane]
            oldest = None if self._desk.has_sweep else self._oldest_lane(run)
            if oldest is not None:
                run.lesions.setdefault(oldest, _Lesions()).tried = run.snapshots[oldest]
        for (lane, deleted), _ in programs:
            self._ask_program(run, lane, deleted)
        if oldest is not None:
            self._ask_lesions(run, oldest)

    def _find_snapshots(self, run: _Run) -> None:
        """Weights that an earlier process left: good for instruments too."""
        if run.snapshots or run.worker is not None:
            return
        folder = self._store.folder(run.id)
        for lane in range(len(run.spec.lanes)):
            if snapshot_path(folder, lane).exists():
                run.snapshots[lane] = run.step

    def _oldest_lane(self, run: _Run) -> int | None:
        waiting = {
            lane: (run.lesions[lane].tried if lane in run.lesions else -1)
            for lane, step in run.snapshots.items()
            if lane not in run.lesions or run.lesions[lane].tried < step
        }
        return min(waiting, key=lambda lane: waiting[lane]) if waiting else None

    def _ask_lesions(self, run: _Run, lane: int) -> None:
        source = {"source": "run", "experiment": run.id, "lane": lane}
        request = parse_request("lesions", {"net": source, "n_images": LESION_IMAGES})
        with contextlib.suppress(RunError):  # deleted a moment ago, or the service is closing
            self._submit("lesions", request, "sweep", lambda job: self._on_lesions(run, lane, job))

    def _on_lesions(self, run: _Run, lane: int, job: Job) -> None:
        state = None
        if job.state == "done":
            state = _lesion_state(job.result)
            try:
                self._store.add_result(ResultRow(run.id, lane, "lesions", state.step, job.result))
            except RunError as error:
                with self._lock:
                    if run.id not in self._runs:  # deleted meanwhile
                        return
                    self.notice = str(error)
        with self._lock:
            lesions = run.lesions.setdefault(lane, _Lesions())
            if state is not None:
                lesions.state = state
                lesions.tried = max(lesions.tried, state.step)
            elif job.state == "running" and job.partial is not None:
                # A curve on few images trembles: it is shown only where there is none yet.
                if lesions.state is None or lesions.state.share < 1:
                    lesions.state = _lesion_state(job.partial, job.share)
            else:
                return
            self._touch(run)
        if state is not None:
            self._refresh(run)

    def _ask_program(self, run: _Run, lane: int, deleted: tuple[str, ...]) -> None:
        source = {"source": "run", "experiment": run.id, "lane": lane}
        payload = {"net": source, "deleted": deleted, "n_images": LESION_IMAGES}
        try:
            request = parse_request("evaluate", payload)
            self._submit(
                "evaluate", request, "click", lambda job: self._on_program(run, lane, deleted, job)
            )
        except SkipscopeError as error:
            self._show_program(run, ProgramState(lane, deleted, run.step, None, str(error)))

    def _on_program(self, run: _Run, lane: int, deleted: tuple[str, ...], job: Job) -> None:
        if job.state == "done":
            step = job.result["step"]
            self._show_program(run, ProgramState(lane, deleted, step, job.result))
        elif job.error is not None:
            self._show_program(run, ProgramState(lane, deleted, run.step, None, job.error))

    def _show_program(self, run: _Run, state: ProgramState) -> None:
        with self._lock:
            program = run.programs.get((state.lane, state.deleted))
            if program is not None:
                program.state = state
                self._touch(run)

    # --------------------------------------------------------------------------- requests

    def _submit(
        self,
        kind: JobKind,
        request: Request,
        priority: Priority,
        listener: Any = None,
    ) -> JobHandle:
        payload = request.model_dump(mode="json")
        data = self._data_of(request)
        payload["data"] = data.model_dump(mode="json")
        stamps: list[list[int] | None] = []
        resolved = []
        for source in request.sources:
            value = self._resolve(source)
            resolved.append(value)
            path = Path(value["path"]) if "path" in value else None
            stamps.append(_stamp(path) if path is not None else None)
        if isinstance(request, PredictRequest):
            payload["nets"] = resolved
            if request.image_path is not None:
                stamps.append(_stamp(Path(request.image_path)))
        elif resolved:
            payload["net"] = resolved[0]
        key = json.dumps([kind, payload, stamps], sort_keys=True)
        return self._desk.submit(
            key,
            {"kind": kind, "payload": payload},
            priority=priority,
            remember=data.name != "folder" and not isinstance(request, PrepareDataRequest),
            listener=listener,
        )

    def _resolve(self, source: Source) -> Message:
        """What a worker needs to find a net: it knows no experiments."""
        match source:
            case RunSource():
                with self._lock:
                    run = self._run(source.experiment)
                    if source.lane >= len(run.spec.lanes):
                        raise RunError(
                            f"This experiment has no lane {source.lane}: it has "
                            f"{len(run.spec.lanes)}, counted from 0."
                        )
                    spec = run.spec.lanes[source.lane]
                path = snapshot_path(self._store.folder(run.id), source.lane)
                if not path.exists():
                    raise RunError(
                        "This run has no weights yet: press Play, or wait for its first step."
                    )
                net = spec.model_dump(mode="json")
                return {"source": "weights", "spec": net, "path": str(path)}
            case FileSource():
                net = source.spec.model_dump(mode="json")
                return {"source": "weights", "spec": net, "path": source.path}
            case ShippedSource():
                shipped_path(source.name)  # an unknown name is a sentence at once
                return source.model_dump(mode="json")
            case FreshSource():
                return source.model_dump(mode="json")

    def _data_of(self, request: Request) -> DataSpec:
        if request.data is not None:
            return request.data
        source = request.sources[0]
        if isinstance(source, RunSource):
            with self._lock:
                return self._run(source.experiment).spec.data
        if isinstance(source, ShippedSource):
            shipped_path(source.name)
            return shipped()[source.name].data
        return DataSpec()

    # ------------------------------------------------------------------------- with the lock

    def _run(self, experiment: str) -> _Run:
        run = self._runs.get(experiment)
        if run is None:
            raise RunError(
                f"There is no experiment {experiment!r} here: it was deleted, or the link comes "
                "from another machine."
            )
        return run

    def _from_row(self, row: ExperimentRow) -> _Run | None:
        try:
            spec = parse(ExperimentSpec, row.spec)
        except SkipscopeError as error:
            self.notice = f"The run {row.name!r} cannot be shown by this version: {error}"
            return None
        return _Run(
            id=row.id,
            name=row.name,
            spec=spec,
            status=row.status,
            reason=row.reason,
            step=row.step,
            steps_total=row.steps_total,
            device=row.device,
            created=row.created,
            updated=row.updated,
            version=next(self._versions),
        )

    def _touch(self, run: _Run) -> None:
        run.version = next(self._versions)

    def _settle(self, run: _Run, status: Status, reason: str) -> None:
        run.status, run.reason, run.updated = status, reason, time.time()
        self._touch(run)
        try:
            self._store.update(
                run.id,
                status,
                reason,
                step=run.step,
                steps_total=run.steps_total,
                device=run.device,
            )
        except RunError as error:
            self.notice = str(error)

    def _forget_histories(self, used: _Run) -> None:
        """Keeps the curves of few runs in memory, besides those that train."""
        self._histories[used.id] = None
        self._histories.move_to_end(used.id)
        while len(self._histories) > HISTORIES_KEPT:
            forgotten = self._runs.get(self._histories.popitem(last=False)[0])
            if forgotten is not None and forgotten.worker is None:
                forgotten.history = forgotten.live = None

    def _view(self, run: _Run) -> ExperimentView:
        rate = _per_second(run.rate) if run.status == "running" else None
        left = (run.steps_total - run.step) / rate if rate else None
        lanes = []
        for lane, name in enumerate(run.lane_names):
            latest = run.history[lane].latest if run.history is not None else {}
            diverged, step = latest.get("diverged"), latest.get("step")
            lanes.append(
                LaneState(
                    name=name,
                    diverged=diverged is not None,
                    message=None if diverged is None else str(diverged.values["message"]),
                    learning_rate=None if step is None else step.values.get("learning_rate"),
                    snapshot_step=run.snapshots.get(lane),
                )
            )
        return ExperimentView(
            id=run.id,
            name=run.name,
            spec=run.spec,
            status=run.status,
            reason=run.reason,
            step=run.step,
            steps_total=run.steps_total,
            steps_per_second=rate,
            seconds_left=left,
            device=run.device,
            queue_position=self._queue.index(run) + 1 if run in self._queue else None,
            slow=run.slow,
            kept=run.kept,
            resumable=run.status in ("interrupted", "stopped", "failed"),
            lanes=tuple(lanes),
            created=run.created,
            updated=run.updated,
            version=run.version,
        )

    def _live_view(self, run: _Run, max_points: int) -> LiveView:
        assert run.history is not None  # live() has loaded it
        lanes = []
        for lane, (name, history) in enumerate(zip(run.lane_names, run.history, strict=True)):
            steps, evals = history.steps.read(max_points), history.evals.read(max_points)
            sizes = history.latest["eval"].values if "eval" in history.latest else {}
            curves = TrainingCurves(
                name=name,
                step=steps["step"],
                batch_loss=steps["loss"],
                batch_error=steps["error"],
                eval_step=evals["step"],
                train_loss=evals["train_loss"],
                train_error=evals["train_error"],
                test_loss=evals["test_loss"],
                test_error=evals["test_error"],
                n_train=int(sizes.get("n_train", 0)),
                n_test=int(sizes.get("n_test", 0)),
            )
            lesions = run.lesions.get(lane)
            lanes.append(
                LaneLive(
                    curves=curves,
                    layers=history.latest.get("layers"),
                    gates=history.latest.get("gates"),
                    lesions=None if lesions is None else lesions.state,
                )
            )
        programs = tuple(p.state for p in run.programs.values() if p.state is not None)
        return LiveView(self._view(run), tuple(lanes), programs)


_IN_WORDS: dict[Status, str] = {
    "queued": "waiting in the queue",
    "starting": "starting",
    "running": "running",
    "paused": "paused",
    "finished": "finished",
    "stopped": "stopped",
    "failed": "over, because it failed",
    "interrupted": "over, because it was cut short",
}


def _control(run: _Run, action: str, value: float | None = None) -> Message:
    return {"do": "control", "task": run.id, "action": action, "value": value}


def _stopped_at(step: int) -> str:
    return f"Stopped at step {step}; Play goes on from there."


def _lesion_state(value: dict[str, Any], share: float = 1.0) -> LesionState:
    return LesionState(int(value["step"] or 0), LesionCurve.from_json(value), share)


def _per_second(points: Sequence[tuple[float, int]]) -> float | None:
    """Steps a second over the points; None before there is something to go by."""
    if len(points) < 2:
        return None
    seconds = points[-1][0] - points[0][0]
    steps = points[-1][1] - points[0][1]
    return steps / seconds if seconds > 0.2 and steps > 0 else None


def _stamp(path: Path) -> list[int] | None:
    try:
        state = path.stat()
    except OSError:  # a missing file has its sentence where it is read
        return None
    return [state.st_mtime_ns, state.st_size]


# ----------------------------------------------------------------------------- the server's one

_services: dict[Path, RunService] = {}
_services_lock = threading.Lock()


def get_service(home: Path | None = None) -> RunService:
    """The one started service of this process for a home folder; created at the first call."""
    where = (home or default_home()).resolve()
    with _services_lock:
        service = _services.get(where)
        if service is None or service.closed:
            service = _services[where] = RunService(where)
            service.start()
            atexit.register(service.close)
        return service
