"""The nets: equal to their blueprints, to the papers' equations, and to themselves."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast, get_args

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

import explorer.structure.cards
from explorer.errors import NotApplicableError, SpecError, WeightsError
from explorer.nets import Net, create_net, load_pretrained, load_weights, save_weights
from explorer.nets.highway import HighwayUnit
from explorer.nets.layers import Gate
from explorer.nets.residual import ResidualUnit
from explorer.structure.blueprint import ORDERS, Layer, blueprint
from explorer.structure.cards import Card, read_card, shipped, shipped_for
from explorer.structure.names import NETS, spec_of, token_of
from explorer.structure.specs import (
    DataSpec,
    DenseSpec,
    HighwaySpec,
    NetSpec,
    Order,
    PlainSpec,
    ResidualSpec,
    Shortcut,
    TrainSpec,
    fit,
)

GOLDEN = Path(__file__).parent / "golden"
REFRESH = bool(os.environ.get("SKIPSCOPE_REFRESH_GOLDEN"))
JOINS = ("add", "gate", "concatenate")
ORDER_NAMES = get_args(Order)
SHORTCUT_NAMES = get_args(Shortcut)


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """Small tensors: more threads only wait for each other, badly so on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def small(**fields: Any) -> ResidualSpec:
    """Three units of width 4 on 2 × 9 × 8 images, 5 classes."""
    fields = {"depth": 8, "width": 4, "input_shape": (2, 9, 8), "classes": 5, **fields}
    return ResidualSpec(**fields)


def every_choice() -> list[NetSpec]:
    """Nets that use every field of every family."""
    specs: list[NetSpec] = []
    for order in ORDER_NAMES:
        for shortcut in SHORTCUT_NAMES:
            specs.append(small(depth=14, order=order, shortcut=shortcut))
            specs.append(small(depth=11, unit="bottleneck", order=order, shortcut=shortcut))
            if order != "bn_after_addition":
                specs.append(small(order=order, shortcut=shortcut, batch_norm=False))
    specs += [
        small(survival_prob=0.5, shortcut="constant_scaling"),
        small(activation="tanh", survival_prob=0.5, survival_decay="uniform"),
        small(activation="sigmoid", padding="circular", init_gain=0.5),
        small(order="original", padding="reflect"),
        small(order="original", init="zero_last_scale"),
        small(init="zero_last_scale", batch_norm=False),
    ]
    images: dict[str, Any] = {"input_shape": (2, 9, 8), "classes": 5}
    for norm in (True, False):
        fc: dict[str, Any] = {"layout": "fc", "depth": 4, "width": 6, "batch_norm": norm, **images}
        specs += [
            PlainSpec(depth=14, width=4, batch_norm=norm, **images),
            PlainSpec(activation="tanh", init="xavier", **fc),
            ResidualSpec(**fc),
            ResidualSpec(survival_prob=0.7, **fc),
            HighwaySpec(depth=10, width=4, batch_norm=norm, **images),
            HighwaySpec(activation="tanh", **fc),
            DenseSpec(depth=10, growth_rate=3, batch_norm=norm, **images),
            DenseSpec(depth=10, growth_rate=3, batch_norm=norm, padding="circular", **images),
            DenseSpec(
                depth=16, growth_rate=3, bottleneck=True, compression=0.4, batch_norm=norm, **images
            ),
        ]
        specs += other_layouts(norm)
    return specs


def other_layouts(norm: bool) -> list[NetSpec]:
    """ImageNet's frame, the reference programs' and the small nets', narrow."""
    small: dict[str, Any] = {"input_shape": (2, 9, 8), "classes": 5, "batch_norm": norm}
    large: dict[str, Any] = {"layout": "imagenet", "width": 2, **small, "input_shape": (2, 33, 40)}
    reference: dict[str, Any] = {"layout": "reference", "depth": 10, **small}
    v1: dict[str, Any] = {"order": "original"}
    last: dict[str, Any] = {"stride_unit": "last"}
    program: dict[str, Any] = {"asymmetric_padding": "all", "norm_scale": False, "norm_eps": 0.01}
    specs: list[NetSpec] = [
        PlainSpec(depth=18, **large),
        PlainSpec(depth=50, **large),
        PlainSpec(depth=20, unit="bottleneck", width=4, **small),
        ResidualSpec(depth=18, **v1, **large),
        ResidualSpec(depth=18, order="relu_only_preact", shortcut="A", **last, **large),
        ResidualSpec(depth=50, **v1, **large),
        ResidualSpec(depth=50, stride_conv="1x1", **v1, **last, **large),
        ResidualSpec(depth=50, **large),
        ResidualSpec(depth=50, shortcut="C", **last, **large),
        ResidualSpec(depth=50, survival_prob=0.5, **last, **large),
        DenseSpec(depth=121, growth_rate=2, **{k: v for k, v in large.items() if k != "width"}),
        PlainSpec(width=4, **reference),
        ResidualSpec(width=4, survival_prob=0.5, **reference),
        HighwaySpec(width=4, **reference),
        DenseSpec(growth_rate=4, **reference),
        HighwaySpec(layout="fitnet", depth=11, width=3, **small),
        HighwaySpec(layout="fitnet", depth=19, width=2, activation="tanh", **small),
        HighwaySpec(layout="fitnet", depth=32, width=2, **small),
        ResidualSpec(layout="small", width=4, **v1, **small),
        ResidualSpec(layout="small", width=4, shortcut="A", **small),
        ResidualSpec(layout="small", width=4, bare_frame=True, **v1, **small),
        ResidualSpec(layout="small", width=4, bare_frame=True, conv_bias="all", **small),
        HighwaySpec(width=4, **reference, **program),
        ResidualSpec(width=4, conv_bias="units", **reference, **program),
        DenseSpec(growth_rate=4, **reference, **program),
        PlainSpec(depth=20, width=4, conv_bias="all", **small, **program),
        ResidualSpec(depth=8, width=4, conv_bias="unnormalised", **small, **program),
        ResidualSpec(depth=50, conv_bias="unnormalised", **last, **large, **program),
        ResidualSpec(depth=50, asymmetric_padding="pools", **large),
        ResidualSpec(depth=8, width=4, padding="circular", **small, **program),
    ]
    # a stride in the last unit, outside ImageNet's frame
    specs += [small_with(norm, shortcut=shortcut, **last) for shortcut in ("A", "B", "C")]
    return specs


