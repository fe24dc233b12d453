"""Paper against ours: rows are whole, marks follow from protocols, sentences from numbers."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from explorer.bench.browser import chromium
from explorer.claims import SOURCES
from explorer.cli import main
from explorer.errors import SkipscopeError, SpecError
from explorer.instruments.contract import Style
from explorer.pages.papers import page as papers
from explorer.reproduce import PAPERS, chosen, figure, figures, kept
from explorer.reproduce import compare as c
from explorer.reproduce.contract import (
    HOLDS,
    Asks,
    Counts,
    Ends,
    Figure,
    LaneResult,
    Measurement,
    Protocol,
    Trains,
)
from explorer.reproduce.gallery import drawn, file_html, is_file, write_folder
from explorer.reproduce.reported import REPORTED, REPORTERS, reported
from explorer.reproduce.words import Told, table_html, told
from explorer.runs.serve.requests import parse_request
from explorer.structure import cards
from explorer.structure.cards import shipped
from explorer.structure.names import NETS, spec_of
from explorer.structure.specs import DataSpec, fit_to_data

ROWS = list(figures())
KEPT = sorted(kept.FOLDER.glob("*.json"))
# What the page has to answer for, one way or the other.
WANTED = {
    "He15": ("fig6", "table6", "parameters", "fig7", "table3", "table1", "s41"),
    "He16": ("eq8", "table1", "table2", "table3", "table5", "fig6", "preact"),
    "SGS15": ("fig1", "fig2", "fig3", "fig4", "table2"),
    "Veit16": (
        *("fig1", "fig3", "fig5a", "fig5b", "fig6a", "fig6b", "fig6c"),
        *("23_of_54", "toy", "fig7"),
    ),
    "Huang16": ("parameters", "table2", "table3", "fig5"),
    "SD16": ("expected", "error"),
    "Balduzzi17": ("fig1",),
    "Li18": ("surface", "errors"),
    "Greff17": ("fig",),
    "Jastrzebski18": ("cosine", "classifier"),
    "programs": ("25", "imagenet", "small", "timing", "amplifier", "multiplicity"),
}


def test_every_row_of_the_papers_has_an_answer() -> None:
    wanted = {f"{paper.lower()}_{item}" for paper, items in WANTED.items() for item in items}
    assert wanted == set(figures())
    assert tuple(WANTED) == PAPERS


@pytest.mark.parametrize("key", ROWS)
def test_a_row_is_whole(key: str) -> None:
    row = figures()[key]
    assert re.fullmatch(r"[a-z0-9]+_[a-z0-9_]+", key)
    assert row.paper in SOURCES
    assert row.item
    assert row.title
    assert row.shows.endswith(".")
    for number in row.numbers.values():
        assert number.source, row.key
        assert (number.value is not None) or number.words
    digits = DataSpec(name="digits")
    if isinstance(row.how, (Trains, Asks)):
        arms = row.how.arms if isinstance(row.how, Trains) else (*row.how.nets, *row.how.fresh)
        for arm in arms:
            assert fit_to_data(spec_of(arm.net), digits)
        assert arms or row.on_cards or isinstance(row.how, Asks)
    for net in row.on_cards:
        assert spec_of(net)
    if row.how is None:
        assert row.why_not.endswith(".")
    else:
        assert row.judge is not None
        assert row.lines is not None
    if row.kept_in:
        other = figures()[row.kept_in]
        assert type(other.how) is type(row.how)
        assert other.how == row.how, "two figures of one measurement ask the same"


def test_a_reported_number_names_who_reported_it() -> None:
    assert set(REPORTED) <= set(NETS)
    assert {who for each in REPORTED.values() for _, who in each} <= set(REPORTERS)
    assert reported("resnet_v1_20") == "8.29 % (gcr), 8.27 % (akamaster)"
    assert reported("resnet_v1_32") == ""
    lines = told(figure("he15_table6"), []).lines
    assert next(line for line in lines if line.what == "ResNet-56").others.startswith(
        "6.94 % (gcr)"
    )


def test_the_papers_own_errors_are_those_of_the_registry() -> None:
    lines = {line.what: line.paper for line in told(figure("he15_table6"), []).lines}
    assert lines["ResNet-110"] == "6.43 % (best of 5), 6.61 % (mean of 5)"
    lines = {line.what: line.paper for line in told(figure("he16_table1"), []).lines}
    assert lines["original"] == "6.61 % (median of 5)"
    assert lines["dropout shortcut"] == "fails (above 20 %) (median of 5)"


# ---------------------------------------------------------------------------------------- marks


def arm(
    label: str,
    net: str,
    test: Sequence[float | None],
    train: Sequence[float | None] = (),
    **more: Any,
) -> Ends:
    train = train or test
    return Ends(
        label=label,
        net=net,
        steps=more.pop("steps", 330),
        seeds=tuple(range(7, 7 + len(test))),
        train_loss=more.pop("loss", tuple(train)),
        train_error=tuple(train),
        test_error=tuple(test),
        **more,
    )


def trained(key: str, *arms: Ends, data: str = "digits", images: int = 360) -> Measurement:
    return Measurement(figure=key, data=data, images=images, arms=arms)


def test_the_mark_follows_from_what_differs() -> None:
    row = replace(figure("veit16_23_of_54"), differs=())
    labels = list(row.numbers)

    def measured(data: str, net: str, steps: int, seeds: int, images: int) -> Measurement:
        arms = (arm(label, net, [0.06] * seeds, steps=steps) for label in labels)
        return trained(row.key, *arms, data=data, images=images)

    whole = measured("cifar10", "resnet_v2_110", 64_000, 1, 10_000)
    assert c.smaller(row, whole) == []
    assert c.mark(row, [whole]) == "reproduced"
    assert c.mark(row, []) == "not attempted"
    fewer = measured("cifar10", "resnet_v2_56", 7_820, 1, 1_000)
    assert c.smaller(row, fewer) == [
        "56 layers at most instead of 110",
        "7,820 training steps instead of 64,000",
        "1,000 images instead of 10,000",
    ]
    here = measured("digits", "resnet_v2_110", 64_000, 1, 360)
    assert c.smaller(row, here) == ["Handwritten digits of 8×8 instead of CIFAR-10"]
    assert c.mark(row, [here, whole]) == "smaller"
    several = replace(row, protocol=replace(row.protocol, trainings=5))
    assert c.smaller(several, whole) == ["1 training of a net instead of 5"]
    assert c.smaller(replace(row, differs=("another recipe",)), whole) == ["another recipe"]
    assert c.mark(replace(row, differs=("another recipe",)), [whole]) == "smaller"


def test_groups_are_ranked_only_where_seeds_are_enough_and_apart() -> None:
    assert c.ordered([0.01, 0.02, 0.01], [0.5, 0.6, 0.7]) == "yes"
    assert c.ordered([0.5, 0.6, 0.7], [0.01, 0.02, 0.01]) == "no"
    assert c.ordered([0.01, 0.02, 0.03], [0.025, 0.035, 0.045]) == "open"
    assert c.ordered([0.01, 0.02, 0.03], [0.031, 0.041, 0.051]) == "open", "apart, but by nothing"
    assert c.ordered([0.01, 0.02], [0.5, 0.6]) == "open", "of two seeds nothing is said"
    assert c.all_of("yes", "open") == "open"
    assert c.all_of("yes", "no", "open") == "no"
    assert c.all_of("yes", "yes") == "yes"


def test_a_median_is_told_with_its_spread() -> None:
    assert c.spread([0.01, 0.014, 0.031]) == "1.4 % (1.0 to 3.1 %)"
    assert c.spread([0.014]) == "1.4 %"
    assert c.spread([0.014, 0.0141]) == "1.4 %"
    assert c.spread([0.5, 0.25, 1.0], c.plain) == "0.5 (0.25 to 1)"
    assert c.spread([]) == "–"


# ------------------------------------------------------------------------------------ sentences

LOW, HIGH, NEAR = (0.01, 0.012, 0.014), (0.7, 0.75, 0.8), (0.012, 0.011, 0.013)
SINGLE = {
    "he15_fig6": (
        lambda deep, plain: (
            arm("plain 20", "plain_20", LOW),
            arm("plain 110", "plain_110", plain),
            arm("residual 20", "resnet_v1_20", LOW),
            arm("residual 110", "resnet_v1_110", deep),
        ),
        {"yes": (LOW, HIGH), "no": (HIGH, LOW), "open": (LOW, NEAR)},
    ),
    "he15_table6": (
        lambda deep, shallow: (
            arm("ResNet-20", "resnet_v1_20", shallow),
            arm("ResNet-110", "resnet_v1_110", deep),
        ),
        {"yes": (LOW, HIGH), "no": (HIGH, LOW), "open": (LOW, NEAR)},
    ),
    "he16_table1": (
        lambda original, other: (
            arm("original", "resnet_v1_20", original),
            arm("dropout shortcut", "resnet_v1_20;shortcut=dropout", other),
            arm("1×1 conv shortcut", "resnet_v1_20;shortcut=conv1x1", other),
        ),
        {"yes": (LOW, HIGH), "no": (HIGH, LOW), "open": (LOW, NEAR)},
    ),
    "he16_table2": (
        lambda full, original: (
            arm("original", "resnet_v1_20", original),
            arm("BN after addition", "resnet_v1_20;order=bn_after_addition", HIGH),
            arm("full pre-activation", "resnet_v2_20", full),
        ),
        {"yes": (LOW, HIGH), "no": (HIGH, LOW), "open": (LOW, NEAR)},
    ),
    "he16_fig6": (
        lambda full, original: (
            arm("original", "resnet_v1_20", original, loss=full),
            arm("full pre-activation", "resnet_v2_20", full, loss=original),
        ),
        {"yes": (LOW, HIGH), "no": (HIGH, LOW), "open": (LOW, NEAR)},
    ),
    "sd16_error": (
        lambda dropped, usual: (
            arm("constant depth", "resnet_v2_110", usual),
            arm("stochastic depth", "resnet_v2_110;survival_prob=0.5", dropped),
        ),
        {"yes": (LOW, HIGH), "no": (HIGH, LOW), "open": (LOW, NEAR)},
    ),
    "veit16_23_of_54": (
        lambda some, full: (
            arm("all 54 modules", "resnet_v2_110", full),
            arm("23 of 54 modules in each batch", "resnet_v2_110", some),
        ),
        {"yes": (LOW, NEAR), "no": (HIGH, LOW), "open": (LOW[:1], NEAR)},
    ),
    "li18_errors": (
        lambda deep, plain: (
            arm("plain 56", "plain_56", plain),
            arm("residual 56", "resnet_v1_56", deep),
        ),
        {"yes": (LOW, HIGH), "no": (HIGH, LOW), "open": (LOW, NEAR)},
    ),
    "sgs15_fig1": (
        lambda gated, plain: (
            arm("plain 10", "fc_plain_10", LOW, loss=(1e-4, 1.1e-4, 1.2e-4)),
            arm("plain 100", "fc_plain_100", plain, loss=plain),
            arm("highway 100", "fc_highway_100", gated, loss=gated),
        ),
        {
            "yes": ((1e-4, 1.2e-4, 1.1e-4), HIGH),
            "no": (HIGH, (1e-4, 1.2e-4, 1.1e-4)),
            "open": ((0.02, 0.021, 0.022), HIGH),
        },
    ),
}


@pytest.mark.parametrize("key", SINGLE)
def test_sentences_of_trainings_are_chosen_from_their_numbers(key: str) -> None:
    row = figure(key)
    make, cases = SINGLE[key]
    said = set()
    for holds, numbers in cases.items():
        measurement = trained(key, *make(*numbers))
        assert row.judge is not None
        verdict = row.judge(row, measurement)
        assert verdict.holds == holds, verdict
        assert verdict.says.endswith(".")
        assert "n = " in verdict.sure
        said.add(verdict.says)
        assert row.lines is not None
        assert row.lines(row, measurement)
    assert len(said) == len(cases), "each outcome has its own sentence"


def lane(label: str, net: str, seed: int, result: dict[str, Any], steps: int = 330) -> LaneResult:
    return LaneResult(label=label, net=net, seed=seed, steps=steps, accuracy=0.98, result=result)


def lesion(net: str, accuracy: float) -> dict[str, Any]:
    names = [unit.name for unit in spec_units(net)]
    return {
        "net": net,
        "data": "digits",
        "n_images": 360,
        "baseline_accuracy": 0.98,
        "units": [{"name": name, "accuracy": accuracy - 0.001 * i} for i, name in enumerate(names)],
    }


def spec_units(net: str) -> Any:
    from explorer.structure.blueprint import blueprint

    plan = blueprint(fit_to_data(spec_of(net), DataSpec(name="digits")))
    return [unit for unit in plan.units if unit.deletable]


@pytest.mark.parametrize(
    ("holds", "plain", "residual"), [("yes", 0.1, 0.975), ("no", 0.3, 0.35), ("open", 0.1, 0.9)]
)
def test_sentences_of_deletions_are_chosen_from_their_numbers(
    holds: str, plain: float, residual: float
) -> None:
    row = figure("veit16_fig3")
    lanes = [lane("plain 20", "plain_20", s, lesion("plain_20", plain)) for s in (7, 8, 9)]
    lanes += [
        lane("ResNet-20", "resnet_v2_20", s, lesion("resnet_v2_20", residual)) for s in (7, 8, 9)
    ]
    m = Measurement(figure=row.key, data="digits", images=360, instrument="lesions", lanes=lanes)
    assert row.judge is not None
    verdict = row.judge(row, m)
    assert verdict.holds == holds, verdict
    alone = m.model_copy(update={"lanes": tuple(lanes[3:])})
    assert row.judge(row, alone).holds == "open", "a residual net alone is no comparison"


def band(net: str, errors: np.ndarray) -> dict[str, Any]:
    names = [unit.name for unit in spec_units(net)][: errors.shape[1]]
    return {
        "net": net,
        "data": "digits",
        "n_images": 360,
        "baseline_accuracy": 0.98,
        "deleted": [names] * len(errors),
        "accuracy": (1 - errors).tolist(),
    }


@pytest.mark.parametrize("holds", ["yes", "no"])
def test_sentences_of_several_deletions_are_chosen_from_their_numbers(holds: str) -> None:
    row = figure("veit16_fig5a")
    smooth = np.linspace(0.03, 0.8, 20)
    jump = np.where(np.arange(20) < 12, 0.03, 0.9)
    path = smooth if holds == "yes" else jump
    lanes = tuple(
        lane("ResNet-56", "resnet_v2_56", s, band("resnet_v2_56", np.tile(path + s / 1e3, (10, 1))))
        for s in (1, 2, 3)
    )
    m = Measurement(
        figure=row.key, data="digits", images=360, instrument="random_lesions", lanes=lanes
    )
    assert row.judge is not None
    assert row.judge(row, m).holds == holds


@pytest.mark.parametrize(("holds", "early"), [("yes", 0.2), ("no", 0.0)])
def test_sentences_of_closed_gates_are_chosen_from_their_numbers(holds: str, early: float) -> None:
    row = figure("sgs15_fig4")
    lanes = []
    for seed in (7, 8, 9):
        result = lesion("fc_highway_50", 0.98)
        for i, unit in enumerate(result["units"]):
            first = i < 12 if early else i > 20
            unit["accuracy"] = 0.98 - (0.3 + seed / 1e3 if first else 0.0)
        lanes.append(lane("highway 50", "fc_highway_50", seed, result))
    m = Measurement(
        figure=row.key, data="digits", images=1437, instrument="lesions", lanes=tuple(lanes)
    )
    assert row.judge is not None
    assert row.judge(row, m).holds == holds


def changed(result: dict[str, Any], group: str, **fields: Any) -> dict[str, Any]:
    """An instrument's JSON with these fields of every entry of a group made by a function."""
    entries = [
        {**entry, **{name: make(entry[name]) for name, make in fields.items() if name in entry}}
        for entry in result[group]
    ]
    return {**result, group: entries}


