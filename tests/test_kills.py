"""A hundred kills at random moments: nothing that was shown is lost, and nothing is left running.

Slow, and so outside the usual run: ``pytest -m kills``. The moments come from a fixed seed; what
each of them meets depends on the machine.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file

from explorer.runs.stored_reader import stored_run
from explorer.structure.names import spec_of
from explorer.structure.specs import DataSpec, ExperimentSpec, SweepSpec, TrainSpec, fit_to_data

pytestmark = [
    pytest.mark.kills,
    pytest.mark.timeout(7200),
    pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc"),
]

SEED = 13
TRAININGS, SERVERS, SWEEPS = 45, 20, 15  # kills; with each server one of its workers, too
NET = "plain_8;width=2"
STEPS = 600  # of a run in a server
PATIENCE = 300.0  # seconds, on a machine that is busy otherwise


def until(condition: Callable[[], bool], seconds: float = PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that in time"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


def children(pid: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, IndexError):
            if int(stat.read_text().rsplit(")", 1)[1].split()[1]) == pid:
                found.append(int(stat.parent.name))
    return found


def kill_with_its_end(process: subprocess.Popen[Any]) -> None:
    """Kills a process; those that it started end by themselves."""
    started = children(process.pid)
    process.kill()
    process.wait()
    until(lambda: not any(alive(pid) for pid in started))


def values(file: Path) -> dict[str, bytes]:
    """Of every tensor; the order of what the file's header says beside them is left to chance."""
    return {name: value.tobytes() for name, value in load_file(file).items()}


def no_partial_files(folder: Path) -> bool:
    return not list(folder.rglob("*.partial"))


# ------------------------------------------------------------------------- `skipscope train`


def _shell(argv: list[str], log: str) -> None:
    """In a process of its own: ``skipscope train``, saving as often as it can."""
    from explorer.cli import main, train

    train.SAVE_EVERY, train.WRITE_EVERY = 0.05, 0.01
    with open(log, "a") as out, contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        code = main(argv)
        print(f"exit code {code}", file=out)
    sys.exit(code)


def lines(folder: Path) -> list[dict[str, Any]]:
    """Whole lines of the records; only the last one may have been cut short."""
    file = folder / "records.jsonl"
    content = file.read_text() if file.exists() else ""
    return [json.loads(row) for row in content.split("\n")[:-1]]


def by_place(rows: list[dict[str, Any]]) -> dict[tuple[str, int, int], dict[str, Any]]:
    placed = {(row["kind"], row["lane"], row["step"]): row for row in rows}
    assert len(placed) == len(rows)  # none twice
    return placed


def test_trainings_of_the_shell(tmp_path: Path) -> None:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch", "explorer.training.loop", "explorer.cli.train"])
    chance, log = random.Random(SEED), str(tmp_path / "log")
    options = ["--steps", "150", "--batch", "16", "--eval-every", "30", "--train-limit", "200"]

    def begin(folder: Path) -> Any:
        there = (folder / "checkpoint.safetensors").exists()
        argv = ["--resume", str(folder)] if there else [NET, *options, "--out", str(folder)]
        process = context.Process(target=_shell, args=(["train", *argv], log))
        process.start()
        return process

    def to_its_end(folder: Path) -> float:
        began = time.monotonic()
        process = begin(folder)
        process.join(PATIENCE)
        assert process.exitcode == 0, Path(log).read_text()[-2000:]
        return time.monotonic() - began

    to_its_end(tmp_path / "warm")
    seconds = to_its_end(tmp_path / "whole")
    whole = by_place(lines(tmp_path / "whole"))
    [weights] = (file.name for file in (tmp_path / "whole").glob("lane-*.safetensors"))
    kills, runs = 0, 0
    while kills < TRAININGS:
        folder = tmp_path / f"run-{runs}"
        runs += 1
        for _ in range(min(5, TRAININGS - kills)):
            began, process = time.monotonic(), begin(folder)
            process.join(chance.uniform(0.0, 0.6) * seconds)
            if process.exitcode is not None:  # it was quicker
                assert process.exitcode == 0, Path(log).read_text()[-2000:]
                seconds = min(seconds, time.monotonic() - began)
                break
            process.kill()
            process.join()
            kills += 1
            rows = by_place(lines(folder))
            assert all(whole[place] == row for place, row in rows.items())
            steps = sorted(step for kind, _, step in rows if kind == "step")
            assert steps == list(range(len(steps)))
        to_its_end(folder)
        assert by_place(lines(folder)) == whole
        first, again = (values(tmp_path / name / weights) for name in ("whole", folder.name))
        assert first == again
        assert no_partial_files(folder)
    said = Path(log).read_text()
    assert "damaged" not in said
    assert "gap" not in said
    print(f"{kills} kills of {runs} trainings")


