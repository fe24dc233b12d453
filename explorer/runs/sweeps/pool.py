"""Processes that train the runs of a sweep, each one at a time (:mod:`.train_one`)."""

from __future__ import annotations

import contextlib
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from explorer.errors import RunError
from explorer.runs.protocol import Message, decode, encode
from explorer.runs.serve.process import child_environment, how_it_ended
from explorer.runs.sweeps.plan import Planned

COMMAND = (sys.executable, "-m", "explorer.runs.sweeps.train_one")
LOG = "worker.log"
PATIENCE = 60.0  # seconds to save a checkpoint in


def gpus() -> list[str]:
    """Of this machine, as ``CUDA_VISIBLE_DEVICES`` names them; found without torch."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [one for one in visible.split(",") if one not in ("", "-1")]
    return [str(i) for i in range(len(list(Path("/dev").glob("nvidia[0-9]*"))))]


def cores() -> int:
    """That this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class PoolProcess:
    """One process, and the run that it trains."""

    def __init__(self, log: Path, gpu: str | None, said: queue.Queue[tuple[PoolProcess, Message]]):
        self.run: Planned | None = None
        environment = child_environment(OMP_NUM_THREADS="1")
        if gpu is not None:
            environment["CUDA_VISIBLE_DEVICES"] = gpu
        with log.open("ab") as errors:
            self.popen = subprocess.Popen(
                COMMAND,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=environment,
                start_new_session=True,  # Ctrl-C in the terminal is for the sweep, which asks us
            )
        self._said = said
        threading.Thread(target=self._listen, name="skipscope-sweep", daemon=True).start()

    def send(self, message: Message) -> None:
        """Tells the process; if it is gone, its end is reported anyway."""
        with contextlib.suppress(OSError, ValueError):
            assert self.popen.stdin is not None
            self.popen.stdin.write(encode(message))
            self.popen.stdin.flush()

    def end(self) -> None:
        """Closes its standard input, at which it ends."""
        with contextlib.suppress(OSError):
            assert self.popen.stdin is not None
            self.popen.stdin.close()

    def _listen(self) -> None:
        assert self.popen.stdout is not None
        with self.popen.stdout as events:
            for line in events:
                with contextlib.suppress(ValueError):  # cut short by a kill
                    self._said.put((self, decode(line)))
        ended = how_it_ended(self.popen.wait())
        self.end()
        self._said.put((self, {"event": "gone", "how": ended}))


class Pool:
    """Some processes that share the runs of a sweep.

    Args:
        size: How many.
        devices: GPUs, taken in turns; none: each process has one thread of the processor.

    Attributes:
        shares: (first told, last told) of each run under way, in [0, 1].
        finished: Ids of the runs that came to their end.
    """

    def __init__(self, size: int, folder: Path, devices: Sequence[str]) -> None:
        self._folder = folder
        self._said: queue.Queue[tuple[PoolProcess, Message]] = queue.Queue()
        self.shares: dict[str, tuple[float, float]] = {}
        self.finished: list[str] = []
        self.stopping = False
        self._began: float | None = None
        try:
            self._processes = [
                PoolProcess(
                    folder / LOG, devices[i % len(devices)] if devices else None, self._said
                )
                for i in range(size)
            ]
        except OSError as error:
            raise RunError(
                f"No process could be started to train in ({error.strerror or error}): close other "
                "programs, or choose fewer processes."
            ) from None

    @property
    def running(self) -> tuple[str, ...]:
        """Ids of the runs under way."""
        return tuple(process.run.id for process in self._processes if process.run is not None)

    @property
    def seconds(self) -> float:
        """Since the first run began to train."""
        return 0.0 if self._began is None else time.monotonic() - self._began

    def hand_out(self, waiting: list[Planned]) -> None:
        """Gives processes that have nothing to do a run each; removes these from ``waiting``.

        The first run begins alone, so that data is downloaded once.
        """
        for process in self._processes:
            alone = not self.shares and not self.finished
            if not waiting or (alone and self.running):
                return
            if process.run is None:
                process.run = waiting.pop(0)
                folder = str(self._folder / process.run.id)
                experiment = process.run.experiment.model_dump(mode="json")
                process.send({"do": "train", "folder": folder, "experiment": experiment})

    def listen(self, seconds: float = 0.2) -> None:
        """Takes in what the processes say, and waits for it so long at most.

        Raises:
            RunError: One has failed, or has ended without a word.
        """
        until = time.monotonic() + seconds
        while True:
            try:
                process, message = self._said.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                return
            self._take(process, message)

    def _take(self, process: PoolProcess, message: Message) -> None:
        run, event = process.run, message["event"]
        if event == "gone":
            process.run = None
            self._processes.remove(process)
            who = f"The process that trained {run.id}" if run is not None else "A process"
            raise RunError(
                f"{who} {message['how']}; what is done is kept, and {LOG} in the sweep's folder "
                "has its last words: go on with what is left, with fewer processes if memory was "
                "short."
            )
        if run is None:
            return
        if event == "share":
            if self._began is None:
                self._began = time.monotonic()
            first, _ = self.shares.get(run.id, (message["share"], 0.0))
            self.shares[run.id] = first, message["share"]
            return
        process.run = None
        if event == "over":
            self.finished.append(run.id)
        elif event == "failed":
            raise RunError(f"{run.id}: {message['sentence']}")

    def stop(self) -> None:
        """Runs under way save a checkpoint; returns when they have."""
        self.stopping = True
        for process in self._processes:
            process.send({"do": "stop"})
        until = time.monotonic() + PATIENCE
        while self.running and time.monotonic() < until:
            self.listen()

    def end(self) -> None:
        """Whatever happened: runs under way save a checkpoint, and all processes end."""
        while True:
            try:
                self.stop()
                break
            except RunError:  # one sentence is on its way already
                continue
        for process in self._processes:
            process.end()
            process.popen.kill()  # nothing is under way: no need to let torch say goodbye
        for process in self._processes:
            process.popen.wait()