def grown(result: dict[str, Any]) -> dict[str, Any]:
    """Paths of which one module more has ten times the gradient."""
    curves = [
        {**one, "value": [v * 40.0**k for k, v in enumerate(one["value"])]}
        for one in result["curves"]
    ]
    return {**result, "curves": curves}


def backwards(result: dict[str, Any]) -> dict[str, Any]:
    return {**result, "units": [{**u, "sd": i + 1.0} for i, u in enumerate(result["units"])]}


OTHERWISE = {
    "veit16_fig6b": grown,
    "veit16_fig6c": grown,
    "veit16_fig5b": lambda r: {**r, "accuracy": [[0.5 + t for t in row] for row in falling(r)]},
    "jastrzebski18_cosine": lambda r: changed(r, "units", cosine=lambda c: 1.0),
    "jastrzebski18_classifier": lambda r: changed(r, "units", accuracy=lambda a: 0.5),
    "greff17_fig": backwards,
    "sgs15_fig3": lambda r: changed(r, "units", class_difference=lambda row: [0.0 for _ in row]),
    "he15_s41": lambda r: {
        **r,
        "layers": [
            {**one, "parameter_rms": 10.0**-i} for i, one in enumerate(reversed(r["layers"]))
        ][::-1],
    },
}


def falling(result: dict[str, Any]) -> list[list[float]]:
    """Accuracies that are the larger the further blocks were reordered."""
    return [[(1 - t) / 2 for t in row] for row in result["tau"]]


