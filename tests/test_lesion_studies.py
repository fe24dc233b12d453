"""Units deleted, moved or swapped, stages deleted, gates held: exactness, and every door."""

from __future__ import annotations

import copy
import importlib.util
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from html import escape as html_escape
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
import torch
from asking import Lane, asked, drawn
from asking import page_of as instrument
from scipy.stats import kendalltau
from torch import nn

import explorer
from explorer.cli import main
from explorer.data.dataset import Dataset
from explorer.data.load import load_data
from explorer.data.order import spread
from explorer.drawing import lesion_figure
from explorer.drawing.page import figure_page as page
from explorer.errors import Cancelled, DataError, NotApplicableError, SkipscopeError, SpecError
from explorer.instruments.gate_lesions.result import GateLesions
from explorer.instruments.lesion_measure import swap_groups
from explorer.instruments.lesion_results import LesionStudy, of_class
from explorer.instruments.lesions.result import LesionCurve
from explorer.instruments.random_lesions.result import LesionBand
from explorer.instruments.shuffle_lesions.measure import kendall_tau, walk
from explorer.instruments.shuffle_lesions.result import ShuffleLesions
from explorer.instruments.stage_lesions.result import StageLesions
from explorer.instruments.swap_lesions.result import SwapLesions
from explorer.measuring.engine import Engine
from explorer.measuring.programs import Counts, evaluate_program, evaluate_programs, without
from explorer.nets import Net, create_net
from explorer.pages.instruments.controls import Present
from explorer.pages.instruments.links import Look, from_query
from explorer.pages.instruments.on_page import Asking
from explorer.results import wilson_interval
from explorer.runs.serve.requests import parse_request
from explorer.runs.worker.jobs import run as run_job
from explorer.runs.worker.warm import Context, Shelf
from explorer.structure.blueprint import blueprint
from explorer.structure.names import spec_of
from explorer.structure.specs import DATASETS, DataSpec

RESIDUAL = "resnet_v2_20;width=2"
PLAIN = "plain_14;width=2"
HIGHWAY = "fc_highway_6;width=9"
GATED = "resnet_v2_8;width=2;shortcut=exclusive_gating;gate_bias=0"
DENSE = "densenet_13_k4"

lesion_curve = partial(asked, "lesions")
lesion_band = partial(asked, "random_lesions")
shuffle_lesions = partial(asked, "shuffle_lesions")
swap_lesions = partial(asked, "swap_lesions")
stage_lesions = partial(asked, "stage_lesions")
gate_lesions = partial(asked, "gate_lesions")


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_data(DataSpec(name="digits", test_limit=50, train_limit=200))


def net_of(name: str) -> Net:
    """Fresh, with batch norms that have seen some images, so that its answers differ."""
    net = create_net(name, input_shape=(1, 8, 8), classes=10, seed=3).train()
    with torch.no_grad():
        for _ in range(3):
            net(torch.randn(32, 1, 8, 8, generator=torch.Generator().manual_seed(5)))
    return net.eval()


@pytest.fixture(scope="module")
def studies(digits: Dataset) -> list[LesionStudy]:
    """One of each, small."""
    residual = net_of(RESIDUAL)
    return [
        lesion_band(residual, digits, k=4, trials=3),
        shuffle_lesions(residual, digits, points=3, trials=2),
        swap_lesions(residual, digits, stage=1),
        stage_lesions(residual, digits),
        gate_lesions(net_of(GATED), digits),
    ]


# ------------------------------------------------------------------------------------- exact


def test_draws_are_nested_and_each_is_what_one_program_says(digits: Dataset) -> None:
    net = net_of(RESIDUAL)
    band = lesion_band(net, digits, k=5, trials=3, seed=4)
    assert band.accuracy.shape == (3, 5)
    for gone, row in zip(band.deleted, band.accuracy, strict=True):
        assert len(set(gone)) == 5
        for k in (1, 5):
            one = evaluate_program(net, digits, without(net.blueprint, gone[:k]))
            assert row[k - 1] == pytest.approx(one.accuracy)
    assert len(set(band.deleted)) == 3
    assert lesion_band(net, digits, k=5, trials=3, seed=4).deleted == band.deleted
    assert lesion_band(net, digits, k=5, trials=3, seed=5).deleted != band.deleted
    wider = lesion_band(net, digits, trials=3, seed=4)  # all nine, where there are fewer than 20
    assert [gone[:5] for gone in wider.deleted] == list(band.deleted)
    assert wider.accuracy.shape == (3, 9)
    np.testing.assert_allclose(wider.accuracy[:, :5], band.accuracy)
    # Without any unit there is one net left, whatever the order in which they went.
    assert len(set(wider.accuracy[:, -1])) == 1


