"""What is derived from instruments' declarations, over all of them at once: every door agrees."""

from __future__ import annotations

import argparse
import inspect
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import pytest
from asking import page_of
from numpy.typing import NDArray

from explorer.cli.parser import build, parse
from explorer.errors import NotApplicableError, RunError, SpecError
from explorer.instruments import Instrument, aliases, contract, functions, instrument, instruments
from explorer.instruments.codec import from_json, to_json
from explorer.instruments.contract import Column, Option, Result, Table, grouped, option
from explorer.instruments.doors import python, shell
from explorer.instruments.doors.words import bounds
from explorer.nets import create_net
from explorer.pages.instruments.controls import Number, Present
from explorer.pages.instruments.on_page import control
from explorer.runs.serve.requests import REQUESTS, kind_of, kinds, parse_request, priority_of
from explorer.writing.text_tables import log_marks

ALL = sorted(instruments())
FOLDER = Path(functions.__file__).parent


@pytest.fixture(scope="module")
def commands() -> dict[str, Any]:
    return build()[1]


def flag_of(command: argparse.ArgumentParser, name: str) -> argparse.Action:
    return next(action for action in command._actions if action.dest == name)


# ------------------------------------------------------------------------------ the same at all


@pytest.mark.parametrize("name", ALL)
def test_a_folder_holds_what_an_instrument_is(name: str) -> None:
    one = instrument(name)
    files = {path.name for path in (FOLDER / name).glob("*.py")}
    assert {"__init__.py", "ask.py", "result.py", "measure.py", "figure.py", "page.py"} <= files
    assert issubclass(one.result, Result)
    assert inspect.getdoc(one.ask)
    assert one.ask.examples, "its help shows no example"
    assert all(line.split()[0] == name for line in one.ask.examples)
    assert one.ask()  # all options have defaults
    assert one.show()


@pytest.mark.parametrize("name", ALL)
def test_every_option_has_one_name_default_range_and_help_at_every_door(
    name: str, commands: dict[str, argparse.ArgumentParser]
) -> None:
    one = instrument(name)
    signature = inspect.signature(python.function(name))
    page = page_of(name)
    request = one.ask() if one.ask.subject == "training" else parse_request(name, _payload(one))
    for told in one.options:
        if not told.shown:
            assert getattr(request, told.name) == told.default
            if told.at("python"):
                parameter = signature.parameters[told.name]
                assert (parameter.default, parameter.annotation) == (told.default, told.type)
        if told.at("shell"):
            action = flag_of(commands[name], told.name)
            assert action.help is not None
            if told.name == "seed" and _net(one):
                assert action.default == told.default  # the one of the fresh weights, too
            else:
                assert action.default is None  # which asks for the declared one
                assert (told.help.rstrip(".") or told.told.label) in action.help.replace("%%", "%")
                assert bounds(told) in action.help
        if told.at("page"):
            shown = page.option(told.name)
            if told.told.pick is None:
                assert shown == control(told)
                assert shown.label.removesuffix(", %") == told.told.label


# Words that go on from a label, which the shell and Python do not print.
GOES_ON = (
    "of",
    "for",
    "at",
    "along",
    "by",
    "from",
    "instead",
    "else",
    "those",
    "it",
    "they",
    "what",
)


@pytest.mark.parametrize("name", ALL)
def test_a_help_stands_alone_and_leaves_the_default_to_the_doors(name: str) -> None:
    for told in instrument(name).options:
        assert told.help, told.name
        assert told.help.split()[0].strip(",;:") not in GOES_ON, told.name
        assert "default" not in told.help, told.name
        assert "default )" not in shell._help(told), told.name


def _net(one: Instrument) -> bool:
    return one.ask.subject in ("net", "weights", "image")


def _payload(one: Instrument) -> dict[str, Any]:
    of = {"net": {"source": "shipped", "name": "x"}} if _net(one) else {}
    return {**of, "index": 3} if one.ask.subject == "image" else of


@pytest.mark.parametrize("name", ALL)
def test_numbers_out_of_range_are_one_sentence_at_every_door(
    name: str, commands: dict[str, argparse.ArgumentParser]
) -> None:
    one = instrument(name)
    for told in one.options:
        if told.kind not in ("whole", "number") or told.most is None:
            continue
        wrong = told.most + 1
        with pytest.raises(SpecError, match=told.name) as caught:
            (one.shown if told.shown else one.asked)({told.name: wrong})
        assert str(caught.value).endswith(".")
        if told.at("shell") and told.name != "seed":
            nets = ["plain_8"] if one.ask.subject not in ("data", "none") else []
            flag = flag_of(commands[name], told.name).option_strings[0]
            with pytest.raises(SpecError.__mro__[1], match="give a"):
                parse([name, *nets, flag, f"{wrong:.10g}"])