@pytest.mark.parametrize("key", OTHERWISE)
def test_other_numbers_come_to_another_sentence(key: str) -> None:
    """What is kept, of three nets at the least; and the same with its claim turned round."""
    row = figure(key)
    found = kept.kept(row)
    if found is None:
        pytest.skip("not measured yet")
    few = [one for one in found.lanes for _ in range(3)]
    as_kept = found.model_copy(update={"lanes": tuple(few)})
    turned = [one.model_copy(update={"result": OTHERWISE[key](one.result)}) for one in few]
    other = found.model_copy(update={"lanes": tuple(turned)})
    assert row.judge is not None
    before, after = row.judge(row, as_kept), row.judge(row, other)
    assert after.holds in ("no", "open")
    assert before.says != after.says
    if len(found.lanes) < 3:
        assert row.judge(row, found).holds == "open", "of fewer than three nets nothing is told"


def test_shattered_gradients_that_do_not_shatter_are_told() -> None:
    row = figure("balduzzi17_fig1")
    found = kept.kept(row)
    assert found is not None
    result = json.loads(json.dumps(found.lanes[0].result))
    by_family = {one["family"]: one for one in result["families"]}
    plain, residual = by_family["plain"], by_family["residual"]
    plain["pair_cosine"], residual["pair_cosine"] = residual["pair_cosine"], plain["pair_cosine"]
    turned = found.lanes[0].model_copy(update={"result": result})
    assert row.judge is not None
    assert row.judge(row, found).holds == "yes"
    assert row.judge(row, found.model_copy(update={"lanes": (turned,)})).holds == "no"


