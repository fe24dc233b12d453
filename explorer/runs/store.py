"""Everything that was trained and measured: one SQLite file, and a folder for each experiment.

The run service is its only writer. Records are kept whole and in the order in which they came
(``id`` is the cursor); curves are read thinned (:meth:`Store.history`). Opening the store marks
what an earlier process left unfinished as interrupted; nothing recorded is lost by that.
"""

from __future__ import annotations

import itertools
import json
import queue
import re
import secrets
import sqlite3
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from dataclasses import astuple, dataclass, fields, replace
from pathlib import Path
from typing import IO, Any, Literal, TypeVar

import numpy as np

from explorer.errors import RunError
from explorer.results import Record
from explorer.results.training import RECORD_KINDS
from explorer.runs.serve.history import KEPT_POINTS, LaneHistory, power_of_two
from explorer.system.bounded import stored_json
from explorer.system.files import remove_folder, sweep

Status = Literal[
    "queued", "starting", "running", "paused", "finished", "stopped", "failed", "interrupted"
]
UNFINISHED: tuple[Status, ...] = ("queued", "starting", "running", "paused")
SCHEMA_VERSION = 2
STORE = "skipscope.sqlite"
FIRST_WRITES = 256 * 1024  # bytes; a new file and its journals take 66,000
T = TypeVar("T")
READERS = 4  # connections
CHECKED_AT_ONCE = 64 * 2**20  # bytes; of a larger file, most is checked after the start
BUSY_SECONDS = 0.1  # that one attempt waits for another program
OPEN_PATIENCE, PATIENCE, LONG_PATIENCE = 10.0, 2.0, 3600.0  # seconds, for another program's hold
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


class LockedError(RunError):
    """Another program holds the store; what was to be written can be written later."""


