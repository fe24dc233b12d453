"""The server's sweeps: those that lie in its folder, and the process that works on one of them.

A sweep keeps every core or GPU busy that it may have, so the others wait their turn in a queue.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from explorer.errors import RunError
from explorer.results import SweepResult
from explorer.runs.protocol import Message, decode
from explorer.runs.serve.process import child_environment, how_it_ended
from explorer.runs.sweeps.pool import LOG, cores
from explorer.runs.sweeps.sweep import SPEC, SWEEPS, Sweep, new_folder
from explorer.structure.names import title_of
from explorer.structure.specs import SweepSpec
from explorer.system.files import remove_folder

SweepStatus = Literal["queued", "running", "stopping", "stopped", "finished"]


@dataclass(frozen=True)
class SweepView:
    """A sweep as a page shows it.

    Attributes:
        problem: Why it stopped by itself, a sentence; else empty.
        share: Of the work, in [0, 1].
        seconds_left: By the pace so far; None before there is one, and at rest.
        running: What is being trained, in words.
        ahead: Sweeps that have their turn before this one, where it is queued.
    """

    id: str
    spec: SweepSpec
    status: SweepStatus
    problem: str
    share: float
    seconds_left: float | None
    running: tuple[str, ...]
    ahead: int
    result: SweepResult


class ServerSweeps:
    """Starts, queues, stops and shows sweeps; every method is quick and thread-safe.

    Args:
        home: Skipscope's folder.
        command: Of the process that drives a sweep, without its folder.
    """

    def __init__(self, home: Path, command: tuple[str, ...] | None = None) -> None:
        self._home = home
        # One core is left for the pages and what is measured on them; GPUs are all used.
        few = ("--processes", str(max(1, cores() - 1)))
        self._command = command or (sys.executable, "-m", "explorer.runs.sweeps.drive", *few)
        self._lock = threading.RLock()
        self._known: dict[str, Sweep] = {}
        self._problems: dict[str, str] = {}
        self._active: _Driver | None = None
        self._queue: list[str] = []
        self._closed = False

    def ids(self) -> tuple[str, ...]:
        """Of all sweeps, the newest first."""
        with contextlib.suppress(OSError):
            folders = (self._home / SWEEPS).iterdir()
            found = [
                folder.name
                for folder in folders
                if (folder / SPEC).is_file() and not folder.name.startswith(".")  # unfinished
            ]
            return tuple(sorted(found, reverse=True))
        return ()

    def start(self, spec: SweepSpec) -> str:
        """Begins a new sweep, at once or after those that are under way or waiting; its id.

        Raises:
            SkipscopeError: One sentence: the sweep is not possible.
        """
        with self._lock:
            folder = new_folder(self._home)
            self._known[folder.name] = Sweep(folder, spec)
            self._queue.append(folder.name)
            self._next()
            return folder.name

    def resume(self, sweep: str) -> None:
        """Goes on with what is left, at once or when it is its turn.

        Raises:
            SkipscopeError: One sentence: there is no such sweep, or it cannot be read.
        """
        with self._lock:
            self._sweep(sweep)
            active = self._under_way()
            if sweep in self._queue or (active is not None and active.moves(sweep)):
                return
            self._problems.pop(sweep, None)
            self._queue.append(sweep)
            self._next()

    def stop(self, sweep: str | None = None) -> None:
        """Runs under way save a checkpoint and end, or it waits no more; returns at once.

        Args:
            sweep: None stops the one under way, and all that wait.
        """
        with self._lock:
            self._queue = [one for one in self._queue if sweep not in (None, one)]
            if self._active is not None and sweep in (None, self._active.sweep):
                self._active.stop()

    def delete(self, sweep: str) -> None:
        """Removes a sweep that is at rest, for good.

        Raises:
            RunError: It is under way, or there is none.
        """
        with self._lock:
            folder = self._sweep_folder(sweep)
            active = self._under_way()
            if active is not None and active.sweep == sweep:
                raise RunError("This sweep is under way: stop it before you delete it.")
            self._queue = [one for one in self._queue if one != sweep]
            remove_folder(folder)
            self._known.pop(sweep, None)

    def view(self, sweep: str) -> SweepView:
        """How it stands.

        Raises:
            SkipscopeError: One sentence: there is none, or it is another version's.
        """
        with self._lock:
            one = self._sweep(sweep)
            result = one.result()
            under_way = self._under_way()
            active = under_way if under_way is not None and under_way.sweep == sweep else None
            whole = len(result.runs) == result.planned
            titles = {
                run.id: f"{title_of(run.lane)}, seed {run.experiment.seed}" for run in one.planned
            }
            said = active.progress if active is not None else {}
            status: SweepStatus = "finished" if whole else "stopped"
            ahead = 0
            if active is not None:
                status = "stopping" if active.stopping else "running"
            elif sweep in self._queue:
                status = "queued"
                ahead = self._queue.index(sweep) + (under_way is not None)
            return SweepView(
                id=sweep,
                spec=one.spec,
                status=status,
                problem=self._problems.get(sweep, ""),
                share=said.get("share", len(result.runs) / max(1, result.planned)),
                seconds_left=said.get("seconds_left"),
                running=tuple(titles.get(run, run) for run in said.get("running", ())),
                ahead=ahead,
                result=result,
            )

    def close(self, patience: float = 6.0) -> None:
        """Ends what is under way; what trains saves a checkpoint."""
        with self._lock:
            self._closed = True
            self._queue.clear()
            active, self._active = self._active, None
        if active is not None:
            active.end(patience)

    # ------------------------------------------------------------------------------ within

    def _sweep_folder(self, sweep: str) -> Path:
        if sweep not in self.ids():
            raise RunError(f"There is no sweep {sweep[:60]!r} here: choose one of the list.")
        return self._home / SWEEPS / sweep

    def _sweep(self, sweep: str) -> Sweep:
        folder = self._sweep_folder(sweep)
        if sweep not in self._known:
            self._known[sweep] = Sweep(folder)
        return self._known[sweep]

    def _under_way(self) -> _Driver | None:
        active = self._active
        return active if active is not None and not active.ended.is_set() else None

    def _next(self) -> None:
        """Gives the next of the queue its turn, where none is under way."""
        with self._lock:
            while self._queue and self._under_way() is None and not self._closed:
                sweep = self._queue.pop(0)
                self._problems.pop(sweep, None)
                try:
                    self._active = _Driver(
                        sweep, self._home, self._command, self._problems, self._next
                    )
                except RunError as error:
                    self._problems[sweep] = str(error)


class _Driver:
    """The process that works on a sweep.

    Args:
        then: Called once it is gone.

    Attributes:
        progress: What it said last; empty before it did.
        ended: Set once it is gone.
    """

    def __init__(
        self,
        sweep: str,
        home: Path,
        command: tuple[str, ...],
        problems: dict[str, str],
        then: Callable[[], None],
    ) -> None:
        self.sweep, self.progress, self.stopping = sweep, Message(), False
        self.ended = threading.Event()
        self._problems, self._then = problems, then
        folder = home / SWEEPS / sweep
        environment = child_environment(SKIPSCOPE_HOME=str(home))
        try:
            with (folder / LOG).open("ab") as errors:
                self._process = subprocess.Popen(
                    [*command, str(folder)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    env=environment,
                    start_new_session=True,  # Ctrl-C in the server's terminal is the server's
                )
        except OSError as error:
            raise RunError(
                f"The sweep could not be started ({error.strerror or error}): free some space or "
                "memory, then go on with it."
            ) from None
        threading.Thread(target=self._listen, name="skipscope-sweep", daemon=True).start()

    def moves(self, sweep: str) -> bool:
        """Whether it works on this one, and goes on with it."""
        return self.sweep == sweep and not self.stopping

    def stop(self) -> None:
        """Closes its standard input, at which it saves and ends."""
        self.stopping = True
        with contextlib.suppress(OSError):
            assert self._process.stdin is not None
            self._process.stdin.close()

    def end(self, patience: float) -> None:
        """Stops it, and kills it if that takes longer; what it started then ends by itself."""
        self.stop()
        try:
            self._process.wait(patience)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _listen(self) -> None:
        last = ""
        assert self._process.stdout is not None
        with self._process.stdout as events:
            for line in events:
                with contextlib.suppress(ValueError):  # cut short by a kill
                    message = decode(line)
                    last = message["event"]
                    if last == "progress":
                        self.progress = message
                    elif last == "failed":
                        self._problems[self.sweep] = message["sentence"]
        code = self._process.wait()
        with contextlib.suppress(OSError):
            assert self._process.stdin is not None
            self._process.stdin.close()
        if last not in ("over", "failed") and not self.stopping:
            self._problems[self.sweep] = (
                f"The process that worked on this sweep {how_it_ended(code)}: what is done is "
                "kept; go on with it."
            )
        self.ended.set()
        self._then()
