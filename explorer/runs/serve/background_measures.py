"""Keeps the instruments of experiments that somebody watches up to date, in the background.

While a training is watched, fresh weights of its lanes are asked for every few seconds; whenever
no sweep is under way, the lane whose lesion curve was measured longest ago gets a new one, and
watched deletions are measured anew. A training never waits for any of this, and while one runs
sweeps take at most half of the time.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from explorer.errors import RunError, SkipscopeError
from explorer.runs.protocol import Message, snapshot_path
from explorer.runs.serve.job_queue import ASK_AGAIN_SECONDS, Job, JobHandle, JobQueue
from explorer.runs.serve.requests import Priority, Request, parse_request
from explorer.runs.serve.run import Lesions, Program, Run, lesion_state
from explorer.runs.serve.views import ProgramState
from explorer.runs.store import ResultRow, Store

WATCHED_SECONDS = 15.0  # after its last poll, a viewer counts as gone
SNAPSHOT_SECONDS = 2.0  # between two fresh looks at the weights
LESION_IMAGES = 512
ATTEMPTS = 3  # at one and the same weights


class Ask(Protocol):
    """The service's way of asking for a job, with a listener."""

    def __call__(
        self,
        kind: str,
        request: Request,
        priority: Priority,
        listener: Callable[[Job], None],
    ) -> JobHandle: ...


