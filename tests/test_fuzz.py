"""Every door takes any text and any file: mutated ones, from fixed seeds, never break anything.

A few of each run by default; ``pytest -m fuzz`` runs many thousand, which takes some minutes.
What counts as broken is not what a person sees (a net under every door turns a fault into a
sentence), but that the net had to catch something at all.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from fuzzing import NASTY, mutated, samples
from safetensors.numpy import save_file
from starlette.applications import Starlette
from starlette.testclient import TestClient
from streamlit.testing.v1 import AppTest

from explorer.cli import UNFORESEEN, main
from explorer.cli.parser import build
from explorer.errors import DataError
from explorer.pages.instruments import links as look
from explorer.pages.papers import page as papers
from explorer.pages.runs import listing
from explorer.pages.server.routes import routes
from explorer.pages.shared import state
from explorer.pages.sweep import page as sweep
from explorer.pages.timing import page as timing
from explorer.runs.serve import service as services
from explorer.runs.serve.service import RunService
from explorer.structure.names import spec_of
from explorer.structure.specs import DataSpec, ExperimentSpec, TrainSpec, fit_to_data
from explorer.system.bounded import plain_json

FEW, MANY = 300, 12_000


def sizes(few: int = FEW, many: int = MANY) -> pytest.MarkDecorator:
    """A small sample by default, a large one with ``-m fuzz``."""
    return pytest.mark.parametrize(
        "n", [pytest.param(few), pytest.param(many, marks=(pytest.mark.fuzz, LONG))]
    )


LONG = pytest.mark.timeout(1800)


@pytest.fixture(scope="module")
def service(_own_home: Path) -> Iterator[RunService]:
    """The server's one, with no process that measures: what is asked waits for ever."""
    home = _own_home.resolve()
    own = RunService(home, instrument_workers=0)
    services._services[home] = own
    yield own
    own.close()
    del services._services[home]


@pytest.fixture(scope="module")
def run(service: RunService) -> str:
    """A run that has not begun."""
    nets = tuple(fit_to_data(spec_of(name), DataSpec()) for name in ("plain_8", "resnet_v2_8"))
    spec = ExperimentSpec(lanes=nets, training=TrainSpec(steps=2))
    row = service._store.create("two nets", spec.model_dump_json(), 2)
    from explorer.runs.serve.run import Run

    found = service._store.experiment(row)
    assert found is not None
    service._runs[row] = Run.from_row(found, 1)
    return row


@pytest.fixture(scope="module")
def client(service: RunService) -> Iterator[TestClient]:
    with TestClient(Starlette(routes=routes()), raise_server_exceptions=True) as one:
        yield one


@contextlib.contextmanager
def no_fault(caplog: pytest.LogCaptureFixture, what: object) -> Iterator[None]:
    """Nothing that the nets under the doors had to catch."""
    caplog.clear()
    with caplog.at_level(logging.ERROR):
        yield
    faults = [record.getMessage() for record in caplog.records if record.exc_info]
    assert not faults, f"{str(what)[:300]!r}: {faults[0]}"


PARAMETERS = {
    "lanes": "plain_20,resnet_v2_56;width=8;shortcut=B",
    "data": "folder;path=/tmp;image_size=32",
    "train": "he15;steps=500;milestones=[0.5,0.75]",
    "training": "one_cycle;steps=500;gradient_clip=1",
    "seed": "7",
    "device": "cpu",
    "colour": "gate",
    "image": "17",
    "own": "0123456789abcdef.picture",
    "cut": "0:1.3|1:0",
    "at": "40",
    "hide": "data.play",
    "nets": "digits_plain_56,run:RUN.0@1,resnet_v2_20;width=8,torchvision_resnet18",
    "instrument": "lesions;without=stages.0.units.1",
    "n": "50",
    "depths": "8,20",
    "seeds": "2",
    "net": "resnet_v2_56",
    "images": "32",
    "steps": "10",
    "burn_in": "3",
    "fast": "1",
    "run": "RUN",
    "q": "plain",
    "figure": "error",
    "charts": "error,gradient",
    "have": "rest.1",
    "theme": "dark",
    "as": "json",
    "id": "job-1",
    "narrow": "1",
}


