"""Activation maps: exact, on every family, from a shell, as a job and as a figure."""

from __future__ import annotations

import copy
import csv
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
import torch
from asking import Lane, asked_of, drawn
from asking import page_of as instrument
from PIL import Image

import explorer
from explorer.cli import main
from explorer.data.dataset import Dataset
from explorer.data.load import load_data
from explorer.errors import DataError, SkipscopeError
from explorer.instruments.activations.result import ActivationMaps
from explorer.nets import Net, create_net
from explorer.pages.instruments.on_page import Asking
from explorer.runs.serve.requests import parse_request
from explorer.runs.worker.jobs import run as run_job
from explorer.runs.worker.warm import Context, Shelf
from explorer.structure.blueprint import blueprint
from explorer.structure.names import spec_of
from explorer.structure.specs import DATASETS, DataSpec, fit_to_data

PLAIN, RESIDUAL = "plain_8;width=4", "resnet_v2_14;width=4"
FAMILIES = [PLAIN, RESIDUAL, "highway_13;width=4", "densenet_13_k4", "resnet_v1_14;shortcut=B"]


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_data(DataSpec(name="digits", test_limit=20))


def activation_maps(net: Net, data: Dataset, image: Any, **options: Any) -> ActivationMaps:
    found: ActivationMaps = asked_of("activations", net, data, image, **options)
    return found


def a_net(name: str) -> Net:
    return create_net(name, input_shape=(1, 8, 8), classes=10, seed=3)


@torch.no_grad()
def settled(net: Net, digits: Dataset) -> Net:
    """The net after its batch norms have seen images: it is measured with what they remember."""
    net.train()(digits.normalise(digits.train_images[:200]))
    return net


@pytest.mark.parametrize("name", FAMILIES)
def test_parts_are_what_the_unit_computes(name: str, digits: Dataset) -> None:
    net = settled(a_net(name), digits)
    modes = [module.training for module in net.modules()]
    results = {
        part: activation_maps(net, digits, 3, units=range(len(net.units)), part=part, k=99)
        for part in ("output", "branch")
    }
    assert [module.training for module in net.modules()] == modes
    assert not any(module._forward_hooks for module in net.modules())
    net.eval()
    with torch.no_grad():
        x = net.stem(digits.normalise(digits.test_images[3:4]))
        for i, unit in enumerate(net.units):
            given = {part: result.units[i] for part, result in results.items()}
            branch = net_branch(unit, x)
            x = unit(x)
            for part, expected in (("output", x), ("branch", branch)):
                of = given[part]
                assert of.name == net.unit_names[i]
                assert of.shape == tuple(expected.shape[1:])
                in_order = np.empty_like(of.maps)
                in_order[list(of.channels)] = of.maps
                np.testing.assert_allclose(in_order, expected[0].numpy(), rtol=1e-4, atol=1e-5)
                magnitude = expected[0].abs().mean((1, 2)).numpy()
                np.testing.assert_allclose(of.magnitude, magnitude, rtol=1e-4, atol=1e-6)
                assert (np.diff(of.magnitude[list(of.channels)]) <= 0).all()
                assert of.negative == pytest.approx(float((expected < 0).float().mean()))


def net_branch(unit: Any, x: torch.Tensor) -> torch.Tensor:
    """By the formulas: F(x), H(x)·T(x), the new maps; all of it where there is one way."""
    if hasattr(unit, "residual"):
        return unit.branches(x)[1]
    if hasattr(unit, "transform_gate"):
        return unit.transform(x) * unit.transform_gate(x)
    return unit.growth(x) if hasattr(unit, "growth") else unit(x)


def test_a_deletion_is_seen_from_there_on(digits: Dataset) -> None:
    net = a_net(RESIDUAL)
    everything = list(net.unit_names)
    intact = activation_maps(net, digits, 0, units=everything, channels="first", k=4)
    lesion = activation_maps(
        net, digits, 0, units=everything, channels="first", k=4, deleted=["stages.0.units.1"]
    )
    same = [np.array_equal(a.maps, b.maps) for a, b in zip(intact.units, lesion.units, strict=True)]
    assert same == [True, *[False] * 5]
    np.testing.assert_array_equal(lesion.units[1].maps, lesion.units[0].maps)  # it passes x on
    shortcut = activation_maps(net, digits, 0, units=[1], part="shortcut", channels="first", k=4)
    np.testing.assert_array_equal(shortcut.units[0].maps, intact.units[0].maps)
    assert lesion.deleted == ("stages.0.units.1",)


