"""One run of a sweep after the other, in a process of its own.

``python -m explorer.runs.sweeps.train_one`` is told on its standard input, one JSON object a line,
to ``train`` (folder, experiment) or to ``stop``, and says on its standard output the ``share``
done, and at the end of each run ``over``, ``stopped`` or ``failed`` (sentence). When its standard
input ends, it saves a checkpoint and ends.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from explorer.errors import RunError
from explorer.results import QUANTITIES, Record
from explorer.runs.protocol import Message, decode, encode
from explorer.runs.worker.main import describe
from explorer.structure.names import title_of
from explorer.structure.specs import ExperimentSpec, parse
from explorer.system.bounded import stored_json
from explorer.system.files import write_text
from explorer.system.priority import stand_back
from explorer.training.loop import Session

CHECKPOINT, RECORDS, RESULT = "checkpoint.safetensors", "records.json", "result.json"
SAVE_EVERY, TELL_EVERY = 30.0, 0.5  # seconds
ENDINGS = ("diverged", "failed", "reached")


def train(
    folder: Path,
    experiment: ExperimentSpec,
    tell: Callable[[float], None],
    stopped: Callable[[], bool],
) -> bool:
    """Trains a run, from its checkpoint where there is one; whether it came to its end.

    Args:
        tell: Told the share done, in [0, 1].

    Raises:
        SkipscopeError: The data, the nets or the folder cannot be used.
    """
    session, kept = _begun(folder, experiment)
    tell(session.share_done)
    saved = told = time.monotonic()
    while not session.finished:
        if stopped() or time.monotonic() - saved > SAVE_EVERY:
            _save(folder, session, kept)
            saved = time.monotonic()
            if stopped():
                return False
        kept += [record for record in session.advance() if record.kind in ("eval", *ENDINGS)]
        if time.monotonic() - told > TELL_EVERY:
            told = time.monotonic()
            tell(session.share_done)
    _write(folder / RESULT, _result(session, kept))
    for name in (CHECKPOINT, RECORDS):
        (folder / name).unlink(missing_ok=True)
    return True


def _begun(folder: Path, experiment: ExperimentSpec) -> tuple[Session, list[Record]]:
    file = folder / CHECKPOINT
    if file.exists():
        try:
            session = Session.resume(file, experiment=experiment)
            rows = stored_json((folder / RECORDS).read_text("utf-8"))
        except (RunError, OSError, ValueError):  # damaged: nothing is lost but its time
            pass
        else:
            # They may be newer than the checkpoint, whose next step then makes them again.
            records = [Record.from_json(row) for row in rows]
            return session, [record for record in records if record.step < session.step]
    return Session(experiment, profiles=False), []


def _save(folder: Path, session: Session, kept: list[Record]) -> None:
    _write(folder / RECORDS, [record.to_json() for record in kept])
    session.save(folder / CHECKPOINT)


def _result(session: Session, kept: list[Record]) -> dict[str, Any]:
    experiment = session.experiment
    evals = [record for record in kept if record.kind == "eval"]
    last = evals[-1].values if evals else {}
    why = session.why_finished or ""
    rows = [
        {
            **_columns(evals, place, experiment.seeds),
            "outcome": "seconds" if why else "",
            "ended": why,
        }
        for place in range(experiment.seeds)
    ]
    for record in kept:
        if record.kind in ENDINGS:
            place = record.values.get("seed", experiment.seed) - experiment.seed
            sentence = record.values["message"].replace("Lane 1", title_of(experiment.lanes[0]), 1)
            rows[place] |= {"outcome": record.kind, "ended": sentence}
    return {
        "seeds": rows,
        "seconds": session.seconds,
        "n_train": last.get("n_train", 0),
        "n_test": last.get("n_test", 0),
    }


def _columns(evals: list[Record], place: int, seeds: int) -> dict[str, list[float | None]]:
    """Evaluations of one seed as far as its net was measured; None: not a finite number."""
    columns: dict[str, list[float | None]] = {name: [] for name in ("step", *QUANTITIES)}
    for record in evals:
        values = record.values["by_seed"] if seeds > 1 else record.values
        row = {name: values[name][place] if seeds > 1 else values[name] for name in QUANTITIES}
        if row["test_error"] is not None:  # None from where its net has ended
            columns["step"].append(record.step)
            for name, value in row.items():
                columns[name].append(value)
    return columns


def _write(file: Path, value: Any) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_text(file, json.dumps(value))
    except OSError as error:
        raise RunError(
            f"The file {str(file)!r} cannot be written ({error.strerror or error}): free some "
            "space, then go on."
        ) from None


def main() -> None:
    """Obeys until standard input ends."""
    # Whatever prints must not be taken for a word of ours: keep the pipe, point 1 to the log.
    events = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the sweep says when to stop
    stand_back(10)
    logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(process)d %(message)s")
    torch.set_num_threads(1)
    torch.set_num_interop_threads(1)

    def say(message: Message) -> None:
        try:
            events.write(encode(message))
            events.flush()
        except OSError:  # nobody reads: the sweep is gone, and the checkpoint matters
            stop.set()

    stop = threading.Event()
    asked: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(asked, stop), daemon=True).start()
    while (command := asked.get()) is not None:
        try:
            over = train(
                Path(command["folder"]),
                parse(ExperimentSpec, command["experiment"]),
                lambda share: say({"event": "share", "share": share}),
                stop.is_set,
            )
            say({"event": "over" if over else "stopped"})
        except Exception as error:
            sentence = describe(error, "the sweep's folder")["sentence"]
            say({"event": "failed", "sentence": sentence})


def _listen(asked: queue.SimpleQueue[Message | None], stop: threading.Event) -> None:
    try:
        for line in sys.stdin.buffer:
            command = decode(line)
            if command["do"] == "stop":
                stop.set()
            else:
                asked.put(command)
    finally:  # also where a kill cut the last line short
        stop.set()
        asked.put(None)


if __name__ == "__main__":
    main()
