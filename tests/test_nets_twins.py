"""Our nets against independent ones: torchvision's, timm's, and straight lines of ``F.conv2d``."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F

from explorer.nets import Net, create_net
from explorer.nets.layers import Gate
from explorer.structure.names import spec_of
from explorer.structure.specs import DenseSpec, HighwaySpec, NetSpec, PlainSpec, ResidualSpec

Rename = Callable[[str], str]


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def randomise(module: nn.Module) -> None:
    """Batch norms and gates that do something, so that one out of place is noticed."""
    generator = torch.Generator().manual_seed(5)

    def fill(tensor: Tensor, low: float, high: float) -> None:
        tensor.copy_(torch.rand(tensor.shape, generator=generator) * (high - low) + low)

    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, nn.BatchNorm2d):
                assert part.running_mean is not None
                assert part.running_var is not None
                fill(part.weight, 0.5, 1.5)
                fill(part.bias, -0.5, 0.5)
                fill(part.running_mean, -0.5, 0.5)
                fill(part.running_var, 0.5, 2.0)
            elif isinstance(part, Gate):
                fill(part.bias, -1.0, 1.0)


def copy_weights(ours: Net, theirs: nn.Module, rename: Rename) -> None:
    """Fill ``ours`` with ``theirs``; every tensor of both is used exactly once."""
    renamed = {rename(name): value for name, value in theirs.state_dict().items()}
    assert len(renamed) == len(theirs.state_dict())
    ours.load_state_dict(renamed, strict=True)


def renaming(*rules: tuple[str, str | Callable[[re.Match[str]], str]]) -> Rename:
    """The first rule whose pattern starts the name rewrites that start."""

    def rename(name: str) -> str:
        for pattern, replacement in rules:
            renamed, found = re.subn(rf"^{pattern}", replacement, name)
            if found:
                return renamed
        raise AssertionError(f"no rule for {name}")

    return rename


def one_less(text: str) -> Callable[[re.Match[str]], str]:
    """``text`` with the match's groups, counted from 0 instead of 1, in its places."""
    return lambda match: text.format(*(int(group) - 1 for group in match.groups()))


RESNET_V1 = renaming(
    ("conv1", "stem.conv"),
    ("bn1", "stem.bn"),
    (r"layer(\d)\.(\d+)\.downsample\.0", lambda m: unit_name(m) + ".shortcut.conv"),
    (r"layer(\d)\.(\d+)\.downsample\.1", lambda m: unit_name(m) + ".shortcut.bn"),
    (r"layer(\d)\.(\d+)", lambda m: unit_name(m) + ".residual"),
    ("fc", "head.linear"),
)
DENSENET = renaming(
    (r"features\.conv0", "stem.conv"),
    (r"features\.norm0", "stem.bn"),
    (r"features\.denseblock(\d)\.denselayer(\d+)\.norm", one_less("stages.{}.units.{}.growth.bn")),
    (r"features\.denseblock(\d)\.denselayer(\d+)", one_less("stages.{}.units.{}.growth")),
    (r"features\.transition(\d)\.norm", one_less("stages.{}.transition.bn")),
    (r"features\.transition(\d)", one_less("stages.{}.transition")),
    (r"features\.norm5", "head.bn"),
    ("classifier", "head.linear"),
)


def unit_name(match: re.Match[str]) -> str:
    """Torchvision's ``layer2.3`` is our ``stages.1.units.3``."""
    return f"stages.{int(match[1]) - 1}.units.{match[2]}"