def test_the_last_of_each_stage_unless_units_are_named(digits: Dataset) -> None:
    dense = activation_maps(a_net("densenet_13_k4"), digits, 0, k=3)
    assert [unit.name for unit in dense.units] == [
        "stages.0.units.2",
        "stages.1.units.2",
        "stages.2.units.2",
    ]
    assert all(len(unit.channels) == len(unit.maps) == 3 for unit in dense.units)
    net = a_net(RESIDUAL)
    named = activation_maps(net, digits, 0, units=["stages.2.units.0", 1, 1], channels="first")
    assert [unit.name for unit in named.units] == ["stages.0.units.1", "stages.2.units.0"]
    assert named.units[0].channels == (0, 1, 2, 3)


def test_large_maps_are_means_of_blocks() -> None:
    net = create_net("plain_8;width=4", input_shape=(3, 130, 130), classes=10, seed=3)
    small = load_data(DataSpec(name="digits", test_limit=2))
    draw = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (2, 3, 130, 130), generator=draw, dtype=torch.uint8)
    info = small.info.model_copy(update={"input_shape": (3, 130, 130)})
    half = torch.full((3,), 0.5)
    dataset = replace(small, info=info, test_images=pixels, mean=half, std=half)
    with torch.no_grad():
        net.train()(dataset.normalise(pixels))
    unit = activation_maps(net, dataset, 0, units=[0], channels="first").units[0]
    assert (unit.shape, unit.maps.shape) == ((4, 130, 130), (4, 44, 44))
    with torch.no_grad():
        whole = net.eval().units[0](net.stem(dataset.normalise(pixels[:1])))[0]
    np.testing.assert_allclose(unit.maps[2, 5, 7], whole[2, 15:18, 21:24].mean(), rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        ("fc_plain_6", {}, "give features, not maps"),
        (PLAIN, {"part": "shortcut"}, "Nothing passes unit 'stages.0.units.0' by"),
        (RESIDUAL, {"part": "gate"}, "part: input should be .*not 'gate'"),
        (RESIDUAL, {"channels": "weakest"}, "channels: input should be .*not 'weakest'"),
        (RESIDUAL, {"k": 0}, "k must be at least 1"),
        (RESIDUAL, {"units": []}, "Name at least one unit"),
        (RESIDUAL, {"units": ["stages.0"]}, "no unit 'stages.0'; the nearest is"),
        (RESIDUAL, {"units": [1], "deleted": [1], "part": "branch"}, "is deleted, so its own"),
        (RESIDUAL, {"deleted": [77]}, "no unit 77"),
    ],
)
def test_what_means_nothing_is_a_sentence(
    name: str, options: dict[str, Any], sentence: str, digits: Dataset
) -> None:
    with pytest.raises(SkipscopeError, match=sentence):
        activation_maps(a_net(name), digits, 0, **options)


def test_an_image_that_there_is_not(digits: Dataset) -> None:
    net = a_net(PLAIN)
    before = copy.deepcopy(net.state_dict())
    with pytest.raises(DataError, match="no test image 20"):
        activation_maps(net, digits, 20)
    with pytest.raises(DataError, match="not an image"):
        activation_maps(net, digits, b"nothing")
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())


# --------------------------------------------------------------------- shell, job, page, figure


def test_json_and_tables(digits: Dataset) -> None:
    result = activation_maps(a_net(RESIDUAL), digits, 0, k=2, name="mine")
    back = ActivationMaps.from_json(json.loads(json.dumps(result.to_json())))
    assert back.to_json() == result.to_json()
    np.testing.assert_array_equal(back.units[1].maps, result.units[1].maps)
    frame = result.to_frame()
    assert len(frame) == 4 + 8 + 16
    assert frame["kept"].sum() == 6
    assert frame.groupby("unit")["magnitude"].max().tolist() == [
        pytest.approx(unit.magnitude.max()) for unit in result.units
    ]


