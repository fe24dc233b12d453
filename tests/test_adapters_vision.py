"""Vision transformers and ConvNeXts of torchvision and timm: their logits, and what is measured."""

from __future__ import annotations

import copy
import importlib.util
import json
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from asking import asked, asked_of
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision import models
from torchvision.models.convnext import CNBlockConfig, ConvNeXt
from torchvision.models.vision_transformer import VisionTransformer

from explorer.data.dataset import Dataset, build
from explorer.errors import NotApplicableError, SpecError, WeightsError
from explorer.instruments import instruments
from explorer.measuring.pathwalk import Walk
from explorer.measuring.predict import predict
from explorer.measuring.programs import evaluate_program, without
from explorer.measuring.select import some_images
from explorer.measuring.taps import tap
from explorer.nets.adapters import AdaptedNet, adapt, external_blueprint, load_external
from explorer.structure.blueprint import from_json, to_json
from explorer.structure.graph import to_dot, to_svg
from explorer.structure.specs import DataInfo, DataSpec

SHAPE = (3, 32, 32)
CLASSES = ("ant", "bee", "cat", "dog", "eel")
HAS_TIMM = importlib.util.find_spec("timm") is not None
needs_timm = pytest.mark.skipif(not HAS_TIMM, reason="timm is not installed: pip install timm")


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def timm_net(name: str, **options: Any) -> nn.Module:
    timm = pytest.importorskip("timm", reason="timm is not installed: pip install timm")
    net: nn.Module = timm.create_model(name, num_classes=5, **options)
    return net


SMALL_VIT: dict[str, Any] = {
    "img_size": 32,
    "patch_size": 8,
    "depth": 2,
    "embed_dim": 24,
    "num_heads": 3,
}
SMALL_CONVNEXT: dict[str, Any] = {"depths": (1, 1, 2, 1), "dims": (8, 12, 16, 24)}
NETS: dict[str, Callable[[], nn.Module]] = {
    "vit": lambda: VisionTransformer(32, 8, 2, 4, 24, 48, num_classes=5),
    "vit_with_hidden": lambda: VisionTransformer(
        32, 8, 1, 2, 16, 32, num_classes=5, representation_size=12
    ),
    "convnext": lambda: ConvNeXt(
        [CNBlockConfig(8, 12, 2), CNBlockConfig(12, 16, 1), CNBlockConfig(16, None, 2)],
        num_classes=5,
    ),
    "timm_vit": lambda: timm_net("vit_tiny_patch16_224", **SMALL_VIT),
    # registers, layer scale; a mean of tokens; positions before the class token; a norm before
    "timm_dinov2": lambda: timm_net("vit_small_patch14_reg4_dinov2", **SMALL_VIT),
    "timm_gap": lambda: timm_net("vit_base_patch16_reg4_gap_256", **SMALL_VIT),
    "timm_deit3": lambda: timm_net("deit3_small_patch16_224", **SMALL_VIT),
    "timm_clip": lambda: timm_net("vit_base_patch16_clip_quickgelu_224", **SMALL_VIT),
    "timm_convnext": lambda: timm_net("convnext_tiny", **SMALL_CONVNEXT),
    "timm_atto": lambda: timm_net("convnext_atto", **SMALL_CONVNEXT),
    "timm_v2": lambda: timm_net("convnextv2_atto", **SMALL_CONVNEXT),
}
PUBLIC = ("vit", "convnext", *(("timm_vit", "timm_atto") if HAS_TIMM else ()))


@lru_cache
def adapted(name: str) -> tuple[nn.Module, AdaptedNet]:
    torch.manual_seed(1)
    original = NETS[name]()
    draw = torch.Generator().manual_seed(3)
    with torch.no_grad():  # so that a scale of 10⁻⁶, or a bias of zero, is noticed
        for value in original.parameters():
            value.add_(torch.randn(value.shape, generator=draw) / 10)
    original.eval()
    return original, adapt(original, name="a_net", input_shape=SHAPE, class_names=CLASSES)


def pair(name: str) -> tuple[nn.Module, AdaptedNet]:
    return copy.deepcopy(adapted(name))


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    draw = torch.Generator().manual_seed(0)

    def split(n: int) -> tuple[Tensor, Tensor]:
        pixels = torch.randint(0, 256, (n, *SHAPE), generator=draw, dtype=torch.uint8)
        return pixels, torch.arange(n) % 5

    info = DataInfo(title="Noise", input_shape=SHAPE, classes=CLASSES)
    return build(DataSpec(name="folder", path="noise"), info, split(20), split(25))


