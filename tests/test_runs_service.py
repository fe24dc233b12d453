"""The run service with real workers: training, controls, jobs, deaths, restarts."""

from __future__ import annotations

import logging.handlers
import os
import queue
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from explorer.errors import RunError, SkipscopeError
from explorer.instruments.lesions.result import LesionCurve
from explorer.runs.serve.service import RunService, get_service
from explorer.runs.serve.views import ExperimentView
from explorer.structure.names import spec_of
from explorer.structure.specs import DataSpec, ExperimentSpec, TrainSpec, fit_to_data
from explorer.structure.variants import without_shortcuts
from explorer.training import checkpoint

DATA = DataSpec()
ENDLESS = 1_000_000
PLAIN = fit_to_data(spec_of("plain_8;width=4"), DATA)
RESNET = fit_to_data(spec_of("resnet_v2_8;width=4"), DATA)
FRESH = {"source": "fresh", "spec": RESNET.model_dump(mode="json"), "seed": 5}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunService]:
    faults: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
    handler = logging.handlers.QueueHandler(faults)
    logging.getLogger("skipscope.service").addHandler(handler)
    service = RunService(tmp_path_factory.mktemp("home"), threads=1)
    service.start()
    yield service
    service.close()
    assert faults.empty(), faults.get().getMessage()


def until(condition: Callable[[], bool], seconds: float = 60, every: float = 0.02) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that in time"
        time.sleep(every)


def spec(steps: int, *, lanes: int = 2) -> ExperimentSpec:
    training = TrainSpec(steps=steps, batch_size=32, eval_every=50)
    return ExperimentSpec(lanes=(PLAIN, RESNET)[:lanes], training=training)


def reaches(service: RunService, experiment: str, *statuses: str) -> ExperimentView:
    until(lambda: service.experiment(experiment).status in statuses)
    return service.experiment(experiment)


def trainer_pid(service: RunService, experiment: str) -> int:
    worker = service._runs[experiment].worker
    assert worker is not None
    return worker.pid


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_a_training_from_beginning_to_end(service: RunService) -> None:
    experiment = service.create(spec(60), name="a first one")
    seen = {service.version(experiment)}
    while service.experiment(experiment).active:
        service.watch(experiment)
        seen.add(service.version(experiment))
        time.sleep(0.02)
    view = service.experiment(experiment)
    assert (view.status, view.step, view.name) == ("finished", 60, "a first one")
    assert view.device == "cpu"
    assert [lane.snapshot_step for lane in view.lanes] == [60, 60]
    assert len(seen) > 3
    live = service.live(experiment)
    assert live is service.live(experiment)  # nothing changed, nothing built
    for lane in live.lanes:
        np.testing.assert_array_equal(lane.curves.step, np.arange(60))
        np.testing.assert_array_equal(lane.curves.eval_step, [0, 50, 60])
        assert np.isfinite(lane.curves.batch_loss).all()
        assert len(lane.records["layers"].values["parameter_rms"]) == 8
    assert [e.id for e in service.experiments()] == [experiment]

    def watched() -> bool:
        service.watch(experiment)
        lanes = service.live(experiment).lanes
        return all(lane.lesions and lane.lesions.step == 60 for lane in lanes)

    until(watched)
    lesions = [lane.lesions for lane in service.live(experiment).lanes]
    assert [state.curve.units for state in lesions if state] == [
        ("stages.0.units.0",),  # the others change the shape, and a plain net has no shortcut
        ("stages.0.units.0", "stages.1.units.0", "stages.2.units.0"),
    ]


