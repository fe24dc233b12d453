"""Jobs for instruments: asked once, shared by all who ask the same, answered by warm workers."""

from __future__ import annotations

import itertools
import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any, Literal

from explorer.errors import RunError
from explorer.runs.protocol import Message
from explorer.runs.serve.process import WorkerProcess
from explorer.runs.serve.requests import Priority

JobState = Literal["waiting", "running", "done", "failed", "cancelled"]
KEPT_JOBS = 512  # over ones, by id
KEPT_RESULTS = 128  # answered again without computing
ASK_AGAIN_SECONDS = 5.0  # after a failure, before the same question is put to a worker again
START_ATTEMPTS = 3
Spawn = Callable[
    [Callable[[WorkerProcess, Message], None], Callable[[WorkerProcess, str], None]], WorkerProcess
]


class Job:
    """One measurement under way or over; changed by its queue alone, under its lock."""

    def __init__(self, job_id: str, key: str, message: Message, *, remember: bool) -> None:
        self.id = job_id
        self.key = key
        self.message = message
        self.remember = remember  # its result holds for ever, as nothing it depends on changes
        self.state: JobState = "waiting"
        self.share = 0.0
        self.text = ""
        self.partial: Any = None
        self.result: Any = None
        self.error: str | None = None
        self.over = threading.Event()
        self.holders = 0
        self.listeners: list[Callable[[Job], None]] = []

    @property
    def click(self) -> bool:
        return bool(self.message["click"])


class JobHandle:
    """One asker's hold on a job. Its properties may be read from any thread."""

    def __init__(self, job: Job, queue: JobQueue) -> None:
        self._job = job
        self._queue = queue
        self._held = True

    @property
    def id(self) -> str:
        return self._job.id

    @property
    def kind(self) -> str:
        """What is measured (:func:`explorer.runs.serve.requests.kinds`)."""
        return str(self._job.message["kind"])

    @property
    def state(self) -> JobState:
        return self._job.state

    @property
    def shared(self) -> object:
        """The same for all who hold one job."""
        return self._job

    @property
    def progress(self) -> tuple[float, str]:
        """The share done, in [0, 1], and what is being done."""
        return self._job.share, self._job.text

    @property
    def partial(self) -> Any:
        """The result as far as it is known, as plain JSON values; None where nothing is."""
        return self._job.partial

    @property
    def error(self) -> str | None:
        """A sentence, once the job has failed or was cancelled."""
        return self._job.error

    def wait(self, timeout: float | None = None) -> dict[str, Any] | None:
        """The result as plain JSON values; None if there is none within ``timeout`` seconds."""
        self._job.over.wait(timeout)
        result: dict[str, Any] | None = self._job.result
        return result

    def cancel(self) -> None:
        """Gives the job up; it goes on if somebody else holds it."""
        if self._held:
            self._held = False
            self._queue.release(self._job)