def test_counted_numbers_that_are_off_are_named() -> None:
    row = figure("he15_parameters")
    assert isinstance(row.how, Counts)
    right = kept.measurements(row)[0]
    assert row.judge is not None
    assert row.judge(row, right).holds == "yes"
    wrong = right.model_copy(update={"numbers": {**right.numbers, "56": 1}})
    verdict = row.judge(row, wrong)
    assert verdict.holds == "no"
    assert "56" in verdict.says
    row = figure("veit16_fig6a")
    numbers = {"share of paths of 19 to 35 modules": 40.0}
    assert row.judge is not None
    assert row.judge(row, right.model_copy(update={"numbers": numbers})).holds == "no"


@pytest.mark.parametrize("key", [k for k in ROWS if isinstance(figures()[k].how, Counts)])
def test_what_is_counted_is_the_papers(key: str) -> None:
    one = told(figure(key))
    assert one.mark == "reproduced"
    assert one.verdict is not None
    assert one.verdict.holds == "yes", one.verdict


# ----------------------------------------------------------------------------------- kept files


@pytest.mark.parametrize("file", KEPT, ids=lambda file: file.stem)
def test_a_kept_measurement_is_of_its_figure_and_says_how_it_was_made(file: Path) -> None:
    row = figure(file.stem)
    found = kept.kept(row)
    assert found is not None
    assert found.command.startswith(f"skipscope reproduce {row.key} --measure")
    assert found.created
    assert found.hardware
    assert set(found.versions) >= {"torch", "python"}
    assert found.arms or found.lanes
    shown = [row, *(each for each in figures().values() if each.kept_in == row.key)]
    for each in shown:
        one = told(each)
        assert not one.problem
        assert one.mark != "not attempted"
        for ours in one.ours:
            assert ours.verdict.holds in HOLDS
            assert "nan" not in f"{ours.verdict} {ours.lines}".lower()


