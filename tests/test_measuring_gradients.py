"""The gradient's two terms, scaled shortcuts, fresh nets against depth, recorded histories."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from asking import asked, drawn
from torch import Tensor, nn
from torch.autograd.functional import jacobian

from explorer.data.dataset import Dataset
from explorer.data.load import load_data
from explorer.errors import Cancelled, DataError, NotApplicableError, RunError, SpecError
from explorer.instruments import instrument
from explorer.instruments.depths import nearest_depth
from explorer.instruments.gradient_terms.result import GradientTerms
from explorer.instruments.gradients.result import LayerGradients
from explorer.instruments.gradients_at_init.measure import family_of
from explorer.instruments.gradients_at_init.result import GradientsAtInit
from explorer.instruments.history.figure import history_figure
from explorer.instruments.history.result import LayerHistory
from explorer.instruments.shortcut_scaling.measure import with_scale
from explorer.instruments.shortcut_scaling.result import ShortcutScaling
from explorer.measuring import walk
from explorer.measuring.gradient_terms import gradient_terms
from explorer.measuring.gradients import layer_gradients
from explorer.measuring.select import some_images
from explorer.measuring.statistics import batch_statistics
from explorer.nets import Net, create_net
from explorer.results import Record
from explorer.structure.names import spec_of
from explorer.structure.specs import DataSpec, fit_to_data

DIGITS = DataSpec(name="digits")


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_data(DIGITS)


def a_net(name: str, seed: int = 1) -> Net:
    return create_net(name, input_shape=(1, 8, 8), classes=10, seed=seed)


def traces(net: nn.Module) -> list[object]:
    """Modes, hooks, parameters' gradients and all values."""
    hooks = [
        dict(value)
        for module in net.modules()
        for name, value in sorted(vars(module).items())
        if name.endswith("_hooks")
    ]
    modes = [(m.training, getattr(m, "track_running_stats", None)) for m in net.modules()]
    grads = [(p.grad, p.requires_grad) for p in net.parameters()]
    return [hooks, modes, grads, [value.clone() for value in net.state_dict().values()]]


def unchanged(net: nn.Module, before: list[object]) -> bool:
    now = traces(net)
    same = all(torch.equal(a, b) for a, b in zip(now[3], before[3], strict=True))  # type: ignore[call-overload]
    return now[:3] == before[:3] and same


# --------------------------------------------------------------------------------- the terms

NETS = (
    "resnet_v1_8;width=3",
    "resnet_v2_14;width=3",
    "resnet_v2_8;width=3;shortcut=B",
    "resnet_v1_8;width=3;shortcut=C",
    "resnet_v2_8;width=3;order=bn_after_addition",
    "resnet_v2_8;width=3;shortcut=exclusive_gating;gate_bias=-1",
    "resnet_v2_8;width=3;shortcut=shortcut_only_gating;gate_bias=-1",
    "resnet_v2_8;width=3;shortcut=constant_scaling;shortcut_scale=0.7",
    "resnet_v2_8;width=3;survival_prob=0.5",
    "highway_10;width=3",
    "fc_highway_6;width=7",
    "densenet_10_k3",
    "reference_residual_5;width=3",
)


@pytest.mark.parametrize("name", NETS)
def test_the_terms_of_eq_5_add_up_to_autograds_gradient(name: str, digits: Dataset) -> None:
    """Against one graph of the whole net, and one in which every branch is held fixed."""
    net = a_net(name).double()
    before = traces(net)
    terms = gradient_terms(net, digits, n_images=12)
    assert unchanged(net, before)

    images, labels = some_images(net, digits, 12, train=True)
    pixels = digits.normalise(images).double()

    def by(fixed: bool) -> list[Tensor]:
        x = net.stem(pixels)
        inputs = []
        for unit in net.units:
            inputs.append(x)
            ways = walk.branches(unit, x)
            if ways is None:
                x = unit(x)
            else:
                branch = ways.branch.detach() if fixed else ways.branch
                x = walk.join(unit, ways.shortcut, branch)
        loss = F.cross_entropy(net.head(x), labels, reduction="sum")
        return list(torch.autograd.grad(loss, inputs))

    with batch_statistics(net):
        whole, direct = by(fixed=False), by(fixed=True)
        np.testing.assert_allclose(
            net(pixels).detach(), net.head(walk.states(net, pixels)[-1]).detach(), rtol=1e-12
        )
    size = math.sqrt(1 / 12)
    for values, gradients in (
        (terms.whole, whole),
        (terms.direct, direct),
        (terms.residual, [w - d for w, d in zip(whole, direct, strict=True)]),
    ):
        norms = [gradient.norm().item() * size for gradient in gradients]
        np.testing.assert_allclose(values, norms, rtol=1e-9, atol=1e-15)
    squares = terms.direct**2 + terms.residual**2
    mixed = 2 * np.nan_to_num(terms.cosine) * terms.direct * terms.residual
    np.testing.assert_allclose(squares + mixed, terms.whole**2, rtol=1e-9)
    assert terms.units == net.unit_names
    assert terms.n_images == 12