class JobQueue:
    """Hands jobs to workers: each has at most one sweep, and every click at once.

    Args:
        spawn: Starts a worker that reports to the two functions given.
        workers: How many there are to be.
    """

    def __init__(self, spawn: Spawn, workers: int) -> None:
        self._spawn = spawn
        self._count = workers
        self._lock = threading.RLock()
        self._ids = itertools.count(1)
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._shared: dict[str, Job] = {}  # waiting or running, by key
        self._results: OrderedDict[str, Job] = OrderedDict()
        self._waiting: deque[Job] = deque()
        self._given: dict[WorkerProcess, dict[str, Job]] = {}
        self._failed_starts = 0
        self._closing = False

    def start(self) -> None:
        with self._lock:
            self._hire()

    # --------------------------------------------------------------------------- for askers

    def submit(
        self,
        key: str,
        message: Message,
        *,
        priority: Priority,
        remember: bool,
        listener: Callable[[Job], None] | None = None,
    ) -> JobHandle:
        """Asks for a job, or joins one with the same key that is under way or remembered.

        Args:
            message: ``kind`` and ``payload`` of the protocol's ``job`` command.
            listener: Called in a worker's reader thread whenever the job has moved on.
        """
        with self._lock:
            if self._closing:
                raise RunError("Skipscope is closing: start it again to go on measuring.")
            job = self._results.get(key) or self._shared.get(key)
            if job is None:
                job_id = f"job-{next(self._ids)}"
                command = {"do": "job", "task": job_id, "click": priority == "click", **message}
                job = Job(job_id, key, command, remember=remember)
                self._jobs[job_id] = self._shared[key] = job
                self._waiting.append(job)
                self._forget()
                self._failed_starts = 0
            job.holders += 1
            if listener is not None:
                job.listeners.append(listener)
            lost = self._hire()
            self._hand_out()
            over = job.over.is_set()
        for other in lost:
            if other is not job:
                self._tell(other)
        if over and listener is not None:
            listener(job)
        return JobHandle(job, self)

    def job(self, job_id: str) -> JobHandle:
        """Another hold on a job that is known by its id."""
        with self._lock:
            job = self._jobs.get(job_id)
            if job is None:
                raise RunError(f"There is no job {job_id[:40]!r} any more: ask for it again.")
            job.holders += 1
            return JobHandle(job, self)

    def release(self, job: Job) -> None:
        with self._lock:
            job.holders -= 1
            if job.holders > 0 or job.over.is_set():
                return
            self._shared.pop(job.key, None)
            if job in self._waiting:
                self._waiting.remove(job)
                self._end(job, "cancelled", "This measurement was cancelled.")
                return
            for worker, jobs in self._given.items():
                if job.id in jobs:
                    worker.send({"do": "cancel", "task": job.id})

    @property
    def ready(self) -> bool:
        """Whether every worker is warm."""
        with self._lock:
            return all(worker.ready for worker in self._given)

    @property
    def has_sweep(self) -> bool:
        """Whether some sweep is under way or waits."""
        with self._lock:
            return any(not job.click for job in self._shared.values())

    def close(self) -> None:
        with self._lock:
            self._closing = True
            workers = list(self._given)
            for job in list(self._shared.values()):
                self._end(job, "failed", "Skipscope was closed before this was measured.")
            self._waiting.clear()
        for worker in workers:
            worker.end()
        for worker in workers:
            worker.kill(patience=1.0)

    @property
    def pids(self) -> list[int]:
        with self._lock:
            return [worker.pid for worker in self._given]

    # -------------------------------------------------------------------------- with the lock

    def _hire(self) -> list[Job]:
        """Starts the workers that are missing; the jobs that fail because there can be none."""
        try:
            while len(self._given) < self._count and not self._closing:
                self._given[self._spawn(self._on_event, self._on_end)] = {}
        except RunError as error:
            if not self._given:
                return self._fail_waiting(str(error))
        return []

    def _fail_waiting(self, sentence: str) -> list[Job]:
        failed = list(self._waiting)
        self._waiting.clear()
        for job in failed:
            self._end(job, "failed", sentence)
        return failed

    def _hand_out(self) -> None:
        for job in list(self._waiting):
            free = [
                worker
                for worker, jobs in self._given.items()
                if job.click or all(given.click for given in jobs.values())
            ]
            if free:
                worker = min(free, key=lambda w: len(self._given[w]))
                self._waiting.remove(job)
                self._given[worker][job.id] = job
                worker.send(job.message)

    def _end(self, job: Job, state: JobState, error: str | None = None) -> None:
        job.state, job.error = state, error
        if self._shared.get(job.key) is job:
            del self._shared[job.key]
        if state == "done" and job.remember:
            self._results[job.key] = job
            while len(self._results) > KEPT_RESULTS:
                self._results.popitem(last=False)
        job.over.set()

    def _forget(self) -> None:
        over = [job_id for job_id, job in self._jobs.items() if job.over.is_set()]
        for job_id in over[: max(0, len(self._jobs) - KEPT_JOBS)]:
            del self._jobs[job_id]

    # ------------------------------------------------------------- in workers' reader threads

    def _on_event(self, worker: WorkerProcess, event: Message) -> None:
        if event["event"] == "ready":
            self._failed_starts = 0
            return
        with self._lock:
            job = self._given.get(worker, {}).get(event["task"])
            if job is None or job.over.is_set():
                return
            match event["event"]:
                case "started":
                    job.state = "running"
                case "progress":
                    job.share, job.text = event["share"], event["text"]
                case "partial":
                    job.partial = event["value"]
                case "done":
                    job.result = event["value"]
                    job.share = 1.0
                    self._end(job, "done")
                case "cancelled":
                    self._end(job, "cancelled", "This measurement was cancelled.")
                case "failed":
                    self._end(job, "failed", event["sentence"])
            if job.over.is_set():
                del self._given[worker][job.id]
                self._hand_out()
        self._tell(job)

    def _on_end(self, worker: WorkerProcess, how: str) -> None:
        with self._lock:
            jobs = list(self._given.pop(worker, {}).values())
            if self._closing:
                return
            lost = [job for job in jobs if job.state == "running"]
            for job in lost:
                self._end(
                    job,
                    "failed",
                    f"The process that measured this {how}; a fresh one has taken its place, so "
                    "try again.",
                )
            self._waiting.extendleft(reversed([job for job in jobs if job.state == "waiting"]))
            if not worker.ready:
                self._failed_starts += 1
            if self._failed_starts >= START_ATTEMPTS:
                lost += self._fail_waiting(
                    f"The process that measures {how} at its start, {START_ATTEMPTS} times; "
                    "worker.log in Skipscope's folder says why."
                )
            else:
                lost += self._hire()
                self._hand_out()
        for job in lost:
            self._tell(job)

    @staticmethod
    def _tell(job: Job) -> None:
        for listener in tuple(job.listeners):
            listener(job)
