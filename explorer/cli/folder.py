"""What ``skipscope train --out`` keeps in its folder: the experiment and its records. No torch."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from explorer.cli import text
from explorer.errors import RunError
from explorer.results import Record
from explorer.results.training import RECORD_VALUES
from explorer.structure.specs import ExperimentSpec, parse
from explorer.system.bounded import local_path, stored_json

CHECKPOINT = "checkpoint.safetensors"
RECORDS = "records.jsonl"


@dataclass(frozen=True)
class Lines:
    """The lines of a file of records.

    Attributes:
        damaged: Numbers, from 1, of those that are no record.
        cut: The last one was cut short by a kill; it is left out.
    """

    records: list[Record]
    damaged: list[int]
    cut: bool

    def problem(self, file: Path) -> str | None:
        """A sentence on what is damaged; None where nothing is."""
        if not self.damaged:
            return None
        numbers = ", ".join(map(str, self.damaged[:5])) + (", …" if len(self.damaged) > 5 else "")
        lines = f"Line {numbers}" if len(self.damaged) == 1 else f"Lines {numbers}"
        verb = "is" if len(self.damaged) == 1 else "are"
        return f"{lines} of {str(file)!r} {verb} damaged and left out; the rest is kept."


def read_lines(file: Path) -> Lines:
    """Every whole record of a file, whatever stands between them; nothing where there is no file.

    Raises:
        OSError: The file cannot be read.
    """
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        return Lines([], [], cut=False)
    rows = content.split(b"\n")
    last = rows.pop()  # empty, unless it was cut short
    records, damaged = [], []
    for number, row in enumerate(rows, 1):
        record = _record(row)
        if record is not None:
            records.append(record)
        elif row.strip():
            damaged.append(number)
    end = _record(last)
    return Lines([*records, *([end] if end else [])], damaged, cut=bool(last))


def _record(row: bytes) -> Record | None:
    try:
        value = stored_json(row)
        record = Record.from_json(value)
        whole = all(type(n) is int and n >= 0 for n in (record.lane, record.step))
        keys = RECORD_VALUES[record.kind]
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    return record if whole and all(key in record.values for key in keys) else None


def missing_steps(records: Iterable[Record], step: int, file: Path) -> str | None:
    """A sentence on the steps before ``step`` of which there is no record; None where all are.

    Args:
        records: Those of the file, and those that a checkpoint will hand on first.
    """
    known = {record.step for record in records if record.kind == "step"}
    gone = [n for n in range(step) if n not in known]
    if not gone:
        return None
    which = f"step {gone[0]}" if len(gone) == 1 else f"{len(gone)} steps ({gone[0]} to {gone[-1]})"
    return f"{str(file)!r} has no record of {which} before {step}: the curve has a gap there."


def is_folder(name: str) -> bool:
    """Whether a net's name is such a folder instead."""
    return os.path.isdir(local_path(name, RunError))


def read_folder(name: str) -> tuple[ExperimentSpec, list[Record]]:
    """The experiment, and everything recorded of it; what is damaged or missing is said.

    Raises:
        RunError: No folder of a training, or a damaged one.
    """
    from safetensors import SafetensorError, safe_open

    folder = local_path(name, RunError)
    file = folder / RECORDS
    try:
        with safe_open(folder / CHECKPOINT, framework="np") as stored:
            state = stored_json((stored.metadata() or {})["skipscope"])
        lines = read_lines(file)
        spec = parse(ExperimentSpec, state["experiment"])
        known = [*lines.records, *map(Record.from_json, state.get("pending", ()))]
        problems = (lines.problem(file), missing_steps(known, int(state["step"]), file))
    except (OSError, SafetensorError, KeyError, ValueError, TypeError):
        raise RunError(
            f"{name!r} is not the folder of a training: give one that `skipscope train --out "
            "FOLDER` wrote."
        ) from None
    for problem in problems:
        if problem is not None:
            text.note(problem)
    return spec, lines.records
