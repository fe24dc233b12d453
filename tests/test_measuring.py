"""Taps, gradients, gates and images against exact truths."""

from __future__ import annotations

import copy
import io
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from asking import asked
from PIL import Image
from torch import nn

from explorer.data.dataset import Dataset
from explorer.data.images import MAX_FILE_BYTES
from explorer.data.load import load_data
from explorer.errors import DataError, NotApplicableError
from explorer.measuring.gradients import layer_gradients
from explorer.measuring.image import read_image
from explorer.measuring.select import some_images
from explorer.measuring.statistics import batch_statistics
from explorer.measuring.taps import eval_mode, tap
from explorer.nets import Net, create_net
from explorer.structure.specs import DataSpec


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Small nets are fastest so, and on a busy machine by far."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_data(DataSpec(name="digits"))


def a_net(name: str, seed: int = 1) -> Net:
    return create_net(name, input_shape=(1, 8, 8), classes=10, seed=seed)


def hooks(net: nn.Module) -> list[object]:
    """Every hook dictionary's contents, training flag and parameter state of every module."""
    return [
        (
            module.training,
            *(
                dict(getattr(module, name))
                for name in sorted(vars(module))
                if name.endswith("_hooks")
            ),
        )
        for module in net.modules()
    ]


# ------------------------------------------------------------------------------------- taps


def test_a_tap_records_outputs_and_gradients() -> None:
    net = a_net("resnet_v2_8")
    x = torch.randn(3, 1, 8, 8)
    names = [*net.unit_names, "stages.0.units.0.residual"]
    with tap(net, names, gradients=True) as taps:
        logits = net(x)
        F.cross_entropy(logits, torch.tensor([1, 2, 3])).backward()
        net(x)
    y, expected = net.stem(x), {}
    for name, unit in zip(net.unit_names, net.units, strict=True):
        y = unit(y)
        y.retain_grad()
        expected[name] = y
    F.cross_entropy(net.head(y), torch.tensor([1, 2, 3])).backward()
    for name in net.unit_names:
        assert len(taps.outputs[name]) == 2
        assert len(taps.gradients[name]) == 1
        torch.testing.assert_close(taps.outputs[name][0], expected[name].detach())
        torch.testing.assert_close(taps.gradients[name][0], expected[name].grad)
        assert not taps.outputs[name][0].requires_grad
    assert taps.outputs[names[-1]][0].shape == (3, 16, 8, 8)


def test_a_reducing_tap_keeps_a_statistic() -> None:
    net = a_net("plain_8").eval()
    x = torch.randn(3, 1, 8, 8)
    with torch.no_grad(), tap(net, ["stem.bn"], reduce=torch.std) as taps:
        net(x)
    torch.testing.assert_close(taps.outputs["stem.bn"][0], net.stem.bn(net.stem.conv(x)).std())


@pytest.mark.parametrize("fails", [False, True])
def test_taps_and_modes_leave_no_trace(fails: bool) -> None:
    net = a_net("resnet_v1_8")
    net.stages[1].eval()
    before = hooks(net)
    buffers = {key: value.clone() for key, value in net.named_buffers()}
    statistics = [getattr(module, "track_running_stats", None) for module in net.modules()]

    def work() -> None:
        with tap(net, net.unit_names, gradients=True), eval_mode(net):
            assert not any(module.training for module in net.modules())
            net(torch.randn(2, 1, 8, 8)).sum().backward()
            with batch_statistics(net):
                net(torch.randn(2, 1, 8, 8))
                if fails:
                    raise RuntimeError("on purpose")

    if fails:
        with pytest.raises(RuntimeError, match="on purpose"):
            work()
    else:
        work()
    assert hooks(net) == before
    assert [getattr(m, "track_running_stats", None) for m in net.modules()] == statistics
    assert all(torch.equal(buffers[key], value) for key, value in net.named_buffers())


def test_an_unknown_module_is_refused_before_anything_is_hooked() -> None:
    net = a_net("plain_8")
    before = hooks(net)
    with (
        pytest.raises(NotApplicableError, match=r"no module 'stages.0.unit.0'; the nearest is"),
        tap(net, ["stem", "stages.0.unit.0"]),
    ):
        pass
    assert hooks(net) == before


