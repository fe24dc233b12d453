"""The worked example's numbers, and the same measured in units whose answers are known."""

from __future__ import annotations

import json
import math

import numpy as np
import plotly.graph_objects as go
import pytest
import torch
from asking import asked, drawn

from explorer.data.dataset import Dataset
from explorer.data.load import load_data
from explorer.errors import Cancelled, NotApplicableError, SpecError
from explorer.instruments import instrument
from explorer.instruments.amplifier.result import WorkedExample
from explorer.instruments.contract import Lane, Style
from explorer.instruments.sensitivity.result import Sensitivity
from explorer.measuring.select import some_images
from explorer.nets import Net, create_net
from explorer.nets.highway import HighwayUnit
from explorer.nets.residual import ResidualUnit
from explorer.structure.specs import DATASETS, DataSpec


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_data(DataSpec(name="digits"))


def a_net(name: str, seed: int = 1) -> Net:
    return create_net(name, input_shape=(1, 8, 8), classes=10, seed=seed)


@torch.no_grad()
def settled(net: Net, digits: Dataset) -> Net:
    """The net after its batch norms have seen images: it is measured with what they remember."""
    net.train()(digits.normalise(digits.train_images[:200]))
    return net


def example_figure(example: WorkedExample) -> go.Figure:
    one = instrument("amplifier")
    lane = Lane(0, "worked example", None, DATASETS["digits"], example)
    return one.figure([lane], one.asked({}), one.shown({}), Style())


def test_the_worked_example() -> None:
    """5 → 5.1, then 5.2: 2 % of a plain map's output, 100 % of the residual."""
    example = WorkedExample()
    assert round(example.plain_change * 100) == 2
    assert example.residual_change == pytest.approx(1.0)
    assert example.amplification == pytest.approx(51)
    assert example.residual_change / example.plain_change == pytest.approx(example.amplification)
    figure = example_figure(example)
    assert list(figure.data[0].y) == pytest.approx([100 * 0.1 / 5.1, 100])
    assert figure.data[0].text == ("5.1 → 5.2<br>1.96 %", "0.1 → 0.2<br>100 %")
    other = WorkedExample(2, 3, 3)
    assert (other.plain_change, other.residual_change, other.amplification) == (0, 0, 3)
    assert example_figure(other).data
    for wrong in ((5, 5, 5.2), (5, 0, 1), (5, math.inf, 1), (math.nan, 1, 2)):
        with pytest.raises(NotApplicableError, match=r"5 5\.1 5\.2"):
            WorkedExample(*wrong)


@pytest.mark.parametrize("name", ["resnet_v2_14;width=4", "resnet_v1_8;shortcut=B", "highway_10"])
def test_amplification_is_measured_unit_by_unit(name: str, digits: Dataset) -> None:
    net = settled(a_net(name), digits)
    before = {key: value.clone() for key, value in net.state_dict().items()}
    result = asked("sensitivity", net, digits, n_images=30, nudge=0.05)
    assert result.statistics == "running"
    assert all(torch.equal(before[key], value) for key, value in net.state_dict().items())
    assert net.training

    images, _ = some_images(net, digits, 30)
    net.eval()
    wanted = {}
    with torch.no_grad():
        x = net.stem(digits.normalise(images))
        for unit_name, unit in zip(net.unit_names, net.units, strict=True):
            if isinstance(unit, ResidualUnit):
                split = unit.split(x)
                part = unit.residual(split)
                whole = unit.shortcut(split) + part
            elif isinstance(unit, HighwayUnit):
                gate = unit.transform_gate(x)
                part = gate * (unit.transform(x) - x)
                whole = x + part
            if isinstance(unit, (ResidualUnit, HighwayUnit)):
                ratio = whole.flatten(1).norm(dim=1) / part.flatten(1).norm(dim=1)
                wanted[unit_name] = np.percentile(ratio, [50, 10, 90])
            x = unit(x)
    assert result.units == tuple(wanted)
    np.testing.assert_allclose(result.amplification, list(wanted.values()), rtol=1e-3)
    assert (result.residual_change > 0).all()


def test_known_units_give_known_answers(digits: Dataset) -> None:
    """F(x) = x / 2 by hand: H is 3 times F, and both move by just the share that x moves by."""
    net = a_net("resnet_v2_14;width=4")
    half = torch.nn.Conv2d(4, 4, 1, bias=False)
    with torch.no_grad():
        half.weight.copy_(torch.eye(4)[:, :, None, None] / 2)
    stage = net.get_submodule("stages.0.units")
    assert isinstance(stage, torch.nn.ModuleList)
    stage[1] = ResidualUnit(torch.nn.Identity(), half)
    result = asked("sensitivity", net, digits, n_images=20, nudge=0.02)
    place = result.units.index("stages.0.units.1")
    np.testing.assert_allclose(result.amplification[place], 3, rtol=1e-4)
    np.testing.assert_allclose(result.residual_change[place], 0.02, rtol=1e-3)
    np.testing.assert_allclose(result.output_change[place], 0.02, rtol=1e-3)


def test_a_residual_of_zero_has_no_share(digits: Dataset) -> None:
    net = a_net("resnet_v2_8;init=zero_last_scale")
    result = asked("sensitivity", net, digits, n_images=20)
    assert np.isnan(result.residual_change[0]).all()
    back = Sensitivity.from_json(json.loads(json.dumps(result.to_json(), allow_nan=False)))
    assert np.isnan(back.amplification[0]).all()
    assert drawn("sensitivity", [back], nets=[net]).data


def test_sensitivity_round_trips_and_is_drawn(digits: Dataset) -> None:
    net = a_net("highway_10")  # with transitions, which have no shortcut
    result = asked("sensitivity", net, digits, n_images=20, name="mine")
    back = Sensitivity.from_json(json.loads(json.dumps(result.to_json(), allow_nan=False)))
    assert (back.net, back.n_images, back.nudge) == ("mine", 20, 0.02)
    np.testing.assert_array_equal(back.output_change, result.output_change)
    assert list(result.to_frame()["unit"]) == list(result.units)
    for of, curves in (("target", 1), ("input", 2)):
        figure = drawn("sensitivity", [back], nets=[net], of=of, theme="dark")
        assert len([trace for trace in figure.data if trace.name]) == curves
        place = net.unit_names.index(result.units[-1]) + 1
        assert figure.data[-1].x[-1] == place
    assert not drawn("sensitivity", []).data


@pytest.mark.parametrize("name", ["plain_8", "densenet_7_k4"])
def test_nets_without_additions_are_told_what_would_do(name: str, digits: Dataset) -> None:
    with pytest.raises(NotApplicableError, match=r"add nothing.*such as digits_resnet_v2_56\."):
        asked("sensitivity", a_net(name), digits)


def test_impossible_nudges_and_stopping(digits: Dataset) -> None:
    net = a_net("resnet_v2_8")
    for nudge in (0.0, -1.0, 1.5, math.nan):
        with pytest.raises(SpecError, match="nudge"):
            asked("sensitivity", net, digits, nudge=nudge)
    with pytest.raises(Cancelled):
        asked("sensitivity", net, digits, cancelled=lambda: True)
