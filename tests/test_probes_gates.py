"""Gates by channel, by place, by class, and how they are spread, against naive sums."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from explorer.charts import (
    gate_distribution_figure,
    gate_figure,
    gate_image_figure,
    gate_map_figure,
)
from explorer.data.dataset import Dataset
from explorer.data.load import load_data
from explorer.errors import Cancelled, DataError, NotApplicableError, SpecError
from explorer.nets import Net, create_net, load_pretrained
from explorer.probes.gates import (
    LEVELS,
    class_index,
    gate_distribution,
    gate_image,
    gate_maps,
    gate_means,
    unit_gates,
)
from explorer.results import GateDistribution, GateImage, GateMaps, GateMeans
from explorer.results.attribution import to_png
from explorer.specs import DataSpec
from explorer.ui.instruments import Asking, instrument

GATED = (
    "highway_10;width=3",
    "fc_highway_5;width=9",
    "resnet_v1_8;width=3;shortcut=exclusive_gating;gate_bias=-2",
    "resnet_v2_14;width=3;shortcut=shortcut_only_gating;gate_bias=-2",
)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_data(DataSpec(name="digits"))


def a_net(name: str) -> Net:
    return create_net(name, input_shape=(1, 8, 8), classes=10, seed=1)


@torch.no_grad()
def settled(net: Net, digits: Dataset) -> Net:
    """The net after its batch norms have seen images: it is measured with what they remember."""
    net.train()(digits.normalise(digits.train_images[:200]))
    return net


def all_gates(net: Net, digits: Dataset, images: Tensor) -> dict[str, Tensor]:
    """Each gate by the formula, from its unit's input."""
    x = net.eval().stem(digits.normalise(images))
    found = {}
    for name, unit in zip(net.unit_names, net.units, strict=True):
        if hasattr(unit, "transform_gate"):
            found[name] = unit.transform_gate[0](x).sigmoid()
        elif getattr(unit, "shortcut_gate", None) is not None:
            found[name] = unit.shortcut_gate[0](unit.split(x)).sigmoid()
        x = unit(x)
    return found


def by_channel(gate: Tensor) -> Tensor:
    return gate.double().flatten(2).mean(2) if gate.dim() > 2 else gate.double()


@torch.no_grad()
@pytest.mark.parametrize("name", GATED)
def test_every_view_is_of_the_gates_formula(name: str, digits: Dataset) -> None:
    net = settled(a_net(name), digits)
    gates = all_gates(net, digits, digits.test_images)
    means = gate_means(net, digits, n_images=None)
    assert means.gate == ("transform" if "highway" in name else "shortcut")
    assert list(means.units) == list(gates)
    np.testing.assert_allclose(means.mean, [g.double().mean() for g in gates.values()], rtol=1e-6)

    found = gate_maps(net, digits, image=7, of_class="3")
    mine = digits.test_labels == 3
    outputs = dict(zip(net.unit_names, walk_outputs(net, digits), strict=True))
    for i, (unit, gate) in enumerate(gates.items()):
        channels = by_channel(gate)
        np.testing.assert_allclose(found.mean[i], channels.mean(0), rtol=1e-5)
        np.testing.assert_allclose(found.sample[i], channels[7], rtol=1e-5)  # type: ignore[index]
        difference = channels[mine].mean(0) - channels.mean(0)
        np.testing.assert_allclose(found.class_difference[i], difference, rtol=1e-3, atol=1e-7)  # type: ignore[index]
        output = by_channel(outputs[unit])[7]
        np.testing.assert_allclose(found.output[i], output, rtol=1e-4, atol=1e-6)  # type: ignore[index]
    assert (found.class_name, found.sample_name, found.images) == ("3", "test image 7", "test")

    spread = gate_distribution(net, digits, n_images=None)
    for i, gate in enumerate(gates.values()):
        flat = gate.double().flatten().numpy()
        exact = np.quantile(flat, LEVELS)
        logits = np.log(spread.quantiles[i] / (1 - spread.quantiles[i]))
        np.testing.assert_allclose(logits, np.log(exact / (1 - exact)), atol=0.0101)
        counts, _ = np.histogram(flat, spread.edges)
        np.testing.assert_allclose(spread.share[i], counts / len(flat), atol=2e-4)


def walk_outputs(net: Net, digits: Dataset) -> list[Tensor]:
    x = net.stem(digits.normalise(digits.test_images))
    found = []
    for unit in net.units:
        x = unit(x)
        found.append(x)
    return found


