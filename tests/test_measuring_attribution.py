"""Attribution against definitions by hand, Captum layer by layer, and the program engine."""

from __future__ import annotations

import copy
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pytest
import torch
from asking import asked_of
from captum.attr import LayerConductance
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, ResNet
from torchvision.models.vgg import VGG, make_layers

from explorer.data.dataset import Dataset
from explorer.data.load import load_data
from explorer.errors import Cancelled, DataError, NotApplicableError, SkipscopeError
from explorer.instruments.attribution.ask import Method
from explorer.instruments.attribution.result import Attribution
from explorer.instruments.conductance.result import UnitConductance
from explorer.measuring.decision import MAX_STEPS, TOLERANCE
from explorer.measuring.opened import OpenedNet
from explorer.measuring.predict import predict
from explorer.measuring.programs import Engine, compile_program, without
from explorer.measuring.taps import tap
from explorer.nets import Net, create_net
from explorer.nets.adapters import adapt
from explorer.structure.specs import DataSpec

METHODS = get_args(Method)
NETS = [
    "plain_14;width=4",
    "plain_14;width=4;batch_norm=false",
    "resnet_v1_14;width=4",
    "resnet_v2_14;width=4;shortcut=B",
    "resnet_v2_20;width=4;unit=bottleneck",
    "resnet_v1_14;width=4;shortcut=exclusive_gating;gate_bias=0",
    "resnet_v2_14;width=4;survival_prob=0.5",
    "highway_13;width=4",
    "densenet_13_k4",
    "densenet_bc_16_k4",
    "fc_plain_6;width=9",
    "fc_residual_6;width=9;batch_norm=true",
    "fc_highway_6;width=9",
]
# One of each family, where a question has nothing to do with the rest.
FAMILIES = [
    "plain_14;width=4",
    "resnet_v1_14;width=4",
    "highway_13;width=4",
    "densenet_13_k4",
    "fc_highway_6;width=9",
]
# Other ways past a unit, and none.
COMPLETE = [
    *FAMILIES,
    "plain_14;width=4;batch_norm=false",
    "resnet_v2_20;width=4;unit=bottleneck",
    "resnet_v1_14;width=4;shortcut=exclusive_gating;gate_bias=0",
    "fc_residual_6;width=9;batch_norm=true",
]


def attribute(net: Net, data: Dataset, image: Any, **options: Any) -> Attribution:
    found: Attribution = asked_of("attribution", net, data, image, **options)
    return found


def unit_conductance(net: Net, data: Dataset, image: Any, **options: Any) -> UnitConductance:
    found: UnitConductance = asked_of("conductance", net, data, image, **options)
    return found


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


def stirred(net: nn.Module, seed: int = 3) -> None:
    """Batch norms that do something: random statistics, scales and shifts."""
    draw = torch.Generator().manual_seed(seed)
    for module in net.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            n = module.num_features
            module.running_mean = torch.randn(n, generator=draw) / 4
            module.running_var = torch.rand(n, generator=draw) + 0.5
            with torch.no_grad():
                module.weight.copy_(torch.rand(n, generator=draw) + 0.5)
                module.bias.copy_(torch.randn(n, generator=draw) / 4)


def a_net(name: str, *, dtype: torch.dtype = torch.float64) -> Net:
    net = create_net(name, input_shape=(1, 8, 8), classes=10, seed=3)
    stirred(net)
    return net.to(dtype)


def of_another_library(kind: str) -> Net:
    """A small net of torchvision's, whose own ReLUs work in place and stand in several places."""
    torch.manual_seed(1)
    if kind == "resnet":
        module: nn.Module = ResNet(BasicBlock, [1, 1, 1, 1], num_classes=10)
    else:
        with torch.device("meta"):  # its usual head has 120 million parameters
            module = VGG(make_layers([8, "M", 16, 16]))
        module.features = make_layers([8, "M", 16, 16])
        module.classifier = nn.Sequential(
            nn.Linear(16 * 49, 24), nn.ReLU(inplace=True), nn.Dropout(), nn.Linear(24, 10)
        )
    stirred(module)
    return adapt(module, name=f"a_{kind}", input_shape=(3, 32, 32))