def test_pause_step_play_slow_and_stop(service: RunService) -> None:
    experiment = service.create(spec(ENDLESS), start=False)
    assert reaches(service, experiment, "paused").step == 0
    service.control(experiment, "step")
    until(lambda: service.experiment(experiment).step == 1)
    reaches(service, experiment, "paused")
    service.control(experiment, "learning_rate", 0.01)
    service.control(experiment, "slow")
    assert service.experiment(experiment).slow == 2.0
    service.control(experiment, "slow", 0)
    service.control(experiment, "play")
    until(lambda: service.experiment(experiment).step > 20)
    until(lambda: service.experiment(experiment).steps_per_second is not None)
    view = service.experiment(experiment)
    assert view.status == "running"
    assert view.seconds_left is not None
    assert view.lanes[0].learning_rate == 0.01
    service.control(experiment, "pause")
    paused = reaches(service, experiment, "paused").step
    time.sleep(0.3)
    assert service.experiment(experiment).step == paused
    service.control(experiment, "stop")
    view = reaches(service, experiment, "stopped")
    assert view.reason == f"Stopped at step {paused}; Play goes on from there."
    assert view.resumable
    with pytest.raises(RunError, match="press Play"):
        service.control(experiment, "learning_rate", 0.1)
    with pytest.raises(RunError, match="between 1e-8 and 100"):
        service.control(experiment, "learning_rate", -1.0)
    service.control(experiment, "pause")  # a click that came too late changes nothing
    assert service.experiment(experiment).status == "stopped"

    service.control(experiment, "resume")
    until(lambda: service.experiment(experiment).step > paused + 5)
    service.control(experiment, "stop")
    stopped = reaches(service, experiment, "stopped").step
    steps = service.live(experiment, 10**6).lanes[0].curves.step
    np.testing.assert_array_equal(steps, np.arange(stopped))  # none lost, none twice


@pytest.fixture(scope="class")
def pair(service: RunService) -> Iterator[tuple[str, str]]:
    """Two endless trainings: as many as run at a time."""
    first, second = (service.create(spec(ENDLESS, lanes=1)) for _ in range(2))
    for experiment in (first, second):
        reaches(service, experiment, "running")
    yield first, second
    service.control(first, "stop")  # its warm process serves the next test
    service.delete(second)
    with pytest.raises(RunError, match="There is no experiment"):
        service.experiment(second)


class TestTwoAtATime:
    def test_what_waits_starts_when_there_is_room(
        self, service: RunService, pair: tuple[str, str]
    ) -> None:
        third, fourth = (service.create(spec(4, lanes=1)) for _ in range(2))
        positions = [service.experiment(e).queue_position for e in (*pair, third, fourth)]
        assert positions == [None, None, 1, 2]
        service.control(third, "stop")
        assert service.experiment(third).status == "stopped"
        assert service.experiment(fourth).queue_position == 1
        # A paused training gives its place up, and takes it again when it is played.
        service.control(pair[0], "pause")
        assert reaches(service, fourth, "finished").step == 4
        view = service.experiment(pair[0])
        assert view.status == "paused"
        service.control(pair[0], "play")
        until(lambda: service.experiment(pair[0]).step > view.step)

    def test_a_killed_one_says_so_and_keeps_its_records(
        self, service: RunService, pair: tuple[str, str]
    ) -> None:
        experiment, other = pair
        until(lambda: service.experiment(experiment).step > 10)
        saved = service._runs[experiment].saved
        os.kill(trainer_pid(service, experiment), signal.SIGKILL)
        view = reaches(service, experiment, "failed")
        assert view.reason == (
            "The process that trained this was killed (SIGKILL, perhaps because memory ran out) at "
            f"step {view.step}; everything up to there is kept, and "
            + (
                "Resume goes on from its last checkpoint."
                if saved
                else "as no checkpoint was written yet, Play starts over from the seed."
            )
        )
        stored = service._store.experiment(experiment)
        assert stored is not None
        assert (stored.status, stored.reason, stored.step) == ("failed", view.reason, view.step)
        kept = [r.step for _, r in service._store.records(experiment) if r.kind == "step"]
        assert kept == list(range(view.step))
        before = service.experiment(other).step
        until(lambda: service.experiment(other).step > before)  # everything else goes on
        service.control(experiment, "play")
        reaches(service, experiment, "running")


