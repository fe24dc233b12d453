"""The Runs page under Streamlit's test harness, and the files that it hands out."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file
from starlette.applications import Starlette
from starlette.testclient import TestClient
from streamlit.testing.v1 import AppTest
from test_report import SPEC, recorded

import explorer
from explorer.pages.runs.kept_text import take
from explorer.pages.runs.listing import from_query, to_query
from explorer.pages.server.routes import routes
from explorer.runs.protocol import snapshot_path
from explorer.runs.serve.service import RunService, get_service
from explorer.runs.store import Store

PAGE = "from explorer.pages.runs import page as runs\nruns.page()\n"


def fill(home: Path) -> list[str]:
    """Two finished runs and one without any record, as an earlier process left them."""
    store = Store(home)
    ids = []
    for name in ("a pair", "another pair"):
        run = store.create(name, SPEC.model_dump_json(), SPEC.training.steps)
        store.append(run, recorded())
        store.update(run, "finished", step=SPEC.training.steps)
        ids.append(run)
        for lane, net in enumerate(SPEC.lanes):
            weights = explorer.create_net(net, seed=lane).state_dict()
            save_file(dict(weights), snapshot_path(store.folder(run), lane))
    empty = store.create("never begun", SPEC.model_dump_json(), SPEC.training.steps)
    store.update(empty, "stopped")
    store.close()
    return [*ids, empty]


@pytest.fixture(scope="module")
def runs(_own_home: Path, worker_threads: None) -> Iterator[list[str]]:
    ids = fill(_own_home)
    yield ids
    get_service().close()


@pytest.fixture
def service(runs: list[str]) -> Iterator[RunService]:
    """Whatever a test deletes is back afterwards."""
    service = get_service()
    yield service
    for view in service.deleted_experiments():
        service.restore(view.id)


def open_page(**query: str) -> AppTest:
    test = AppTest.from_string(PAGE, default_timeout=60)
    for name, value in query.items():
        test.query_params[name] = value
    test.run()
    assert not test.exception
    return test


def first(value: Any) -> str:
    return str(value[0] if isinstance(value, list) else value)


def labels(test: AppTest) -> set[str]:
    return {button.label for button in test.button}


def test_all_runs_are_listed_and_searched(service: RunService) -> None:
    test = open_page()
    table = test.dataframe[0].value
    assert list(table["name"]) == ["never begun", "another pair", "a pair"]
    assert list(table["test error, %"]) == ["", "25.0 · 25.0", "25.0 · 25.0"]
    test.text_input(key="runs.search").set_value("another DIGITS highway seed finished").run()
    assert list(test.dataframe[0].value["name"]) == ["another pair"]
    test.text_input(key="runs.search").set_value("resnet").run()
    assert "No run has all of these words" in test.info[0].value
    next(b for b in test.button if b.label == "Show all runs").click().run()
    assert len(test.dataframe[0].value) == 3
    assert not test.exception


def test_a_run_is_kept(runs: list[str], service: RunService) -> None:
    test = open_page(run=runs[0])
    test.toggle(key=f"runs.keep.{runs[0]}").set_value(True).run()
    assert service.experiment(runs[0]).kept
    assert "finished, kept" in list(test.dataframe[0].value["status"])
    service.control(runs[0], "keep", 0)


def test_words_are_stored_or_refused_and_the_browser_is_told_which(
    runs: list[str], service: RunService
) -> None:
    note = "lower rate?\n**not bold** <b>"
    answer = take({"text": note, "at": 5}, lambda words: service.annotate(runs[0], words))
    assert answer == {"answered": 5, "refused": None}
    assert service.experiment(runs[0]).note == note
    service.annotate(runs[0], "")
    answer = take({"text": "  ", "at": 6}, lambda words: service.rename(runs[0], words))
    assert answer["answered"] == 6
    assert "cannot be empty" in answer["refused"]
    assert service.experiment(runs[0]).name == "a pair"


def test_deleting_can_be_undone_at_once_and_later(runs: list[str], service: RunService) -> None:
    test = open_page(run=runs[0])
    test.button(key="runs.delete").click().run()
    assert not test.exception
    assert "Deleted “a pair”" in test.markdown[0].value.replace("\\", "")
    assert list(test.dataframe[0].value["name"]) == ["never begun", "another pair"]
    assert not test.warning
    test.button(key="runs.undo").click().run()
    assert len(test.dataframe[0].value) == 3
    assert first(test.query_params["run"]) == runs[0]

    both = open_page(run=f"{runs[0]},{runs[1]}")
    assert "Delete these 2 runs" in labels(both)
    both.button(key="runs.delete").click().run()
    assert "Deleted 2 runs" in both.markdown[0].value
    elsewhere = open_page()  # another tab, much later
    assert "Undo" not in labels(elsewhere)
    elsewhere.button(key=f"runs.back.{runs[1]}").click().run()
    assert service.experiment(runs[1]).name == "another pair"


def test_a_run_deleted_in_another_tab_is_a_sentence(runs: list[str], service: RunService) -> None:
    test = open_page(run=runs[0])
    service.delete(runs[0])
    test.run()
    assert not test.exception
    assert any("it was deleted" in warning.value for warning in test.warning)
    assert len(test.dataframe[0].value) == 2
    link = open_page(run="no-such-run", lanes="x.0,%%%,no-such-run.9", figure="nonsense")
    assert "is not here" in link.warning[0].value


def test_lanes_of_several_runs_share_a_figure_and_a_link(
    runs: list[str], service: RunService
) -> None:
    test = open_page(run=f"{runs[0]},{runs[1]}", lanes=f"{runs[0]}.0,{runs[1]}.1", figure="loss")
    figure = json.loads(test.get("plotly_chart")[0].proto.spec)
    names = {trace["name"] for trace in figure["data"] if "training" not in trace["name"]}
    assert names == {"Plain 8, width 4", "Highway 6, fully connected"}
    assert test.selectbox(key="runs.figure").value == "loss"
    test.selectbox(key="runs.figure").select("lesion").run()
    assert first(test.query_params["figure"]) == "lesion"
    whole = open_page(run=f"{runs[0]},{runs[1]}")
    figure = json.loads(whole.get("plotly_chart")[0].proto.spec)
    assert any("another pair" in trace["name"] for trace in figure["data"])  # told apart
    empty = open_page(run=runs[2])
    assert "Nothing is recorded yet" in empty.info[0].value


def test_a_choice_survives_the_link() -> None:
    query = {"run": "a,b", "lanes": "a.0,b.3", "q": "plain seed 7", "figure": "gate"}
    assert to_query(from_query(query)) == query
    assert to_query(from_query({"run": "a,a,,", "lanes": "x,.,a.z,a.999"})) == {
        "run": "a",
        "lanes": "",
    }


# --------------------------------------------------------------------------------------- files


def saved(**query: str) -> Any:
    client = TestClient(Starlette(routes=routes()))
    return client.get("/skipscope/run/file", params=query)


def test_every_kind_of_file_is_handed_out(runs: list[str], service: RunService) -> None:
    lanes = f"{runs[0]}.0,{runs[1]}.1"
    report = saved(lanes=lanes, **{"as": "html"})
    assert report.status_code == 200
    assert "a-pair-another-pair.html" in report.headers["content-disposition"]
    assert 'data-figure="lesion"' in report.text
    table = saved(lanes=lanes, **{"as": "csv"}).text.splitlines()
    assert {line.split(",")[0] for line in table[1:]} == set(runs[:2])
    document = json.loads(saved(lanes=lanes, **{"as": "json"}).text)
    assert [run["id"] for run in document["runs"]] == runs[:2]
    figures = zipfile.ZipFile(io.BytesIO(saved(lanes=lanes, **{"as": "figures"}).content))
    assert "error.json" in figures.namelist()

    one = saved(lanes=f"{runs[0]}.0", **{"as": "weights"})
    assert "plain_8.safetensors" in one.headers["content-disposition"]
    assert one.content == service.weights_file(runs[0], 0).read_bytes()


def test_the_code_loads_its_weights(runs: list[str], service: RunService, tmp_path: Path) -> None:
    answer = saved(lanes=f"{runs[0]}.0,{runs[0]}.1", **{"as": "code"})
    assert answer.status_code == 200, answer.text
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    assert len(archive.namelist()) == 4
    archive.extractall(tmp_path)
    code = (tmp_path / "plain_8.py").read_text()
    assert "plain_8.safetensors" in code
    scope: dict[str, Any] = {"__name__": "plain_8"}
    exec(compile(code, "plain_8.py", "exec"), scope)
    net = scope["Plain8"]()
    net.load_state_dict(load_file(tmp_path / "plain_8.safetensors"))  # strictly


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ({}, "choose a run"),
        ({"lanes": "gone.0"}, "it was deleted"),
        ({"lanes": "{run}.7"}, "no lane 7"),
        ({"lanes": "{run}.0", "as": "exe"}, "no file of kind"),
        ({"lanes": "{empty}.0", "as": "weights"}, "no weights yet"),
        ({"lanes": "{run}.0,{run}.1,{other}.0,{other}.1,{empty}.0"}, "choose fewer"),
    ],
)
def test_what_cannot_be_saved_is_a_sentence_and_a_way_back(
    runs: list[str], service: RunService, query: dict[str, str], sentence: str
) -> None:
    named = {"run": runs[0], "other": runs[1], "empty": runs[2]}
    answer = saved(**{key: value.format(**named) for key, value in query.items()})
    assert answer.status_code == 409
    assert sentence in answer.text
    assert 'href="../../runs"' in answer.text