def images(dataset: Dataset, index: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, ...]:
    """x and the black x′, (1, C, H, W), normalised."""
    pixels = dataset.test_images[index : index + 1]
    return tuple(dataset.normalise(p).to(dtype) for p in (pixels, torch.zeros_like(pixels)))


def state(net: Net) -> list[object]:
    """Modes, hooks, gradients and what requires one."""
    return [
        *((m.training, len(m._forward_hooks), len(m._backward_hooks)) for m in net.modules()),
        *((p.requires_grad, p.grad is None) for p in net.parameters()),
    ]


# --------------------------------------------------------------------------- the opened copy


@pytest.mark.parametrize("name", NETS)
def test_a_lesion_is_the_program_engines(name: str, digits: Dataset) -> None:
    net, (x, _) = a_net(name), images(digits, 0)
    plan = net.blueprint
    deletable = [unit.name for unit in plan.units if unit.deletable]
    asked: list[list[str]] = [[], deletable[:1], deletable[-2:], deletable]
    programs = [compile_program(plan, without(plan, deleted)) for deleted in asked]
    expected = Engine(net, fold=False).logits(x, programs)
    given = torch.stack([OpenedNet(net, deleted)(x) for deleted in asked])
    torch.testing.assert_close(given, expected, rtol=1e-10, atol=1e-10)
    decision = attribute(net, digits, 0, method="saliency", deleted=deletable[-2:]).decision
    assert decision.deleted == tuple(deletable[-2:])
    assert decision.logit == pytest.approx(float(expected[2, 0].max()), rel=1e-10)
    share = predict(net, x, program=without(plan, deletable[-2:]))[0]
    assert decision.probability == pytest.approx(share.max(), rel=1e-10)


@pytest.mark.parametrize("name", [*NETS, "resnet", "vgg"])
def test_every_module_is_called_once_and_none_works_in_place(name: str) -> None:
    net = a_net(name) if ("_" in name) else of_another_library(name)
    for module in net.modules():  # as a net from elsewhere might come
        if isinstance(module, nn.ReLU):
            module.inplace = True
    opened = OpenedNet(net)
    called: Counter[str] = Counter()
    for path, module in opened.named_modules():
        if not list(module.children()):
            module.register_forward_hook(lambda *_, path=path: called.update([path]))
    weight = next(net.parameters())
    x = torch.rand(1, *net.spec.input_shape, dtype=weight.dtype, requires_grad=True)
    opened(x).sum().backward()
    assert max(called.values()) == 1
    assert not any(getattr(module, "inplace", False) for module in opened.modules())
    assert any(getattr(module, "inplace", False) for module in net.modules())  # it is left alone


# ------------------------------------------------------------------------------ completeness


@pytest.mark.parametrize("name", COMPLETE)
def test_integrated_gradients_add_up(name: str, digits: Dataset) -> None:
    net, (x, black) = a_net(name), images(digits, 1)
    result = attribute(net, digits, 1)
    with torch.no_grad():
        f, low = net.eval()(torch.cat([x, black]))[:, result.decision.target].tolist()
    assert result.decision.logit == pytest.approx(f, rel=1e-9)
    assert result.baseline_logit == pytest.approx(low, rel=1e-9)
    assert result.error() == pytest.approx(result.values.sum() - (f - low), abs=1e-9)
    assert abs(result.values.sum() - (f - low)) <= TOLERANCE * max(1, abs(f - low))


@pytest.mark.parametrize("name", COMPLETE)
def test_both_ways_through_every_unit_add_up(name: str, digits: Dataset) -> None:
    net = a_net(name)
    result = unit_conductance(net, digits, 1)
    assert result.units == net.unit_names
    assert np.abs(result.errors()).max() <= TOLERANCE * max(1, abs(result.whole))
    np.testing.assert_allclose(result.branch + result.shortcut - result.whole, result.errors())
    alone = [unit.kind in ("plain", "transition") for unit in net.blueprint.units]
    assert (result.shortcut[alone] == 0).all()
    assert (result.shortcut[~np.asarray(alone)] != 0).all()