@pytest.mark.parametrize("moves", ["pairs", "neighbours"])
def test_walks_cover_the_range_of_tau(moves: Any) -> None:
    plan = blueprint(spec_of("resnet_v2_56"))
    groups = swap_groups(plan)
    n = len(plan.units)
    found = list(walk(n, groups, 10, moves, 0, 1))
    tau = [kendall_tau(order) for order, _ in found]
    for (order, _), value in zip(found, tau, strict=True):
        assert sorted(order) == list(range(n))
        assert value == pytest.approx(kendalltau(range(n), order).statistic)
        for place, unit in enumerate(order):
            assert plan.units[place].swap_group == plan.units[unit].swap_group or place == unit
    assert sorted(tau, reverse=True)[0] == tau[0]
    if moves == "neighbours":  # exactly evenly spread, to the end
        lowest = 1 - 4 * (36 + 28 + 28) / (27 * 26)
        np.testing.assert_allclose(tau, 1 - (1 - lowest) * np.arange(1, 11) / 10, atol=0.01)
        assert [swaps for _, swaps in found][-1] == 36 + 28 + 28
    else:
        assert tau[0] > 0.9
        assert min(tau) < 0.75
        assert [swaps for _, swaps in found] == sorted(swaps for _, swaps in found)
    assert list(walk(n, groups, 10, moves, 0, 2)) != found


def test_kendall_tau_of_few_and_reversed() -> None:
    assert kendall_tau([0]) == 1
    assert kendall_tau([1, 0]) == -1
    assert kendall_tau(range(9)) == 1
    assert kendall_tau([2, 0, 1]) == pytest.approx(kendalltau([0, 1, 2], [2, 0, 1]).statistic)


def test_shuffles_and_swaps_are_what_one_program_says(digits: Dataset) -> None:
    net = net_of(RESIDUAL)
    shuffled = shuffle_lesions(net, digits, points=3, trials=2, moves="neighbours")
    for orders, row in zip(shuffled.orders, shuffled.accuracy, strict=True):
        for order, accuracy in zip(orders, row, strict=True):
            assert accuracy == pytest.approx(evaluate_program(net, digits, order).accuracy)
    assert shuffled.tau.min() == pytest.approx(shuffled.lowest_tau)
    swaps = swap_lesions(net, digits)
    assert len(swaps.first) == 3 + 1 + 1
    for first, second, accuracy in zip(swaps.first, swaps.second, swaps.accuracy, strict=True):
        order = list(range(9))
        order[first], order[second] = second, first
        assert accuracy == pytest.approx(evaluate_program(net, digits, order).accuracy)
    table = swaps.matrix()
    np.testing.assert_array_equal(table, table.T)
    assert table[0, 0] == swaps.baseline_accuracy
    assert np.isnan(table[0, 4])
    assert np.isnan(table[3, 3])  # the first of its stage is alone with its shape
    assert swap_lesions(net, digits, stage=2).first == (4,)  # from 1, as people count


def test_stages_keep_what_cannot_be_deleted(digits: Dataset) -> None:
    net = net_of(PLAIN)
    stages = stage_lesions(net, digits)
    assert stages.stages == ("stage 1", "stage 2", "stage 3")
    assert stages.kept == ((), ("stages.1.units.0",), ("stages.2.units.0",))
    for gone, accuracy in zip(stages.deleted, stages.accuracy, strict=True):
        one = evaluate_program(net, digits, without(net.blueprint, gone))
        assert accuracy == pytest.approx(one.accuracy)
    # A stage of one unit that halves the resolution has nothing to lose.
    assert stage_lesions(net_of("plain_8;width=2"), digits).stages == ("stage 1",)
    assert stage_lesions(net_of("highway_13;width=2"), digits).kept[0] == ("stages.0.transition",)


def test_a_gate_at_zero_deletes_a_highway_unit(digits: Dataset) -> None:
    net = net_of(HIGHWAY)
    gates, curve = gate_lesions(net, digits), lesion_curve(net, digits)
    assert gates.gate == "transform"
    assert gates.units == curve.units
    assert gates.values == (0.0, 1.0, "mean", 0.5)
    np.testing.assert_array_equal(gates.accuracy[0, :-1], curve.accuracy)
    assert gates.accuracy[0, -1] == evaluate_program(net, digits, []).accuracy


def test_gates_that_ignore_the_image_may_be_held_at_their_mean(digits: Dataset) -> None:
    """Zero gate weights: T = σ(b), whatever the image."""
    net = net_of(HIGHWAY)
    for unit in net.units:
        nn.init.zeros_(unit.transform_gate.linear.weight)
        nn.init.constant_(unit.transform_gate.linear.bias, 0.0)
    gates = gate_lesions(net, digits, values=("mean", 0.5))
    assert (gates.accuracy == gates.baseline_accuracy).all()
    assert gate_lesions(net_of(GATED), digits).gate == "shortcut"