def small_with(norm: bool, **fields: Any) -> ResidualSpec:
    return small(depth=20, unit="bottleneck", stride_conv="3x3", batch_norm=norm, **fields)


def images_for(spec: NetSpec, n: int = 3, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, *spec.input_shape, generator=generator)


def randomise_norms(net: Net) -> None:
    """Batch norms that do something, so that a forgotten one is noticed."""
    generator = torch.Generator().manual_seed(5)

    def fill(tensor: Tensor, low: float, high: float) -> None:
        tensor.copy_(torch.rand(tensor.shape, generator=generator) * (high - low) + low)

    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                assert module.running_mean is not None
                assert module.running_var is not None
                if module.weight is not None:
                    fill(module.weight, 0.5, 1.5)
                fill(module.bias, -0.5, 0.5)
                fill(module.running_mean, -0.5, 0.5)
                fill(module.running_var, 0.5, 2.0)


# ------------------------------------------------------------------------- blueprint = net


@pytest.mark.parametrize("spec", every_choice(), ids=token_of)
def test_every_layer_of_the_blueprint_is_the_nets(spec: NetSpec) -> None:
    net = create_net(spec, seed=1)
    net.eval()
    modules = dict(net.named_modules())
    planned = [layer for layer in net.blueprint.layers if layer.kind not in JOINS]
    joins = [layer for layer in net.blueprint.layers if layer.kind in JOINS]
    called: list[tuple[str, tuple[int, ...], tuple[int, ...]]] = []

    def note(name: str) -> Any:
        def hook(_: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> None:
            called.append((name, tuple(given[0].shape[1:]), tuple(output.shape[1:])))

        return hook

    for layer in planned:
        modules[layer.name].register_forward_hook(note(layer.name))
    net(images_for(spec))

    # the same layers in the same order with the same shapes
    assert called == [(x.name, x.input_shape, x.output_shape) for x in planned]
    for layer in planned:
        module = modules[layer.name]
        assert sum(p.numel() for p in module.parameters()) == layer.parameters, layer.name
        assert counted_multiply_adds(module, layer) == layer.multiply_adds, layer.name
        assert type(module).__name__ in MODULE_OF[layer.kind], layer.name
    assert sum(p.numel() for p in net.parameters()) == net.blueprint.parameters
    for join in joins:
        assert join.name.rsplit(".", 1)[0] in net.unit_names
        assert join.name not in modules

    # units are folds of the net, and every parameter belongs to a planned layer
    x = net.stem(images_for(spec))
    for unit, plan in zip(net.units, net.blueprint.units, strict=True):
        assert modules[plan.name] is unit
        assert tuple(x.shape[1:]) == plan.input_shape
        x = unit(x)
        assert tuple(x.shape[1:]) == plan.output_shape
    torch.testing.assert_close(net.head(x), net(images_for(spec)))


MODULE_OF = {
    "conv": ("Conv2d",),
    "linear": ("Linear",),
    "batch_norm": ("BatchNorm1d", "BatchNorm2d", "ShiftNorm1d", "ShiftNorm2d"),
    "pad": ("SamePad",),
    "activation": ("ReLU", "Tanh", "Sigmoid"),
    "max_pool": ("MaxPool2d", "AdaptiveMaxPool2d"),
    "average_pool": ("AvgPool2d", "AdaptiveAvgPool2d"),
    "select": ("LastMaps",),
    "flatten": ("Flatten",),
    "identity": ("Identity",),
    "zero_pad": ("ZeroPad",),
    "scale": ("Scale",),
    "dropout": ("Dropout", "Survival"),
    "sigmoid": ("Sigmoid",),
}


def counted_multiply_adds(module: nn.Module, layer: Layer) -> int:
    """From the module's own weights and the size of its output."""
    if isinstance(module, nn.Conv2d):
        return module.weight.numel() * math.prod(layer.output_shape[1:])
    return module.weight.numel() if isinstance(module, nn.Linear) else 0


def test_multiply_adds_are_what_torch_counts() -> None:
    from torch.utils.flop_counter import FlopCounterMode

    for name in ("resnet_v1_20", "densenet_40_k12", "highway_25", "fc_highway_10"):
        net = create_net(name, seed=0).eval()
        counter = FlopCounterMode(display=False)
        with counter, torch.no_grad():
            net(images_for(net.spec, n=1))
        assert counter.get_total_flops() == 2 * net.blueprint.multiply_adds


# --------------------------------------------------------- residual units, straight from He16


def reference_unit(
    p: dict[str, Tensor], spec: ResidualSpec, x: Tensor, *, stride: int, maps: int
) -> Tensor:
    """A two-layer unit of the second stage, written down once more from He16 Figs 2 and 4."""

    def conv(x: Tensor, name: str, stride: int = 1) -> Tensor:
        weight = p[f"{name}.weight"]
        return F.conv2d(x, weight, p.get(f"{name}.bias"), stride, weight.shape[-1] // 2)

    def bn(x: Tensor, name: str) -> Tensor:
        stats = (p[f"{name}.running_mean"], p[f"{name}.running_var"])
        return F.batch_norm(x, *stats, p[f"{name}.weight"], p[f"{name}.bias"])

    changes = stride == 2 or x.shape[1] != maps
    projects = spec.shortcut in ("C", "conv1x1") or (spec.shortcut == "B" and changes)
    preactivated = spec.order in ("full_preact", "relu_only_preact")

    # pre-activation: shared with a projection
    before = x
    if spec.order == "full_preact":
        before = F.relu(bn(x, "split.bn" if projects else "residual.bn1"))
    elif spec.order == "relu_only_preact":
        before = F.relu(x)

    # shortcut
    if projects:
        h = conv(before if preactivated else x, "shortcut.conv", stride)
        normed = spec.order in ("original", "relu_before_addition", "relu_only_preact")
        if normed and spec.shortcut != "conv1x1":
            h = bn(h, "shortcut.bn")
    elif changes:
        h = x[:, :, ::stride, ::stride]
        zeros = h.new_zeros(h.shape[0], maps - h.shape[1], *h.shape[2:])
        h = torch.cat((h, zeros), dim=1)
    else:
        h = x

    # residual
    if spec.order == "full_preact":
        f = conv(before, "residual.conv1", stride)
        f = conv(F.relu(bn(f, "residual.bn2")), "residual.conv2")
    elif spec.order == "relu_only_preact":
        f = bn(conv(before, "residual.conv1", stride), "residual.bn1")
        f = bn(conv(F.relu(f), "residual.conv2"), "residual.bn2")
    else:
        f = F.relu(bn(conv(x, "residual.conv1", stride), "residual.bn1"))
        f = conv(f, "residual.conv2")
        if spec.order != "bn_after_addition":
            f = bn(f, "residual.bn2")
        if spec.order == "relu_before_addition":
            f = F.relu(f)

    # Table 1
    if spec.shortcut == "constant_scaling":
        h, f = spec.shortcut_scale * h, spec.residual_scale * f
    elif spec.shortcut in ("exclusive_gating", "shortcut_only_gating") and not changes:
        g = torch.sigmoid(conv(x, "shortcut_gate.conv"))
        h = (1 - g) * h
        f = g * f if spec.shortcut == "exclusive_gating" else f

    # join
    y = h + f
    if spec.order == "original":
        return F.relu(y)
    return F.relu(bn(y, "after.bn")) if spec.order == "bn_after_addition" else y


@pytest.mark.parametrize("where", ["same shape", "stride 2"])
@pytest.mark.parametrize("order", ORDER_NAMES)
@pytest.mark.parametrize("shortcut", SHORTCUT_NAMES)
def test_residual_units_are_the_papers(shortcut: Any, order: Any, where: str) -> None:
    spec = small(
        depth=14,
        shortcut=shortcut,
        order=order,
        shortcut_scale=0.7,
        residual_scale=0.3,
        gate_bias=-0.5,
    )
    net = create_net(spec, seed=3).eval()
    randomise_norms(net)
    index = 2 if where == "stride 2" else 3
    unit, plan = net.units[index], net.blueprint.units[index]
    assert isinstance(unit, ResidualUnit)
    assert plan.stride == (2 if where == "stride 2" else 1)
    x = torch.randn(3, *plan.input_shape)
    with torch.no_grad():
        wanted = reference_unit(
            unit.state_dict(), spec, x, stride=plan.stride, maps=plan.output_shape[0]
        )
        torch.testing.assert_close(unit(x), wanted)
        assert wanted.abs().max() > 0.1


@pytest.mark.parametrize("order", ORDER_NAMES)
def test_whole_residual_nets_are_the_papers(order: Any) -> None:
    """Stem, first unit, last activation: what the units alone do not show."""
    spec = small(depth=14, order=order)
    net = create_net(spec, seed=3).eval()
    randomise_norms(net)
    p = net.state_dict()
    x = images_for(spec)

    def bn(x: Tensor, name: str) -> Tensor:
        stats = (p[f"{name}.running_mean"], p[f"{name}.running_var"])
        return F.batch_norm(x, *stats, p[f"{name}.weight"], p[f"{name}.bias"])

    with torch.no_grad():
        y = F.relu(bn(F.conv2d(x, p["stem.conv.weight"], padding=1), "stem.bn"))
        for i, plan in enumerate(net.blueprint.units):
            prefix = plan.name + "."
            state = {k.removeprefix(prefix): v for k, v in p.items() if k.startswith(prefix)}
            if i == 0 and order in ("full_preact", "relu_only_preact"):
                # its opening activation is the stem's, shared by both branches
                f = F.conv2d(y, state["residual.conv1.weight"], padding=1)
                name = "bn2" if order == "full_preact" else "bn1"
                f = F.relu(bn(f, f"{prefix}residual.{name}"))
                f = F.conv2d(f, state["residual.conv2.weight"], padding=1)
                f = f if order == "full_preact" else bn(f, f"{prefix}residual.bn2")
                y = y + f
            else:
                y = reference_unit(state, spec, y, stride=plan.stride, maps=plan.output_shape[0])
        if order == "full_preact":
            y = F.relu(bn(y, "head.bn"))
        elif order == "relu_only_preact":
            y = F.relu(y)
        wanted = F.linear(y.mean((2, 3)), p["head.linear.weight"], p["head.linear.bias"])
        torch.testing.assert_close(net(x), wanted)


def test_highway_units_are_the_papers() -> None:
    """SGS15 Eq 3."""
    net = create_net("fc_highway_10", input_shape=(1, 8, 8), seed=2)
    unit = net.units[4]
    p = unit.state_dict()
    x = torch.rand(5, 50)
    h = F.relu(x @ p["transform.linear.weight"].T + p["transform.linear.bias"])
    t = torch.sigmoid(x @ p["transform_gate.linear.weight"].T + p["transform_gate.linear.bias"])
    torch.testing.assert_close(unit(x), h * t + x * (1 - t))


def test_dense_units_are_the_papers() -> None:
    """Huang16 Eq 2: every unit sees the maps of all before it."""
    spec = DenseSpec(depth=10, growth_rate=3, input_shape=(2, 9, 8))
    net = create_net(spec, seed=2).eval()
    randomise_norms(net)
    p = net.state_dict()
    maps = [net.stem(images_for(spec))]
    for j in range(2):
        name = f"stages.0.units.{j}.growth"
        x = torch.cat(maps, dim=1)
        stats = (p[f"{name}.bn1.running_mean"], p[f"{name}.bn1.running_var"])
        x = F.relu(F.batch_norm(x, *stats, p[f"{name}.bn1.weight"], p[f"{name}.bn1.bias"]))
        maps.append(F.conv2d(x, p[f"{name}.conv1.weight"], padding=1))
    y = net.units[1](net.units[0](maps[0]))
    torch.testing.assert_close(y, torch.cat(maps, dim=1))


# ------------------------------------------------------------------------------- exact truths


def test_a_scaled_shortcut_multiplies_the_direct_gradient_by_lambda_to_the_depth() -> None:
    """He16 Eq 8: with F = 0 the gradient that reaches the input is the product of the λ."""
    spec = small(
        depth=20, shortcut="constant_scaling", shortcut_scale=0.8, residual_scale=0, classes=2
    )
    net = create_net(spec, seed=0).eval()
    x = torch.randn(2, 4, 9, 8, requires_grad=True)
    y = x
    for unit in net.units:
        y = unit(y)
    y.sum().backward()  # type: ignore[no-untyped-call]
    assert x.grad is not None
    # Option A keeps every fourth row and column of the input.
    kept = x.grad[:, :, ::4, ::4]
    torch.testing.assert_close(kept, torch.full_like(kept, 0.8 ** len(net.units)))
    assert torch.count_nonzero(x.grad) == kept.numel()


@pytest.mark.parametrize("name", ["fc_highway_10", "highway_25"])
def test_without_gate_weights_the_transform_gate_is_sigma_of_its_bias(name: str) -> None:
    net = create_net(f"{name};transform_bias=-3", input_shape=(1, 8, 8), seed=0)
    units = [unit for unit in net.units if isinstance(unit, HighwayUnit)]
    assert units
    for unit in units:
        layer = cast(nn.Linear, unit.transform_gate[0])
        nn.init.zeros_(layer.weight)
        width = layer.weight.shape[0]
        x = torch.randn(2, width) if name.startswith("fc") else torch.randn(2, width, 4, 4)
        gate = unit.transform_gate(x)
        torch.testing.assert_close(gate, torch.full_like(gate, 1 / (1 + math.exp(3))))
        torch.testing.assert_close(unit(x), unit.transform(x) * gate + x * (1 - gate))


@pytest.mark.parametrize("norm", [True, False])
@pytest.mark.parametrize("order", ORDER_NAMES)
def test_zero_last_scale_starts_every_unit_as_its_shortcut_and_learns(
    order: Any, norm: bool
) -> None:
    fields: dict[str, Any] = {"depth": 14, "order": order, "batch_norm": norm}
    if order == "relu_before_addition" or (order == "bn_after_addition" and not norm):
        with pytest.raises(ValueError, match=r"cannot learn|is the original order"):
            small(init="zero_last_scale", **fields)
        return
    net = create_net(small(init="zero_last_scale", **fields), seed=0)
    x = net.stem(images_for(net.spec))
    for unit in net.units:
        assert isinstance(unit, ResidualUnit)
        _, residual = unit.branches(x)
        assert torch.count_nonzero(residual) == 0
        x = unit(x)
    F.cross_entropy(net.head(x), torch.tensor([0, 1, 2])).backward()  # type: ignore[no-untyped-call]
    for unit in net.units:
        branch = cast(ResidualUnit, unit).residual
        *_, last = (p for n, p in branch.named_parameters() if n.endswith("weight"))
        assert last.grad is not None
        assert torch.count_nonzero(last.grad) > 0


@pytest.mark.parametrize(
    "token",
    [
        "resnet_v1_56;batch_norm=false;init=branch_scaled",
        "resnet_v2_56;batch_norm=false;init=branch_scaled",
        "fc_residual_50",
    ],
)
def test_scaled_branches_start_with_answers_of_a_bounded_size(token: str) -> None:
    net = create_net(token, input_shape=(1, 8, 8), seed=0)
    x = net.stem(images_for(net.spec, n=16))
    start = x.detach().std()
    for unit in net.units:
        x = unit(x)
    assert 0.2 < float(x.detach().std() / start) < 12
    assert float(net.head(x).detach().abs().max()) < 20


def test_survival_drops_whole_batches_in_training_and_scales_in_testing() -> None:
    net = create_net(small(survival_prob=0.4, survival_decay="uniform"), seed=0)
    unit = cast(ResidualUnit, net.units[0])
    x = torch.rand(2, 4, 9, 8)
    unit.eval()
    f = unit.residual(x)
    torch.testing.assert_close(unit(x), x + 0.4 * f)
    unit.train()
    torch.manual_seed(0)
    kept = 0
    for _ in range(300):
        added = (unit(x) - x).abs().amax((1, 2, 3))
        assert bool((added > 0).all()) or bool((added == 0).all())
        kept += bool((added > 0).all())
    assert 90 < kept < 150  # 120 expected, four standard deviations are 34


def test_deletion_is_what_remains_without_the_unit() -> None:
    for spec in (small(depth=14), small(depth=14, order="original", shortcut="B")):
        net = create_net(spec, seed=0).eval()
        for unit, plan in zip(net.units, net.blueprint.units, strict=True):
            assert isinstance(unit, ResidualUnit)
            x = torch.rand(2, *plan.input_shape)
            without = unit.bypass(x)
            shortcut, _ = unit.branches(x)
            torch.testing.assert_close(without, unit.after(shortcut))
            for parameter in unit.residual.parameters():
                nn.init.zeros_(parameter)
            torch.testing.assert_close(unit(x), without)

    highway = create_net("highway_10", input_shape=(1, 8, 8), seed=0)
    x = torch.rand(2, 16, 8, 8)
    assert cast(HighwayUnit, highway.units[0]).bypass(x) is x

    dense = create_net("densenet_10_k12", input_shape=(1, 8, 8), seed=0)
    y = cast(Any, dense.units[0]).bypass(x)
    assert torch.equal(y[:, :16], x)
    assert y.shape[1] == 28
    assert torch.count_nonzero(y[:, 16:]) == 0

    plain = create_net("plain_14", input_shape=(1, 8, 8), seed=0)
    first, change = plain.units[0], plain.units[2]
    assert cast(Any, first).bypass(x) is x
    with pytest.raises(NotApplicableError, match="changes the shape"):
        cast(Any, change).bypass(x)


# --------------------------------------------------------------------------------------- seeds


def test_a_plain_net_and_its_residual_twin_start_from_the_same_weights() -> None:
    plain = create_net("plain_20", seed=11)
    for name in ("resnet_v1_20", "resnet_v2_20", "resnet_v2_20;shortcut=B"):
        twin = create_net(name, seed=11)
        pairs = list(zip(main_layers(plain), main_layers(twin), strict=True))
        assert len(pairs) == 20
        for ours, theirs in pairs:
            assert torch.equal(ours.weight, theirs.weight)
    ours, theirs = (main_layers(create_net(name, seed=3)) for name in ("plain_29", "resnet_v2_29"))
    assert len(ours) == len(theirs) == 29  # 9n + 2: bottlenecks
    assert all(torch.equal(a.weight, b.weight) for a, b in zip(ours, theirs, strict=True))
    assert not torch.equal(
        main_layers(plain)[3].weight, main_layers(create_net("plain_20", seed=12))[3].weight
    )


def main_layers(net: Net) -> list[nn.Conv2d | nn.Linear]:
    modules = dict(net.named_modules())
    names = [layer.name for layer in net.blueprint.layers if layer.depth_index is not None]
    return [cast("nn.Conv2d | nn.Linear", modules[name]) for name in names]


def test_seeds_decide_everything_and_leave_the_global_generator_alone() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    a, b = create_net("resnet_v2_8", seed=4), create_net("resnet_v2_8", seed=4)
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters(), strict=True))
    c = create_net("resnet_v2_8")
    torch.manual_seed(3)
    d = create_net("resnet_v2_8")
    assert all(torch.equal(x, y) for x, y in zip(c.parameters(), d.parameters(), strict=True))
    assert not torch.equal(main_layers(a)[0].weight, main_layers(c)[0].weight)