# -------------------------------------------------------------------------------- gradients


@pytest.mark.parametrize(
    "name", ["plain_14", "resnet_v2_14;shortcut=B", "highway_13", "densenet_13_k4", "fc_plain_5"]
)
def test_gradients_are_those_of_a_training_step(name: str, digits: Dataset) -> None:
    net = a_net(name)
    before = {key: value.clone() for key, value in net.state_dict().items()}
    state = hooks(net)
    result = layer_gradients(net, digits, n_images=50)

    images, labels = some_images(net, digits, 50, train=True, seed=4)
    twin = copy.deepcopy(net).train()
    outputs = []
    y = twin.stem(digits.normalise(images))
    for unit in twin.units:
        y = unit(y)
        y.retain_grad()
        outputs.append(y)
    loss = F.cross_entropy(twin.head(y), labels)
    loss.backward()
    assert result.loss == pytest.approx(loss.item(), rel=1e-5)
    plan = net.blueprint
    assert result.layers == tuple(layer.name for layer in plan.weight_layers)
    assert result.units == net.unit_names
    assert [d for d in result.depth_index if d] == list(range(1, max(result.depth_index) + 1))
    weights = [twin.get_parameter(f"{layer}.weight").grad for layer in result.layers]
    expected = [grad.square().mean().sqrt().item() for grad in weights]
    np.testing.assert_allclose(result.parameter_rms, expected, rtol=1e-4)
    by_unit = [(50 * out.grad).square().mean().sqrt().item() for out in outputs]
    np.testing.assert_allclose(result.output_rms, by_unit, rtol=1e-4)

    assert hooks(net) == state
    assert all(p.grad is None and p.requires_grad for p in net.parameters())
    assert all(torch.equal(before[key], value) for key, value in net.state_dict().items())


def test_gradients_of_frozen_and_kept_gradients(digits: Dataset) -> None:
    net = a_net("resnet_v2_8")
    free = layer_gradients(net, digits, n_images=20)
    net.requires_grad_(False)
    with torch.no_grad():
        frozen = layer_gradients(net, digits, n_images=20)
    np.testing.assert_array_equal(free.parameter_rms, frozen.parameter_rms)
    assert not any(p.requires_grad for p in net.parameters())
    kept = torch.ones(10)
    net.requires_grad_(True)
    net.head.linear.bias.grad = kept
    layer_gradients(net, digits, n_images=20)
    assert net.head.linear.bias.grad is kept
    assert torch.equal(kept, torch.ones(10))


def test_depth_takes_the_gradient_of_a_plain_net_and_leaves_a_highway_nets(
    digits: Dataset,
) -> None:
    plain = layer_gradients(a_net("fc_plain_50;init=xavier"), digits, n_images=64)
    highway = layer_gradients(a_net("fc_highway_50;transform_bias=-4"), digits, n_images=64)
    assert plain.output_rms[0] < 1e-5 * plain.output_rms[-1]
    assert highway.output_rms[0] > 0.1 * highway.output_rms[-1]


# ------------------------------------------------------------------------------------ gates


@pytest.mark.parametrize("name", ["highway_13;width=4", "fc_highway_5;width=9"])
def test_zero_gate_weights_leave_the_bias(name: str, digits: Dataset) -> None:
    net = a_net(name).train()
    gates = [unit.transform_gate for unit in net.units if hasattr(unit, "transform_gate")]
    for i, gate in enumerate(gates):
        inner = gate.get_submodule("linear" if name.startswith("fc") else "conv")
        nn.init.zeros_(inner.weight)
        nn.init.constant_(inner.bias, -i / 2)
    before = hooks(net)
    result = asked("gates", net, digits, n_images=300)
    biases = -np.arange(len(gates)) / 2
    np.testing.assert_allclose(result.mean, 1 / (1 + np.exp(-biases)), rtol=1e-6)
    np.testing.assert_allclose(result.bias, biases)
    np.testing.assert_allclose(result.sd, 0, atol=1e-6)
    assert result.n_images == 300
    assert hooks(net) == before


