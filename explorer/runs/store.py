"""Everything that was trained and measured: one SQLite file, and a folder for each experiment.

The run service is its only writer. Records are kept whole and in the order in which they came
(``id`` is the cursor); curves are read thinned (:meth:`Store.history`). Opening the store marks
what an earlier process left unfinished as interrupted; nothing recorded is lost by that.
"""

from __future__ import annotations

import json
import secrets
import shutil
import sqlite3
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np

from explorer.errors import RunError
from explorer.results import Record
from explorer.results.training import RECORD_KINDS
from explorer.runs.history import KEPT_POINTS, LaneHistory, power_of_two

Status = Literal[
    "queued", "starting", "running", "paused", "finished", "stopped", "failed", "interrupted"
]
UNFINISHED: tuple[Status, ...] = ("queued", "starting", "running", "paused")
SCHEMA_VERSION = 2
_ALWAYS = 2**62
_VARIABLES = 500  # of one SQL statement
_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"  # no l, o, 0, 1: ids are read aloud and retyped
_SCHEMA = """
CREATE TABLE IF NOT EXISTS experiments (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    spec TEXT NOT NULL,
    created REAL NOT NULL,
    updated REAL NOT NULL,
    status TEXT NOT NULL,
    reason TEXT NOT NULL,
    step INTEGER NOT NULL,
    steps_total INTEGER NOT NULL,
    device TEXT,
    note TEXT NOT NULL DEFAULT '',
    kept INTEGER NOT NULL DEFAULT 0,
    deleted REAL
);
-- loss and error repeat two values of a step's payload: curves are read from the index alone.
CREATE TABLE IF NOT EXISTS records (
    id INTEGER PRIMARY KEY,
    experiment TEXT NOT NULL REFERENCES experiments ON DELETE CASCADE,
    lane INTEGER NOT NULL,
    kind TEXT NOT NULL,
    step INTEGER NOT NULL,
    loss REAL,
    error REAL,
    payload TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS records_by_step ON records (experiment, lane, kind, step, loss, error);
CREATE TABLE IF NOT EXISTS results (
    id INTEGER PRIMARY KEY,
    experiment TEXT NOT NULL REFERENCES experiments ON DELETE CASCADE,
    lane INTEGER NOT NULL,
    kind TEXT NOT NULL,
    step INTEGER NOT NULL,
    created REAL NOT NULL,
    payload TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS results_by_step ON results (experiment, lane, kind, step);
"""
# By format: what makes it the next one.
_CHANGES = {
    1: (
        "ALTER TABLE experiments ADD COLUMN note TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE experiments ADD COLUMN kept INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE experiments ADD COLUMN deleted REAL",
    ),
}


@dataclass(frozen=True)
class ExperimentRow:
    """One experiment as the store keeps it; ``spec`` is JSON text, times are Unix seconds.

    Attributes:
        note: A person's own words on it.
        kept: It goes on training when nobody watches.
        deleted: When it was deleted; None if it was not. It can be brought back until it is purged.
    """

    id: str
    name: str
    spec: str
    created: float
    updated: float
    status: Status
    reason: str
    step: int
    steps_total: int
    device: str | None
    note: str = ""
    kept: bool = False
    deleted: float | None = None

    @classmethod
    def of(cls, row: tuple[Any, ...]) -> ExperimentRow:
        """From all columns in the table's order."""
        found = cls(*row)
        return replace(found, kept=bool(found.kept))


@dataclass(frozen=True)
class ResultRow:
    """One instrument's result on a lane's weights at ``step``, as plain JSON values."""

    experiment: str
    lane: int
    kind: str
    step: int
    payload: dict[str, Any]