def test_the_shell(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    def run(*argv: str) -> tuple[int, str, str]:
        code = main(["activations", *argv])
        done = capsys.readouterr()
        return code, done.out, done.err

    code, out, err = run(PLAIN, RESIDUAL, "--image", "2")
    assert (code, err) == (0, "")
    assert "plain_8;width=4 (untrained, seed 7)\ntest image 2 of digits" in out
    assert out.count("4×8×8") == out.count("16×2×2") == 2
    assert out.count("--html FILE") == 1
    file = tmp_path / "mine.png"
    Image.effect_noise((30, 30), 80).save(file)
    code, out, err = run(
        *(RESIDUAL, "--image", str(file), "--unit", "stages.0.units.1,stages.1.units.1"),
        *("--part", "branch", "--channels", "first", "--k", "2", "--csv"),
    )
    assert (code, err) == (0, "")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert {row["unit"] for row in rows} == {"stages.0.units.1", "stages.1.units.1"}
    assert sum(row["kept"] == "True" for row in rows) == 4
    code, out, err = run(RESIDUAL, "--json", "--k", "1")
    given = json.loads(out)
    net = create_net(RESIDUAL, input_shape=(1, 8, 8), classes=10, seed=7)
    expected = explorer.activation_maps(net, "digits", 0, k=1)
    np.testing.assert_allclose(given["units"][0]["maps"], expected.units[0].maps, rtol=1e-5)
    page = tmp_path / "maps.html"
    assert run(RESIDUAL, "--html", str(page))[0] == 0
    assert "Maps: resnet_v2_14;width=4 (test image 0 of digits)" in page.read_text("utf-8")
    code, out, err = run("fc_plain_6")
    assert (code, out, err.count("\n")) == (2, "", 1)


def test_the_job_and_its_page() -> None:
    context = Context(Shelf(), 0, lambda: False, lambda share, text: None, lambda part: None)
    spec = fit_to_data(spec_of(RESIDUAL), DataSpec())
    source = {"source": "fresh", "spec": spec.model_dump(mode="json"), "seed": 7}
    one = instrument("activations")

    def asked(**options: Any) -> dict[str, Any]:
        chosen = {"image": 2, "own": "", "without": "", "units": "", "part": "branch"}
        chosen |= {"channels": "strongest", **options}
        asking = Asking(0, source, DataSpec(), None, 7, chosen, blueprint(spec))
        request = parse_request("activations", one.payload(asking))
        return run_job(context, "activations", request.model_dump(mode="json"))

    result = asked(units="stages.1.units.0", without="stages.0.units.1")
    assert [unit["name"] for unit in result["units"]] == ["stages.1.units.0"]
    assert (result["part"], result["deleted"]) == ("branch", ["stages.0.units.1"])
    assert len(asked(units="layer1.0")["units"]) == 3  # not of this net: the last of each stage
    lane = Lane(0, "Mine", blueprint(spec), DATASETS["digits"], result)
    (words,) = one.caption([lane], {})
    assert "Mine, test image 2, without stages.0.units.1: block 3 (stages.1.units" in words
    assert "stages.1.units.0) adds 8 maps of 4×4" in words
    assert len(one.table(result)) == 8
    assert one.figure([lane], {"narrow": True}, "dark").data
    assert one.not_for(blueprint(spec)) is None
    assert "features, not maps" in (one.not_for(blueprint(spec_of("fc_plain_6"))) or "")
    nothing = parse_request("activations", {"net": source, "index": 0, "units": []})
    payload = {**nothing.model_dump(mode="json"), "data": DataSpec().model_dump(mode="json")}
    with pytest.raises(SkipscopeError, match="Name at least one unit"):
        run_job(context, "activations", payload)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_tiles(theme: Any, digits: Dataset) -> None:
    results = [activation_maps(a_net(name), digits, 0, k=12) for name in (PLAIN, RESIDUAL)]
    figure = drawn("activations", results, narrow=True, theme=theme)
    maps = [trace for trace in figure.data if isinstance(trace, go.Heatmap)]
    assert len(maps) == 6
    assert len([trace for trace in figure.data if isinstance(trace, go.Image)]) == 1
    first = results[0].units[0]  # 4 channels of 8×8, each pixel drawn twice as large
    assert np.shape(maps[0].z) == (16, 8 * 16 + 7 * 2)
    np.testing.assert_allclose(maps[0].customdata[:16:2, :16:2], first.maps[0], rtol=1e-6)
    for trace in maps:
        assert np.nanmax(np.abs(trace.z)) == pytest.approx(1)
        assert (trace.zmin, trace.zmax) == (-1, 1)
    assert np.shape(maps[1].z)[0] == 16  # 8 channels in one row
    assert np.shape(maps[2].z)[0] == 2 * 16 + 2  # 12 channels in two rows
    domains = [figure.layout[f"yaxis{i}"].domain for i in ("", *range(2, 8))]
    assert all(0 <= low < high <= 1 for low, high in domains)
    assert all(upper[0] >= lower[1] for upper, lower in pairwise(domains))
    assert not drawn("activations", []).data
