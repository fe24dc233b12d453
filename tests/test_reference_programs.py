"""The nets that are published programs: the same counts, and the same answers.

The programs are written down here once more, straight from their text with ``F.conv2d`` and in
their own order, without anything of ``explorer`` but the tensors by name.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from explorer.cli import main
from explorer.errors import SpecError
from explorer.nets import Net, create_net
from explorer.nets.export import export_code
from explorer.nets.fast import FastNet
from explorer.pages.compare import net_choices
from explorer.structure.blueprint import blueprint
from explorer.structure.conventions import same_padding
from explorer.structure.names import pytorch_conventions, spec_of, title_of, token_of
from explorer.structure.specs import NetSpec, TrainSpec, fit, parse_net
from explorer.training.schedule import decayed, make_optimizer

Weights = dict[str, Tensor]
EPS = {"reference": 1e-3, "small": 1e-3, "imagenet": 1e-5}
PARAMETERS = {
    "reference_residual_25": 2_041_802,
    "reference_highway_25": 2_038_602,
    "reference_dense_25": 3_143_242,
    "reference_plain_25": 1_115_402,
    "imagenet_resnet_v2_50": 25_568_360,
    "imagenet_resnet_v2_101": 44_577_896,
    "imagenet_resnet_v2_152": 60_236_904,
    "imagenet_resnet_v2_200": 64_726_120,
    "small_resnet_v1": 347_402,
    "small_resnet_v2": 347_434,
}
BEFORE = {  # of the same nets with PyTorch's conventions
    "reference_residual_25_pytorch": 2_042_196,
    "reference_highway_25_pytorch": 2_038_996,
    "reference_dense_25_pytorch": 3_145_556,
    "imagenet_resnet_v2_50_pytorch": 25_549_352,
    "imagenet_resnet_v2_101_pytorch": 44_541_480,
    "imagenet_resnet_v2_152_pytorch": 60_185_128,
    "imagenet_resnet_v2_200_pytorch": 64_666_152,
    "small_resnet_v1_pytorch": 347_354,
    "small_resnet_v2_pytorch": 347_290,
}


@pytest.mark.parametrize(("name", "parameters"), [*PARAMETERS.items(), *BEFORE.items()])
def test_the_programs_have_their_parameters(name: str, parameters: int) -> None:
    assert blueprint(spec_of(name)).parameters == parameters


# ------------------------------------------------------------------ the programs, once more


def same(x: Tensor, kernel: int, stride: int, value: float = 0.0) -> Tensor:
    """TensorFlow's padding "SAME"."""
    pads: list[int] = []
    for size in (x.shape[3], x.shape[2]):
        total = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
        pads += [total // 2, total - total // 2]
    return F.pad(x, pads, value=value)


def conv(p: Weights, name: str, x: Tensor, stride: int = 1) -> Tensor:
    weight = p[f"{name}.weight"]
    return F.conv2d(same(x, weight.shape[-1], stride), weight, p.get(f"{name}.bias"), stride)


def conv_same(p: Weights, name: str, x: Tensor, stride: int) -> Tensor:
    """slim's conv2d_same, which pads itself, alike whatever the size: (k − 1) / 2 and the rest."""
    weight = p[f"{name}.weight"]
    begin = (weight.shape[-1] - 1) // 2
    end = weight.shape[-1] - 1 - begin
    x = F.pad(x, (begin, end, begin, end))
    return F.conv2d(x, weight, p.get(f"{name}.bias"), stride)


def normed(p: Weights, name: str, x: Tensor, eps: float) -> Tensor:
    mean, var, shift = (
        p[f"{name}.{part}"].view(1, -1, 1, 1) for part in ("running_mean", "running_var", "bias")
    )
    scale = p.get(f"{name}.weight")
    x = (x - mean) / torch.sqrt(var + eps)
    return (x if scale is None else x * scale.view(1, -1, 1, 1)) + shift


def layered(p: Weights, name: str, x: Tensor, stride: int = 1) -> Tensor:
    """slim.conv2d(…, normalizer_fn=slim.batch_norm): no bias, then ReLU."""
    assert f"{name}.conv.bias" not in p
    return F.relu(normed(p, f"{name}.bn", conv(p, f"{name}.conv", x, stride), 1e-3))


def reference(
    unit: Callable[[Weights, str, Tensor], Tensor],
) -> Callable[[Weights, Tensor], Tensor]:
    """conv_0, five groups of five units, conv_s after each, conv_top."""

    def logits(p: Weights, x: Tensor) -> Tensor:
        x = layered(p, "stem", x)
        for group in range(5):
            for i in range(5):
                x = unit(p, f"stages.{group}.units.{i}", x)
            x = layered(p, f"stages.{group}.transition", x, 2)
        return normed(p, "head.bn", conv(p, "head.conv", x), 1e-3).flatten(1)

    return logits


def residual_unit(p: Weights, name: str, x: Tensor) -> Tensor:
    f = F.relu(normed(p, f"{name}.residual.bn1", x, 1e-3))
    f = conv(p, f"{name}.residual.conv1", f)
    f = F.relu(normed(p, f"{name}.residual.bn2", f, 1e-3))
    return x + conv(p, f"{name}.residual.conv2", f)


def highway_unit(p: Weights, name: str, x: Tensor) -> Tensor:
    h = F.relu(conv(p, f"{name}.transform.conv", x))
    t = torch.sigmoid(conv(p, f"{name}.transform_gate.conv", x))
    return h * t + x * (1 - t)


def dense_net(p: Weights, x: Tensor) -> Tensor:
    x = layered(p, "stem", x)
    for group in range(5):
        nodes = [layered(p, f"stages.{group}.units.0", x)]
        for z in range(5):
            unit = f"stages.{group}.units.{z + 1}.growth"
            nodes.append(layered(p, unit, torch.cat(nodes, 1)))
        x = layered(p, f"stages.{group}.transition", nodes[-1], 2)
    return normed(p, "head.bn", conv(p, "head.conv", x), 1e-3).flatten(1)


BLOCKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3), 200: (3, 24, 36, 3)}