# ------------------------------------------------------------------ servers and their workers

_SERVER = """
import sys, threading, time
from pathlib import Path
from explorer.runs.serve.service import RunService
from explorer.structure.specs import ExperimentSpec, parse

service = RunService(Path(sys.argv[1]), threads=1, instrument_workers=1)
service.start()
words = threading.Lock()

def say(*what):
    with words:
        print(*what, flush=True)

def obey():
    for line in sys.stdin:
        word, _, rest = line.strip().partition(" ")
        if word == "create":
            say("created", service.create(parse(ExperimentSpec, rest)))
        else:
            try:
                service.control(rest, word)
            except Exception as error:
                say("refused", error)

threading.Thread(target=obey, daemon=True).start()
while True:
    for run in service.experiments():
        service.watch(run.id)
        view = service.live(run.id, 10**6)
        curve = view.lanes[0].curves
        loss = float(curve.batch_loss[-1]).hex() if len(curve.step) else "-"
        worker = service._runs[run.id].worker
        pid = worker.pid if worker else 0
        say("shown", run.id, view.experiment.status, pid, len(curve.step), loss)
    time.sleep(0.02)
"""


class Server:
    """A run service in a process of its own, which says what it shows."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.process = subprocess.Popen(
            [sys.executable, "-c", _SERVER, str(home)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self._said = iter(self.process.stdout)
        self.shown: dict[str, tuple[str, int, int, str]] = {}  # status, pid, steps, last loss

    def tell(self, word: str, rest: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{word} {rest}\n")
        self.process.stdin.flush()

    def listen(self) -> str:
        """The next word; what is shown is noted."""
        words = next(self._said).split()
        if words[0] == "shown":
            run, status, pid, steps, loss = words[1:]
            self.shown[run] = (status, int(pid), int(steps), loss)
        return words[1] if words[0] == "created" else ""

    def create(self, spec: ExperimentSpec) -> str:
        self.tell("create", spec.model_dump_json())
        while not (run := self.listen()):
            pass
        return run

    def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, f"it did not come to that: {self.shown}"
            self.listen()

    def go_on(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.listen()

    def status(self, run: str) -> str:
        return self.shown[run][0] if run in self.shown else ""

    def kill(self) -> None:
        """Kills it, and checks that all that it had shown was stored, and that no process stays."""
        with contextlib.ExitStack() as stack:
            assert self.process.stdout is not None
            assert self.process.stdin is not None
            stack.enter_context(self.process.stdout)
            stack.enter_context(contextlib.suppress(BrokenPipeError))
            stack.callback(self.process.stdin.close)
            started = children(self.process.pid)
            self.process.kill()
            self.process.wait()
            with contextlib.suppress(StopIteration, ValueError):  # its last word may be cut short
                while True:
                    self.listen()
            until(lambda: not any(alive(pid) for pid in started))
        for run, (status, _, steps, loss) in self.shown.items():
            if status in ("starting", "queued"):  # it is about to measure again
                continue
            kept = [r for r in stored_run(run, self.home).records if r.kind == "step"]
            assert [record.step for record in kept] == list(range(len(kept)))
            assert len(kept) >= steps
            if steps:
                assert float(kept[steps - 1].values["loss"]).hex() == loss


def test_servers_and_their_workers(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    chance, home = random.Random(SEED), tmp_path / "home"
    training = TrainSpec(steps=STEPS, batch_size=16, eval_every=100)
    net = fit_to_data(spec_of(NET), DataSpec())
    spec = ExperimentSpec(lanes=(net,), training=training)
    server = Server(home)
    request.addfinalizer(lambda: server.process.kill())
    run = server.create(spec)
    kills = 0
    for _ in range(SERVERS):
        if server.status(run) != "finished":
            server.until(lambda: server.status(run) == "running")  # noqa: B023
            server.go_on(chance.uniform(0.0, 2.0))
            if chance.random() < 0.5:  # which writes a checkpoint
                server.tell("pause", run)
                server.until(lambda: server.status(run) in ("paused", "finished"))  # noqa: B023
                server.tell("play", run)
            if (pid := server.shown[run][1]) and server.status(run) != "finished":
                os.kill(pid, signal.SIGKILL)
                kills += 1
                server.until(lambda: server.status(run) == "failed")  # noqa: B023
                server.tell("play", run)
            server.go_on(chance.uniform(0.0, 6.0))
        server.kill()
        kills += 1
        server = Server(home)
        server.until(lambda: run in server.shown)  # noqa: B023
        if server.status(run) != "finished":
            server.tell("play", run)
        else:
            run = server.create(spec)
    whole = server.create(spec)
    names = (run, whole)
    server.until(lambda: all(server.status(name) == "finished" for name in names))
    until(lambda: no_partial_files(home), 30)
    server.kill()
    cut, uncut = (
        sorted(
            (r.kind, r.lane, r.step, json.dumps(r.values)) for r in stored_run(name, home).records
        )
        for name in names
    )
    assert cut == uncut
    assert sum(kind == "step" for kind, *_ in cut) == STEPS
    weights = [values(home / "experiments" / name / "lane-0.safetensors") for name in names]
    assert weights[0] == weights[1]
    assert not list(home.glob("experiments/*/checkpoint.safetensors"))
    print(f"{kills} kills of servers and workers")


# -------------------------------------------------------------------------------------- sweeps


def test_sweeps(tmp_path: Path) -> None:
    from explorer.runs.sweeps.sweep import Sweep

    chance = random.Random(SEED)
    spec = SweepSpec(
        nets=("plain_N;width=2", "resnet_v2_N;width=2"),
        depths=(8, 14),
        training=TrainSpec(steps=120, batch_size=16, eval_every=30),
    )
    log = (tmp_path / "log").open("ab")

    def begin(folder: Path) -> subprocess.Popen[bytes]:
        Sweep(folder, spec)
        command = [sys.executable, "-m", "explorer.runs.sweeps.drive", str(folder)]
        return subprocess.Popen(
            [*command, "--processes", "2"], stdin=subprocess.PIPE, stdout=log, stderr=log
        )

    def closed(process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        process.stdin.close()

    def to_its_end(folder: Path) -> float:
        began = time.monotonic()
        process = begin(folder)
        process.wait(10 * PATIENCE)
        closed(process)
        assert process.returncode == 0
        return time.monotonic() - began

    def results(folder: Path) -> dict[str, Any]:
        files = sorted(folder.glob("*/result.json"))
        return {file.parent.name: json.loads(file.read_text())["seeds"] for file in files}

    seconds = to_its_end(tmp_path / "whole")
    whole = results(tmp_path / "whole")
    assert len(whole) == 4
    kills, sweeps = 0, 0
    while kills < SWEEPS:
        folder = tmp_path / f"sweep-{sweeps}"
        sweeps += 1
        for _ in range(min(3, SWEEPS - kills)):
            began, process = time.monotonic(), begin(folder)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(chance.uniform(0.1, 0.7) * seconds)
                seconds = min(seconds, time.monotonic() - began)  # it was quicker
            helpers = children(process.pid)
            if process.poll() is None and helpers and chance.random() < 0.5:
                os.kill(chance.choice(helpers), signal.SIGKILL)
                kills += 1
                process.wait(10 * PATIENCE)  # it says so, and the others save a checkpoint
                until(lambda: not any(alive(pid) for pid in helpers))  # noqa: B023
            elif process.poll() is None:
                kill_with_its_end(process)
                kills += 1
            closed(process)
            assert results(folder).items() <= whole.items()
        to_its_end(folder)
        assert results(folder) == whole
        assert no_partial_files(folder)
    log.close()
    print(f"{kills} kills of {sweeps} sweeps")
