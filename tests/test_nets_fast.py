"""The quick way forward gives the answers of the net that it was made from."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from typing import get_args

import pytest
import torch
from torch import Tensor, nn

from explorer.bench.forward import bench_forward, twin_of
from explorer.nets import Net, create_net, fast
from explorer.nets.fast import FastNet, bfloat16_pays
from explorer.structure.blueprint import blueprint
from explorer.structure.names import spec_of
from explorer.structure.specs import Order, Shortcut, fit


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def net_and_images(token: str, side: int = 12) -> tuple[Net, Tensor]:
    """A net whose batch norms do something, in evaluation mode."""
    net = create_net(fit(spec_of(token), (2, side, side), 5), seed=1)
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(6, 2, side, side, generator=generator)
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = 0.5
                module.bias.normal_(generator=generator)
        net.train()(x)
    return net.eval(), x


TOKENS = [
    *(f"resnet_v2_8;width=4;order={order}" for order in get_args(Order)),
    *(f"resnet_v2_8;width=4;shortcut={kind}" for kind in get_args(Shortcut)),
    *(f"{name};batch_norm=false" for name in ("resnet_v1_8", "densenet_7_k4", "plain_8")),
    "resnet_v2_8;width=4;batch_norm=false;order=relu_only_preact",
    "resnet_v2_8;width=4;activation=tanh",
    "plain_8;width=4;activation=sigmoid;padding=circular",
    "resnet_v1_8;width=4;padding=reflect",
    "densenet_7_k4;padding=circular",
    "resnet_v2_8;width=4;survival_prob=0.5",
    *("plain_8;width=4", "highway_10;width=4", "densenet_7_k4", "densenet_bc_10_k4"),
    *("fc_plain_5", "fc_highway_5", "fc_residual_5", "fc_plain_5;batch_norm=true"),
    *("imagenet_resnet_v2_50;width=4", "imagenet_resnet_v1_18;width=4", "small_resnet_v2;width=4"),
    *(f"reference_{family}_5;width=6" for family in ("plain", "residual", "highway")),
    "reference_dense_5;growth_rate=6",
]


@pytest.mark.parametrize("channels_last", [None, False])
@pytest.mark.parametrize("token", TOKENS)
def test_fast_nets_answer_as_their_nets_do(token: str, channels_last: bool | None) -> None:
    net, x = net_and_images(token)
    given = x.clone()
    with torch.no_grad():
        wanted = net(x)
    quick = FastNet(net, precision="float32", channels_last=channels_last)
    torch.testing.assert_close(quick(x), wanted, rtol=1e-4, atol=1e-4)
    assert torch.equal(x, given)  # working in place never reaches the images
    torch.testing.assert_close(quick(x), wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "token", ["imagenet_resnet_v2_50;width=8", "densenet_40_k12", "fc_plain_5"]
)
def test_bfloat16_is_close_and_answers_in_float32(token: str) -> None:
    net, x = net_and_images(token)
    with torch.no_grad():
        wanted = net(x)
    quick = FastNet(net, precision="bfloat16")
    logits = quick(x)
    assert (quick.dtype, logits.dtype) == (torch.bfloat16, torch.float32)
    assert float((logits - wanted).abs().max() / wanted.std()) < 0.15


def test_the_net_is_left_as_it_was() -> None:
    net, x = net_and_images("resnet_v1_8;width=4")
    net.train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    kinds = [type(module) for module in net.modules()]
    FastNet(net, precision="bfloat16")(x)
    assert [type(module) for module in net.modules()] == kinds
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    assert net.training
    assert not any(m.inplace for m in net.modules() if isinstance(m, nn.ReLU))
    assert all(p.requires_grad for p in net.parameters())


def test_bfloat16_is_taken_where_it_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    net, _ = net_and_images("plain_8;width=4")
    for ratio, dtype in ((0.5, torch.bfloat16), (0.95, torch.float32), (3.0, torch.float32)):
        monkeypatch.setattr(fast, "_seconds", lambda *_, ratio=ratio: [1.0, ratio])
        bfloat16_pays.cache_clear()
        assert FastNet(net).dtype is dtype
    bfloat16_pays.cache_clear()


# ------------------------------------------------------------------------------------ bench


@pytest.mark.parametrize(
    ("token", "twin", "same"),
    [
        ("imagenet_resnet_v1_50", "torchvision resnet50", True),
        ("imagenet_densenet_121", "torchvision densenet121", True),
        ("imagenet_resnet_v2_152", "timm resnetv2_152", False),
        ("imagenet_resnet_v2_152;stride_unit=first", "timm resnetv2_152", False),
        ("imagenet_resnet_v2_152_pytorch;stride_unit=first", "timm resnetv2_152", True),
        ("imagenet_resnet_v1_50;stride_conv=1x1", None, False),
        ("imagenet_resnet_v1_34;shortcut=A", None, False),
        ("imagenet_resnet_v2_50;width=32", None, False),
        ("imagenet_resnet_v1_200", None, False),
        ("imagenet_plain_34", None, False),
        ("resnet_v2_56", None, False),
    ],
)
def test_twins_are_the_nets_of_the_same_structure(token: str, twin: str | None, same: bool) -> None:
    spec = spec_of(token)
    found = twin_of(spec)
    if twin is None:
        assert found is None
        return
    if twin.startswith("timm") and importlib.util.find_spec("timm") is None:
        pytest.skip("timm is not installed: pip install 'skipscope[test]'")
    assert found is not None
    assert f"{found.library} {found.name}" == twin
    assert (blueprint(found.spec).units == blueprint(spec).units) == same
    with torch.device("meta"):
        parameters = sum(p.numel() for p in found.build().parameters())
    assert parameters == blueprint(found.spec).parameters


def test_forward_is_timed_against_the_twin() -> None:
    net = create_net("imagenet_resnet_v1_18", input_shape=(3, 32, 32), classes=3)
    lines: list[str] = []
    result = bench_forward(net, images=1, repeats=10, device="cpu", burn_in=1, note=lines.append)
    cases = [row["case"] for row in result["rows"]]
    assert cases[:2] == ["as it stands: float32, contiguous", "fast: float32, contiguous"]
    assert "against torchvision's resnet18: float32, contiguous" in cases
    assert result["conditions"]["burn_in"] == 1
    for row in result["rows"]:
        assert row["ratio"] == pytest.approx(row["plain_s"] / row["ours_s"])
        assert row["ours_min_s"] <= row["ours_mean_s"] <= row["ours_max_s"]
        assert row["ours_sd_s"] > 0
        flop = 2 * net.blueprint.multiply_adds
        assert row["gflop_per_second"] * 1e9 == pytest.approx(flop * row["images_per_second"])
    assert len(lines) == 1
    assert lines[0].startswith("step 10, mean seconds of the last 10: as it stands")