def images(n: int = 3) -> Tensor:
    return torch.randn(n, *SHAPE, generator=torch.Generator().manual_seed(0))


def logits_of(net: nn.Module, x: Tensor) -> Tensor:
    with torch.no_grad():
        logits: Tensor = net(x)
    return logits


@pytest.mark.parametrize("name", sorted(NETS))
def test_the_fold_gives_the_originals_logits(name: str) -> None:
    original, net = pair(name)
    x = images()
    y = net.stem(x)
    for unit, plan in zip(net.units, net.blueprint.units, strict=True):
        assert tuple(y.shape[1:]) == plan.input_shape
        y = unit(y)
        assert tuple(y.shape[1:]) == plan.output_shape
    assert torch.equal(net.head(y), net(x))
    torch.testing.assert_close(net(x), original(x), rtol=1e-5, atol=1e-5)
    theirs = dict(original.named_modules())
    assert all(unit in theirs for unit in net.unit_names)
    assert net.blueprint.parameters == sum(p.numel() for p in original.parameters())
    modules = dict(net.named_modules())
    layers = [one for one in net.blueprint.layers if one.kind != "add"]
    with tap(net, [one.name for one in layers]) as taps:
        net(images(1))
    for one in layers:
        assert tuple(taps.outputs[one.name][0].shape[1:]) == one.output_shape
        assert one.parameters == sum(p.numel() for p in modules[one.name].parameters())


def without_unit(original: nn.Module, name: str) -> nn.Module:
    """The library's own net with what one unit adds at zero: its last layer with values."""
    net = copy.deepcopy(original)
    block: Any = net.get_submodule(name)
    if hasattr(block, "in_proj_weight"):
        last = block.out_proj
    elif name.endswith(".attn"):
        last = block.proj
    elif hasattr(block, "block"):
        last = block.block[5]
    elif hasattr(block, "conv_dw"):
        last = block.mlp.fc2
    else:
        last = [one for one in block.modules() if isinstance(one, nn.Linear)][-1]
    with torch.no_grad():
        last.weight.zero_()
        last.bias.zero_()
    return net


@pytest.mark.parametrize("name", PUBLIC)
def test_deleting_is_what_it_says(name: str, dataset: Dataset) -> None:
    original, net = pair(name)
    plan = net.blueprint
    x = dataset.normalise(dataset.test_images)
    deletable = [unit.name for unit in plan.units if unit.deletable]
    assert deletable == [unit.name for unit in plan.units if unit.kind == "residual"]
    for unit in deletable:
        wanted = logits_of(without_unit(original, unit), x).softmax(1).numpy()
        given = predict(net, x, program=without(plan, [unit]))
        np.testing.assert_allclose(given, wanted, rtol=1e-4, atol=1e-5, err_msg=unit)
    curve = asked("lesions", net, dataset)
    cut = [logits_of(without_unit(original, unit), x).argmax(1) for unit in deletable]
    truth = dataset.test_labels
    assert curve.units == tuple(deletable)
    assert curve.accuracy.tolist() == [float((a == truth).double().mean()) for a in cut]
    assert curve.baseline_accuracy == float(
        (logits_of(original, x).argmax(1) == truth).double().mean()
    )


@pytest.mark.parametrize("name", PUBLIC)
def test_gradients_are_the_originals(name: str, dataset: Dataset) -> None:
    original, net = pair(name)
    result = asked("gradients", net, dataset, n_images=10)
    pixels, labels = some_images(net, dataset, 10, train=True)
    F.cross_entropy(original(dataset.normalise(pixels)), labels).backward()
    theirs = dict(original.named_parameters())
    weights = [value for value in theirs.values() if value.dim() in (2, 4)]
    assert len(result.layers) == net.external.depth == len(weights)
    for layer, rms in zip(result.layers, result.parameter_rms, strict=True):
        own = net.get_parameter(f"{layer}.weight")
        (twin,) = (value for value in weights if torch.equal(value, own))
        assert twin.grad is not None
        assert rms == pytest.approx(float(twin.grad.square().mean().sqrt()), rel=1e-4), layer