@pytest.mark.parametrize("name", ALL)
def test_the_page_asks_for_the_declared_job(name: str) -> None:
    one, page = instrument(name), page_of(name)
    if one.ask.subject == "training":  # it is read, not measured
        assert (page.key, page.is_recorded) == (name, True)
        assert name not in kinds()
        with pytest.raises(RunError, match=f"no job '{name}'"):
            parse_request(name, {})
        return
    assert (page.key, page.is_recorded) == (name, False)
    assert page.needs_net == (one.ask.subject not in ("data", "none"))
    assert kind_of(name) == name
    assert name in kinds()
    assert set(page.was) == {old for told in one.options for old in told.told.was}
    request = parse_request(name, _payload(one))
    assert priority_of(name, request) in ("click", "sweep")


def test_earlier_names_lead_to_todays() -> None:
    for old, new in aliases().items():
        assert instrument(old) is instrument(new)
        if old.count(" ") == 1:
            command, flag = old.split(" ")
            assert shell.renamed([command, flag, "1", "2"]) == [new, flag, "1", "2"]
        elif " " in old:
            command, flag, view = old.split(" ")
            more = instrument(new).ask.views.get(old, ())
            words = [command, "a_net", flag, view, "--json"]
            assert shell.renamed(words) == [new, "a_net", "--json", *more]
            assert shell.renamed([command, f"{flag}={view}"]) == [new, *more]
            assert parse([new, "a_net", *more])  # which are flags of it
        else:
            if old not in instrument(new).ask.not_in_python:
                assert getattr(functions, old) is python.function(new)
            assert page_of(old).key == new
            if old not in REQUESTS:  # `evaluate` is also the job of one program
                assert kind_of(old) == new
    assert shell.renamed(["classifier-by-unit", "x"]) == ["classifier_by_unit", "x"]


def test_the_stub_says_what_the_functions_are() -> None:
    assert (FOLDER / "functions.pyi").read_text("utf-8") == python.stub(), (
        "run `python -m explorer.instruments.doors.python`"
    )


def test_options_may_be_given_for_each_net() -> None:
    one = instrument("attribution")
    args = parse(["attribution", "a", "b", "--method", "grad_cam", "--unit", "x", "--unit", "y"])
    asks = shell._asks(one, one.asked({"method": "grad_cam"}), args)
    assert [(ask.unit, ask.method) for ask in asks] == [("x", "grad_cam"), ("y", "grad_cam")]
    args = parse(["activations", "a", "b", "--unit", "x, y"])
    assert [ask.units for ask in shell._asks(instrument("activations"), one.ask(), args)] == [
        ("x", "y"),
        ("x", "y"),
    ]
    args = parse(["activations", "a", "b", "c", "--units", "x", "--units", "y"])
    with pytest.raises(SpecError, match="--units was given 2 times for 3 nets"):
        shell._asks(instrument("activations"), instrument("activations").ask(), args)


def test_an_unknown_instrument_is_told_the_nearest() -> None:
    with pytest.raises(SpecError, match="did you mean 'responses'"):
        instrument("response")
    with pytest.raises(AttributeError, match="no attribute 'wings'"):
        _ = functions.wings


# ----------------------------------------------------------------------------------- options


class Odd(contract.Ask):
    """Measure oddities."""

    how: Literal["a", "b"] = option("b", "How", words={"a": "the first"})
    share: float = option(0.5, "Share", above=0, most=1)
    depths: tuple[int, ...] = option((2, 4), "Depths", least=1, most=9, longest=3)
    stage: int | None = option(None, "Stage", least=1, doors=("shell",))


def test_options_are_read_off_their_fields() -> None:
    how, share, depths, stage = Odd.options()
    assert (how.kind, dict(how.choices)) == ("choice", {"a": "the first", "b": "b"})
    assert (share.kind, bounds(share)) == ("number", "above 0, to 1")
    assert (depths.kind, depths.default) == ("wholes", (2, 4))
    assert (stage.kind, stage.optional, stage.at("page")) == ("whole", True, False)


def test_a_share_is_shown_in_per_cent_on_the_page_and_in_its_links() -> None:
    shown = control(Share.options()[0])
    assert isinstance(shown, Number)
    assert (shown.label, shown.times) == ("Share, %", 100)
    assert shown.read("25", Present()) == 0.25
    assert shown.write(0.25) == "25"
    with pytest.raises(SpecError, match=r"between 10.* and 100, not 250"):
        shown.read("250", Present())


