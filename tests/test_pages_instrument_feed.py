"""Instruments in the browser, without one: links, sentences, tables, and measurements given up."""

from __future__ import annotations

import json
import math
import time
from dataclasses import replace
from typing import Any

import pytest
from asking import Lane
from asking import page_of as instrument
from asking import pages_of_all as instruments

from explorer.errors import SkipscopeError, SpecError
from explorer.pages.instruments import GROUPS, feed, files
from explorer.pages.instruments.controls import Choice
from explorer.pages.instruments.feed import conditions
from explorer.pages.instruments.links import (
    DEFAULT_NETS,
    Look,
    from_query,
    look_inside,
    scene,
    to_query,
)
from explorer.pages.shared.measurements import Measurements
from explorer.pages.shared.state import default_state
from explorer.runs.serve.service import RunService
from explorer.structure.blueprint import blueprint
from explorer.structure.names import spec_of
from explorer.structure.specs import DATASETS, DataSpec

DIGITS = DATASETS["digits"]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A service whose workers are never started: nothing here computes."""
    made = RunService(tmp_path_factory.mktemp("home"))
    yield made
    made._store.close()


def lane(token: str, result: dict[str, Any], index: int = 0, done: bool = True) -> Lane:
    return Lane(index, token, blueprint(spec_of(token)), DIGITS, result, done)


# -------------------------------------------------------------------------------- the contract


@pytest.mark.parametrize("key", list(instruments()))
def test_every_instrument_keeps_the_contract(key: str, service: RunService) -> None:
    one = instrument(key)
    assert one.key == key
    assert ";" not in key
    assert one.group in GROUPS
    assert one.question.endswith("?")
    assert one.explains.count(". ") >= 1, "what one sees, and what to look for"
    assert one.figure_of.endswith(".")
    names = [option.name for option in one.options]
    assert len(set(names)) == len(names)
    options = {"narrow": False, **{o.name: o.usual(_present()) for o in one.options}}
    assert one.figure([], options, "light").layout
    for token in one.suggests if one.needs_net else ():
        shown, problems = scene(service, Look(nets=(token,), instrument=key))
        assert not problems
        assert not shown.refused, "a net that is suggested must be one that it means something for"


def _present() -> Any:
    from explorer.pages.instruments.controls import Present

    return Present((blueprint(spec_of("resnet_v2_8")),), DIGITS.classes)


def test_no_two_instruments_share_a_title() -> None:
    titles = [one.title for one in instruments().values()]
    assert len(set(titles)) == len(titles)


# -------------------------------------------------------------------------------------- links


def test_a_link_holds_everything_and_no_more() -> None:
    assert to_query(Look()) == {"nets": ",".join(DEFAULT_NETS), "instrument": "lesions"}
    look = Look(
        nets=("plain_20;width=8", "run:abcd.1"),
        instrument="gradients",
        chosen={"of": "outputs"},
        data=DataSpec(name="mnist"),
        n_images=50,
        seed=3,
    )
    query = to_query(look)
    assert query["instrument"] == "gradients;of=outputs"
    assert from_query(query) == (look, [])


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"instrument": "gradeints"}, "did you mean 'gradients'"),
        ({"instrument": "zz"}, "there are accuracy, activations, "),
        ({"instrument": "gradients;of=nonsense"}, "of must be one of parameters, outputs"),
        ({"instrument": "gradients;if=so"}, "no option 'if'"),
        ({"n": "-3"}, "between 1 and"),
        ({"n": "many"}, "whole number"),
        ({"seed": "1e9"}, "whole number"),
        ({"data": "folder;path=/no/where"}, "/no/where"),
        ({"nets": "resnet_v2_57"}, "was left out"),
        ({"nets": "run:gone.0"}, "no experiment 'gone'"),
        ({"nets": "run:gone"}, "run:ID.LANE@STEP"),
        ({"nets": "resnet_v2_20;weights=/etc/passwd"}, "not the name of uploaded weights"),
        ({"nets": "torchvision_resnet19"}, "did you mean 'torchvision_resnet18'"),
        ({"nets": ",".join(["plain_8"] * 5)}, "the first 4 are shown"),
    ],
)
def test_rubbish_in_a_link_is_one_sentence(
    service: RunService, query: dict[str, str], words: str
) -> None:
    look, problems = from_query(query)
    _, more = scene(service, look)
    assert len(problems + more) == 1
    assert words in (problems + more)[0]


def test_equal_nets_are_told_apart(service: RunService) -> None:
    shown, _ = scene(service, Look(nets=("plain_8", "plain_8", "digits_plain_56")))
    assert [net.name for net in shown.nets] == [
        "Plain 8, untrained",
        "Plain 8, untrained (2)",
        "Plain 56",
    ]


def test_an_instrument_says_for_which_net_it_means_nothing(service: RunService) -> None:
    look = Look(nets=("digits_plain_56", "digits_fc_highway_50"), instrument="gates")
    shown, problems = scene(service, look)
    assert not problems
    assert list(shown.refused) == [0]
    assert "fc_highway_50" in shown.refused[0]
    assert feed.question(shown, 1)[0] == "gates"


def test_a_trained_net_takes_images_of_its_own_shape(service: RunService) -> None:
    look = Look(nets=("digits_plain_56", "plain_8"), data=DataSpec(name="cifar10"))
    shown, problems = scene(service, look)
    assert not problems
    assert list(shown.refused) == [0]
    assert "1×8×8" in shown.refused[0]
    assert shown.nets[1].info.input_shape == (3, 32, 32)


def test_lanes_of_compare_keep_weights_images_and_seed() -> None:
    state = default_state()
    assert look_inside(state, [0, 1])["nets"] == "digits_plain_20,digits_plain_110"
    other = replace(state.with_data(DataSpec(name="mnist")), seed=3)
    assert look_inside(other, [1]) == {
        "nets": "plain_110",
        "instrument": "lesions",
        "data": "mnist",
        "seed": "3",
    }
    assert look_inside(replace(other, run="abc"), [2])["nets"] == "run:abc.2"


def test_an_option_reads_what_it_writes() -> None:
    for one in instruments().values():
        for option in one.options:
            usual = option.usual(_present())
            if isinstance(option, Choice) and not option.choices(_present()):
                continue
            assert option.read(option.write(usual), _present()) == usual
            with pytest.raises(SpecError):
                option.read("§", _present())


# ---------------------------------------------------------------------------------- sentences


def curve(*accuracy: float, intact: float = 0.95, n: int = 200) -> dict[str, Any]:
    units = [u.name for u in blueprint(spec_of("resnet_v2_20")).units][: len(accuracy)]
    rows = [{"name": u, "accuracy": a} for u, a in zip(units, accuracy, strict=True)]
    return {
        "net": "",
        "data": "digits",
        "n_images": n,
        "baseline_accuracy": intact,
        "units": rows,
    }


def test_lesion_sentences_say_what_was_measured() -> None:
    one = instrument("lesions")
    robust = lane("resnet_v2_20", curve(0.2, 0.945, 0.95))
    (said,) = one.caption([robust], {})
    assert "95.0 % right intact (95 % interval 91.0 % to 97.3 %; 200 test images)" in said
    assert "2 of 3 blocks cost less than 1 point" in said
    assert "block 1 (stages.0.units.0): 20.0 %" in said
    early = lane("resnet_v2_20", curve(0.2, math.nan, math.nan, n=30), done=False)
    (said,) = one.caption([early], {})
    assert "so far" in said
    assert "of 1 block cost" in said  # only what is measured counts
    assert one.caption([lane("resnet_v2_20", curve(math.nan))], {}) == []
    rows = one.table(curve(0.2, math.nan))
    assert rows[0]["cost, points"] == 75.0
    assert rows[1]["right, %"] is None
    lines = one.formula([robust], {})
    assert any("p = 0.2000, n = 200" in line for line in lines)


def gradients(*rms: float) -> dict[str, Any]:
    layers = [
        {"name": f"l{i}", "depth_index": i + 1, "parameter_rms": v} for i, v in enumerate(rms)
    ]
    units = [{"name": f"u{i}", "output_rms": v} for i, v in enumerate(rms)]
    return {
        "net": "",
        "data": "digits",
        "n_images": 64,
        "loss": 2.3,
        "layers": layers,
        "units": units,
    }


@pytest.mark.parametrize(
    ("rms", "words"),
    [
        ((1e-4, 1e-4, 1e-4, 1e-2, 1e-2, 1e-2), "100 × as large in the last three layers"),
        ((3e-2, 3e-2, 3e-2, 1e-2, 1e-2, 1e-2), "3 × as large in the first three layers"),
        ((1e-2, 1e-2, 1e-2, 1e-2, 1e-2, 1e-2), "about as large"),
        ((1e-2, 1e-2, 1e-2), None),  # too few to compare
        ((0.0, 0.0, 0.0, 1e-2, 1e-2, 1e-2), None),
    ],
)
def test_gradient_sentences_compare_only_what_they_can(
    rms: tuple[float, ...], words: str | None
) -> None:
    said = instrument("gradients").caption([lane("plain_8", gradients(*rms))], {"of": "parameters"})
    assert said == [] if words is None else words in said[0]


# ------------------------------------------------------------------------------- measurements


class Job:
    """As much of a job's handle as the follower uses."""

    def __init__(self) -> None:
        self.progress = (0.0, "")
        self.partial: Any = None
        self.error: str | None = None
        self.result: dict[str, Any] | None = None
        self.cancelled = False

    def wait(self, timeout: float) -> dict[str, Any] | None:
        return self.result

    def cancel(self) -> None:
        self.cancelled = True