def resnet_v2(p: Weights, x: Tensor, depth: int) -> Tensor:
    def norm(name: str, x: Tensor) -> Tensor:
        return F.relu(normed(p, name, x, 1e-5))

    x = conv_same(p, "stem.conv", x, 2)
    x = F.max_pool2d(same(x, 3, 2, -math.inf), 3, 2)
    for block, (maps, units) in enumerate(zip((256, 512, 1024, 2048), BLOCKS[depth], strict=True)):
        for i in range(units):
            name = f"stages.{block}.units.{i}"
            stride = 2 if i == units - 1 and block < 3 else 1
            if x.shape[1] == maps:
                preact = norm(f"{name}.residual.bn1", x)
                shortcut = x if stride == 1 else F.max_pool2d(x, 1, 2)
            else:
                preact = norm(f"{name}.split.bn", x)
                shortcut = conv(p, f"{name}.shortcut.conv", preact, stride)
            f = norm(f"{name}.residual.bn2", conv(p, f"{name}.residual.conv1", preact))
            f = conv_same(p, f"{name}.residual.conv2", f, stride)
            f = conv(p, f"{name}.residual.conv3", norm(f"{name}.residual.bn3", f))
            x = shortcut + f
    x = norm("head.bn", x).mean((2, 3), keepdim=True)
    return conv(p, "head.conv", x).flatten(1)


def small_net(p: Weights, x: Tensor, version: str) -> Tensor:
    x = F.relu(conv(p, "stem.conv", x))
    for stage in range(2):
        name = f"stages.{stage}.units.0"
        shortcut = x if stage == 0 else conv(p, f"{name}.shortcut.conv", x)
        if version == "v1":
            f = conv(p, f"{name}.residual.conv1", x)
            f = F.relu(normed(p, f"{name}.residual.bn1", f, 1e-3))
            f = normed(p, f"{name}.residual.bn2", conv(p, f"{name}.residual.conv2", f), 1e-3)
            x = F.relu(shortcut + f)
        else:
            f = F.relu(normed(p, f"{name}.residual.bn1", x, 1e-3))
            f = conv(p, f"{name}.residual.conv1", f)
            f = F.relu(normed(p, f"{name}.residual.bn2", f, 1e-3))
            x = shortcut + conv(p, f"{name}.residual.conv2", f)
    if version == "v2":
        x = normed(p, "head.bn", x, 1e-3)
    return F.linear(x.flatten(1), p["head.linear.weight"], p["head.linear.bias"])


