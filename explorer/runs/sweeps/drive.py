"""The process that drives one sweep for the server.

``python -m explorer.runs.sweeps.drive FOLDER`` holds no torch: the processes that it starts do
(:mod:`explorer.runs.sweeps.pool`). On its standard output it says, one JSON object a line, its
``progress`` (share, seconds_left, running), and at the end ``over`` or ``failed`` (sentence). When
its standard input ends, it saves what is under way and ends: however the server ends, nothing is
left running and nothing done is lost.
"""

from __future__ import annotations

import argparse
import os
import signal
import threading
from pathlib import Path

from explorer.errors import SkipscopeError
from explorer.runs.protocol import Message, encode
from explorer.runs.sweeps.sweep import Progress, Sweep


def main() -> None:
    parser = argparse.ArgumentParser(prog="explorer.runs.sweeps.drive", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--processes", type=int)
    options = parser.parse_args()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the server says when to stop
    events = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    stop = threading.Event()
    threading.Thread(target=_until_the_end, args=(stop,), daemon=True).start()

    def say(message: Message) -> None:
        try:
            events.write(encode(message))
            events.flush()
        except OSError:  # nobody listens any more
            stop.set()

    def tell(now: Progress) -> None:
        say(
            {
                "event": "progress",
                "share": now.share,
                "seconds_left": now.seconds_left,
                "running": list(now.running),
            }
        )

    try:
        Sweep(options.folder).run(
            processes=options.processes, on_progress=tell, stopped=stop.is_set
        )
        say({"event": "over"})
    except SkipscopeError as error:
        say({"event": "failed", "sentence": str(error)})


def _until_the_end(stop: threading.Event) -> None:
    # Not by sys.stdin: a thread that waits in it when the process ends would abort it.
    while os.read(0, 1024):
        pass
    stop.set()


if __name__ == "__main__":
    main()
