"""The run service: experiments and jobs of one server process. It holds no torch.

Workers (:mod:`explorer.runs.worker.main`) compute, the store remembers, and this joins them: it
starts and queues trainings, passes commands on, keeps what workers say, and shows it as frozen
views. Every method is quick and may be called from any thread.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from explorer.data.uploaded import keep_zip
from explorer.errors import RunError, SkipscopeError
from explorer.instruments.contract import Training
from explorer.results import Record
from explorer.runs.protocol import (
    checkpoint_path,
    kept_path,
    kept_steps,
    snapshot_path,
)
from explorer.runs.serve import steering
from explorer.runs.serve.background_measures import Watcher
from explorer.runs.serve.history import LaneHistory
from explorer.runs.serve.job_queue import Job, JobHandle, JobQueue
from explorer.runs.serve.pictures import keep_picture
from explorer.runs.serve.process import WorkerOptions, WorkerProcess
from explorer.runs.serve.recorded_as_results import lesions_of
from explorer.runs.serve.requests import (
    Priority,
    Request,
    kind_of,
    parse_request,
    priority_of,
)
from explorer.runs.serve.resolve import Resolver
from explorer.runs.serve.run import Lesions, Run, experiment_view, lesion_state, live_view
from explorer.runs.serve.trainings import IN_WORDS, Trainings, log
from explorer.runs.serve.uploads import keep_upload
from explorer.runs.serve.views import ExperimentView, LesionState, LiveView
from explorer.runs.store import sweep_home
from explorer.runs.sweeps.server_sweeps import ServerSweeps
from explorer.structure.blueprint import blueprint
from explorer.structure.names import title_of, token_of
from explorer.structure.specs import ExperimentSpec, NetSpec
from explorer.structure.trained_on import TrainedOn
from explorer.system.home import default_home

Action = Literal[
    "play", "pause", "step", "slow", "stop", "learning_rate", "resume", "keep", "save_weights"
]
WARM_UP_DELAY = 2.5  # after the server's start, before its workers import torch
CLOSE_SECONDS = 6.0
DELETED_KEPT = 24 * 3600.0  # seconds for which a deleted experiment can be brought back
LONGEST_NOTE = 20_000  # characters


class RunService(Trainings):
    """Trainings and measurements of one server.

    Attributes:
        sweeps: Families of nets over depths and seeds.

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
        cores = os.cpu_count() or 1
        each = threads or max(1, cores // (max_training + instrument_workers))
        super().__init__(
            (home or default_home()).resolve(),
            max_training=max_training,
            lease_seconds=lease_seconds,
            threads=each,
        )
        self.sweeps = ServerSweeps(self.home)
        measuring = WorkerOptions("measure", threads=each, nice=5)
        self._job_queue = JobQueue(
            lambda on_event, on_end: WorkerProcess(self.home, measuring, on_event, on_end),
            instrument_workers,
        )
        self._resolver = Resolver(self.home, self._spec_of, self.weights_file)
        self._keeper = threading.Thread(target=self._keep_house, name="skipscope", daemon=True)
        self._watcher = Watcher(
            self._lock, self._runs, self._store, self._job_queue, self._ask, self._touch
        )
        for row in self._store.experiments():
            try:
                run = self._runs[row.id] = Run.from_row(row, next(self._versions))
                run.saved = checkpoint_path(self._store.folder(run.id)).exists()
                self._watcher.find_snapshots(run)
                if run.saved and run.status == "finished":  # killed before it could be removed
                    self._drop_checkpoint(run)
            except SkipscopeError as error:
                self._problems["run"] = (
                    f"The run {row.name!r} cannot be shown by this version: {error}"
                )

    # ----------------------------------------------------------------------- start and close

    def start(self, *, delay: float = 0.0) -> None:
        """Starts the warm workers; returns at once.

        Args:
            delay: Seconds before the first worker starts, unless it is asked for earlier: a
                server that starts has the machine to itself until its first page is shown.
        """
        timer = threading.Timer(delay, self._job_queue.start)
        timer.daemon = True
        timer.start()
        threading.Thread(target=sweep_home, args=(self.home,), daemon=True).start()
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
            self.sweeps.stop()
            self._queue.clear()
            workers = [self._spare] if self._spare is not None else []
            for run in self._runs.values():
                if run.worker is not None:
                    workers.append(run.worker)
                    run.afterwards = "close"
                    run.control("stop")
            self._changed.wait_for(
                lambda: all(run.worker is None for run in self._runs.values()), CLOSE_SECONDS
            )
        for worker in workers:
            worker.end()
        for worker in workers:
            worker.kill(patience=1.0)
        self._job_queue.close()
        self.sweeps.close()
        if self._keeper.ident is not None:
            self._keeper.join()
        self._end_storing()
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
        run = Run.from_row(row, next(self._versions))
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
                (go on when nobody watches; ``value`` 0 takes it back), ``save_weights`` (keep
                the weights of this moment for good).

        Raises:
            RunError: No such experiment, or it is over and cannot do that.
        """
        if action == "keep":
            self._keep(experiment, value != 0)
            return
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
                case "save_weights":
                    if run.worker is None:
                        raise RunError(
                            f"This training is {IN_WORDS[run.status]}: press Play before keeping "
                            "its weights."
                        )
                    run.control("save_weights")
                case _:
                    raise RunError(
                        f"There is no action {action!r}: choose play, pause, step, slow, stop, "
                        "learning_rate, resume, keep or save_weights."
                    )
            self._touch(run)

    def _keep(self, experiment: str, kept: bool) -> None:
        with self._lock:
            run = self._run(experiment)
        self._store.keep(experiment, kept)  # without the lock: the file may be held by another
        with self._lock:
            run.kept = kept
            self._touch(run)

    def duplicate(self, experiment: str, lane: int, net: NetSpec) -> None:
        """Adds a lane that goes on from another's present state with ``net`` as its structure.

        Before its next step the training takes over what the two nets have in common
        (:meth:`explorer.training.Session.fork`); then the new lane's ``origin`` says what.
        "The same weights, shortcut cut": :func:`explorer.structure.variants.without_shortcuts`.

        Raises:
            SkipscopeError: One sentence: no such lane, four lanes already, or it is at rest.
        """
        with self._lock:
            run = self._run(experiment)
            run.control("fork", steering.duplicate(run, lane, net))

    def delete_units(self, experiment: str, lane: int, units: Sequence[str]) -> None:
        """Lets a training pass by these units of a lane, and no others, from its next step on.

        Raises:
            SkipscopeError: One sentence: no such lane or unit, or it is at rest.
        """
        with self._lock:
            run = self._run(experiment)
            run.control("delete", steering.deletion(run, lane, units))

    def experiment(self, experiment: str) -> ExperimentView:
        """How an experiment stands; raises :class:`RunError` where there is none."""
        with self._lock:
            return self._view(self._run(experiment))

    def experiments(self) -> list[ExperimentView]:
        """All experiments that were not deleted, the newest first."""
        return self._newest_first(deleted=False)

    def deleted_experiments(self) -> list[ExperimentView]:
        """Those that can still be brought back, the newest first."""
        return self._newest_first(deleted=True)

    def _newest_first(self, *, deleted: bool) -> list[ExperimentView]:
        with self._lock:
            runs = [run for run in self._runs.values() if (run.deleted is not None) == deleted]
            runs.sort(key=lambda run: run.created, reverse=True)
            return [self._view(run) for run in runs]

    def rename(self, experiment: str, name: str) -> None:
        name = " ".join(name.split())[:200]
        if not name:
            raise RunError("An experiment's name cannot be empty: write at least one letter.")
        with self._lock:
            run = self._run(experiment, deleted=True)
        self._store.rename(experiment, name)
        with self._lock:
            run.name = name
            self._touch(run)

    def annotate(self, experiment: str, note: str) -> None:
        """Keeps a person's own words on an experiment, in the place of earlier ones.

        A deleted one takes them too: what was typed just before the deletion is not lost.

        Raises:
            RunError: There is no such experiment, or the note is too long.
        """
        note = note.strip()
        if len(note) > LONGEST_NOTE:
            raise RunError(
                f"A note has at most {LONGEST_NOTE:,} characters, not {len(note):,}: shorten it."
            )
        with self._lock:
            run = self._run(experiment, deleted=True)
        self._store.annotate(experiment, note)
        with self._lock:
            run.note = note
            self._touch(run)

    def delete(self, experiment: str) -> None:
        """Hides an experiment, and stops it if it trains; :meth:`restore` brings it back.

        Its records and weights are removed a day later, or by :meth:`purge`.
        """
        with self._lock:
            run = self._run(experiment)
        when = time.time()
        self._store.mark_deleted(experiment, when)
        with self._lock:
            run.kept = False
            self._stop(run)
            run.deleted = when
            self._touch(run)

    def restore(self, experiment: str) -> None:
        """Brings a deleted experiment back; raises :class:`RunError` where it is gone for good."""
        with self._lock:
            run = self._runs.get(experiment)
            if run is None:
                raise RunError(f"The run {experiment!r} was removed for good: train it anew.")
        self._store.mark_deleted(experiment, None)
        with self._lock:
            run.deleted = None
            self._touch(run)

    def purge(self, experiment: str) -> None:
        """Removes an experiment with its records and weights for good."""
        with self._lock:
            run = self._runs.pop(experiment, None)
            if run is None:
                return
            if run in self._queue:
                self._queue.remove(run)
            worker, run.worker = run.worker, None
        if worker is not None:
            worker.end()
            worker.kill()
        self._store.purge(experiment)
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
            if run.shown is not None:
                points, view = run.shown
                if points == max_points and view.version == run.version:
                    return view
            history = run.history
        if history is None:  # outside the lock: a long one takes a moment to read
            history = self._store.history(experiment, len(run.spec.lanes))
            curves = self._store.latest_results(experiment, "lesions")
        else:
            curves = {}
        with self._lock:
            history = run.history = run.history or history
            for lane, row in curves.items():
                run.lesions.setdefault(lane, Lesions(lesion_state(row.payload), row.step))
            self._forget_histories(run)
            view = live_view(run, history, self._queue_position(run), max_points)
            run.shown = (max_points, view)
            return view

    def recorded_training(self, experiment: str, lane: int) -> Training:
        """What was recorded of a lane so far, thinned, as instruments take it.

        Raises:
            RunError: There is no such experiment or lane.
        """
        with self._lock:
            spec = self._run(experiment).spec
        if not 0 <= lane < len(spec.lanes):
            raise RunError(
                f"This experiment has no lane {lane}: it has {len(spec.lanes)}, counted from 0."
            )
        net = spec.lanes[lane]
        return Training(
            blueprint(net),
            token_of(net),
            spec.data.name,
            spec.training.batch_size,
            lambda kind: self._store.thinned(experiment, lane, kind, 400),
        )

    def moment(self, experiment: str, step: int) -> LiveView:
        """The same at an earlier step, or last before it, for a time slider."""
        live = self.live(experiment)
        spec, folder = live.experiment.spec, self._store.folder(experiment)
        measured = self._store.latest_results(experiment, "lesions", step)
        lanes = []
        for lane, now in enumerate(live.lanes):
            records = self._store.at(experiment, lane, step)
            row, recorded = measured.get(lane), records.get("lesions")
            lesions = None
            if row is not None and (recorded is None or row.step >= recorded.step):
                lesions = lesion_state(row.payload)
            elif recorded is not None:
                curve = lesions_of(blueprint(spec.lanes[lane]), spec, recorded)
                lesions = None if curve is None else LesionState(recorded.step, curve)
            kept = [s for s in kept_steps(folder, lane) if s <= step]
            lanes.append(
                replace(
                    now,
                    curves=now.curves.until(step),
                    records=records,
                    lesions=lesions,
                    weights_step=kept[-1] if kept else None,
                )
            )
        return replace(live, lanes=tuple(lanes), step=step)

    def recorded(
        self, experiment: str, lane: int, kind: str, max_records: int = 1000
    ) -> list[Record]:
        """A lane's records of one kind in order of step, thinned; whole on disk."""
        with self._lock:
            self._run(experiment)
        return self._store.thinned(experiment, lane, kind, max_records)

    def last_errors(self, experiment: str) -> tuple[float | None, ...]:
        """Of each lane the last test error, a share in [0, 1]; None before the first."""
        with self._lock:
            run = self._run(experiment)
            version, lanes = run.version, range(len(run.spec.lanes))
            if run.errors is not None and run.errors[0] == version:
                return run.errors[1]
        records = [self._store.last_evaluation(experiment, lane) for lane in lanes]
        errors = tuple(None if r is None else r.values["test_error"] for r in records)
        with self._lock:
            run.errors = (version, errors)
        return errors

    def all_records(self, experiment: str) -> Iterator[Record]:
        """Everything that was recorded, in the order in which it came.

        Raises:
            RunError: There is no such experiment, or it is deleted meanwhile.
        """
        after = 0
        while True:
            with self._lock:
                self._run(experiment)
            rows = self._store.records(experiment, after=after)
            if not rows:
                return
            yield from (record for _, record in rows)
            after = rows[-1][0]

    def weights_file(self, experiment: str, lane: int, step: int | None = None) -> Path:
        """The file of a lane's latest weights, or of those kept at a step.

        Raises:
            RunError: No such experiment or lane, or there are no such weights.
        """
        with self._lock:
            run = self._run(experiment)
            if not 0 <= lane < len(run.spec.lanes):
                raise RunError(
                    f"This experiment has no lane {lane}: it has {len(run.spec.lanes)}, counted "
                    "from 0."
                )
        folder = self._store.folder(run.id)
        path = snapshot_path(folder, lane)
        if step is not None:
            path = kept_path(folder, lane, step)
            if not path.exists():
                kept = ", ".join(map(str, kept_steps(folder, lane)))
                raise RunError(
                    f"No weights of step {step} are kept; there are those of "
                    f"{kept or 'the latest step alone'}."
                )
        if not path.exists():
            raise RunError("This run has no weights yet: press Play, or wait for its first step.")
        return path

    def watch(
        self,
        experiment: str,
        deleted: Mapping[int, Sequence[str]] | None = None,
        *,
        anew: bool = False,
    ) -> None:
        """To be called at every poll of a viewer: somebody looks.

        It renews the lease, and keeps lesion curves up to date in the background.

        Args:
            deleted: By lane, units whose deletion this viewer watches: its accuracy is measured
                again whenever there are newer weights, and stands in ``LiveView.programs``.
            anew: This viewer has just come: what could not be measured is measured again.
        """
        with self._lock:
            run = self._run(experiment)
        self._watcher.watch(run, deleted or {}, anew=anew)

    # --------------------------------------------------------------------------------- jobs

    def keep_weights(
        self, file_name: str, content: bytes | memoryview, told: TrainedOn | None = None
    ) -> str:
        """Stores a person's weights; returns the name that stands for their path in a source.

        Args:
            told: What belongs to them, as far as the person says.

        Raises:
            WeightsError: Not a file of weights, or it cannot be stored.
        """
        return keep_upload(self.home, file_name, content, told)

    def keep_picture(self, content: bytes | memoryview) -> str:
        """Stores a person's image; returns the name that stands for its path in a request.

        Raises:
            DataError: It is empty or too large, or cannot be stored.
        """
        return keep_picture(self.home, content)

    def keep_images(self, file_name: str, content: bytes | memoryview) -> str:
        """Stores a person's .zip of image folders; returns the name that stands for its path.

        Raises:
            DataError: No archive of images in folders, or it cannot be stored.
        """
        return keep_zip(file_name, content)

    def submit(
        self,
        kind: str,
        payload: Mapping[str, Any] | Request,
        *,
        priority: Priority | None = None,
    ) -> JobHandle:
        """Asks for a measurement; the same question, asked twice, is answered once.

        Args:
            kind: See :mod:`explorer.runs.serve.requests` for the payload of each.
            priority: ``click`` is answered in the middle of a ``sweep``; None is the kind's own.

        Raises:
            SkipscopeError: One sentence: what is wrong with the payload, or which net is missing.
        """
        request = parse_request(kind, payload if not isinstance(payload, Mapping) else {**payload})
        return self._ask(kind_of(kind), request, priority or priority_of(kind, request))

    def job(self, job_id: str) -> JobHandle:
        """A job that was submitted before; raises :class:`RunError` where it is forgotten."""
        return self._job_queue.job(job_id)

    # ------------------------------------------------------------------------- housekeeping

    def _keep_house(self) -> None:
        """Twice a second: trainings and their processes, and deleted runs whose day is over."""
        while not self._closing.wait(0.5):
            try:
                self._keep_house_once()
                self._problems.pop("house", None)
            except SkipscopeError as error:
                self._problems["house"] = str(error)
            except Exception as error:  # whatever it was, it must not be the last time
                if "house" not in self._problems:
                    log.exception("housekeeping")
                self._problems["house"] = (
                    f"Looking after the trainings met an error ({type(error).__name__}: {error}); "
                    "it is tried again, and the server's log has the whole report."
                )

    def _keep_house_once(self) -> None:
        self._store.look_after()
        with self._lock:
            if self._closing.is_set():
                return
            self._tend()
            over = time.time() - DELETED_KEPT
            purged = [r.id for r in self._runs.values() if r.deleted and r.deleted < over]
        for experiment in purged:
            self.purge(experiment)

    def _may_warm_up(self) -> bool:
        return self._job_queue.ready

    def _snapshot_came(self) -> None:
        self._watcher.refresh()

    # --------------------------------------------------------------------------- requests

    def _ask(
        self,
        kind: str,
        request: Request,
        priority: Priority,
        listener: Callable[[Job], None] | None = None,
    ) -> JobHandle:
        question = self._resolver.question(kind, request)
        return self._job_queue.submit(
            question.key,
            question.message,
            priority=priority,
            remember=question.remember,
            listener=listener,
        )

    def _spec_of(self, experiment: str) -> ExperimentSpec:
        with self._lock:
            return self._run(experiment).spec

    # ------------------------------------------------------------------------- with the lock

    def _run(self, experiment: str, *, deleted: bool = False) -> Run:
        """The run; one that can be brought back only where ``deleted`` ones are meant too."""
        run = self._runs.get(experiment)
        if run is None or (run.deleted is not None and not deleted):
            raise RunError(
                f"There is no experiment {experiment[:40]!r} here: it was deleted, or the link "
                "comes from another machine."
            )
        return run

    def _view(self, run: Run) -> ExperimentView:
        return experiment_view(run, self._queue_position(run))


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
            service.start(delay=WARM_UP_DELAY)
            atexit.register(service.close)
        return service