def test_initial_weights_have_the_size_that_he_and_glorot_ask_for() -> None:
    he = create_net("plain_8;width=64", seed=0)
    xavier = create_net("plain_8;width=64;init=xavier", seed=0)
    for net, wanted in ((he, math.sqrt(2 / 576)), (xavier, math.sqrt(1 / 576))):
        weight = cast(nn.Conv2d, dict(net.named_modules())["stages.0.units.0.conv2"]).weight
        assert float(weight.detach().std()) == pytest.approx(wanted, rel=0.02)
    gate = cast(HighwayUnit, create_net("highway_7;width=64", seed=0).units[0]).transform_gate[0]
    wanted = math.sqrt(1 / 576)  # sigmoids are Glorot's, whatever the rectifiers are drawn by
    assert float(cast(nn.Conv2d, gate).weight.detach().std()) == pytest.approx(wanted, rel=0.02)
    biases = [p for n, p in he.named_parameters() if n.endswith("linear.bias")]
    assert all(torch.count_nonzero(p) == 0 for p in biases)


@pytest.mark.parametrize("token", ["plain_8", "resnet_v2_8;init=xavier", "fc_plain_5"])
def test_the_gain_is_a_factor_on_all_initial_weights_but_the_gates(token: str) -> None:
    usual, other = (create_net(f"{token};init_gain={gain}", seed=3) for gain in (1, 0.5))
    for (name, a), (_, b) in zip(usual.named_parameters(), other.named_parameters(), strict=True):
        factor = 0.5 if a.ndim > 1 else 1  # biases and batch norms have none
        assert torch.equal(factor * a, b), name
    gated = [create_net(f"highway_7;init_gain={gain}", seed=3).units[0] for gain in (1, 0.5)]
    one, two = (cast(HighwayUnit, unit).transform_gate[0].weight for unit in gated)
    assert torch.equal(one, two)


