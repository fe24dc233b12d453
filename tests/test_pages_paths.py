"""The Paths instruments' sentences, tables and options, of results as jobs give them."""

from __future__ import annotations

from typing import Any

import pytest
from asking import Lane
from asking import page_of as instrument

from explorer.errors import SpecError
from explorer.instruments.counted_paths import multiplicity, path_lengths
from explorer.instruments.paths.result import PathCurve, PathGradients
from explorer.instruments.unravelled.ask import chosen_units
from explorer.instruments.unravelled.result import PathEffect, UnravelledView
from explorer.pages.instruments.controls import Present
from explorer.pages.instruments.links import from_query
from explorer.pages.instruments.on_page import Asking
from explorer.structure.blueprint import blueprint
from explorer.structure.names import spec_of
from explorer.structure.path_combinatorics import toy
from explorer.structure.specs import DATASETS, DataSpec

DIGITS = DATASETS["digits"]
NET = "resnet_v2_56"


def lane(token: str, result: dict[str, Any], index: int = 0, *, done: bool = True) -> Lane:
    return Lane(index, token, blueprint(spec_of(token)), DIGITS, result, done)


def options(key: str, **given: Any) -> dict[str, Any]:
    present = Present((blueprint(spec_of(NET)),), DIGITS.classes)
    usual = {option.name: option.usual(present) for option in instrument(key).options}
    return {"narrow": False, **usual, **given}


def gradients(*, drawn: bool = True) -> dict[str, Any]:
    n = 27

    def curve(kind: Any, ratio: float, draws: int) -> PathCurve:
        return PathCurve(kind, toy(n, ratio), toy(n, ratio) / 9, 64, draws)

    result = PathGradients(
        NET,
        "digits",
        64,
        n,
        0.5,
        3e-7 if drawn else None,
        (
            curve("coherent", 0.2, 0),
            *([curve("incoherent", 0.1, 2), curve("sampled", 0.25, 2)] if drawn else []),
        ),
    )
    lengths = path_lengths(blueprint(spec_of(NET))).to_json()  # stored by earlier versions
    return {**result.to_json(), "path_lengths": lengths, "step": None}


def asking(key: str, **given: Any) -> Asking:
    plan = blueprint(spec_of(given.pop("token", NET)))
    return Asking(0, {"source": "x"}, DataSpec(), None, 5, options(key, **given), plan)


def test_the_gradients_are_told_apart() -> None:
    one = instrument("paths")
    lanes = [lane(NET, gradients()), lane(NET, gradients(drawn=False), 1, done=False)]
    for show in ("curves", "per_path", "shares", "toy"):
        chosen = options("paths", show=show)
        assert one.figure(lanes, chosen, "light").data
        assert len(one.caption(lanes, chosen)) == 2
    first, second = one.caption(lanes, options("paths"))
    assert "2²⁷ paths, 64 test images." in first
    assert "Summed by length, exactly, the gradient is on lengths" in first
    assert "(Veit et al.) (2 draws for each of 64 images)" in first
    assert "so far" in second
    assert "Veit" not in second
    toy_words = one.caption(lanes, options("paths", show="toy", r=0.5))[0]
    assert "with r = 0.5 the toy has 9" in toy_words
    assert "r = 0.25 fits it" in toy_words
    formula = one.formula(lanes, options("paths"))
    assert any("3.0e-07 at most" in line for line in formula)
    assert any("coherent 0.2, incoherent 0.1, sampled 0.25" in line for line in formula)
    rows = one.table(gradients())
    assert len(rows) == 28
    assert list(one.table(gradients(drawn=False))[0]) == list(rows[0])
    asked = one.payload(asking("paths", draws=3))
    assert (asked["draws"], asked["seed"]) == (3, 5)
    assert one.not_for(blueprint(spec_of("plain_20")))
    assert one.not_for(blueprint(spec_of("densenet_40_k12"))) is None


def test_paths_are_counted() -> None:
    one = instrument("multiplicity")

    def counted(token: str) -> Lane:
        plan = blueprint(spec_of(token))
        lengths, others = path_lengths(plan, token).to_json(), multiplicity(plan.spec).to_json()
        return lane(token, {**lengths, "multiplicity": others})

    lanes = [counted(NET), counted("plain_20"), counted("resnet_v2_110;survival_prob=0.5")]
    assert one.key == "path_counts"
    for show in ("lengths", "nets"):
        assert one.figure(lanes, options("multiplicity", show=show), "dark").data
    said = one.caption(lanes, options("multiplicity"))
    assert "2²⁷ = 1.3·10⁸ paths, 13.5 blocks long on average" in said[0]
    assert said[1] == "plain_20: one path, through every block."
    assert "a path of a training step has 20.1 on average" in said[2]
    said = one.caption(lanes, options("multiplicity", show="nets"))
    assert "of width 64, 2²⁷ with" in said[0]
    foreign = lane(NET, {**lanes[0].result, "multiplicity": None})
    assert "no other depths" in one.caption([foreign], options("multiplicity", show="nets"))[0]
    assert one.figure([foreign], options("multiplicity", show="nets"), "light").layout
    assert len(one.table(lanes[0].result)) == 28
    assert one.records is not None
    assert "share_in_training" in one.records(lanes[2].result)[0]