class Share(contract.Ask):
    share: float = option(0.5, "Share", least=0.1, most=1, step=0.1, percent=True)


def test_a_choice_may_have_had_other_words() -> None:
    class Renamed(contract.Show):
        show: Literal["contour", "space"] = option("contour", "Show", formerly={"surface": "space"})

    (told,) = Renamed.options()
    assert Renamed.model_validate({"show": "surface"}).show == "space"
    assert control(told).read("surface", Present()) == "space"
    read, _ = shell._reader(told)
    assert (read("surface"), read("contour")) == ("space", "contour")


@pytest.mark.parametrize("name", [name for name in ALL if instrument(name).ask.keeps])
def test_what_is_kept_is_gone_on_from_at_every_door(
    name: str, commands: dict[str, argparse.ArgumentParser]
) -> None:
    assert callable(instrument(name).question)
    assert flag_of(commands[name], "keep").option_strings == ["--keep"]
    assert inspect.signature(python.function(name)).parameters["known"].default is None


def test_each_value_of_several_is_in_range() -> None:
    assert Odd.model_validate({"depths": [1, 9]}).depths == (1, 9)
    for wrong in ((0, 2), (2, 10)):
        with pytest.raises(ValueError, match="each of depths must be at least 1 and at most 9"):
            Odd.model_validate({"depths": wrong})


def test_words_of_a_command_are_its_nets_and_commas_or_spaces_part_values() -> None:
    args = parse(["gradients_at_init", "plain_20", "resnet_v2_20", "--depths", "8,20"])
    assert (args.nets, args.depths) == (("plain_20", "resnet_v2_20"), (8, 20))
    args = parse(["gradients", "plain_20", "--view", "init"])
    assert (args.command, args.nets) == ("gradients_at_init", ("plain_20",))
    for words in (["8,20,32"], ["8", "20,32"]):
        assert parse(["vanishing", "--depths", *words]).depths == (8, 20, 32)


def test_python_takes_a_net_by_its_name() -> None:
    tiny = "plain_8;width=2"
    named = functions.gradients(tiny, n_images=10)
    made = create_net(tiny, input_shape=(1, 8, 8), classes=10, seed=7)
    assert named.to_json() == functions.gradients(made, n_images=10).to_json()
    with pytest.raises(SpecError, match="There is no net"):
        functions.gradients("nonsense_8")


def test_none_asks_for_the_default() -> None:
    asked = Odd.model_validate({"how": None, "depths": None, "stage": None})
    assert (asked.how, asked.depths, asked.stage) == ("b", (2, 4), None)


def test_a_field_that_is_no_option_is_said() -> None:
    class Bare(contract.Ask):
        width: int = 3

    with pytest.raises(TypeError, match="width is no option"):
        Bare.options()


def test_a_control_that_cannot_be_derived_is_said() -> None:
    stage: Option = Odd.options()[-1]
    with pytest.raises(TypeError, match="no control can be derived for the option 'stage'"):
        control(stage)


# ------------------------------------------------------------------------------------ results


@dataclass(frozen=True)
class Part:
    name: str
    values: NDArray[np.float64]


@dataclass(frozen=True)
class Sample(Result):
    columns = (
        Column("unit", of="units"),
        Column("share", unit="%", digits=1),
        Column("n"),
        Column("high", of="ends", at=1, shown=False),
    )
    together = grouped("units", "share", name="units")
    left_out = ("parts",)

    net: str
    units: tuple[str, ...]
    share: NDArray[np.float64]
    n: tuple[int, ...]
    parts: tuple[Part, ...]
    kind: Literal["x", "y"] | None = None
    target: int | str = "true"
    ends: tuple[tuple[int, int], ...] = ((0, 1), (2, 3))


SAMPLE = Sample(
    "a net",
    ("one", "two"),
    np.asarray([0.25, np.nan]),
    (1, 20_000),
    (Part("p", np.asarray([[1.0, np.inf]])),),
    "x",
    3,
)


def test_a_result_survives_json_exactly() -> None:
    plain = to_json(SAMPLE)
    assert plain["units"] == [{"name": "one", "share": 0.25}, {"name": "two", "share": None}]
    assert plain["parts"] == [{"name": "p", "values": [[1.0, None]]}]
    back = from_json(Sample, plain)
    assert (back.units, back.kind, back.target) == (SAMPLE.units, "x", 3)
    np.testing.assert_array_equal(back.share, SAMPLE.share)
    assert to_json(back) == plain
    assert "parts" not in to_json(SAMPLE, partial=True)