class Store:
    """The store in ``home``; thread-safe; one process at a time may hold it open.

    Attributes:
        notice: A sentence for people when a damaged file was put aside at opening.

    Raises:
        RunError: The folder cannot be written, another process holds it, or its file was written
            by a newer version.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.path = home / "skipscope.sqlite"
        self.notice: str | None = None
        try:
            (home / "experiments").mkdir(parents=True, exist_ok=True)
            self._claim = claim(home / "in-use")
        except OSError as error:
            raise RunError(
                f"Skipscope cannot keep its runs in {home} ({_cause(error)}): make that folder "
                "writable, or set SKIPSCOPE_HOME to another one."
            ) from None
        self._writing = threading.RLock()
        self._reading = threading.RLock()
        try:
            self._open_or_begin_anew()
            self._mark_interrupted()
        except BaseException:
            self._claim.close()
            raise

    # ----------------------------------------------------------------------------- opening

    def _open_or_begin_anew(self) -> None:
        try:
            self._connect()
        except sqlite3.DatabaseError as error:
            if not _is_damage(error):
                raise RunError(
                    f"Skipscope cannot open {self.path} ({error}): make it readable and writable, "
                    "or set SKIPSCOPE_HOME to another folder."
                ) from None
            aside = self.path.with_name(time.strftime("skipscope-damaged-%Y%m%d-%H%M%S.sqlite"))
            for ending in ("", "-wal", "-shm"):
                part = self.path.with_name(self.path.name + ending)
                if part.exists():
                    part.replace(aside.with_name(aside.name + ending))
            self.notice = (
                f"The file of earlier runs was damaged ({error}); it was kept as {aside} and a "
                "new one was begun."
            )
            self._connect()

    def _connect(self) -> None:
        self._writer = self._connection()
        try:
            version = int(self._writer.execute("PRAGMA user_version").fetchone()[0])
            if version > SCHEMA_VERSION:
                raise RunError(
                    f"{self.path} was written by a newer Skipscope (format {version}, this one "
                    f"reads {SCHEMA_VERSION}): update Skipscope, or set SKIPSCOPE_HOME to another "
                    "folder."
                )
            if version == 0:
                statements = _SCHEMA.split(";\n")
            else:
                statements = [s for old in range(version, SCHEMA_VERSION) for s in _CHANGES[old]]
            if statements:
                with self._writer:
                    self._writer.execute("BEGIN")
                    for statement in statements:
                        self._writer.execute(statement)
                    self._writer.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            self._writer.execute("SELECT count(*) FROM experiments").fetchone()
            if self.path.stat().st_size < 64 * 2**20:  # larger files would delay the start
                verdict = self._writer.execute("PRAGMA quick_check(1)").fetchone()[0]
                if verdict != "ok":
                    raise sqlite3.DatabaseError(f"malformed: {verdict}".splitlines()[0])
            self._reader = self._connection()
        except BaseException:
            self._writer.close()
            raise

    def _connection(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=10, check_same_thread=False)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute("PRAGMA foreign_keys = ON")
        except BaseException:
            connection.close()
            raise
        return connection

    def _mark_interrupted(self) -> None:
        with self._write() as database:
            database.execute(
                "UPDATE experiments SET status = 'interrupted', reason = CASE WHEN step = 0 "
                "THEN 'The app was closed or killed before its first step.' "
                "ELSE 'Cut short at step ' || step || ' when the app was closed or killed; Play "
                "goes on.' END "
                f"WHERE status IN ({', '.join('?' * len(UNFINISHED))})",
                UNFINISHED,
            )

    def close(self) -> None:
        with self._writing, self._reading:
            self._reader.close()
            self._writer.close()
            self._claim.close()

    @contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        """One transaction; SQLite's troubles become one sentence."""
        with self._writing:
            try:
                with self._writer:
                    yield self._writer
            except sqlite3.Error as error:
                raise RunError(
                    f"Skipscope could not write to {self.path} ({error}): free some space or make "
                    "it writable, then try again."
                ) from None

    @contextmanager
    def _read(self) -> Iterator[sqlite3.Connection]:
        with self._reading:
            try:
                yield self._reader
            except sqlite3.Error as error:
                raise RunError(
                    f"Skipscope could not read {self.path} ({error}); restart the app, which "
                    "puts a damaged file aside."
                ) from None

    # ------------------------------------------------------------------------- experiments

    def create(self, name: str, spec: str, steps_total: int) -> str:
        """Keeps a new experiment, queued at step 0; returns its id, which cannot be guessed."""
        experiment = "".join(secrets.choice(_ALPHABET) for _ in range(12))
        now = time.time()
        with self._write() as database:
            database.execute(
                "INSERT INTO experiments (id, name, spec, created, updated, status, reason, step, "
                "steps_total) VALUES (?, ?, ?, ?, ?, 'queued', '', 0, ?)",
                (experiment, name, spec, now, now, steps_total),
            )
        self.folder(experiment).mkdir(exist_ok=True)
        return experiment

    def folder(self, experiment: str) -> Path:
        """Where an experiment's weights and checkpoint lie."""
        return self.home / "experiments" / experiment

    def update(
        self,
        experiment: str,
        status: Status,
        reason: str = "",
        *,
        step: int | None = None,
        steps_total: int | None = None,
        device: str | None = None,
    ) -> None:
        """Sets the status and its sentence; None leaves the other values as they are."""
        with self._write() as database:
            database.execute(
                "UPDATE experiments SET status = ?, reason = ?, updated = ?, "
                "step = coalesce(?, step), steps_total = coalesce(?, steps_total), "
                "device = coalesce(?, device) WHERE id = ?",
                (status, reason, time.time(), step, steps_total, device, experiment),
            )

    def rename(self, experiment: str, name: str) -> None:
        with self._write() as database:
            database.execute("UPDATE experiments SET name = ? WHERE id = ?", (name, experiment))

    def annotate(self, experiment: str, note: str) -> None:
        with self._write() as database:
            database.execute("UPDATE experiments SET note = ? WHERE id = ?", (note, experiment))

    def keep(self, experiment: str, kept: bool) -> None:
        with self._write() as database:
            database.execute(
                "UPDATE experiments SET kept = ? WHERE id = ?", (int(kept), experiment)
            )

    def mark_deleted(self, experiment: str, when: float | None) -> None:
        """Notes that an experiment was deleted, or with None that it was brought back."""
        with self._write() as database:
            database.execute("UPDATE experiments SET deleted = ? WHERE id = ?", (when, experiment))

    def purge(self, experiment: str) -> None:
        """Removes an experiment, all its records and its folder for good."""
        with self._write() as database:
            database.execute("DELETE FROM experiments WHERE id = ?", (experiment,))
        shutil.rmtree(self.folder(experiment), ignore_errors=True)

    def experiments(self) -> list[ExperimentRow]:
        """All experiments, the newest first, deleted ones too."""
        with self._read() as database:
            rows = database.execute(
                "SELECT * FROM experiments ORDER BY created DESC, rowid DESC"
            ).fetchall()
        return [ExperimentRow.of(row) for row in rows]

    def experiment(self, experiment: str) -> ExperimentRow | None:
        with self._read() as database:
            row = database.execute(
                "SELECT * FROM experiments WHERE id = ?", (experiment,)
            ).fetchone()
        return None if row is None else ExperimentRow.of(row)

    # ---------------------------------------------------------------------------- records

    def append(self, experiment: str, records: Iterable[Record]) -> None:
        """Keeps a batch of records in one transaction, and counts the updates done."""
        records = list(records)
        if not records:
            return
        rows = [
            (
                experiment,
                record.lane,
                record.kind,
                record.step,
                record.values.get("loss") if record.kind == "step" else None,
                record.values.get("error") if record.kind == "step" else None,
                json.dumps(record.values, separators=(",", ":")),
            )
            for record in records
        ]
        with self._write() as database:
            database.executemany(
                "INSERT INTO records (experiment, lane, kind, step, loss, error, payload) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                rows,
            )
            database.execute(
                "UPDATE experiments SET step = max(step, ?), updated = ? WHERE id = ?",
                (updates_done(records), time.time(), experiment),
            )

    def respecify(self, experiment: str, spec: str) -> None:
        """Sets what is trained (JSON text), after a lane has been added."""
        with self._write() as database:
            database.execute("UPDATE experiments SET spec = ? WHERE id = ?", (spec, experiment))

    def cut(self, experiment: str, step: int) -> None:
        """Removes what was measured at ``step`` or later: a run resumed there measures it anew.

        What was changed by hand at that step stays: a checkpoint follows each change.
        """
        with self._write() as database:
            database.execute(
                "DELETE FROM results WHERE experiment = ? AND step > ?", (experiment, step)
            )
            database.execute(
                "DELETE FROM records WHERE experiment = ? AND (step > ? OR "
                "step = ? AND kind NOT IN ('forked', 'deleted'))",
                (experiment, step, step),
            )
            database.execute("UPDATE experiments SET step = ? WHERE id = ?", (step, experiment))

    def records(
        self, experiment: str, *, after: int = 0, limit: int = 10_000
    ) -> list[tuple[int, Record]]:
        """(cursor, record) pairs in the order in which they came, from beyond a cursor."""
        with self._read() as database:
            rows = database.execute(
                "SELECT id, kind, lane, step, payload FROM records "
                "WHERE experiment = ? AND id > ? ORDER BY id LIMIT ?",
                (experiment, after, limit),
            ).fetchall()
        return [
            (cursor, Record(kind, lane, step, json.loads(payload)))
            for cursor, kind, lane, step, payload in rows
        ]

    def history(self, experiment: str, lanes: int) -> list[LaneHistory]:
        """The curves and latest profiles of every lane, thinned where they are very long."""
        return [self._lane_history(experiment, lane) for lane in range(lanes)]

    def _lane_history(self, experiment: str, lane: int) -> LaneHistory:
        history = LaneHistory()
        key = (experiment, lane)
        where = "FROM records WHERE experiment = ? AND lane = ? AND kind = ?"
        with self._read() as database:
            count, first = database.execute(
                f"SELECT count(*), min(step) {where}", (*key, "step")
            ).fetchone()
            run = power_of_two(count, KEPT_POINTS)
            rows = database.execute(  # answered by the index alone
                f"SELECT avg(step), avg(loss), avg(error), count(*) {where} "
                f"GROUP BY (step - {first or 0}) / {run} ORDER BY step",
                (*key, "step"),
            ).fetchall()
            evals = database.execute(
                f"SELECT step, payload {where} ORDER BY step", (*key, "eval")
            ).fetchall()
            begun = database.execute(
                f"SELECT step, payload {where} ORDER BY step LIMIT 1", (*key, "layers")
            ).fetchone()
        if begun is not None:
            history.first_layers = Record("layers", lane, begun[0], json.loads(begun[1]))
        history.latest = self.at(experiment, lane)
        if rows:
            table = np.asarray(rows, dtype=np.float64)
            history.steps.load(table[:, :3], run, filled=int(table[-1, 3]))
        latest = history.latest
        for step, payload in evals:
            history.add(Record("eval", lane, step, json.loads(payload)))
        history.latest = latest
        return history

    def at(self, experiment: str, lane: int, step: int | None = None) -> dict[str, Record]:
        """By kind: the last record of a lane at or before a step; None: the last of all."""
        found = {}
        with self._read() as database:
            for kind in RECORD_KINDS:
                row = database.execute(
                    "SELECT step, payload FROM records WHERE experiment = ? AND lane = ? AND "
                    "kind = ? AND step <= ? ORDER BY step DESC, id DESC LIMIT 1",
                    (experiment, lane, kind, _ALWAYS if step is None else step),
                ).fetchone()
                if row is not None:
                    found[kind] = Record(kind, lane, row[0], json.loads(row[1]))
        return found

    def last_evaluation(self, experiment: str, lane: int) -> Record | None:
        with self._read() as database:
            row = database.execute(
                "SELECT step, payload FROM records WHERE experiment = ? AND lane = ? AND "
                "kind = 'eval' ORDER BY step DESC, id DESC LIMIT 1",
                (experiment, lane),
            ).fetchone()
        return None if row is None else Record("eval", lane, row[0], json.loads(row[1]))

    def thinned(
        self, experiment: str, lane: int, kind: str, max_records: int = 1000
    ) -> list[Record]:
        """A lane's records of one kind in order of step, every 2ᵏ-th and the last.

        As many as fit ``max_records``; each is as it was recorded, so that profiles can be laid
        side by side.
        """
        with self._read() as database:
            rows = database.execute(  # answered by the index alone
                "SELECT id FROM records WHERE experiment = ? AND lane = ? AND kind = ? "
                "ORDER BY step, id",
                (experiment, lane, kind),
            ).fetchall()
            run = power_of_two(len(rows), max(1, max_records - 1))
            chosen = [row[0] for row in rows[::run]]
            if rows and chosen[-1] != rows[-1][0]:
                chosen.append(rows[-1][0])
            found = []
            for start in range(0, len(chosen), _VARIABLES):
                ids = chosen[start : start + _VARIABLES]
                found += database.execute(
                    "SELECT step, payload FROM records WHERE id IN "
                    f"({', '.join('?' * len(ids))}) ORDER BY step, id",
                    ids,
                ).fetchall()
        return [Record(kind, lane, step, json.loads(payload)) for step, payload in found]

    # ---------------------------------------------------------------------------- results

    def add_result(self, result: ResultRow) -> None:
        with self._write() as database:
            database.execute(
                "INSERT INTO results (experiment, lane, kind, step, created, payload) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                (
                    result.experiment,
                    result.lane,
                    result.kind,
                    result.step,
                    time.time(),
                    json.dumps(result.payload, separators=(",", ":")),
                ),
            )

    def latest_results(
        self, experiment: str, kind: str, step: int | None = None
    ) -> dict[int, ResultRow]:
        """By lane: the last result of a kind, on weights of ``step`` or before; None: of all."""
        with self._read() as database:
            rows = database.execute(
                "SELECT lane, step, payload FROM results WHERE id IN ("
                "SELECT max(id) FROM results WHERE experiment = ? AND kind = ? AND step <= ? "
                "GROUP BY lane)",
                (experiment, kind, _ALWAYS if step is None else step),
            ).fetchall()
        return {
            lane: ResultRow(experiment, lane, kind, step, json.loads(payload))
            for lane, step, payload in rows
        }


def updates_done(records: Iterable[Record]) -> int:
    """Updates done once these were recorded: a step is measured just before its update."""
    return max(record.step + (record.kind == "step") for record in records)


def _cause(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    text = str(error)
    return any(sign in text for sign in ("malformed", "not a database", "no such"))


def claim(path: Path) -> IO[str]:
    """Locks ``path`` for this process; the operating system frees it however the process ends."""
    file = path.open("a+", encoding="utf-8")
    try:
        if sys.platform == "win32":
            import msvcrt

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise RunError(
            f"Another Skipscope is using {path.parent}: use that one, close it, or set "
            "SKIPSCOPE_HOME to another folder."
        ) from None
    return file
