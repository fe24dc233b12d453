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
from streamlit.testing.v1 import AppTest

import explorer
from explorer.pages.compare import feed, rest_views
from explorer.pages.compare.figures import problems, words_when_empty
from explorer.pages.compare.run_views import run_shape
from explorer.pages.shared.escape import plain
from explorer.pages.shared.measurements import Measurements
from explorer.pages.shared.state import default_state
from explorer.runs.serve.service import RunService, get_service
from explorer.structure.names import spec_of
from explorer.structure.specs import DataSpec, ExperimentSpec, TrainSpec, fit_to_data

LINK = {"lanes": "plain_8;width=4,highway_8;width=6", "charts": "gradient_parameters,gate,lesion"}
KILLED = "was killed (SIGKILL"
MAIN = Path(explorer.__file__).parent / "pages" / "main.py"


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunService]:
    monkeypatch.setenv("SKIPSCOPE_HOME", str(tmp_path))
    monkeypatch.setattr("explorer.pages.shared.measurements.ASK_AGAIN_SECONDS", 0.0)
    monkeypatch.setattr(rest_views, "_fresh", Measurements())
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
    while rest_views._fresh.under_way:  # its process is killed as soon as there is one
        for pid in service._job_queue.pids:
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
        return not rest_views._fresh.under_way

    until(measured)
    third = poll(second["version"])
    assert KILLED not in json.dumps([third["empty"], third["captions"]])
    assert "data" in third["figures"]["gradient_parameters"]


def test_an_empty_chart_says_what_failed_and_a_full_one_who_is_missing() -> None:
    views, _ = rest_views.rest_views(None, default_state())  # type: ignore[arg-type]
    sentence = "The device ran out of memory: take fewer lanes."
    broken = replace(views[0], problems={"lesion": sentence, "gradient": sentence})
    assert words_when_empty("lesion", [broken], "measuring") == sentence
    assert words_when_empty("gradient_outputs", [broken], "measuring") == sentence
    assert problems("gradient_parameters", [broken, views[1]]) == f"{broken.name}: {sentence}"
    assert problems("gate", [broken, views[1]]) == ""


def test_compare_shows_the_gates_of_gated_shortcuts_before_and_after_training(
    service: RunService,
) -> None:
    token = "resnet_v1_8;width=4;shortcut=exclusive_gating"
    link = {"lanes": f"{token},highway_7;width=4", "charts": "gate"}

    def drawn(**more: str) -> list[tuple[str, int]]:
        """Of each line of the gates' chart its name and its number of blocks."""
        answer = json.loads(feed.answer({**link, **more, "have": ""}))
        figure = answer["figures"].get("gate", {})
        lines = [line for line in figure.get("data", []) if "lines" in line.get("mode", "")]
        return [(line["name"], len(line["text"])) for line in lines if line.get("text")]

    both = [("ResNet v1 8, exclusive gating, width 4", 1), ("Highway 7, width 4", 3)]
    until(lambda: drawn() == both)

    lanes = tuple(fit_to_data(spec_of(one), DataSpec()) for one in link["lanes"].split(","))
    training = TrainSpec(steps=2, batch_size=16)
    run = service.create(ExperimentSpec(lanes=lanes, training=training))
    until(lambda: service.experiment(run).status == "finished")
    assert [blocks for _, blocks in drawn(run=run)] == [1, 3]


def test_lesions_that_fail_are_a_sentence_and_measured_again(
    service: RunService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("explorer.runs.serve.background_measures.ASK_AGAIN_SECONDS", 0.0)
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


def test_a_home_that_vanishes_is_said_on_pages_that_are_open_and_on_those_that_are_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    monkeypatch.setenv("SKIPSCOPE_HOME", str(home))
    service = get_service(home)
    try:
        state = default_state()
        run = service.create(
            ExperimentSpec(
                lanes=(fit_to_data(spec_of("plain_8;width=2"), DataSpec()),),
                training=TrainSpec(steps=2),
            ),
            start=False,
        )
        state = replace(state, run=run)
        until(lambda: service.experiment(run).status == "paused")

        def look(have: str = "") -> dict[str, Any]:
            answer: dict[str, Any] = json.loads(feed.answer({"run": run, "have": have}))
            return answer

        drawn, before = run_shape(service, state), look()
        assert before["transport"]["shape"] == drawn
        home.rename(elsewhere)
        until(lambda: service.notice is not None)
        after = look(before["version"])
        # The open page is told that it was drawn as it would not be drawn now, so it is drawn anew.
        assert after["transport"]["shape"] == run_shape(service, state) != drawn

        page = AppTest.from_file(str(MAIN), default_timeout=60).run()
        assert not page.exception
        assert [said.value for said in page.info] == [plain(str(service.notice))]
        elsewhere.rename(home)
        until(lambda: service.notice is None)
        assert not AppTest.from_file(str(MAIN), default_timeout=60).run().info
        assert run_shape(service, state) == drawn
    finally:
        service.close()