def a_linear_net(scale: float) -> Net:
    net = a_net(
        f"resnet_v2_8;width=2;batch_norm=false;shortcut=constant_scaling;shortcut_scale={scale};"
        "residual_scale=1"
    ).double()
    for unit in net.units:
        for name, layer in list(unit.residual.named_children()):
            if isinstance(layer, nn.ReLU):
                setattr(unit.residual, name, nn.Identity())
    return net


def test_eq_8_on_a_linear_net(digits: Dataset) -> None:
    """Explicit matrices: ∂E/∂x_l is the product of (λP + W), its direct term that of λP."""
    scale = 0.7
    net = a_linear_net(scale)
    terms = gradient_terms(net, digits, n_images=4)
    images, labels = some_images(net, digits, 4, train=True)
    found = walk.states(net, digits.normalise(images).double())
    whole = direct = walk.loss_gradient(net, found[-1], labels).flatten(1)
    np.testing.assert_allclose(terms.end, whole.norm().item() / 2, rtol=1e-12)
    for i, unit in reversed(list(enumerate(net.units))):
        one = found[i][:1]

        def matrix(function: nn.Module, x: Tensor = one) -> Tensor:
            full = jacobian(function, x)
            return full.reshape(function(x).numel(), x.numel())

        shortcut, residual = matrix(unit.shortcut), matrix(unit.residual)
        entries = shortcut[shortcut != 0]
        assert torch.equal(entries, torch.full_like(entries, scale))
        whole, direct = whole @ (shortcut + residual), direct @ shortcut
        assert terms.whole[i] == pytest.approx(whole.norm().item() / 2, rel=1e-10)
        assert terms.direct[i] == pytest.approx(direct.norm().item() / 2, rel=1e-10)
    theory = terms.theory()
    assert theory is not None
    np.testing.assert_allclose(terms.direct, theory, rtol=1e-12)


def test_identity_shortcuts_hand_on_the_whole_gradient(digits: Dataset) -> None:
    net = a_net("resnet_v2_20;width=4")
    terms = gradient_terms(net, digits, n_images=20)
    last_stage = [name.startswith("stages.2") for name in terms.units]
    np.testing.assert_allclose(terms.direct[last_stage][1:], terms.end, rtol=1e-6)
    np.testing.assert_allclose(terms.direct, terms.theory(), rtol=1e-5)
    # A ReLU after the addition stands in the way of the original order's.
    original = gradient_terms(a_net("resnet_v1_20;width=4"), digits, n_images=20)
    assert (original.direct[last_stage][1:] < 0.9 * original.end).all()
    assert gradient_terms(a_net("highway_7;width=3"), digits, n_images=9).theory() is None


def test_zeroed_branches_leave_the_direct_term_alone(digits: Dataset) -> None:
    net = a_net("resnet_v2_14;width=3;init=zero_last_scale")
    terms = gradient_terms(net, digits, n_images=10)
    np.testing.assert_array_equal(terms.residual, 0)
    np.testing.assert_allclose(terms.whole, terms.direct)
    assert np.isnan(terms.cosine).all()


