"""The store: what is kept across a restart, a damaged file, a full disk, another process."""

from __future__ import annotations

import itertools
import json
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from explorer.errors import RunError
from explorer.results import Record
from explorer.runs.serve.history import KEPT_POINTS, LaneHistory, Series
from explorer.runs.store import ResultRow, Status, Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path)
    yield store
    store.close()


def step(number: int, lane: int = 0, loss: float | None = 1.0) -> Record:
    values = {"loss": loss, "error": 0.5, "learning_rate": 0.1}
    return Record("step", lane, number, values)


def evaluation(number: int, lane: int = 0, error: float = 0.25) -> Record:
    values = {"train_loss": 1.0, "train_error": 0.2, "test_loss": 2.0, "test_error": error}
    return Record("eval", lane, number, values)


def test_records_come_back_whole_and_in_order(store: Store) -> None:
    experiment = store.create("a name", "{}", 10)
    layers = Record("layers", 1, 0, {"parameter_rms": [0.1, 2e-30], "output_rms": [3.0]})
    sent = [evaluation(0), step(0), step(0, lane=1, loss=None), layers, step(1)]
    store.append(experiment, sent[:2])
    store.append(experiment, sent[2:])
    rows = store.records(experiment)
    assert [record for _, record in rows] == sent
    assert [r for _, r in store.records(experiment, after=rows[2][0])] == sent[3:]
    assert len(store.records(experiment, limit=2)) == 2
    row = store.experiment(experiment)
    assert row is not None
    assert (row.name, row.status, row.step, row.steps_total) == ("a name", "queued", 2, 10)


def test_notes_marks_and_deletions_outlive_the_process(tmp_path: Path) -> None:
    before = Store(tmp_path)
    kept, gone = before.create("one", "{}", 10), before.create("two", "{}", 10)
    before.annotate(kept, "a lower rate\nwould do <b>")
    before.keep(kept, True)
    before.mark_deleted(gone, 12.5)
    before.close()

    after = Store(tmp_path)
    rows = {row.id: row for row in after.experiments()}
    assert (rows[kept].note, rows[kept].kept, rows[kept].deleted) == (
        "a lower rate\nwould do <b>",
        True,
        None,
    )
    assert (rows[gone].note, rows[gone].kept, rows[gone].deleted) == ("", False, 12.5)
    after.mark_deleted(gone, None)
    row = after.experiment(gone)
    assert row is not None
    assert row.deleted is None
    after.close()


def test_a_file_of_the_first_format_is_brought_up_to_date(tmp_path: Path) -> None:
    store = Store(tmp_path)
    experiment = store.create("old", "{}", 10)
    store.append(experiment, [step(0)])
    for column in ("note", "kept", "deleted"):
        store._writer.execute(f"ALTER TABLE experiments DROP COLUMN {column}")
    store._writer.execute("PRAGMA user_version = 1")
    store.close()

    again = Store(tmp_path)
    assert again.notice is None
    [row] = again.experiments()
    assert (row.name, row.step, row.note, row.kept, row.deleted) == ("old", 1, "", False, None)
    again.annotate(experiment, "new")
    assert [record.step for _, record in again.records(experiment)] == [0]
    again.close()


@pytest.mark.parametrize("status", ["queued", "starting", "running", "paused"])
def test_a_restart_finds_every_run_and_says_which_were_cut_short(
    tmp_path: Path, status: Status
) -> None:
    before = Store(tmp_path)
    cut_short = before.create("one", "{}", 10)
    before.append(cut_short, [step(0), step(1), step(2)])
    before.update(cut_short, status)
    finished = before.create("two", "{}", 10)
    before.update(finished, "finished", step=10)
    before.close()

    after = Store(tmp_path)
    rows = {row.id: row for row in after.experiments()}
    assert rows[cut_short].status == "interrupted"
    assert rows[cut_short].reason == (
        "Cut short at step 3 when the app was closed or killed; Play goes on."
    )
    assert rows[finished].status == "finished"
    assert [record for _, record in after.records(cut_short)] == [step(0), step(1), step(2)]
    after.close()