@pytest.mark.parametrize("name", ["resnet_v1_14;width=4;shortcut=B", *FAMILIES])
def test_conductance_is_captums_layer_by_layer(name: str, digits: Dataset) -> None:
    net, (x, black) = a_net(name), images(digits, 2)
    result = unit_conductance(net, digits, 2, steps=20)
    opened = OpenedNet(net)

    def captum(layer: nn.Module, start: Tensor, end: Tensor) -> float:
        start, end = start.clone().requires_grad_(), end.clone().requires_grad_()
        scores = LayerConductance(opened, layer).attribute(
            end, start, target=result.decision.target, n_steps=20, method="riemann_trapezoid"
        )
        return float(scores.detach().sum())

    for i in (0, len(result.units) // 2, len(result.units) - 1):
        unit = opened.unit(i)
        for layer, given in ((unit.branch, result.branch[i]), (unit.shortcut, result.shortcut[i])):
            if layer is unit.shortcut and net.blueprint.units[i].kind in ("plain", "transition"):
                continue
            expected = (captum(layer, black, x) - captum(layer, x, black)) / 2
            assert given == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_a_residual_branch_of_zeros_carries_nothing(digits: Dataset) -> None:
    net = a_net("resnet_v2_14;width=4")
    unit = net.units[1]
    with torch.no_grad():
        unit.residual.conv2.weight.zero_()
    result = unit_conductance(net, digits, 0, steps=8)
    assert result.branch[1] == 0
    assert result.branch[0] != 0
    deleted = unit_conductance(net, digits, 0, steps=8, deleted=[1])
    np.testing.assert_allclose(deleted.branch, result.branch, rtol=1e-9)
    np.testing.assert_allclose(deleted.shortcut, result.shortcut, rtol=1e-9)


def test_steps_are_doubled_until_the_parts_add_up(digits: Dataset) -> None:
    net = a_net("plain_14;width=4")
    seen: list[Attribution] = []
    result = attribute(net, digits, 1, on_progress=lambda part, _: seen.append(part))
    steps = [part.n_steps for part in (*seen, result)]
    assert steps == [64 * 2**i for i in range(len(steps))]
    allowed = TOLERANCE * max(1, abs(result.values.sum() - (result.error() or 0)))
    assert all(abs(part.error() or 0) > allowed for part in seen)
    shares: list[float] = []
    few = unit_conductance(net, digits, 1, steps=3, on_progress=lambda _, s: shares.append(s))
    assert (few.n_steps, shares) == (3, [])
    assert np.abs(few.errors()).max() > np.abs(unit_conductance(net, digits, 1).errors()).max()
    assert MAX_STEPS == 1024


def test_chunks_do_not_change_the_answer(digits: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    net = a_net("densenet_13_k4")
    whole = unit_conductance(net, digits, 0, steps=10)
    mapped = attribute(net, digits, 0, steps=10)
    monkeypatch.setattr("explorer.measuring.decision._BYTES", 1)
    np.testing.assert_allclose(unit_conductance(net, digits, 0, steps=10).branch, whole.branch)
    np.testing.assert_allclose(attribute(net, digits, 0, steps=10).values, mapped.values)


# ------------------------------------------------------------------------------- definitions


@pytest.mark.parametrize("name", FAMILIES)
def test_saliency_is_the_gradients_greatest_over_channels(name: str, digits: Dataset) -> None:
    net, (x, _) = a_net(name), images(digits, 3)
    result = attribute(net, digits, 3, method="saliency", target="4")
    x.requires_grad_()
    net.eval()(x)[0, 4].backward()
    assert x.grad is not None
    np.testing.assert_allclose(result.values, x.grad[0].abs().amax(0).numpy(), rtol=1e-9)
    assert result.error() is None


@pytest.mark.parametrize("name", FAMILIES[:4])
def test_grad_cam_weighs_maps_by_their_mean_gradient(name: str, digits: Dataset) -> None:
    net, (x, _) = a_net(name), images(digits, 3)
    unit = net.unit_names[2]
    with tap(net.eval(), [unit], gradients=True) as taps:
        x.requires_grad_()
        net(x)[0, 5].backward()
    maps, gradients = taps.outputs[unit][0][0], taps.gradients[unit][0][0]
    expected = (gradients.mean((1, 2), keepdim=True) * maps).sum(0)  # Selvaraju et al., Eq 1, 2
    result = attribute(net, digits, 3, method="grad_cam", unit=unit, target=5)
    np.testing.assert_allclose(result.values, expected.numpy(), rtol=1e-8, atol=1e-12)
    assert result.unit == unit
    assert attribute(net, digits, 3, method="grad_cam").unit == net.unit_names[-1]
    assert attribute(net, digits, 3, method="grad_cam", unit=2, target=5).unit == unit


@pytest.mark.parametrize("baseline", ["black", "white", "mean"])
def test_occlusion_is_what_the_logit_loses(baseline: Any, digits: Dataset) -> None:
    net, (x, _) = a_net("resnet_v1_14;width=4"), images(digits, 5)
    level = {"black": 0, "white": 255, "mean": float(digits.mean) * 255}[baseline]
    fill = (level / 255 - digits.mean.double()) / digits.std.double()
    gone = torch.cat([x, x, fill.expand_as(x)])
    gone[1, :, 2, 6] = fill
    with torch.no_grad():
        f = net.eval()(gone)[:, 7].tolist()
    options: dict[str, Any] = {"method": "occlusion", "baseline": baseline, "target": 7}
    pixel = attribute(net, digits, 5, window=1, **options)
    assert pixel.values.shape == (8, 8)
    assert pixel.values[2, 6] == pytest.approx(f[0] - f[1], rel=1e-5, abs=1e-6)
    everything = attribute(net, digits, 5, window=8, **options)
    assert (everything.window, everything.baseline) == (8, baseline)
    assert everything.values[0, 0] == pytest.approx(f[0] - f[2], rel=1e-5)
    assert everything.baseline_logit == pytest.approx(f[2], rel=1e-5)


def test_the_class_is_the_predicted_the_true_or_a_chosen_one(digits: Dataset) -> None:
    net, (x, _) = a_net("resnet_v1_14;width=4"), images(digits, 0)
    share = predict(net, x)[0]
    true = int(digits.test_labels[0])

    def target(**options: Any) -> int:
        return attribute(net, digits, 0, method="saliency", **options).decision.target

    assert target() == share.argmax()
    assert target(target="true") == true
    assert target(target=9) == target(target="9") == 9
    named = replace(digits, info=digits.info.model_copy(update={"classes": tuple("9876543210")}))
    decision = attribute(net, named, 0, method="saliency", target="3").decision
    assert (decision.target, decision.target_name) == (6, "3")  # a name goes before a position
    assert decision.probability == pytest.approx(share[6])


@pytest.mark.parametrize("kind", ["resnet", "vgg"])
def test_another_librarys_net(kind: str) -> None:
    net = of_another_library(kind).eval()
    draw = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (2, 3, 32, 32), generator=draw, dtype=torch.uint8)
    small = load_data(DataSpec(name="digits", test_limit=2))
    info = small.info.model_copy(update={"input_shape": (3, 32, 32)})
    ones = torch.full((3,), 0.5)
    dataset = replace(small, info=info, test_images=pixels, mean=ones, std=ones)
    result = unit_conductance(net, dataset, 0, steps=64)
    assert np.abs(result.errors()).max() < 0.05 * abs(result.whole)
    assert attribute(net, dataset, 0, method="grad_cam").values.shape == (
        (1, 1) if kind == "resnet" else (16, 16)
    )
    assert attribute(net, dataset, 0, method="saliency").picture.shape == (32, 32, 3)


# --------------------------------------------------------------------------------- untouched


@pytest.mark.parametrize("name", FAMILIES)
def test_the_net_is_left_as_it_was(name: str, digits: Dataset) -> None:
    net = a_net(name, dtype=torch.float32).train()
    net.head.requires_grad_(False)
    before, weights = state(net), copy.deepcopy(net.state_dict())
    for method in METHODS:
        if method != "grad_cam" or not name.startswith("fc"):
            attribute(net, digits, 0, method=method, steps=4 if method[0] == "i" else None)
    unit_conductance(net, digits, 0, steps=4)
    for run in (attribute, unit_conductance):
        in_the_middle = iter([False, True]).__next__
        with pytest.raises(Cancelled):
            run(net, digits, 0, cancelled=in_the_middle)
    assert state(net) == before
    assert all(torch.equal(value, weights[key]) for key, value in net.state_dict().items())


# -------------------------------------------------------------------------------- wrong input


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"method": "magic"}, "method: input should be .*saliency.*not 'magic'"),
        ({"method": "saliency", "unit": 0}, "chosen for grad_cam alone"),
        ({"method": "grad_cam", "unit": "stages.9"}, "no unit 'stages.9'; the nearest is"),
        ({"baseline": "grey"}, "baseline: input should be .*black.*white.*mean.*not 'grey'"),
        ({"steps": 0}, "steps must be at least 1"),
        ({"method": "occlusion", "window": 9}, "9 pixels does not fit .* choose 1 to 8"),
        ({"method": "occlusion", "window": 0}, "window must be at least 1"),
        ({"deleted": ["stages.0.units.0", "nonsense"]}, "no unit 'nonsense'"),
        ({"deleted": [99]}, "no unit 99"),
    ],
)
def test_what_is_not_possible_is_one_sentence(
    options: dict[str, Any], sentence: str, digits: Dataset
) -> None:
    with pytest.raises(SkipscopeError, match=sentence) as caught:
        attribute(a_net("resnet_v1_14;width=4"), digits, 0, **options)
    assert str(caught.value).count("\n") == 0


