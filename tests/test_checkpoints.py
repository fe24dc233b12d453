"""Checkpoints as people have them: wrapped anyhow, under other programs' names, of a net untold."""

from __future__ import annotations

import argparse
import json
from collections import Counter, OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from explorer.cli import main
from explorer.data.dataset import build
from explorer.errors import WeightsError
from explorer.measuring.recognise import candidates, recognise
from explorer.measuring.statistics import statistics_of
from explorer.nets import create_net, load_weights
from explorer.nets.layouts import fits, parts_of
from explorer.nets.name_table import by_table, read_table
from explorer.nets.weight_files import StoredTensors, bare_names, stored_tensors
from explorer.nets.weights import fitted_to, net_with_weights
from explorer.nets.weights import trained_on as weights_trained_on
from explorer.structure.blueprint import blueprint
from explorer.structure.cards import read_card
from explorer.structure.names import spec_of, token_of
from explorer.structure.specs import DataInfo, DataSpec

CASES = Path(__file__).parents[2] / "shared" / "cases"


class Pad(nn.Module):
    """Every second pixel; zero maps on both sides, or after the others."""

    def __init__(self, extra: int, centre: bool) -> None:
        super().__init__()
        self.before, self.after = (extra // 2, extra // 2) if centre else (0, extra)

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.before, self.after))


class Block(nn.Module):
    """Of the public layout: conv1, bn1, conv2, bn2, shortcut."""

    def __init__(self, i: int, o: int, kind: str) -> None:
        super().__init__()
        s = 1 if i == o else 2
        self.conv1, self.bn1 = nn.Conv2d(i, o, 3, s, 1, bias=False), nn.BatchNorm2d(o)
        self.conv2, self.bn2 = nn.Conv2d(o, o, 3, 1, 1, bias=False), nn.BatchNorm2d(o)
        self.shortcut: nn.Module = nn.Sequential()
        if i != o and kind == "projection":
            self.shortcut = nn.Sequential(nn.Conv2d(i, o, 1, s, bias=False), nn.BatchNorm2d(o))
        elif i != o:
            self.shortcut = Pad(o - i, kind == "centre")

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