class Watcher:
    """What viewers look at, and what is measured for them.

    Args:
        lock: The service's; it guards every :class:`Run`.
        runs: The service's experiments by id.
        touch: Says that something shown of a run has changed; called with the lock.
    """

    def __init__(
        self,
        lock: threading.RLock,
        runs: Mapping[str, Run],
        store: Store,
        queue: JobQueue,
        ask: Ask,
        touch: Callable[[Run], None],
    ) -> None:
        self._lock = lock
        self._runs = runs
        self._store = store
        self._queue = queue
        self._ask = ask
        self._touch = touch
        self._seen: dict[str, float] = {}  # by experiment: when somebody last looked
        self._rest_until = 0.0  # no sweep before that, while a training runs

    def watch(self, run: Run, deleted: Mapping[int, Sequence[str]], *, anew: bool = False) -> None:
        """Somebody looks at a run, and at some deletions by lane.

        Args:
            anew: They have just come: what failed is measured again.
        """
        now = time.monotonic()
        with self._lock:
            run.watched = self._seen[run.id] = now
            for lane, units in deleted.items():
                run.programs.setdefault((lane, tuple(units)), Program(now)).seen = now
            if anew:
                self._try_again(run, now)
        self.refresh()

    def refresh(self) -> None:
        """Asks for whatever is out of date and can be measured now."""
        now = time.monotonic()
        with self._lock:
            watched = self._watched(now)
            programs = [stale for run in watched for stale in self._stale_programs(run)]
            training = any(run.status == "running" for run in watched)
            busy = self._queue.has_sweep or (training and now < self._rest_until)
            oldest = None if busy else self._oldest_lane(watched)
        for run, lane, deleted in programs:
            self._ask_program(run, lane, deleted)
        if oldest is not None:
            self._ask_lesions(*oldest)

    # ------------------------------------------------------------------------- with the lock

    def _watched(self, now: float) -> list[Run]:
        """The runs that somebody looks at, each asked for fresh weights where it trains."""
        for experiment, seen in list(self._seen.items()):
            if now - seen > WATCHED_SECONDS or experiment not in self._runs:
                del self._seen[experiment]
        watched = [self._runs[experiment] for experiment in self._seen]
        for run in watched:
            for key in [k for k, p in run.programs.items() if now - p.seen > WATCHED_SECONDS]:
                del run.programs[key]
            if run.worker is None and not run.snapshots:
                self.find_snapshots(run)
            elif run.status == "running" and now - run.snapshot_asked > SNAPSHOT_SECONDS:
                run.snapshot_asked = now
                run.control("snapshot")
        return watched

    def _try_again(self, run: Run, now: float) -> None:
        for lesions in run.lesions.values():
            if lesions.problem and now - lesions.asked > ASK_AGAIN_SECONDS:
                lesions.tried, lesions.failures = -1, 0
        for program in run.programs.values():
            if program.state is not None and program.state.error is not None:
                program.tried = -1

    def find_snapshots(self, run: Run) -> None:
        """Weights that an earlier process left are as good."""
        folder = self._store.folder(run.id)
        for lane in range(len(run.spec.lanes)):
            if snapshot_path(folder, lane).exists():
                run.snapshots[lane] = run.step

    def _stale_programs(self, run: Run) -> list[tuple[Run, int, tuple[str, ...]]]:
        stale = []
        for (lane, deleted), program in run.programs.items():
            if run.snapshots.get(lane, -1) > program.tried:
                program.tried = run.snapshots[lane]
                stale.append((run, lane, deleted))
        return stale

    def _oldest_lane(self, watched: Sequence[Run]) -> tuple[Run, int] | None:
        """Of the lanes with newer weights than their curve, the one asked about longest ago."""
        stale = [
            (run.lesions.setdefault(lane, Lesions()), run, lane)
            for run in watched
            for lane, step in run.snapshots.items()
            if lane not in run.lesions or run.lesions[lane].tried < step
        ]
        if not stale:
            return None
        lesions, run, lane = min(stale, key=lambda found: found[0].asked)
        lesions.tried, lesions.asked = run.snapshots[lane], time.monotonic()
        return run, lane

    # ------------------------------------------------------------------------------- asking

    def _ask_lesions(self, run: Run, lane: int) -> None:
        payload: Message = {"net": _lane_of(run, lane), "n_images": LESION_IMAGES}
        request = parse_request("lesions", payload)
        with contextlib.suppress(RunError):  # deleted a moment ago, or the service is closing
            self._ask("lesions", request, "sweep", lambda job: self._on_lesions(run, lane, job))

    def _on_lesions(self, run: Run, lane: int, job: Job) -> None:
        if job.state == "done":
            state = lesion_state(job.result)
            with contextlib.suppress(RunError):  # deleted meanwhile, or the disk is full
                self._store.add_result(ResultRow(run.id, lane, "lesions", state.step, job.result))
            now = time.monotonic()
            with self._lock:
                lesions = run.lesions[lane]
                lesions.state, lesions.failures, lesions.problem = state, 0, ""
                self._rest_until = 2 * now - lesions.asked
                self._touch(run)
            self.refresh()
            return
        with self._lock:
            lesions = run.lesions[lane]
            if job.over.is_set():
                lesions.failures += 1
                if lesions.failures < ATTEMPTS:
                    lesions.tried = -1
                else:
                    lesions.problem = job.error or ""
                    self._touch(run)
            elif job.partial is not None and (lesions.state is None or lesions.state.share < 1):
                # A curve on few images trembles: it is shown only where there is none yet.
                lesions.state = lesion_state(job.partial, job.share)
                self._touch(run)

    def _ask_program(self, run: Run, lane: int, deleted: tuple[str, ...]) -> None:
        payload: Message = {"net": _lane_of(run, lane), "deleted": deleted}
        try:
            request = parse_request("evaluate", {**payload, "n_images": LESION_IMAGES})
            self._ask(
                "evaluate", request, "click", lambda job: self._on_program(run, lane, deleted, job)
            )
        except SkipscopeError as error:
            self._show(run, ProgramState(lane, deleted, run.step, None, str(error)))

    def _on_program(self, run: Run, lane: int, deleted: tuple[str, ...], job: Job) -> None:
        if job.state == "done":
            self._show(run, ProgramState(lane, deleted, job.result["step"], job.result))
        elif job.over.is_set():
            self._show(run, ProgramState(lane, deleted, run.step, None, job.error))

    def _show(self, run: Run, state: ProgramState) -> None:
        with self._lock:
            program = run.programs.get((state.lane, state.deleted))
            if program is not None:
                program.state = state
                self._touch(run)


def _lane_of(run: Run, lane: int) -> Message:
    return {"source": "run", "experiment": run.id, "lane": lane}