@pytest.mark.parametrize(
    ("image", "options", "sentence"),
    [
        (40, {}, "no test image 40: .* has 40, 0 to 39"),
        (-1, {}, "no test image -1"),
        (0, {"target": 10}, "no class 10: this data has 10, 0 to 9"),
        (0, {"target": "ten"}, "no class 'ten' among 10"),
        (b"no image", {}, "not an image"),
        ("none.png", {}, "'none.png' cannot be read"),
    ],
)
def test_images_and_classes_that_are_none(
    image: Any, options: dict[str, Any], sentence: str, digits: Dataset
) -> None:
    with pytest.raises(DataError, match=sentence):
        attribute(a_net("resnet_v1_14;width=4"), digits, image, **options)


def test_a_persons_image_has_no_true_class(digits: Dataset) -> None:
    import base64

    from explorer.results.png import to_png

    file = base64.b64decode(to_png(np.zeros((9, 9, 3), np.uint8)))
    net = a_net("resnet_v1_14;width=4")
    assert attribute(net, digits, file, method="saliency").decision.true_class is None
    with pytest.raises(DataError, match="true class of your own image is not known"):
        attribute(net, digits, file, target="true")


def test_grad_cam_of_a_fully_connected_net_says_what_is_possible(digits: Dataset) -> None:
    net = a_net("fc_plain_6;width=9")
    with pytest.raises(NotApplicableError, match=r"instead: take integrated_gradients .* units\.$"):
        attribute(net, digits, 0, method="grad_cam")


