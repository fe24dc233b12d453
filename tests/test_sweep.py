"""Sweeps: what is planned, trained, kept and resumed; the command, the figures, the sentences."""

from __future__ import annotations

import json
import math
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import explorer
from explorer.cli import main
from explorer.cli.text import duration
from explorer.drawing import depth_figure, sweep_curves_figure
from explorer.drawing.sweep import _apart
from explorer.errors import RunError, SpecError
from explorer.results import SweepResult, SweepRun
from explorer.runs.sweeps import pool, train_one
from explorer.runs.sweeps.plan import Planned, in_words, of_depth, plan
from explorer.runs.sweeps.presets import SWEEP_PRESETS
from explorer.runs.sweeps.sweep import Progress, Sweep
from explorer.runs.sweeps.train_one import train
from explorer.structure.specs import RECIPES, DataSpec, SweepSpec, TrainSpec, parse

DATA = {"name": "digits", "train_limit": 100}
TRAINING = {"steps": 9, "batch_size": 20, "eval_every": 3}


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> None:
    torch.set_num_threads(1)


def spec(**changes: Any) -> SweepSpec:
    usual = {"nets": ["plain_N;width=2"], "depths": [8], "data": DATA, "training": TRAINING}
    return parse(SweepSpec, {**usual, **changes})


def ignore(share: float) -> None:
    pass


def never() -> bool:
    return False


# ---------------------------------------------------------------------------------- the plan


def test_every_net_at_every_depth_from_every_seed() -> None:
    planned = plan(spec(nets=["plain_N;width=2", "highway_N;width=2"], depths=[20, 8], seeds=2))
    found = [(run.net, run.lane.depth, run.experiment.seed) for run in planned]
    first = [
        ("plain_N;width=2", 8, 7),
        ("highway_N;width=2", 7, 7),  # 3n + 1
        ("plain_N;width=2", 20, 7),
        ("highway_N;width=2", 19, 7),
    ]
    assert found == [*first, *[(net, depth, 8) for net, depth, _ in first]]
    assert len({run.id for run in planned}) == 8
    assert all(run.lane.input_shape == (1, 8, 8) for run in planned)
    assert planned[2].work > 2 * planned[0].work


def test_fully_connected_nets_train_all_seeds_together() -> None:
    (run,) = plan(spec(nets=["fc_plain_N;width=4"], depths=[5], seeds=3))
    assert (run.experiment.seed, run.experiment.seeds) == (7, 3)


def test_depths_become_the_nearest_possible_ones() -> None:
    assert of_depth("plain_N", 30).depth == 32
    assert of_depth("fc_plain_N", 30).depth == 30
    assert of_depth("densenet_N_k4", 20).depth == 19
    # 29 layers are bottlenecks' depth: another kind of unit, and no member of this family
    assert explorer.spec_of("resnet_v2_29").unit == "bottleneck"
    assert (of_depth("resnet_v2_N", 29).depth, of_depth("resnet_v2_N", 29).unit) == (26, "basic")
    assert of_depth("resnet_v2_N;unit=bottleneck", 29).depth == 29
    assert len(plan(spec(depths=[7, 8, 9]))) == 1


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"nets": ["plain_20"]}, "'plain_20' should have N in the place of the depth"),
        ({"nets": ["plain_N", "plain_N"]}, "given twice"),
        ({"nets": []}, "nets: "),
        ({"nets": ["plain_N"] * 5}, "nets: "),
        ({"depths": [1]}, "depths: a net has from 2 to 1300 layers, not 1."),
        ({"depths": []}, "depths: "),
        ({"depths": list(range(8, 420)), "seeds": 1}, "412 trainings, and a sweep has 400 at most"),
        ({"seeds": 17}, "seeds must be at least 1 and at most 16, not 17."),
        ({"training": {"keep_weights": [3]}}, "keeps no weights"),
        ({"wings": 2}, "There is no field 'wings' here; remove it: there are nets, depths"),
    ],
)
def test_wrong_sweeps_are_refused_with_a_sentence(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SpecError) as caught:
        spec(**changes)
    assert sentence in str(caught.value)