def assert_same_logits(ours: Net, theirs: nn.Module, rename: Rename, side: int = 64) -> None:
    randomise(theirs)
    copy_weights(ours, theirs, rename)
    assert ours.blueprint.parameters == sum(p.numel() for p in theirs.parameters())
    x = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        wanted = theirs.eval()(x)
        given = ours.eval()(x)
    assert float(wanted.std()) > 0.1
    torch.testing.assert_close(given / wanted.std(), wanted / wanted.std(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("depth", [18, 50])
def test_resnets_v1_are_torchvisions(depth: int) -> None:
    ours = create_net(f"imagenet_resnet_v1_{depth}", seed=1)
    theirs = getattr(torchvision.models, f"resnet{depth}")(weights=None)
    assert_same_logits(ours, theirs, RESNET_V1)


def test_densenets_are_torchvisions() -> None:
    theirs = torchvision.models.densenet121(weights=None)
    assert_same_logits(create_net("imagenet_densenet_121", seed=1), theirs, DENSENET)


def test_resnets_v2_are_timms_where_the_stride_is_in_a_stages_first_unit() -> None:
    if importlib.util.find_spec("timm") is None:
        pytest.skip("timm is not installed: pip install 'skipscope[test]'")
    import timm

    ours = create_net("imagenet_resnet_v2_50_pytorch;stride_unit=first", seed=1)
    shared = {u.name for u in ours.blueprint.units if u.shortcut == "projection"}

    def opening(match: re.Match[str]) -> str:
        unit = f"stages.{match[1]}.units.{match[2]}"
        return f"{unit}.{'split.bn' if unit in shared else 'residual.bn1'}"

    rename = renaming(
        (r"stem\.conv", "stem.conv"),
        (r"stages\.(\d)\.blocks\.(\d+)\.norm1", opening),
        (r"stages\.(\d)\.blocks\.(\d+)\.norm", r"stages.\1.units.\2.residual.bn"),
        (r"stages\.(\d)\.blocks\.(\d+)\.downsample", r"stages.\1.units.\2.shortcut"),
        (r"stages\.(\d)\.blocks\.(\d+)", r"stages.\1.units.\2.residual"),
        ("norm", "head.bn"),
        (r"head\.fc", "head.conv"),
    )
    assert_same_logits(ours, timm.create_model("resnetv2_50"), rename)


# --------------------------------------------------------------------------- straight lines


class Weights:
    """The tensors of a net by name, and the two operations that use them."""

    def __init__(self, net: Net) -> None:
        self.values = net.state_dict()

    def conv(self, x: Tensor, name: str, stride: int = 1) -> Tensor:
        """ "Same" padding written out, as the reference program has it: zeros, then no padding."""
        weight = self.values[f"{name}.weight"]
        around = weight.shape[-1] - 1
        before = around // 2
        after = around - before
        x = F.pad(x, (before, after, before, after))
        return F.conv2d(x, weight, self.values.get(f"{name}.bias"), stride)

    def bn(self, x: Tensor, name: str) -> Tensor:
        v = self.values
        stats = (v[f"{name}.running_mean"], v[f"{name}.running_var"])
        return F.batch_norm(x, *stats, v[f"{name}.weight"], v[f"{name}.bias"], eps=1e-5)


def net_and_weights(spec: NetSpec) -> tuple[Net, Weights, Tensor]:
    net = create_net(spec, seed=3).eval()
    randomise(net)
    x = torch.randn(2, *spec.input_shape, generator=torch.Generator().manual_seed(4))
    return net, Weights(net), x


def assert_equal(net: Net, x: Tensor, wanted: Tensor) -> None:
    with torch.no_grad():
        given = net(x)
    assert given.shape == wanted.shape == (len(x), net.spec.classes)
    assert float(wanted.std()) > 1e-3
    torch.testing.assert_close(given / wanted.std(), wanted / wanted.std(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("depth", "counts"),
    [(50, (2, 3, 5)), (101, (2, 3, 22)), (152, (2, 7, 35)), (200, (2, 23, 35))],
)
def test_resnets_v2_are_the_programs_with_pytorchs_conventions(
    depth: int, counts: tuple[int, ...]
) -> None:
    """(output, bottleneck, stride) of every unit; the last of three stages has the stride."""
    token = f"imagenet_resnet_v2_{depth}_pytorch;width=2"
    net, p, x = net_and_weights(create_net(token, input_shape=(3, 41, 50), classes=7).spec)
    stages: list[list[tuple[int, int, int]]] = []
    for i, more in enumerate(counts):
        out, inner = 8 * 2**i, 2 * 2**i
        stages.append([(out, inner, 1)] * more + [(out, inner, 2)])
    stages.append([(64, 16, 1)] * 3)

    y = F.max_pool2d(p.conv(x, "stem.conv", 2), 3, 2, padding=1)
    for i, stage in enumerate(stages):
        for j, (out, inner, stride) in enumerate(stage):
            name = f"stages.{i}.units.{j}"
            changes = y.shape[1] != out
            before = F.relu(p.bn(y, f"{name}.split.bn" if changes else f"{name}.residual.bn1"))
            if changes:
                shortcut = p.conv(before, f"{name}.shortcut.conv", stride)
            else:
                shortcut = F.max_pool2d(y, 1, stride)
            f = p.conv(before, f"{name}.residual.conv1")
            assert f.shape[1] == inner
            f = p.conv(F.relu(p.bn(f, f"{name}.residual.bn2")), f"{name}.residual.conv2", stride)
            f = p.conv(F.relu(p.bn(f, f"{name}.residual.bn3")), f"{name}.residual.conv3")
            y = shortcut + f
    y = F.relu(p.bn(y, "head.bn")).mean((2, 3), keepdim=True)
    assert_equal(net, x, p.conv(y, "head.conv").flatten(1))


def test_the_reference_resnets_norms_forget_slowly() -> None:
    for name, decay in (("imagenet_resnet_v2_50;width=2", 0.997), ("resnet_v2_8", 0.9)):
        net = create_net(name, input_shape=(3, 32, 32), classes=4)
        norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
        assert {round(1 - (norm.momentum or 0), 12) for norm in norms} == {decay}
        assert {norm.eps for norm in norms} == {1e-5}


REFERENCE: dict[str, Any] = {"layout": "reference", "depth": 15, "input_shape": (2, 37, 32)}


@pytest.mark.parametrize("family", ["plain", "residual", "highway", "dense"])
def test_reference_nets_are_the_programs_with_pytorchs_conventions(family: str) -> None:
    """Five groups, here of three units; a layer of stride 2 after each; ten maps at the end."""
    specs: dict[str, NetSpec] = {
        "plain": PlainSpec(width=6, **REFERENCE),
        "residual": ResidualSpec(width=6, **REFERENCE),
        "highway": HighwaySpec(width=6, **REFERENCE),
        "dense": DenseSpec(growth_rate=6, **REFERENCE),
    }
    net, p, x = net_and_weights(specs[family])

    def layer(x: Tensor, name: str, stride: int = 1) -> Tensor:
        return F.relu(p.bn(p.conv(x, f"{name}.conv", stride), f"{name}.bn"))

    def residual(x: Tensor, name: str) -> Tensor:
        f = p.conv(F.relu(p.bn(x, f"{name}.residual.bn1")), f"{name}.residual.conv1")
        return x + p.conv(F.relu(p.bn(f, f"{name}.residual.bn2")), f"{name}.residual.conv2")

    def highway(x: Tensor, name: str) -> Tensor:
        h = F.relu(p.conv(x, f"{name}.transform.conv"))
        t = torch.sigmoid(p.conv(x, f"{name}.transform_gate.conv"))
        return h * t + x * (1 - t)

    units = {"plain": layer, "residual": residual, "highway": highway}
    y = layer(x, "stem")
    for i in range(5):
        if family == "dense":
            maps = [layer(y, f"stages.{i}.units.0")]
            for j in range(1, 4):
                maps.append(layer(torch.cat(maps, 1), f"stages.{i}.units.{j}.growth"))
            y = maps[-1]
        else:
            for j in range(3):
                y = units[family](y, f"stages.{i}.units.{j}")
        y = layer(y, f"stages.{i}.transition", 2)
    y = p.bn(p.conv(y, "head.conv"), "head.bn")
    assert_equal(net, x, y.mean((2, 3)))


@pytest.mark.parametrize("depth", [11, 19, 32])
def test_fitnets_with_highway_layers(depth: int) -> None:
    """SGS15 Table 2: a plain layer, gated ones, a max pool; then the last two layers."""
    spec = HighwaySpec(
        layout="fitnet", depth=depth, width=4, batch_norm=False, input_shape=(2, 18, 16)
    )
    net, p, x = net_and_weights(spec)

    def highway(x: Tensor, name: str) -> Tensor:
        h = F.relu(p.conv(x, f"{name}.transform.conv"))
        t = torch.sigmoid(p.conv(x, f"{name}.transform_gate.conv"))
        return h * t + x * (1 - t)

    y = F.relu(p.conv(x, "stem.conv"))
    for stage, units in enumerate({11: (2, 2, 2), 19: (4, 5, 5), 32: (9, 9, 9)}[depth]):
        for j in range(units):
            y = highway(y, f"stages.{stage}.units.{j}")
        if stage < 2:
            y = F.pad(y, (0, y.shape[3] % 2, 0, y.shape[2] % 2), value=float("-inf"))
            y = F.relu(p.conv(F.max_pool2d(y, 2), f"stages.{stage}.transition.conv"))
    assert y.shape[2:] == (5, 4)
    if depth == 32:
        y = F.relu(p.conv(y, "head.conv")).mean((2, 3))
    else:
        weight, bias = p.values["head.hidden.weight"], p.values["head.hidden.bias"]
        y = F.relu(F.linear(y.amax((2, 3)), weight, bias))
    assert_equal(net, x, F.linear(y, p.values["head.linear.weight"], p.values["head.linear.bias"]))


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_small_nets_are_two_units_and_a_classifier(version: str) -> None:
    net, p, x = net_and_weights(spec_of(f"small_resnet_{version}_pytorch"))
    y = F.relu(p.bn(p.conv(x, "stem.conv"), "stem.bn"))

    def branch(x: Tensor, name: str) -> Tensor:
        """BN stands behind the convolutions of v1, before the second one of v2."""
        f = p.conv(x, f"{name}.residual.conv1")
        f = p.bn(f, f"{name}.residual.{'bn1' if version == 'v1' else 'bn2'}")
        f = p.conv(F.relu(f), f"{name}.residual.conv2")
        return p.bn(f, f"{name}.residual.bn2") if version == "v1" else f

    one, two = "stages.0.units.0", "stages.1.units.0"
    if version == "v1":
        y = F.relu(y + branch(y, one))
        shortcut = p.bn(p.conv(y, f"{two}.shortcut.conv"), f"{two}.shortcut.bn")
        y = F.relu(shortcut + branch(y, two))
    else:
        y = y + branch(y, one)  # the stem's activation is its own
        before = F.relu(p.bn(y, f"{two}.split.bn"))
        y = p.conv(before, f"{two}.shortcut.conv") + branch(before, two)
        y = F.relu(p.bn(y, "head.bn"))
    assert y.shape[1:] == (32, 32, 32)
    wanted = F.linear(y.flatten(1), p.values["head.linear.weight"], p.values["head.linear.bias"])
    assert_equal(net, x, wanted)