@pytest.mark.parametrize("key", ROWS)
@pytest.mark.parametrize("narrow", [False, True])
def test_every_figure_draws(key: str, narrow: bool) -> None:
    row = figure(key)
    for measurement in kept.measurements(row):
        made = drawn(row, measurement, Style("dark", narrow=narrow, alone=True))
        assert (made is None) == (row.draw is None)
        if made is not None:
            assert len(made.data) > 0
            json.loads(str(made.to_json()))


def test_a_kept_deletion_is_what_is_measured_now() -> None:
    """The others are measured again by ``pytest -m claims``."""
    file = kept.FOLDER / "veit16_fig3.json"
    if not file.exists():
        pytest.skip("not measured yet")
    from explorer.instruments.functions import lesions
    from explorer.nets.weights import load_pretrained

    found = kept.kept(figure("veit16_fig3"))
    assert found is not None
    before = found.lanes_of("plain 20")[0]
    assert before.shipped
    now = lesions(load_pretrained("digits_plain_20"), "digits")
    then = [unit["accuracy"] for unit in before.result["units"]]
    assert now.accuracy == pytest.approx(then, abs=2 / 360)


@pytest.mark.claims
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("key", [k for k in ROWS if figures()[k].brief])
def test_measured_again_it_comes_to_the_same(key: str) -> None:
    """One net of each kind; slow: `pytest -m claims`.

    Nets that ship give the same numbers. A training from the same seed is another one on another
    processor, and an untrained deep net amplifies how that rounds: with theirs instead of what is
    kept, the figure says the same of the paper's claim.
    """
    from explorer.reproduce.measures.measure import measure

    row = figure(key)
    before = kept.kept(row)
    assert before is not None
    assert row.judge is not None

    def which(lane: LaneResult) -> tuple[object, ...]:
        return lane.label, lane.seed, lane.steps

    known = {one.label for one in before.lanes}  # what is missing is told with the figure
    now = {which(one): one for one in measure(row, most=1).lanes if one.label in known}
    assert now
    for one in before.lanes:
        if one.shipped and which(one) in now:
            assert close(now[which(one)].result, one.result), (key, one.label)
    assert now.keys() <= set(map(which, before.lanes))
    lanes = tuple(now.get(which(one), one) for one in before.lanes)
    again = before.model_copy(update={"lanes": lanes})
    assert row.judge(row, again).holds == row.judge(row, before).holds, row.judge(row, again).says