def test_a_lane_is_duplicated_a_unit_deleted_and_all_of_it_kept(service: RunService) -> None:
    """Steering a paused training, its moments and weights, and a restart of its process."""
    experiment = service.create(spec(ENDLESS), start=False)
    reaches(service, experiment, "paused")
    for done in (1, 2, 3):
        service.control(experiment, "step")
        until(lambda done=done: service.experiment(experiment).step == done)
    reaches(service, experiment, "paused")
    service.duplicate(experiment, 1, without_shortcuts(RESNET))
    until(lambda: len(service.experiment(experiment).lanes) == 3)
    until(lambda: service.experiment(experiment).lanes[2].origin is not None)
    lane = service.experiment(experiment).lanes[2]
    assert lane.origin == (
        "Lane 3 goes on from lane 2 at step 3: all 15 of its layers with weights were taken over."
    )
    service.delete_units(experiment, 0, ["stages.0.units.0"])
    until(lambda: bool(service.experiment(experiment).lanes[0].deleted))
    with pytest.raises(SkipscopeError, match="no unit 'nonsense'"):
        service.delete_units(experiment, 0, ["nonsense"])
    with pytest.raises(SkipscopeError, match="cannot be deleted"):
        service.delete_units(experiment, 0, ["stages.1.units.0"])
    with pytest.raises(SkipscopeError, match="no lane 8"):
        service.duplicate(experiment, 7, RESNET)
    service.control(experiment, "save_weights")
    service.control(experiment, "step")
    until(lambda: service.experiment(experiment).step == 4)

    # Stopped, and taken up again by another process: the lane and the deletion are still there.
    service.control(experiment, "stop")
    reaches(service, experiment, "stopped")
    with pytest.raises(RunError, match="at rest"):
        service.duplicate(experiment, 0, RESNET)
    service.control(experiment, "play")
    until(lambda: service.experiment(experiment).step > 10)
    service.control(experiment, "stop")
    reaches(service, experiment, "stopped")
    view = service.live(experiment)
    assert len(view.lanes) == len(view.experiment.lanes) == 3
    assert view.experiment.lanes[0].deleted == ("stages.0.units.0",)
    assert view.lanes[2].curves.step[0] == 3
    assert "responses" in view.lanes[0].records

    moment = service.moment(experiment, 2)
    assert [lane.records["step"].step for lane in moment.lanes[:2]] == [2, 2]
    assert moment.lanes[2].records == {}
    assert [lane.weights_step for lane in moment.lanes] == [None] * 3
    moment = service.moment(experiment, 6)
    assert set(moment.lanes[0].records) == {"step", "eval", "layers", "responses", "deleted"}
    assert set(moment.lanes[2].records) == {"step", "forked"}
    assert [lane.weights_step for lane in moment.lanes] == [3] * 3
    recorded = service.recorded(experiment, 0, "step", 4)
    assert [record.step for record in recorded][:2] == [0, recorded[1].step]
    assert recorded[-1].step == view.experiment.step - 1

    source = {"source": "run", "experiment": experiment, "lane": 0}
    early, late = (
        service.submit("evaluate", {"net": {**source, **step}}).wait(60)
        for step in ({"step": 3}, {})
    )
    assert early is not None
    assert late is not None
    assert (early["step"], late["step"]) == (3, view.experiment.step)
    with pytest.raises(RunError, match=r"No weights of step 4 are kept; there are those of 3\."):
        service.submit("evaluate", {"net": {**source, "step": 4}})