def test_paths_are_switched_off() -> None:
    one = instrument("unravelled")
    shifts = {"00": 0.2, "10": 0.3, "01": 0.2, "11": 0.2}
    single = tuple(PathEffect(path, 0.9, 0.1, shift) for path, shift in shifts.items())
    together = PathEffect("", 0.5, 0.49, 0.6)
    view = UnravelledView(NET, "digits", 100, ("a", "b"), ("01",), 0.98, together, single)
    shown = lane(NET, view.to_json())
    (said,) = one.caption([shown], options("unravelled"))
    assert "98.0 % right intact (100 test images)." in said
    assert "Without 1 path (01): 50.0 % right (95 % interval 40.4 % to 59.6 %)" in said
    assert "path 10 moves the logits most when it is off, by 30.0 %" in said
    assert one.figure([shown], options("unravelled"), "light").data
    assert [row["path off"] for row in one.table(shown.result)] == ["00", "10", "01", "11"]
    asked = one.payload(asking("unravelled", off=("010",)))
    assert list(asked["units"]) == ["stages.0.units.0", "stages.1.units.0", "stages.2.units.0"]
    assert asked["off"] == ["010"]


@pytest.mark.parametrize(
    ("token", "which", "names"),
    [
        ("resnet_v2_8", "end", ["0.units.0", "1.units.0", "2.units.0"]),
        (NET, "end", ["2.units.6", "2.units.7", "2.units.8"]),
        (NET, "start", ["0.units.0", "0.units.1", "0.units.2"]),
        ("fc_residual_20", "stages", ["0.units.0", "0.units.1"]),
        ("densenet_40_k12", "stages", ["0.units.0", "1.units.0", "2.units.0"]),
        ("imagenet_resnet_v1_50", "stages", [f"{stage}.units.0" for stage in range(4)]),
        ("reference_residual_25", "stages", [f"{stage}.units.0" for stage in range(4)]),
    ],
)
def test_a_few_blocks_stand_for_a_deep_net(token: str, which: str, names: list[str]) -> None:
    assert chosen_units(blueprint(spec_of(token)), which) == tuple(
        f"stages.{name}" for name in names
    )


def test_several_paths_in_a_link() -> None:
    option = instrument("unravelled").option("off")
    present = Present((blueprint(spec_of(NET)),), DIGITS.classes)
    assert list(option.choices(present)) == [  # type: ignore[attr-defined]
        *("000", "100", "010", "110", "001", "101", "011", "111")
    ]
    assert option.read("110.010", present) == ("010", "110")
    assert option.write(("010", "110")) == "010.110"
    assert option.read("", present) == () == option.usual(present)
    with pytest.raises(SpecError, match=r"off must be some of 000, 100, .* not '01'"):
        option.read("010.01", present)
    for plans in ((), (blueprint(spec_of("plain_8")),)):
        assert not option.choices(Present(plans, ()))  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("link", "key", "wanted"),
    [
        ("multiplicity;show=nets", "path_counts", {"show": "nets"}),
        ("paths;show=toy;r=0.5;draws=2", "paths", {"show": "toy", "r": 0.5, "draws": 2}),
        ("unravelled;which=end;off=010.110", "unravelled", {"off": ("010", "110")}),
        (
            "surface;points=33;show=line;span=2;direction=3",
            "surface",
            {"resolution": 33, "show": "line", "span": 2.0, "direction": 3, "line": False},
        ),
        ("sensitivity;of=input;nudge=5", "sensitivity", {"of": "input", "nudge": 0.05}),
        ("amplifier;x=10;before=10.5;after=11", "amplifier", {"x": 10.0, "after": 11.0}),
    ],
)
def test_links_of_earlier_days_ask_the_same(link: str, key: str, wanted: dict[str, Any]) -> None:
    look, problems = from_query({"instrument": link, "nets": NET})
    assert (look.instrument, problems) == (key, [])
    present = Present((blueprint(spec_of(NET)),), DIGITS.classes)
    one = instrument(key)
    read = {name: one.option(name).read(text, present) for name, text in look.chosen.items()}
    usual = {option.name: option.usual(present) for option in one.options}
    assert {name: {**usual, **read}[name] for name in wanted} == wanted
