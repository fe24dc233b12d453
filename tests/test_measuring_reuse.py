"""Feature reuse against a naive computation on known weights."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from asking import drawn

from explorer.errors import NotApplicableError
from explorer.instruments.functions import reuse
from explorer.instruments.reuse.result import FeatureReuse
from explorer.nets import Net, create_net
from explorer.nets.adapters import load_external


def dense(name: str = "densenet_13_k4", seed: int = 3) -> Net:
    return create_net(name, input_shape=(1, 8, 8), classes=10, seed=seed)


def naive(net: Net, stage: int, consumer: str, maps: list[int]) -> list[float]:
    """Mean |w| source by source, looped over single weights' maps."""
    weight = net.get_parameter(f"{consumer}.weight").detach().double()
    found, start = [], 0
    for count in maps:
        total, n = 0.0, 0
        for i in range(start, start + count):
            for value in weight[:, i].flatten().tolist():
                total, n = total + abs(value), n + 1
        found.append(total / n)
        start += count
    assert start == weight.shape[1]
    return found


@pytest.mark.parametrize("bottleneck", [False, True])
def test_reuse_is_the_mean_absolute_weight(bottleneck: bool) -> None:
    net = dense(
        "densenet_16_k3;bottleneck=true;compression=0.5" if bottleneck else "densenet_13_k4"
    )
    result = reuse(net)
    units = 2 if bottleneck else 3
    k = 3 if bottleneck else 4
    assert len(result.blocks) == 3
    for stage, block in enumerate(result.blocks):
        names = [f"stages.{stage}.units.{j}" for j in range(units)]
        assert block.sources == ("input", *names)
        after = f"stages.{stage}.transition" if stage < 2 else "head"
        assert block.targets == (*names, after)
        assert block.maps[1:] == (k,) * units
        assert block.weight.shape == (units + 1, units + 1)
        for column, name in enumerate(names):
            wanted = naive(net, stage, f"{name}.growth.conv1", list(block.maps[: column + 1]))
            np.testing.assert_allclose(block.weight[: column + 1, column], wanted)
            assert np.isnan(block.weight[column + 1 :, column]).all()  # it does not see these
        last = f"{after}.linear" if after == "head" else f"{after}.conv"
        np.testing.assert_allclose(block.weight[:, -1], naive(net, stage, last, list(block.maps)))
    assert result.blocks[0].maps[0] == (6 if bottleneck else 16)


def test_known_weights_give_known_entries() -> None:
    net = dense()
    k, start = 4, net.blueprint.units[0].input_shape[0]
    weight = net.get_parameter("stages.0.units.2.growth.conv1.weight")
    with torch.no_grad():
        for source, value in enumerate((0.5, -2.0, 0.25)):
            begin = 0 if source == 0 else start + (source - 1) * k
            weight[:, begin : start + source * k] = value
    block = reuse(net).blocks[0]
    np.testing.assert_allclose(block.weight[:3, 2], [0.5, 2.0, 0.25])
    np.testing.assert_allclose(block.relative()[:3, 2], [0.25, 1.0, 0.125])
    assert np.isnan(block.relative()[3, 2])


def test_the_norms_scale_counts_where_asked_for() -> None:
    net = dense()
    with torch.no_grad():
        net.get_parameter("stages.1.units.1.growth.bn1.weight").fill_(-3.0)
        net.get_parameter("head.bn.weight")[:5] = 0.0
    bare, scaled = reuse(net), reuse(net, scaled=True)
    ratio = scaled.blocks[1].weight / bare.blocks[1].weight
    np.testing.assert_allclose(ratio[:2, 1], 3.0)
    np.testing.assert_allclose(ratio[:1, 0], 1.0)
    classifier = net.get_parameter("head.linear.weight").detach().double().abs().mean(0)
    first = scaled.blocks[2].maps[0]
    np.testing.assert_allclose(scaled.blocks[2].weight[0, -1], classifier[5:first].sum() / first)


def test_a_reference_nets_transition_takes_the_last_maps_only() -> None:
    net = create_net("reference_dense_10;growth_rate=3", input_shape=(3, 32, 32), seed=0)
    result = reuse(net)
    assert len(result.blocks) == 5
    for stage, block in enumerate(result.blocks):
        assert block.sources[0] == "input"
        assert block.targets[-1] == f"stages.{stage}.transition"
        assert np.isnan(block.weight[:-1, -1]).all()
        weight = net.get_parameter(f"stages.{stage}.transition.conv.weight").detach()
        np.testing.assert_allclose(block.weight[-1, -1], weight.double().abs().mean())


def test_torchvisions_densenet() -> None:
    net = load_external("torchvision_densenet121", input_shape=(3, 32, 32), classes=3, seed=0)
    result = reuse(net)
    assert [len(block.targets) - 1 for block in result.blocks] == [6, 12, 24, 16]
    last = result.blocks[3]
    assert last.targets[-1] == "head"
    assert last.maps == (512, *(32,) * 16)
    weight = net.get_parameter("features.denseblock4.denselayer5.growth.conv1.weight")
    np.testing.assert_allclose(
        last.weight[2, 4], weight[:, 544:576].detach().double().abs().mean().item()
    )


def test_reuse_round_trips_and_is_drawn() -> None:
    net = dense()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    result = reuse(net, name="mine")
    assert all(torch.equal(before[key], value) for key, value in net.state_dict().items())
    back = FeatureReuse.from_json(json.loads(json.dumps(result.to_json(), allow_nan=False)))
    assert (back.net, back.scaled) == ("mine", False)
    for one, other in zip(back.blocks, result.blocks, strict=True):
        np.testing.assert_array_equal(one.weight, other.weight)
        assert (one.name, one.sources, one.maps, one.targets) == (
            *(other.name, other.sources),
            *(other.maps, other.targets),
        )
    frame = result.to_frame()
    assert len(frame) == sum(int(np.isfinite(b.weight).sum()) for b in result.blocks)
    for of in ("relative", "absolute"):
        figure = drawn("reuse", [result, back], of=of)
        assert sum(trace.type == "heatmap" for trace in figure.data) == 6
    assert not drawn("reuse", []).data


@pytest.mark.parametrize("name", ["resnet_v2_8", "plain_8", "highway_7"])
def test_other_families_are_told_what_would_do(name: str) -> None:
    net = create_net(name, input_shape=(1, 8, 8))
    with pytest.raises(
        NotApplicableError,
        match=r"responses, or choose a dense net, such as digits_densenet_40_k12\.",
    ):
        reuse(net)