PROGRAMS: dict[str, Callable[[Weights, Tensor], Tensor]] = {
    "reference_residual_25": reference(residual_unit),
    "reference_highway_25": reference(highway_unit),
    "reference_dense_25": dense_net,
    "reference_plain_25": reference(layered),
    **{
        f"imagenet_resnet_v2_{depth}": lambda p, x, depth=depth: resnet_v2(p, x, depth)  # type: ignore[misc]
        for depth in BLOCKS
    },
    "small_resnet_v1": lambda p, x: small_net(p, x, "v1"),
    "small_resnet_v2": lambda p, x: small_net(p, x, "v2"),
}


def shaken(net: Net) -> Net:
    """Every bias, scale, shift and running statistic does something."""
    generator = torch.Generator().manual_seed(5)

    def drawn(like: Tensor, low: float, high: float) -> Tensor:
        return torch.rand(like.shape, generator=generator) * (high - low) + low

    with torch.no_grad():
        for name, value in net.state_dict().items():
            if name.endswith(("bias", "running_mean")):
                value.copy_(drawn(value, -0.5, 0.5))
            elif name.endswith("running_var"):
                value.copy_(drawn(value, 0.5, 2.0))
            elif name.endswith("weight") and value.dim() == 1:
                value.copy_(drawn(value, 0.5, 1.5))
    return net.eval()