def test_slow_motion_shows_the_parts_of_a_step(service: RunService) -> None:
    experiment = service.create(spec(ENDLESS, lanes=1), start=False)
    reaches(service, experiment, "paused")
    service.control(experiment, "slow", 4)
    service.control(experiment, "play")
    seen = {}

    def all_three() -> bool:
        phase = service.live(experiment).phase
        if phase is not None:
            seen[phase.name] = phase.lanes[0]
        return len(seen) == 3

    until(all_three)
    assert {name: set(values) for name, values in seen.items()} == {
        "forward": {"loss", "error"},
        "backward": {"parameter_rms"},
        "update": {"change"},
    }
    service.control(experiment, "slow", 0)
    until(lambda: service.experiment(experiment).step > 20)
    assert service.live(experiment).phase is None
    service.control(experiment, "stop")
    reaches(service, experiment, "stopped")


def test_several_seeds_make_a_band_and_a_target_ends_it(service: RunService) -> None:
    training = TrainSpec(steps=60, batch_size=32, eval_every=10, target_error=0.85)
    experiment = service.create(ExperimentSpec(lanes=(RESNET,), training=training, seeds=2))
    view = reaches(service, experiment, "finished")
    assert view.step < 60
    assert view.reason == f"Every net reached its target error by step {view.step}."
    assert "reached its target" in (view.lanes[0].message or "")
    assert not view.lanes[0].diverged
    band = service.live(experiment).lanes[0].band
    assert band is not None
    assert band.seeds == (7, 8)
    assert band.test_error.shape == (len(band.step), 2)
    low, middle, high = band.spread("test_error")
    assert (low <= middle).all()
    assert (middle <= high).all()


def test_a_training_that_nobody_watches_is_paused(service: RunService) -> None:
    experiment = service.create(spec(ENDLESS, lanes=1))
    service.control(experiment, "keep")
    reaches(service, experiment, "running")
    service._lease_seconds = 0.5
    try:
        time.sleep(1.5)
        assert service.experiment(experiment).status == "running"
        service.control(experiment, "keep", 0)
        view = reaches(service, experiment, "paused")
        assert view.reason.startswith("Paused because nobody has watched it for")
        until(lambda: service._runs[experiment].worker is None)  # its process is let go
        assert service.experiment(experiment).reason == view.reason
    finally:
        service._lease_seconds = 600.0
    service.control(experiment, "play")
    until(lambda: service.experiment(experiment).step > view.step)
    service.control(experiment, "stop")
    reaches(service, experiment, "stopped")


def test_data_that_is_not_there_is_a_sentence(service: RunService, tmp_path: Path) -> None:
    data = DataSpec(name="folder", path=str(tmp_path / "nowhere"))
    lost = ExperimentSpec(lanes=(PLAIN,), data=data, training=TrainSpec(steps=3))
    view = reaches(service, service.create(lost), "failed")
    assert view.reason.startswith("There is no folder")
    assert view.step == 0


# -------------------------------------------------------------------------------------- jobs


def test_jobs_while_a_training_runs(service: RunService) -> None:
    experiment = service.create(spec(ENDLESS))
    reaches(service, experiment, "running")
    source = {"source": "run", "experiment": experiment, "lane": 1}
    until(lambda: service.experiment(experiment).lanes[1].snapshot_step is not None)
    job = service.submit("evaluate", {"net": source, "deleted": ["stages.1.units.0"]})
    result = job.wait(30)
    assert result is not None
    assert result["deleted"] == ["stages.1.units.0"]
    assert result["n_images"] == 360
    assert 0 <= result["accuracy"] <= 1
    assert result["step"] == 0
    watched = {1: ("stages.1.units.0",)}

    def moved() -> bool:
        service.watch(experiment, watched)
        live = service.live(experiment)
        return (
            bool(live.programs)
            and live.programs[0].step > 0
            and all(lane.lesions and lane.lesions.step > 0 for lane in live.lanes)
        )

    until(moved)
    [program] = service.live(experiment).programs
    assert program.result is not None
    assert (program.lane, program.deleted) == (1, ("stages.1.units.0",))
    assert service.experiment(experiment).status == "running"
    service.delete(experiment)
    with pytest.raises(RunError, match="There is no experiment"):
        service.submit("evaluate", {"net": source})


