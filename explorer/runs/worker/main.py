"""The process that computes: ``python -m explorer.runs.worker.main``, started by the run service.

Warm (torch and the nets are imported before anything is asked), polite (``nice``), and tied to
its server: it ends when its standard input does. What it is told and tells: ``protocol``.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from explorer.errors import Cancelled
from explorer.runs.protocol import Message
from explorer.runs.worker.channel import Channel
from explorer.system.priority import stand_back
from explorer.system.process_memory import give_back, resident
from explorer.system.trouble import in_a_sentence

if TYPE_CHECKING:
    from explorer.runs.worker.warm import Shelf

log = logging.getLogger("skipscope.worker")
PAUSE_SECONDS = 1.0  # without a command, after which freed memory goes back
IDLE_SECONDS = 120.0  # after which warm nets and data sets go, too
LARGEST_AT_REST = 1200 << 20  # bytes of a process that holds none of them; a fresh one has 600


class Worker:
    """Takes one command after the other; answers clicks in the middle of a sweep.

    Jobs run on the main thread alone. A sweep asks between its steps whether it was cancelled
    (:meth:`_cancelled`); a click that arrived meanwhile is carried out right there, on the
    sweep's stack, so that neither waits for the other to end nor shares anything with it.

    Args:
        replaced: Whether the server starts another one wherever this one ends at rest.
    """

    def __init__(self, channel: Channel, shelf: Shelf, *, replaced: bool = False) -> None:
        self._channel = channel
        self._replaced = replaced
        self._shelf = shelf
        self._waiting: deque[Message] = deque()
        self._stack: list[Message] = []  # the jobs being carried out
        self._cancel: set[str] = set()  # tasks among them
        self._worked = False  # since it last gave memory back

    def serve(self) -> None:
        """Works for ever; the channel ends the process."""
        while True:
            self._take_in()
            if not self._waiting:
                self._rest()
                continue
            command = self._waiting.popleft()
            self._worked = True
            if command["do"] == "train":
                self._attempt(command, self._train)
            else:
                self._attempt(command, self._job)

    def _rest(self) -> None:
        """Waits for a command; memory that nothing uses goes back to the system meanwhile.

        At once what measurements left between pieces in use; after a while the nets and data sets
        of the shelf as well. One that measures and is large even then ends: its server starts
        another, and asks that one what it was asking this one just then.
        """
        command = self._channel.receive(PAUSE_SECONDS)
        if command is None and self._worked:
            self._worked = False
            give_back()
            command = self._channel.receive(IDLE_SECONDS)
            if command is None:
                self._shelf.clear()
                give_back()
                if self._replaced and (resident() or 0) > LARGEST_AT_REST:
                    log.warning("ends to give %d MB back", (resident() or 0) >> 20)
                    os._exit(0)
        self._sort(self._channel.receive(None) if command is None else command)

    def _take_in(self) -> None:
        while (command := self._channel.receive()) is not None:
            self._sort(command)

    def _sort(self, command: Message | None) -> None:
        """Puts a command where it belongs: what is under way, or what waits."""
        if command is None:
            return
        task = command["task"]
        if command["do"] == "cancel":
            if any(job["task"] == task for job in self._stack):
                self._cancel.add(task)
            kept = [waiting for waiting in self._waiting if waiting["task"] != task]
            if len(kept) < len(self._waiting):
                self._waiting = deque(kept)
                self._channel.emit({"event": "cancelled", "task": task})
        elif command["do"] in ("train", "job"):
            self._waiting.append(command)
        else:  # a control: for a training that waits, or one that has just ended
            for waiting in self._waiting:
                if waiting["task"] == task:
                    waiting.setdefault("controls", []).append(command)

    def _train(self, command: Message) -> None:
        from explorer.runs.worker.trainer import Training

        Training(self._channel, command).run()

    def _job(self, command: Message) -> None:
        from explorer.runs.worker.jobs import run
        from explorer.runs.worker.warm import Context

        task = command["task"]
        self._channel.emit({"event": "started", "task": task})
        context = Context(
            shelf=self._shelf,
            level=len(self._stack) - 1,
            cancelled=lambda: self._cancelled(task),
            progress=lambda share, text: self._channel.emit(
                {"event": "progress", "task": task, "share": share, "text": text}
            ),
            partial=lambda value: self._channel.emit(
                {"event": "partial", "task": task, "value": value}
            ),
        )
        value = run(context, command["kind"], command["payload"])
        self._channel.emit({"event": "done", "task": task, "value": value})

    def _cancelled(self, task: str) -> bool:
        self._take_in()
        if not any(job.get("click") for job in self._stack):
            clicks = [command for command in self._waiting if command.get("click")]
            for click in clicks:
                self._waiting.remove(click)
                self._aside(click)
        return task in self._cancel

    def _aside(self, click: Message) -> None:
        """Carries a click out in the middle of a sweep, with gradients as at the start."""
        import torch

        with torch.inference_mode(False), torch.enable_grad():
            self._attempt(click, self._job)

    def _attempt(self, command: Message, work: Callable[[Message], None]) -> None:
        """Carries out a command; whatever it raises becomes an event."""
        task = command["task"]
        self._stack.append(command)
        try:
            work(command)
        except Cancelled:
            self._channel.emit({"event": "cancelled", "task": task})
        except Exception as error:
            self._channel.emit({"event": "failed", "task": task, **describe(error)})
        finally:
            self._stack.pop()
            self._cancel.discard(task)


def describe(error: Exception, folder: str = "Skipscope's folder") -> dict[str, Any]:
    """An exception as data; its traceback goes to the log as well, which lies in ``folder``."""
    text = traceback.format_exc()
    sentence, fault = in_a_sentence(error, f"worker.log, in {folder}")
    if fault:
        log.error("%s", text)
    return {"kind": type(error).__name__, "sentence": sentence, "traceback": text}


def warm_up(role: str, shelf: Shelf) -> None:
    """Does a tiny piece of the work once: torch loads a part of itself only then."""
    from explorer.structure.names import spec_of
    from explorer.structure.specs import DataSpec, ExperimentSpec, TrainSpec, fit_to_data

    data = DataSpec()
    net = fit_to_data(spec_of("plain_8;width=2"), data)
    if role == "train":
        import explorer.runs.worker.trainer  # noqa: F401
        from explorer.training import Session

        training = TrainSpec(steps=1, batch_size=16)
        Session(ExperimentSpec(lanes=(net,), data=data, training=training)).advance()
        return

    from explorer.runs.worker.jobs import run
    from explorer.runs.worker.warm import Context

    payload = {
        "net": {"source": "fresh", "spec": net.model_dump(mode="json"), "seed": 0},
        "data": data.model_dump(mode="json"),
        "n_images": 20,
        "program": None,
        "deleted": [],
    }
    context = Context(shelf, 0, lambda: False, lambda *_: None, lambda _: None)
    for kind in ("gradients", "evaluate"):
        run(context, kind, payload)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="explorer.runs.worker.main", description=__doc__)
    parser.add_argument("--threads", type=int, default=1, help="threads of torch")
    parser.add_argument("--nice", type=int, default=10, help="how far to stand back (Unix)")
    parser.add_argument(
        "--role",
        choices=("train", "measure"),
        default="measure",
        help="what to be warm for; it can do both",
    )
    options = parser.parse_args(arguments)

    # Whatever prints must not reach the protocol: keep the pipe, point 1 to standard error.
    events = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the server decides when a worker ends
    stand_back(options.nice)
    logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(process)d %(message)s")
    channel = Channel(sys.stdin.buffer, events)

    import torch

    from explorer.runs.worker.warm import Shelf

    torch.set_num_threads(options.threads)
    torch.set_num_interop_threads(1)
    shelf = Shelf()
    warm_up(options.role, shelf)
    channel.emit({"event": "ready"})
    Worker(channel, shelf, replaced=options.role == "measure").serve()


if __name__ == "__main__":
    main()