@pytest.mark.parametrize("name", GATED)
def test_zero_gate_weights_leave_the_bias_in_every_view(name: str, digits: Dataset) -> None:
    net = a_net(name)
    _, gates = unit_gates(net)
    for i, gate in enumerate(gates):
        inner = net.get_submodule(gate.weights)
        nn.init.zeros_(inner.weight)  # type: ignore[arg-type]
        nn.init.constant_(inner.bias, -i / 2)  # type: ignore[arg-type]
    expected = 1 / (1 + np.exp(np.arange(len(gates)) / 2))
    means = gate_means(net, digits, n_images=50)
    np.testing.assert_allclose(means.mean, expected, rtol=1e-6)
    np.testing.assert_allclose(means.sd, 0, atol=1e-6)
    maps = gate_maps(net, digits, n_images=50, of_class=2)
    spread = gate_distribution(net, digits, n_images=50)
    for i, sigma in enumerate(expected):
        for table in (maps.mean, maps.sample):
            assert table is not None
            np.testing.assert_allclose(table[i], sigma, rtol=1e-6)
        np.testing.assert_allclose(maps.class_difference[i], 0, atol=1e-7)  # type: ignore[index]
        np.testing.assert_array_equal(maps.bias[i], -i / 2)
        np.testing.assert_allclose(spread.quantiles[i], sigma, rtol=0.011)
        assert spread.share[i].max() == 1
    if "fc_" not in name:
        image, _ = gate_image(net, digits)
        for values, sigma in zip(image.maps, expected, strict=True):
            np.testing.assert_allclose(values, sigma, rtol=1e-6)


def test_biases_before_training_are_those_of_the_seed(digits: Dataset) -> None:
    net = load_pretrained("digits_fc_highway_50")
    fresh = create_net(net.spec, seed=7)
    maps = gate_maps(net, digits, n_images=10, image=None)
    for i, (_, gate) in enumerate(zip(maps.units, unit_gates(fresh)[1], strict=True)):
        np.testing.assert_array_equal(maps.bias_before[i], gate.bias)
        assert not np.array_equal(maps.bias[i], gate.bias)
    assert maps.sample is None
    assert set(maps.tables()) == {"bias_before", "bias", "mean"}


def test_the_mean_may_be_over_training_images(digits: Dataset) -> None:
    net = a_net("fc_highway_4;width=5")
    maps = gate_maps(net, digits, train=True)
    assert (maps.images, maps.n_images) == ("train", len(digits.train_labels))
    with torch.no_grad():
        gate = next(iter(all_gates(net, digits, digits.train_images).values()))
    np.testing.assert_allclose(maps.mean[0], gate.double().mean(0), rtol=1e-5)


@torch.no_grad()
def test_maps_over_an_image(digits: Dataset, tmp_path: Path) -> None:
    net = settled(a_net("highway_10;width=3"), digits)
    gates = all_gates(net, digits, digits.test_images[4:5])
    mean, shown = gate_image(net, digits, image=4)
    third, _ = gate_image(net, digits, image=4, channel=2, name="mine")
    assert torch.equal(shown.pixels, digits.test_images[4])
    for i, gate in enumerate(gates.values()):
        np.testing.assert_allclose(mean.maps[i], gate[0].mean(0), rtol=1e-5)
        np.testing.assert_allclose(third.maps[i], gate[0, 2], rtol=1e-6)
    assert [m.shape for m in mean.maps] == [(8, 8)] * 2 + [(4, 4)] * 2 + [(2, 2)] * 2
    assert third.net == "mine"
    file = tmp_path / "mine.png"
    Image.fromarray(digits.test_images[4, 0].numpy()).save(file)
    own, _ = gate_image(net, digits, image=file)
    assert own.image_name == "mine.png"
    np.testing.assert_allclose(own.maps[0], mean.maps[0], rtol=1e-6)
    file.write_text("no picture")
    with pytest.raises(DataError, match="not an image"):
        gate_image(net, digits, image=file)


# ------------------------------------------------------------------------------ what is refused


@pytest.mark.parametrize("measure", [gate_means, gate_maps, gate_distribution, gate_image])
@pytest.mark.parametrize("name", ["plain_8", "resnet_v2_8", "densenet_10_k3"])
def test_nets_without_gates_are_told_one_with(
    measure: Callable[..., Any], name: str, digits: Dataset
) -> None:
    with pytest.raises(NotApplicableError, match=r"no transform gates.*digits_fc_highway_50"):
        measure(a_net(name), digits)