def test_a_net_without_shortcuts_is_told_another(digits: Dataset) -> None:
    for name in ("plain_8", "fc_plain_4", "reference_plain_5"):
        with pytest.raises(NotApplicableError, match=r"no shortcuts.*digits_resnet_v2_56\.$"):
            asked("gradient_terms", a_net(name), digits)
    with pytest.raises(DataError, match="3×32×32"):
        gradient_terms(create_net("resnet_v2_8;width=2", seed=0), digits)


def test_terms_can_be_given_up_and_leave_no_trace(digits: Dataset) -> None:
    net = a_net("resnet_v1_14;width=3").train()
    before = traces(net)
    asked: list[int] = []

    def after_three() -> bool:
        asked.append(1)
        return len(asked) > 3

    with pytest.raises(Cancelled):
        gradient_terms(net, digits, n_images=10, cancelled=after_three)
    assert unchanged(net, before)
    with torch.no_grad():  # whatever the caller's mode
        again = gradient_terms(net, digits, n_images=10)
    np.testing.assert_array_equal(again.whole, gradient_terms(net, digits, n_images=10).whole)


# ---------------------------------------------------------------------------- scaled shortcuts


@pytest.mark.parametrize("name", ["resnet_v2_14;width=3", "resnet_v1_14;width=3"])
def test_measured_scaling_follows_eq_8(name: str, digits: Dataset) -> None:
    told: list[float] = []
    result = asked(
        "shortcut_scaling",
        a_net(name),
        digits,
        scale=0.5,
        scales=(0.0, 0.5, 1.0, 1.2),
        n_images=16,
        on_part=lambda _, share, text: told.append(share),
    )
    assert told == [0.25, 0.5, 0.75, 1.0]
    assert result.n_units == 6
    np.testing.assert_array_equal(result.scale, [0.5, 0, 1, 1.2])
    np.testing.assert_allclose(result.theory, [0.5**6, 0, 1, 1.2**6])
    np.testing.assert_allclose(result.direct, result.theory, rtol=1e-4)
    assert [row["scale"] for row in result.records()] == [0, 0.5, 1, 1.2]
    assert (result.whole > 0).all()
    again = ShortcutScaling.from_json(json.loads(json.dumps(result.to_json())))
    assert again.to_json() == result.to_json()
    assert list(result.to_frame().columns) == ["scale", "theory", "direct", "whole"]
    figure = drawn("shortcut_scaling", [result], scale=0.5)
    measured = [trace for trace in figure.data if "measured" in trace.name]
    np.testing.assert_allclose(measured[1].y, result.whole[np.argsort(result.scale)])
    assert figure.layout.shapes[0].x0 == 0.5


def test_scaling_refuses_what_it_cannot_scale(digits: Dataset) -> None:
    for name in ("plain_8", "highway_7", "fc_residual_5"):
        with pytest.raises(NotApplicableError, match="such as resnet_v2_20"):
            asked("shortcut_scaling", a_net(name), digits)
    net = a_net("resnet_v2_8;width=2")
    for wrong in ((3.0,), ()):
        with pytest.raises(SpecError, match="scales"):
            asked("shortcut_scaling", net, digits, scales=wrong)
    with pytest.raises(Cancelled):
        asked("shortcut_scaling", net, digits, n_images=4, cancelled=lambda: True)
    spec = fit_to_data(spec_of("resnet_v2_8;width=2"), DIGITS)
    assert with_scale(spec, 0.5).residual_scale == 1.0  # type: ignore[union-attr]


# ---------------------------------------------------------------------------- against depth