def test_a_deleted_training_is_stopped_and_can_be_brought_back(service: RunService) -> None:
    experiment = service.create(spec(ENDLESS, lanes=1), name="regretted")
    reaches(service, experiment, "running")
    service.annotate(experiment, "  to be <kept>\n")
    service.control(experiment, "keep")
    with pytest.raises(RunError, match="at most 20,000 characters, not 20,001"):
        service.annotate(experiment, "x" * 20_001)
    service.delete(experiment)
    with pytest.raises(RunError, match="it was deleted"):
        service.live(experiment)
    assert experiment not in [view.id for view in service.experiments()]
    until(lambda: service._runs[experiment].worker is None)
    [view] = [view for view in service.deleted_experiments() if view.id == experiment]
    service.restore(experiment)
    view = service.experiment(experiment)
    assert (view.status, view.note, view.deleted) == ("stopped", "to be <kept>", None)
    assert view.resumable
    assert view.step == len(service.live(experiment, 10**6).lanes[0].curves.step) > 0

    service.delete(experiment)
    run = service._runs[experiment]
    run.deleted = time.time() - 25 * 3600  # its day is over
    until(lambda: experiment not in service._runs)
    until(lambda: not service._store.folder(experiment).exists())
    with pytest.raises(RunError, match="removed for good"):
        service.restore(experiment)


def test_the_same_question_is_answered_once(service: RunService) -> None:
    first = service.submit("lesions", {"net": FRESH, "data": DATA.model_dump()})
    second = service.submit("lesions", {"net": FRESH, "data": DATA.model_dump()})
    assert first.id == second.id
    first.cancel()  # the other still wants it
    result = second.wait(30)
    assert result is not None
    assert second.state == "done"
    assert len(LesionCurve.from_json(result).units) == 3
    assert second.partial["units"] == result["units"]
    again = service.submit("lesions", {"net": FRESH})
    assert again.state == "done"
    assert service.job(again.id).wait(0) == result
    assert second.progress[0] == 1.0
    with pytest.raises(RunError, match="no job"):
        service.job("job-0")


def test_every_kind_of_job(service: RunService) -> None:
    gradients = service.submit("gradients", {"net": FRESH}).wait(30)
    assert gradients is not None
    assert len(gradients["layers"]) == 8
    highway = fit_to_data(spec_of("fc_highway_8"), DATA).model_dump(mode="json")
    gated = {"source": "fresh", "spec": highway, "seed": 5}
    gates = service.submit("gates", {"net": gated}).wait(30)
    assert gates is not None
    assert all(0 < unit["mean"] < 1 for unit in gates["units"])
    refused = service.submit("gates", {"net": FRESH})
    assert refused.wait(30) is None
    assert refused.state == "failed"
    assert refused.error is not None
    assert refused.error.startswith("This residual net has no gates")
    shown = service.submit(
        "predict", {"nets": [FRESH, FRESH], "index": 7, "deleted": [[], ["stages.0.units.0"]]}
    ).wait(30)
    assert shown is not None
    intact, cut = (np.asarray(p["probabilities"]) for p in shown["predictions"])
    assert intact.sum() == pytest.approx(1)
    assert np.abs(intact - cut).max() > 1e-3
    assert shown["true_class"] in range(10)
    assert len(shown["classes"]) == 10
    assert service.submit("predict", {"nets": [FRESH], "index": 360}).wait(30) is None
    data = service.submit("prepare_data", {"data": DATA.model_dump()}).wait(30)
    assert data is not None
    assert (data["n_train"], data["n_test"], data["input_shape"]) == (1437, 360, [1, 8, 8])