@pytest.mark.parametrize("name", PUBLIC)
def test_responses_are_the_originals(name: str, dataset: Dataset) -> None:
    original, net = pair(name)
    found = asked("responses", net, dataset)
    sd = dict(zip(found.layers, found.sd, strict=True))
    x = dataset.normalise(dataset.test_images)
    layers = [one for one in original.modules() if type(one) in (nn.Conv2d, nn.Linear)]
    seen: dict[nn.Module, Tensor] = {}
    for one in layers:
        one.register_forward_hook(lambda module, _, output: seen.__setitem__(module, output))
    logits_of(original, x)
    compared = 0
    for layer, value in sd.items():
        own = net.get_submodule(layer).weight
        twins = [one for one in seen if torch.equal(getattr(one, "weight"), own)]  # noqa: B009
        if not twins:  # torch multiplies by an attention's matrices without calling a layer
            assert layer.endswith(("in_proj", "out_proj"))
            continue
        assert value == pytest.approx(float(seen[twins[0]].std(correction=0)), rel=1e-4), layer
        compared += 1
    assert compared >= len(layers) - 1 - 2 * (name == "vit")  # all but the classifier


@pytest.mark.parametrize("name", PUBLIC)
def test_paths_add_up_to_the_gradient(name: str, dataset: Dataset) -> None:
    """All lengths sum to autograd's gradient; the shortest path passes every branch by."""
    original, net = pair(name)
    x, labels = dataset.normalise(dataset.test_images[:4]), dataset.test_labels[:4]
    walk = Walk(net)
    point = walk.at(x, labels)
    by_length = walk.by_length(point)
    residual = [unit for unit in net.blueprint.units if unit.kind == "residual"]
    assert walk.two_way == len(residual)
    lengths = by_length.plain()
    at = x.clone().requires_grad_()
    F.cross_entropy(original(at), labels, reduction="sum").backward()
    torch.testing.assert_close(lengths.sum(0), at.grad, rtol=1e-3, atol=1e-5)

    states = [net.stem(x)]
    for unit in net.units:
        states.append(unit(states[-1]).detach())
    end = states[-1].detach().requires_grad_()
    loss = F.cross_entropy(net.head(end), labels, reduction="sum")
    (gradient,) = torch.autograd.grad(loss, end)
    for unit, state in zip(reversed(net.units), reversed(states[:-1]), strict=True):
        if isinstance(unit, nn.Sequential):  # a transition, which every path takes
            state = state.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(unit(state), state, gradient)
    at = x.clone().requires_grad_()
    (shortest,) = torch.autograd.grad(net.stem(at), at, gradient)
    torch.testing.assert_close(lengths[0], shortest, rtol=1e-3, atol=1e-6)


def test_what_means_nothing_for_tokens_is_refused_in_a_sentence(dataset: Dataset) -> None:
    _, net = pair("vit")
    refused = {}
    for one in instruments().values():
        if one.ask.subject not in ("net", "weights", "image"):
            continue
        options: dict[str, Any] = {"n_images": 20} if "n_images" in _names(one) else {}
        options |= {"resolution": 3} if "resolution" in _names(one) else {}
        try:
            if one.ask.subject == "image":
                result = asked_of(one.name, net, dataset, **options)
            else:
                result = asked(one.name, net, dataset, **options)
            assert result is not None
        except NotApplicableError as error:
            refused[one.name] = str(error)
    gates = {"gate_image", "gate_lesions", "gate_maps", "gates"}
    assert set(refused) == {"activations", "reuse", "shortcut_scaling", *gates}
    assert "give tokens, not maps" in refused["activations"]
    assert all("\n" not in text and text.endswith(".") for text in refused.values())
    with pytest.raises(NotApplicableError, match="features or tokens instead"):
        asked_of("attribution", net, dataset, method="grad_cam")


def _names(one: Any) -> set[str]:
    return {option.name for option in one.options}


def test_tokens_are_called_tokens() -> None:
    _, net = pair("vit")
    plan = net.blueprint
    assert "17 tokens × 24 → 17 tokens × 24" in to_dot(plan)
    svg = to_svg(plan)
    assert "encoder · 17 tokens × 24" in svg
    assert "Block 1 of 4, encoder: residual, 24→24, deletable" in svg
    inner = to_dot(plan, opened=plan.units[0].name)
    assert "attention 4 heads" in inner
    assert "layer norm" in inner
    _, net = pair("convnext")
    kinds = [unit.kind for unit in net.blueprint.units]
    assert kinds == [*["residual"] * 2, "transition", "residual", "transition", *["residual"] * 2]
    locked = net.unit_names[2]
    data = DataInfo(title="Noise", input_shape=SHAPE, classes=CLASSES)
    made = build(
        DataSpec(name="folder", path="n"),
        data,
        *[(torch.zeros(5, *SHAPE).byte(), torch.arange(5))] * 2,
    )
    with pytest.raises(
        NotApplicableError, match=r"features\.2' cannot be deleted: this transition"
    ):
        evaluate_program(net, made, without(net.blueprint, [locked]))


