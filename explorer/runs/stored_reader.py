"""A stored run read from outside the app: its file is opened for reading only.

One process at a time may hold the store (:class:`explorer.runs.store.Store`); a look like this one
needs no hold, marks nothing as interrupted, and can be taken while the app trains.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from explorer.errors import RunError
from explorer.instruments.lesions.result import LesionCurve
from explorer.results import Record
from explorer.runs.store import SCHEMA_VERSION, STORE, ExperimentRow, is_locked
from explorer.structure.specs import ExperimentSpec, parse
from explorer.system.bounded import stored_json
from explorer.system.home import default_home

_NAMED = 5  # runs that a sentence names


@dataclass(frozen=True)
class StoredRun:
    """One run with everything recorded of it so far.

    Attributes:
        lesions: By lane, the last lesion curve that the app measured, with its weights' step.
    """

    row: ExperimentRow
    spec: ExperimentSpec
    records: list[Record]
    lesions: Mapping[int, tuple[int, LesionCurve]]


def stored_run(run: str, home: Path | None = None) -> StoredRun:
    """The run of an id.

    Args:
        home: Skipscope's folder; None is ``SKIPSCOPE_HOME``, or ``~/.skipscope``.

    Raises:
        RunError: There is no such run, or the file cannot be read.
    """
    with _open(home or default_home()) as database:
        found = database.execute("SELECT * FROM experiments WHERE id = ?", (run,)).fetchone()
        if found is None:
            raise RunError(f"There is no stored run {run!r}: {_there(database)}.")
        row = ExperimentRow.of(found)
        records = database.execute(
            "SELECT kind, lane, step, payload FROM records WHERE experiment = ? ORDER BY id", (run,)
        ).fetchall()
        lesions = database.execute(
            "SELECT lane, step, payload FROM results WHERE id IN (SELECT max(id) FROM results "
            "WHERE experiment = ? AND kind = 'lesions' GROUP BY lane)",
            (run,),
        ).fetchall()
    return StoredRun(
        row=row,
        spec=parse(ExperimentSpec, row.spec),
        records=[Record(kind, lane, step, stored_json(text)) for kind, lane, step, text in records],
        lesions={
            lane: (step, LesionCurve.from_json(stored_json(text))) for lane, step, text in lesions
        },
    )


@contextmanager
def _open(home: Path) -> Iterator[sqlite3.Connection]:
    path = (home / STORE).resolve()
    if not path.is_file():
        raise RunError(
            f"No runs are stored in {home}: train in `skipscope app`, or set SKIPSCOPE_HOME to "
            "the folder of those that were."
        )
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=10)) as database:
            version = int(database.execute("PRAGMA user_version").fetchone()[0])
            if version != SCHEMA_VERSION:
                raise RunError(
                    f"{path} has format {version}, this Skipscope reads {SCHEMA_VERSION}: start "
                    "`skipscope app` with the newer of the two once."
                )
            yield database
    except sqlite3.Error as error:
        then = (
            "another program holds the file; close it, and try again"
            if is_locked(error)
            else "start `skipscope app` once, which puts a damaged file aside"
        )
        raise RunError(f"The runs in {path} cannot be read ({error}): {then}.") from None


def _there(database: sqlite3.Connection) -> str:
    """The newest runs, for somebody who mistyped an id."""
    rows = database.execute(
        "SELECT id, name FROM experiments WHERE deleted IS NULL ORDER BY created DESC"
    ).fetchall()
    if not rows:
        return "nothing has been trained in the app yet"
    named = ", ".join(f"{run} ({name})" for run, name in rows[:_NAMED])
    more = len(rows) - _NAMED
    return f"the newest are {named}" + (f" and {more} more on the Runs page" if more > 0 else "")