class Desk:
    def __init__(self) -> None:
        self.jobs: list[Job] = []
        self.problem: str | None = None

    def submit(self, kind: str, payload: Any) -> Job:
        if self.problem:
            raise SkipscopeError(self.problem)
        self.jobs.append(Job())
        return self.jobs[-1]


def look(measurements: Measurements, desk: Desk, stamp: object = None) -> Any:
    return measurements.look(desk, "lesions", {"net": 1}, stamp)  # type: ignore[arg-type]


def test_a_measurement_is_asked_once_and_followed_to_its_end() -> None:
    measurements, desk = Measurements(), Desk()
    first = look(measurements, desk)
    assert (first.result, first.done) == (None, False)
    (job,) = desk.jobs
    job.partial, job.progress = {"part": 1}, (0.5, "half")
    second = look(measurements, desk)
    assert (second.result, second.done, second.share) == ({"part": 1}, False, 0.5)
    assert second.number > first.number
    assert look(measurements, desk).number == second.number  # nothing new
    job.result = {"whole": 1}
    third = look(measurements, desk)
    assert (third.result, third.done) == ({"whole": 1}, True)
    assert look(measurements, desk) == third
    assert len(desk.jobs) == 1


def test_newer_weights_are_measured_while_the_old_answer_stays() -> None:
    measurements, desk = Measurements(), Desk()
    look(measurements, desk, stamp=1)
    desk.jobs[0].result = {"step": 1}
    assert look(measurements, desk, stamp=1).result == {"step": 1}
    assert look(measurements, desk, stamp=2).result == {"step": 1}
    assert len(desk.jobs) == 2
    look(measurements, desk, stamp=3)  # not asked for while the second is under way
    assert len(desk.jobs) == 2
    desk.jobs[1].result = {"step": 2}
    assert look(measurements, desk, stamp=3).result == {"step": 2}
    assert len(desk.jobs) == 3