def test_a_net_that_answers_with_no_number_is_refused(digits: Dataset) -> None:
    net = a_net("fc_plain_6;width=9")
    with torch.no_grad():
        net.head.linear.bias[3] = torch.nan
    with pytest.raises(DataError, match="not a number"):
        unit_conductance(net, digits, 0)


# ------------------------------------------------------------------------------------ results


def test_results_survive_json_and_become_tables(digits: Dataset) -> None:
    net = a_net("resnet_v1_14;width=4")
    for method in METHODS:
        result = attribute(net, digits, 0, method=method, name="mine", deleted=[1])
        back = Attribution.from_json(json.loads(json.dumps(result.to_json())))
        assert back.to_json() == result.to_json()
        assert (back.decision, back.method) == (result.decision, method)
        np.testing.assert_array_equal(back.values, result.values)
        np.testing.assert_array_equal(back.picture, result.picture)
        frame = result.to_frame()
        assert frame["value"].to_numpy().reshape(result.values.shape).tolist() == (
            result.values.tolist()
        )
        assert (result.net, result.image) == ("mine", "test image 0")
    units = unit_conductance(net, digits, 0, steps=2)
    back_units = UnitConductance.from_json(json.loads(json.dumps(units.to_json())))
    assert back_units.to_json() == units.to_json()
    assert units.to_frame()["unit"].tolist() == list(net.unit_names)