def links(n: int, seed: int, run: str) -> Iterator[dict[str, str]]:
    """Addresses of a few parameters, one or two of them mutated."""
    random = Random(seed)
    for _ in range(n):
        names = random.sample(list(PARAMETERS), random.randint(1, 5))
        query = {name: PARAMETERS[name].replace("RUN", run) for name in names}
        for name in random.sample(names, min(len(names), random.randint(1, 2))):
            query[name] = mutated(query[name], random)
        yield query


@sizes(few=400, many=16_000)
def test_readers_of_addresses_take_any_text(n: int, run: str) -> None:
    readers = (
        state.from_query,
        look.from_query,
        sweep.from_query,
        timing.from_query,
        papers.from_query,
        listing.from_query,
    )
    for query in links(n, 1, run):
        for read in readers:
            try:
                read(query)
            except Exception as error:
                raise AssertionError(f"{read.__module__} of {str(query)[:300]!r}") from error


def test_a_text_of_many_quotes_is_read_at_once() -> None:
    """Brackets are counted outside of texts; where none ends, each quote began a search anew."""
    for text in (
        "[" * 40 + '"\\' * 500_000,
        "[" * 40 + '"' * 500_001,
        "[" * 40 + '"\\\n' * 300_000,
    ):
        began = time.thread_time()
        with pytest.raises(ValueError):  # noqa: PT011
            plain_json(text)
        assert time.thread_time() - began < 5
    for text in ('["[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", "\\"["]', "[" * 32 + '"]"' + "]" * 32):
        assert plain_json(text) == json.loads(text)


