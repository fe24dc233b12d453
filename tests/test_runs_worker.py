"""A worker by itself: what it is told and tells over its pipes, and how it ends."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from explorer.runs.protocol import checkpoint_path, decode, encode, snapshot_path
from explorer.structure.names import spec_of
from explorer.structure.specs import DataSpec, ExperimentSpec, TrainSpec, fit, fit_to_data

# Two more jobs: one prints as libraries do, one fails as nobody foresaw.
PROGRAM = """
import os, sys
from explorer.runs.worker import jobs
from explorer.runs.worker import main as worker
def shout(context, payload):
    print("a library's words"); os.write(1, b'{"event": "forged"}\\n'); sys.stdout.flush()
    return {"n": payload["n"]}
jobs.JOBS["shout"] = shout
jobs.JOBS["broken"] = lambda context, payload: 1 / payload["zero"]
worker.main(["--nice", "0", "--role", "train"])
"""
DATA = DataSpec()
Message = dict[str, Any]


class Line:
    """The server's end of a worker's pipes."""

    def __init__(self, log: Path) -> None:
        with log.open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
            )
        self.log = log
        self._events: queue.Queue[Message] = queue.Queue()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                self._events.put(decode(line))

    def send(self, **message: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(encode(message))
        self.process.stdin.flush()

    def until(self, last: Callable[[Message], bool], seconds: float = 60) -> list[Message]:
        """Events up to the first for which ``last`` is true."""
        events = []
        deadline = time.monotonic() + seconds
        while True:
            events.append(self._events.get(timeout=max(0.01, deadline - time.monotonic())))
            if last(events[-1]):
                return events

    def job(self, task: str, kind: str, *, click: bool = True, **payload: Any) -> None:
        self.send(do="job", task=task, kind=kind, payload=payload, click=click)

    def control(self, task: str, action: str, value: float | None = None) -> None:
        self.send(do="control", task=task, action=action, value=value)

    def end(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(20)
        self._listener.join()


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    line = Line(tmp_path_factory.mktemp("worker") / "log")
    line.until(lambda event: event["event"] == "ready")
    yield line
    line.end()


def is_over(task: str) -> Callable[[Message], bool]:
    return lambda e: e.get("task") == task and e["event"] in ("done", "failed", "cancelled")


def said(*events: str) -> Callable[[Message], bool]:
    return lambda event: event["event"] in events


def experiment(steps: int, lanes: tuple[str, ...] = ("plain_8;width=4", "fc_highway_8")) -> Message:
    nets = tuple(fit_to_data(spec_of(lane), DATA) for lane in lanes)
    spec = ExperimentSpec(lanes=nets, training=TrainSpec(steps=steps, batch_size=32, eval_every=6))
    value: Message = spec.model_dump(mode="json")
    return value


def fresh(name: str) -> Message:
    net = fit_to_data(spec_of(name), DATA).model_dump(mode="json")
    return {"source": "fresh", "spec": net, "seed": 3}


def losses(events: list[Message]) -> list[tuple[int, int, float]]:
    return [
        (record["lane"], record["step"], record["loss"])
        for event in events
        if event["event"] == "records"
        for record in event["records"]
        if record["kind"] == "step"
    ]


def test_a_training_delivers_every_record(line: Line, tmp_path: Path) -> None:
    spec = experiment(14)
    line.send(do="train", task="a", spec=spec, folder=str(tmp_path), resume=False, paused=False)
    events = line.until(is_over("a"))
    assert [(lane, step) for lane, step, _ in losses(events)] == [
        (lane, step) for step in range(14) for lane in (0, 1)
    ]
    evaluated = [
        (record["lane"], record["step"])
        for event in events
        if event["event"] == "records"
        for record in event["records"]
        if record["kind"] == "eval"
    ]
    assert evaluated == [(lane, step) for step in (0, 6, 12, 14) for lane in (0, 1)]
    started = next(event for event in events if event["event"] == "started")
    assert (started["step"], started["steps_total"], started["device"]) == (0, 14, "cpu")
    assert events[-1]["event"] == "done"
    assert (events[-1]["status"], events[-1]["step"]) == ("finished", 14)
    assert snapshot_path(tmp_path, 0).exists()
    assert snapshot_path(tmp_path, 1).exists()
    # The server takes it away, once it has stored the end.
    assert checkpoint_path(tmp_path).exists()


def test_it_obeys_between_steps_and_resumes_to_the_same_curve(line: Line, tmp_path: Path) -> None:
    spec = experiment(10)
    line.send(do="train", task="b", spec=spec, folder=str(tmp_path), resume=False, paused=True)
    events = line.until(said("paused"))
    assert losses(events) == []
    line.control("b", "step")
    events = line.until(said("paused"))
    assert [step for _, step, _ in losses(events)] == [0, 0]
    line.control("b", "learning_rate", 0.05)
    line.control("b", "slow", 20.0)
    began = time.monotonic()
    line.control("b", "play")
    line.until(lambda event: any(step == 3 for _, step, _ in losses([event])))
    assert time.monotonic() - began > 0.08  # steps 1, 2 and 3, 50 ms apart
    line.control("b", "slow", None)
    line.control("b", "pause")
    paused = line.until(said("paused"))[-1]["step"]
    assert 4 <= paused < 10
    line.control("b", "stop")
    stopped = line.until(is_over("b"))[-1]
    assert (stopped["status"], stopped["step"]) == ("stopped", paused)
    assert checkpoint_path(tmp_path).exists()

    line.send(do="train", task="b", spec=spec, folder=str(tmp_path), resume=True, paused=False)
    resumed = line.until(is_over("b"))
    assert resumed[-1]["status"] == "finished"
    rest = losses(resumed)
    assert [step for _, step, _ in rest] == [step for step in range(paused, 10) for _ in (0, 1)]

    straight = tmp_path / "straight"
    straight.mkdir()
    line.send(do="train", task="c", spec=spec, folder=str(straight), resume=False, paused=True)
    line.until(said("paused"))
    line.control("c", "step")
    line.until(said("paused"))
    line.control("c", "learning_rate", 0.05)
    line.control("c", "play")
    assert losses(line.until(is_over("c")))[-len(rest) :] == rest


def test_a_damaged_checkpoint_is_put_aside(line: Line, tmp_path: Path) -> None:
    checkpoint_path(tmp_path).write_bytes(b"half of a file")
    command = {"spec": experiment(2), "folder": str(tmp_path), "resume": True, "paused": False}
    line.send(do="train", task="d", **command)
    failed = line.until(is_over("d"))[-1]
    assert failed["sentence"].startswith("This training's checkpoint is damaged, and was put aside")
    assert (tmp_path / "damaged-checkpoint.safetensors").read_bytes() == b"half of a file"
    line.send(do="train", task="d", **command)
    assert line.until(is_over("d"))[-1]["status"] == "finished"


def test_a_stop_is_obeyed_while_data_is_loaded(line: Line, tmp_path: Path) -> None:
    for number in range(300):
        file = tmp_path / "images" / ("test", "train")[number % 2] / f"class{number % 4 // 2}"
        file.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (number % 256, 0, 0)).save(file / f"{number}.png")
    data = DataSpec(name="folder", path=str(tmp_path / "images"), image_size=8)
    net = fit(spec_of("plain_8"), (3, 8, 8), 2)
    spec = ExperimentSpec(lanes=(net,), data=data, training=TrainSpec(steps=9, batch_size=8))
    line.send(
        do="train",
        task="loading",
        spec=spec.model_dump(mode="json"),
        folder=str(tmp_path),
        resume=False,
        paused=False,
    )
    line.control("loading", "slow", 1.0)
    line.control("loading", "stop")
    events = line.until(is_over("loading"))
    assert events[0]["event"] == "progress"
    assert events[0]["text"].startswith("Decoding 300 images")
    assert events[-1]["event"] == "cancelled"


def test_a_command_right_after_the_start_is_obeyed(line: Line, tmp_path: Path) -> None:
    spec = experiment(20)
    line.send(do="train", task="hasty", spec=spec, folder=str(tmp_path), resume=False, paused=False)
    line.control("hasty", "pause")
    assert losses(line.until(said("paused"))) == []
    line.control("hasty", "stop")
    assert line.until(is_over("hasty"))[-1]["step"] == 0


def test_what_libraries_print_stays_out_of_the_protocol(line: Line) -> None:
    line.job("d", "shout", n=4)
    events = line.until(is_over("d"))
    assert [event["event"] for event in events] == ["started", "done"]
    assert events[-1]["value"] == {"n": 4}
    log = line.log.read_text()
    assert "a library's words" in log
    assert "forged" in log


def test_exceptions_travel_as_data(line: Line) -> None:
    line.job("e", "broken", zero=0)
    [*_, failed] = line.until(is_over("e"))
    assert (failed["event"], failed["kind"]) == ("failed", "ZeroDivisionError")
    assert failed["sentence"].startswith("This stopped with an unexpected error")
    assert failed["traceback"].endswith("ZeroDivisionError: division by zero\n")
    assert "ZeroDivisionError" in line.log.read_text()
    ask: Message = {"data": DATA.model_dump(mode="json"), "n_images": None, "program": None}
    line.job("f", "evaluate", net=fresh("plain_8"), deleted=["stages.9.units.9"], **ask)
    [*_, failed] = line.until(is_over("f"))
    assert failed["kind"] == "NotApplicableError"
    assert failed["sentence"].startswith("This net has no unit 'stages.9.units.9'")


def test_a_click_is_answered_in_the_middle_of_a_sweep(line: Line) -> None:
    data = DATA.model_dump(mode="json")
    line.job("sweep", "lesions", click=False, net=fresh("resnet_v2_56"), data=data, n_images=None)
    line.until(lambda event: event.get("task") == "sweep" and event["event"] == "started")
    for task in ("click 1", "click 2"):
        # With the sweep's own net, and with gradients: neither disturbs the other.
        line.job(task, "gradients", net=fresh("resnet_v2_56"), data=data, n_images=64)
    events = line.until(is_over("sweep"))
    order = [event["task"] for event in events if event["event"] == "done"]
    assert order == ["click 1", "click 2", "sweep"]
    first, second = (
        event["value"]
        for event in events
        if event.get("task") in order[:2] and event["event"] == "done"
    )
    assert first == second
    alone = events[-1]["value"]
    line.job("again", "lesions", click=False, net=fresh("resnet_v2_56"), data=data, n_images=None)
    assert line.until(is_over("again"))[-1]["value"] == alone


def test_a_sweep_can_be_cancelled_before_and_while_it_runs(line: Line) -> None:
    data = DATA.model_dump(mode="json")
    for task in ("runs", "waits"):
        line.job(task, "lesions", click=False, net=fresh("resnet_v2_56"), data=data, n_images=None)
    line.until(lambda event: event.get("task") == "runs" and event["event"] == "started")
    for task in ("waits", "runs"):
        line.send(do="cancel", task=task)
    events = line.until(is_over("runs"), seconds=10)
    over = [(e["task"], e["event"]) for e in events if e["event"] in ("done", "cancelled")]
    assert over == [("waits", "cancelled"), ("runs", "cancelled")]


def test_numbers_that_json_lacks_become_null() -> None:
    message = {"records": [{"loss": float("nan"), "all": [1.0, float("inf")]}]}
    assert json.loads(encode(message)) == {"records": [{"loss": None, "all": [1.0, None]}]}


def test_the_end_of_its_input_is_its_end(line: Line, tmp_path: Path) -> None:
    """The last test here: it ends the worker of the others, in the middle of a training."""
    spec = experiment(100_000)
    line.send(do="train", task="z", spec=spec, folder=str(tmp_path), resume=False, paused=False)
    line.until(said("records"))
    began = time.monotonic()
    assert line.process.stdin is not None
    line.process.stdin.write(b'{"do": "control", "ta')  # the server was killed in mid-sentence
    line.end()
    assert line.process.returncode == 0
    assert time.monotonic() - began < 5