def test_gates_are_means_over_images_and_entries(digits: Dataset) -> None:
    net = a_net("highway_13;width=4")
    with torch.no_grad():
        net.train()(digits.normalise(digits.train_images[:200]))
    result = asked("gates", net, digits)
    assert result.n_images == 360
    net.eval()
    with torch.no_grad():
        x = net.stem(digits.normalise(digits.test_images))
        gate = net.units[0].transform_gate(x).double()
    assert result.units[0] == net.unit_names[0]
    assert result.mean[0] == pytest.approx(gate.mean().item(), rel=1e-6)
    assert result.sd[0] == pytest.approx(gate.std(correction=0).item(), rel=1e-5)
    transitions = [n for n in net.unit_names if n not in result.units]
    assert transitions == ["stages.0.transition", "stages.1.transition"]


@pytest.mark.parametrize("name", ["plain_8", "resnet_v1_8"])
def test_nets_without_gates_are_told_another_instrument(name: str, digits: Dataset) -> None:
    with pytest.raises(NotApplicableError, match=r"has no gates: look at its gradients"):
        asked("gates", a_net(name), digits)


# ----------------------------------------------------------------------------------- images


def png(image: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", **options)  # type: ignore[arg-type]
    return buffer.getvalue()


def test_an_image_becomes_what_the_net_takes(tmp_path: Path) -> None:
    image = Image.new("RGB", (20, 10), (200, 100, 50))
    colour = read_image(png(image), (3, 8, 8))
    assert colour.dtype == torch.uint8
    assert colour.shape == (3, 8, 8)
    assert colour.flatten(1).unique(dim=1).flatten().tolist() == [200, 100, 50]
    file = tmp_path / "picture.png"
    image.save(file)
    grey = read_image(file, (1, 4, 6))
    assert grey.shape == (1, 4, 6)
    assert grey.unique().tolist() == [image.convert("L").getpixel((0, 0))]


def test_the_middle_is_kept_upright_and_transparency_is_white() -> None:
    wide = Image.new("L", (30, 10), 0)
    wide.paste(255, (10, 0, 20, 10))
    assert (read_image(png(wide), (1, 10, 10)) == 255).all()
    clear = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    assert (read_image(png(clear), (3, 8, 8)) == 255).all()
    sixteen = Image.fromarray(np.full((8, 8), 40_000, np.uint16))
    assert read_image(png(sixteen), (1, 8, 8)).unique().tolist() == [156]
    half = Image.new("L", (8, 8), 0)
    half.paste(255, (0, 0, 8, 4))
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    turned = read_image(png(half, exif=exif), (1, 8, 8))
    assert turned[0, 0].unique().tolist() == [0]
    assert turned[0, 7].unique().tolist() == [255]


def bomb(columns: int, rows: int) -> bytes:
    """A PNG of a few bytes that claims to be of this size."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", columns, rows, 8, 2, 0, 0, 0)
    body = (
        chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    )
    return b"\x89PNG\r\n\x1a\n" + body


PICTURE = png(Image.effect_noise((64, 64), 50))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty"),
        (b"this is no picture at all", "not an image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not an image"),
        (PICTURE[: len(PICTURE) // 2], "damaged or cut short"),
        (PICTURE[:30], "(damaged or cut short|not an image)"),
        (PICTURE[:200] + b"\xff" * 50 + PICTURE[250:], "damaged or cut short"),
        (bomb(9000, 9000), "9000 × 9000 pixels, more than the 16 million"),
        (bomb(10_000, 10_000), "16 million"),
        (bomb(60_000, 60_000), "16 million"),
        (b"\x89PNG" + b"\0" * MAX_FILE_BYTES, "larger than 64 MB"),
    ],
    ids=["empty", "text", "svg", "half", "header", "damaged", "huge", "warned", "bomb", "large"],
)
def test_what_is_not_an_image_is_one_sentence(content: bytes, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence) as caught:
        read_image(content, (3, 32, 32))
    assert str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)


def test_files_and_channels_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"'none.png' cannot be read: No such file"):
        read_image(tmp_path / "none.png", (3, 32, 32))
    with pytest.raises(DataError, match="is no file"):
        read_image(tmp_path, (3, 32, 32))
    with pytest.raises(DataError, match="1 or 3 channels and this net takes 4"):
        read_image(PICTURE, (4, 32, 32))