def test_zeroed_residuals_lose_nothing(digits: Dataset) -> None:
    net = net_of(RESIDUAL)
    for unit in net.units:
        nn.init.zeros_(unit.residual.conv2.weight)
    for study in (
        lesion_band(net, digits, k=9, trials=2),
        shuffle_lesions(net, digits, points=2, trials=1),
        stage_lesions(net, digits),
    ):
        assert (study.accuracy == study.baseline_accuracy).all()


def test_recalibration_is_torchs_own_statistics(digits: Dataset) -> None:
    """On all the training images as one batch, the whole way from the net to the accuracy."""
    net = net_of("resnet_v1_14;width=4")
    name = net.unit_names[1]
    curve = lesion_curve(net, digits, recalibrate=128)
    assert curve.recalibrated == 128
    from explorer.measuring.select import some_images

    train = digits.normalise(some_images(net, digits, 128, train=True)[0])
    test, labels = digits.normalise(digits.test_images), digits.test_labels
    for deleted, accuracy in (((), curve.baseline_accuracy), ((1,), curve.accuracy[1])):
        twin = copy.deepcopy(net)
        for i in deleted:
            unit = twin.units[i]
            unit.forward = unit.bypass
        for module in twin.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.reset_running_stats()
                module.momentum = None
                module.train()
        with torch.no_grad():
            twin(train)
            right = twin.eval()(test).argmax(1) == labels
        assert accuracy == pytest.approx(right.double().mean().item())
    (one,) = evaluate_programs(net, digits, [without(net.blueprint, [name])], recalibrate=128)
    assert one.accuracy == curve.accuracy[1]


def test_classes_add_up_and_can_be_seen_alone(digits: Dataset, studies: list[LesionStudy]) -> None:
    for study in studies:
        classes = study.by_class
        assert classes is not None
        assert classes.n_images.tolist() == [5] * 10
        np.testing.assert_allclose(classes.accuracy.mean(-1), study.accuracy)
        seven = of_class(study, "7")
        assert seven.n_images == 5
        assert seven.data == "digits, class 7"
        np.testing.assert_array_equal(seven.accuracy, classes.accuracy[..., 7])
        assert seven.intervals().shape == (*study.accuracy.shape, 2)
    with pytest.raises(NotApplicableError, match="no class 'seven'"):
        of_class(study, "seven")
    with pytest.raises(NotApplicableError, match="not kept class by class"):
        of_class(seven, "7")
    few = lesion_curve(net_of(RESIDUAL), digits, n_images=3)
    assert few.by_class is not None
    empty = few.by_class.classes[int(np.argmin(few.by_class.n_images))]
    with pytest.raises(NotApplicableError, match=r"none of the class .*take more"):
        of_class(few, empty)


def test_intervals_are_wilsons(studies: list[LesionStudy]) -> None:
    band = studies[0]
    low, high = band.intervals()[1, 1]
    assert (low, high) == wilson_interval(float(band.accuracy[1, 1]), 50)


# --------------------------------------------------------------------------------- as it comes


def test_the_first_images_are_a_fair_sample() -> None:
    labels = np.repeat(np.arange(4), [40, 30, 20, 10])
    order = spread(labels, 3)
    assert sorted(order) == list(range(100))
    for n in range(1, 101):
        counts = np.bincount(labels[order[:n]], minlength=4)
        assert np.abs(counts - n * np.asarray([0.4, 0.3, 0.2, 0.1])).max() <= 1
    assert spread(labels, 4).tolist() != order.tolist()
    assert spread(np.zeros(0, np.int64), 0).tolist() == []


def test_partial_results_come_coarse_first(digits: Dataset) -> None:
    net = net_of(RESIDUAL)
    seen: list[tuple[LesionBand, float]] = []
    whole = lesion_band(
        net, digits, k=3, trials=2, on_part=lambda part, share, _: seen.append((part, share))
    )
    assert [part.n_images for part, _ in seen] == [40, 50]
    assert [share for _, share in seen] == [0.8, 1.0]
    first = seen[0][0].by_class
    assert first is not None
    assert first.n_images.tolist() == [4] * 10
    assert seen[-1][0].to_json() == whole.to_json()