def around(x: Tensor, mode: str) -> Tensor:
    """One more pixel on each side, written out with indices."""
    n = x.shape[-1]
    places = {"circular": [n - 1, *range(n), 0], "reflect": [1, *range(n), n - 2]}[mode]
    return x[:, :, places][:, :, :, places]


@pytest.mark.parametrize("mode", ["circular", "reflect"])
def test_every_convolution_pads_as_was_chosen(mode: str) -> None:
    spec = PlainSpec(depth=8, width=3, batch_norm=False, padding=mode, input_shape=(1, 8, 8))
    net = create_net(spec, seed=5)
    x = torch.rand(2, 1, 8, 8)
    y = F.relu(F.conv2d(around(x, mode), net.get_parameter("stem.conv.weight")))
    for stage in range(3):
        for number, stride in ((1, 2 if stage else 1), (2, 1)):
            weight = net.get_parameter(f"stages.{stage}.units.0.conv{number}.weight")
            y = F.relu(F.conv2d(around(y, mode), weight, stride=stride))
    head = net.get_submodule("head.linear")
    torch.testing.assert_close(net(x), head(y.mean((2, 3))))
    rolled = create_net(spec.model_copy(update={"padding": "circular"}), seed=5)
    # on a torus no pixel is at an edge: what a stage without stride answers moves with its input
    first = torch.nn.Sequential(rolled.stem, rolled.units[0])
    torch.testing.assert_close(first(x.roll(3, 2)), first(x).roll(3, 2))