def test_what_was_committed_survives_a_kill(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys; from pathlib import Path\n"
        "from explorer.runs.store import Store; from explorer.results import Record\n"
        "store = Store(Path(sys.argv[1])); name = store.create('killed', '{}', 9)\n"
        "store.append(name, [Record('step', 0, s, {'loss': 1.0}) for s in range(5)])\n"
        "store.update(name, 'running'); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)])
    assert done.returncode != 0
    store = Store(tmp_path)
    [row] = store.experiments()
    assert (row.name, row.status, row.step) == ("killed", "interrupted", 5)
    assert len(store.records(row.id)) == 5
    store.close()


@pytest.mark.parametrize("damage", ["header", "middle"])
def test_a_damaged_file_is_kept_aside(tmp_path: Path, damage: str) -> None:
    store = Store(tmp_path)
    experiment = store.create("lost", "{}", 10)
    store.append(experiment, [step(number) for number in range(3000)])
    store.close()
    content = bytearray(store.path.read_bytes())
    start = 0 if damage == "header" else len(content) // 2
    content[start : start + 40_000] = b"\x55" * 40_000
    store.path.write_bytes(content)

    fresh = Store(tmp_path)
    assert fresh.notice is not None
    [aside] = tmp_path.glob("skipscope-damaged-*.sqlite")
    assert str(aside) in fresh.notice
    assert aside.read_bytes() == bytes(content)
    assert fresh.experiments() == []
    fresh.append(fresh.create("new", "{}", 10), [step(0)])
    fresh.close()
    again = Store(tmp_path)
    assert again.notice is None
    assert [row.name for row in again.experiments()] == ["new"]
    again.close()


def overwrite(path: Path, start: int, size: int) -> None:
    with path.open("r+b") as file:
        file.seek(start)
        file.write(b"\x55" * size)


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A home whose store counts as large: most of it is looked at only after the start."""
    store = Store(tmp_path)
    experiment = store.create("large", "{}", 10)
    store.append(experiment, [step(number) for number in range(3000)])
    store.close()
    monkeypatch.setattr("explorer.runs.store.CHECKED_AT_ONCE", 0)
    return tmp_path


def asides(home: Path) -> list[Path]:
    return list(home.glob("skipscope-damaged-*.sqlite"))


def test_a_large_file_damaged_where_the_runs_are_listed_is_put_aside_at_the_start(
    large: Path,
) -> None:
    overwrite(large / "skipscope.sqlite", 4096, 4096)  # the table of experiments
    store = Store(large)
    assert store.notice is not None
    assert str(asides(large)[0]) in store.notice
    assert store.experiments() == []
    store.append(store.create("new", "{}", 10), [step(0)])
    store.close()


def test_a_large_file_damaged_elsewhere_is_noticed_soon_after_the_start(large: Path) -> None:
    path = large / "skipscope.sqlite"
    overwrite(path, path.stat().st_size // 2, 20_000)
    store = Store(large)
    deadline = time.monotonic() + 20
    while store.notice is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert store.notice is not None
    assert len(asides(large)) == 1
    store.append(store.create("new", "{}", 10), [step(0)])
    assert "new" in [row.name for row in store.experiments()]
    store.close()


def test_damage_in_mid_run_is_put_aside_and_what_is_known_goes_on(
    large: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Store, "_look_through", lambda self: None)  # somebody else comes to it
    store = Store(large)
    [row] = store.experiments()
    store.known = lambda: [row]
    path = large / "skipscope.sqlite"
    overwrite(path, 4096, path.stat().st_size - 4096)
    for reader in store._readers.queue:  # a page that was read before is not read again
        reader.execute("PRAGMA shrink_memory")
    assert store.records(row.id) == []  # it is asked again, of the new file
    assert store.notice is not None
    assert len(asides(large)) == 1
    assert store.experiments() == [row]
    store.append(row.id, [step(3000)])  # a training goes on
    assert [record.step for _, record in store.records(row.id)] == [3000]
    store.close()
    again = Store(large)
    assert again.notice is None
    assert [r.name for r in again.experiments()] == ["large"]
    again.close()


def test_a_record_whose_text_is_damaged_is_left_out_and_said(store: Store) -> None:
    experiment = store.create("e", "{}", 10)
    store.append(experiment, [step(0), evaluation(1), step(1), evaluation(2)])
    store._writer.execute("UPDATE records SET payload = CAST(x'7b22ff' AS TEXT) WHERE id = 1")
    deep = "[" * 100_000
    store._writer.execute("UPDATE records SET payload = ? WHERE id = 2", (deep,))
    store._writer.commit()
    assert [record for _, record in store.records(experiment)] == [step(1), evaluation(2)]
    [history] = store.history(experiment, 1)
    np.testing.assert_array_equal(history.evals.read(10)["step"], [2])
    assert store.notice is not None
    assert "damaged: what was recorded there is left out" in store.notice


@contextmanager
def held(path: Path) -> Iterator[sqlite3.Connection]:
    """Another program that writes to the store."""
    other = sqlite3.connect(path, check_same_thread=False)
    other.execute("BEGIN EXCLUSIVE")
    yield other
    other.rollback()
    other.close()


def test_a_file_that_another_program_holds_is_waited_for_and_said(store: Store) -> None:
    experiment = store.create("e", "{}", 10)
    with held(store.path):
        began = time.monotonic()
        with pytest.raises(RunError, match=r"Another program holds .* locked.*close it"):
            store.rename(experiment, "new")
        assert time.monotonic() - began < 8
        assert "Another program holds" in str(store.notice)
        assert store.experiments()[0].name == "e"  # reading goes on
    store.rename(experiment, "new")
    assert store.notice is None
    with held(store.path) as other:
        free = threading.Timer(3, other.rollback)
        free.start()
        store.append(experiment, [step(0)])  # records are waited for longer
        free.join()
    assert len(store.records(experiment)) == 1


def test_a_start_waits_for_another_program_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Store(tmp_path).close()
    with held(tmp_path / "skipscope.sqlite") as other:
        free = threading.Timer(0.5, other.rollback)
        free.start()
        Store(tmp_path).close()
        free.join()
    monkeypatch.setattr("explorer.runs.store.OPEN_PATIENCE", 0.5)
    with (
        held(tmp_path / "skipscope.sqlite"),
        pytest.raises(RunError, match=r"Another program holds .*close it"),
    ):
        Store(tmp_path)


def test_a_home_that_vanishes_is_said(tmp_path: Path) -> None:
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    store = Store(home)
    store.look_after()
    assert store.notice is None
    home.rename(elsewhere)
    store.look_after()
    assert "is gone or was replaced: nothing of what is trained" in str(store.notice)
    elsewhere.rename(home)
    store.look_after()
    assert store.notice is None
    store.close()


def test_a_full_disk_is_a_sentence_and_loses_nothing(store: Store) -> None:
    experiment = store.create("full", "{}", 10)
    store.append(experiment, [step(0)])
    pages = store._writer.execute("PRAGMA page_count").fetchone()[0]
    store._writer.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(RunError, match=r"could not write .* full.*free some space"):
        store.append(experiment, [step(number) for number in range(1, 5000)])
    store._writer.execute("PRAGMA max_page_count = 100000")
    store.append(experiment, [step(1)])
    assert [record.step for _, record in store.records(experiment)] == [0, 1]


def test_a_home_that_cannot_be_used_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(RunError, match=r"cannot keep its runs in .*SKIPSCOPE_HOME"):
        Store(tmp_path / "file" / "home")
    (tmp_path / "home" / "skipscope.sqlite").mkdir(parents=True)
    with pytest.raises(RunError, match=r"is a folder, and .*SKIPSCOPE_HOME"):
        Store(tmp_path / "home")


def test_one_process_at_a_time(tmp_path: Path) -> None:
    store = Store(tmp_path)
    running = store.create("mine", "{}", 10)
    store.update(running, "running")
    with pytest.raises(RunError, match="Another Skipscope is using"):
        Store(tmp_path)
    row = store.experiment(running)
    assert row is not None
    assert row.status == "running"
    store.close()
    Store(tmp_path).close()


def test_a_newer_format_is_left_alone(tmp_path: Path) -> None:
    Store(tmp_path).close()
    database = sqlite3.connect(tmp_path / "skipscope.sqlite")
    database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(RunError, match=r"newer Skipscope .format 99"):
        Store(tmp_path)
    assert not list(tmp_path.glob("*damaged*"))


def test_deleting_takes_records_results_and_files_along(store: Store) -> None:
    gone, kept = store.create("gone", "{}", 10), store.create("kept", "{}", 10)
    for experiment in (gone, kept):
        store.append(experiment, [step(0)])
        store.add_result(ResultRow(experiment, 0, "lesions", 1, {"step": 1}))
        (store.folder(experiment) / "lane-0.safetensors").write_bytes(b"weights")
    store.purge(gone)
    assert [row.id for row in store.experiments()] == [kept]
    assert store.records(gone) == []
    assert store.latest_results(gone, "lesions") == {}
    assert not store.folder(gone).exists()
    assert len(store.records(kept)) == 1
    with pytest.raises(RunError):
        store.append(gone, [step(1)])


def test_the_latest_result_of_each_lane(store: Store) -> None:
    experiment = store.create("e", "{}", 10)
    for lane, at in ((0, 1), (1, 1), (0, 5)):
        store.add_result(ResultRow(experiment, lane, "lesions", at, {"step": at}))
    store.add_result(ResultRow(experiment, 0, "gates", 9, {"step": 9}))
    latest = store.latest_results(experiment, "lesions")
    assert {lane: row.payload["step"] for lane, row in latest.items()} == {0: 5, 1: 1}


def test_a_resumed_run_measures_again_from_its_checkpoint(store: Store) -> None:
    experiment = store.create("e", "{}", 10)
    store.append(experiment, [evaluation(0), *(step(n) for n in range(4)), evaluation(2)])
    store.cut(experiment, 2)
    kept = [(record.kind, record.step) for _, record in store.records(experiment)]
    assert kept == [("eval", 0), ("step", 0), ("step", 1)]
    row = store.experiment(experiment)
    assert row is not None
    assert row.step == 2


# ----------------------------------------------------------------------------------- curves


def test_what_was_changed_by_hand_at_a_checkpoint_stays(store: Store) -> None:
    experiment = store.create("a name", "{}", 10)
    changes = [Record("forked", 1, 3, {"from": 0}), Record("deleted", 0, 3, {"units": ["u"]})]
    store.append(experiment, [step(2), evaluation(3), *changes, step(3), step(4)])
    store.append(experiment, [Record("deleted", 0, 5, {"units": []})])
    store.cut(experiment, 3)
    assert [record for _, record in store.records(experiment)] == [step(2), *changes]
    store.respecify(experiment, '{"lanes": 2}')
    row = store.experiment(experiment)
    assert row is not None
    assert row.spec == '{"lanes": 2}'


def test_the_state_at_a_step(store: Store) -> None:
    experiment = store.create("a name", "{}", 10)
    gates = [Record("gates", 0, at, {"mean": [at / 10]}) for at in (0, 4, 8)]
    store.append(experiment, [step(i) for i in range(10)] + gates + [evaluation(5, lane=1)])
    assert store.at(experiment, 0, 6) == {"step": step(6), "gates": gates[1]}
    assert store.at(experiment, 0, 4)["gates"] == gates[1]
    assert store.at(experiment, 0) == {"step": step(9), "gates": gates[2]}
    assert store.at(experiment, 1, 4) == {}
    curve = {"step": 4}
    store.add_result(ResultRow(experiment, 0, "lesions", 4, curve))
    store.add_result(ResultRow(experiment, 0, "lesions", 7, {"step": 7}))
    assert store.latest_results(experiment, "lesions", 6)[0].payload == curve
    assert store.latest_results(experiment, "lesions", 3) == {}


@pytest.mark.parametrize("n", [0, 1, 7, 1200, 3000])
def test_thinned_records_are_as_they_were_recorded(store: Store, n: int) -> None:
    experiment = store.create("a name", "{}", 10)
    sent = [Record("layers", 0, 10 * i, {"parameter_rms": [float(i)]}) for i in range(n)]
    store.append(experiment, sent)
    found = store.thinned(experiment, 0, "layers", 700)
    assert len(found) <= 700
    assert all(record in sent for record in found)
    assert (found[:1], found[-1:]) == (sent[:1], sent[-1:])
    gaps = {b.step - a.step for a, b in itertools.pairwise(found[:-1])}
    assert len(gaps) <= 1
    assert len(found) >= min(n, 300)
    assert len(store.records(experiment)) == n  # nothing is lost on disk


def test_a_curve_read_from_disk_is_the_one_kept_in_memory(store: Store) -> None:
    experiment = store.create("e", "{}", 500)
    live = [LaneHistory(), LaneHistory()]
    generator = np.random.default_rng(0)
    records = []
    for number in range(500):
        for lane in (0, 1):
            records.append(step(number, lane, loss=float(generator.random())))
            if number % 100 == 0:
                records.append(evaluation(number, lane, error=float(generator.random())))
    records.append(Record("layers", 1, 490, {"parameter_rms": [1.0], "output_rms": [2.0]}))
    store.append(experiment, records)
    for record in records:
        live[record.lane].add(record)
    stored = store.history(experiment, 2)
    for lane in (0, 1):
        for points in (1000, 100):
            for name, column in live[lane].steps.read(points).items():
                np.testing.assert_allclose(stored[lane].steps.read(points)[name], column)
        for name, column in live[lane].evals.read(1000).items():
            np.testing.assert_allclose(stored[lane].evals.read(1000)[name], column)
        assert stored[lane].latest == live[lane].latest


def test_a_thinned_curve_keeps_the_mean_and_its_old_points_stay() -> None:
    series = Series(("step", "loss", "error"))
    losses = np.random.default_rng(1).random(3 * KEPT_POINTS + 17)
    for number, loss in enumerate(losses):
        series.append(number, {"loss": loss, "error": 0.5})
        if number == 2 * KEPT_POINTS + 1000:
            early = series.read(1000)
    late = series.read(1000)
    assert len(late["loss"]) <= 1000
    run = round(late["step"][1] - late["step"][0])
    whole = len(losses) // run * run
    expected = losses[:whole].reshape(-1, run).mean(1)
    np.testing.assert_allclose(late["loss"][: len(expected)], expected)
    np.testing.assert_allclose(early["step"][:-2], late["step"][: len(early["step"]) - 2])


def test_a_loss_that_is_no_number_stays_a_gap(store: Store) -> None:
    experiment = store.create("e", "{}", 10)
    store.append(experiment, [step(0), step(1, loss=None), step(2)])
    loss = store.history(experiment, 1)[0].steps.read(10)["loss"]
    np.testing.assert_array_equal(np.isnan(loss), [False, True, False])


def test_long_runs_are_quick_to_open_and_to_draw(store: Store) -> None:
    """100,000 steps of one lane: all are kept, and a chart gets at most the points it asks for."""
    experiment = store.create("long", "{}", 100_000)
    payload = json.dumps({"loss": 1.0, "error": 0.5, "learning_rate": 0.1})
    store._write(
        lambda database: database.executemany(
            "INSERT INTO records (experiment, lane, kind, step, loss, error, payload) "
            "VALUES (?, 0, 'step', ?, ?, 0.5, ?)",
            ((experiment, n, 1 / (n + 1), payload) for n in range(100_000)),
        )
    )
    [history] = store.history(experiment, 1)
    columns = history.steps.read(1000)
    assert 500 <= len(columns["step"]) <= 1000
    assert columns["step"][0] < 200
    assert columns["step"][-1] > 99_000
    history.add(step(100_000))
    assert history.steps.read(1000)["step"][-1] > 99_000