def test_a_failed_measurement_is_its_sentence_and_not_asked_again() -> None:
    measurements, desk = Measurements(), Desk()
    desk.problem = "No such net."
    for _ in range(2):
        assert look(measurements, desk).error == "No such net."
    desk.problem = None
    assert look(measurements, desk, stamp=2).error == "No such net."
    assert len(desk.jobs) == 1  # newer weights are another question
    desk.jobs[0].result = {}
    assert look(measurements, desk, stamp=2).error is None


def test_what_failed_is_asked_again_by_who_comes_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    measurements, desk = Measurements(), Desk()
    desk.problem = "The process that measured this was killed."

    def comes() -> Any:
        return measurements.look(desk, "lesions", {"net": 1}, anew=True)  # type: ignore[arg-type]

    assert comes().error == desk.problem
    desk.problem = None
    assert comes().error is not None  # a moment ago: a class would kill it person by person
    monkeypatch.setattr("explorer.pages.shared.measurements.ASK_AGAIN_SECONDS", 0.0)
    assert look(measurements, desk).error is not None  # a poll of a page that knows of it
    assert (comes().error, len(desk.jobs)) == (None, 1)
    desk.jobs[0].result = {"whole": 1}
    assert look(measurements, desk).result == {"whole": 1}


def test_what_nobody_looks_at_is_given_up() -> None:
    measurements, desk = Measurements(held=lambda viewer: 0.2), Desk()
    look(measurements, desk)
    deadline = time.monotonic() + 5
    while not desk.jobs[0].cancelled and time.monotonic() < deadline:
        time.sleep(0.02)
    assert desk.jobs[0].cancelled
    assert measurements.under_way == 0
    look(measurements, desk)
    assert len(desk.jobs) == 2  # whoever comes back asks again


# ----------------------------------------------------------------------------------- the feed