def get(
    client: TestClient, route: str, query: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """An answer without a fault behind it."""
    if sum(len(quote(key + value)) for key, value in query.items()) > LONGEST_ADDRESS:
        return  # servers read no more of a request's first line
    with no_fault(caplog, (route, query)):
        answer = client.get(route, params=query)
    assert answer.status_code < 500, (route, query)


LONGEST_ADDRESS = 60_000
ROUTES = ("/", "/skipscope/feed", "/skipscope/instrument", "/skipscope/job")
FILES = ("/skipscope/instrument/file", "/skipscope/run/file")


@sizes(few=100, many=3000)
def test_routes_answer_any_address(
    n: int, run: str, client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    random = Random(2)
    for query in links(n, 3, run):
        query = {k: v.encode("utf-8", "replace").decode() for k, v in query.items()}
        route = random.choice((*ROUTES, *FILES))
        get(client, route, query, caplog)


@sizes(few=1, many=len((*ROUTES, *FILES)))
def test_what_has_broken_a_reader_is_answered(
    n: int, run: str, client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    random = Random(6)
    for text in NASTY:
        text = text.encode("utf-8", "replace").decode()
        for query in (
            *({name: text} for name in ("lanes", "data", "train", "nets", "instrument", "id")),
            {"data": f"folder;path={text}"},
            {"train": f"one_cycle;steps={text}"},
            {"lanes": f"plain_20;width={text}"},
            {"nets": f"run:{run}.{text}"},
            {"nets": f"run:{run}.0@{text}"},
            {"instrument": f"activations;image={text}"},
            {"image": text, "lanes": "plain_20"},
            {"run": run, "at": text, "cut": f"0:{text}"},
            {"run": text},
        ):
            for route in random.sample((*ROUTES, *FILES), n):
                get(client, route, query, caplog)


def test_a_job_that_is_no_evaluation_has_no_sentence_for_a_deletion(
    service: RunService, client: TestClient
) -> None:
    job = service.submit("code", {"spec": spec_of("plain_8").model_dump(mode="json")})
    job._job.result = {"code": "import torch"}
    job._job.over.set()
    answer = client.get("/skipscope/job", params={"id": job.id})
    assert answer.status_code == 200
    assert "measures no accuracy" in answer.json()["text"]


# ------------------------------------------------------------------------------- the shell


def shell(arguments: list[str]) -> tuple[int, str]:
    """Exit code and what was said on stderr."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main(arguments)
        except SystemExit as done:  # --help
            code = int(done.code or 0)
    return code, err.getvalue()


def say_nothing_unforeseen(arguments: list[str]) -> None:
    code, said = shell(arguments)
    assert code in (0, 2), f"{str(arguments)[:300]}: {said[-600:]}"
    assert "Traceback" not in said
    if code == 2:
        assert said.strip().count("\n") == 0, said[:600]


COMMANDS = (
    "show resnet_v2_20;width=8",
    "show digits_plain_56 --json",
    "show torchvision_resnet18;weights=x",
    "list",
    "gradients plain_8 --data digits --weights x.safetensors",
    "attribute digits_plain_56 --image nothing.png --method saliency",
    "lesions plain_8 --n 0 --json",
    "paths plain_8 --longest x",
    "train plain_8 --set steps=x --recipe he15",
    "train --resume nowhere",
    "export plain_8;width=x --class-name 0",
    "report nowhere",
    "app --port 70000",
)


@sizes(few=30, many=600)
def test_commands_take_any_argument(
    n: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    random = Random(4)
    for _ in range(n):
        words = random.choice(COMMANDS).split()
        # The last word decides nothing that would compute for long.
        at = random.randrange(1, len(words)) if len(words) > 1 else 0
        words[at] = f"{mutated(words[at], random)}\0"[: -1 if random.random() < 0.9 else None]
        if words[0] in ("lesions", "gradients", "attribute", "train", "app"):
            words.append(random.choice(("--nonsense", "--seed=x", "--port=0")))
        say_nothing_unforeseen(words)


SPECS = tuple(
    json.dumps(value)
    for value in (
        spec_of("resnet_v2_20;width=8").model_dump(mode="json"),
        spec_of("densenet_22_k12").model_dump(mode="json"),
        {"units": [], "spec": spec_of("highway_19").model_dump(mode="json")},
    )
)


@sizes(few=30, many=600)
def test_spec_files_may_hold_anything(n: int, tmp_path: Path) -> None:
    file = tmp_path / "net.json"
    for text in samples(SPECS, mutated, n, seed=5):
        file.write_bytes(text.encode("utf-8", "surrogatepass"))
        say_nothing_unforeseen(["show", str(file)])


def test_files_of_ours_may_hold_brackets_without_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Deeper than Python's stack: an error of another kind than that of a text that is no JSON."""
    deep = "[" * 100_000 + "]" * 100_000
    (tmp_path / "surfaces.json").write_text(f'{{"surfaces": {deep}}}')
    (tmp_path / "records.jsonl").write_text(f"{deep}\n")
    place, header = tmp_path / "checkpoint.safetensors", {"skipscope": deep}
    save_file({"a": np.zeros(1, np.float32)}, place, metadata=header)
    page = str(tmp_path / "page.html")
    for argv, said in (
        (
            ["surface", "digits_plain_20", "--keep", str(tmp_path / "surfaces.json")],
            "holds nothing that could be gone on from",
        ),
        (["train", "--resume", str(tmp_path)], "is not a whole checkpoint"),
        (["report", str(tmp_path), "--html", page], "is not the folder of a training"),
    ):
        assert main(argv) == 2
        told = capsys.readouterr().err
        assert said in told
        assert "unexpected" not in told


def test_a_pipe_in_the_place_of_a_file_does_not_hang(tmp_path: Path) -> None:
    import os

    pipe = tmp_path / "net.json"
    os.mkfifo(pipe)
    code, said = shell(["show", str(pipe)])
    assert code == 2
    assert "no regular file" in said
    weights = tmp_path / "net.safetensors"
    weights.touch()
    code, said = shell(["show", str(weights)])
    assert code == 2
    assert "no regular file" in said


@pytest.mark.parametrize("text", NASTY, ids=range(len(NASTY)))
def test_what_has_broken_a_reader_is_a_sentence_in_the_shell(text: str, tmp_path: Path) -> None:
    for words in (
        ["show", text],
        ["show", f"{text}.json"],
        ["show", f"{text}.safetensors"],
        ["show", f"plain_20;width={text}"],
        ["report", text],
        ["train", "plain_8", "--data", text],
        ["train", "plain_8", "--set", f"steps={text}", "--nonsense"],
        ["attribute", "plain_8", "--image", text, "--nonsense"],
        ["export", "plain_8", "--out", f"{tmp_path}/{text}/net.py"],
    ):
        code, said = shell(words)
        assert code != UNFORESEEN, (words, said[-600:])


def valued(spec: dict[str, Any], random: Random) -> dict[str, Any]:
    """The spec with one to three values of another kind or size."""
    value = dict(spec)
    for name in random.sample(list(value), random.randint(1, 3)):
        value[name] = random.choice(VALUES)
    return value


VALUES: tuple[Any, ...] = (
    *(None, True, [], {}, [1, 2], [[]], {"a": 1}, "", "x", "\0", "NaN", "9" * 400),
    *(0, -1, 1, 3, 10**6, 10**19, 2**63, -(2**63), 0.5, -0.0, 1e308, -1e308, 1e-320),
    *(float("nan"), float("inf"), [3, 4, 10**9], [10**6, 10**6, 10**6]),
)


@sizes(few=30, many=600)
def test_fields_of_a_spec_may_have_any_value(n: int, tmp_path: Path) -> None:
    random = Random(9)
    file = tmp_path / "net.json"
    for _ in range(n):
        spec = json.loads(random.choice(SPECS))
        file.write_text(json.dumps(valued(spec.get("spec", spec), random)))
        say_nothing_unforeseen(["show", str(file)])


def options() -> list[tuple[str, str]]:
    """Every option of every command that takes a value."""
    _, commands = build()
    return [
        (name, action.option_strings[-1])
        for name, command in sorted(commands.items())
        if name not in ("app", "bench")  # one serves, the other measures
        for action in command._actions
        if action.option_strings and action.nargs != 0
    ]


@sizes(few=30, many=600)
def test_options_of_every_command_take_any_value(
    n: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything before the images are loaded; then it would compute for long."""

    def enough(*_: object, **__: object) -> None:
        raise DataError("Enough.")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("explorer.data.load.load_data", enough)
    monkeypatch.setattr("explorer.training.loop.load_data", enough)
    random = Random(10)
    every = options()
    for _ in range(n):
        name, option = random.choice(every)
        words = [name, *(("plain_8",) if name not in ("list", "report") else ())]
        value = random.choice(NASTY) if random.random() < 0.5 else mutated("8,1=0.5:x", random)
        say_nothing_unforeseen([*words, f"{option}={value}"])


def test_a_fault_in_a_page_is_a_sentence_on_it() -> None:
    def script() -> None:
        from explorer.pages.server.routes import on_script_error

        on_script_error(KeyError("blocks"))

    page = AppTest.from_function(script).run()
    [said] = page.warning
    assert "unexpected error" in said.value
    assert "the server's log" in said.value


def test_a_fault_in_a_route_is_a_sentence(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fault(*_: object) -> None:
        raise ZeroDivisionError("a fault")

    from explorer.pages.server import routes as server

    monkeypatch.setattr(server.feed, "answer", fault)
    monkeypatch.setattr(server.instrument_feed, "answer", fault)
    monkeypatch.setattr(server, "index_page", fault)
    monkeypatch.setattr(server.run_files, "download", fault)
    with caplog.at_level(logging.ERROR):
        answers = {route: client.get(route) for route in (*ROUTES, "/skipscope/run/file")}
    assert answers["/"].status_code == 200
    assert "a fault" in answers["/skipscope/feed"].json()["transport"]["reason"]
    assert "a fault" in answers["/skipscope/instrument"].json()["lanes"][0]["error"]
    assert "a fault" in answers["/skipscope/run/file"].text
    assert [record.exc_info is not None for record in caplog.records].count(True) == 4


def test_a_fault_in_a_command_is_a_sentence_and_its_stack_is_in_the_log(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SKIPSCOPE_HOME", str(tmp_path))

    def fault(*_: object) -> None:
        raise ZeroDivisionError("a fault")

    monkeypatch.setattr("explorer.cli.show.run_list", fault)
    code, said = shell(["list"])
    assert code == UNFORESEEN
    assert said.count("\n") == 1
    assert "ZeroDivisionError: a fault" in said
    assert "Traceback" in (tmp_path / "command.log").read_text()