class Small(nn.Module):
    """A ResNet v1 of two units a stage in the public layout."""

    def __init__(self, kind: str, width: int = 4, classes: int = 10) -> None:
        super().__init__()
        a, b, c = width, 2 * width, 4 * width
        self.conv1, self.bn1 = nn.Conv2d(3, a, 3, 1, 1, bias=False), nn.BatchNorm2d(a)
        self.layer1 = nn.Sequential(Block(a, a, kind), Block(a, a, kind))
        self.layer2 = nn.Sequential(Block(a, b, kind), Block(b, b, kind))
        self.layer3 = nn.Sequential(Block(b, c, kind), Block(c, c, kind))
        self.linear = nn.Linear(c, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer3(self.layer2(self.layer1(F.relu(self.bn1(self.conv1(x))))))
        logits: Tensor = self.linear(x.mean((2, 3)))
        return logits


def x() -> Tensor:
    return torch.linspace(-2, 2, 2 * 3 * 32 * 32).reshape(2, 3, 32, 32).sin()


def small(kind: str, width: int = 4) -> Small:
    torch.manual_seed(3)
    net = Small(kind, width)
    for m in net.modules():
        if isinstance(m, nn.BatchNorm2d):
            assert m.running_mean is not None
            assert m.running_var is not None
            m.running_mean.uniform_(-0.3, 0.3)
            m.running_var.uniform_(0.5, 2)
            nn.init.uniform_(m.weight, 0.5, 1.5)
            nn.init.uniform_(m.bias, -0.3, 0.3)
    return net.eval()


# ------------------------------------------------------------------------- which net it is


@pytest.mark.parametrize(
    ("kind", "token"),
    [
        ("centre", "resnet_v1_14;shortcut_pad=both"),
        ("end", "resnet_v1_14"),
        ("projection", "resnet_v1_14;shortcut=B"),
    ],
)
def test_public_layouts_give_their_own_logits(kind: str, token: str, tmp_path: Path) -> None:
    net = small(kind, width=16)
    state = {"module." + k: v for k, v in net.state_dict().items() if "num_batches" not in k}
    file = tmp_path / "net.th"
    torch.save(
        {"state_dict": state, "best_prec1": 12.5}, file, _use_new_zipfile_serialization=False
    )
    found = [token_of(spec) for spec in candidates(file)]
    ways = ["resnet_v1_14", "resnet_v1_14;shortcut_pad=both"]
    assert found == ([token] if kind == "projection" else ways)
    ours = net_with_weights(spec_of(token), file).eval()
    with torch.no_grad():
        torch.testing.assert_close(ours(x()), net(x()), rtol=0, atol=1e-5)
        wrong = (
            net_with_weights(spec_of(ways[kind == "end"]), file).eval() if found == ways else None
        )
        assert wrong is None or float((wrong(x()) - net(x())).abs().max()) > 0.1


@pytest.mark.skipif(not CASES.is_dir(), reason="the case's files are not beside this clone")
@pytest.mark.parametrize("name", ["small_centre", "small_end", "small_projection"])
def test_the_cases_give_the_expected_logits(name: str) -> None:
    expected = json.loads((CASES / "small_expected_logits.json").read_text())[name]
    token = {
        "small_centre": "resnet_v1_14;shortcut_pad=both",
        "small_end": "resnet_v1_14",
        "small_projection": "resnet_v1_14;shortcut=B",
    }[name]
    net = net_with_weights(spec_of(token), CASES / f"{name}.th").eval()
    with torch.no_grad():
        torch.testing.assert_close(net(x()), torch.tensor(expected), rtol=0, atol=1e-5)


RENAMED: dict[str, Callable[[str], str]] = {
    "four words": lambda name: (
        name.replace("layer1", "layers_2n")
        .replace("layer2", "layers_4n")
        .replace("layer3", "layers_6n")
        .replace("linear", "fc_out")
    ),
    "sequences": lambda name: (
        name.replace("conv1.", "branch.0.")
        .replace("bn1.", "branch.1.")
        .replace("conv2.", "branch.3.")
        .replace("bn2.", "branch.4.")
        .replace("layer", "conv_x.")
        if name.startswith("layer")
        else name.replace("conv1.", "conv1.0.").replace("bn1.", "conv1.1.")
    ),
    "stages": lambda name: name.replace("layer", "stages.").replace("shortcut", "downsample"),
    "blocks": lambda name: (
        name.replace("layer1.", "block1.layer.")
        .replace("layer2.", "block2.layer.")
        .replace("layer3.", "block3.layer.")
    ),
}


@pytest.mark.parametrize("kind", ["end", "projection"])
@pytest.mark.parametrize("names", RENAMED)
def test_units_are_found_under_other_names(names: str, kind: str, tmp_path: Path) -> None:
    net = small(kind)
    state = {RENAMED[names](key): value for key, value in net.state_dict().items()}
    assert len(state) == len(net.state_dict())
    save_file(state, tmp_path / "net.safetensors")  # which keeps no order
    (spec, *_) = candidates(tmp_path / "net.safetensors")
    ours = net_with_weights(spec, tmp_path / "net.safetensors").eval()
    with torch.no_grad():
        torch.testing.assert_close(ours(x()), net(x()), rtol=0, atol=1e-5)


class WideUnit(nn.Module):
    """Of the public Wide ResNets: what is widened takes the activated input on both ways."""

    def __init__(self, i: int, o: int, stride: int) -> None:
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(i), nn.Conv2d(i, o, 3, stride, 1, bias=False)
        self.bn2, self.conv2 = nn.BatchNorm2d(o), nn.Conv2d(o, o, 3, 1, 1, bias=False)
        self.convShortcut = None if i == o else nn.Conv2d(i, o, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        active = F.relu(self.bn1(x))
        y: Tensor = self.conv2(F.relu(self.bn2(self.conv1(active))))
        return y + (x if self.convShortcut is None else self.convShortcut(active))


class Wide(nn.Module):
    def __init__(self, units: int, width: int, widen: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 3, 1, 1, bias=False)
        maps = width
        for stage in range(3):
            layer = nn.Module()
            wide = width * widen * 2**stage
            layer.layer = nn.Sequential(
                *(
                    WideUnit(maps if j == 0 else wide, wide, 2 if j == 0 and stage else 1)
                    for j in range(units)
                )
            )
            self.add_module(f"block{stage + 1}", layer)
            maps = wide
        self.bn1, self.fc = nn.BatchNorm2d(maps), nn.Linear(maps, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(x)
        for stage in (1, 2, 3):
            x = self.get_submodule(f"block{stage}.layer")(x)
        logits: Tensor = self.fc(F.relu(self.bn1(x)).mean((2, 3)))
        return logits


class FourStages(nn.Module):
    """ResNet-18 or 50 with a 3×3 stem, as programs for images of 32 pixels have it."""

    def __init__(self, counts: tuple[int, ...], width: int, bottleneck: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        maps = width
        for stage, n in enumerate(counts):
            units = []
            for j in range(n):
                out, stride = width * 2**stage, 2 if j == 0 and stage else 1
                units.append((Bottleneck if bottleneck else Basic)(maps, out, stride))
                maps = out * (4 if bottleneck else 1)
            self.add_module(f"layer{stage + 1}", nn.Sequential(*units))
        self.linear = nn.Linear(maps, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x)))
        for stage in (1, 2, 3, 4):
            x = self.get_submodule(f"layer{stage}")(x)
        logits: Tensor = self.linear(x.mean((2, 3)))
        return logits


class Basic(nn.Module):
    def __init__(self, i: int, o: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(i, o, 3, stride, 1, bias=False), nn.BatchNorm2d(o)
        self.conv2, self.bn2 = nn.Conv2d(o, o, 3, 1, 1, bias=False), nn.BatchNorm2d(o)
        self.shortcut = projection(i, o, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


class Bottleneck(nn.Module):
    def __init__(self, i: int, o: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(i, o, 1, bias=False), nn.BatchNorm2d(o)
        self.conv2, self.bn2 = nn.Conv2d(o, o, 3, stride, 1, bias=False), nn.BatchNorm2d(o)
        self.conv3, self.bn3 = nn.Conv2d(o, 4 * o, 1, bias=False), nn.BatchNorm2d(4 * o)
        self.shortcut = projection(i, 4 * o, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        return F.relu(self.bn3(self.conv3(y)) + self.shortcut(x))


def projection(i: int, o: int, stride: int) -> nn.Sequential:
    if i == o and stride == 1:
        return nn.Sequential()
    return nn.Sequential(nn.Conv2d(i, o, 1, stride, bias=False), nn.BatchNorm2d(o))


@pytest.mark.parametrize(
    ("build_net", "token"),
    [
        (lambda: Wide(2, 4, 3), "resnet_v2_14;width=4;widen=3;shortcut=B"),
        (lambda: Wide(4, 4, 2), "resnet_v2_26;width=4;widen=2;shortcut=B"),
        (lambda: FourStages((2, 2, 2, 2), 4, False), "imagenet_resnet_v1_18;width=4;stem=3x3"),
        (lambda: FourStages((3, 4, 6, 3), 4, True), "imagenet_resnet_v1_50;width=4;stem=3x3"),
    ],
    ids=["wrn_16", "wrn_28", "resnet_18", "resnet_50"],
)
def test_wide_and_four_stage_nets_open(
    build_net: Callable[[], nn.Module], token: str, tmp_path: Path
) -> None:
    torch.manual_seed(2)
    net = build_net().eval()
    for m in net.modules():
        if isinstance(m, nn.BatchNorm2d):
            assert m.running_mean is not None
            assert m.running_var is not None
            m.running_mean.uniform_(-0.3, 0.3)
            m.running_var.uniform_(0.5, 2)
            nn.init.uniform_(m.weight, 0.5, 1.5)
    torch.save(net.state_dict(), tmp_path / "net.pth")
    (spec,) = candidates(tmp_path / "net.pth")
    assert spec == spec_of(token).model_copy(update={"input_shape": (3, 32, 32), "classes": 10})
    ours = net_with_weights(spec, tmp_path / "net.pth").eval()
    with torch.no_grad():
        torch.testing.assert_close(ours(x()), net(x()), rtol=0, atol=1e-5)


def test_wide_nets_have_their_papers_parameters() -> None:
    """In millions, Zagoruyko & Komodakis 2016, Table 4 and 5."""
    for name, millions in (("16_8", 11.0), ("28_10", 36.5), ("40_4", 8.9)):
        plan = blueprint(spec_of(f"wide_resnet_{name}"))
        assert round(plan.parameters / 1e6, 1) == millions


@pytest.mark.parametrize("layout", ["numbers", "names with numbers"])
def test_dense_nets_open(layout: str, tmp_path: Path) -> None:
    """Bottlenecked ones, in two public layouts: a number for each layer, or a name with one."""
    token = "densenet_22_k4;bottleneck=true;compression=0.5"
    net = create_net(token, seed=3).eval()

    def theirs(name: str) -> str:
        name = name.replace("stem.conv", "conv1").replace("head.bn", "bn1")
        name = name.replace("head.linear", "fc").replace("growth.", "")
        for stage in range(3):
            named = (
                (f"block{stage + 1}.layer.", f"trans{stage + 1}.")
                if layout == "numbers"
                else (f"features.denseblock{stage + 1}.denselayer", f"features.trans{stage + 1}.")
            )
            name = name.replace(f"stages.{stage}.units.", named[0])
            name = name.replace(f"stages.{stage}.transition.", named[1])
        return name

    state = {theirs(name): value for name, value in net.state_dict().items()}
    assert not set(state) & set(net.state_dict())
    save_file(state, tmp_path / "net.safetensors")
    (spec,) = candidates(tmp_path / "net.safetensors")
    assert token_of(spec) == token_of(spec_of(token))
    ours = net_with_weights(spec, tmp_path / "net.safetensors").eval()
    with torch.no_grad():
        torch.testing.assert_close(ours(x()), net(x()), rtol=0, atol=1e-5)


def test_our_own_nets_are_told_from_their_shapes() -> None:
    for token in (
        *("resnet_v2_8;width=4", "resnet_v1_14;width=4;shortcut=B", "resnet_v1_20;width=4"),
        *("resnet_v2_14;width=4;shortcut=C", "resnet_v2_11;width=4;unit=bottleneck;shortcut=B"),
        "imagenet_resnet_v1_18;width=4",
    ):
        spec = spec_of(token)
        shapes = {k: tuple(v.shape) for k, v in create_net(spec, seed=1).state_dict().items()}
        assert token_of(spec) in [token_of(fit) for fit in fits(shapes)], token
    assert fits({"0.weight": (4, 4)}) == []
    assert parts_of({}) is None


def test_images_tell_what_shapes_cannot(tmp_path: Path) -> None:
    net = small("centre")
    torch.save(net.state_dict(), tmp_path / "net.pt")
    draw = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (128, 3, 32, 32), dtype=torch.uint8, generator=draw)
    info = DataInfo(title="Noise", input_shape=(3, 32, 32), classes=tuple("abcdefghij"))
    spec = DataSpec(name="folder", path="noise")
    data = build(spec, info, *[(images, torch.arange(128) % 10)] * 2)
    with torch.no_grad():  # images that are what the net takes them for
        labels = net(data.normalise(images)).argmax(1)
    data = build(spec, info, *[(images, labels)] * 2)
    specs = candidates(tmp_path / "net.pt")
    found, said = recognise(tmp_path / "net.pt", specs, data)
    assert token_of(found.spec) == "resnet_v1_14;width=4;shortcut_pad=both"
    assert "right of 128 test images of Noise" in said
    assert (
        "width=4;shortcut_pad=both 100.0 %. Taken: resnet_v1_14;width=4;shortcut_pad=both" in said
    )
    by_chance = build(spec, info, *[(images, torch.arange(128) % 10)] * 2)
    with pytest.raises(WeightsError, match=r"images cannot tell them apart .* say which it is"):
        recognise(tmp_path / "net.pt", specs, by_chance)
    with pytest.raises(WeightsError, match="or give images to try them on"):
        recognise(tmp_path / "net.pt", specs, None)
    # What a person says is not tried.
    assert candidates(tmp_path / "net.pt", spec_of("resnet_v1_14;width=4;shortcut=B")) != specs


def test_the_shell_opens_a_file_by_its_shapes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "two"
    for place in ("train/a", "train/b", "test/a", "test/b"):
        (folder / place).mkdir(parents=True)
        for i in range(2):
            Image.new("RGB", (32, 32), (100 * i, 0, 50)).save(folder / place / f"{i}.png")
    torch.manual_seed(1)
    torch.save({"model": Small("projection", classes=2).state_dict()}, tmp_path / "mine.ckpt")
    words = ["lesions", str(tmp_path / "mine.ckpt"), "--data", str(folder), "--json"]
    assert main(words) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["net"] == "resnet_v1_14;width=4;shortcut=B"
    assert len(found["units"]) == 6
    assert main(["show", str(tmp_path / "mine.ckpt")]) == 0
    assert "resnet_v1_14;width=4;shortcut=B" in capsys.readouterr().out
    torch.save({"a": torch.zeros(3)}, tmp_path / "none.ckpt")
    assert main(["show", str(tmp_path / "none.ckpt")]) != 0
    assert "no units of convolutions that could be told by their names" in capsys.readouterr().err


# --------------------------------------------------------------------------------- wrappers

TOKEN = "resnet_v1_14;width=4;shortcut=B"


def wrapped() -> dict[str, Callable[[dict[str, Tensor]], Any]]:
    def prefixed(prefix: str) -> Callable[[dict[str, Tensor]], Any]:
        return lambda state: {prefix + name: value for name, value in state.items()}

    def options(state: dict[str, Tensor]) -> Any:
        return {
            "args": argparse.Namespace(lr=0.1, out=Path("x")),
            "milestones": Counter({60: 1}),
            "best": np.float64(91.2),
            "history": np.arange(3),
            "seen": {1, 2},
            "optimizer": {"state": {0: {"momentum_buffer": torch.zeros(2)}}, "param_groups": []},
            "model_state": state,
        }

    return {
        "plain": lambda state: state,
        "module": prefixed("module."),
        "compiled, parallel": prefixed("_orig_mod.module."),
        "parallel, compiled": prefixed("module._orig_mod."),
        "lightning": lambda state: {"state_dict": prefixed("model.")(state), "epoch": 1},
        "any attribute": lambda state: {"net": prefixed("backbone.encoder.")(state)},
        "parallel inside": lambda state: {
            name.replace("layer1.", "layer1.module."): value for name, value in state.items()
        },
        "counted": lambda state: (
            {**state, "total_ops": torch.zeros(1)}
            | {"conv1.total_ops": torch.zeros(1), "conv1.total_params": torch.zeros(1)}
        ),
        "averaged": lambda state: {"n_averaged": torch.tensor(3), **prefixed("module.")(state)},
        "options": options,
        "half": lambda state: {name: value.half() for name, value in state.items()},
        "brain": lambda state: {name: value.bfloat16() for name, value in state.items()},
        "double": lambda state: OrderedDict((n, v.double()) for n, v in state.items()),
        "last": lambda state: {
            n: v.contiguous(memory_format=torch.channels_last) if v.dim() == 4 else v
            for n, v in state.items()
        },
        "uncounted": lambda state: {n: v for n, v in state.items() if "num_batches" not in n},
        "deep": lambda state: {"a": {"b": {"weights of it": state}}},
    }


@pytest.mark.parametrize("name", ["net.th", "NET.PTH", "net.pth.tar", "net.ckpt", "net"])
def test_a_file_is_what_its_content_is(name: str, tmp_path: Path) -> None:
    state = small("projection").state_dict()
    torch.save(state, tmp_path / name)
    net = net_with_weights(spec_of(TOKEN), tmp_path / name).eval()
    with torch.no_grad():
        torch.testing.assert_close(net(x()), small("projection")(x()), rtol=0, atol=1e-5)
    save_file(state, tmp_path / name)
    assert stored_tensors(tmp_path / name).shapes.keys() == state.keys()


@pytest.mark.parametrize("how", wrapped())
@pytest.mark.parametrize("old", [False, True], ids=["zip", "old"])
def test_wrapped_weights_open(how: str, old: bool, tmp_path: Path) -> None:
    original = small("projection")
    file = tmp_path / "net.pt"
    torch.save(wrapped()[how](original.state_dict()), file, _use_new_zipfile_serialization=not old)
    net = create_net(TOKEN, seed=1).eval()
    load_weights(net, file)
    counted = [v for k, v in net.state_dict().items() if k.endswith("num_batches_tracked")]
    assert all(int(value) == 1 for value in counted)  # not what memory held; nobody needs them
    assert statistics_of(net) == "running"
    near = {"half": 2e-2, "brain": 2e-1}.get(how, 1e-5)
    with torch.no_grad():
        torch.testing.assert_close(net(x()), original(x()), rtol=0, atol=near)
    notes = stored_tensors(file).notes
    assert [note for note in notes if "left out" in note] == (
        []
        if how not in ("counted", "averaged")
        else [
            "net.pt: n_averaged left out, which the net computes nothing with."
            if how == "averaged"
            else "net.pt: total_ops and total_params left out, which the net computes nothing with."
        ]
    )


def test_of_an_average_beside_the_weights_these_are_taken(tmp_path: Path) -> None:
    one, two = small("projection").state_dict(), Small("projection").state_dict()
    for content in (
        {"state_dict_ema": two, "state_dict": one},
        {"ema": {"module": two}, "mine": one},
        {"model_ema": {**two, "n_averaged": torch.tensor(1)}, "model": one},
    ):
        torch.save(content, tmp_path / "net.pt")
        stored = stored_tensors(tmp_path / "net.pt")
        torch.testing.assert_close(stored.read()["conv1.weight"], one["conv1.weight"])
        assert any("holds several nets' tensors" in note for note in stored.notes), content.keys()


def test_names_are_bared() -> None:
    assert bare_names(("model.module.a.weight", "model.module.b.weight")).keys() == {
        "a.weight",
        "b.weight",
    }
    assert bare_names(("features.module.0.weight", "classifier.weight")).keys() == {
        "features.0.weight",
        "classifier.weight",
    }
    assert bare_names(("stem.weight", "stem.bias")).keys() == {"stem.weight", "stem.bias"}
    both = ("a.weight", "module.a.weight")  # which would become one
    assert bare_names(both).keys() == set(both)


def test_what_is_exported_comes_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anyone's checkpoint → a file of code → somebody's own loop → torch.save → here."""
    net = small("projection")
    torch.save({"net": net.state_dict()}, tmp_path / "theirs.ckpt")
    code = tmp_path / "exported.py"
    words = ["export", TOKEN, "--weights", str(tmp_path / "theirs.ckpt"), "--out", str(code)]
    assert main(words) == 0
    found: dict[str, Any] = {"__name__": "exported"}
    exec(compile(code.read_text(), str(code), "exec"), found)  # our own code
    (kind,) = [v for k, v in found.items() if k.startswith("ResNet") and isinstance(v, type)]
    model = kind()
    model.load_state_dict(load_file(code.with_suffix(".safetensors")))
    with torch.no_grad():
        torch.testing.assert_close(model.eval()(x()), net(x()), rtol=0, atol=1e-5)
    parallel = nn.DataParallel(model)
    optimizer = torch.optim.SGD(parallel.parameters(), lr=0.01, momentum=0.9)
    parallel.train()
    F.cross_entropy(parallel(x()), torch.tensor([0, 1])).backward()
    optimizer.step()
    torch.save(
        {"model": parallel.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 1},
        tmp_path / "back.pth",
    )
    (spec,) = candidates(tmp_path / "back.pth")
    assert token_of(spec) == TOKEN
    back = net_with_weights(spec, tmp_path / "back.pth").eval()
    with torch.no_grad():
        torch.testing.assert_close(back(x()), model.eval()(x()), rtol=0, atol=1e-5)


def test_what_differs_is_said_of_other_layouts_too(tmp_path: Path) -> None:
    torch.save(Small("projection").state_dict(), tmp_path / "net.pt")
    words = "layer1.0.conv1.weight has the shape|conv1.weight has the shape .4, 3, 3, 3., and what"
    with pytest.raises(WeightsError, match=words):
        net_with_weights(spec_of("resnet_v1_14;width=8;shortcut=B"), tmp_path / "net.pt")
    grey = create_net(TOKEN, input_shape=(1, 8, 8)).spec
    with pytest.raises(WeightsError, match=r"stem.conv.weight, \(4, 1, 3, 3\); choose the net"):
        net_with_weights(grey, tmp_path / "net.pt")
    with pytest.raises(WeightsError, match=r"it lacks stem\.conv\.weight and"):
        net_with_weights(spec_of("resnet_v1_20;width=4"), tmp_path / "net.pt")


def test_the_file_says_how_many_classes_there_are(tmp_path: Path) -> None:
    torch.save(Small("projection", classes=7).state_dict(), tmp_path / "seven.pt")
    assert fitted_to(spec_of(TOKEN), tmp_path / "seven.pt").classes == 7


# ---------------------------------------------------------------------------------- importing


def test_import_writes_weights_and_a_card_without_inventions(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    net = small("projection")
    torch.save({"state_dict": net.state_dict()}, tmp_path / "theirs.pth.tar")
    out = tmp_path / "ours.safetensors"
    words = ["import", str(tmp_path / "theirs.pth.tar"), "--out", str(out)]
    told = ["--mean", "0.4,0.5,0.6", "--std", "0.2,0.2,0.2", "--classes", "cifar10"]
    assert main([*words, *told, "--origin", "a colleague"]) == 0
    assert "resnet_v1_14;width=4;shortcut=B" in capsys.readouterr().out
    card = json.loads(out.with_suffix(".json").read_text())
    assert (card["recipe"], card["seed"], card["accuracy"], card["data"]) == (None,) * 4
    assert card["origin"] == "a colleague"
    known = weights_trained_on(out)
    assert known is not None
    assert (known.mean, known.classes[1]) == ((0.4, 0.5, 0.6), "automobile")
    ours = net_with_weights(spec_of(TOKEN), out).eval()
    with torch.no_grad():
        torch.testing.assert_close(ours(x()), net(x()), rtol=0, atol=1e-5)
    assert main(["show", str(out)]) == 0
    assert main([*words]) != 0
    assert "is there already" in capsys.readouterr().err
    with pytest.raises(WeightsError, match="is not a card of weights"):
        read_card(out)  # of weights that were trained here


def test_a_table_of_names_opens_what_nothing_else_tells(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    net = create_net("plain_8;width=4", seed=3).eval()
    odd = {"stem.conv": "first", "stages": "s", "conv1": "a", "conv2": "b", "head": "out"}

    def theirs(name: str) -> str:
        for ours, other in odd.items():
            name = name.replace(ours, other)
        return name.replace(".units.", "x").replace("s.0x", "s0x")

    stored = {theirs(name): value for name, value in net.state_dict().items()}
    file, table = tmp_path / "odd.pt", tmp_path / "names.json"
    torch.save(stored, file)
    lines = {theirs(name).rpartition(".")[0]: name.rpartition(".")[0] for name in net.state_dict()}
    table.write_text(json.dumps(lines))
    out = tmp_path / "ours.safetensors"
    words = ["import", str(file), "--names", str(table), "--out", str(out)]
    assert main(words) != 0
    assert "say which net it is with --as" in capsys.readouterr().err
    assert main([*words, "--as", "plain_8;width=4"]) == 0, capsys.readouterr().err
    opened = net_with_weights(spec_of("plain_8;width=4"), out).eval()
    for name, value in net.state_dict().items():
        assert torch.equal(value, opened.state_dict()[name]), name


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ("[1]", "is no table of names (it is no object"),
        ("{", "is no table of names"),
        ('{"body.*.a": "units.conv1"}', "with as many *"),
        ('{"a": 1}', "with as many *"),
    ],
)
def test_what_is_no_table_of_names_is_said(table: str, sentence: str, tmp_path: Path) -> None:
    file = tmp_path / "names.json"
    file.write_text(table)
    with pytest.raises(WeightsError) as caught:
        read_table(file)
    assert sentence in str(caught.value)


def test_a_table_takes_numbers_along_and_the_longest_line_counts() -> None:
    shapes = dict.fromkeys(["b.0.a.weight", "b.0.a.norm.bias", "b.12.a.weight", "rest"], (1,))
    stored = StoredTensors("file", shapes, dict)
    renamed = by_table(stored, {"b.*.a": "units.*.conv", "b.*.a.norm": "units.*.bn"})
    assert list(renamed.shapes) == ["units.0.conv.weight", "units.0.bn.bias",
                                    "units.12.conv.weight", "rest"]  # fmt: skip
    with pytest.raises(WeightsError, match="has no tensor 'c'"):
        by_table(stored, {"c": "d"})
    with pytest.raises(WeightsError, match="would be rest"):
        by_table(stored, {"b.0.a.weight": "rest"})
