"""Experiments while they train: queued, started, steered, parked, ended; and their workers' words.

The half of the run service that deals with the processes that train. Methods are called with the
lock held, but for those that answer a worker, which its reader's thread calls.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path

from explorer.errors import RunError
from explorer.results import Record
from explorer.runs.protocol import Message, checkpoint_path
from explorer.runs.serve.process import WorkerOptions, WorkerProcess
from explorer.runs.serve.run import Run
from explorer.runs.serve.views import PhaseState
from explorer.runs.store import ExperimentRow, Status, Store, updates_done
from explorer.structure.specs import ExperimentSpec, parse

log = logging.getLogger("skipscope.service")
SLOW_STEPS_PER_SECOND = 2.0
SPARE_DELAY = 3.0  # after a training's start, before the next warm process takes its share
BROKEN_DELAY = 15.0  # after a process that could not even start
HISTORIES_KEPT = 12


class Trainings:
    """Trains as many experiments at a time as there is room for.

    Attributes:
        home: Skipscope's folder.

    Args:
        max_training: Trainings at a time; more of them wait in a queue.
        lease_seconds: A training that nobody watches for so long is paused, unless it is kept.
        threads: Of torch in each process.

    Raises:
        RunError: The folder cannot be used.
    """

    def __init__(
        self, home: Path, *, max_training: int, lease_seconds: float, threads: int
    ) -> None:
        self.home = home
        self._store = Store(home)
        self._store.known = self._rows_known
        self._problems: dict[str, str] = {}  # sentences, by what they are of
        self._max_training = max_training
        self._lease_seconds = lease_seconds
        self._training_options = WorkerOptions("train", threads=threads, nice=10)
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._closing = threading.Event()
        self._versions = itertools.count(1)
        self._runs: dict[str, Run] = {}
        self._queue: list[Run] = []
        self._spare: WorkerProcess | None = None
        self._last_start = 0.0
        self._histories: OrderedDict[str, None] = OrderedDict()  # of runs at rest, by last use
        # Runs whose status is not stored yet. It is written by a thread of its own: a file that
        # another program holds must not hold whoever changes a run, and with it every page.
        self._unstored: dict[str, None] = {}
        self._some_unstored = threading.Condition(self._lock)
        self._storing = threading.Thread(target=self._store_statuses, name="skipscope-store")
        self._storing.daemon = True
        self._storing.start()

    @property
    def notice(self) -> str | None:
        """A sentence for people about the store, or None."""
        return self._store.notice or next(iter(self._problems.values()), None)

    # ------------------------------------------------------------------ for the whole service

    def _may_warm_up(self) -> bool:
        """Whether a spare process may take its share of the machine now."""
        raise NotImplementedError

    def _snapshot_came(self) -> None:
        """Fresh weights of a lane are there; called without the lock."""
        raise NotImplementedError

    # ------------------------------------------------------------------------------ controls

    def _play(self, run: Run) -> None:
        run.watched = time.monotonic()
        if run.status == "finished":
            raise RunError("This training has finished: change a choice and start a new one.")
        if run.afterwards == "park":
            run.play_again = True
        elif run.worker is not None:
            run.control("play")
        elif run in self._queue:
            run.start_paused = False
        else:
            run.start_paused = False
            self._enqueue(run)

    def _pause(self, run: Run) -> None:
        run.pause_reason = ""
        run.play_again = False
        if run.worker is not None:
            run.control("pause")
        elif run in self._queue:
            self._queue.remove(run)
            self._settle(run, "paused", "Taken out of the queue; Play puts it back.")

    def _step(self, run: Run) -> None:
        run.watched = time.monotonic()
        if run.worker is not None and run.afterwards != "park":
            run.control("step")
        elif run.status == "paused" and run.worker is None:
            run.start_paused = True
            self._enqueue(run)
        else:
            raise RunError(f"This training is {IN_WORDS[run.status]}: press Play to go on.")

    def _stop(self, run: Run) -> None:
        if run.worker is not None:
            run.afterwards = "stop"
            run.control("stop")
        elif run.status in ("queued", "paused"):
            if run in self._queue:
                self._queue.remove(run)
            self._settle(run, "stopped", _stopped_at(run.step))

    def _slow(self, run: Run, value: float | None) -> None:
        if value is None:
            value = 0.0 if run.slow is not None else SLOW_STEPS_PER_SECOND
        if not 0 <= value <= 1000:
            raise RunError(f"Slow motion is 0 (full speed) to 1000 steps a second, not {value}.")
        run.slow = value or None
        run.control("slow", run.slow)

    def _learning_rate(self, run: Run, value: float | None) -> None:
        if value is None or not 1e-8 <= value <= 100:
            raise RunError(f"The learning rate must be between 1e-8 and 100, not {value}.")
        if run.worker is None:
            raise RunError(
                f"This training is {IN_WORDS[run.status]}: press Play before changing its "
                "learning rate."
            )
        run.control("learning_rate", value)

    # ---------------------------------------------------------------------------- scheduling

    def _enqueue(self, run: Run) -> None:
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

    def _park(self, run: Run) -> None:
        """Lets a paused training's process go; its checkpoint holds everything."""
        run.afterwards = "park"
        run.control("stop")

    def _begin(self, run: Run) -> None:
        worker, self._spare = self._spare, None
        try:
            run.worker = worker or self._new_trainer()
        except RunError as error:
            self._settle(run, "failed", str(error))
            return
        run.pace.clear()
        self._last_start = time.monotonic()
        self._settle(run, "starting", "")
        folder = self._store.folder(run.id)
        run.worker.send(
            {
                "do": "train",
                "task": run.id,
                "spec": run.spec.model_dump(mode="json"),
                "folder": str(folder),
                "resume": run.step > 0 or run.saved,
                "paused": run.start_paused,
            }
        )
        if run.slow is not None:
            run.control("slow", run.slow)

    def _new_trainer(self) -> WorkerProcess:
        return WorkerProcess(
            self.home, self._training_options, self._on_training, self._on_trainer_end
        )

    def _release(self, run: Run) -> None:
        """Takes a training's worker back: it is warm, so the next one may have it."""
        worker, run.worker = run.worker, None
        run.pace.clear()
        self._forget_histories(run)
        if worker is not None:
            if self._spare is None and not self._closing.is_set():
                self._spare = worker
            else:
                worker.end()
        self._changed.notify_all()
        self._schedule()

    def _tend(self) -> None:
        """Starts a spare process where there is room, and lets trainings rest that nobody watches.

        To be called now and then, with the lock.
        """
        now = time.monotonic()
        active = [run for run in self._runs.values() if run.worker is not None]
        if (
            self._spare is None
            and len(active) < self._max_training
            and now - self._last_start > SPARE_DELAY
            and self._may_warm_up()
        ):
            try:
                self._spare = self._new_trainer()
            except RunError as error:
                self._last_start = now + BROKEN_DELAY
                self._problems["worker"] = str(error)
            else:
                self._problems.pop("worker", None)
        for run in active:
            if now - run.watched < self._lease_seconds or run.kept:
                continue
            if run.status == "running" and not run.pause_reason:
                minutes = self._lease_seconds / 60
                run.pause_reason = (
                    f"Paused because nobody has watched it for {minutes:.3g} minutes; Play goes on."
                )
                run.control("pause")
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
            elif event["event"] == "lanes":
                self._respecify(run, event["spec"])
            else:
                with self._lock:
                    self._on_status(run, event)
                    self._touch(run)
        except RunError as error:  # the store cannot be written
            self._give_up(run, worker, str(error))
            return
        if event["event"] in ("snapshot", "done"):
            self._snapshot_came()

    def _started(self, run: Run, event: Message) -> None:
        self._respecify(run, event["spec"])
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
            for program in run.programs.values():
                program.tried = -1
            self._touch(run)

    def _respecify(self, run: Run, value: Message) -> None:
        """The experiment as its training has it: a lane may have been added."""
        spec = parse(ExperimentSpec, value)
        if spec == run.spec:
            return
        self._store.respecify(run.id, spec.model_dump_json())
        with self._lock:
            run.respecify(spec)

    def _keep_records(self, run: Run, records: list[Record]) -> None:
        self._store.append(run.id, records)
        with self._lock:
            assert run.history is not None  # a run has its history while it trains
            for record in records:
                run.history[record.lane].add(record)
            run.count(updates_done(records))
            self._touch(run)

    def _on_status(self, run: Run, event: Message) -> None:
        match event["event"]:
            case "progress":
                run.prepared = event["share"]
                run.reason = f"{event['text']}: {event['share']:.0%}"
            case "running":
                run.pause_reason = ""
                run.pace.clear()
                run.count(event["step"])
                self._settle(run, "running", "")
            case "paused":
                run.pace.clear()
                self._settle(run, "paused", run.pause_reason)
                self._schedule()
            case "snapshot":
                run.snapshots[event["lane"]] = event["step"]
            case "saved":
                run.saved = True
            case "phase":
                lanes = {int(lane): values for lane, values in event["lanes"].items()}
                run.phase = PhaseState(event["phase"], event["step"], lanes)
            case "refused":
                run.reason = event["sentence"]
            case "done":
                self._done(run, event)
            case "cancelled":  # stopped while its data was being loaded
                worker, run.worker = run.worker, None
                self._settle(run, "stopped", _stopped_at(run.step))
                self._release(run)
                if worker is not None:
                    worker.end()  # a download may still go on in it
            case "failed":
                self._settle(run, "failed", event["sentence"])
                self._release(run)

    def _done(self, run: Run, event: Message) -> None:
        run.step = event["step"]
        if event["status"] == "finished":
            self._settle(run, "finished", event["reason"])
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
            then = (
                "Resume goes on from its last checkpoint"
                if run.saved
                else "as no checkpoint was written yet, Play starts over from the seed"
            )
            reason = (
                f"The process that trained this {how} at step {run.step}; everything up to there "
                f"is kept, and {then}."
            )
            self._settle(run, "failed", reason)
            self._release(run)

    def _give_up(self, run: Run, worker: WorkerProcess, sentence: str) -> None:
        with self._lock:
            run.worker = None
            self._settle(run, "failed", sentence)
            self._release(run)
        worker.end()
        worker.kill()

    # -------------------------------------------------------------------------------- records

    def _touch(self, run: Run) -> None:
        run.version = next(self._versions)

    def _settle(self, run: Run, status: Status, reason: str) -> None:
        run.status, run.reason, run.updated = status, reason, time.time()
        self._touch(run)
        self._unstored[run.id] = None
        self._some_unstored.notify_all()

    def _store_statuses(self) -> None:
        """Writes down how runs stand, in a thread of its own; what fails is tried again."""
        while True:
            with self._lock:
                while not self._unstored:
                    if self._closing.is_set():
                        return
                    self._some_unstored.wait()
                run = self._runs.get(next(iter(self._unstored)))
                del self._unstored[next(iter(self._unstored))]
                if run is None:  # purged meanwhile
                    continue
                status, reason, total, device = run.status, run.reason, run.steps_total, run.device
            try:
                self._store.update(run.id, status, reason, steps_total=total, device=device)
                self._problems.pop("status", None)
            except RunError as error:
                self._problems["status"] = str(error)
                with self._lock:
                    self._unstored[run.id] = None
                    if self._closing.is_set():
                        return
                    self._some_unstored.wait(1.0)
                continue
            if status == "finished":
                self._drop_checkpoint(run)

    def _drop_checkpoint(self, run: Run) -> None:
        """A training's end is stored: nothing is left that it could be wanted for."""
        with suppress(OSError):
            checkpoint_path(self._store.folder(run.id)).unlink(missing_ok=True)
        run.saved = False

    def _end_storing(self) -> None:
        """Lets the last statuses be written, as far as that can be done at once."""
        with self._lock:
            self._some_unstored.notify_all()
        self._storing.join()

    def _rows_known(self) -> list[ExperimentRow]:
        """What to begin a new store with, should the old one turn out to be damaged."""
        with self._lock:
            return [run.to_row() for run in self._runs.values()]

    def _forget_histories(self, used: Run) -> None:
        """Keeps the curves of few runs in memory, besides those that train."""
        self._histories[used.id] = None
        self._histories.move_to_end(used.id)
        while len(self._histories) > HISTORIES_KEPT:
            forgotten = self._runs.get(self._histories.popitem(last=False)[0])
            if forgotten is not None and forgotten.worker is None:
                forgotten.history = forgotten.shown = None

    def _queue_position(self, run: Run) -> int | None:
        return self._queue.index(run) + 1 if run in self._queue else None


IN_WORDS: dict[Status, str] = {
    "queued": "waiting in the queue",
    "starting": "starting",
    "running": "running",
    "paused": "paused",
    "finished": "finished",
    "stopped": "stopped",
    "failed": "over, because it failed",
    "interrupted": "over, because it was cut short",
}


def _stopped_at(step: int) -> str:
    return f"Stopped at step {step}; Play goes on from there."
