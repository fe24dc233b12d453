"""Nets some of whose units a training passes by for good: instruments see the net that there is."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import explorer
from explorer.data.dataset import Dataset
from explorer.data.load import load_data
from explorer.measuring import walk
from explorer.nets import Net, create_net
from explorer.structure.specs import DataSpec
from explorer.training import units

NETS = ("resnet_v2_14;width=4", "resnet_v1_14;width=4", "highway_13;width=4", "densenet_13_k4")


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_data(DataSpec(name="digits"))


def without_the_second(name: str) -> tuple[Net, str]:
    net = create_net(name, input_shape=(1, 8, 8), classes=10, seed=3).eval()
    gone = [unit.name for unit in net.blueprint.units if unit.deletable][1]
    units.pass_by_named(net, [gone])
    return net, gone


@pytest.mark.parametrize("name", NETS)
def test_both_ways_meet_in_what_the_unit_gives(name: str, digits: Dataset) -> None:
    net, gone = without_the_second(name)
    place = net.unit_names.index(gone)
    x = walk.states(net, digits.normalise(digits.test_images[:5]))[place]
    ways = walk.branches(net.units[place], x)
    assert ways is not None
    assert not ways.branch.any()
    with torch.no_grad():
        torch.testing.assert_close(walk.join(net.units[place], *ways), net.units[place](x))


@pytest.mark.parametrize("name", NETS)
def test_gradients_are_those_of_the_net_that_there_is(name: str, digits: Dataset) -> None:
    net, gone = without_the_second(name)
    paths = explorer.path_gradients(net, digits, n_images=6)
    assert paths.mismatch is not None
    assert paths.mismatch < 1e-5
    assert paths.two_way == sum(map(has_two_ways, net.blueprint.units)) - 1
    layers = explorer.layer_gradients(net, digits, n_images=20)
    for layer, rms in zip(layers.layers, layers.parameter_rms, strict=True):
        assert (rms == 0) == layer.startswith(f"{gone}."), layer
    terms = explorer.gradient_terms(net, digits, n_images=20)
    assert np.isfinite(terms.whole).all()
    blocks = explorer.unit_conductance(net, digits, image=0)
    assert blocks.branch[net.unit_names.index(gone)] == 0
    assert np.abs(blocks.errors()).max() < 0.05 * max(1.0, abs(blocks.whole))


def has_two_ways(unit: object) -> bool:
    return getattr(unit, "kind", "") in ("residual", "highway", "dense")


@pytest.mark.parametrize("name", NETS)
def test_what_does_not_act_is_left_out(name: str, digits: Dataset) -> None:
    net, gone = without_the_second(name)
    responses = explorer.layer_responses(net, digits, n_images=20)
    assert not any(layer.startswith(f"{gone}.") for layer in responses.layers)
    curve = explorer.lesions(net, digits, n_images=50)
    assert curve.accuracy[curve.units.index(gone)] == curve.baseline_accuracy
    if name.startswith("highway"):
        assert gone not in explorer.gate_means(net, digits, n_images=20).units
        assert gone not in explorer.gate_lesions(net, digits, n_images=20).units
    if not name.startswith("dense"):
        f = explorer.branch_responses(net, digits, n_images=20)
        assert f.ratio[f.units.index(gone)] == 0