def images_of(spec: NetSpec, n: int = 2) -> Tensor:
    return torch.randn(n, *spec.input_shape, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize(
    ("name", "side"),
    [
        *((name, None) for name in PROGRAMS if name not in ("imagenet_resnet_v2_152",)),
        ("imagenet_resnet_v2_152", 64),
        # odd sizes, where "same" pads on both sides
        ("reference_residual_25", 28),
        ("reference_dense_25", 9),
        ("imagenet_resnet_v2_50", 61),
    ],
)
@torch.no_grad()
def test_they_answer_as_the_programs_do(name: str, side: int | None) -> None:
    spec = spec_of(name)
    side = side or min(spec.input_shape[1], 96)
    net = shaken(create_net(fit(spec, (3, side, side), spec.classes), seed=1)).double()
    x = images_of(net.spec).double()
    wanted = PROGRAMS[name](dict(net.state_dict()), x)
    assert float(wanted.std()) > 1e-3
    torch.testing.assert_close(net(x) / wanted.std(), wanted / wanted.std(), rtol=0, atol=1e-5)


# ----------------------------------------------------------------- the other ways to compute


NARROW = [
    "reference_residual_5;width=4",
    "reference_highway_5;width=4",
    "reference_dense_5;growth_rate=4",
    "reference_plain_5;width=4",
    "imagenet_resnet_v2_50;width=4",
    "small_resnet_v1;width=4",
    "small_resnet_v2;width=4",
    "resnet_v1_14;width=4;asymmetric_padding=all;norm_scale=false;conv_bias=unnormalised",
    "plain_14;width=4;asymmetric_padding=all;conv_bias=all",
    "resnet_v2_8;width=4;asymmetric_padding=all;padding=circular",
    "resnet_v2_8;width=4;asymmetric_padding=all;padding=reflect",
    "densenet_10_k4;norm_scale=false;norm_eps=0.01;conv_bias=units",
    "fc_highway_4;width=6;batch_norm=true;norm_scale=false;conv_bias=all",
]


def narrow(token: str) -> Net:
    return shaken(create_net(fit(spec_of(token), (3, 32, 32), 5), seed=2))


@pytest.mark.parametrize("token", NARROW)
@torch.no_grad()
def test_folded_nets_answer_alike(token: str) -> None:
    net = narrow(token)
    x, wanted = images_of(net.spec, 3), net(images_of(net.spec, 3))
    torch.testing.assert_close(FastNet(net, precision="float32")(x), wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("token", NARROW)
@torch.no_grad()
def test_exported_programs_answer_alike(token: str) -> None:
    net = narrow(token)
    namespace: dict[str, Any] = {"__name__": "exported"}
    exec(compile(export_code(net.spec, class_name="Exported"), "x.py", "exec"), namespace)
    exported = namespace["Exported"]().eval()
    assert isinstance(exported, nn.Module)
    exported.load_state_dict(net.state_dict())
    x = images_of(net.spec)
    torch.testing.assert_close(exported(x), net(x), rtol=0, atol=0)
    norms = [[m for m in n.modules() if isinstance(m, nn.BatchNorm2d)] for n in (net, exported)]
    for one, other in zip(*norms, strict=True):
        assert (one.eps, one.momentum) == pytest.approx((other.eps, other.momentum))


def test_exported_code_tells_the_programs_choices() -> None:
    code = export_code(spec_of("reference_residual_25"))
    assert "pad=SamePad(3, 2)," in code
    assert "bn=ShiftNorm2d(maps, eps=0.001, momentum=0.001)," in code
    assert "conv2=nn.Conv2d(maps, maps, 3, padding=1)," in code
    assert "nn.init.xavier_uniform_(module.weight)" in code
    assert "nn.MaxPool2d(3, stride=2, ceil_mode=True)" in export_code(
        spec_of("imagenet_resnet_v2_50")
    )


# ---------------------------------------------------------------------- names, and what is old


@pytest.mark.parametrize("name", [*PARAMETERS, *BEFORE])
def test_names_and_tokens_go_round(name: str) -> None:
    spec = spec_of(name)
    assert token_of(spec) == name
    assert parse_net(spec.model_dump_json()) == spec
    assert ("PyTorch's conventions" in title_of(spec)) == name.endswith("_pytorch")


@pytest.mark.parametrize(
    ("stored", "name"),
    [
        (
            {"family": "residual", "layout": "reference", "depth": 25, "width": 64},
            "reference_residual_25_pytorch",
        ),
        (
            {"family": "residual", "layout": "small", "depth": 6, "order": "original"},
            "small_resnet_v1_pytorch",
        ),
        (
            {
                "family": "residual",
                "layout": "imagenet",
                "depth": 50,
                "stride_unit": "last",
                "norm_decay": 0.997,
            },
            "imagenet_resnet_v2_50_pytorch",
        ),
    ],
)
def test_stored_specs_are_what_they_were(stored: dict[str, Any], name: str) -> None:
    """Written before these choices were there."""
    spec = parse_net(stored)
    assert token_of(spec) == name
    assert blueprint(spec).parameters == BEFORE[name]


# -------------------------------------------------------------------------- padding's own ways


@pytest.mark.parametrize("size", range(1, 18))
@pytest.mark.parametrize(("kernel", "stride"), [(3, 2), (7, 2), (2, 2), (3, 1), (5, 3), (1, 2)])
def test_same_padding_keeps_its_promise(size: int, kernel: int, stride: int) -> None:
    """⌈size / stride⌉ answers, the last window ending at the margin's end at the latest."""
    before, after = same_padding(size, kernel, stride)
    padded = size + before + after
    assert (padded - kernel) // stride + 1 == math.ceil(size / stride)
    assert after - before in (0, 1)
    assert (padded - kernel) % stride == 0 or (before, after) == (0, 0)


@pytest.mark.parametrize("mode", ["circular", "reflect"])
@torch.no_grad()
def test_the_other_paddings_are_uneven_too(mode: str) -> None:
    """The pixel after the end is the first one, or the last but one."""
    net = narrow(f"resnet_v2_8;width=4;asymmetric_padding=all;padding={mode}")
    x = images_of(fit(net.spec, (4, 32, 32), 5))
    conv1 = net.get_submodule("stages.1.units.0.residual.conv1")
    pad = net.get_submodule("stages.1.units.0.residual.pad1")
    assert isinstance(conv1, nn.Conv2d)
    more = x[..., :1] if mode == "circular" else x[..., -2:-1]
    x_wide = torch.cat([x, more], 3)
    more = x_wide[..., :1, :] if mode == "circular" else x_wide[..., -2:-1, :]
    wanted = F.conv2d(torch.cat([x_wide, more], 2), conv1.weight, conv1.bias, 2)
    torch.testing.assert_close(conv1(pad(x)), wanted)


# ------------------------------------------------------------------------------------ training


def test_weight_decay_of_convolutions_alone() -> None:
    """Of two nets that start alike, one step apart: only what decays differs, by rate · λ · w."""
    small = fit(spec_of("small_resnet_v2;width=2"), (1, 8, 8), 10)
    stepped = {}
    for decay_on in ("all", "weights", "convolutions"):
        spec = TrainSpec(weight_decay=0.5, momentum=0.0, learning_rate=0.1, decay_on=decay_on)
        net = shaken(create_net(small, seed=1)).train()
        free = frozenset(net.parameters()) - decayed(spec, net)
        optimizer = make_optimizer(spec, net.parameters(), None, free)
        before = {name: p.detach().clone() for name, p in net.named_parameters()}
        for parameter in net.parameters():
            parameter.grad = torch.zeros_like(parameter)
        optimizer.step()
        stepped[decay_on] = {
            name for name, p in net.named_parameters() if not torch.equal(p.detach(), before[name])
        }
        for name, p in net.named_parameters():
            shrunk = 0.95 if name in stepped[decay_on] else 1.0
            torch.testing.assert_close(p.detach(), shrunk * before[name])
    convolutions = {f"{x.name}.weight" for x in net.blueprint.layers if x.kind == "conv"}
    assert stepped["convolutions"] == convolutions
    assert stepped["weights"] == convolutions | {"head.linear.weight"}
    assert stepped["all"] == set(before)


def test_initial_weights_are_glorots_uniform_ones() -> None:
    net = create_net("reference_plain_5", seed=0)
    weight = net.get_parameter("stages.0.units.0.conv.weight").detach()
    bound = math.sqrt(6 / (2 * 64 * 9))
    assert float(weight.abs().max()) == pytest.approx(bound, rel=1e-3)
    assert float(weight.std()) == pytest.approx(bound / math.sqrt(3), rel=0.01)


# ----------------------------------------------------------------------------- where it is seen


def test_the_controls_know_the_programs() -> None:
    net = spec_of("resnet_v2_20")
    chosen = net_choices.changed(net, layout="reference")
    assert token_of(chosen) == "reference_residual_20"
    assert net_choices.conventions(chosen) == "program"
    assert net_choices.conventions(net) is None
    dense = net_choices.changed(chosen, family="dense")
    assert token_of(dense) == "reference_dense_20"
    other = net_choices.changed(chosen, **pytorch_conventions("reference", "residual"))
    assert token_of(other) == "reference_residual_20_pytorch"
    assert net_choices.conventions(other) == "pytorch"
    assert token_of(net_choices.changed(other, family="highway")).startswith(
        "reference_highway_20_pytorch"
    )
    assert token_of(net_choices.changed(chosen, layout="cifar")) == "resnet_v2_20"
    assert token_of(net_choices.changed(net, layout="small")) == "small_resnet_v2"
    assert net_choices.conventions(spec_of("small_resnet_v1;norm_eps=0.01")) == "own"


def test_show_says_what_is_otherwise(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "reference_residual_25"]) == 0
    said = capsys.readouterr().out
    for words in (
        "2,041,802 parameters",
        "Otherwise than in PyTorch's and the papers' nets here:",
        "All convolutions inside the units have biases.",
        "Batch norm shifts and does not scale.",
        "an ε of 0.001 (usually 0.00001)",
        "a share of 0.999 (usually 0.9)",
        "Glorot's uniform distribution",
        "by the batch's own",
    ):
        assert words in said, words
    assert main(["show", "reference_residual_25_pytorch"]) == 0
    assert "Otherwise" not in capsys.readouterr().out
    assert main(["show", "small_resnet_v2", "--json"]) == 0
    assert "Neither the stem nor the projection has batch norm." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("token", "said"),
    [
        ("fc_plain_10;asymmetric_padding=all", "nothing to pad"),
        ("resnet_v2_20;bare_frame=true", "for small residual nets"),
        ("resnet_v1_20;norm_scale=false;init=zero_last_scale", "sets the scale"),
        ("resnet_v1_20;conv_bias=some", "conv_bias"),
        ("resnet_v1_20;norm_eps=0", "norm_eps must be at least 1e-12 and at most 1"),
    ],
)
def test_what_is_not_possible_is_said_in_a_sentence(token: str, said: str) -> None:
    with pytest.raises(SpecError, match=said):
        spec_of(token)
