"""Responses, branches, the classifier unit by unit and the estimation error, against naive sums."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from asking import asked, drawn
from torch import Tensor, nn

from explorer.data.dataset import Dataset
from explorer.data.load import load_data
from explorer.errors import Cancelled, DataError, NotApplicableError, SpecError
from explorer.instruments import instrument
from explorer.instruments.functions import (
    branches as branch_responses,
)
from explorer.instruments.functions import (
    classifier_by_unit,
    estimation_error,
)
from explorer.instruments.functions import (
    responses as layer_responses,
)
from explorer.measuring import walk
from explorer.measuring.responses import response_modules
from explorer.measuring.select import some_images
from explorer.measuring.statistics import batch_statistics, statistics_of
from explorer.nets import Net, create_net, load_pretrained
from explorer.structure.specs import DataSpec

INSTRUMENTS = ("responses", "branches", "classifier_by_unit", "estimation_error")


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_data(DataSpec(name="digits"))


def a_net(name: str, digits: Dataset, *, settled: bool = True) -> Net:
    """Its batch norms have seen images where it is to look trained."""
    net = create_net(name, input_shape=(1, 8, 8), classes=10, seed=1).double()
    if settled:
        with torch.no_grad():
            net.train()(digits.normalise(digits.train_images[:300]).double())
    return net.eval()


def pixels(net: Net, digits: Dataset, n: int | None) -> tuple[Tensor, Tensor]:
    images, labels = some_images(net, digits, n)
    return digits.normalise(images).double(), labels


def values(net: nn.Module) -> list[Any]:
    hooks = [
        dict(value)
        for module in net.modules()
        for name, value in sorted(vars(module).items())
        if name.endswith("_hooks")
    ]
    modes = [(m.training, getattr(m, "track_running_stats", None)) for m in net.modules()]
    return [hooks, modes, [(p.grad, p.requires_grad) for p in net.parameters()]]


# ---------------------------------------------------------------------------------- responses


@torch.no_grad()
def test_the_response_is_after_batch_norm_and_before_activation(digits: Dataset) -> None:
    """He15 Fig 7, by hand for the first layers of each family."""
    stem = "stem.conv"
    for name, by_hand in {
        "plain_8;width=3": lambda net, x: {
            "stages.0.units.0.conv1": (u := net.units[0]).bn1(u.conv1(net.stem(x))),
            "stages.0.units.0.conv2": u.bn2(u.conv2(u.act1(u.bn1(u.conv1(net.stem(x)))))),
        },
        "resnet_v1_8;width=3": lambda net, x: {
            "stages.0.units.0.residual.conv2": net.units[0].residual(net.stem(x)),
        },
        "resnet_v2_8;width=3": lambda net, x: {
            # bn2 stands right behind conv1; what follows conv2 is the addition
            "stages.0.units.0.residual.conv1": (r := net.units[0].residual).bn2(
                r.conv1(net.stem(x))
            ),
            "stages.0.units.0.residual.conv2": r(net.stem(x)),
        },
        "fc_highway_4;width=5": lambda net, x: {
            "stages.0.units.0.transform.linear": net.units[0].transform.linear(net.stem(x)),
        },
        "densenet_10_k3": lambda net, x: {
            "stages.0.units.0.growth.conv1": net.units[0].growth(net.stem(x)),
        },
        "plain_8;width=3;batch_norm=false": lambda net, x: {stem: net.stem.conv(x)},
    }.items():
        net = a_net(name, digits)
        x, _ = pixels(net, digits, 150)
        found = layer_responses(net, digits, n_images=150)
        sd = dict(zip(found.layers, found.sd, strict=True))
        for layer, response in by_hand(net, x).items():
            assert sd[layer] == pytest.approx(response.std(correction=0).item(), rel=1e-9), name
        normed = any(
            isinstance(module, nn.modules.batchnorm._BatchNorm) for module in net.modules()
        )
        assert found.statistics == ("running" if normed else None)
        assert found.n_images == 150
        counted = [layer for layer in net.blueprint.weight_layers if layer.depth_index]
        inner = [layer.name for layer in counted if not layer.name.startswith("head")]
        assert list(found.layers) == inner


def test_branches_beside_the_depth_are_left_out(digits: Dataset) -> None:
    names = [layer.name for layer, _ in response_modules(a_net("resnet_v2_8;shortcut=B", digits))]
    assert not any("shortcut" in name for name in names)
    highway = [layer.name for layer, _ in response_modules(a_net("highway_7;width=3", digits))]
    assert not any("transform_gate" in name for name in highway)


@pytest.mark.parametrize("name", ["plain_8;width=3", "resnet_v2_8;width=3"])
def test_a_fresh_net_is_measured_with_the_batchs_statistics(name: str, digits: Dataset) -> None:
    fresh = a_net(name, digits, settled=False)
    assert statistics_of(fresh) == "batch"
    found = layer_responses(fresh, digits, n_images=200)
    assert found.statistics == "batch"
    x, _ = pixels(fresh, digits, 200)
    with torch.no_grad(), batch_statistics(fresh):
        stem = fresh.stem.bn(fresh.stem.conv(x))
    assert found.sd[0] == pytest.approx(stem.std(correction=0).item(), rel=1e-9)
    # A batch-normalised response has deviation 1 in each channel, and so in all together.
    bn = fresh.get_submodule(response_modules(fresh)[1][1])
    assert isinstance(bn, nn.BatchNorm2d)
    assert found.sd[1] == pytest.approx(1, abs=1e-3)
    assert statistics_of(a_net("fc_plain_3", digits, settled=False)) is None


def test_chunks_do_not_matter(digits: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    net = a_net("resnet_v1_14;width=3", digits)
    whole = [asked(name, net, digits, n_images=90).to_json() for name in INSTRUMENTS]
    monkeypatch.setattr(walk, "_BYTES", 3 * 64 * 8 * 200)
    for name, before in zip(INSTRUMENTS, whole, strict=True):
        for old, new in zip(
            *(
                np.asarray(flat(r))
                for r in (before, asked(name, net, digits, n_images=90).to_json())
            ),
            strict=True,
        ):
            assert new == pytest.approx(old, rel=1e-9, abs=1e-12, nan_ok=True)


def flat(result: dict[str, Any]) -> list[float]:
    rows = result.get("layers") or result["units"]
    return [value for row in rows for value in row.values() if isinstance(value, float)]


# ----------------------------------------------------------------------------------- branches


@pytest.mark.parametrize(
    "name",
    [
        "resnet_v1_8;width=3",
        "resnet_v2_14;width=3",
        "resnet_v2_8;width=3;shortcut=exclusive_gating;gate_bias=-1",
        "highway_10;width=3",
        "fc_highway_5;width=7",
    ],
)
def test_branches_against_autograd(name: str, digits: Dataset) -> None:
    net = a_net(name, digits)
    before = values(net)
    found = branch_responses(net, digits, n_images=40)
    assert values(net) == before
    x, labels = pixels(net, digits, 40)
    y = net.stem(x)
    inputs = []
    for unit in net.units:
        inputs.append(y)
        y = unit(y)
    loss = F.cross_entropy(net.head(y), labels, reduction="sum")
    gradients = torch.autograd.grad(loss, inputs)
    for i, unit in enumerate(found.units):
        place = net.unit_names.index(unit)
        module, h = net.units[place], inputs[place].detach()
        with torch.no_grad():
            f = module.branches(h)[1] if name.startswith("resnet") else module(h) - h
        f, flat_h = f.flatten(1), h.flatten(1)
        ratio = f.norm(dim=1) / flat_h.norm(dim=1)
        assert found.ratio[i] == pytest.approx(ratio.mean().item(), rel=1e-9)
        assert found.ratio_sd[i] == pytest.approx(ratio.std(correction=0).item(), rel=1e-7)
        if f.shape == flat_h.shape:
            cosine = F.cosine_similarity(f, gradients[place].flatten(1), eps=1e-30)
            assert found.cosine[i] == pytest.approx(cosine.mean().item(), rel=1e-6, abs=1e-12)
        else:
            assert np.isnan(found.cosine[i])
    gated = [unit.name for unit in net.blueprint.units if unit.kind != "transition"]
    assert list(found.units) == gated


@torch.no_grad()
def test_what_the_last_relu_cuts(digits: Dataset) -> None:
    net = a_net("resnet_v1_8;width=3", digits)
    found = branch_responses(net, digits, n_images=60)
    x, _ = pixels(net, digits, 60)
    y = net.stem(x)
    for i, unit in enumerate(net.units):
        shortcut, residual = unit.branches(y)
        assert found.cut[i] == pytest.approx((shortcut + residual < 0).double().mean().item())
        y = unit(y)
    normed = a_net("resnet_v2_8;width=3;order=bn_after_addition", digits)
    cut = branch_responses(normed, digits, n_images=60).cut[0]
    total = normed.units[0].after.bn(sum(normed.units[0].branches(normed.stem(x))))
    assert cut == pytest.approx((total < 0).double().mean().item())
    for none in ("resnet_v2_8;width=3", "resnet_v1_8;width=3;activation=tanh"):
        assert np.isnan(branch_responses(a_net(none, digits), digits, n_images=9).cut).all()
    # F that is exactly 0 adds nothing negative to what a ReLU has passed.
    zero = a_net("resnet_v1_8;width=3;init=zero_last_scale", digits, settled=False)
    np.testing.assert_array_equal(branch_responses(zero, digits, n_images=9).cut, 0)


# --------------------------------------------------------------- the classifier, the estimation


@torch.no_grad()
@pytest.mark.parametrize("name", ["plain_14;width=3", "resnet_v2_14;width=3", "fc_highway_4"])
def test_the_classifier_after_every_unit(name: str, digits: Dataset) -> None:
    net = a_net(name, digits)
    found = classifier_by_unit(net, digits)
    assert found.n_images == 360
    x, labels = pixels(net, digits, None)
    y = net.stem(x)
    for unit_name, unit in zip(net.unit_names, net.units, strict=True):
        y = unit(y)
        if unit_name in found.units:
            i = found.units.index(unit_name)
            logits = net.head(y)
            share = (logits.argmax(1) == labels).double().mean().item()
            assert found.accuracy[i] == pytest.approx(share)
            assert found.loss[i] == pytest.approx(F.cross_entropy(logits, labels).item(), rel=1e-6)
    last = [n for n in net.unit_names if n.startswith(net.unit_names[-1].rpartition(".")[0])]
    assert list(found.units) == last
    low, high = found.intervals().T
    assert ((low <= found.accuracy) & (found.accuracy <= high)).all()


@torch.no_grad()
@pytest.mark.parametrize("name", ["resnet_v2_14;width=3", "highway_10;width=3", "fc_plain_4"])
def test_the_estimation_error_within_a_stage(name: str, digits: Dataset) -> None:
    net = a_net(name, digits)
    found = estimation_error(net, digits, n_images=50)
    x, _ = pixels(net, digits, 50)
    outputs = dict(zip(net.unit_names, walk.states(net, x)[1:], strict=True))
    for i, (unit, stage) in enumerate(zip(found.units, found.stage, strict=True)):
        end = [n for n, s in zip(found.units, found.stage, strict=True) if s == stage][-1]
        error = outputs[unit] - outputs[end]
        assert found.mean[i] == pytest.approx(error.mean().item(), rel=1e-9, abs=1e-12)
        assert found.sd[i] == pytest.approx(error.std(correction=0).item(), rel=1e-6, abs=1e-9)
        size = outputs[end].square().mean().sqrt().item()
        assert found.scale[i] == pytest.approx(size, rel=1e-9)
        assert (found.sd[i] == 0) == (unit == end)
    assert not any("transition" in unit for unit in found.units)


def test_a_trained_residual_net_refines_its_estimate(digits: Dataset) -> None:
    """Greff17 and Jastrzebski18 on the shipped net: spreads shrink, F steps down the loss."""
    net = load_pretrained("digits_resnet_v2_56")
    errors = estimation_error(net, digits, n_images=100)
    last = np.asarray(errors.stage) == 2
    assert (np.diff(errors.sd[last]) < 0).all()
    branches = branch_responses(net, digits, n_images=60)
    assert np.nanmean(branches.cosine[-8:]) < 2 * np.nanmean(branches.cosine[:8]) < 0


# ------------------------------------------------------------------------------ what is refused


def test_what_means_nothing_names_a_net_that_does(digits: Dataset) -> None:
    dense, plain = a_net("densenet_10_k3", digits), a_net("plain_8;width=3", digits)
    for measure, net, sentence in (
        (branch_responses, plain, "In a plain net nothing is added"),
        (branch_responses, dense, "In a dense net nothing is added"),
        (classifier_by_unit, dense, "takes the last block's output alone"),
        (classifier_by_unit, a_net("plain_8;width=3", digits), "takes the last block's output"),
        (estimation_error, dense, "No two blocks of a stage of this dense net"),
        (estimation_error, plain, "No two blocks of a stage of this plain net"),
    ):
        with pytest.raises(NotApplicableError, match=sentence) as caught:
            measure(net, digits)
        assert "digits_resnet_v2_56" in str(caught.value)
    other = create_net("resnet_v2_8;width=2", seed=0)
    for name in INSTRUMENTS:
        with pytest.raises((DataError, NotApplicableError)):
            asked(name, other, digits)
        with pytest.raises(SpecError, match="n_images must be at least 1"):
            asked(name, a_net("resnet_v2_14;width=2", digits), digits, n_images=0)


@pytest.mark.parametrize("name", INSTRUMENTS)
def test_giving_up_leaves_no_trace(name: str, digits: Dataset) -> None:
    net = a_net("resnet_v2_14;width=3", digits, settled=False).train()
    before = values(net)
    with pytest.raises(Cancelled):
        asked(name, net, digits, n_images=20, cancelled=lambda: True)
    assert values(net) == before


@pytest.mark.parametrize("name", INSTRUMENTS)
def test_results_survive_json_and_are_drawn(name: str, digits: Dataset) -> None:
    net = a_net("resnet_v1_14;width=3", digits)
    result = asked(name, net, digits, n_images=30, name="mine")
    kind = instrument(name).result
    text = json.dumps(result.to_json()).replace("NaN", "null")
    again = kind.from_json(json.loads(text))
    assert json.dumps(again.to_json()) == json.dumps(result.to_json())
    assert len(result.to_frame()) == len(getattr(result, "layers", None) or result.units)
    if name == "responses":
        by_layer, by_size = (drawn(name, [result], order=order) for order in ("layer", "size"))
        np.testing.assert_array_equal(by_size.data[0].y, result.sorted())
        np.testing.assert_array_equal(by_size.data[0].x, np.arange(1, len(result.sd) + 1))
        np.testing.assert_array_equal(by_layer.data[0].y, result.sd)
    elif name == "branches":
        ratio, cosine, cut = (
            drawn(name, [result], nets=[net], of=of) for of in ("ratio", "cosine", "cut")
        )
        assert len(ratio.data[0].x) == 6
        assert list(cosine.data[1].x) == [1, 2, 4, 6]  # two units change the shape
        np.testing.assert_allclose(cut.data[0].y, result.cut * 100)
    elif name == "classifier_by_unit":
        figure = drawn(name, [result], nets=[net], theme="dark")
        np.testing.assert_allclose(figure.data[0].y, result.accuracy * 100)
        assert list(figure.data[0].x) == [5, 6]
    else:
        figure = drawn(name, [result, replace(result, net="other")], nets=[net, net])
        assert sum(trace.showlegend is not False for trace in figure.data) == 2