@dataclass(frozen=True)
class Pictured(Result):
    columns = (Column("unit", of="units"), Column("share", bar=2.0))
    together = grouped("units", "share", "more", name="units")
    decimals: ClassVar[Mapping[str, int]] = {"share": 1}

    units: tuple[str, ...]
    share: NDArray[np.float64]
    picture: NDArray[np.uint8]
    more: NDArray[np.float64] | None = None


def test_pictures_are_pngs_and_what_is_none_has_no_key_among_the_rows() -> None:
    pixels = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    plain = to_json(Pictured(("one", "two"), np.asarray([1.04, 2.0]), pixels))
    assert plain["units"] == [{"name": "one", "share": 1.0}, {"name": "two", "share": 2.0}]
    back = from_json(Pictured, plain)
    assert back.more is None
    np.testing.assert_array_equal(back.picture, pixels)
    assert to_json(back) == plain
    full = to_json(Pictured(("one",), np.asarray([1.0]), pixels[..., :1], np.asarray([3.0])))
    assert full["units"] == [{"name": "one", "share": 1.0, "more": 3.0}]
    assert from_json(Pictured, full).picture.shape == (2, 2, 1)
    one, two = shell.table(back).splitlines()[2:]
    assert one.count("█") * 2 == two.count("█") > 0  # of 2, not of the greatest


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (None, "is an object"),
        ({"net": "a"}, "measure it again"),
        ({**to_json(SAMPLE), "kind": "z"}, "measure it again"),
        ({**to_json(SAMPLE), "units": [{"name": "one"}]}, "measure it again"),
        ({**to_json(SAMPLE), "share": {"a": 1}, "units": 3}, "measure it again"),
    ],
)
def test_what_is_no_such_result_is_one_sentence(value: Any, why: str) -> None:
    with pytest.raises(NotApplicableError, match=why):
        from_json(Sample, value)


def test_a_table_has_the_declared_columns() -> None:
    assert SAMPLE.records()[0] == {"unit": "one", "share": 0.25, "n": 1, "high": 1}
    assert list(SAMPLE.to_frame().columns) == ["unit", "share", "n", "high"]
    lines = shell.table(SAMPLE).splitlines()
    assert lines[0].split() == ["unit", "share,", "%", "n"]
    assert lines[2].split() == ["one", "25.0", "1"]
    assert lines[3].split() == ["two", "20,000"]  # what is not known is left empty


def test_columns_may_depend_on_what_was_measured() -> None:
    class Wider(Sample):
        def more_columns(self) -> dict[str, Any]:
            return {f"class {i}": self.share + i for i in range(2)}

    wide = Wider(**vars(SAMPLE))
    assert wide.records()[0] == {
        "unit": "one",
        "share": 0.25,
        "n": 1,
        "high": 1,
        "class 0": 0.25,
        "class 1": 1.25,
    }
    assert list(wide.to_frame().columns) == [*("unit", "share", "n", "high", "class 0", "class 1")]
    assert "class" not in shell.table(wide)  # they are for programs


def test_people_may_be_shown_other_rows_than_files() -> None:
    medians = Table((Column("share", "half", unit="points", digits=2),), [(0.125,)])
    assert shell.table(medians).splitlines()[::2] == ["half, points", "       12.50"]


def test_a_column_of_powers_of_ten_has_marks_on_their_scale() -> None:
    marks = log_marks([1e-6, 1e-4, None, 1e-2, 0.0], width=5)
    assert marks == ["●", "··●", "", "····●", ""]


@pytest.mark.parametrize("name", ALL)
def test_columns_name_what_the_result_has(name: str) -> None:
    kind = instrument(name).result
    known = {one.name for one in fields(kind)}
    for group in kind.together.values():
        assert all(field in known or hasattr(kind, field) for field in group.values())
    if kind.rows is Result.rows:
        assert all(hasattr(kind, c.source) or c.source in known for c in kind.columns)
    assert set(kind.left_out) <= known


@pytest.mark.parametrize("name", list(instruments()))
def test_every_example_of_the_help_can_be_asked(name: str) -> None:
    """``gradients_at_init`` with no nets asks for its own ones."""
    for example in instrument(name).ask.examples:
        if "|" not in example:
            one, ask, _ = shell.asked(parse(shlex.split(example.partition("   ")[0])))
            assert isinstance(ask, one.ask)
