"""End points: every place of a net by its own name and by that of the program that it is."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

import explorer
from explorer.cli import main
from explorer.errors import DataError
from explorer.measuring.end_points import end_points
from explorer.nets import Net
from explorer.structure.end_point_names import end_points_of, program_names

NETS = [
    "plain_8;width=3",
    "resnet_v1_14;width=3;shortcut=C",
    "resnet_v2_8;width=3",
    "highway_7;width=3",
    "densenet_bc_10_k3",
    "fc_highway_4",
    "fc_residual_3",
    "highway_fitnet_11;width=3",
    "imagenet_resnet_v2_50;width=2",
    "reference_residual_5;width=3",
    "reference_highway_5;width=3",
    "reference_dense_5;growth_rate=3",
    "reference_plain_5;width=3",
    "small_resnet_v1;width=3",
    "small_resnet_v2;width=3",
]


def a_net(token: str) -> Net:
    """With batch norms and biases that do something."""
    net = explorer.create_net(token, input_shape=(3, 32, 32), classes=7, seed=1)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for name, value in net.state_dict().items():
            if name.endswith("running_var"):
                value.copy_(torch.rand(value.shape, generator=generator) + 0.5)
            elif name.endswith(("bias", "running_mean")):
                value.copy_(torch.randn(value.shape, generator=generator) / 4)
    return net


def images(n: int = 3, side: int = 32) -> Tensor:
    return torch.randn(n, 3, side, side, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("token", NETS)
@torch.no_grad()
def test_every_place_of_every_family(token: str) -> None:
    net = a_net(token)
    x, plan = images(), net.blueprint
    found = end_points(net, x)
    assert net.training  # as it was before
    net.eval()
    torch.testing.assert_close(found["logits"], net(x))
    torch.testing.assert_close(found["predictions"].sum(1), torch.ones(3))
    own = end_points_of(plan)
    assert list(found)[: len(own)] == [point.name for point in own]
    for point in own:
        assert tuple(found[point.name].shape) == (3, *point.shape), point
    modules = dict(net.named_modules())
    weighty = {n for n, m in modules.items() if isinstance(m, (nn.Conv2d, nn.Linear))}
    assert weighty | set(net.unit_names) | {"stem", "logits", "predictions"} <= set(found)
    assert {f"stages.{i}" for i in range(len(plan.stage_names))} <= set(found)
    state = net.stem(x)
    for stage, module in enumerate(net.stages):
        state = module(state)
        assert torch.equal(found[f"stages.{stage}"], state)
    aliases = program_names(plan)
    assert set(found) == {point.name for point in own} | set(aliases)
    for alias, place in aliases.items():
        if place in found:
            assert found[alias] is found[place]


@torch.no_grad()
def test_slims_names_are_of_what_slims_layers_return() -> None:
    """A convolution after its batch norm and ReLU, but the last of a unit and the shortcut."""
    net = a_net("imagenet_resnet_v2_50;width=2").eval()
    p, x = net.state_dict(), images()
    found = end_points(net, x, names="program")
    assert "stem" not in found
    scope = "resnet_v2_50/block1/unit_1/bottleneck_v2"

    def norm(name: str, x: Tensor) -> Tensor:
        values = (p[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
        return F.relu(F.batch_norm(x, *values, eps=1e-5))

    def conv(name: str, x: Tensor, padding: int = 0) -> Tensor:
        return F.conv2d(x, p[f"{name}.weight"], p.get(f"{name}.bias"), padding=padding)

    stem = F.conv2d(x, p["stem.conv.weight"], p["stem.conv.bias"], 2, 3)
    torch.testing.assert_close(found["resnet_v2_50/conv1"], stem)
    state = F.max_pool2d(F.pad(stem, (0, 1, 0, 1), value=-math.inf), 3, 2)
    unit = "stages.0.units.0"
    preact = norm(f"{unit}.split.bn", state)
    shortcut = conv(f"{unit}.shortcut.conv", preact)
    first = norm(f"{unit}.residual.bn2", conv(f"{unit}.residual.conv1", preact))
    second = norm(f"{unit}.residual.bn3", conv(f"{unit}.residual.conv2", first, 1))
    third = conv(f"{unit}.residual.conv3", second)
    for name, wanted in (
        ("shortcut", shortcut),
        ("conv1", first),
        ("conv2", second),
        ("conv3", third),
    ):
        torch.testing.assert_close(found[f"{scope}/{name}"], wanted)
    torch.testing.assert_close(found[scope], shortcut + third)
    blocks = [name for name in found if name.count("/") == 1 and "block" in name]
    assert blocks == [f"resnet_v2_50/block{i}" for i in range(1, 5)]
    assert len([name for name in found if name.endswith("bottleneck_v2")]) == 16
    logits = found["resnet_v2_50/logits"]
    assert logits.shape == (3, 7, 1, 1)
    torch.testing.assert_close(logits.flatten(1), found["logits"])


@torch.no_grad()
def test_the_25_layer_programs_names() -> None:
    net = a_net("reference_highway_25;width=3").eval()
    found = end_points(net, images(), names="program")
    units = [name for name in found if name.startswith("highway_unit") and "/" not in name]
    assert units == [f"highway_unit{i}" for i in range(25)]
    h, t = found["highway_unit7/Conv"], found["highway_unit7/Conv_1"]
    before = found["highway_unit6"]
    torch.testing.assert_close(found["highway_unit7"], h * t + before * (1 - t))
    assert 0 <= float(t.min()) <= float(t.max()) <= 1
    assert found["conv_s_4"].shape == (3, 3, 1, 1)
    torch.testing.assert_close(found["conv_top"].flatten(1), found["logits"])

    net = a_net("reference_dense_25;growth_rate=3").eval()
    found = end_points(net, images(), names="program")
    assert "dense_unit4/Conv_5" in found
    assert torch.equal(found["dense_unit2"], found["dense_unit2/Conv_5"])
    assert found["dense_unit2"].shape == (3, 3, 8, 8)


def test_batch_statistics_are_the_batchs_and_leave_no_trace() -> None:
    net = a_net("resnet_v2_8;width=3")
    before = {name: value.clone() for name, value in net.state_dict().items()}
    found = end_points(net, images(16), statistics="batch")
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    assert not any(value.requires_grad for value in found.values())
    net.train()
    torch.testing.assert_close(found["logits"], net(images(16)).detach())


def test_another_librarys_net() -> None:
    net = explorer.load_external("torchvision_resnet18", input_shape=(3, 64, 64), seed=0)
    found = end_points(net, images(1, 64))
    assert {"stem", "layer1.0", "layer1", "layer4", "layer3.0.residual.conv2"} <= set(found)
    assert torch.equal(found["layer2"], found["layer2.1"])
    assert program_names(net.blueprint) == {}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (torch.zeros(2, 3, 8, 8), r"images of 3×32×32, \(N, 3, 32, 32\), and these are 2×3×8×8"),
        (torch.zeros(3, 32, 32), r"and these are 3×32×32"),
        (torch.zeros(0, 3, 32, 32), r"and these are 0×3×32×32"),
        (torch.zeros(2, 3, 32, 32, dtype=torch.uint8), "tensor of fractions"),
    ],
)
def test_images_that_do_not_fit_are_refused_in_a_sentence(given: Tensor, said: str) -> None:
    with pytest.raises(DataError, match=said):
        end_points(a_net("plain_8;width=3"), given)


def test_other_words_are_refused_in_a_sentence() -> None:
    with pytest.raises(DataError, match="names must be own, program, both, not 'ours'"):
        end_points(a_net("plain_8;width=3"), images(), names="ours")


# ----------------------------------------------------------------------------------- the shell


def test_names_and_shapes_without_building_the_net(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["endpoints", "imagenet_resnet_v2_152", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    rows = {row["program"]: row for row in told["end_points"] if row["program"]}
    assert rows["resnet_v2_152/block3"]["shape"] == [1024, 7, 7]
    assert rows["resnet_v2_152/block3/unit_36/bottleneck_v2"]["name"] == "stages.2.units.35"
    assert rows["resnet_v2_152/block1/unit_2/bottleneck_v2/conv1"]["shape"] == [64, 56, 56]


@pytest.mark.parametrize("names", ["own", "program", "both"])
@pytest.mark.parametrize("ending", ["npz", "safetensors"])
def test_values_are_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], names: str, ending: str
) -> None:
    file = tmp_path / f"values.{ending}"
    argv = ["endpoints", "small_resnet_v2;width=2", "--n", "5", "--json"]
    assert main([*argv, "--out", str(file), "--names", names, "--device", "cpu"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["n_images"] == 5
    if ending == "npz":
        written = {name: torch.from_numpy(value) for name, value in np.load(file).items()}
    else:
        written = load_file(file)
    assert ("stem" in written, "conv2d" in written) == (names != "program", names != "own")
    assert written["predictions"].shape == (5, 10)
    rows = {row["name"]: row for row in told["end_points"]}
    mean = float(written["logits"].double().mean())
    assert rows["logits"]["mean"] == pytest.approx(mean, abs=1e-6)


def test_another_ending_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "values.pt"
    assert main(["endpoints", "plain_8;width=2", "--out", str(file)]) != 0
    assert "written as .safetensors or .npz: give --out such a name" in capsys.readouterr().err
    assert not file.exists()
