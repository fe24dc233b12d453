"""Workers as threads of the tests' own process: the same commands, events and code, at no start."""

from __future__ import annotations

import itertools
import queue
import threading
from collections.abc import Callable
from pathlib import Path

from explorer.runs.protocol import Message, decode, encode
from explorer.runs.serve.process import WorkerOptions
from explorer.runs.worker.channel import Channel
from explorer.runs.worker.main import Worker
from explorer.runs.worker.warm import Shelf

_PIDS = itertools.count(-1, -1)  # nobody's, so that nothing can be killed by them


class _Ended(BaseException):
    """Unwinds whatever the worker is doing, as a kill would end it."""


class ThreadWorker:
    """Stands where :class:`explorer.runs.serve.process.WorkerProcess` does.

    What is sent and told goes through the protocol's bytes, and is heard in a thread of its own,
    as with a process. It does not stand back, nor warm up; it can neither crash nor be killed
    from outside: tests of that keep the process.
    """

    def __init__(
        self,
        home: Path,
        options: WorkerOptions,
        on_event: Callable[[ThreadWorker, Message], None],
        on_end: Callable[[ThreadWorker, str], None],
    ) -> None:
        self.ready = False
        self.pid = next(_PIDS)
        self._channel = _Wire()
        self._on_event, self._on_end = on_event, on_end
        self._work = threading.Thread(target=self._serve, daemon=True)
        self._work.start()
        threading.Thread(target=self._listen, daemon=True).start()

    def send(self, message: Message) -> None:
        self._channel.inbox.put(decode(encode(message)))

    def end(self) -> None:
        self._channel.ended = True
        self._channel.inbox.put(None)

    def kill(self, patience: float = 0.0) -> None:
        if patience:
            self._work.join(patience)
        self._channel.killed = self._work.is_alive()
        self.end()

    def _serve(self) -> None:
        try:
            self._channel.emit({"event": "ready"})
            Worker(self._channel, Shelf()).serve()
        except _Ended:
            self._channel.told.put(None)

    def _listen(self) -> None:
        while (line := self._channel.told.get()) is not None:
            self.ready = True
            self._on_event(self, decode(line))
        self._on_end(self, "was killed" if self._channel.killed else "ended with exit code 0")


class _Wire(Channel):
    """The channel's batches and order over two queues."""

    def __init__(self) -> None:
        self.inbox: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self.told: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self.ended = self.killed = False
        self._lock = threading.RLock()
        self._records = []
        self._task = ""
        self._some = threading.Event()
        threading.Thread(target=self._send_in_time, daemon=True).start()

    def receive(self, timeout: float | None = 0.0) -> Message | None:
        self._end_if_told()
        try:
            command = self.inbox.get(block=timeout != 0.0, timeout=timeout)
        except queue.Empty:
            return None
        self._end_if_told()
        return command

    def _end_if_told(self) -> None:
        if self.ended:
            raise _Ended

    def _write(self, message: Message) -> None:
        if threading.current_thread().name != "_send_in_time":
            self._end_if_told()
        self.told.put(encode(message))