def test_the_answer_is_valid_json_and_repeats_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk()
    desk.closed = False  # type: ignore[attr-defined]
    monkeypatch.setattr(feed, "get_service", lambda: desk)
    monkeypatch.setattr(feed, "measurements", Measurements())
    query = {"nets": "resnet_v2_20", "instrument": "lesions", "theme": "dark", "n": "7"}
    answer = json.loads(feed.answer(query))
    assert answer["empty"] == "Measuring…"
    assert answer["poll_ms"] == feed.POLL_MS
    desk.jobs[0].result = curve(0.2, math.nan, 0.9)
    text = feed.answer({**query, "have": answer["version"]})
    assert b"NaN" not in text
    answer = json.loads(text)
    assert answer["poll_ms"] == feed.POLL_REST_MS
    assert answer["tables"][0]["columns"][0] == "without"
    assert len(answer["conditions"]) == 1
    assert answer["captions"]
    again = json.loads(feed.answer({**query, "have": answer["version"]}))
    assert set(again) == {"version", "poll_ms"}


def test_shipped_nets_answer_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What their cards hold is not measured again; another number of images is."""
    desk = Desk()
    monkeypatch.setattr(feed, "get_service", lambda: desk)
    monkeypatch.setattr(feed, "measurements", Measurements())
    for key in ("lesions", "gradients"):
        answer = json.loads(feed.answer({"instrument": key}))
        assert [lane["done"] for lane in answer["lanes"]] == [True, True]
        assert len(answer["captions"]) == 2
    assert desk.jobs == []
    feed.answer({"instrument": "lesions", "n": "50"})
    assert len(desk.jobs) == 2
    feed.answer({"instrument": "lesions;of_class=7"})  # cards hold no classes
    assert len(desk.jobs) == 4


def test_conditions_name_the_weights_only_where_they_were_measured(service: RunService) -> None:
    value = {"n_images": 9, "variance": [[1.0]], "gradient": [[1.0]], "positions": ["input"]}
    value |= {"two_way": 1, "one_way": 0, "shares": [0.5, 0.5], "seeds": 1}
    for key, fresh in (
        *(("lesions", None), ("scaling", None), ("multiplicity", None)),
        *(("propagation", True), ("propagation", False)),
    ):
        shown, _ = scene(service, Look(nets=("digits_resnet_v2_56",), instrument=key))
        measured = {"net": "", "data": "digits", "fresh": fresh, **value}
        measured |= {**curve(0.2), **value} if key == "lesions" else {}
        measured |= {"n_units": 1, "scales": []} if key == "scaling" else {}
        (said,) = conditions(shown, [instrument(key).of(lane("resnet_v2_56", measured))])
        assert ("shipped weights" in said) is (key == "lesions" or fresh is False)
        if key == "multiplicity":
            assert said == "counted from the structure; no weights, no images"
            continue
        split = "test" if key == "lesions" else "training"
        assert f"9 {split} images of Handwritten digits" in said
        assert "float32" in said


def test_numbers_and_figure_are_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk()
    for module in (feed, files):
        monkeypatch.setattr(module, "get_service", lambda: desk)
    body, _, name = files.download({"as": "csv"})
    lines = body.decode().splitlines()
    assert lines[0] == "net,unit,accuracy,low_95,high_95,cost"
    assert lines[1].startswith("Plain 56,stages.0.units.0,")
    assert name == "lesions-Plain_56-ResNet_v2_56.csv"
    whole = json.loads(files.download({"as": "json"})[0])
    assert whole["results"][1]["name"] == "ResNet v2 56"
    assert whole["link"]["nets"] == ",".join(DEFAULT_NETS)
    page = files.download({"as": "html"})[0].decode()
    assert "360 test images" in page
    assert "cdn.plot.ly" not in page.split("<script", 1)[0]
    monkeypatch.setattr(feed, "measurements", Measurements())
    with pytest.raises(SkipscopeError, match="wait for the figure"):
        files.download({"nets": "plain_8"})


@pytest.mark.parametrize("token", ["run:a.0@", "run:a.0@x", "run:a.@3", "run:a"])
def test_a_run_is_named_with_lane_and_step(service: RunService, token: str) -> None:
    _, problems = scene(service, Look(nets=(token,)))
    assert len(problems) == 1
    assert "run:abcd.0@120" in problems[0]


def test_a_fault_in_one_instrument_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any) -> Any:
        raise ZeroDivisionError("by nothing")

    desk = Desk()
    monkeypatch.setattr(feed, "get_service", lambda: desk)
    monkeypatch.setattr("explorer.pages.instruments.on_page.Instrument.figure", broken)
    answer = json.loads(feed.answer({"nets": "digits_plain_56", "theme": "dark"}))
    assert answer["figure"]["data"] == []
    assert "ZeroDivisionError: by nothing" in answer["lanes"][0]["error"]
    assert answer["lanes"][0]["done"]
    assert "ZeroDivisionError" in caplog.text
