"""The program engine against unit-by-unit evaluation, for every family and kind of program."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from explorer.data.dataset import Dataset
from explorer.data.load import load_data
from explorer.errors import Cancelled, DataError, NotApplicableError, SkipscopeError
from explorer.instruments import instrument
from explorer.instruments.doors.calling import Work, measured
from explorer.instruments.functions import lesions
from explorer.instruments.lesions.ask import Ask
from explorer.instruments.lesions.result import LesionCurve
from explorer.measuring.engine import _STATE_BYTES
from explorer.measuring.predict import predict
from explorer.measuring.programs import (
    Engine,
    Step,
    compile_program,
    evaluate_program,
    evaluate_programs,
    mean_gates,
    without,
)
from explorer.measuring.recalibrate import Recalibrated
from explorer.measuring.select import some_images
from explorer.nets import Net, create_net
from explorer.nets.fast import fold_batch_norms
from explorer.nets.highway import HighwayUnit
from explorer.structure.specs import DataSpec
from explorer.training import units

NETS = [
    "plain_14;width=4",
    "plain_14;width=4;batch_norm=false",
    "resnet_v1_14;width=4",
    "resnet_v1_14;width=4;shortcut=B",
    "resnet_v2_14;width=4",
    "resnet_v2_14;width=4;shortcut=C",
    "resnet_v2_20;width=4;unit=bottleneck",
    "resnet_v1_14;width=4;order=bn_after_addition",
    "resnet_v1_14;width=4;shortcut=exclusive_gating;gate_bias=0",
    "resnet_v1_14;width=4;shortcut=shortcut_only_gating;gate_bias=0",
    "resnet_v1_14;width=4;shortcut=constant_scaling",
    "resnet_v1_14;width=4;shortcut=dropout",
    "resnet_v2_14;width=4;survival_prob=0.5",
    "highway_13;width=4",
    "densenet_13_k4",
    "densenet_bc_16_k4",
    "reference_dense_25_pytorch;growth_rate=4",
    "reference_dense_10;growth_rate=8;init=he",
    "reference_residual_10;width=4",
    "reference_highway_10;width=4",
    "small_resnet_v2;width=4",
    "resnet_v1_14;width=4;asymmetric_padding=all;conv_bias=all",
    "fc_plain_6;width=9",
    "fc_residual_6;width=9;batch_norm=true",
    "fc_highway_6;width=9",
]


def a_net(name: str, *, dtype: torch.dtype = torch.float64, seed: int = 3) -> Net:
    """A net whose batch norms have something to say: random statistics, scales and shifts."""
    net = create_net(name, input_shape=(1, 8, 8), classes=10, seed=seed)
    draw = torch.Generator().manual_seed(seed)
    for module in net.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            n = module.num_features
            module.running_mean = torch.randn(n, generator=draw) / 4
            module.running_var = torch.rand(n, generator=draw) + 0.5
            with torch.no_grad():
                if module.weight is not None:
                    module.weight.copy_(torch.rand(n, generator=draw) + 0.5)
                module.bias.copy_(torch.randn(n, generator=draw) / 4)
    return net.to(dtype)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Small nets are fastest so, and on a busy machine by far."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_data(DataSpec(name="digits", test_limit=40))


def naive(
    net: Net, images: Tensor, steps: Sequence[Step], means: dict[int, Tensor] | None = None
) -> Tensor:
    """Module by module, one program, all images at once, on the net itself."""
    return as_it_is(net.eval(), images, steps, means)


def as_it_is(
    net: Net, images: Tensor, steps: Sequence[Step], means: dict[int, Tensor] | None = None
) -> Tensor:
    with torch.no_grad():
        x = net.stem(images)
        for step in steps:
            module = net.units[step.unit]
            if step.gate is not None:
                gate = (means or {})[step.unit] if step.gate == "mean" else step.gate
                x = with_gate(module, x, gate)
            else:
                x = module.bypass(x) if step.bypass else module(x)
        return net.head(x)


def with_gate(unit: nn.Module, x: Tensor, gate: float | Tensor) -> Tensor:
    """SGS15 Eq 3, or He16 §3.1, with T or g put in by hand."""
    if isinstance(unit, HighwayUnit):
        return unit.transform(x) * gate + x * (1 - gate)
    x = unit.split(x)
    residual = unit.residual(x) * (gate if unit.exclusive else 1)
    return unit.after((1 - gate) * unit.shortcut(x) + residual)


def recalibrated(net: Net, batches: Sequence[Tensor], steps: Sequence[Step]) -> Net:
    """A copy whose running statistics are the averages of torch's own over the batches."""
    twin = copy.deepcopy(net).eval()
    norms = [m for m in twin.modules() if isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d))]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain average over the batches
        norm.train()
    for batch in batches:
        as_it_is(twin, batch, steps)
    return twin.eval()