@pytest.mark.parametrize(
    ("kind", "payload", "sentence"),
    [
        ("dance", {}, "There is no job 'dance'"),
        ("gates", {"net": {"source": "moon"}}, "source"),
        ("gates", {"net": FRESH, "images": 5}, "There is no field 'images'"),
        ("predict", {"nets": [FRESH]}, "either the index of a test image or an image_path"),
        ("evaluate", {"net": FRESH, "program": [], "deleted": ["x"]}, "not both"),
        ("gates", {"net": {"source": "shipped", "name": "nothing"}}, "no shipped weights"),
        ("gates", {"net": {"source": "run", "experiment": "x"}}, "There is no experiment 'x'"),
    ],
)
def test_a_wrong_question_is_one_sentence(
    service: RunService, kind: str, payload: dict[str, object], sentence: str
) -> None:
    with pytest.raises(SkipscopeError, match=sentence):
        service.submit(kind, payload)  # type: ignore[arg-type]


def test_a_killed_measurement_says_so_and_others_go_on(service: RunService) -> None:
    deep = fit_to_data(spec_of("resnet_v2_110"), DATA).model_dump(mode="json")
    sweep = service.submit("lesions", {"net": {"source": "fresh", "spec": deep, "seed": 1}})
    behind = service.submit("lesions", {"net": {**FRESH, "seed": 6}})
    until(lambda: sweep.state == "running")
    [pid] = service._job_queue.pids
    os.kill(pid, signal.SIGKILL)
    assert sweep.wait(30) is None
    assert sweep.state == "failed"
    assert sweep.error == (
        "The process that measured this was killed (SIGKILL, perhaps because memory ran out); "
        "a fresh one has taken its place, so try again."
    )
    assert behind.wait(30) is not None
    assert service._job_queue.pids != [pid]


def test_a_job_can_be_given_up(service: RunService) -> None:
    deep = fit_to_data(spec_of("resnet_v2_110"), DATA).model_dump(mode="json")
    sweep = service.submit("lesions", {"net": {"source": "fresh", "spec": deep, "seed": 2}})
    until(lambda: sweep.state == "running")
    began = time.monotonic()
    click = service.submit("evaluate", {"net": FRESH, "deleted": ["stages.0.units.0"]})
    assert click.wait(10) is not None
    assert sweep.state == "running"
    assert time.monotonic() - began < 3
    sweep.cancel()
    sweep.wait(10)
    assert (sweep.state, sweep.error) == ("cancelled", "This measurement was cancelled.")


# ------------------------------------------------------------------------- ends and restarts


def test_a_full_disk_ends_the_training_with_a_sentence(service: RunService) -> None:
    experiment = service.create(spec(ENDLESS))
    until(lambda: service.experiment(experiment).step > 3)
    database = service._store._writer
    with service._store._writing:
        pages = database.execute("PRAGMA page_count").fetchone()[0]
        database.execute(f"PRAGMA max_page_count = {pages}")
    try:
        view = reaches(service, experiment, "failed")
        assert re.match(r"Skipscope could not write to .* full\): free some space", view.reason)
    finally:
        with service._store._writing:
            database.execute("PRAGMA max_page_count = 1000000")
    kept = [r.step for _, r in service._store.records(experiment) if r.kind == "step"]
    assert len(kept) >= 4
    assert service.submit("evaluate", {"net": FRESH}).wait(30) is not None


def test_a_restart_finds_every_run_and_takes_it_up_again(tmp_path: Path) -> None:
    before = RunService(tmp_path, threads=1, instrument_workers=0, max_training=1)
    before.start()
    with pytest.raises(RunError, match="Another Skipscope"):
        RunService(tmp_path)
    experiment = before.create(spec(ENDLESS, lanes=1))
    waiting = before.create(spec(3, lanes=1))
    until(lambda: before.experiment(experiment).step > 10)
    pid = trainer_pid(before, experiment)
    before.close()
    assert not alive(pid)

    after = RunService(tmp_path, threads=1, instrument_workers=0, max_training=1)
    after.start()
    try:
        view = after.experiment(experiment)
        assert view.status == "interrupted"
        assert view.reason == (
            f"Cut short at step {view.step} when the app was closed; Play goes on from there."
        )
        curves = after.live(experiment, 10**6).lanes[0].curves
        np.testing.assert_array_equal(curves.step, np.arange(view.step))
        assert after.experiment(waiting).reason == (
            "The app was closed or killed before its first step."
        )
        after.control(experiment, "play")
        until(lambda: after.experiment(experiment).step > view.step + 5)
        after.control(experiment, "pause")
        step = reaches(after, experiment, "paused").step
        curves = after.live(experiment, 10**6).lanes[0].curves
        np.testing.assert_array_equal(curves.step, np.arange(step))
    finally:
        after.close()