class Store:
    """The store in ``home``; thread-safe; one process at a time may hold it open.

    A damaged file is put aside whenever it is noticed, and a new one begun, so that what is asked
    next works: at opening, in a look through the whole of it soon after that, or in the middle of
    a read or a write, which is then done again.

    Attributes:
        known: What is to stand in a file that is begun anew while runs are known.

    Raises:
        RunError: The folder cannot be written, another process holds it, or its file was written
            by a newer version.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.path = home / STORE
        self.known: Callable[[], Iterable[ExperimentRow]] = lambda: ()
        self._damaged = self._locked = self._gone = self._unread = ""
        self._closing = threading.Event()
        self._writing = threading.RLock()
        self._readers: queue.LifoQueue[sqlite3.Connection] = queue.LifoQueue()
        self._generation = 0
        self._claim = _claimed(home)
        try:
            self._open_or_begin_anew()
        except BaseException:
            self._claim.close()
            raise
        if self.path.stat().st_size >= CHECKED_AT_ONCE:
            threading.Thread(target=self._look_through, name="skipscope-check", daemon=True).start()

    @property
    def notice(self) -> str | None:
        """A sentence for people on what is wrong with the store, or was; None where nothing is."""
        return self._gone or self._locked or self._damaged or self._unread or None

    # ----------------------------------------------------------------------------- opening

    def _open_or_begin_anew(self) -> None:
        until = time.monotonic() + OPEN_PATIENCE
        while True:
            try:
                self._connect()
                return
            except sqlite3.DatabaseError as error:
                if is_locked(error) and time.monotonic() < until:
                    time.sleep(0.1)
                elif is_locked(error):
                    raise RunError(self._locked_sentence()) from None
                elif _is_damage(error):
                    self._put_aside(error)
                    self._connect()
                    return
                else:
                    raise RunError(
                        f"Skipscope cannot open {self.path} ({error}): free some space and "
                        "make it readable and writable, or set SKIPSCOPE_HOME to another folder."
                    ) from None

    def _connect(self) -> None:
        self._writer = self._connection()
        try:
            self._prepare(self._writer)
            readers = [self._connection() for _ in range(READERS)]
        except BaseException:
            self._writer.close()
            raise
        for reader in readers:
            self._readers.put(reader)
        state = self.path.stat()
        self._file = state.st_dev, state.st_ino

    def _prepare(self, database: sqlite3.Connection) -> None:
        """Brings the file to this version's format, and notices what is wrong with it."""
        version = _version(database, self.path)
        if version == 0:
            statements = _SCHEMA.split(";\n")
        else:
            statements = [s for old in range(version, SCHEMA_VERSION) for s in _CHANGES[old]]
        if statements:
            with database:
                database.execute("BEGIN")
                for statement in statements:
                    database.execute(statement)
                database.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        database.execute("SELECT * FROM experiments").fetchall()
        if self.path.stat().st_size < CHECKED_AT_ONCE:  # larger files would delay the start
            _check(database)
        self._mark_interrupted(database)

    def _connection(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=BUSY_SECONDS, check_same_thread=False)
        # A damaged letter must not be in the way of all that is sound.
        connection.text_factory = lambda value: value.decode(errors="replace")
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute("PRAGMA foreign_keys = ON")
        except BaseException:
            connection.close()
            raise
        return connection

    def _mark_interrupted(self, database: sqlite3.Connection) -> None:
        with database:
            database.execute(
                "UPDATE experiments SET status = 'interrupted', reason = CASE WHEN step = 0 "
                "THEN 'The app was closed or killed before its first step.' "
                "ELSE 'Cut short at step ' || step || ' when the app was closed or killed; Play "
                "goes on.' END "
                f"WHERE status IN ({', '.join('?' * len(UNFINISHED))})",
                UNFINISHED,
            )

    def _look_through(self) -> None:
        """Checks the whole of a large file, which takes a moment, beside all else."""
        generation = self._generation
        try:
            with closing(self._connection()) as database:
                _check(database)
        except sqlite3.Error as error:
            if _is_damage(error):
                with suppress(RunError):  # whoever comes to the damage is told
                    self._begin_anew(error, generation)

    # ----------------------------------------------------------------------------- damage

    def _begin_anew(self, error: sqlite3.Error, generation: int) -> None:
        """Puts the file aside while the store is in use, and goes on with what is known."""
        known = [astuple(row) for row in self.known()]  # first: it may wait for a lock
        with self._writing:
            if generation != self._generation or self._closing.is_set():
                return  # somebody else noticed it, too
            closed = self._close_connections()
            places = ", ".join("?" * len(fields(ExperimentRow)))
            try:
                self._put_aside(error)
                self._connect()
                with self._writer as database:
                    database.executemany(f"INSERT INTO experiments VALUES ({places})", known)
            except (OSError, sqlite3.Error) as trouble:
                if self._readers.empty():
                    self._give_back(closed)
                raise RunError(
                    f"Skipscope could not put the damaged file {self.path} aside ({trouble}): "
                    "free some space or make its folder writable, then restart the app."
                ) from None
            self._generation += 1

    def _put_aside(self, error: sqlite3.Error) -> None:
        name = time.strftime("skipscope-damaged-%Y%m%d-%H%M%S")
        names = (name, *(f"{name}-{i}" for i in range(2, 1000)))
        places = (self.path.with_name(f"{one}.sqlite") for one in names)
        aside = next(place for place in places if not place.exists())
        for ending in ("", "-wal", "-shm"):
            part = self.path.with_name(self.path.name + ending)
            if part.exists():
                part.replace(aside.with_name(aside.name + ending))
        self._damaged = (
            f"The file of earlier runs was damaged ({error}); it was kept as {aside} and a "
            "new one was begun."
        )

    def _close_connections(self) -> list[sqlite3.Connection]:
        readers = [self._readers.get() for _ in range(READERS)]  # those in use are waited for
        for connection in (*readers, self._writer):
            connection.close()
        return readers

    def _give_back(self, closed: Iterable[sqlite3.Connection]) -> None:
        """So that who reads from now on is told that it is closed, and does not wait."""
        for connection in closed:
            self._readers.put(connection)

    def look_after(self) -> None:
        """To be called now and then: notices that the file is gone, and that it is back."""
        try:
            state = self.path.stat()
            there = (state.st_dev, state.st_ino) == self._file
        except OSError:
            there = False
        self._gone = (
            ""
            if there
            else (
                f"Skipscope's folder {self.home} is gone or was replaced: nothing of what is "
                "trained or measured now is kept. Put it back, or restart the app to begin anew."
            )
        )

    def close(self) -> None:
        self._closing.set()
        with self._writing:
            self._give_back(self._close_connections())
            self._claim.close()

    def _write(self, work: Callable[[sqlite3.Connection], T], patience: float = PATIENCE) -> T:
        """One transaction; SQLite's troubles become one sentence.

        Args:
            patience: Seconds to wait for another program that holds the file.
        """
        until = time.monotonic() + patience
        for attempt in itertools.count():
            with self._writing:
                generation = self._generation
                try:
                    with self._writer:
                        done = work(self._writer)
                    self._locked = ""
                    return done
                except sqlite3.Error as error:
                    trouble = error
            if _is_damage(trouble) and attempt == 0:
                self._begin_anew(trouble, generation)
            elif is_locked(trouble):
                self._locked = self._locked_sentence()
                if time.monotonic() > until or self._closing.wait(0.1):
                    raise LockedError(self._locked) from None
            else:
                raise RunError(
                    f"Skipscope could not write to {self.path} ({trouble}): free some space or "
                    "make it writable, then try again."
                ) from None
        raise AssertionError  # the loop ends by itself only

    def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        for attempt in itertools.count():
            generation = self._generation
            reader = self._readers.get()
            try:
                return work(reader)
            except sqlite3.Error as error:
                trouble = error
            finally:
                self._readers.put(reader)
            if _is_damage(trouble) and attempt == 0:
                self._begin_anew(trouble, generation)
            else:
                raise RunError(
                    self._locked_sentence()
                    if is_locked(trouble)
                    else f"Skipscope could not read {self.path} ({trouble}): make it readable, "
                    "then try again."
                ) from None
        raise AssertionError  # the loop ends by itself only

    def _locked_sentence(self) -> str:
        return (
            f"Another program holds {self.path} locked, such as a backup or a viewer of "
            "databases: close it. Skipscope writes on as soon as it can."
        )

    def _values(self, payload: str) -> dict[str, Any] | None:
        """The values of a record or a result; None where they are damaged, which is said."""
        try:
            values = stored_json(payload)
        except ValueError:
            values = None
        if isinstance(values, dict):
            return values
        self._unread = (
            f"A part of {self.path} is damaged: what was recorded there is left out of the curves."
        )
        return None

    # ------------------------------------------------------------------------- experiments

    def create(self, name: str, spec: str, steps_total: int) -> str:
        """Keeps a new experiment, queued at step 0; returns its id, which cannot be guessed."""
        experiment = "".join(secrets.choice(_ALPHABET) for _ in range(12))
        now = time.time()
        self._change(
            "INSERT INTO experiments (id, name, spec, created, updated, status, reason, step, "
            "steps_total) VALUES (?, ?, ?, ?, ?, 'queued', '', 0, ?)",
            (experiment, name, spec, now, now, steps_total),
        )
        try:
            self.folder(experiment).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(
                f"The folder of a new run cannot be made in {self.home} ({_cause(error)}): free "
                "some space or make it writable, then try again."
            ) from None
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
        self._change(
            "UPDATE experiments SET status = ?, reason = ?, updated = ?, "
            "step = coalesce(?, step), steps_total = coalesce(?, steps_total), "
            "device = coalesce(?, device) WHERE id = ?",
            (status, reason, time.time(), step, steps_total, device, experiment),
        )

    def rename(self, experiment: str, name: str) -> None:
        self._change("UPDATE experiments SET name = ? WHERE id = ?", (name, experiment))

    def annotate(self, experiment: str, note: str) -> None:
        self._change("UPDATE experiments SET note = ? WHERE id = ?", (note, experiment))

    def keep(self, experiment: str, kept: bool) -> None:
        self._change("UPDATE experiments SET kept = ? WHERE id = ?", (int(kept), experiment))

    def mark_deleted(self, experiment: str, when: float | None) -> None:
        """Notes that an experiment was deleted, or with None that it was brought back."""
        self._change("UPDATE experiments SET deleted = ? WHERE id = ?", (when, experiment))

    def purge(self, experiment: str) -> None:
        """Removes an experiment, all its records and its folder for good."""
        self._change("DELETE FROM experiments WHERE id = ?", (experiment,))
        remove_folder(self.folder(experiment))

    def experiments(self) -> list[ExperimentRow]:
        """All experiments, the newest first, deleted ones too."""
        rows = self._rows("SELECT * FROM experiments ORDER BY created DESC, rowid DESC")
        return [ExperimentRow.of(row) for row in rows]

    def experiment(self, experiment: str) -> ExperimentRow | None:
        rows = self._rows("SELECT * FROM experiments WHERE id = ?", (experiment,))
        return ExperimentRow.of(rows[0]) if rows else None

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

        def work(database: sqlite3.Connection) -> None:
            database.executemany(
                "INSERT INTO records (experiment, lane, kind, step, loss, error, payload) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                rows,
            )
            database.execute(
                "UPDATE experiments SET step = max(step, ?), updated = ? WHERE id = ?",
                (updates_done(records), time.time(), experiment),
            )

        self._write(work, LONG_PATIENCE)

    def respecify(self, experiment: str, spec: str) -> None:
        """Sets what is trained (JSON text), after a lane has been added."""
        self._change(
            "UPDATE experiments SET spec = ? WHERE id = ?", (spec, experiment), LONG_PATIENCE
        )

    def cut(self, experiment: str, step: int) -> None:
        """Removes what was measured at ``step`` or later: a run resumed there measures it anew.

        What was changed by hand at that step stays: a checkpoint follows each change.
        """

        def work(database: sqlite3.Connection) -> None:
            database.execute(
                "DELETE FROM results WHERE experiment = ? AND step > ?", (experiment, step)
            )
            database.execute(
                "DELETE FROM records WHERE experiment = ? AND (step > ? OR "
                "step = ? AND kind NOT IN ('forked', 'deleted'))",
                (experiment, step, step),
            )
            database.execute("UPDATE experiments SET step = ? WHERE id = ?", (step, experiment))

        self._write(work, LONG_PATIENCE)

    def records(
        self, experiment: str, *, after: int = 0, limit: int = 10_000
    ) -> list[tuple[int, Record]]:
        """(cursor, record) pairs in the order in which they came, from beyond a cursor."""
        rows = self._rows(
            "SELECT id, kind, lane, step, payload FROM records "
            "WHERE experiment = ? AND id > ? ORDER BY id LIMIT ?",
            (experiment, after, limit),
        )
        return [
            (cursor, Record(kind, lane, step, values))
            for cursor, kind, lane, step, payload in rows
            if (values := self._values(payload)) is not None
        ]

    def history(self, experiment: str, lanes: int) -> list[LaneHistory]:
        """The curves and latest profiles of every lane, thinned where they are very long."""
        return [self._lane_history(experiment, lane) for lane in range(lanes)]

    def _lane_history(self, experiment: str, lane: int) -> LaneHistory:
        history = LaneHistory()
        key = (experiment, lane)
        where = "FROM records WHERE experiment = ? AND lane = ? AND kind = ?"

        def steps(database: sqlite3.Connection) -> tuple[int, list[Any]]:
            count, first = database.execute(
                f"SELECT count(*), min(step) {where}", (*key, "step")
            ).fetchone()
            run = power_of_two(count, KEPT_POINTS)
            rows = database.execute(  # answered by the index alone
                f"SELECT avg(step), avg(loss), avg(error), count(*) {where} "
                f"GROUP BY (step - {first or 0}) / {run} ORDER BY step",
                (*key, "step"),
            ).fetchall()
            return run, rows

        run, rows = self._read(steps)
        evals = self._rows(f"SELECT step, payload {where} ORDER BY step", (*key, "eval"))
        begun = self._rows(f"SELECT step, payload {where} ORDER BY step LIMIT 1", (*key, "layers"))
        for step, payload in begun:
            values = self._values(payload)
            if values is not None:
                history.first_layers = Record("layers", lane, step, values)
        history.latest = self.at(experiment, lane)
        if rows:
            table = np.asarray(rows, dtype=np.float64)
            history.steps.load(table[:, :3], run, filled=int(table[-1, 3]))
        latest = history.latest
        for step, payload in evals:
            values = self._values(payload)
            if values is not None:
                history.add(Record("eval", lane, step, values))
        history.latest = latest
        return history

    def at(self, experiment: str, lane: int, step: int | None = None) -> dict[str, Record]:
        """By kind: the last record of a lane at or before a step; None: the last of all."""
        found = {}
        for kind in RECORD_KINDS:
            rows = self._rows(
                "SELECT step, payload FROM records WHERE experiment = ? AND lane = ? AND "
                "kind = ? AND step <= ? ORDER BY step DESC, id DESC LIMIT 1",
                (experiment, lane, kind, _ALWAYS if step is None else step),
            )
            for at, payload in rows:
                values = self._values(payload)
                if values is not None:
                    found[kind] = Record(kind, lane, at, values)
        return found

    def last_evaluation(self, experiment: str, lane: int) -> Record | None:
        rows = self._rows(
            "SELECT step, payload FROM records WHERE experiment = ? AND lane = ? AND "
            "kind = 'eval' ORDER BY step DESC, id DESC LIMIT 1",
            (experiment, lane),
        )
        for step, payload in rows:
            values = self._values(payload)
            if values is not None:
                return Record("eval", lane, step, values)
        return None

    def thinned(
        self, experiment: str, lane: int, kind: str, max_records: int = 1000
    ) -> list[Record]:
        """A lane's records of one kind in order of step, every 2ᵏ-th and the last.

        As many as fit ``max_records``; each is as it was recorded, so that profiles can be laid
        side by side.
        """

        def work(database: sqlite3.Connection) -> list[Any]:
            rows = database.execute(  # answered by the index alone
                "SELECT id FROM records WHERE experiment = ? AND lane = ? AND kind = ? "
                "ORDER BY step, id",
                (experiment, lane, kind),
            ).fetchall()
            run = power_of_two(len(rows), max(1, max_records - 1))
            chosen = [row[0] for row in rows[::run]]
            if rows and chosen[-1] != rows[-1][0]:
                chosen.append(rows[-1][0])
            found: list[Any] = []
            for start in range(0, len(chosen), _VARIABLES):
                ids = chosen[start : start + _VARIABLES]
                found += database.execute(
                    "SELECT step, payload FROM records WHERE id IN "
                    f"({', '.join('?' * len(ids))}) ORDER BY step, id",
                    ids,
                ).fetchall()
            return found

        return [
            Record(kind, lane, step, values)
            for step, payload in self._read(work)
            if (values := self._values(payload)) is not None
        ]

    # ---------------------------------------------------------------------------- results

    def add_result(self, result: ResultRow) -> None:
        self._change(
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
            LONG_PATIENCE,
        )

    def latest_results(
        self, experiment: str, kind: str, step: int | None = None
    ) -> dict[int, ResultRow]:
        """By lane: the last result of a kind, on weights of ``step`` or before; None: of all."""
        rows = self._rows(
            "SELECT lane, step, payload FROM results WHERE id IN ("
            "SELECT max(id) FROM results WHERE experiment = ? AND kind = ? AND step <= ? "
            "GROUP BY lane)",
            (experiment, kind, _ALWAYS if step is None else step),
        )
        return {
            lane: ResultRow(experiment, lane, kind, step, values)
            for lane, step, payload in rows
            if (values := self._values(payload)) is not None
        }

    def _change(self, statement: str, values: tuple[Any, ...], patience: float = PATIENCE) -> None:
        self._write(lambda database: database.execute(statement, values), patience)

    def _rows(self, statement: str, values: tuple[Any, ...] = ()) -> list[Any]:
        return self._read(lambda database: database.execute(statement, values).fetchall())