def close(one: Any, other: Any) -> bool:
    """Numbers within a hundredth of the largest, as other processors round otherwise."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(close(one[k], other[k]) for k in one)
    if isinstance(one, list):
        try:
            a, b = np.asarray(one, dtype=float), np.asarray(other, dtype=float)
        except (ValueError, TypeError):
            return len(one) == len(other) and all(map(close, one, other))
        scale = max(1.0, float(np.nanmax(np.abs(b), initial=0.0)))
        return bool(np.allclose(a, b, atol=0.01 * scale, equal_nan=True))
    if isinstance(one, float):
        return other is not None and abs(one - other) <= 0.01 * max(1.0, abs(other))
    return bool(one == other)


# ---------------------------------------------------------------------------------------- cards


def test_a_card_of_the_papers_own_images_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing names the nets that ship: whatever card is there is taken."""
    real = {name: card for name, card in shipped().items() if card.data.name == "digits"}
    cifar = DataSpec(name="cifar10")
    own = {
        "cifar10_plain_56": real["digits_plain_56"].model_copy(
            update={"data": cifar, "n_images": 10_000, "trials": ()}
        ),
        "cifar10_resnet_v2_56": real["digits_resnet_v2_56"].model_copy(
            update={"data": cifar, "n_images": 10_000, "trials": ()}
        ),
    }
    monkeypatch.setattr(kept, "shipped", lambda: {**real, **own})
    found = kept.measurements(figure("he15_fig6"))
    assert found[0].data == "cifar10"
    assert set(found[0].cards) == set(own)
    assert "instead of CIFAR-10" not in " ".join(c.smaller(figure("he15_fig6"), found[0]))
    lesions = kept.measurements(figure("veit16_fig3"))[0]
    assert lesions.data == "cifar10"
    assert set(lesions.cards) == set(own)
    assert {one.label for one in lesions.lanes} == {"Plain 56, cifar10", "ResNet v2 56, cifar10"}
    band_of = SimpleNamespace(result=band("resnet_v2_56", np.tile(np.linspace(0, 0.8, 20), (3, 1))))
    beside = SimpleNamespace(of=lambda kind: band_of if kind == "random_lesions" else None)
    monkeypatch.setattr(cards, "kept", lambda name: beside)
    several = kept.measurements(figure("veit16_fig5a"))[0]
    assert several.data == "cifar10", "what is kept beside a card is read, too"
    monkeypatch.setattr(kept, "shipped", dict)
    assert kept.measurements(figure("he15_fig6")) == []
    assert told(figure("sgs15_table2")).mark == "not attempted"


def test_a_card_tells_of_the_longest_of_enough_trainings() -> None:
    plain = kept.ends_of(shipped()["digits_plain_110"], "plain 110")
    assert (plain.steps, len(plain.seeds)) == (990, 3)
    assert kept.ends_of(shipped()["digits_plain_110"], "plain 110", 330).steps == 330
    alone = shipped()["digits_plain_110"].model_copy(update={"trials": ()})
    ends = kept.ends_of(alone, "plain 110")
    assert ends.seeds == (alone.seed,)
    assert ends.test_error == (1 - alone.accuracy,)


# --------------------------------------------------------------------------------------- shell


