"""The run service as its present asker may use it: all of it at this machine, less on the network.

Pages and routes take the service from here. At this machine that is the service itself; somebody on
the network is given one whose every method asks the table (:mod:`explorer.pages.server.rights`)
first. A method that is not in the table is refused, so that a new one cannot be forgotten.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, cast

from explorer.data import catalog
from explorer.data.downloads import is_here
from explorer.data.uploaded import is_kept_zip
from explorer.errors import NotAllowedError, RunError
from explorer.pages.server.askers import HERE, Asker, asker
from explorer.pages.server.rights import (
    ALL_JOBS,
    ALL_RUNS,
    ALL_SWEEPS,
    OWN_JOBS,
    OWN_RUNS,
    OWN_SWEEPS,
    ActionRow,
    action,
    allowed,
    refuse,
)
from explorer.runs.serve import service as runs
from explorer.runs.serve.job_queue import JobHandle
from explorer.runs.serve.service import RunService
from explorer.structure.specs import DataInfo, DataSpec

MOVING = ("queued", "starting", "running")  # statuses of what takes room
_KEPT = 4096


def get_service() -> RunService:
    """The server's run service, for whoever asks now."""
    service, now = runs.get_service(), asker()
    return service if now == HERE else cast(RunService, _Visited(service, now))


def data_info(spec: DataSpec) -> DataInfo:
    """What is known of a data set, where the asker may know it.

    Raises:
        SkipscopeError: One sentence: no such folder; or it is none of theirs, which is said
            whether or not there is such a folder.
    """
    check_folder(spec)
    return catalog.data_info(spec)


def check_folder(spec: DataSpec, now: Asker | None = None) -> None:
    """Refuses the network a folder of the server that no run here was trained on.

    A dropped archive's name is made of its content and leads nowhere else: who knows it has either.
    """
    if is_kept_zip(spec.path or ""):
        return
    if spec.name != "folder" or (now or asker()) == HERE or "folders" in allowed():
        return
    shown = {run.spec.data.path for run in runs.get_service().experiments()}
    if spec.path is None or spec.path not in shown:
        raise refuse("folders", "To choose a folder of the server")


def may(name: str, run: str | None = None) -> bool:
    """Whether the asker may do something, for a page to leave out what is refused anyway."""
    now = asker()
    if now == HERE:
        return True
    row = action(name)
    match row.network:
        case "own":
            return "runs" in allowed() or (run is not None and _began.by(run) == now.visitor)
        case "yes" | "bounded":
            return True
        case grant:
            return grant in allowed()


# ------------------------------------------------------------------------------ who began what


class _Began:
    """By run or sweep, who on the network began it; forgotten when the server ends."""

    def __init__(self) -> None:
        self._visitors: OrderedDict[str, str] = OrderedDict()
        self._jobs: OrderedDict[str, list[JobHandle]] = OrderedDict()
        self._lock = threading.Lock()

    def by(self, run: str) -> str | None:
        with self._lock:
            # Nobody is known by no name.
            return self._visitors.get(run) or None

    def note(self, run: str, visitor: str) -> None:
        with self._lock:
            self._visitors[run] = visitor
            while len(self._visitors) > _KEPT:
                self._visitors.popitem(last=False)

    def all(self) -> dict[str, str]:
        with self._lock:
            return dict(self._visitors)

    def jobs(self, visitor: str) -> tuple[int, int]:
        """Measurements under way or waiting: this visitor's, and all of the network's."""
        with self._lock:
            for name, jobs in list(self._jobs.items()):
                left = [job for job in jobs if job.state in ("waiting", "running")]
                if left:
                    self._jobs[name] = left
                else:
                    del self._jobs[name]
            counts = {name: len(jobs) for name, jobs in self._jobs.items()}
        return counts.get(visitor, 0), sum(counts.values())

    def asked(self, visitor: str, job: JobHandle) -> None:
        with self._lock:
            self._jobs.setdefault(visitor, []).append(job)


_began = _Began()


# ---------------------------------------------------------------------------- what they are given