def test_the_sweep_measures_fresh_nets(digits: Dataset) -> None:
    shares: list[float] = []
    sweep = asked(
        "gradients_at_init",
        data=digits,
        nets=["plain_8;width=2", "highway_7;width=2"],
        depths=(14, 8),
        seeds=2,
        seed=4,
        padding="zeros",
        n_images=20,
        on_part=lambda part, share, text: shares.append(share),
    )
    rows = sweep.records()
    assert shares[-1] == 1
    assert len(shares) == len(rows) == 2 * 2 * 2 * 2
    assert {(row["family"], row["depth"]) for row in rows} == {
        *(("plain_N;width=2", depth) for depth in (8, 14)),
        *(("highway_N;width=2", depth) for depth in (7, 13)),
    }
    deepest = [r for r in rows if r["depth"] == 14 and not r["batch_norm"]]
    row = next(r for r in deepest if r["seed"] == 5)
    net = a_net("plain_14;width=2;batch_norm=false", seed=5)
    expected = layer_gradients(net, digits, n_images=20)
    assert row["loss"] == pytest.approx(expected.loss)
    assert row["first_layer"] == pytest.approx(expected.parameter_rms[0])
    assert row["last_layer"] == pytest.approx(expected.parameter_rms[-1])
    ratio = expected.output_rms[0] / expected.output_rms[-1]
    assert row["ratio"] == pytest.approx(ratio)

    depth, middle, least, most = sweep.curves()["plain_N;width=2", False]
    np.testing.assert_array_equal(depth, [8, 14])
    both = [r["first_layer"] for r in deepest]
    assert (least[1], most[1]) == (min(both), max(both))
    assert middle[1] == pytest.approx(sum(both) / 2)
    again = GradientsAtInit.from_json(json.loads(json.dumps(sweep.to_json())))
    assert again.to_json() == sweep.to_json()
    assert len(sweep.to_frame()) == 16
    for of in ("parameters", "outputs"):
        figure = drawn("gradients_at_init", [sweep], of=of)
        assert len(figure.data) == 4
        dashes = {trace.line.dash for trace in figure.data}
        assert dashes == {"solid", "dot"}


def test_by_default_nothing_but_depth_acts() -> None:
    ask = instrument("gradients_at_init").ask
    assert {spec.padding for spec in ask().specs()} == {"circular"}  # type: ignore[attr-defined]


def test_a_net_that_says_its_padding_keeps_it() -> None:
    one = instrument("gradients_at_init")
    shown = spec_of("plain_20"), "plain_20;padding=zeros", "digits_plain_56", "fc_plain_10"
    specs = one.asked({"nets": ["plain_20", *shown]}).specs()  # type: ignore[attr-defined]
    assert [spec.padding for spec in specs] == ["circular", *["zeros"] * 4]


def test_lists_of_before_are_understood_or_refused_in_a_sentence() -> None:
    one = instrument("gradients_at_init")
    ask: Any = one.asked({"seeds": (3, 4, 5), "batch_norm": [True, False]})
    assert (ask.seeds, ask.seed, ask.batch_norm) == (3, 3, "both")
    assert one.asked({"seeds": range(2), "batch_norm": (False,)}).batch_norm == "without"  # type: ignore[attr-defined]
    for wrong in ((0, 5), (), (1, 0), (0.5,), (True,)):
        with pytest.raises(SpecError, match=r"^seeds is how many .*seeds=3, seed=0"):
            one.asked({"seeds": wrong})


def test_batch_norm_turns_vanishing_gradients_of_plain_nets_round(digits: Dataset) -> None:
    """He15 §4.1: with batch norm they do not vanish; at the start they grow towards the input."""
    sweep = asked(
        "gradients_at_init",
        data=digits,
        nets=["plain_20;padding=zeros"],
        depths=(8, 32),
        seeds=(0,),
        n_images=32,
    )
    without = sweep.curves()["plain_N", False][1]
    normed = sweep.curves()["plain_N", True][1]
    assert without[1] < 0.1 * without[0]
    assert normed[1] > normed[0]


@pytest.mark.parametrize(
    ("name", "asked", "depth"),
    [
        ("plain_20", 9, 8),
        ("plain_20", 1, 8),
        ("resnet_v2_56", 12, 14),
        ("highway_19", 56, 55),
        ("densenet_bc_40_k12", 41, 40),
        ("fc_plain_10", 56, 56),
        ("imagenet_resnet_v1_50", 120, 101),
        ("resnet_v2_1001", 9999, 1298),
    ],
)
def test_the_nearest_possible_depth(name: str, asked: int, depth: int) -> None:
    spec = spec_of(name)
    assert nearest_depth(spec, asked) == depth
    assert type(spec).model_validate({**spec.model_dump(), "depth": depth}).depth == depth


def test_families_are_named_without_depth_and_norm() -> None:
    assert family_of(spec_of("resnet_v2_20;width=8;batch_norm=false")) == "resnet_v2_N;width=8"
    assert family_of(spec_of("densenet_40_k12")) == "densenet_N_k12"
    assert family_of(spec_of("fc_plain_10;batch_norm=true")) == "fc_plain_N"