def test_a_killed_server_leaves_no_process_behind(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path\n"
        "from explorer.runs.serve.service import RunService\n"
        "from explorer.structure.specs import ExperimentSpec, parse\n"
        "service = RunService(Path(sys.argv[1]), threads=1); service.start()\n"
        "name = service.create(parse(ExperimentSpec, sys.argv[2]))\n"
        "while service.experiment(name).step < 3: time.sleep(0.02)\n"
        "print(service._runs[name].worker.pid, *service._job_queue.pids, flush=True)\n"
        "time.sleep(60)\n"
    )
    server = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path), spec(ENDLESS, lanes=1).model_dump_json()],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    pids = [int(pid) for pid in server.stdout.readline().split()]
    assert len(pids) == 2
    assert all(alive(pid) for pid in pids)
    server.kill()
    server.wait()
    server.stdout.close()
    until(lambda: not any(alive(pid) for pid in pids), seconds=20)
    restarted = RunService(tmp_path)  # not started: it only looks
    [view] = restarted.experiments()
    assert view.status == "interrupted"
    assert view.step >= 3
    assert len(restarted.live(view.id).lanes[0].curves.step) == view.step
    restarted.close()


def test_one_service_for_a_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RunService, "start", lambda self, *, delay=0.0: None)
    service = get_service(tmp_path)
    assert get_service(tmp_path) is service
    service.close()
    assert get_service(tmp_path) is not service
    get_service(tmp_path).close()


def test_a_checkpoint_stands_before_the_first_step(tmp_path: Path) -> None:
    service = RunService(tmp_path, threads=1, instrument_workers=0)
    service.start()
    try:
        experiment = service.create(spec(ENDLESS))
        until(lambda: service.experiment(experiment).step > 5)
        os.kill(trainer_pid(service, experiment), signal.SIGKILL)
        view = reaches(service, experiment, "failed")
        assert view.resumable
        assert "everything up to there is kept, and Resume goes on" in view.reason
        before = service.live(experiment, 10**6).lanes[1].curves.batch_loss[:5]
        service.control(experiment, "play")
        until(lambda: service.experiment(experiment).status == "running")
        until(lambda: service.experiment(experiment).step > 5)
        curves = service.live(experiment, 10**6).lanes[1].curves
        np.testing.assert_array_equal(curves.batch_loss[:5], before)
        np.testing.assert_array_equal(curves.step, np.arange(len(curves.step)))
    finally:
        service.close()