class _Visited:
    """A service, or its sweeps, whose methods ask the table before they do anything.

    Args:
        whole: What it stands for.
        prefix: Before the methods' names in the table.
    """

    def __init__(self, whole: Any, now: Asker, prefix: str = "") -> None:
        self._whole, self._now, self._prefix = whole, now, prefix

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._whole, name)
        if name == "sweeps":
            return _Visited(found, self._now, "sweeps.")
        if not callable(found):
            return found
        if name == "control":
            return self._control
        try:
            row = action(self._prefix + name)
        except KeyError:
            raise NotAllowedError(f"{name!r} is nothing that the network may ask for.") from None
        return partial(self._do, row, found)

    def _control(self, run: str, act: str, value: float | None = None) -> None:
        try:
            row = action(act)
        except KeyError:
            raise RunError(f"There is no action {act!r}.") from None
        self._do(row, lambda run: self._whole.control(run, act, value), run)

    def _do(self, row: ActionRow, act: Callable[..., Any], *args: Any, **named: Any) -> Any:
        match row.network:
            case "yes":
                pass
            case "own":
                self._own(row, str(args[0] if args else next(iter(named.values()), "")))
            case "bounded":
                self._bounded(row, args[0] if args else None, args[1] if len(args) > 1 else None)
            case grant if grant not in allowed():
                raise refuse(grant, f"To {row.what}")
        done = act(*args, **named)
        if row.name in ("create", "sweeps.start"):
            _began.note(done, self._now.visitor)
        elif row.name == "submit":
            _began.asked(self._now.visitor, done)
        return done

    def _own(self, row: ActionRow, run: str) -> None:
        if "runs" in allowed():
            return
        if not self._now.visitor or _began.by(run) != self._now.visitor:
            raise refuse("runs", "Somebody else began this; to steer, rename or delete it")
        if row.name in ("play", "resume", "step"):
            self._room(but=run)

    def _bounded(self, row: ActionRow, first: Any, second: Any) -> None:
        match row.name:
            case "create":
                self._images(first.data)
                self._room()
            case "sweeps.start":
                self._images(first.data)
                self._room_for_sweep()
            case "submit":
                if first in ("prepare_data", "prepare_weights") and "downloads" not in allowed():
                    raise refuse("downloads", "To download something")
                check_folder(_data_of(second), self._now)
                own, whole = _began.jobs(self._now.visitor)
                self._within("measurements", own, OWN_JOBS, whole, ALL_JOBS)

    def _images(self, data: DataSpec) -> None:
        """Refuses what a training would read or fetch, and somebody on the network may not."""
        check_folder(data, self._now)
        if "downloads" not in allowed() and not is_here(data):
            title = catalog.data_info(data).title
            raise refuse("downloads", f"{title} is not on the server; to download it")

    def _room(self, but: str = "") -> None:
        """Refuses one more training where there are enough of the network's."""
        began = _began.all()
        moving = [
            began[run.id]
            for run in runs.get_service().experiments()
            if run.id in began and run.id != but and run.status in MOVING
        ]
        own = moving.count(self._now.visitor)
        self._within("trainings", own, OWN_RUNS, len(moving), ALL_RUNS)

    def _room_for_sweep(self) -> None:
        sweeps, began = self._whole, _began.all()
        moving = [
            began[sweep]
            for sweep in sweeps.ids()
            if sweep in began and sweeps.view(sweep).status in ("queued", "running", "stopping")
        ]
        own = moving.count(self._now.visitor)
        self._within("sweeps", own, OWN_SWEEPS, len(moving), ALL_SWEEPS)

    def _within(self, what: str, own: int, most_own: int, whole: int, most: int) -> None:
        if "queue" in allowed():
            return
        if own >= most_own:
            raise NotAllowedError(
                f"You have {own} {what} under way or waiting, as many as one visitor may: wait "
                "for one to end, or stop it."
            )
        if whole >= most:
            raise NotAllowedError(
                f"{whole} {what} of visitors are under way or waiting, as many as there may be: "
                "try again when some have ended."
            )


def _data_of(payload: Any) -> DataSpec:
    """The images that a measurement is asked for on; the digits where none are named."""
    given = payload.get("data") if isinstance(payload, Mapping) else getattr(payload, "data", None)
    if isinstance(given, DataSpec):
        return given
    if isinstance(given, Mapping) and given.get("name") == "folder":
        return DataSpec.model_construct(name="folder", path=given.get("path"))
    return DataSpec()