def test_padding_that_cannot_be_is_refused_in_a_sentence() -> None:
    with pytest.raises(SpecError, match=r"would get maps of 1×1: choose 'zeros' or 'circular'"):
        create_net("reference_plain_5;padding=reflect", input_shape=(1, 8, 8))
    with pytest.raises(SpecError, match="no convolutions to pad: leave padding at 'zeros'"):
        create_net("fc_plain_5;padding=circular")
    with pytest.raises(SpecError, match=r"init_gain must be at least 0\.01 and at most 10"):
        create_net("plain_8;init_gain=0")
    with pytest.raises(SpecError, match="padding: "):
        create_net("plain_8;padding=mirror")
    # circular padding works on maps of one pixel, too, and 1×1 kernels need no margin
    net = create_net("reference_plain_5;padding=circular;width=4", input_shape=(1, 8, 8), seed=0)
    assert net.eval()(torch.rand(1, 1, 8, 8)).isfinite().all()
    assert create_net("plain_20;unit=bottleneck;padding=reflect", input_shape=(1, 8, 8))


@pytest.mark.parametrize(
    "name",
    [
        "highway_16;width=4",
        "fc_highway_5;width=8",
        "resnet_v1_14;width=4;shortcut=exclusive_gating",
        "resnet_v2_14;width=4;shortcut=shortcut_only_gating",
        "resnet_v2_14;width=4",
        "plain_8;width=4",
    ],
)
def test_the_blueprint_knows_every_gate_of_the_net(name: str) -> None:
    net = create_net(name, seed=0)
    gates = [path for path, module in net.named_modules() if isinstance(module, Gate)]
    assert [unit.gate for unit in net.blueprint.gated_units] == gates