def every_kind(net: Net, seed: int = 0) -> list[tuple[Step, ...]]:
    """Intact, each deletion, several at once, shuffles, both, and a repeat of a program."""
    plan = net.blueprint
    rng = random.Random(seed)
    deletable = [i for i, unit in enumerate(plan.units) if unit.deletable]
    asked: list[list[int]] = [list(range(len(plan.units)))]
    for unit in deletable:
        asked.append([i for i in asked[0] if i != unit])
    for _ in range(6):
        gone = set(rng.sample(deletable, rng.randint(2, len(deletable))))
        order = list(asked[0])
        groups: dict[str, list[int]] = {}
        for i, unit in enumerate(plan.units):
            if unit.swap_group is not None and unit.deletable:
                groups.setdefault(f"{unit.stage} {unit.swap_group}", []).append(i)
        for places in groups.values():
            for place, unit in zip(places, rng.sample(places, len(places)), strict=True):
                order[place] = unit
        asked += [[i for i in asked[0] if i not in gone], order]
        asked.append([i for i in order if i not in gone])
    asked.append(asked[1])
    return [compile_program(plan, program) for program in asked]


@pytest.mark.parametrize("name", NETS)
def test_engine_equals_naive_evaluation(name: str) -> None:
    net = a_net(name)
    images = torch.randn(
        5, 1, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1)
    )
    asked = every_kind(net)
    logits = Engine(net).logits(images, asked)
    expected = torch.stack([naive(net, images, steps) for steps in asked])
    assert logits.shape == expected.shape == (len(asked), 5, 10)
    torch.testing.assert_close(logits, expected, rtol=1e-9, atol=1e-9)
    assert not torch.allclose(logits[0], logits[1]), (
        "a deletion that changes nothing proves nothing"
    )


