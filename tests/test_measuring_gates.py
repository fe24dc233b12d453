"""Gates by channel, by place, by class, and how they are spread, against naive sums."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from asking import asked, drawn
from asking import page_of as instrument
from PIL import Image
from torch import Tensor, nn

from explorer.data.dataset import Dataset
from explorer.data.load import load_data
from explorer.errors import Cancelled, DataError, NotApplicableError, SpecError
from explorer.instruments import instrument as declared
from explorer.instruments.contract import OneImage
from explorer.instruments.gate_image.ask import fewest_channels
from explorer.instruments.gate_image.result import GateImage
from explorer.instruments.gate_maps.measure import class_index
from explorer.instruments.gate_maps.result import GateMaps
from explorer.instruments.gates.measure import LEVELS
from explorer.instruments.gates.result import GateMeans
from explorer.measuring.gates import unit_gates
from explorer.nets import Net, create_net, load_pretrained
from explorer.pages.instruments import feed, links
from explorer.pages.instruments.controls import Present
from explorer.pages.instruments.on_page import Asking
from explorer.runs.serve.service import get_service
from explorer.structure.specs import DataSpec

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


def gates_of(net: Net, data: Dataset, **options: Any) -> GateMeans:
    found: GateMeans = asked("gates", net, data, **options)
    return found


def maps_of(net: Net, data: Dataset, image: Any = 0, **options: Any) -> GateMaps:
    found: GateMaps = asked("gate_maps", net, data, image=OneImage(image), **options)
    return found


def image_of(net: Net, data: Dataset, image: Any = 0, **options: Any) -> GateImage:
    found: GateImage = asked("gate_image", net, data, image=OneImage(image), **options)
    return found


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
    means = gates_of(net, digits)
    assert means.gate == ("transform" if "highway" in name else "shortcut")
    assert list(means.units) == list(gates)
    np.testing.assert_allclose(means.mean, [g.double().mean() for g in gates.values()], rtol=1e-6)

    found = maps_of(net, digits, 7, of_class="3")
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

    spread = means
    assert spread.quantiles is not None
    assert spread.edges is not None
    assert spread.share is not None
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
    means = spread = gates_of(net, digits, n_images=50)
    assert spread.quantiles is not None
    assert spread.share is not None
    np.testing.assert_allclose(means.mean, expected, rtol=1e-6)
    np.testing.assert_allclose(means.sd, 0, atol=1e-6)
    maps = maps_of(net, digits, n_images=50, of_class=2)
    for i, sigma in enumerate(expected):
        for table in (maps.mean, maps.sample):
            assert table is not None
            np.testing.assert_allclose(table[i], sigma, rtol=1e-6)
        np.testing.assert_allclose(maps.class_difference[i], 0, atol=1e-7)  # type: ignore[index]
        np.testing.assert_array_equal(maps.bias[i], -i / 2)
        np.testing.assert_allclose(spread.quantiles[i], sigma, rtol=0.011)
        assert spread.share[i].max() == 1
    if "fc_" not in name:
        image = image_of(net, digits)
        for values, sigma in zip(image.maps, expected, strict=True):
            np.testing.assert_allclose(values, sigma, rtol=1e-6)


def test_biases_before_training_are_those_of_the_seed(digits: Dataset) -> None:
    net = load_pretrained("digits_fc_highway_50")
    fresh = create_net(net.spec, seed=7)
    maps = maps_of(net, digits, n_images=10)
    for i, (_, gate) in enumerate(zip(maps.units, unit_gates(fresh)[1], strict=True)):
        np.testing.assert_array_equal(maps.bias_before[i], gate.bias)
        assert not np.array_equal(maps.bias[i], gate.bias)
    assert set(maps.tables()) == {"bias_before", "bias", "mean", "sample", "output"}


def test_the_mean_may_be_over_training_images(digits: Dataset) -> None:
    net = a_net("fc_highway_4;width=5")
    maps = maps_of(net, digits, train=True)
    assert (maps.images, maps.n_images) == ("train", len(digits.train_labels))
    with torch.no_grad():
        gate = next(iter(all_gates(net, digits, digits.train_images).values()))
    np.testing.assert_allclose(maps.mean[0], gate.double().mean(0), rtol=1e-5)


@torch.no_grad()
def test_maps_over_an_image(digits: Dataset, tmp_path: Path) -> None:
    net = settled(a_net("highway_10;width=3"), digits)
    gates = all_gates(net, digits, digits.test_images[4:5])
    mean = image_of(net, digits, 4)
    third = image_of(net, digits, 4, of_channel=2, name="mine")
    assert mean.picture is not None
    np.testing.assert_array_equal(mean.picture[..., 0], digits.test_images[4, 0])
    for i, gate in enumerate(gates.values()):
        np.testing.assert_allclose(mean.maps[i], gate[0].mean(0), rtol=1e-5)
        np.testing.assert_allclose(third.maps[i], gate[0, 2], rtol=1e-6)
    assert [m.shape for m in mean.maps] == [(8, 8)] * 2 + [(4, 4)] * 2 + [(2, 2)] * 2
    assert third.net == "mine"
    file = tmp_path / "mine.png"
    Image.fromarray(digits.test_images[4, 0].numpy()).save(file)
    own = image_of(net, digits, file)
    assert own.image_name == "mine.png"
    np.testing.assert_allclose(own.maps[0], mean.maps[0], rtol=1e-6)
    given = image_of(net, digits, digits.test_images[4])
    assert given.image_name == "your image"
    np.testing.assert_allclose(given.maps[0], mean.maps[0], rtol=1e-6)
    with pytest.raises(DataError, match="is uint8 of shape"):
        image_of(net, digits, digits.test_images[4] / 255)
    file.write_text("no picture")
    with pytest.raises(DataError, match="not an image"):
        image_of(net, digits, file)


# ------------------------------------------------------------------------------ what is refused


@pytest.mark.parametrize("measure", [gates_of, maps_of, image_of])
@pytest.mark.parametrize("name", ["plain_8", "resnet_v2_8", "densenet_10_k3"])
def test_nets_without_gates_are_told_one_with(
    measure: Callable[..., Any], name: str, digits: Dataset
) -> None:
    such = "highway_25" if measure is image_of else "digits_fc_highway_50"  # which has places
    with pytest.raises(NotApplicableError, match=f"has no gates: .*{such}"):
        measure(a_net(name), digits)


def test_places_channels_and_classes_that_there_are_not(digits: Dataset) -> None:
    with pytest.raises(NotApplicableError, match=r"no places.*highway_25"):
        image_of(a_net("fc_highway_4"), digits)
    net = a_net("highway_7;width=3")
    with pytest.raises(SpecError, match="no channel 3 in every block: choose one from 0 to 2"):
        image_of(net, digits, of_channel=3)
    for image in (360, -1):
        with pytest.raises(DataError, match=f"no test image {image}"):
            maps_of(net, digits, image)
    with pytest.raises(DataError, match="no class '10': there are 0, 1"):
        maps_of(net, digits, of_class=10)
    with pytest.raises(DataError, match="None of these 1 images is of the class"):
        maps_of(net, digits, n_images=1, of_class=int(1 - (digits.test_labels[0] > 0).int()))
    assert class_index(digits, "4") == class_index(digits, 4) == 4
    with pytest.raises(DataError, match="3×32×32"):
        image_of(create_net("highway_7;width=2", seed=0), digits)


@pytest.mark.parametrize("measure", [gates_of, maps_of])
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
    means, others = gates_of(net, digits, n_images=20), gates_of(shortcut, digits, n_images=20)
    maps = maps_of(net, digits, n_images=100, of_class=0)
    image = image_of(net, digits)
    for result, kind in (
        (means, GateMeans),
        (maps, GateMaps),
        (image, GateImage),
    ):
        told = json.loads(json.dumps(result.to_json()))
        assert kind.from_json(told).to_json() == told
    assert [row["name"] for row in means.to_json()["units"]] == list(means.units)
    assert {"name", "mean"} <= set(means.to_json()["units"][0])
    old = {key: value for key, value in means.to_json().items() if key != "gate"}
    assert GateMeans.from_json(old).gate == "transform"  # the cards of earlier versions

    figure = drawn("gates", [means, others])
    assert figure.layout.yaxis.title.text == "T(x) or g(x)"
    every = drawn("gate_maps", [maps], show="all")
    assert [trace.z.shape for trace in every.data] == [(6, 12)] * 6
    assert np.isnan(every.data[2].z[0, 3:]).all()  # narrower than the last stage
    for show, tables in (("fig2", 5), ("biases", 2), ("classes", 2)):
        assert len(drawn("gate_maps", [maps], show=show, narrow=True).data) == tables
    titles = [annotation.text for annotation in every.layout.annotations]
    assert "mean over 100 test images" in titles
    assert "0: its mean less the mean" in titles
    bands = drawn("gates", [means], view="distribution")
    assert means.quantiles is not None
    np.testing.assert_allclose(bands.data[-1].y, means.quantiles[:, 2])
    card = GateMeans.from_json(means.to_json(partial=True))  # what a card of weights holds
    assert card.quantiles is None
    assert not drawn("gates", [card], view="distribution").data
    tiles = drawn("gate_image", [image])
    assert np.nanmax(tiles.data[0].z) == pytest.approx(max(m.max() for m in image.maps))
    assert tiles.layout.images[0].source.startswith("data:image/png;base64,")
    numbers = [annotation.text for annotation in tiles.layout.annotations]
    assert numbers == ["image", "1", "2", "3", "4", "5", "6"]
    assert len(maps.to_frame()) == 2 * (3 + 6 + 12)
    assert len(image.to_frame()) == 2 * (64 + 16 + 4)
    quantiles = ["q5", "q25", "q50", "q75", "q95"]
    assert list(means.to_frame().columns) == ["unit", "mean", "sd", "bias", *quantiles]
    assert list(card.to_frame().columns) == ["unit", "mean", "sd", "bias"]


@pytest.mark.parametrize("name", ["highway_10;width=3", "resnet_v2_8;shortcut=exclusive_gating"])
def test_channels_count_from_0_and_old_links_say_what_they_said(name: str) -> None:
    net = create_net(name, input_shape=(1, 8, 8), classes=10, seed=0)
    fewest = fewest_channels(net.blueprint)
    assert fewest == min(len(gate.bias) for gate in unit_gates(net)[1])
    one = instrument("gate_image")
    present = Present((net.blueprint,), ())

    def asking(link: str) -> Asking:
        chosen = {"own": "", "image": 0, "of_channel": ""}
        for option, text in links.from_query({"instrument": link})[0].chosen.items():
            chosen[option] = one.option(option).read(text, present)
        return Asking(0, {}, DataSpec(), None, 7, chosen, net.blueprint)

    for link, channel in (
        ("gate_image", None),
        ("gate_image;of_channel=0", 0),
        (f"gate_image;of_channel={fewest - 1}", fewest - 1),
        ("gate_image;channel=0", None),  # links counted from 1
        (f"gate_image;channel={fewest}", fewest - 1),
    ):
        assert one.payload(asking(link))["of_channel"] == channel
    with pytest.raises(SpecError, match="of_channel must be one of"):
        asking(f"gate_image;of_channel={fewest}")
    with pytest.raises(SpecError, match=rf"no channel {fewest} .* from 0 to {fewest - 1}"):
        declared("gate_image").asked({"of_channel": fewest}).for_net(net.blueprint)


def test_links_of_earlier_versions_lead_to_todays_options() -> None:
    for link, chosen in (
        ("gates;show=spread", {"view": "distribution"}),
        ("gates;show=mean", {"view": "mean"}),
        ("attribution;class=true", {"target": "true"}),
        ("activations;block=stages.0.units.1", {"units": "stages.0.units.1"}),
        ("gate_maps;class=8;images=train", {"of_class": "8", "train": "yes"}),
    ):
        assert links.from_query({"instrument": link})[0].chosen == chosen


def test_a_table_for_people_has_the_quantiles_where_they_are_known(digits: Dataset) -> None:
    means = gates_of(a_net("fc_highway_4;width=5"), digits, n_images=20)
    page = instrument("gates")
    whole = page.table(means.to_json())
    assert [*whole[0]] == [
        "block",
        "mean",
        "sd",
        "mean bias",
        "5 %",
        "25 %",
        "50 %",
        "75 %",
        "95 %",
    ]
    assert [*page.table(means.to_json(partial=True))[0]] == ["block", "mean", "sd", "mean bias"]


def test_a_card_stands_in_for_the_mean_and_not_for_the_spread_that_it_lacks(
    worker_threads: None,
) -> None:
    service = get_service()
    for link, of_card in (("gates", True), ("gates;show=spread", False)):
        query = {"nets": "digits_fc_highway_50", "instrument": link}
        shown, problems = links.scene(service, links.from_query(query)[0])
        assert problems == []
        kind, payload = feed.question(shown, 0)
        kept = feed.kept_answer(kind, payload, shown.subjects[0], shown)
        assert (kept is not None) == of_card
    service.close()
