"""Sweeps in the server: one process drives them, a restart finds them, and the page shows them."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from explorer.errors import RunError
from explorer.pages.sweep.page import USUAL, from_query, to_query
from explorer.runs.serve.service import get_service
from explorer.runs.sweeps.plan import plan
from explorer.runs.sweeps.presets import SWEEP_PRESETS
from explorer.runs.sweeps.server_sweeps import ServerSweeps, SweepView
from explorer.runs.sweeps.sweep import Sweep
from explorer.structure.specs import SweepSpec, parse

SPEC = parse(
    SweepSpec,
    {
        "nets": ["plain_N;width=2", "resnet_v2_N;width=2"],
        "depths": [8, 14],
        "training": {"steps": 9},
    },
)
# Speaks as the process that drives a sweep does, until its standard input ends.
SAYS = (
    "import json, sys;"
    "say = lambda **m: print(json.dumps(m), flush=True);"
    "running = ['plain_N_width_2-depth-8-seed-7'];"
    "say(event='progress', share=0.25, seconds_left=100, running=running);"
)
WAITS = (sys.executable, "-c", f"{SAYS} sys.stdin.read(); say(event='over')")
DIES = (sys.executable, "-c", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
FAILS = (sys.executable, "-c", f"{SAYS} say(event='failed', sentence='The disk is full.')")


def done(folder: Path, spec: SweepSpec, runs: int) -> None:
    """The first ``runs`` trainings of a sweep as if they had been made."""
    for place, run in enumerate(plan(spec)[:runs]):
        column = [0.9, 0.1 * (place + 1)]
        names = ("train_loss", "train_error", "test_loss", "test_error")
        seed = {"step": [0, 9], **dict.fromkeys(names, column), "outcome": "", "ended": ""}
        value = {"seeds": [seed], "seconds": 1.5, "n_train": 359, "n_test": 360}
        (folder / run.id).mkdir(parents=True)
        (folder / run.id / "result.json").write_text(json.dumps(value))


def until(desk: ServerSweeps, sweep: str, true: Callable[[SweepView], bool]) -> SweepView:
    end = time.monotonic() + 30
    while not true(view := desk.view(sweep)):
        assert time.monotonic() < end, view
        time.sleep(0.02)
    return view


# ------------------------------------------------------------------------ the server's sweeps


def test_a_sweep_is_started_stopped_resumed_and_found_again(tmp_path: Path) -> None:
    desk = ServerSweeps(tmp_path, WAITS)
    assert desk.ids() == ()
    sweep = desk.start(SPEC)
    view = until(desk, sweep, lambda view: bool(view.running))
    assert (view.status, view.share, view.seconds_left) == ("running", 0.25, 100)
    assert view.running == ("Plain 8, width 2, seed 7",)
    with pytest.raises(RunError, match="under way: stop it before"):
        desk.delete(sweep)
    done(tmp_path / "sweeps" / sweep, SPEC, 3)
    desk.stop(sweep)
    view = until(desk, sweep, lambda view: view.status == "stopped")
    assert (view.problem, view.share, len(view.result.runs)) == ("", 0.75, 3)
    desk.resume(sweep)
    assert desk.view(sweep).status == "running"
    desk.close()

    again = ServerSweeps(tmp_path, WAITS)  # as after a restart of the server
    assert again.ids() == (sweep,)
    assert (again.view(sweep).status, again.view(sweep).spec) == ("stopped", SPEC)
    again.delete(sweep)
    assert again.ids() == ()
    with pytest.raises(RunError, match=r"There is no sweep '\.\./\.\.' here"):
        again.view("../..")


def test_sweeps_wait_for_each_other(tmp_path: Path) -> None:
    desk = ServerSweeps(tmp_path, WAITS)
    first, second, third = (desk.start(SPEC) for _ in range(3))
    standing = [(desk.view(one).status, desk.view(one).ahead) for one in (first, second, third)]
    assert standing == [("running", 0), ("queued", 1), ("queued", 2)]
    desk.resume(second)  # waits already
    desk.stop(third)
    assert desk.view(third).status == "stopped"
    desk.stop(first)
    desk.resume(first)  # behind the second, once it has saved
    assert until(desk, second, lambda view: view.status == "running").ahead == 0
    assert (desk.view(first).status, desk.view(first).ahead) == ("queued", 1)
    desk.delete(first)
    desk.stop()
    until(desk, second, lambda view: view.status == "stopped")
    desk.resume(third)
    assert desk.view(third).status == "running"
    desk.start(SPEC)
    desk.close()
    assert desk._active is None  # closing begins nothing


def test_closing_ends_the_process(tmp_path: Path) -> None:
    desk = ServerSweeps(tmp_path, (sys.executable, "-c", "import time; time.sleep(600)"))
    desk.start(SPEC)
    began = time.monotonic()
    desk.close(patience=0.1)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("command", "problem"),
    [(DIES, "was killed (SIGKILL, perhaps because memory ran out): what"), (FAILS, "disk is full")],
)
def test_what_ended_a_sweep_is_said(tmp_path: Path, command: tuple[str, ...], problem: str) -> None:
    desk = ServerSweeps(tmp_path, command)
    sweep = desk.start(SPEC)
    view = until(desk, sweep, lambda view: view.status == "stopped")
    assert problem in view.problem


def test_the_process_of_a_sweep_says_how_it_ended(tmp_path: Path) -> None:
    Sweep(tmp_path / "whole", SPEC)
    done(tmp_path / "whole", SPEC, 4)
    for folder, last in (("whole", {"event": "over"}), ("none", None)):
        command = [sys.executable, "-m", "explorer.runs.sweeps.drive", str(tmp_path / folder)]
        told = subprocess.run(command, input=b"", capture_output=True, check=True)
        said = json.loads(told.stdout.splitlines()[-1])
        assert said == last or "There is no sweep in" in said["sentence"]
    check = "import sys, explorer.runs.sweeps.drive; print('torch' in sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", check], capture_output=True, check=True)
    assert loaded.stdout.strip() == b"False"


# --------------------------------------------------------------------------------- the link


def test_a_link_brings_the_choices_back() -> None:
    assert from_query(to_query(USUAL)) == (USUAL, [])
    other = parse(
        SweepSpec,
        {
            **SPEC.model_dump(),
            "seeds": 3,
            "seed": 0,
            "data": {"name": "cifar10", "train_limit": 500},
            "training": {"steps": 40, "batch_size": 32},
        },
    )
    assert from_query(to_query(other)) == (other, [])
    for wrong in ({"nets": "plain_20"}, {"depths": "deep"}, {"seeds": "0"}, {"nets": "wing_N"}):
        spec, problems = from_query(wrong)
        assert spec == USUAL
        assert problems[0].startswith("The link's choices were left out: ")


# --------------------------------------------------------------------------------- the page


@pytest.fixture
def desk(_own_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ServerSweeps]:
    """The service's, with a process that waits in the place of the one that trains."""
    service = get_service()
    made = ServerSweeps(service.home, WAITS)
    monkeypatch.setattr(service, "sweeps", made)
    yield made
    made.close()
    for sweep in made.ids():
        made.delete(sweep)