def test_memory_parts_the_programs_and_changes_nothing(
    digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = net_of(RESIDUAL)
    whole = swap_lesions(net, digits), lesion_curve(net, digits, recalibrate=64)
    asked: list[int] = []
    logits = Engine.logits

    def noted(self: Engine, images: Any, programs: Any, **options: Any) -> Any:
        asked.append(len(programs))
        return logits(self, images, programs, **options)

    monkeypatch.setattr(Engine, "logits", noted)
    monkeypatch.setattr("explorer.measuring.engine._STATE_BYTES", 4 * 2 * 2 * 8 * 8 * 4 * 3)
    parts = swap_lesions(net, digits), lesion_curve(net, digits, recalibrate=64)
    assert max(asked) < 6
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(one.accuracy, other.accuracy)
        assert one.baseline_accuracy == other.baseline_accuracy


@pytest.mark.parametrize("recalibrate", [0, 64])
def test_it_stops_when_it_is_told_to(digits: Dataset, recalibrate: int) -> None:
    asked = 0

    def cancelled() -> bool:
        nonlocal asked
        asked += 1
        return asked > 2

    with pytest.raises(Cancelled, match="stopped"):
        lesion_band(net_of(RESIDUAL), digits, recalibrate=recalibrate, cancelled=cancelled)
    with pytest.raises(Cancelled, match="stopped"):
        gate_lesions(net_of(HIGHWAY), digits, values=("mean",), cancelled=lambda: True)
    assert asked == 3


def test_the_net_is_left_alone(digits: Dataset) -> None:
    for name in (RESIDUAL, GATED):
        net = net_of(name).train()
        net.units[0].eval()
        before = {key: value.clone() for key, value in net.state_dict().items()}
        modes = [module.training for module in net.modules()]
        kinds = [type(module) for module in net.modules()]
        stage_lesions(net, digits, recalibrate=64)
        if name == GATED:
            gate_lesions(net, digits)
        assert [module.training for module in net.modules()] == modes
        assert [type(module) for module in net.modules()] == kinds
        assert all(torch.equal(before[key], value) for key, value in net.state_dict().items())
        assert not any(module._forward_hooks for module in net.modules())
        assert all(p.requires_grad and p.grad is None for p in net.parameters())


# ------------------------------------------------------------------------------- wrong input


@pytest.mark.parametrize(
    ("measure", "name", "options", "sentence"),
    [
        (lesion_band, RESIDUAL, {"k": 0}, "k must be at least 1 and at most 1000, not 0"),
        (lesion_band, RESIDUAL, {"trials": 0}, "trials must be at least 1 and at most 1000"),
        (shuffle_lesions, DENSE, {}, "keep one and the same shape.*choose a residual"),
        (shuffle_lesions, RESIDUAL, {"points": 0}, "points must be at least 1 and at most 100"),
        (shuffle_lesions, RESIDUAL, {"moves": "all"}, "'pairs' or 'neighbours', not 'all'"),
        (swap_lesions, RESIDUAL, {"stage": 4}, "no stage 4: this net has 3, from 1"),
        (swap_lesions, RESIDUAL, {"stage": 0}, "stage must be at least 1, not 0"),
        (swap_lesions, "resnet_v2_14;width=2", {"stage": 2}, "No two blocks of stage 2"),
        (gate_lesions, PLAIN, {}, "A plain net has no gates.*digits_fc_highway_50"),
        (
            gate_lesions,
            HIGHWAY,
            {"values": [1.5]},
            "values: give numbers from 0 to 1, or mean, .*not '1.5'",
        ),
        (gate_lesions, HIGHWAY, {"values": []}, "values.*at least 1 item"),
        (stage_lesions, HIGHWAY, {"recalibrate": 64}, "no batch norm"),
        (stage_lesions, RESIDUAL, {"recalibrate": 2}, "recalibrate_on must be at least 16"),
        (
            stage_lesions,
            RESIDUAL,
            {"recalibrate": 64, "precision": "bfloat16"},
            "float32, not in bfloat16",
        ),
    ],
)
def test_what_is_not_possible_is_one_sentence(
    measure: Callable[..., Any], name: str, options: dict[str, Any], sentence: str, digits: Dataset
) -> None:
    with pytest.raises((NotApplicableError, DataError, SpecError), match=sentence) as caught:
        measure(net_of(name), digits, **options)
    assert str(caught.value).rstrip(".").count(". ") == 0


def test_gates_that_are_not_there_cannot_be_held(digits: Dataset) -> None:
    with pytest.raises(NotApplicableError, match="has no gate that could be held"):
        evaluate_program(net_of(PLAIN), digits, range(6), gates={0: 0.5})
    with pytest.raises(NotApplicableError, match="not at 'open'"):
        evaluate_program(net_of(HIGHWAY), digits, range(5), gates={"stages.0.units.0": "open"})  # type: ignore[dict-item]
    held = evaluate_program(net_of(HIGHWAY), digits, range(5), gates={0: 0, 1: "mean"})
    assert 0 <= held.accuracy <= 1


# ----------------------------------------------------------------------- results and figures


def test_results_survive_json_and_make_tables(digits: Dataset, studies: list[LesionStudy]) -> None:
    lengths = [12, 6, 3, 3, 4 * 2]
    for study, length in zip(studies, lengths, strict=True):
        value = json.loads(json.dumps(study.to_json()))
        assert type(study).from_json(value).to_json() == study.to_json()
        short = type(study).from_json(study.to_json(partial=True))
        assert short.by_class is None
        np.testing.assert_array_equal(short.accuracy, study.accuracy)
        frame = study.to_frame()
        assert len(frame) == length
        assert {"accuracy", "low_95", "high_95", "class 0", "class 9"} <= set(frame.columns)
        assert len(short.to_frame().columns) == len(frame.columns) - 10
    curve = lesion_curve(net_of(RESIDUAL), digits)
    again = LesionCurve.from_json(json.loads(json.dumps(curve.to_json())))
    assert again.to_json() == curve.to_json()
    assert set(curve.to_json(partial=True)) >= {
        *("net", "data", "n_images", "baseline_accuracy", "units")
    }
    assert {"name", "accuracy"} == set(curve.to_json()["units"][0])


KEYS = ("random_lesions", "shuffle_lesions", "swap_lesions", "stage_lesions", "gate_lesions")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_figures_say_n_and_take_any_number_of_nets(theme: Any, studies: list[LesionStudy]) -> None:
    band, _, swaps, *_ = studies
    for key, result in zip(KEYS, studies, strict=True):
        nets = [net_of(GATED if key == "gate_lesions" else RESIDUAL)]
        assert drawn(key, [], theme=theme).layout
        one = drawn(key, [result], nets=nets, theme=theme)
        two = drawn(key, [result] * 2, nets=nets * 2, theme=theme)
        assert len(two.data) == 2 * len(one.data)
        said = one.layout.yaxis.title.text + "".join(a.text for a in one.layout.annotations)
        assert "50 test images" in said
        guess = [shape for shape in one.layout.shapes if shape.y0 == 10]
        assert len(guess) == (key != "swap_lesions")
        assert not drawn(key, [result], nets=nets, of_class="7").layout.shapes  # another for each
    places = list(drawn("swap_lesions", [swaps]).data[0].x)  # of the stage alone
    assert places == list(range(swaps.first[0] + 1, swaps.second[-1] + 2))
    assert len(places) < len(swaps.units)
    line = drawn("random_lesions", [band]).data[-1]
    assert list(line.x) == [0, 1, 2, 3, 4]
    np.testing.assert_allclose(line.y[1:], np.median(band.accuracy, axis=0) * 100)
    assert line.error_y.array[0] > 0


def test_training_images_are_the_training_images(digits: Dataset) -> None:
    """SGS15 Fig 4 is the error on the training set."""
    net = net_of(HIGHWAY)
    measured = lesion_curve(net, digits, train=True)
    assert (measured.images, measured.n_images) == ("train", 200)
    with torch.inference_mode():
        logits = net(digits.normalise(digits.train_images))
    right = (logits.argmax(1) == digits.train_labels).double().mean()
    assert measured.baseline_accuracy == pytest.approx(float(right))
    value = json.loads(json.dumps(measured.to_json()))
    assert value["images"] == "train"
    assert LesionCurve.from_json(value).images == "train"
    del value["images"]  # as stored before there was a choice
    assert LesionCurve.from_json(value).images == "test"
    axis = lesion_figure([(0, "a", net.unit_names, measured)]).layout.yaxis.title.text
    assert "200 training images" in axis
    both = [(0, "a", net.unit_names, measured), (1, "b", net.unit_names, lesion_curve(net, digits))]
    assert "50 to 200 images" in lesion_figure(both).layout.yaxis.title.text


# -------------------------------------------------------------------------------- from a shell


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    code = main([*argv])
    done = capsys.readouterr()
    return code, done.out, done.err


KINDS: dict[str, tuple[str, list[str], type[Any]]] = {
    "lesions": (RESIDUAL, [], LesionCurve),
    "random_lesions": (RESIDUAL, ["--k", "3", "--trials", "2"], LesionBand),
    "shuffle_lesions": (RESIDUAL, ["--points", "2", "--trials", "2"], ShuffleLesions),
    "swap_lesions": (RESIDUAL, ["--stage", "1"], SwapLesions),
    "stage_lesions": (PLAIN, ["--recalibrate"], StageLesions),
    "gate_lesions": (HIGHWAY, ["--values", "0,0.5,mean"], GateLesions),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_from_a_shell(
    kind: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    name, options, result = KINDS[kind]
    argv = [kind, name, *options, "--n", "40"]
    code, out, err = run(capsys, *argv)
    assert (code, err) == (0, "")
    assert "40 test images of digits; " in out
    assert "95 %" in out
    assert "right intact (95 % interval" in " ".join(out.split())
    assert ("measured anew for each lesion on 512" in " ".join(out.split())) == (
        kind == "stage_lesions"
    )
    code, out, err = run(capsys, *argv, "--train")
    assert (code, err) == (0, "")
    assert "40 training images of digits; " in out
    code, out, _ = run(capsys, *argv, "--json")
    value = json.loads(out)
    assert value["weights"] == "untrained, seed 7"
    assert value["net"] == name
    measured = result.from_json(value)
    assert measured.n_images == 40
    assert measured.by_class.accuracy.shape == (*measured.accuracy.shape, 10)
    if kind == "random_lesions":
        _, out, _ = run(capsys, *argv, "--csv")
        assert len(out.splitlines()) == 1 + measured.accuracy.size
    file = tmp_path / "figure.html"
    code, _, err = run(capsys, *argv, "--html", str(file))
    assert (code, err) == (0, f"Wrote {file}.\n")
    html = file.read_text("utf-8")
    assert "Plotly.newPlot" in html
    assert f"<title>{instrument(kind).title}: {html_escape(name)}" in html
    assert 'src="http' not in html  # nothing is fetched


def test_nets_side_by_side_and_one_class(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "lesions", PLAIN, RESIDUAL, "--n", "60", "--class", "7", "--json")
    assert code == 0
    two = json.loads(out)["nets"]
    assert [value["net"] for value in two] == [PLAIN, RESIDUAL]
    assert two[0]["n_images"] == 6
    assert two[0]["data"] == "digits, class 7"
    code, out, _ = run(capsys, "stage_lesions", PLAIN, "--n", "60", "--of-class", "7")
    assert "6 test images of digits, class 7" in out
    assert "because they change the shape: block 3 (stages.1.units.0) and" in " ".join(out.split())


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["lesions", "--k", "3"], "`skipscope lesions` takes no option '--k'"),
        (["swap_lesions", "--stage", "4"], "There is no stage 4: this net has 3, from 1"),
        (["lesions", "--kind", "all"], "each view is a command of its own: .*swap_lesions"),
        (["gate_lesions", "--hold", "0,2"], "from 0 to 1, or mean, such as 0,1,mean, not '2.0'"),
        (["gate_lesions"], "A plain net has no gates"),
        (["lesions", "--class", "cat"], "no class 'cat': there are 0, 1, 2"),
        (["random_lesions", "--k", "9999"], "whole number from 1 to 1000, not '9999'"),
        (["lesions", "--html", "no/where/a.html"], "there is no folder no/where"),
    ],
)
def test_wrong_input_from_a_shell(
    argv: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(capsys, argv[0], PLAIN, "--n", "10", *argv[1:])
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert re.search(sentence, err)


def test_a_picture_or_what_it_needs(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What draws it is another program, which is not started here."""
    file = tmp_path / "figure.png"
    argv = ["lesions", PLAIN, "--n", "10", "--png", str(file)]
    drawn: list[dict[str, Any]] = []

    def draw(self: go.Figure, path: Path, **options: Any) -> None:
        drawn.append({"ground": self.layout.paper_bgcolor, **options})
        Path(path).write_bytes(b"drawn")

    monkeypatch.setattr(go.Figure, "write_image", draw)
    assert run(capsys, *argv)[0] == 0
    assert file.read_bytes() == b"drawn"
    assert drawn[0]["ground"] == "#ffffff"
    assert drawn[0]["height"] >= 600

    def fail(self: go.Figure, path: Path, **options: Any) -> None:
        raise RuntimeError("Kaleido requires Google Chrome.\nLong instructions follow.")

    monkeypatch.setattr(go.Figure, "write_image", fail)
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: find_spec("json"))
    code, _, err = run(capsys, *argv)
    assert code == 2
    assert "BROWSER_PATH, or take --html. (Kaleido requires Google Chrome)" in err
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    code, _, err = run(capsys, *argv)
    assert code == 2
    assert "pip install 'skipscope[png]', or take --html" in err


def test_a_page_holds_what_it_says() -> None:
    text = page(go.Figure(go.Scatter(y=[1, 2])), "Nets < & >")
    assert text.startswith("<!doctype html>")
    assert "<h1>Nets &lt; &amp; &gt;</h1>" in text
    assert 'name="viewport"' in text


# ------------------------------------------------------------------------ notebook, jobs, page


def test_from_a_notebook(digits: Dataset) -> None:
    net = net_of(RESIDUAL)
    assert explorer.random_lesions(net, digits, k=2, trials=1).accuracy.shape == (1, 2)
    assert explorer.shuffle_lesions(net, digits, points=2, trials=1).moves == "pairs"
    assert explorer.swap_lesions(net, digits, stage=3).first == (7,)
    measured = explorer.stage_lesions(net, digits, recalibrate=True, recalibrate_on=32)
    assert measured.recalibrated == 32
    assert explorer.gate_lesions(net_of(HIGHWAY), digits, values=[0.5]).values == (0.5,)
    assert explorer.lesions(net, digits, train=True).n_images == 200
    assert explorer.gate_lesions(net_of(HIGHWAY), digits, train=True).images == "train"
    # Earlier names, and the number of images in the place of yes.
    assert explorer.lesion_curve is explorer.lesions
    assert explorer.lesion_band is explorer.random_lesions
    assert explorer.lesion_curve(net, digits, recalibrate=32).recalibrated == 32
    assert explorer.stage_lesions(net, digits, recalibrate=0).recalibrated == 0


def test_the_seed_is_one_at_every_door(digits: Dataset) -> None:
    net = net_of(RESIDUAL)
    usual = explorer.random_lesions(net, digits, k=3, trials=2)
    assert usual.deleted == explorer.random_lesions(net, digits, k=3, trials=2, seed=7).deleted
    asking = Asking(0, {"source": "fresh"}, DataSpec(), None, Look().seed, {}, net.blueprint)
    for key in ("random_lesions", "shuffle_lesions"):
        assert instrument(key).payload(asking)["seed"] == 7


def test_a_smaller_net_has_fewer_to_lose(digits: Dataset) -> None:
    assert lesion_band(net_of(RESIDUAL), digits, k=500, trials=1).accuracy.shape == (1, 9)
    plan = net_of(RESIDUAL).blueprint
    asking = Asking(0, {"source": "fresh"}, DataSpec(), None, 7, {"k": 500}, plan)
    assert instrument("random_lesions").payload(asking)["k"] == 9


JOB_RESULTS: dict[str, tuple[str, dict[str, Any], type[Any]]] = {
    "lesions": (RESIDUAL, {"recalibrate": 32}, LesionCurve),
    "random_lesions": (RESIDUAL, {"k": 2, "trials": 2}, LesionBand),
    "shuffle_lesions": (RESIDUAL, {"points": 2, "trials": 2, "moves": "pairs"}, ShuffleLesions),
    "swap_lesions": (RESIDUAL, {}, SwapLesions),
    "stage_lesions": (RESIDUAL, {}, StageLesions),
    "gate_lesions": (HIGHWAY, {"values": [0, "mean"]}, GateLesions),
}


@pytest.mark.parametrize("kind", JOB_RESULTS)
def test_every_kind_as_a_job_and_on_the_page(kind: str) -> None:
    name, options, result = JOB_RESULTS[kind]
    parts: list[Any] = []
    context = Context(Shelf(), 0, lambda: False, lambda share, text: None, parts.append)
    spec = spec_of(name)
    fitted = spec.model_copy(update={"input_shape": (1, 8, 8)})
    source = {"source": "fresh", "spec": fitted.model_dump(mode="json"), "seed": 1}
    data = DataSpec().model_dump(mode="json")
    request = parse_request(kind, {"net": source, "data": data, "n_images": 100, **options})
    value = run_job(context, kind, {**request.model_dump(mode="json"), "data": data})
    assert value["step"] is None
    measured = result.from_json(json.loads(json.dumps(value)))
    assert measured.n_images == 100
    assert parts[0]["n_images"] == 40
    assert "by_class" not in parts[0]
    one, plan = instrument(kind), blueprint(fitted)
    assert one.key == kind
    assert one.not_for(plan) is None
    shown = {o.name: o.usual(Present((plan,), DATASETS["digits"].classes)) for o in one.options}
    for done, part, chosen in (
        (False, parts[0], ""),
        (True, value, ""),
        (True, value, "7"),
    ):
        options = {**shown, "of_class": chosen}
        whole = Lane(0, "A net", plan, DATASETS["digits"], part, done)
        lane = replace(whole, result=one.chosen(whole, options))
        assert one.figure([lane], options, "light").data
        (said,) = one.caption([lane], options)
        assert ("so far" in said) is not done
        n = 40 if not done else 10 if chosen == "7" else 100
        assert f"{n} test images" in said
        assert one.formula([lane], options)
        rows = one.table(lane.result)
        assert len({tuple(row) for row in rows}) == 1
        for share in (row.get("right, %") for row in rows):
            # of ten images of one class: in the table too
            assert share is None or chosen == "" or (share / 10).is_integer()
        assert callable(one.mode)
        assert ("measured anew" in one.mode(lane)) is bool(value["recalibrated"])
        assert value["statistics"] == ("batch" if name != HIGHWAY else None)  # has no batch norm


@pytest.mark.parametrize("key", ["lesions", *KEYS])
def test_the_page_asks_for_training_images(key: str) -> None:
    one, plan = instrument(key), blueprint(spec_of(GATED))
    usual = {o.name: o.usual(Present((plan,), DATASETS["digits"].classes)) for o in one.options}
    asked = Asking(0, {"source": "fresh"}, DataSpec(), None, 7, usual, plan)
    assert one.payload(asked)["train"] is False
    assert one.payload(replace(asked, options={**usual, "train": True}))["train"] is True


def test_earlier_links_are_read() -> None:
    look, problems = from_query(
        {"instrument": "several;k=5;images=train;class=7;recalibrate=yes", "nets": PLAIN}
    )
    assert not problems
    assert look.instrument == "random_lesions"
    assert look.chosen == {"k": "5", "train": "yes", "of_class": "7", "recalibrate": "yes"}
    look, _ = from_query({"instrument": "held_gates;value=0.3", "nets": HIGHWAY})
    one = instrument(look.instrument)
    held = {name: one.option(name).read(text, Present()) for name, text in look.chosen.items()}
    asking = Asking(0, {"source": "fresh"}, DataSpec(), None, 7, held, None)
    assert one.payload(asking)["values"] == [0.0, 1.0, "mean", 0.3]
    for value in (0.0, 1.0):  # is there already
        asking = replace(asking, options={"values": value})
        assert one.payload(asking)["values"] == [0.0, 1.0, "mean"]


@pytest.mark.parametrize(
    ("text", "name"), [("", ""), ("all", ""), ("a%3Bb", "a;b"), ("2", "2"), ("1", "2"), ("3", "c")]
)
def test_a_class_is_chosen_by_name_or_number(text: str, name: str) -> None:
    """Folders may be called by numbers: a name counts more than a place."""
    pick = instrument("lesions").option("of_class")
    present = Present((), ("a;b", "2", "x", "c"))
    if text == "1":
        present = Present((), ("a;b", "2"))
    chosen = pick.read(text, present)
    assert chosen == name
    assert pick.read(pick.write(chosen), present) == chosen
    with pytest.raises(SpecError, match="of_class must be one of"):
        pick.read("9", present)


def test_what_the_shell_and_the_page_write_is_one_table(
    capsys: pytest.CaptureFixture[str], digits: Dataset
) -> None:
    curve = lesion_curve(net_of(RESIDUAL), digits)
    records = instrument("lesions").records
    assert records is not None
    (first, *_) = records(curve.to_json())
    assert list(first)[:5] == ["unit", "accuracy", "low_95", "high_95", "cost"]
    assert list(first) == list(curve.to_frame().columns)
    assert first["accuracy"] == curve.accuracy[0]  # a share, unrounded
    _, out, _ = run(capsys, "lesions", RESIDUAL, "--n", "40", "--csv")
    assert out.splitlines()[0].split(",") == list(first)


@pytest.mark.parametrize("baseline", [0.12, 0.9])
def test_a_net_that_only_guesses_has_nothing_to_lose(baseline: float, digits: Dataset) -> None:
    """An untrained net at 10 % is not said to do without its blocks."""
    net = net_of(RESIDUAL)
    result = replace(lesion_curve(net, digits), baseline_accuracy=baseline, by_class=None)
    lane = Lane(0, "A net", net.blueprint, DATASETS["digits"], result.to_json(), True)
    (said,) = instrument("lesions").caption([lane], {"of_class": ""})
    assert ("no better than guessing (10.0 %)" in said) is (baseline == 0.12)


def test_the_page_says_which_images(digits: Dataset) -> None:
    net = net_of(HIGHWAY)
    result = lesion_curve(net, digits, train=True).to_json()
    one = instrument("lesions")
    lane = Lane(0, "A net", net.blueprint, DATASETS["digits"], result, True)
    (said,) = one.caption([lane], {"of_class": "", "train": True, "recalibrate": False})
    assert "200 training images" in said


@pytest.mark.parametrize(
    ("key", "name", "words"),
    [
        ("shuffle", DENSE, "No two blocks"),
        ("swap", DENSE, "No two blocks"),
        ("held_gates", PLAIN, "A plain net has no gates"),
    ],
)
def test_the_page_says_for_which_net_it_means_nothing(key: str, name: str, words: str) -> None:
    said = instrument(key).not_for(blueprint(spec_of(name)))
    assert said is not None
    assert re.search(words, said)


def test_the_page_swaps_within_one_stage() -> None:
    one, plan = instrument("swap"), blueprint(spec_of(RESIDUAL))
    stage = one.option("stage")
    both = Present((plan, blueprint(spec_of("resnet_v2_56"))))
    assert list(stage.choices(both)) == ["all", "1", "2", "3"]  # type: ignore[attr-defined]
    assert list(stage.choices(Present())) == ["all"]  # type: ignore[attr-defined]
    for text, wanted in (("all", None), ("2", 2)):
        shown = {"stage": stage.read(text, both)}
        asking = Asking(0, {"source": "shipped"}, DataSpec(), None, 7, shown, plan)
        assert one.payload(asking)["stage"] == wanted
    with pytest.raises(SkipscopeError, match="one of all, 1, 2, 3, not '4'"):
        stage.read("4", both)


def test_counts_are_shares(digits: Dataset) -> None:
    counts = Counts(np.asarray([[1.0, 0.0], [2.0, 0.0]]), np.asarray([2.0, 0.0]), 4)
    assert counts.n_images == 2
    assert counts.share_done == 0.5
    assert counts.accuracy.tolist() == [0.5, 1.0]
    assert np.isnan(counts.per_class[:, 1]).all()
    with pytest.raises(SkipscopeError, match="n_images must be at least 1, not 0"):
        stage_lesions(net_of(RESIDUAL), digits, n_images=0)


def test_groups_are_pairs_of_one_shape() -> None:
    plan = blueprint(spec_of("highway_13;width=2"))
    for group in swap_groups(plan):
        for a, b in combinations(group, 2):
            assert plan.units[a].input_shape == plan.units[b].output_shape
            assert plan.units[a].kind == "highway"