def test_gates_start_at_their_bias() -> None:
    highway = create_net("fc_highway_10;transform_bias=-3", seed=0)
    for unit in highway.units:
        assert isinstance(unit, HighwayUnit)
        assert bool((unit.transform_gate.bias == -3).all())
    gated = create_net(small(shortcut="exclusive_gating", gate_bias=-4), seed=0)
    first = gated.units[0]
    assert isinstance(first, ResidualUnit)
    assert first.shortcut_gate is not None
    assert bool((first.shortcut_gate.bias == -4).all())


# ------------------------------------------------------------------------------- the registry

DEEPEST = {"imagenet": 50}
ROWS = [n for n, row in NETS.items() if row.spec.depth <= DEEPEST.get(row.spec.layout, 110)]


@pytest.mark.parametrize("name", ROWS)
def test_registry_contract(name: str, tmp_path: Path) -> None:
    spec = fit(spec_of(name), (1, 8, 8), 7)
    net = create_net(spec, seed=1)
    x = images_for(spec, n=4)
    y = net(x)
    assert y.shape == (4, 7)
    assert bool(torch.isfinite(y).all())
    F.cross_entropy(y, torch.tensor([0, 1, 2, 3])).backward()  # type: ignore[no-untyped-call]
    for parameter_name, parameter in net.named_parameters():
        assert parameter.grad is not None, f"No gradient for {parameter_name}"
        assert bool(torch.isfinite(parameter.grad).all()), parameter_name

    again = create_net(token_of(spec), input_shape=(1, 8, 8), classes=7, seed=1)
    assert again.spec == spec
    again.load_state_dict(net.state_dict())
    net.eval()
    again.eval()
    with torch.no_grad():
        assert torch.equal(net(x), again(x))
    modules = dict(net.named_modules())
    assert net.unit_names == tuple(unit.name for unit in net.blueprint.units)
    assert all(modules[n] is unit for n, unit in zip(net.unit_names, net.units, strict=True))
    for unit, plan in zip(net.units, net.blueprint.units, strict=True):
        if plan.deletable:
            given = torch.zeros(2, *plan.input_shape)
            assert cast(Any, unit).bypass(given).shape[1:] == plan.output_shape


