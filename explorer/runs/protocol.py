"""Lines of JSON between the run service and its workers.

A worker reads commands on its standard input and writes events on its standard output, one JSON
object a line; whatever a library prints goes to standard error, which is the log. ``task`` is an
experiment's id, or a job's.

Commands (``do``):

========= =====================================================================================
train     task, spec, folder, resume (go on from its checkpoint), paused (load, then wait)
control   task, action (``play | pause | step | slow | stop | learning_rate | snapshot |
          save_weights | fork | delete``), value: a number; of ``fork`` lane and net (a spec), of
          ``delete`` lane and units
job       task, kind, payload, click (answer it before the sweep that is running)
cancel    task
========= =====================================================================================

Events (``event``):

========= =====================================================================================
ready     the process is warm
started   task; of a training: step, steps_total, device, spec
records   task, records: everything since the last such event, in order
running   task, step
paused    task, step
snapshot  task, lane, step: the weights of that lane lie in the folder
saved     task, step: a checkpoint lies in the folder
kept      task, step: the weights of every lane are kept in the folder for good
lanes     task, spec: the experiment has one more lane from now on
refused   task, sentence: a command that could not be carried out; the training goes on
phase     task, step, phase (a part of a step in slow motion, done), lanes: {lane: values}
progress  task, share (0 to 1), text
partial   task, value: a job's result as far as it is known
done      task; of a training: step, status (``finished`` or ``stopped``), reason; of a job:
          value
cancelled task
failed    task, kind (exception type), sentence, traceback (not for people)
========= =====================================================================================

The end of its standard input is the end of a worker: however the server ends, none is left over.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

Message = dict[str, Any]


def encode(message: Message) -> bytes:
    """One line; numbers that JSON does not have (NaN, infinities) become null."""
    try:
        text = json.dumps(message, allow_nan=False, separators=(",", ":"))
    except ValueError:
        text = json.dumps(_finite(message), allow_nan=False, separators=(",", ":"))
    return text.encode() + b"\n"


def decode(line: bytes) -> Message:
    message = json.loads(line)
    if not isinstance(message, dict):
        raise ValueError("a message is an object")
    return message


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def snapshot_path(folder: Path, lane: int) -> Path:
    """Where the latest weights of a lane lie in its experiment's folder."""
    return folder / f"lane-{lane}.safetensors"


def kept_path(folder: Path, lane: int, step: int) -> Path:
    """Where the weights of a lane at one step are kept for good."""
    return folder / "weights" / f"lane-{lane}-step-{step:08d}.safetensors"


def kept_steps(folder: Path, lane: int) -> list[int]:
    """Steps at which weights of a lane are kept, in order."""
    files = (folder / "weights").glob(f"lane-{lane}-step-*.safetensors")
    return sorted(int(file.stem.rpartition("-")[2]) for file in files)


def checkpoint_path(folder: Path) -> Path:
    """Where a training can be taken up again."""
    return folder / "checkpoint.safetensors"
