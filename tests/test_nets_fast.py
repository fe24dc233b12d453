"""The quick way forward gives the answers of the net that it was made from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

import pytest
import torch
from torch import Tensor, nn

from explorer.names import spec_of
from explorer.nets import Net, create_net, fast
from explorer.nets.fast import FastNet, bfloat16_pays
from explorer.specs import Order, Shortcut, fit


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
        seconds = iter([1.0, ratio])
        monkeypatch.setattr(fast, "_seconds", lambda *_, it=seconds: next(it))
        bfloat16_pays.cache_clear()
        assert FastNet(net).dtype is dtype
    bfloat16_pays.cache_clear()