def test_outputs_are_what_they_were() -> None:
    """Set SKIPSCOPE_REFRESH_GOLDEN=1 to write the file anew after a meant change."""
    names = [
        "plain_20",
        "resnet_v1_20",
        "resnet_v2_20",
        "resnet_v2_20;shortcut=B",
        "resnet_v2_20;unit=bottleneck",
        "highway_19",
        "densenet_40_k12",
        "densenet_bc_40_k12",
        "fc_plain_10",
        "fc_highway_10",
    ]
    file = GOLDEN / "outputs.json"
    outputs = {}
    for name in names:
        net = create_net(name, input_shape=(1, 8, 8), seed=7).eval()
        with torch.no_grad():
            outputs[name] = net.double()(images_for(net.spec, n=1, seed=9).double())[0].tolist()
    if REFRESH:
        rounded = {name: [round(v, 6) for v in values] for name, values in outputs.items()}
        file.write_text(json.dumps(rounded, indent=1) + "\n", "utf-8")
    golden = json.loads(file.read_text("utf-8"))
    assert sorted(golden) == sorted(outputs)
    for name, values in outputs.items():
        assert values == pytest.approx(golden[name], rel=1e-4, abs=1e-4), name


# ------------------------------------------------------------------------------------- weights


def card_of(net: Net) -> Card:
    return Card(
        name="test",
        spec=net.spec,
        data=DataSpec(),
        recipe=TrainSpec(steps=3),
        seed=7,
        accuracy=0.5,
        n_images=360,
        results={"lesions": {"units": [1.5]}},
    )


def test_weights_and_card_round_trip(tmp_path: Path) -> None:
    net = create_net("resnet_v2_8", input_shape=(1, 8, 8), seed=1)
    net(images_for(net.spec, n=8))  # moves the running statistics
    file = save_weights(net, tmp_path / "sub" / "test.safetensors", card_of(net))
    assert file == tmp_path / "sub" / "test.safetensors"
    assert read_card(file) == card_of(net)
    other = create_net(net.spec, seed=2)
    load_weights(other, file)
    for (name, a), (_, b) in zip(net.state_dict().items(), other.state_dict().items(), strict=True):
        assert torch.equal(a, b), name
    with pytest.raises(WeightsError, match="another net"):
        save_weights(other, file, card_of(create_net("resnet_v2_14")))


def test_a_full_disk_leaves_the_weights_of_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = create_net("plain_8", input_shape=(1, 8, 8), seed=1)
    file = save_weights(net, tmp_path / "test.safetensors", card_of(net))
    kept = file.read_bytes()

    def full(tensors: object, path: Path, metadata: object) -> None:
        path.write_bytes(b"half")
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr("explorer.nets.weights.save_file", full)
    with pytest.raises(WeightsError, match=r"No space left .* free some space, or choose another"):
        save_weights(net, file, card_of(net))
    assert file.read_bytes() == kept
    assert sorted(f.suffix for f in tmp_path.iterdir()) == [".json", ".safetensors"]