def updates_done(records: Iterable[Record]) -> int:
    """Updates done once these were recorded: a step is measured just before its update."""
    return max(record.step + (record.kind == "step") for record in records)


def _cause(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def _check(database: sqlite3.Connection) -> None:
    """Raises where the file is not as SQLite writes it."""
    verdict = database.execute("PRAGMA quick_check(1)").fetchone()[0]
    if verdict != "ok":
        raise sqlite3.DatabaseError(f"malformed: {verdict}".splitlines()[0])


def _is_damage(error: sqlite3.Error) -> bool:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    text = str(error)
    return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or any(
        sign in text for sign in ("malformed", "not a database", "no such")
    )


def is_locked(error: sqlite3.Error) -> bool:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def check_usable(home: Path) -> None:
    """What would keep a server from starting with this folder, told before one is started.

    Nothing is opened that a server would mend and tell of itself, such as a damaged file.

    Raises:
        RunError: The folder cannot be written to, another process holds it, or its file was
            written by a newer version.
    """
    with _claimed(home):
        try:
            with tempfile.TemporaryFile(dir=home) as probe:
                probe.write(bytes(FIRST_WRITES))
        except OSError as error:
            raise _unwritable(home, error) from None
        path = home / STORE
        with suppress(sqlite3.DatabaseError):  # damage, or a lock: the server's to deal with
            if path.exists():
                with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as database:
                    _version(database, path)


def _claimed(home: Path) -> IO[str]:
    """The folder, made where it is not there, as this process's own."""
    for name, does in ((STORE, "keeps the runs"), ("in-use", "says that the folder is in use")):
        path = home / name
        if path.exists() and not path.is_file():  # a pipe's opening may wait for ever
            what = "a folder" if path.is_dir() else "no file"
            raise RunError(
                f"{path} is {what}, and a file of that name {does}: move it away, or set "
                "SKIPSCOPE_HOME to another folder."
            )
    try:
        (home / "experiments").mkdir(parents=True, exist_ok=True)
        return claim(home / "in-use")
    except OSError as error:
        raise _unwritable(home, error) from None


def _unwritable(home: Path, error: OSError) -> RunError:
    return RunError(
        f"Skipscope cannot keep its runs in {home} ({_cause(error)}): make that folder writable "
        "and free some space, or set SKIPSCOPE_HOME to another one."
    )


def _version(database: sqlite3.Connection, path: Path) -> int:
    """Of the file's format; raises :class:`RunError` where it is newer than this program's."""
    version = int(database.execute("PRAGMA user_version").fetchone()[0])
    if version > SCHEMA_VERSION:
        raise RunError(
            f"{path} was written by a newer Skipscope (format {version}, this one reads "
            f"{SCHEMA_VERSION}): update Skipscope, or set SKIPSCOPE_HOME to another folder."
        )
    return version


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


# What earlier versions left when they were killed: NAME.partial, NAME.PID.partial, .NAME.PID.
_EARLIER = re.compile(
    r".+\.(safetensors|json)(\.\d+)?\.partial"
    r"|\.[0-9a-f]{16,20}\.(safetensors|pt|pth|picture|json)\.\d+"
)
_SWEPT = {"experiments": 2, "sweeps": 2, "weights": 0, "pictures": 0, "surfaces": 0, "data": 1}


def sweep_home(home: Path) -> None:
    """Removes what processes left in Skipscope's folder that were killed while they wrote."""
    for folder, depth in _SWEPT.items():
        sweep(home / folder, depth=depth, earlier=_EARLIER)