@pytest.mark.parametrize("name", ["vit_b_16", "vit_b_32", "convnext_tiny", "convnext_base"])
def test_well_known_sizes(name: str) -> None:
    """Parameters and multiply-adds as torchvision publishes them."""
    meta = models.get_model_weights(name).DEFAULT.meta
    plan = external_blueprint(f"torchvision_{name}")
    assert plan.parameters == meta["num_params"]
    assert plan.multiply_adds / 1e9 == pytest.approx(meta["_ops"], abs=6e-4)
    assert plan.spec.input_shape == (3, 224, 224)


@needs_timm
def test_timms_nets_by_name() -> None:
    sizes = {"vit_tiny_patch16_224": 5_717_416, "convnext_atto": 3_695_520}
    for name, parameters in sizes.items():  # as timm prints them
        assert external_blueprint(f"timm_{name}").parameters == parameters
    small = load_external("timm_test_vit", input_shape=SHAPE, classes=3, seed=0).eval()
    assert logits_of(small, images()).shape == (3, 3)
    grey = external_blueprint("timm_convnext_atto", input_shape=(1, 64, 64), classes=3)
    assert grey.spec.input_shape == (1, 64, 64)


def test_images_that_do_not_fit_are_refused() -> None:
    with pytest.raises(SpecError, match="of a multiple of 16 pixels a side, not of 40×40"):
        load_external("torchvision_vit_b_16", input_shape=(3, 40, 40))
    with pytest.raises(SpecError, match="square images"):
        external_blueprint("torchvision_vit_b_32", input_shape=(3, 64, 32))


@needs_timm
def test_timm_nets_of_another_kind_are_refused() -> None:
    for name, part in (
        ("vit_base_patch16_siglip_224", "pools the tokens by attention"),
        ("vit_base_patch16_18x2_224", "blocks.0 is a ParallelThingsBlock"),
        ("vit_base_patch16_rpn_224", "blocks.0 is a ResPostBlock"),
        ("deit_tiny_distilled_patch16_224", "cannot compute one after the other what it does"),
    ):
        with pytest.raises(NotApplicableError, match=part) as caught:
            external_blueprint(f"timm_{name}")
        assert "\n" not in str(caught.value)


@needs_timm
def test_a_users_own_weights(tmp_path: Path) -> None:
    """The classes come from the file; positions for other images are not these."""
    torch.manual_seed(2)
    original = timm_net("test_vit", img_size=64).eval()
    torch.save({"state_dict": original.state_dict()}, tmp_path / "vit.pth")
    shape = (3, 64, 64)
    net = load_external("timm_test_vit", weights=tmp_path / "vit.pth", input_shape=shape).eval()
    x = torch.randn(2, *shape)
    assert net.spec.classes == 5
    torch.testing.assert_close(logits_of(net, x), logits_of(original, x), rtol=1e-5, atol=1e-5)
    with pytest.raises(WeightsError, match="pos_embed has the shape"):
        load_external("timm_test_vit", weights=tmp_path / "vit.pth")


def test_from_a_shell(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from PIL import Image

    from explorer.cli import main

    draw = np.random.default_rng(0)
    for split in ("train", "test"):
        for name in ("ant", "bee"):
            folder = tmp_path / "photos" / split / name
            folder.mkdir(parents=True)
            for i in range(2):
                Image.fromarray(draw.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(
                    folder / f"{i}.png"
                )
    data = ("--data", str(tmp_path / "photos"), "--image-size", "32", "--device", "cpu")

    def json_of(*argv: str) -> Any:
        assert main([*argv, "--json"]) == 0, capsys.readouterr().err
        return json.loads(capsys.readouterr().out)

    shown = json_of("show", "torchvision_vit_b_16")
    assert shown["units"][0]["output_shape"] == [197, 768]
    assert main(["show", "torchvision_vit_b_16"]) == 0
    assert "197 tokens × 768" in capsys.readouterr().out
    if HAS_TIMM:
        curve = json_of("lesions", "timm_convnext_atto", *data)
        assert curve["units"][0]["name"] == "stages.0.blocks.0"
        assert main(["export", "timm_convnext_atto"]) == 2
        assert "here a net of `skipscope list`" in capsys.readouterr().err


def test_its_blueprint_travels_as_json() -> None:
    """As a worker tells the server of it, for the pages."""
    plan = external_blueprint("torchvision_vit_b_32", input_shape=(3, 64, 64), classes=3)
    assert from_json(json.loads(json.dumps(to_json(plan)))) == plan