def test_a_sweep_of_nothing_and_a_cancelled_one(digits: Dataset) -> None:
    with pytest.raises(SpecError, match="nets"):
        asked("gradients_at_init", data=digits, nets=[])
    with pytest.raises(SpecError, match="There is no net"):
        asked("gradients_at_init", data=digits, nets=["nonsense_8"])
    with pytest.raises(Cancelled):
        asked("gradients_at_init", data=digits, nets=["plain_8"], cancelled=lambda: True)


# ------------------------------------------------------------------------- scales and history


def some_gradients(parameters: list[float], outputs: list[float]) -> LayerGradients:
    n, m = len(parameters), len(outputs)
    return LayerGradients(
        *("a", "digits", 9, 2.3, tuple(f"l{i}" for i in range(n)), tuple(range(1, n + 1))),
        *(np.asarray(parameters), tuple(f"u{i}" for i in range(m)), np.asarray(outputs)),
    )


def test_the_gradient_scales_are_what_their_formulas_say() -> None:
    doubling = some_gradients([2.0**i for i in range(8)], [3.0, 1.0, 1.0, 1.0, 1.0, 1.0])
    assert doubling.first_to_last() == 2 / 64
    assert doubling.factor_a_layer() == pytest.approx(0.5)
    assert doubling.first_to_last("outputs") == 1
    projected = LayerGradients(**{**vars(doubling), "depth_index": (1, 0, 2, 3, 4, 5, 6, 7)})
    np.testing.assert_array_equal(projected.profile(), [1, 4, 8, 16, 32, 64, 128])
    dead = some_gradients([0.0, 0.0, 0.0], [1.0])
    assert math.isnan(dead.first_to_last())
    assert math.isnan(dead.factor_a_layer())
    null = json.loads(json.dumps(doubling.to_json()))
    null["layers"][0]["parameter_rms"] = None
    assert math.isnan(LayerGradients.from_json(null).parameter_rms[0])


def test_history_is_a_table_of_the_records() -> None:
    records = [
        Record("layers", 0, step, {"parameter_rms": [step, None, 3.0], "output_rms": [1.0, 2.0]})
        for step in range(0, 50, 10)
    ]
    records.insert(2, Record("step", 0, 20, {"loss": 1.0}))
    told = {"net": "a", "data": "digits", "n_images": 64}
    history = LayerHistory.from_records(
        records, "parameter_rms", ["first", "third"], kept=[0, 2], **told
    )
    np.testing.assert_array_equal(history.steps, [0, 10, 20, 30, 40])
    np.testing.assert_array_equal(history.values, [[0, 10, 20, 30, 40], [3.0] * 5])
    short = LayerHistory.from_records(records, "parameter_rms", ["a", "b", "c"], most=2, **told)
    np.testing.assert_array_equal(short.steps, [0, 40])
    assert np.isnan(short.values[1]).all()
    text = json.dumps(short.to_json()).replace("NaN", "null")
    again = LayerHistory.from_json(json.loads(text))
    np.testing.assert_array_equal(again.values, short.values)
    assert list(history.to_frame().columns)[:2] == ["layer", "step_0"]
    figure = history_figure([(0, "a", history), (1, "b", history)], theme="dark")
    assert [trace.z.shape for trace in figure.data] == [(2, 5), (2, 5)]
    np.testing.assert_allclose(figure.data[0].z[1], math.log10(3))
    with pytest.raises(RunError, match=r"no records of gates yet"):
        LayerHistory.from_records(records, "gate_mean", [], **told)


def test_terms_survive_json_and_are_drawn(digits: Dataset) -> None:
    for name in ("resnet_v2_8;width=3", "highway_7;width=3"):
        terms = gradient_terms(a_net(name), digits, n_images=10, name="mine")
        again = GradientTerms.from_json(json.loads(json.dumps(terms.to_json())))
        assert again.to_json() == terms.to_json()
        assert again.net == "mine"
        figure = drawn("gradient_terms", [terms])
        theory = terms.theory() is not None
        assert len(figure.data) == 3 + theory
        assert terms.to_frame()["theory"].notna().all() == theory