@pytest.mark.parametrize(
    "name", ["highway_13;width=4", "fc_highway_6;width=9", *(n for n in NETS if "_gating" in n)]
)
def test_held_gates_equal_naive_evaluation(name: str, digits: Dataset) -> None:
    net = a_net(name).eval()
    plan = net.blueprint
    images = digits.normalise(digits.test_images[:5]).double()
    gated = [i for i, unit in enumerate(plan.units) if unit.gate]
    every = range(len(plan.units))
    asked = [
        compile_program(plan, every, gates=dict.fromkeys(units, value))
        for value in (0, 0.3, 1.0, "mean")
        for units in ([gated[0]], gated[1:], gated)
    ]
    asked.append(compile_program(plan, [i for i in every if i != gated[1]], gates={gated[0]: 1}))
    means = mean_gates(net, digits, asked)
    assert set(means) == set(gated)
    first = net.units[gated[0]]  # whose input is known: the stem's output
    gate = first.transform_gate if "highway" in name else first.shortcut_gate
    train, _ = some_images(net, digits, 1000, train=True)
    with torch.no_grad():
        by_hand = gate(net.stem(digits.normalise(train).double())).mean(0)
    torch.testing.assert_close(means[gated[0]], by_hand)
    logits = Engine(net, mean_gates=means).logits(images, asked)
    expected = torch.stack([naive(net, images, steps, means) for steps in asked])
    torch.testing.assert_close(logits, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    "name",
    [
        "plain_14;width=4",
        "resnet_v1_14;width=4;shortcut=B",
        "resnet_v2_14;width=4",
        "resnet_v1_14;width=4;order=bn_after_addition",
        "highway_13;width=4",
        "densenet_bc_16_k4",
        "fc_residual_6;width=9;batch_norm=true",
    ],
)
@pytest.mark.parametrize("at_once", [1, 2, 1000])
def test_recalibrated_equals_torchs_own(
    name: str, at_once: int, digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = a_net(name).train()
    asked = every_kind(net)[:: 1 if at_once == 2 else 4]
    images = digits.normalise(digits.test_images[:5]).double()
    batches = [part.double() for part in digits.normalise(digits.train_images[:18]).split(9)]
    monkeypatch.setattr(Engine, "_states_at_once", lambda self, place, images: at_once)
    engine = Recalibrated(net)
    engine.calibrate(asked, batches)
    logits = engine.logits(images, asked)
    expected = torch.stack(
        [naive(recalibrated(net, batches, steps), images, steps) for steps in asked]
    )
    torch.testing.assert_close(logits, expected, rtol=1e-9, atol=1e-9)
    assert not torch.allclose(logits[0], naive(net, images, asked[0]))


@pytest.mark.parametrize("name", ["plain_14;width=4", "resnet_v2_14;width=4", "densenet_13_k4"])
def test_engine_in_float32(name: str) -> None:
    net = a_net(name, dtype=torch.float32)
    images = torch.randn(7, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    asked = every_kind(net)
    expected = torch.stack([naive(net, images, steps) for steps in asked])
    torch.testing.assert_close(Engine(net).logits(images, asked), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "name", ["plain_14;width=4", "resnet_v2_14;width=4", "highway_13;width=4", "densenet_13_k4"]
)
def test_units_that_a_training_passes_by_stay_away(name: str) -> None:
    net = a_net(name).eval()
    names = [unit.name for unit in net.blueprint.units if unit.deletable]
    images = torch.randn(7, 1, 8, 8, generator=torch.Generator().manual_seed(1)).double()
    whole = list(net.unit_names)
    asked = [compile_program(net.blueprint, program) for program in (whole, without_one(net))]
    before = Engine(net).logits(images, asked)
    units.pass_by_named(net, names[:2])
    with torch.no_grad():
        expected = net(images)
    logits = Engine(net).logits(images, asked)
    torch.testing.assert_close(logits[0], expected, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(logits[1], expected, rtol=1e-9, atol=1e-9)
    assert not torch.allclose(before[0], expected)


def without_one(net: Net) -> tuple[str, ...]:
    """The intact net less the first unit that can go."""
    return without(net.blueprint, [next(u.name for u in net.blueprint.units if u.deletable)])


@pytest.mark.parametrize("at_once", [1, 2, 3, 1000])
def test_how_states_ride_changes_nothing(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    net = a_net("resnet_v2_14;width=4")
    images = torch.randn(3, 1, 8, 8, dtype=torch.float64)
    asked = every_kind(net)
    monkeypatch.setattr(Engine, "_states_at_once", lambda self, place, images: at_once)
    expected = torch.stack([naive(net, images, steps) for steps in asked])
    torch.testing.assert_close(Engine(net).logits(images, asked), expected, rtol=1e-9, atol=1e-9)


def test_each_shared_prefix_is_computed_once() -> None:
    net = a_net("resnet_v2_14;width=4")
    plan = net.blueprint
    n = len(plan.units)
    asked = [compile_program(plan, [i for i in range(n) if i != gone]) for gone in range(n)]
    engine = Engine(net)
    examples = 0

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal examples
        examples += len(inputs[0])

    for unit in engine._net.units:
        unit.register_forward_hook(count)
    engine.logits(torch.randn(2, 1, 8, 8, dtype=torch.float64), [*asked, asked[0]])
    # Unit i runs on the intact prefix (needed until the last deletion) and on i lesioned states.
    prefix = n - 1
    assert examples == 2 * (prefix + n * (n - 1) // 2)


def test_chunks_of_images_change_nothing(digits: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    net = a_net("resnet_v2_14;width=4", dtype=torch.float32)
    whole = lesions(net, digits)
    seen: list[tuple[int, float]] = []
    monkeypatch.setattr(Engine, "images_at_once", lambda self, programs: 7)
    parts = lesions(
        net, digits, on_progress=lambda curve, share: seen.append((curve.n_images, share))
    )
    assert seen == [(n, n / 40) for n in (7, 14, 21, 28, 35, 40)]
    assert parts.to_json() == whole.to_json()
    assert whole.n_images == 40
    assert whole.data == "digits"


def test_lesions_agree_with_naive_accuracy(digits: Dataset) -> None:
    net = a_net("highway_13;width=4")
    curve = lesions(net, digits)
    plan = net.blueprint
    images = digits.normalise(digits.test_images).double()
    deletable = tuple(unit.name for unit in plan.units if unit.deletable)
    assert curve.units == deletable
    for unit, accuracy in zip(curve.units, curve.accuracy, strict=True):
        steps = compile_program(plan, without(plan, [unit]))
        right = naive(net, images, steps).argmax(1) == digits.test_labels
        assert accuracy == pytest.approx(right.double().mean().item())
        one = evaluate_program(net, digits, without(plan, [unit]))
        assert one.accuracy == pytest.approx(accuracy)
        assert np.nanmean(one.per_class) == pytest.approx(accuracy)  # four images of each class


def test_a_class_without_images_has_no_accuracy(digits: Dataset) -> None:
    net = a_net("plain_8;width=4", dtype=torch.float32)
    (result,) = evaluate_programs(net, digits, [range(3)], n_images=4)
    assert result.n_images == 4
    assert np.isnan(result.per_class).sum() == 6
    assert result.program == net.unit_names


def test_fewer_images_are_a_sample_of_all_classes(digits: Dataset) -> None:
    net = a_net("plain_8;width=4", dtype=torch.float32)
    result = evaluate_program(net, digits, range(3), n_images=20)
    assert not np.isnan(result.per_class).any()


def test_zeroed_residuals_can_be_deleted_without_a_trace(digits: Dataset) -> None:
    net = a_net("resnet_v2_20;width=4", dtype=torch.float32)
    for unit in net.units:
        nn.init.zeros_(unit.residual.conv2.weight)
    plan = net.blueprint
    images = digits.normalise(digits.test_images)
    asked = every_kind(net)
    logits = Engine(net).logits(images, asked)
    assert torch.equal(logits, logits[:1].expand_as(logits))
    curve = lesions(net, digits)
    assert len(curve.units) == len(plan.units)
    assert (curve.accuracy == curve.baseline_accuracy).all()


def test_a_closed_highway_net_does_nothing(digits: Dataset) -> None:
    net = a_net("fc_highway_6;width=9", dtype=torch.float32)
    for unit in net.units:
        nn.init.zeros_(unit.transform_gate.linear.weight)
        nn.init.constant_(unit.transform_gate.linear.bias, -200.0)
    curve = lesions(net, digits)
    assert (curve.accuracy == curve.baseline_accuracy).all()


def test_answers_that_are_not_finite_are_wrong(digits: Dataset) -> None:
    net = a_net("plain_8;width=4", dtype=torch.float32)
    with torch.no_grad():
        net.head.linear.bias.fill_(float("nan"))
    assert evaluate_program(net, digits, range(3)).accuracy == 0


def test_the_net_is_left_alone(digits: Dataset) -> None:
    net = a_net("resnet_v1_14;width=4", dtype=torch.float32).train()
    net.units[0].eval()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    modes = [module.training for module in net.modules()]
    kinds = [type(module) for module in net.modules()]
    lesions(net, digits)
    predict(net, digits.normalise(digits.test_images[:2]))
    assert [module.training for module in net.modules()] == modes
    assert [type(module) for module in net.modules()] == kinds
    assert all(torch.equal(before[key], value) for key, value in net.state_dict().items())
    assert all(p.requires_grad and p.grad is None for p in net.parameters())


def test_folding_merges_what_is_legal() -> None:
    v1, v2 = a_net("resnet_v1_14;width=4").eval(), a_net("resnet_v2_14;width=4").eval()
    # v1: the stem's and both of each unit; v2: the stem's and the second of each unit.
    assert fold_batch_norms(v1) == 1 + 2 * 6
    assert fold_batch_norms(v2) == 1 + 6
    after = a_net("resnet_v1_14;width=4;order=bn_after_addition").eval()
    assert fold_batch_norms(after) == 1 + 6
    assert sum(isinstance(module, nn.BatchNorm2d) for module in v1.modules()) == 0
    # What stays in v2: each unit's first norm, but the first unit's, and the head's.
    assert sum(isinstance(module, nn.BatchNorm2d) for module in v2.modules()) == 5 + 1


def test_bfloat16_is_close(digits: Dataset) -> None:
    net = a_net("resnet_v2_14;width=4", dtype=torch.float32)
    images = digits.normalise(digits.test_images)
    asked = every_kind(net)[:3]
    exact = Engine(net).logits(images, asked)
    quick = Engine(net, precision="bfloat16").logits(images, asked)
    assert quick.dtype == torch.float32
    assert (quick - exact).abs().max() < 0.05 * exact.abs().max()
    assert not torch.equal(quick, exact)


def test_cancelled_between_units(digits: Dataset) -> None:
    net = a_net("resnet_v2_14;width=4", dtype=torch.float32)
    asked = 0

    def cancelled() -> bool:
        nonlocal asked
        asked += 1
        return asked > 3

    with pytest.raises(Cancelled, match="stopped"):
        measured(instrument("lesions"), Ask(), Work(stopped=cancelled), net=net, data=digits)
    assert asked == 4


def test_predict_gives_probabilities(digits: Dataset) -> None:
    net = a_net("resnet_v2_14;width=4", dtype=torch.float32)
    images = digits.normalise(digits.test_images[:6])
    got = predict(net, images)
    assert got.shape == (6, 10)
    np.testing.assert_allclose(got.sum(1), 1)
    intact = [Step(i) for i in range(6)]
    np.testing.assert_allclose(got, naive(net, images, intact).softmax(1).numpy(), atol=1e-6)
    lesioned = predict(net, images, program=without(net.blueprint, [2]))
    assert abs(lesioned - got).max() > 1e-4


# ------------------------------------------------------------------------------- what is asked


def test_a_unit_left_out_keeps_its_place() -> None:
    plan = a_net("resnet_v1_14;width=4").blueprint
    assert compile_program(plan, [1, 0, 4, 5]) == (
        Step(1),
        Step(0),
        Step(2, bypass=True),
        Step(3, bypass=True),
        Step(4),
        Step(5),
    )
    assert compile_program(plan, []) == tuple(Step(i, bypass=True) for i in range(6))
    by_name = compile_program(plan, ["stages.0.units.1", *range(2, 6)])
    assert by_name == compile_program(plan, range(1, 6))


@pytest.mark.parametrize(
    ("name", "program", "sentence"),
    [
        ("plain_14;width=4", ["stages.0.unit.0"], "no unit 'stages.0.unit.0'; the nearest"),
        ("plain_14;width=4", [6], "no unit 6: this net has 6 units, 0 to 5"),
        ("plain_14;width=4", [-1], "no unit -1"),
        ("plain_14;width=4", [0, 0], "stands twice"),
        ("plain_14;width=4", [0, 1, 3, 4, 5], "cannot be deleted: .*4×8×8 to 8×4×4"),
        ("resnet_v2_14;width=4", [0, 3, 2, 1, 4, 5], "cannot stand in the place of"),
        ("resnet_v2_14;width=4", [0, 2, 1, 3, 4, 5], "8×4×4"),
        ("densenet_13_k4", [1, 0, *range(2, 11)], "one and the same shape"),
        ("highway_13;width=4", [0, 1, 2, 4, 5, 6, 7, 8, 9, 10], "transition"),
    ],
)
def test_impossible_programs_say_why(name: str, program: list[str | int], sentence: str) -> None:
    with pytest.raises(NotApplicableError, match=sentence) as caught:
        compile_program(a_net(name).blueprint, program)
    assert str(caught.value).rstrip(".").count(". ") == 0


def test_data_that_does_not_fit_is_refused(digits: Dataset) -> None:
    net = create_net("plain_8;width=4", seed=0)
    with pytest.raises(DataError, match=r"images of 3×32×32 and 10 classes, and digits has 1×8×8"):
        lesions(net, digits)
    fitting = a_net("plain_8;width=4", dtype=torch.float32)
    with pytest.raises(SkipscopeError, match="at least 1 image"):
        evaluate_program(fitting, digits, range(3), n_images=0)


def test_nothing_to_delete_is_one_sentence(digits: Dataset) -> None:
    net = a_net("plain_8;width=4", dtype=torch.float32)
    assert isinstance(lesions(net, digits), LesionCurve)  # its first unit keeps the shape
    import dataclasses

    net.blueprint = dataclasses.replace(
        net.blueprint,
        units=tuple(dataclasses.replace(unit, deletable=False) for unit in net.blueprint.units),
    )
    with pytest.raises(NotApplicableError, match="gradients"):
        lesions(net, digits)


def test_memory_bounds_the_chunk() -> None:
    net = a_net("resnet_v2_14", dtype=torch.float32)
    asked = every_kind(net)
    chunk = Engine(net).images_at_once(asked)
    states = len(set(asked))
    assert 0 < chunk * states * 64 * 2 * 2 * 4 <= _STATE_BYTES