def test_wrong_nets_and_depths_are_refused_with_a_sentence() -> None:
    with pytest.raises(SpecError, match="Depth 2 is not possible here: it must be 6n \\+ 2"):
        plan(spec(depths=[2]))
    with pytest.raises(SpecError, match="There is no net named 'plane_8'"):
        plan(spec(nets=["plane_N"]))


def test_the_presets_are_possible() -> None:
    for preset in SWEEP_PRESETS.values():
        assert len(plan(preset.spec)) >= 8
    assert in_words(SWEEP_PRESETS["sgs15"].spec.training) == "one_cycle"
    assert (
        in_words(TrainSpec(steps=5, batch_size=32, gradient_clip=1.0)) == "one_cycle, batch_size 32"
    )


# --------------------------------------------------------------------------------- one run


def planned_run(**changes: Any) -> Planned:
    return plan(spec(**changes))[0]


@pytest.mark.parametrize("net", ["plain_N;width=2", "fc_highway_N;width=4"])
@pytest.mark.parametrize("stop_after", [1, 3, 4])
def test_a_stopped_run_goes_on_to_the_same_numbers(
    tmp_path: Path, net: str, stop_after: int
) -> None:
    experiment = planned_run(nets=[net], seeds=2).experiment
    assert train(tmp_path / "whole", experiment, ignore, never)
    asked = 0

    def stopped() -> bool:
        nonlocal asked
        asked += 1
        return asked > 2 * stop_after  # asked once or twice a step

    assert not train(tmp_path / "cut", experiment, ignore, stopped)
    assert (tmp_path / "cut" / train_one.CHECKPOINT).exists()
    assert train(tmp_path / "cut", experiment, ignore, never)
    whole, cut = (
        json.loads((tmp_path / name / train_one.RESULT).read_text()) for name in ("whole", "cut")
    )
    assert cut["seeds"] == whole["seeds"]
    assert cut["seeds"][0]["step"] == [0, 3, 6, 9]
    assert sorted(p.name for p in (tmp_path / "cut").iterdir()) == [train_one.RESULT]


def test_records_newer_than_the_checkpoint_are_made_again(tmp_path: Path) -> None:
    """As a kill between the two writes leaves them."""
    experiment = planned_run().experiment
    train(tmp_path / "whole", experiment, ignore, never)
    calls = iter([False] * 8 + [True] * 9)
    train(tmp_path / "cut", experiment, ignore, lambda: next(calls))
    file = tmp_path / "cut" / train_one.RECORDS
    rows = json.loads(file.read_text())
    file.write_text(json.dumps([*rows, {**rows[-1], "step": 8, "test_error": 0.123}]))
    train(tmp_path / "cut", experiment, ignore, never)
    whole, cut = (
        json.loads((tmp_path / name / train_one.RESULT).read_text()) for name in ("whole", "cut")
    )
    assert cut["seeds"] == whole["seeds"]


def test_a_damaged_checkpoint_costs_its_time_only(tmp_path: Path) -> None:
    experiment = planned_run().experiment
    (tmp_path / train_one.CHECKPOINT).write_bytes(b"torn")
    assert train(tmp_path, experiment, ignore, never)
    assert (tmp_path / train_one.RESULT).exists()


def test_a_diverged_seed_is_named_and_left_out(tmp_path: Path) -> None:
    training = {**TRAINING, "learning_rate": 100, "schedule": "constant", "gradient_clip": None}
    sweep = Sweep(tmp_path, spec(nets=["fc_plain_N;width=40"], depths=[20], training=training))
    (run,) = sweep.planned
    train(tmp_path / run.id, run.experiment, ignore, never)
    (done,) = sweep.result().runs
    assert (done.outcome, done.lost) == ("diverged", True)
    assert done.ended.startswith("Plain 20, fully connected, width 40 diverged at step ")
    assert len(sweep.result().by_depth(done.net, "test_error")[0]) == 0
    assert "Left out, because they diverged or failed: Plain 20" in sweep.result().caption()


# -------------------------------------------------------------------------------- the pool


