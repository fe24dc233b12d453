"""A worker's end of the two pipes: commands in, events out, records gathered into batches."""

from __future__ import annotations

import os
import queue
import threading
from typing import Any, BinaryIO

from explorer.results import Record
from explorer.runs.protocol import Message, decode, encode

FLUSH_SECONDS = 0.1


class Channel:
    """Reads commands in a thread of its own, so that the pipe's end is noticed during work.

    Records wait up to ``FLUSH_SECONDS`` and go out together; any other event sends them first,
    so the order is kept.
    """

    def __init__(self, commands: BinaryIO, events: BinaryIO) -> None:
        self._commands = commands
        self._events = events
        self._inbox: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._lock = threading.RLock()
        self._records: list[dict[str, Any]] = []
        self._task = ""
        self._some = threading.Event()
        for target in (self._listen, self._send_in_time):
            threading.Thread(target=target, name=target.__name__, daemon=True).start()

    def receive(self, timeout: float | None = 0.0) -> Message | None:
        """The next command; waits for it up to ``timeout`` seconds (None: for ever)."""
        try:
            return self._inbox.get(block=timeout != 0.0, timeout=timeout)
        except queue.Empty:
            return None

    def emit(self, message: Message) -> None:
        with self._lock:
            self.flush()
            self._write(message)

    def record(self, task: str, record: Record) -> None:
        with self._lock:
            self._task = task
            self._records.append(record.to_json())
            self._some.set()

    def flush(self) -> None:
        with self._lock:
            if self._records:
                records, self._records = self._records, []
                self._write({"event": "records", "task": self._task, "records": records})

    def _write(self, message: Message) -> None:
        try:
            self._events.write(encode(message))
            self._events.flush()
        except OSError:  # nobody reads: the server is gone
            os._exit(0)

    def _send_in_time(self) -> None:
        wait = threading.Event()
        while True:
            self._some.wait()
            self._some.clear()
            wait.wait(FLUSH_SECONDS)
            self.flush()

    def _listen(self) -> None:
        try:
            for line in self._commands:
                self._inbox.put(decode(line))
        finally:  # also where a kill cut the last line short
            os._exit(0)