def test_the_command_lists_tells_and_refuses(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reproduce"]) == 0
    out = capsys.readouterr().out
    assert all(key in out for key in ROWS)
    assert main(["reproduce", "veit16_fig6a", "He16", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert [one["figure"] for one in facts] == [
        "veit16_fig6a",
        *(k for k in ROWS if k.startswith("he16")),
    ]
    assert facts[0]["ours"][0]["holds"] == "yes"
    assert main(["reproduce", "veit16_fig33"]) == 2
    assert "did you mean 'veit16_fig3'?" in capsys.readouterr().err
    assert main(["reproduce", "nothing_like_it"]) == 2
    assert "there are: he15_fig6, " in capsys.readouterr().err
    assert main(["reproduce", "he15_table3", "--measure"]) == 2
    assert "ImageNet" in capsys.readouterr().err
    assert main(["reproduce", "veit16_fig1", "--measure"]) == 2
    assert "counted whenever it is shown" in capsys.readouterr().err
    assert main(["reproduce", "--seeds", "2"]) == 2
    assert "stands with --measure" in capsys.readouterr().err


def test_a_damaged_file_is_a_sentence_and_the_rest_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    row = figure("veit16_fig3")
    (tmp_path / "veit16_fig3.json").write_text('{"figure": "veit16_fig3", "lanes": 3}')
    with pytest.raises(kept.KeptError, match=r"veit16_fig3\.json is damaged .* measure it again"):
        kept.kept(row, tmp_path)
    (tmp_path / "veit16_fig5a.json").write_text('{"figure": "veit16_fig3"}')
    with pytest.raises(kept.KeptError, match="holds a measurement of 'veit16_fig3'"):
        kept.kept(figure("veit16_fig5a"), tmp_path)
    (tmp_path / "he16_eq8.json").write_text("{")
    with pytest.raises(kept.KeptError, match="is damaged"):
        kept.kept(figure("he16_eq8"), tmp_path)
    assert kept.kept(figure("li18_surface"), tmp_path) is None
    monkeypatch.setattr(
        "explorer.reproduce.words.measurements", lambda r: kept.measurements(r, tmp_path)
    )
    assert main(["reproduce", "veit16_fig3", "veit16_fig1"]) == 2
    told_all = capsys.readouterr()
    assert "veit16_fig3.json is damaged" in told_all.err
    assert "veit16_fig1" in told_all.out
    page = file_html([told(figure("veit16_fig3"))])
    assert "veit16_fig3.json is damaged" in page


def test_what_is_kept_is_read_back(tmp_path: Path) -> None:
    made = trained("he16_table2", arm("original", "resnet_v1_20", LOW)).model_copy(
        update={"created": "2026-11-29T00:00:00Z", "hardware": "a processor"}
    )
    file = kept.keep(made, tmp_path)
    assert kept.kept(figure("he16_table2"), tmp_path) == made
    assert kept.kept(figure("he16_fig6"), tmp_path) == made, "two figures share one file"
    assert file.name == "he16_table2.json"
    (tmp_path / "file").write_text("")
    with pytest.raises(kept.KeptError, match="cannot be written"):
        kept.keep(made, tmp_path / "file")


def test_a_short_measurement_has_fewer_seeds_and_says_so() -> None:
    from explorer.reproduce.measures import measure as measuring

    row = figure("balduzzi17_fig1")
    assert isinstance(row.how, Asks)
    small = replace(row, how=replace(row.how, ask={"depths": (10,), "seeds": 3, "points": 32}))
    found = measuring.measure(small, most=1)
    assert found.command == "skipscope reproduce balduzzi17_fig1 --measure --seeds 1"
    assert found.instrument == "shattering"
    assert row.judge is not None
    assert row.judge(row, found).says
    fewer = measuring._fewer(figure("veit16_fig3"), 1)
    assert isinstance(fewer.how, Asks)
    assert {one.seeds for one in fewer.how.nets} == {1}
    with pytest.raises(SkipscopeError, match="read from the cards"):
        measuring.measure(figure("he15_fig6"))


def test_a_request_takes_only_what_takes_seconds() -> None:
    assert parse_request("reproduce", {"figure": "veit16_fig3"}).figure == "veit16_fig3"
    for wrong, words in (("sgs15_fig1", "takes longer than a click"), ("x", "There is no figure")):
        with pytest.raises(SpecError, match=words):
            parse_request("reproduce", {"figure": wrong})


def test_a_worker_measures_a_figure_and_stops_when_it_is_told() -> None:
    from explorer.errors import Cancelled
    from explorer.runs.worker.jobs import run

    told_of: list[str] = []
    context: Any = SimpleNamespace(
        cancelled=lambda: bool(told_of[2:]), progress=lambda share, text: told_of.append(text)
    )
    made = Measurement.model_validate(run(context, "reproduce", {"figure": "huang16_fig5"}))
    assert made.figure == "huang16_fig5"
    assert {one.label for one in made.lanes} == set(told_of_labels(made))
    assert told_of == ["DenseNet-40, k = 12, seed 7", "DenseNet-40, untrained, seed 7"]
    told_of.append("stop")
    with pytest.raises(Cancelled):
        run(context, "reproduce", {"figure": "huang16_fig5"})


def told_of_labels(made: Measurement) -> list[str]:
    how = figure(made.figure).how
    assert isinstance(how, Asks)
    return [one.label for one in (*how.nets, *how.fresh)]


# -------------------------------------------------------------------------------------- gallery


def some() -> list[Told]:
    return [told(row) for row in chosen(["he15", "veit16_fig6a", "he16_eq8"])]


def test_pages_ask_nothing_of_a_network(tmp_path: Path) -> None:
    pages = write_folder(tmp_path / "gallery", some(), lambda paper: None)
    assert sorted(page.name for page in pages) == [
        "he15.html",
        "he16.html",
        "index.html",
        "veit16.html",
    ]
    assert (tmp_path / "gallery" / "plotly.min.js").stat().st_size > 10**6
    for page in pages:
        text = page.read_text("utf-8")
        assert "default-src 'none'" in text
        assert (
            re.findall(r'(?:src|href)="(?!#|data:|[\w.]+\.html|plotly\.min\.js)[^"]*"', text) == []
        )
        assert "<caption>" in text or page.name == "index.html"
    with pytest.raises(SkipscopeError, match="cannot be written"):
        write_folder(tmp_path / "gallery" / "index.html", some(), lambda paper: None)


def test_html_is_a_file_or_a_folder_by_its_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert is_file(tmp_path / "a.html")
    assert not is_file(tmp_path / "gallery")
    assert main(["reproduce", "veit16_fig6a", "--html", str(tmp_path / "one.html")]) == 0
    assert "Plotly" in (tmp_path / "one.html").read_text("utf-8")
    (tmp_path / "taken").write_text("")
    for wrong in (tmp_path / "taken", tmp_path / "missing" / "one.html"):
        assert main(["reproduce", "veit16_fig6a", "--html", str(wrong)]) == 2
    assert "is a file" in capsys.readouterr().err


def test_no_word_becomes_markup() -> None:
    from explorer.reproduce.contract import Line

    made = table_html([Line("<b>a</b>", "<script>", "x & y")], 'a "title"')
    assert "<b>" not in made
    assert "<script>" not in made
    assert "x &amp; y" in made


@pytest.mark.browser
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_gallery_opens_from_disk(tmp_path: Path, theme: Any) -> None:
    """No request leaves, nothing is an error, nothing is wider than a phone, axe finds nothing."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    pages = write_folder(tmp_path, some(), lambda paper: None)
    one = tmp_path / "one.html"
    one.write_text(file_html(some()), "utf-8")
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 390, "height": 800}, color_scheme=theme)
        asked: list[str] = []
        errors: list[str] = []
        page.on("request", lambda r: asked.append(r.url))
        page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        for file in (*pages, one):
            page.goto(file.as_uri())
            if file.name != "index.html":
                page.locator("[data-figure]").first.scroll_into_view_if_needed()
                page.wait_for_selector(".js-plotly-plot .subplot", timeout=60_000)
            assert page.evaluate("document.documentElement.scrollWidth") <= 390, file.name
            found = axe.run(page)
            assert found.violations_count == 0, f"{file.name}: {found.generate_report()}"
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (ground == "rgb(18, 22, 28)") == (theme == "dark")
        page.close()
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
    assert errors == []


# ----------------------------------------------------------------------------------------- page


def test_the_page_shows_what_its_address_names() -> None:
    script = "from explorer.pages.papers import page as papers\npapers.page()\n"
    test = AppTest.from_string(script, default_timeout=120)
    test.query_params["figure"] = "veit16_fig6a"
    test.run()
    assert not test.exception
    assert test.selectbox[0].value == "veit16_fig6a"
    assert len(test.get("plotly_chart")) == 1
    test.selectbox[0].select("he15_table3").run()
    assert not test.exception
    assert test.query_params["figure"] in ("he15_table3", ["he15_table3"])
    assert len(test.get("plotly_chart")) == 0


def test_a_link_to_no_figure_is_a_sentence() -> None:
    key, problems = papers.from_query({"figure": "veit16_fig9"})
    assert key == papers.DEFAULT
    assert problems
    assert "did you mean" in problems[0]
    assert papers.from_query({}) == (papers.DEFAULT, [])


def test_no_protocol_is_the_same_as_none() -> None:
    row: Figure = replace(figure("he16_eq8"), protocol=Protocol())
    measured = kept.kept(row)
    assert measured is not None
    assert c.smaller(row, measured) == []
    none = measured.model_copy(update={"lanes": ()})
    assert c.smaller(row, none) == ["0 of the 1 nets that we compare"]