def fake(monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    """Processes that speak as sweepers do, without torch."""
    code = (
        "import json, os, pathlib, signal, sys\n"
        "def say(**m): print(json.dumps(m), flush=True)\n"
        "for line in sys.stdin:\n"
        "    command = json.loads(line)\n"
        f"    {body}\n"
    )
    monkeypatch.setattr(pool, "COMMAND", (sys.executable, "-c", code))


DONE = (
    "folder = pathlib.Path(command['folder']); folder.mkdir(parents=True);"
    "column = [0, 1]; names = ['step', 'train_loss', 'train_error', 'test_loss', 'test_error'];"
    "seeds = [{**{n: column for n in names}, 'outcome': '', 'ended': ''}];"
    "value = {'seeds': seeds, 'seconds': 1, 'n_train': 25, 'n_test': 360};"
    "(folder / 'result.json').write_text(json.dumps(value)); say(event='share', share=1.0);"
    "say(event='over')"
)


def test_a_killed_process_is_one_sentence_and_what_is_done_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kill = "os.kill(os.getpid(), signal.SIGKILL)"
    body = f"exec({DONE!r} if 'depth-8' in command['folder'] else {kill!r})"
    fake(monkeypatch, body)
    sweep = Sweep(tmp_path, spec(depths=[8, 14, 20]))
    with pytest.raises(RunError) as caught:
        sweep.run(processes=1)
    assert str(caught.value).startswith(
        "The process that trained plain_N_width_2-depth-14-seed-7 was killed (SIGKILL"
    )
    assert "what is done is kept, and worker.log in the sweep's folder has" in str(caught.value)
    assert [run.depth for run in Sweep(tmp_path).result().runs] == [8]
    fake(monkeypatch, DONE)
    result = Sweep(tmp_path).run(processes=2)
    assert [run.depth for run in result.runs] == [8, 14, 20]


def test_what_a_process_says_of_a_failure_reaches_the_caller(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake(monkeypatch, "say(event='failed', sentence='The disk is full.')")
    with pytest.raises(RunError, match=r"^plain_N_width_2-depth-8-seed-7: The disk is full\.$"):
        Sweep(tmp_path, spec()).run(processes=1)


def test_stopping_waits_for_the_checkpoints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake(monkeypatch, "say(event='stopped' if command['do'] == 'stop' else 'share', share=0.5)")
    told: list[Progress] = []
    result = Sweep(tmp_path, spec(depths=[8, 14])).run(
        processes=2, on_progress=told.append, stopped=lambda: len(told) > 8
    )
    assert result.runs == ()
    assert told[-2].share == 0.5
    assert len(told[-2].running) == 2
    assert told[-1].running == ()


def test_one_process_at_a_time_works_on_a_sweep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake(monkeypatch, "pass" if sys.platform == "win32" else "say(event='share', share=0.1)")
    first, second = Sweep(tmp_path, spec()), Sweep(tmp_path)
    going, stop = threading.Event(), threading.Event()

    def told(_: Progress) -> None:
        going.set()

    def end() -> bool:
        return stop.is_set()

    monkeypatch.setattr(pool, "PATIENCE", 0.1)  # these never answer to `stop`
    thread = threading.Thread(target=first.run, kwargs={"on_progress": told, "stopped": end})
    thread.start()
    try:
        assert going.wait(20)
        with pytest.raises(RunError, match="Another process is working on the sweep"):
            second.run()
    finally:
        stop.set()
        thread.join(30)


def test_folders_that_hold_something_else(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="There is no sweep in"):
        Sweep(tmp_path)
    Sweep(tmp_path, spec())
    assert Sweep(tmp_path, spec()).spec == spec()
    with pytest.raises(RunError, match="holds another sweep: go on with that one"):
        Sweep(tmp_path, spec(seed=8))
    (tmp_path / "sweep.json").write_text("{}")
    with pytest.raises(RunError, match="is no sweep of this version: The field 'nets' is missing"):
        Sweep(tmp_path)


def test_gpus_are_found_without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5")
    assert pool.gpus() == ["2", "5"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert pool.gpus() == []


# ------------------------------------------------------------------------ results, figures


def made(net: str, depth: int, seed: int, error: float, **changes: Any) -> SweepRun:
    steps = np.array([0.0, 10.0])
    values = np.array([0.9, error])
    fields: dict[str, Any] = {
        "net": net,
        "title": f"{net[:-2].title()} {depth}",
        "depth": depth,
        "seed": seed,
        "parameters": 100,
        "step": steps,
        "train_loss": values,
        "train_error": values / 2,
        "test_loss": values,
        "test_error": values,
        "seconds": 2.0,
    }
    return SweepRun(**{**fields, **changes})


RESULT = SweepResult(
    data="digits",
    recipe="one_cycle",
    steps=10,
    n_train=359,
    n_test=360,
    nets=("plain_N", "highway_N"),
    planned=9,
    runs=(
        *(made("plain_N", 8, seed, error) for seed, error in ((7, 0.1), (8, 0.2), (9, 0.6))),
        made("plain_N", 20, 7, 0.5),
        made("plain_N", 20, 8, 0.3, outcome="diverged", ended="It diverged."),
        made("highway_N", 19, 7, 0.25, test_loss=np.array([math.nan, 0.3])),
    ),
)


def test_a_result_survives_json() -> None:
    text = json.dumps(RESULT.to_json(), allow_nan=False)
    again = SweepResult.from_json(json.loads(text))
    assert again.to_json() == RESULT.to_json()
    assert math.isnan(again.runs[-1].test_loss[0])
    frame = again.to_frame()
    assert list(frame["test_error"])[:3] == [0.1, 0.2, 0.6]
    assert len(frame) == 6
    assert SweepResult.from_json({**RESULT.to_json(), "runs": []}).to_frame().empty


def test_medians_and_ranges_over_the_seeds() -> None:
    depth, low, middle, high = RESULT.by_depth("plain_N", "test_error")
    assert depth.tolist() == [8, 20]
    assert (low.tolist(), middle.tolist(), high.tolist()) == ([0.1, 0.5], [0.2, 0.5], [0.6, 0.5])
    assert RESULT.caption() == (
        "Error after 10 steps on digits, recipe one_cycle; 360 test images and 359 training "
        "images; seeds 7 to 9, median and range. 6 of 9 trainings are done. Left out, because "
        "they diverged or failed: Plain 20 (seed 8)."
    )


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_figures_show_every_family(theme: Any) -> None:
    figure = depth_figure(RESULT, theme=theme)
    shown = [trace.name for trace in figure.data if trace.showlegend]
    assert shown == ["Plain N", "Highway N"]
    (test,) = (trace for trace in figure.data if trace.name == "Plain N")
    assert list(test.y) == [20, 50]
    assert list(figure.layout.xaxis.tickvals) == [8, 20]  # 19 is too near
    assert sum(trace.fill == "toself" for trace in figure.data) == 2  # plain: test and training
    curves = sweep_curves_figure(RESULT, theme=theme)
    lines = [trace for trace in curves.data if trace.mode == "lines"]
    assert len(lines) == 2 * len(RESULT.runs)
    assert [a.text for a in curves.layout.annotations] == ["Plain N", "Highway N"]
    labels = next(trace for trace in curves.data if trace.mode == "text")
    assert list(labels.text) == [" 8", " 20"]
    assert list(labels.y) == [10, 50]
    assert len(sweep_curves_figure(RESULT, quantity="loss").data) == len(curves.data)
    empty = SweepResult.from_json({**RESULT.to_json(), "runs": []})
    assert depth_figure(empty).data
    assert sweep_curves_figure(empty).data


def test_labels_stand_apart() -> None:
    assert _apart([2.0, 1.0, 50.0], log=False) == [9.0, 1.0, 50.0]
    assert _apart([1.0, 1.0], log=True) == pytest.approx([1.0, 10**0.3])


def test_durations() -> None:
    assert [duration(s) for s in (0.4, 59, 200, 1000, 7500)] == [
        *("0 s", "59 s", "3 min 20 s", "17 min", "2 h 5 min")
    ]


# ------------------------------------------------------------------------------ the command

SMALL = [
    "--depths",
    "8",
    "--steps",
    "6",
    "--batch",
    "20",
    "--eval-every",
    "3",
    "--train-limit",
    "100",
]


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    code = main(["sweep", *argv])
    done = capsys.readouterr()
    return code, done.out, done.err


def test_the_command_from_beginning_to_figure(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder = str(tmp_path / "sweep")
    nets = ["--nets", "plain_N;width=2", "fc_highway_N;width=4"]
    code, out, err = run(
        capsys, *nets, *SMALL, "--seeds", "2", "--processes", "1", "--out", folder, "--json"
    )
    assert code == 0, err
    assert f"4 trainings, kept in {folder}." in err
    assert err.count("training error") == 4
    document = json.loads(out)
    result = SweepResult.from_json(
        {k: v for k, v in document.items() if k not in ("folder", "sweep", "what_differs")}
    )
    assert [(r.title, r.seed, r.steps) for r in result.runs] == [
        ("Plain 8, width 2", 7, 6),
        ("Highway 8, fully connected, width 4", 7, 6),
        ("Highway 8, fully connected, width 4", 8, 6),
        ("Plain 8, width 2", 8, 6),
    ]
    assert (result.n_test, document["sweep"]["training"]["batch_size"]) == (360, 20)

    # The same numbers as those of a training by itself.
    experiment = Sweep(Path(folder)).planned[0].experiment
    session = explorer.Session(experiment)
    evals = [r.values["test_error"] for r in session.records() if r.kind == "eval"]
    assert result.runs[0].test_error.tolist() == evals

    code, out, err = run(capsys, "--resume", folder)  # all is done: nothing is started
    assert code == 0
    assert "4 of them done already" in err
    assert (
        "Error after 6 steps on digits, recipe one_cycle, batch_size 20, eval_every 3; 360" in out
    )
    assert "Plain 8, width 2" in out
    assert "At 8 layers: the nets differ in family (plain / highway)" in out
    assert document["what_differs"] in out
    page = tmp_path / "curves.html"
    assert run(capsys, "--resume", folder, "--show", "curves", "--html", str(page))[0] == 0
    assert "Highway N, fully connected, width 4" in page.read_text()
    frame = explorer.sweep(
        ["plain_N;width=2", "fc_highway_N;width=4"],
        [8],
        DataSpec(train_limit=100),
        RECIPES["one_cycle"].model_copy(update={"steps": 6, "batch_size": 20, "eval_every": 3}),
        seeds=2,
        folder=folder,
    ).to_frame()
    assert len(frame) == 4


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        ([], "Give --nets and --depths"),
        (["--nets", "plain_N"], "Give --nets and --depths"),
        (["--nets", "plain_20", "--depths", "8"], "should have N in the place of the depth"),
        (["--nets", "plain_N", "--depths", "2"], "Depth 2 is not possible here"),
        (["--nets", "plain_N", "--depths", "8;20"], "whole number of at least 1, not '8;20'"),
        (["--nets", "plain_N", "--depths", "8", "--recipe", "he17"], "no recipe 'he17'"),
        (["--nets", "plain_N", "--depths", "8", "--data", "digit"], "did you mean 'digits'"),
        (["--preset", "degrade"], "choose degradation or sgs15, not 'degrade'"),
        (["--preset", "sgs15", "--seeds", "99"], "seeds must be at least 1 and at most 16"),
        (["--resume", "nowhere"], "There is no sweep in 'nowhere'"),
        (["--resume", "nowhere", "--steps", "5"], "--steps has no place beside --resume"),
    ],
)
def test_wrong_commands_are_one_sentence(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    argv: list[str],
    sentence: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, *argv)
    assert (code, out) == (2, "")
    assert sentence in err
    assert err.count("\n") == 1


def test_ctrl_c_says_how_to_go_on(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    once = f"exec({DONE!r}) if command.get('folder', '').endswith('depth-8-seed-7') else "
    fake(
        monkeypatch, once + "say(event='stopped' if command['do'] == 'stop' else 'share', share=.1)"
    )
    real: Callable[..., SweepResult] = Sweep.run
    pressed: list[bool] = []

    def then_interrupt(self: Sweep, **asked: Any) -> SweepResult:
        tell = asked["on_progress"]

        def told(now: Progress) -> None:
            tell(now)
            if now.done == 1 and not pressed:
                pressed.append(True)
                os.kill(os.getpid(), signal.SIGINT)

        return real(self, **{**asked, "on_progress": told})

    monkeypatch.setattr(Sweep, "run", then_interrupt)
    argv = ["--nets", "plain_N;width=2", "--depths", "8,14", "--out", str(tmp_path / "s")]
    code, out, err = run(capsys, *argv, "--processes", "1")
    assert code == 130
    assert "Stopped after 1 of 2 trainings; those under way are saved: `skipscope sweep" in err
    assert f"--resume {tmp_path / 's'}` goes on" in err
    assert "1 of 2 trainings are done" in out
