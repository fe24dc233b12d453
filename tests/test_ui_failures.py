"""A failure is shown where the measurement would be, and is not for ever."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from explorer.names import spec_of
from explorer.runs.service import RunService, get_service
from explorer.specs import DataSpec, ExperimentSpec, TrainSpec, fit_to_data
from explorer.ui import feed, restview
from explorer.ui.figures import problems, words_when_empty
from explorer.ui.measurements import Measurements
from explorer.ui.state import default_state

LINK = {"lanes": "plain_8;width=4,highway_8;width=6", "charts": "gradient_parameters,gate,lesion"}
KILLED = "was killed (SIGKILL"


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunService]:
    monkeypatch.setenv("SKIPSCOPE_HOME", str(tmp_path))
    monkeypatch.setattr("explorer.ui.measurements.ASK_AGAIN_SECONDS", 0.0)
    monkeypatch.setattr(restview, "_fresh", Measurements())
    service = get_service(tmp_path)
    yield service
    service.close()


def until(condition: Callable[[], bool], seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that in time"
        time.sleep(0.02)


def poll(have: str = "") -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(feed.answer({**LINK, "have": have}))
    return answer


def test_a_killed_measurement_is_its_sentence_on_compare_and_measured_again_for_the_next(
    service: RunService,
) -> None:
    first = poll()
    assert "Measuring" in first["empty"]["gradient_parameters"]
    while restview._fresh.under_way:  # its process is killed as soon as there is one
        for pid in service._desk.pids:
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)
        poll(first["version"])
    second = poll(first["version"])
    assert KILLED in json.dumps([second["empty"], second["captions"]])
    assert second["poll_ms"] == 60_000  # nothing is under way
    assert poll(second["version"]).keys() == {"version", "poll_ms"}

    assert poll()["poll_ms"] == 300  # somebody comes: it is measured again

    def measured() -> bool:
        poll(second["version"])
        return not restview._fresh.under_way

    until(measured)
    third = poll(second["version"])
    assert KILLED not in json.dumps([third["empty"], third["captions"]])
    assert "data" in third["figures"]["gradient_parameters"]


def test_an_empty_chart_says_what_failed_and_a_full_one_who_is_missing() -> None:
    views, _ = restview.rest_views(None, default_state())  # type: ignore[arg-type]
    sentence = "The device ran out of memory: take fewer lanes."
    broken = replace(views[0], problems={"lesion": sentence, "gradient": sentence})
    assert words_when_empty("lesion", [broken], "measuring") == sentence
    assert words_when_empty("gradient_outputs", [broken], "measuring") == sentence
    assert problems("gradient_parameters", [broken, views[1]]) == f"{broken.name}: {sentence}"
    assert problems("gate", [broken, views[1]]) == ""


def test_lesions_that_fail_are_a_sentence_and_measured_again(
    service: RunService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("explorer.runs.watching.ASK_AGAIN_SECONDS", 0.0)
    net = fit_to_data(spec_of("plain_8;width=4"), DataSpec())
    training = TrainSpec(steps=1, batch_size=16)
    run = service.create(ExperimentSpec(lanes=(net,), training=training))
    until(lambda: service.experiment(run).status == "finished")
    weights = service.weights_file(run, 0)
    whole = weights.read_bytes()
    weights.write_bytes(whole[:100])

    def watched(anew: bool = False) -> Any:
        service.watch(run, anew=anew)
        return service.live(run).lanes[0]

    until(lambda: bool(watched().problem))
    assert "damaged" in watched().problem
    weights.write_bytes(whole)
    assert watched().problem  # who saw it fail is not kept in suspense
    watched(anew=True)
    until(lambda: watched().lesions is not None and not watched().problem)