def test_weights_that_do_not_fit_say_what_differs(tmp_path: Path) -> None:
    net = create_net("resnet_v2_8", input_shape=(1, 8, 8), seed=1)
    file = save_weights(net, tmp_path / "test.safetensors", card_of(net))
    state = net.state_dict()

    def message(target: Net, path: Path = file) -> str:
        before = {name: value.clone() for name, value in target.state_dict().items()}
        with pytest.raises(WeightsError) as caught:
            load_weights(target, path)
        after = target.state_dict()
        assert all(torch.equal(before[name], after[name]) for name in before)
        text = str(caught.value)
        assert "\n" not in text
        assert text.endswith(".")
        return text

    deeper = create_net("resnet_v2_14", input_shape=(1, 8, 8))
    assert "it lacks stages.0.units.1.residual.bn1.weight" in message(deeper)
    wider = create_net("resnet_v2_8;width=8", input_shape=(1, 8, 8))
    assert "stem.conv.weight has the shape (16, 1, 3, 3) instead of (8, 1, 3, 3)" in message(wider)
    bare = create_net("resnet_v2_8;batch_norm=false", input_shape=(1, 8, 8))
    assert "which the net lacks" in message(bare)

    pickled = tmp_path / "weights.pt"
    torch.save(state, pickled)
    load_weights(create_net(net.spec), pickled)  # whatever wrote it
    pickled.write_bytes(pickled.read_bytes()[:-200])
    assert "is damaged" in message(net, pickled)
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(file.read_bytes()[:-50])
    assert "is damaged" in message(net, cut)
    empty = tmp_path / "empty.safetensors"
    empty.write_bytes(b"")
    assert "is damaged" in message(net, empty)
    assert "no weights file" in message(net, tmp_path)
    infinite = tmp_path / "infinite.safetensors"
    save_file({**state, "stem.conv.weight": torch.full((16, 1, 3, 3), math.nan)}, infinite)
    assert "not finite" in message(net, infinite)
    whole = tmp_path / "whole.safetensors"
    save_file({**state, "stem.conv.weight": torch.ones(16, 1, 3, 3, dtype=torch.int64)}, whole)
    assert "int64" in message(net, whole)


def test_shipped_nets_are_found_and_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explorer.structure.cards, "PRETRAINED", tmp_path)
    shipped.cache_clear()
    try:
        assert shipped() == {}
        with pytest.raises(WeightsError, match="there are: none in this installation"):
            load_pretrained("digits_plain_8")
        net = create_net("plain_8", input_shape=(1, 8, 8), seed=1)
        save_weights(net, tmp_path / "digits_plain_8.safetensors", card_of(net))
        (tmp_path / "lonely.json").write_text("{}")  # a card without weights is not offered
        shipped.cache_clear()
        assert shipped() == {"digits_plain_8": card_of(net)}
        assert shipped_for(net.spec, "digits") == card_of(net)
        assert shipped_for(net.spec, "mnist") is None
        assert shipped_for(spec_of("plain_8"), "digits") is None  # for images of another shape
        loaded = load_pretrained("digits_plain_8")
        assert not loaded.training
        assert loaded.spec == net.spec
        x = images_for(net.spec)
        assert torch.equal(loaded(x), net.eval()(x))
        with pytest.raises(WeightsError, match="'nix'; there are: digits_plain_8"):
            load_pretrained("nix")
    finally:
        shipped.cache_clear()


def test_everything_in_pretrained_loads_and_keeps_its_promise() -> None:
    """The weights are the card's net's, and the card names its test images and its command."""
    for name, card in shipped().items():
        assert card.name == name
        assert card.command.startswith("skipscope ")
        assert card.licence
        net = load_pretrained(name)
        assert net.spec == card.spec
        assert net(images_for(net.spec)).shape == (3, card.spec.classes)


def test_damaged_cards_say_so(tmp_path: Path) -> None:
    for text in ("", "{", "[]", '{"name": "x"}'):
        (tmp_path / "card.json").write_text(text)
        with pytest.raises(WeightsError, match=r"card\.json is not a card"):
            read_card(tmp_path / "card.json")
    with pytest.raises(WeightsError, match=r"There is no card gone\.json"):
        read_card(tmp_path / "gone.safetensors")
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(WeightsError, match="cannot be read"):
        read_card(tmp_path / "bytes.json")


def test_specs_refuse_what_cannot_work() -> None:
    for fields in (
        {"init": "zero_last_scale", "order": "relu_before_addition"},
        {"init": "zero_last_scale", "layout": "fc"},
        {"order": "bn_after_addition", "batch_norm": False},
        {"layout": "fc", "shortcut": "B"},
    ):
        with pytest.raises(ValueError, match=r"zero_last_scale|bn_after_addition|fully connected"):
            small(**fields)
    with pytest.raises(SpecError, match="Depth 57 is not possible"):
        create_net("resnet_v2_57")
    with pytest.raises(SpecError, match="classes must be at least 2"):
        create_net("resnet_v2_8", classes=0)
    with pytest.raises(SpecError, match=r"would have 316\.7 billion parameters, and 1 billion are"):
        create_net("resnet_v1_1202;width=2048")
    assert set(ORDERS) == set(ORDER_NAMES)
    assert blueprint(small()).spec == small()
