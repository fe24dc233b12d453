"""One worker process, seen from the server: started, told, listened to, ended by its id."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

import explorer
from explorer.errors import RunError
from explorer.runs.protocol import Message, decode, encode

log = logging.getLogger("skipscope.service")
LOG_BYTES = 2**20  # a longer log of earlier days is begun anew


@dataclass(frozen=True)
class WorkerOptions:
    """What a worker is warm for, its threads of torch, and how far it stands back."""

    role: Literal["train", "measure"]
    threads: int
    nice: int


def child_environment(**more: str) -> dict[str, str]:
    """This process's environment for one of ours, which imports this package wherever it starts."""
    package_root = str(Path(explorer.__file__).parent.parent)
    paths = [package_root, os.environ.get("PYTHONPATH", "")]
    path = os.pathsep.join(path for path in paths if path)
    return {**os.environ, "PYTHONPATH": path, **more}


class WorkerProcess:
    """A warm process of ``explorer.runs.worker.main``.

    Args:
        home: Skipscope's folder; the worker logs there and keeps data sets there.
        on_event: Called in the reader's thread with each event, in order.
        on_end: Called there once, after the last event, with a few words on how it ended.

    Raises:
        RunError: It could not be started.
    """

    def __init__(
        self,
        home: Path,
        options: WorkerOptions,
        on_event: Callable[[WorkerProcess, Message], None],
        on_end: Callable[[WorkerProcess, str], None],
    ) -> None:
        self.ready = False
        self._on_event, self._on_end = on_event, on_end
        self._sending = threading.Lock()
        environment = child_environment(
            SKIPSCOPE_HOME=str(home), OMP_NUM_THREADS=str(options.threads)
        )
        command = [sys.executable, "-m", "explorer.runs.worker.main"]
        command += ["--role", options.role, "--threads", str(options.threads)]
        command += ["--nice", str(options.nice)]
        try:
            with _log(home) as errors:
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    env=environment,
                    start_new_session=True,  # Ctrl-C in the server's terminal is the server's
                )
        except OSError as error:
            raise RunError(
                f"No process could be started that computes ({error.strerror or error}"
                f"{f': {error.filename}' if error.filename else ''}): free some memory or space, "
                "then try again."
            ) from None
        threading.Thread(target=self._listen, name="skipscope-worker", daemon=True).start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, message: Message) -> None:
        """Tells the worker; if it is gone, its end is reported anyway."""
        with self._sending, contextlib.suppress(OSError, ValueError):
            assert self._process.stdin is not None
            self._process.stdin.write(encode(message))
            self._process.stdin.flush()

    def end(self) -> None:
        """Closes its standard input, at which it ends; returns at once."""
        with self._sending, contextlib.suppress(OSError):
            assert self._process.stdin is not None
            self._process.stdin.close()

    def kill(self, patience: float = 0.0) -> None:
        """Waits for its end up to ``patience`` seconds, then kills it."""
        try:
            self._process.wait(patience)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as events:
            for line in events:
                try:
                    message = decode(line)
                except ValueError:  # cut short by a kill in the middle of a line
                    continue
                self.ready = True
                try:
                    self._on_event(self, message)
                except Exception:  # a fault in one answer must not make the server deaf
                    log.exception("an event of worker %s could not be dealt with", self.pid)
        code = self._process.wait()
        self.end()
        self._on_end(self, how_it_ended(code))


def _log(home: Path) -> IO[bytes]:
    file = home / "worker.log"
    with contextlib.suppress(OSError):
        if file.stat().st_size > LOG_BYTES:
            file.unlink()
    return file.open("ab")


def how_it_ended(code: int) -> str:
    """An exit status in words: ``was killed (SIGKILL)``, ``ended with exit code 3``."""
    if code < 0:
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        hint = ", perhaps because memory ran out" if name == "SIGKILL" else ""
        return f"was killed ({name}{hint})"
    return f"ended with exit code {code}"