def test_places_channels_and_classes_that_there_are_not(digits: Dataset) -> None:
    with pytest.raises(NotApplicableError, match=r"no places.*highway_25"):
        gate_image(a_net("fc_highway_4"), digits)
    net = a_net("highway_7;width=3")
    with pytest.raises(NotApplicableError, match="from 0 to 2"):
        gate_image(net, digits, channel=3)
    for image in (360, -1):
        with pytest.raises(DataError, match=f"no test image {image}"):
            gate_maps(net, digits, image=image)
    with pytest.raises(DataError, match="no class '10': there are 0, 1"):
        gate_maps(net, digits, of_class=10)
    with pytest.raises(DataError, match="None of these 1 images is of the class"):
        gate_maps(net, digits, n_images=1, of_class=int(1 - (digits.test_labels[0] > 0).int()))
    assert class_index(digits, "4") == class_index(digits, 4) == 4
    with pytest.raises(DataError, match="3×32×32"):
        gate_image(create_net("highway_7;width=2", seed=0), digits)


@pytest.mark.parametrize("measure", [gate_means, gate_maps, gate_distribution])
def test_giving_up_leaves_no_trace(measure: Callable[..., Any], digits: Dataset) -> None:
    net = a_net("highway_7;width=3").train()
    with pytest.raises(Cancelled):
        measure(net, digits, n_images=20, cancelled=lambda: True)
    assert all(module.training for module in net.modules())
    assert not any(m._forward_hooks or m._backward_hooks for m in net.modules())


# ------------------------------------------------------------------------------------- figures


def test_results_survive_json_and_are_drawn(digits: Dataset) -> None:
    net = a_net("highway_10;width=3")
    shortcut = a_net(GATED[2])
    means, others = gate_means(net, digits, n_images=20), gate_means(shortcut, digits, n_images=20)
    maps = gate_maps(net, digits, n_images=100, of_class=0)
    spread = gate_distribution(net, digits, n_images=20)
    image, shown = gate_image(net, digits)
    for result, kind in (
        (means, GateMeans),
        (maps, GateMaps),
        (spread, GateDistribution),
        (image, GateImage),
    ):
        told = json.loads(json.dumps(result.to_json()))
        assert kind.from_json(told).to_json() == told
    assert [row["name"] for row in means.to_json()["units"]] == list(means.units)
    assert {"name", "mean"} <= set(means.to_json()["units"][0])
    old = {key: value for key, value in means.to_json().items() if key != "gate"}
    assert GateMeans.from_json(old).gate == "transform"  # the cards of earlier versions

    figure = gate_figure([(0, "a", means), (1, "b", others)])
    assert figure.layout.yaxis.title.text == "T(x) or g(x)"
    drawn = gate_map_figure([(0, "a", maps)])
    assert [trace.z.shape for trace in drawn.data] == [(6, 12)] * 6
    assert np.isnan(drawn.data[2].z[0, 3:]).all()  # narrower than the last stage
    assert len(gate_map_figure([(0, "a", maps)], tables=["mean"], columns=1).data) == 1
    titles = [annotation.text for annotation in drawn.layout.annotations]
    assert "mean over 100 test images" in titles
    assert "0: its mean less the mean" in titles
    bands = gate_distribution_figure([(0, "a", spread)])
    np.testing.assert_allclose(bands.data[-1].y, spread.quantiles[:, 2])
    picture = to_png(shown.pixels.permute(1, 2, 0).numpy())
    tiles = gate_image_figure(image, picture=picture)
    assert np.nanmax(tiles.data[0].z) == pytest.approx(max(m.max() for m in image.maps))
    assert tiles.layout.images[0].source.startswith("data:image/png;base64,")
    numbers = [annotation.text for annotation in tiles.layout.annotations]
    assert numbers == ["image", "1", "2", "3", "4", "5", "6"]
    assert len(maps.to_frame()) == 2 * (3 + 6 + 12)
    assert len(image.to_frame()) == 2 * (64 + 16 + 4)
    assert list(spread.to_frame().columns) == ["unit", "q5", "q25", "q50", "q75", "q95"]


@pytest.mark.parametrize("name", ["highway_10;width=3", "resnet_v2_8;shortcut=exclusive_gating"])
def test_the_page_counts_channels_from_1(name: str) -> None:
    net = create_net(name, input_shape=(1, 8, 8), classes=10, seed=0)
    fewest = min(len(gate.bias) for gate in unit_gates(net)[1])
    one = instrument("gate_image")

    def asked(channel: int) -> Asking:
        options = {"own": "", "image": 0, "channel": channel}
        return Asking(0, {}, DataSpec(), None, 7, options, net.blueprint)

    assert one.payload(asked(0))["channel"] is None
    assert one.payload(asked(fewest))["channel"] == fewest - 1
    with pytest.raises(SpecError, match=rf"no channel {fewest + 1} .* from 1 to {fewest}, or 0"):
        one.payload(asked(fewest + 1))