def test_the_checkpoint_stays_until_the_end_is_stored(tmp_path: Path) -> None:
    """The server stands still while its training ends, and is killed before it heard of that."""
    script = (
        "import sys, time; from pathlib import Path\n"
        "from explorer.runs.serve.service import RunService\n"
        "from explorer.structure.specs import ExperimentSpec, parse\n"
        "service = RunService(Path(sys.argv[1]), threads=1, instrument_workers=0)\n"
        "service.start(); name = service.create(parse(ExperimentSpec, sys.argv[2]))\n"
        "while service.experiment(name).step < 3: time.sleep(0.005)\n"
        "print(name, flush=True); time.sleep(60)\n"
    )
    chosen = spec(120, lanes=1)
    server = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path), chosen.model_dump_json()],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    experiment = server.stdout.readline().strip()
    server.send_signal(signal.SIGSTOP)
    weights = tmp_path / "experiments" / experiment / "lane-0.safetensors"
    until(lambda: checkpoint.snapshot_state(weights).get("step") == 120)
    time.sleep(0.5)  # whatever the worker does after its last weights
    server.kill()
    server.wait()
    server.stdout.close()
    assert (weights.parent / "checkpoint.safetensors").exists()

    after = RunService(tmp_path, threads=1, instrument_workers=0)
    after.start()
    try:
        assert after.experiment(experiment).resumable
        after.control(experiment, "play")
        reaches(after, experiment, "finished")
        until(lambda: not (weights.parent / "checkpoint.safetensors").exists())
        assert not after.experiment(experiment).resumable
        whole = after.create(chosen)
        reaches(after, whole, "finished")
        curves = [after.live(run).lanes[0].curves for run in (experiment, whole)]
        np.testing.assert_array_equal(curves[0].batch_loss, curves[1].batch_loss)
        np.testing.assert_array_equal(curves[0].test_error, curves[1].test_error)
    finally:
        after.close()
    again = RunService(tmp_path)  # the end was stored, too
    assert again.experiment(experiment).status == "finished"
    again.close()


def test_one_error_does_not_end_housekeeping(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = RunService(tmp_path, instrument_workers=0, lease_seconds=0.2, threads=1)
    tend, failures = service._tend, [OSError(24, "Too many open files")]

    def fails_once() -> None:
        if failures:
            raise failures.pop()
        tend()

    monkeypatch.setattr(service, "_tend", fails_once)
    monkeypatch.setattr(logging.getLogger("skipscope.service"), "disabled", True)
    service.start()
    try:
        experiment = service.create(spec(ENDLESS, lanes=1))
        until(lambda: "nobody has watched it" in service.experiment(experiment).reason)
        assert not failures
        assert service.notice is None  # it was said, and is over
    finally:
        service.close()


def test_processes_that_cannot_be_started_are_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = RunService(tmp_path, threads=1)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no-such-program"))
    job = service.submit("evaluate", {"net": FRESH})
    assert re.match(r"No process could be started that computes \(.*try again", str(job.error))
    experiment = service.create(spec(3))
    view = service.experiment(experiment)
    assert view.status == "failed"
    assert view.reason.startswith("No process could be started")
    monkeypatch.undo()
    service.start()
    try:
        assert service.submit("evaluate", {"net": FRESH}).wait(60) is not None
    finally:
        service.close()


def test_a_store_that_another_program_holds_holds_no_page(service: RunService) -> None:
    experiment = service.create(spec(ENDLESS))
    until(lambda: service.experiment(experiment).step > 3)
    slowest = 0.0
    other = sqlite3.connect(service._store.path)
    other.execute("BEGIN EXCLUSIVE")
    try:
        for action in ("pause", "play", "step", "play", "pause"):
            until(lambda: service.notice is None or "Another program holds" in service.notice)
            began = time.monotonic()
            service.control(experiment, action)
            service.live(experiment)
            service.last_errors(experiment)
            slowest = max(slowest, time.monotonic() - began)
        until(lambda: "Another program holds" in str(service.notice))
        with pytest.raises(RunError, match="Another program holds"):
            service.rename(experiment, "later")
    finally:
        other.rollback()
        other.close()
    assert slowest < 1.0  # each waited up to 10 s, with every page behind it
    reaches(service, experiment, "paused")
    until(lambda: service.notice is None)
    view = service.experiment(experiment)
    until(lambda: service._store.experiment(experiment).status == "paused")
    curves = service.live(experiment, 10**6).lanes[0].curves
    np.testing.assert_array_equal(curves.step, np.arange(view.step))
    stored = [r for _, r in service._store.records(experiment) if (r.kind, r.lane) == ("step", 0)]
    assert [record.step for record in stored] == list(range(view.step))
    service.control(experiment, "stop")