@pytest.fixture(scope="module", autouse=True)
def _workers(_own_home: Path, worker_threads: None) -> Iterator[None]:
    yield
    get_service().close()


def open_page(**query: str) -> AppTest:
    source = "from explorer.pages.sweep import page as sweep\nsweep.page()\n"
    test = AppTest.from_string(source, default_timeout=60)
    for name, value in query.items():
        test.query_params[name] = value
    return test.run()


def words(test: AppTest) -> str:
    elements: list[Any] = [*test.warning, *test.info, *test.markdown]
    said = [str(element.value) for element in elements]
    said += [element.proto.body for element in test.get("html")]
    return " ".join(said).replace("\\", "")


def progress(test: AppTest) -> str:
    return " ".join(element.proto.text for element in test.get("progress"))


def test_the_page_starts_stops_goes_on_and_deletes(desk: ServerSweeps) -> None:
    test = open_page(**to_query(SPEC))
    assert not test.exception
    assert "No sweep is kept here yet" in words(test)
    assert test.multiselect(key="sweep.nets").value == list(SPEC.nets)
    next(b for b in test.button if b.label == "Start").click()
    test.run()
    assert not test.exception
    (sweep,) = desk.ids()
    assert desk.view(sweep).spec == SPEC
    until(desk, sweep, lambda view: bool(view.running))
    done(desk._home / "sweeps" / sweep, SPEC, 1)
    test.run()
    assert "1 of 4 trainings are done" in words(test)
    assert "At 14 layers: the nets differ in family (plain / residual)" in words(test)
    next(b for b in test.button if b.label == "Start").click()
    test.run()
    (other,) = set(desk.ids()) - {sweep}
    assert desk.view(other).status == "queued"
    assert "Waiting for the sweep before it: 0 of 4 trainings done" in progress(test)
    next(b for b in test.button if b.label == "Wait no more").click()
    test.run()
    assert desk.view(other).status == "stopped"
    desk.delete(other)
    test = open_page(sweep=sweep)
    test.button(key="sweep.stop").click().run()
    until(desk, sweep, lambda view: view.status == "stopped")
    test.run()
    test.button(key="sweep.resume").click().run()
    assert desk.view(sweep).status == "running"
    desk.stop(sweep)
    until(desk, sweep, lambda view: view.status == "stopped")
    test.run()
    test.button(key="sweep.delete").click().run()
    assert desk.ids() == ()


def test_the_page_shows_a_finished_sweep_and_all_its_numbers(desk: ServerSweeps) -> None:
    folder = desk._home / "sweeps" / "2026-01-02-030405"
    Sweep(folder, SPEC)
    done(folder, SPEC, 4)
    test = open_page(sweep="2026-01-02-030405")
    assert not test.exception
    assert "Done: 4 of 4 trainings." in words(test)
    assert test.multiselect(key="sweep.nets").value == list(SPEC.nets)
    assert "360 test images and 359 training images; seed 7" in words(test)
    assert list(test.dataframe[0].value["test error, %"]) == [10.0, 30.0, 20.0, 40.0]
    test.segmented_control(key="sweep.figure").set_value("curves").run()
    assert not test.exception
    assert "The deeper the net, the stronger the line" in words(test)


def test_wrong_choices_are_one_sentence_on_the_page(desk: ServerSweeps) -> None:
    test = open_page(nets="plain_20", sweep="2026-01-01-000000")
    assert "'plain_20' should have N in the place of the depth" in words(test)
    test.text_input(key="sweep.depths").set_value("deep")
    next(b for b in test.button if b.label == "Start").click()
    test.run()
    assert "A depth must be a whole number between 2 and 1,300, not 'deep'" in words(test)
    assert desk.ids() == ()


def test_a_preset_fills_the_form(desk: ServerSweeps) -> None:
    test = open_page()
    test.button(key="sweep.preset.sgs15").click().run()
    assert not test.exception
    assert test.multiselect(key="sweep.nets").value[1] == "fc_highway_N;transform_bias=-5"
    assert test.number_input(key="sweep.steps").value == SWEEP_PRESETS["sgs15"].spec.training.steps
    assert test.text_input(key="sweep.depths").value == "10, 20, 50, 100"
