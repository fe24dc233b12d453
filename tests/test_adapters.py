"""Nets of torchvision and timm: their logits, their names, and lesions that are what they say."""

from __future__ import annotations

import copy
import hashlib
import importlib.util
import pickle
import re
import threading
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from asking import asked
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision import models
from torchvision.models.densenet import DenseNet
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet
from torchvision.models.vgg import VGG, make_layers

from explorer.data.dataset import Dataset, build
from explorer.errors import DataError, NotApplicableError, SkipscopeError, SpecError, WeightsError
from explorer.instruments.functions import lesions
from explorer.measuring.gradients import layer_gradients
from explorer.measuring.match import matched
from explorer.measuring.predict import predict
from explorer.measuring.programs import evaluate_program, evaluate_programs, without
from explorer.measuring.taps import tap
from explorer.nets.adapters import AdaptedNet, adapt, external_blueprint, load_external
from explorer.nets.dense import DenseUnit
from explorer.nets.residual import ResidualUnit
from explorer.structure.library_nets import TORCHVISION
from explorer.structure.specs import DataInfo, DataSpec

SHAPE = (3, 32, 32)
CLASSES = ("ant", "bee", "cat", "dog", "eel")
needs_timm = pytest.mark.skipif(
    importlib.util.find_spec("timm") is None, reason="timm is not installed: pip install timm"
)


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


# ------------------------------------------------------------------------------ small nets


def stirred(net: nn.Module, seed: int = 3) -> nn.Module:
    """Batch norms that do something, so that a forgotten one is noticed."""
    draw = torch.Generator().manual_seed(seed)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            n = module.num_features
            module.running_mean = torch.randn(n, generator=draw) / 4
            module.running_var = torch.rand(n, generator=draw) + 0.5
            with torch.no_grad():
                module.weight.copy_(torch.rand(n, generator=draw) + 0.5)
                module.bias.copy_(torch.randn(n, generator=draw) / 4)
    return net.eval()


class Narrow(ResNet):
    """torchvision's ResNet with an eighth of the maps; the forward is its own."""

    def _make_layer(self, block: Any, planes: int, *rest: Any, **options: Any) -> nn.Sequential:
        return super()._make_layer(block, planes // 8, *rest, **options)


def narrow(block: Any, layers: list[int], **options: Any) -> ResNet:
    net = Narrow(block, layers, **options)
    net.fc = nn.Linear(64 * block.expansion, 5)
    return net


def small_vgg(*, batch_norm: bool) -> VGG:
    """The layers of a VGG, narrow; its usual head alone has 120 million parameters."""
    with torch.device("meta"):
        net = VGG(make_layers([8, 8, "M", 16, 16, 16, "M", 16, "M"], batch_norm=batch_norm))
    net.features = make_layers([8, 8, "M", 16, 16, 16, "M", 16, "M"], batch_norm=batch_norm)
    net.classifier = nn.Sequential(
        nn.Linear(16 * 49, 24), nn.ReLU(inplace=True), nn.Dropout(), nn.Linear(24, 5)
    )
    return net


def timm_net(name: str, **options: Any) -> nn.Module:
    timm = pytest.importorskip("timm", reason="timm is not installed: pip install timm")
    net: nn.Module = timm.create_model(name, num_classes=5, **options)
    return net


# Each makes a small net with fresh weights.
NETS: dict[str, Callable[[], nn.Module]] = {
    "resnet": lambda: narrow(BasicBlock, [2, 1, 2, 1]),
    "bottleneck": lambda: narrow(Bottleneck, [1, 2, 1, 1]),
    "resnext": lambda: narrow(Bottleneck, [1, 1, 2, 1], groups=4, width_per_group=32),
    "densenet": lambda: DenseNet(8, (2, 3, 2, 2), 16, num_classes=5),
    "vgg": lambda: small_vgg(batch_norm=False),
    "vgg_bn": lambda: small_vgg(batch_norm=True),
    "timm_resnet": lambda: timm_net("test_resnet"),  # deep stem, basic and bottleneck blocks
    "timm_resnet26d": lambda: timm_net("resnet26d", channels=[16] * 4),  # pooled projections
    "timm_resnetv2": lambda: timm_net("resnetv2_50", layers=[1, 2, 1, 1], channels=[64] * 4),
    "timm_resnetv2d": lambda: timm_net("resnetv2_18d", channels=[32, 32, 64, 64]),
}


@lru_cache
def adapted(name: str) -> tuple[nn.Module, AdaptedNet]:
    torch.manual_seed(1)
    original = stirred(NETS[name]())
    return original, adapt(original, name="a_net", input_shape=SHAPE, class_names=CLASSES)


@pytest.fixture(params=sorted(NETS))
def pair(request: pytest.FixtureRequest) -> tuple[nn.Module, AdaptedNet]:
    """A library's net in evaluation mode, and what it was adapted to; a test's own copies."""
    return copy.deepcopy(adapted(request.param))


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


def answers(net: nn.Module, dataset: Dataset) -> Tensor:
    with torch.no_grad():
        logits: Tensor = net(dataset.normalise(dataset.test_images))
    return logits


def accuracy(net: nn.Module, dataset: Dataset) -> float:
    return float((answers(net, dataset).argmax(1) == dataset.test_labels).double().mean())


# --------------------------------------------------------------------------- the same net


def test_the_fold_gives_the_originals_logits(pair: tuple[nn.Module, AdaptedNet]) -> None:
    original, net = pair
    x = images()
    with torch.no_grad():
        y = net.stem(x)
        for unit in net.units:
            y = unit(y)
        assert torch.equal(net.head(y), net(x))
        torch.testing.assert_close(net(x), original(x), rtol=1e-5, atol=1e-5)
    assert not net.training
    assert sum(p.numel() for p in net.parameters()) == sum(p.numel() for p in original.parameters())


def test_training_goes_as_the_originals(pair: tuple[nn.Module, AdaptedNet]) -> None:
    """Batch statistics and gradients too; dropout off, for it draws in another order."""
    original, net = pair
    losses = []
    norms = []
    for some in (original, net):
        some.train()
        for module in some.modules():
            if isinstance(module, nn.Dropout):
                module.eval()
        loss = F.cross_entropy(some(images(5)), torch.arange(5))
        loss.backward()
        losses.append(loss.detach())
        grads = [p.grad for p in some.parameters() if p.grad is not None]
        norms.append(sorted(float(g.norm()) for g in grads))
        assert len(grads) == len(list(some.parameters()))
    torch.testing.assert_close(losses[0], losses[1], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(norms[0], norms[1], rtol=2e-2, atol=1e-4)


def test_the_original_is_left_alone(pair: tuple[nn.Module, AdaptedNet]) -> None:
    original, _ = pair
    net = adapt(original, name="a_net", input_shape=SHAPE)
    before = {key: value.clone() for key, value in original.state_dict().items()}
    with torch.no_grad():
        for value in net.state_dict().values():
            value.zero_()
    net.train()
    assert not any(module.training for module in original.modules())
    assert all(torch.equal(before[key], value) for key, value in original.state_dict().items())


def test_the_blueprint_is_the_nets(pair: tuple[nn.Module, AdaptedNet]) -> None:
    from torch.utils.flop_counter import FlopCounterMode

    original, net = pair
    plan = net.blueprint
    theirs = dict(original.named_modules())
    modules = dict(net.named_modules())
    assert net.unit_names == tuple(unit.name for unit in plan.units)
    x = net.stem(images(1))
    for unit, module in zip(plan.units, net.units, strict=True):
        assert unit.name in theirs, "units are named as in the library"
        assert modules[unit.name] is module
        assert tuple(x.shape[1:]) == unit.input_shape
        x = module(x)
        assert tuple(x.shape[1:]) == unit.output_shape
        assert unit.parameters == sum(p.numel() for p in theirs[unit.name].parameters()) or (
            unit.kind == "plain"  # a VGG's units span several of its layers
        )
    joins = ("add", "concatenate")
    called = [layer.name for layer in plan.layers if layer.kind not in joins]
    with tap(net, called) as taps:
        net(images(1))
    for layer in plan.layers:
        if layer.kind not in joins:
            (output,) = taps.outputs[layer.name]
            assert tuple(output.shape[1:]) == layer.output_shape
            assert layer.parameters == sum(p.numel() for p in modules[layer.name].parameters())
    assert plan.parameters == sum(p.numel() for p in original.parameters())
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        original(images(1))
    assert counter.get_total_flops() == 2 * plan.multiply_adds
    assert net.spec.classes == 5
    assert net.spec.input_shape == SHAPE
    depths = [layer.depth_index for layer in plan.layers if layer.depth_index is not None]
    assert sorted(depths) == list(range(1, net.external.depth + 1))


@pytest.mark.parametrize(
    ("name", "units", "deletable"),
    [("resnet50", 16, 16), ("resnext50_32x4d", 16, 16), ("densenet121", 61, 58)],
)
def test_well_known_sizes(name: str, units: int, deletable: int) -> None:
    """Depth as the names have it, parameters as torchvision prints them."""
    net = load_external(f"torchvision_{name}", input_shape=(3, 64, 64), seed=0)
    meta = models.get_model_weights(name).DEFAULT.meta
    assert net.blueprint.parameters == meta["num_params"]
    assert net.external.depth == int(re.findall(r"\d+", name)[0])
    assert len(net.units) == units
    assert sum(unit.deletable for unit in net.blueprint.units) == deletable
    assert net.training
    assert external_blueprint(f"torchvision_{name}", input_shape=(3, 64, 64)) == net.blueprint


def test_densenet_at_its_own_size() -> None:
    plan = external_blueprint("torchvision_densenet121")
    assert plan.multiply_adds == 2_834_161_664
    assert plan.spec.input_shape == (3, 224, 224)
    assert plan.units[1].name == "features.denseblock1.denselayer2"
    assert plan.units[6].name == "features.transition1"
    assert set(TORCHVISION) <= set(models.list_models(module=models))


def test_vgg16_has_thirteen_convolutions() -> None:
    with torch.device("meta"):
        original = models.vgg16_bn()
    original.classifier = nn.Sequential(nn.Linear(512 * 49, 10))
    original.to_empty(device="cpu")
    with torch.no_grad():
        for value in original.state_dict().values():
            value.fill_(0.01)
    net = adapt(original, name="vgg16_bn", input_shape=SHAPE)
    units = net.blueprint.units
    assert [u.name for u in units if u.kind == "transition"] == [
        f"features.{i}" for i in (6, 13, 23, 33, 43)
    ]
    assert sum(u.kind == "plain" for u in units) == 12  # the first is the stem
    shapes = [(u.input_shape[0], u.output_shape[0]) for u in units if u.kind == "plain"]
    assert [u.deletable for u in units if u.kind == "plain"] == [a == b for a, b in shapes]
    assert [layer.name for layer in net.blueprint.stem] == ["stem.conv", "stem.bn", "stem.relu"]


# -------------------------------------------------------------------------------- lesions


def without_unit(original: nn.Module, name: str) -> nn.Module:
    """The library's own net, with one unit put out of action by hand."""
    net = copy.deepcopy(original)
    block: Any = net.get_submodule(name)
    with torch.no_grad():
        if isinstance(block, nn.Conv2d):  # of a VGG: pass by it, its batch norm and its ReLU
            features: Any = net.get_submodule("features")
            i = int(name.rpartition(".")[2])
            while i < len(features) and (
                features[i] is block or not isinstance(features[i], (nn.Conv2d, nn.MaxPool2d))
            ):
                features[i] = nn.Identity()
                i += 1
        elif hasattr(block, "norm2"):  # pre-activated, or dense: the last convolution gives F
            last = block.conv3 if hasattr(block, "conv3") else block.conv2
            last.weight.zero_()
        else:  # F ends in a batch norm
            last = block.bn3 if hasattr(block, "bn3") else block.bn2
            last.weight.zero_()
            last.bias.zero_()
    return net


def test_deleting_is_what_it_says(pair: tuple[nn.Module, AdaptedNet], dataset: Dataset) -> None:
    original, net = pair
    plan = net.blueprint
    deletable = [unit.name for unit in plan.units if unit.deletable]
    assert deletable
    x = dataset.normalise(dataset.test_images)
    for name in deletable:
        cut = without_unit(original, name)
        wanted = answers(cut, dataset).softmax(1).numpy()
        given = predict(net, x, program=without(plan, [name]))
        np.testing.assert_allclose(given, wanted, rtol=1e-3, atol=1e-5, err_msg=name)
    curve = lesions(net, dataset, name="a_net")
    assert curve.units == tuple(deletable)
    assert curve.baseline_accuracy == accuracy(original, dataset)
    assert curve.accuracy.tolist() == [
        accuracy(without_unit(original, name), dataset) for name in deletable
    ]


def test_programs_run_on_adapted_nets(pair: tuple[nn.Module, AdaptedNet], dataset: Dataset) -> None:
    original, net = pair
    plan = net.blueprint
    intact = list(net.unit_names)
    deletable = [unit.name for unit in plan.units if unit.deletable]
    two = without(plan, deletable[-2:])
    results = evaluate_programs(net, dataset, [intact, two])
    assert results[0].accuracy == accuracy(original, dataset)
    cut = without_unit(without_unit(original, deletable[-2]), deletable[-1])
    assert results[1].accuracy == accuracy(cut, dataset)
    locked = [unit.name for unit in plan.units if not unit.deletable]
    if locked:
        with pytest.raises(NotApplicableError, match="cannot be deleted"):
            evaluate_program(net, dataset, without(plan, locked[:1]))
    assert results[0].net == "a_net"


def test_units_may_change_places(dataset: Dataset) -> None:
    torch.manual_seed(1)
    original: Any = stirred(narrow(BasicBlock, [1, 1, 3, 1]))
    net = adapt(original, name="a_net", input_shape=SHAPE)
    names = list(net.unit_names)
    i, j = names.index("layer3.1"), names.index("layer3.2")
    names[i], names[j] = names[j], names[i]
    swapped = evaluate_program(net, dataset, names)
    layer = original.layer3
    layer[1], layer[2] = layer[2], layer[1]
    assert swapped.accuracy == accuracy(original, dataset)


def test_branches_are_there_by_name(pair: tuple[nn.Module, AdaptedNet]) -> None:
    _, net = pair
    x = net.stem(images())
    for name, unit, plan in zip(net.unit_names, net.units, net.blueprint.units, strict=True):
        if isinstance(unit, ResidualUnit):
            with tap(net, [f"{name}.residual", f"{name}.shortcut"]) as taps:
                y = unit(x)
            (residual,), (shortcut,) = (
                taps.outputs[f"{name}.{b}"] for b in ("residual", "shortcut")
            )
            torch.testing.assert_close(unit.after(shortcut + residual), y)
            torch.testing.assert_close(unit.after(shortcut), unit.bypass(x))
            projects = any(isinstance(m, nn.Conv2d) for m in unit.shortcut.modules())
            assert plan.shortcut == ("projection" if projects else "identity")
        elif isinstance(unit, DenseUnit):
            y = unit(x)
            torch.testing.assert_close(y[:, : x.shape[1]], x)
            assert not unit.bypass(x)[:, x.shape[1] :].any()
        else:
            y = unit(x)
        x = y


def test_gradients_are_the_originals(dataset: Dataset) -> None:
    torch.manual_seed(1)
    original = stirred(narrow(Bottleneck, [1, 2, 1, 1]))
    net = adapt(original, name="a_net", input_shape=SHAPE)
    result = layer_gradients(net, dataset, n_images=10)
    assert result.units == net.unit_names
    assert result.layers[:2] == ("stem.conv1", "layer1.0.shortcut.0")
    from explorer.measuring.select import some_images

    pixels, labels = some_images(net, dataset, 10, train=True)
    original.train()
    F.cross_entropy(original(dataset.normalise(pixels)), labels).backward()
    for name, rms in zip(result.layers, result.parameter_rms, strict=True):
        ours = name.removeprefix("stem.").removeprefix("head.")
        ours = ours.replace(".residual.", ".").replace(".shortcut.", ".downsample.")
        gradient = original.get_parameter(f"{ours}.weight").grad
        assert gradient is not None
        assert rms == pytest.approx(float(gradient.square().mean().sqrt()), rel=1e-3), name
    with pytest.raises(NotApplicableError, match="has no gates"):
        asked("gates", net, dataset)


def test_terms_and_responses_are_the_originals(dataset: Dataset) -> None:
    from explorer.instruments.functions import branches as branch_responses
    from explorer.instruments.functions import estimation_error
    from explorer.instruments.functions import responses as layer_responses
    from explorer.measuring.gradient_terms import gradient_terms
    from explorer.measuring.select import some_images

    torch.manual_seed(1)
    original = stirred(narrow(BasicBlock, [2, 1, 1, 1]))
    net = adapt(original, name="a_net", input_shape=SHAPE)
    pixels, labels = some_images(net, dataset, 10, train=True)
    terms = gradient_terms(net, dataset, n_images=10)
    original.train()
    y = original.maxpool(original.relu(original.bn1(original.conv1(dataset.normalise(pixels)))))
    h = original.layer1[0](y).detach().requires_grad_()
    tail = (original.layer2, original.layer3, original.layer4, original.avgpool, nn.Flatten())
    logits = original.fc(nn.Sequential(original.layer1[1], *tail)(h))
    (gradient,) = torch.autograd.grad(F.cross_entropy(logits, labels, reduction="sum"), h)
    assert terms.units[1] == "layer1.1"
    assert terms.whole[1] == pytest.approx(gradient.norm().item() / 10**0.5, rel=1e-3)
    assert terms.theory() is None

    original = stirred(narrow(BasicBlock, [2, 1, 1, 1]))
    net = adapt(original, name="a_net", input_shape=SHAPE)
    pixels, _ = some_images(net, dataset, None)
    with torch.no_grad():
        stem = original.bn1(original.conv1(dataset.normalise(pixels)))
        y = original.maxpool(stem.relu())
        block = original.layer1[0]
        branch = block.bn2(block.conv2(block.bn1(block.conv1(y)).relu()))
        total = block.downsample(y) + branch
    found = layer_responses(net, dataset)
    sd = dict(zip(found.layers, found.sd, strict=True))
    assert found.statistics == "running"
    assert sd["stem.conv1"] == pytest.approx(stem.std(correction=0).item(), rel=1e-3)
    assert sd["layer1.0.residual.conv2"] == pytest.approx(branch.std(correction=0).item(), rel=1e-3)
    assert not any("shortcut" in name for name in sd)
    branches = branch_responses(net, dataset)
    assert branches.cut[0] == pytest.approx((total < 0).double().mean().item(), abs=1e-3)
    assert len(estimation_error(net, dataset).units) == 2  # the other stages have one unit each


def test_graphs_and_titles_take_adapted_nets(pair: tuple[nn.Module, AdaptedNet]) -> None:
    from explorer.structure.graph import to_dot, to_svg
    from explorer.structure.names import title_of, token_of

    _, net = pair
    plan = net.blueprint
    assert title_of(plan.spec) == token_of(plan.spec) == "a_net"
    assert plan.units[0].name in to_dot(plan, opened=plan.units[-1].name)
    assert f'data-unit="{plan.units[0].name}"' in to_svg(plan)


# ---------------------------------------------------------------------------- what is not possible


class Doubled(ResNet):
    """A ResNet with a forward of its own."""

    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


def test_what_is_not_known_is_refused_in_a_sentence() -> None:
    def message(net: nn.Module, shape: tuple[int, int, int] = SHAPE, **options: Any) -> str:
        with pytest.raises(NotApplicableError) as caught:
            adapt(net, name="their_net", input_shape=shape, **options)
        text = str(caught.value)
        assert "\n" not in text
        assert text.endswith(".")
        return text

    small = ResNet(BasicBlock, [1, 1, 1, 1], num_classes=5)
    assert "their_net is a Linear" in (text := message(nn.Linear(2, 2)))
    assert "torchvision's resnet" in text
    assert "GroupNorm" in message(
        ResNet(BasicBlock, [1, 1, 1, 1], norm_layer=partial(nn.GroupNorm, 8))
    )
    assert "computes something else" in message(Doubled(BasicBlock, [1, 1, 1, 1]))
    assert "cannot take images of 1×32×32" in message(small, (1, 32, 32))
    assert "cannot take images of 3×8×8" in message(DenseNet(8, (1, 1, 1, 1), 16), (3, 8, 8))
    assert "gives 5 answers, and 2 class names" in message(small, class_names=["a", "b"])
    flat: Any = narrow(BasicBlock, [1, 1, 1, 1])
    flat.fc = nn.Sequential(flat.fc, nn.Flatten(0))
    assert "of the shape (5,) instead of" in message(flat)


def test_a_changed_classifier_and_stem_are_adapted() -> None:
    """As people change them to fine-tune, or for small images."""
    original: Any = stirred(ResNet(BasicBlock, [1, 1, 1, 1]))
    original.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
    original.maxpool = nn.Identity()
    original.fc = nn.Sequential(nn.Dropout(0.2), nn.Linear(512, 5))
    net = adapt(original.eval(), name="tuned", input_shape=SHAPE)
    torch.testing.assert_close(net(images()), original(images()))
    assert net.external.depth == 10


@needs_timm
def test_timm_nets_with_other_layers_are_refused() -> None:
    for name, layer in (
        ("seresnet18", "SEModule"),
        ("resnetblur18", "BlurPool2d"),
        ("resnetv2_50x1_bit", "StdConv2d"),
    ):
        with pytest.raises(NotApplicableError, match=f"layer of the kind {layer}"):
            load_external(f"timm_{name}", input_shape=SHAPE, classes=5, seed=0)


def test_unknown_names_suggest_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, part in (
        ("torchvision_resnet51", "did you mean 'torchvision_resnet50'?"),
        ("torchvision_alexnt", "names are torchvision_resnet50"),
        ("torchvision_", "names are torchvision_resnet50"),
        ("resnet50", "is not another library's net"),
    ):
        with pytest.raises(SpecError, match=re.escape(part)):
            load_external(name)
    with pytest.raises(SpecError, match="takes colour images, of 3 channels and not 1"):
        load_external("torchvision_resnet18", input_shape=(1, 32, 32))
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "timm" else real(name)
    )
    with pytest.raises(SpecError, match="needs the package timm, which is not installed"):
        load_external("timm_resnet50")


@needs_timm
def test_unknown_timm_names_suggest_the_nearest() -> None:
    for name, part in (
        ("timm_resnetv2_51", "did you mean 'timm_resnetv2_50'?"),
        ("timm_resnet50.nix", "There is no net named 'timm_resnet50.nix'"),
        (
            "timm_swin_tiny_patch4_window7_224",
            "There is no net named 'timm_swin_tiny_patch4_window7_224': ",
        ),
    ):
        with pytest.raises(SpecError, match=re.escape(part)):
            load_external(name)


# -------------------------------------------------------------------------------- weights


def test_a_users_own_weights(tmp_path: Path) -> None:
    """safetensors, or a pickle of which tensors alone are read; the classes come from the file."""
    torch.manual_seed(2)
    original = stirred(models.resnet18(num_classes=5))
    state = original.state_dict()
    save_file(state, tmp_path / "net.safetensors")
    torch.save(state, tmp_path / "net.pt")
    torch.save({"epoch": 3, "state_dict": state}, tmp_path / "checkpoint.pth")
    torch.save({f"module.{k}": v for k, v in state.items()}, tmp_path / "parallel.pth")
    lean = {k: v for k, v in state.items() if "num_batches" not in k}
    torch.save(lean, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    with torch.no_grad():
        wanted = original(images())
        for file in ("net.safetensors", "net.pt", "checkpoint.pth", "parallel.pth", "old.pth"):
            net = load_external(
                "torchvision_resnet18", weights=tmp_path / file, input_shape=SHAPE
            ).eval()
            torch.testing.assert_close(net(images()), wanted, msg=file)
            assert net.spec.classes == 5


class Trap:
    """A pickle that runs code when it is loaded without care."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_weights_that_are_not_are_refused(tmp_path: Path) -> None:
    def message(file: Path) -> str:
        with pytest.raises(WeightsError) as caught:
            load_external("torchvision_resnet18", weights=file, input_shape=SHAPE, classes=5)
        text = str(caught.value)
        assert "\n" not in text
        assert text.endswith(".")
        return text

    state = models.resnet18(num_classes=5).state_dict()
    sprung = tmp_path / "sprung"
    torch.save({**state, "extra": Trap(sprung)}, tmp_path / "trap.pt")
    assert "holds more than tensors" in message(tmp_path / "trap.pt")
    (tmp_path / "raw.pth").write_bytes(pickle.dumps(Trap(sprung)))
    assert "holds more than tensors" in message(tmp_path / "raw.pth")
    assert not sprung.exists()
    torch.save(models.resnet18(num_classes=5), tmp_path / "whole.pt")
    assert "torch.save(net.state_dict(), 'net.pt')" in message(tmp_path / "whole.pt")
    for name in ("net.bin", "net.pkl", "net"):  # its content decides what a file is
        torch.save(state, tmp_path / name)
        load_external("torchvision_resnet18", weights=tmp_path / name, input_shape=SHAPE)
    assert "There is no weights file" in message(tmp_path / "gone.pt")
    whole = (tmp_path / "trap.pt").read_bytes()
    for name, content in (("a.pt", whole[:-2000]), ("b.pth", b""), ("c.pt", b"\x80\x02garbage")):
        (tmp_path / name).write_bytes(content)
        assert "is damaged" in message(tmp_path / name)
    (tmp_path / "d.safetensors").write_bytes(whole[:300])
    assert "is damaged" in message(tmp_path / "d.safetensors")
    for name, stored in (("list.pt", [1, 2]), ("empty.pt", {}), ("text.pt", {"a": "b"})):
        torch.save(stored, tmp_path / name)
        assert "does not hold a state_dict" in message(tmp_path / name)

    torch.save(models.resnet34(num_classes=5).state_dict(), tmp_path / "other.pt")
    assert "which the net lacks" in message(tmp_path / "other.pt")
    torch.save(models.resnet18(num_classes=7).state_dict(), tmp_path / "seven.pt")
    assert "fc.weight has the shape (7, 512) instead of (5, 512)" in message(tmp_path / "seven.pt")
    torch.save({**state, "fc.bias": torch.full((5,), torch.nan)}, tmp_path / "nan.pt")
    assert "not finite" in message(tmp_path / "nan.pt")


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, str]]:
    """A folder, and the address under which it is served; downloads go to another."""
    folder = tmp_path / "served"
    folder.mkdir()
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def hashed(path: Path) -> Path:
    """The file under a name with its hash in it, as torchvision stores its own."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    return path.rename(path.with_name(f"{path.stem}-{digest}.pth"))


def test_the_librarys_weights_are_downloaded(
    served: tuple[Path, str], monkeypatch: pytest.MonkeyPatch, dataset: Dataset
) -> None:
    """From a server of our own, in the form in which torchvision has its DenseNets."""
    folder, address = served
    torch.manual_seed(2)
    original = stirred(models.densenet121())
    old = {
        re.sub(r"(denselayer\d+\.(?:norm|conv))([12])", r"\1.\2", key): value
        for key, value in original.state_dict().items()
        if "num_batches" not in key
    }
    assert any(".norm.1." in key for key in old)
    torch.save(old, folder / "densenet121.pth")
    file = hashed(folder / "densenet121.pth")
    entry = models.DenseNet121_Weights.DEFAULT.value
    monkeypatch.setattr(entry, "url", f"{address}/{file.name}")

    net = load_external("torchvision_densenet121", weights="default", input_shape=SHAPE).eval()
    with torch.no_grad():
        torch.testing.assert_close(net(images()), original(images()), rtol=1e-4, atol=1e-5)
    assert net.external.class_names[0] == "tench"
    assert net.external.mean == (0.485, 0.456, 0.406)

    # some of its classes, by name: the others' answers are gone
    names = ("goldfish", "Great_white_shark", "tench")
    info = DataInfo(title="Fish", input_shape=SHAPE, classes=names)
    pixels = dataset.test_images[:9]
    fish = build(DataSpec(name="folder", path="fish"), info, *[(pixels, torch.arange(9) % 3)] * 2)
    few, ready = matched(net, fish)
    assert isinstance(few, AdaptedNet)
    x = (pixels / 255 - torch.tensor(net.external.mean)[:, None, None]) / torch.tensor(
        net.external.std
    )[:, None, None]
    torch.testing.assert_close(ready.normalise(pixels), x, rtol=1e-4, atol=1e-4)
    with torch.no_grad():
        torch.testing.assert_close(few(x), original(x)[:, [1, 2, 0]], rtol=1e-3, atol=1e-4)
    assert few.spec.classes == 3
    assert few.external.class_names == ("goldfish", "great white shark", "tench")
    assert few.blueprint.parameters == net.blueprint.parameters - 997 * 1025
    assert net.spec.classes == 1000
    assert len(lesions(few, ready).units) == 58
    strange = DataInfo(title="Pets", input_shape=SHAPE, classes=("tench", "unicorn"))
    pets = build(DataSpec(name="folder", path="p"), strange, *[(pixels, torch.arange(9) % 2)] * 2)
    with pytest.raises(DataError, match="Pets has the class 'unicorn', which"):
        matched(net, pets)


def test_downloads_that_fail_say_so(
    served: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, address = served
    entry = models.ResNet18_Weights.DEFAULT.value

    def message(url: str) -> str:
        monkeypatch.setattr(entry, "url", url)
        with pytest.raises(WeightsError) as caught:
            load_external("torchvision_resnet18", weights="default", input_shape=SHAPE)
        text = str(caught.value)
        assert "\n" not in text
        assert text.endswith("give its path.")
        assert url in text
        return text

    assert "404" in message(f"{address}/resnet18-00000000.pth")
    (folder / "resnet18-11111111.pth").write_bytes(b"not what it was")
    assert "hash" in message(f"{address}/resnet18-11111111.pth")
    closed = "http://127.0.0.1:9"
    assert "refused" in message(f"{closed}/resnet18-22222222.pth")
    with pytest.raises(WeightsError, match="are for ImageNet's 1000 classes, not for 5"):
        load_external("torchvision_resnet18", weights="default", classes=5)


@needs_timm
def test_timms_own_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a local file in the place of the one on the hub; and without a network."""
    import huggingface_hub
    import timm
    from timm.models import _builder

    torch.manual_seed(2)
    original = stirred(timm.create_model("test_resnet"))
    save_file(original.state_dict(), tmp_path / "model.safetensors")
    with monkeypatch.context() as patch:
        patch.setattr(
            _builder,
            "_resolve_pretrained_source",
            lambda config: ("file", str(tmp_path / "model.safetensors")),
        )
        net = load_external("timm_test_resnet", weights="default").eval()
    assert net.spec.input_shape == (3, 160, 160)
    assert net.external.mean == (0.5, 0.5, 0.5)
    assert len(net.external.class_names) == 1000
    x = images()
    with torch.no_grad():
        torch.testing.assert_close(net(x), original(x), rtol=1e-4, atol=1e-5)

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    with pytest.raises(SkipscopeError, match=r"cannot be downloaded from huggingface\.co/timm"):
        load_external("timm_test_resnet", weights="default")


# -------------------------------------------------------------------- command line, notebook


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of three classes that ImageNet knows."""
    from PIL import Image

    draw = np.random.default_rng(0)
    for split in ("train", "test"):
        for name in ("goldfish", "great_white_shark", "tench"):
            folder = tmp_path / "photos" / split / name
            folder.mkdir(parents=True)
            for i in range(3):
                pixels = draw.integers(0, 256, (40, 40, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{i}.png")
    return tmp_path / "photos"


def test_from_a_shell(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    import json

    from explorer.cli import main

    def json_of(*argv: str) -> Any:
        assert main([*argv, "--json"]) == 0, capsys.readouterr().err
        return json.loads(capsys.readouterr().out)

    def message(*argv: str) -> str:
        assert main(list(argv)) == 2
        text = capsys.readouterr().err
        assert text.count("\n") == 1
        return text

    data = ("--data", str(photos), "--image-size", "32", "--device", "cpu")
    shown = json_of("show", "torchvision_resnet50")
    assert shown["parameters"] == 25_557_032
    assert shown["depth"] == 50
    assert shown["units"][3]["name"] == "layer2.0"
    assert json_of("show", "torchvision_resnet18", *data[:4])["spec"]["classes"] == 3
    assert main(["show", "torchvision_resnet18", "--dot"]) == 0
    assert "layer4.1" in capsys.readouterr().out
    assert main(["list"]) == 0
    assert "vgg16_bn" in capsys.readouterr().out

    curve = json_of("lesions", "torchvision_resnet18", *data)
    assert [unit["name"] for unit in curve["units"]][:3] == ["layer1.0", "layer1.1", "layer2.0"]
    assert curve["weights"] == "untrained, seed 7"
    torch.manual_seed(2)
    trained = stirred(models.resnet18(num_classes=3))
    torch.save(trained.state_dict(), tmp_path / "mine.pth")
    curve = json_of(
        "lesions", "torchvision_resnet18", *data, "--weights", str(tmp_path / "mine.pth")
    )
    assert curve["weights"] == "from mine.pth"
    assert curve["n_images"] == 9
    result = json_of("gradients", "torchvision_resnet18", *data, "--n", "6")
    assert result["layers"][0]["name"] == "stem.conv1"
    assert result["net"] == "torchvision_resnet18"

    bench = json_of(
        *("bench", "forward", "--net", "torchvision_resnet18", "--size", "32"),
        *("--images", "1", "--repeats", "1", "--device", "cpu"),
    )
    assert bench["net"] == "torchvision_resnet18"
    assert "against torchvision's resnet18: float32, contiguous" in [
        row["case"] for row in bench["rows"]
    ]

    assert "Say with --data on which images" in message("lesions", "torchvision_resnet18")
    assert "takes colour images" in message("lesions", "torchvision_resnet18", "--data", "digits")
    assert "here a net of `skipscope list`" in message("train", "torchvision_resnet18")
    assert "here a net of `skipscope list`" in message("export", "torchvision_resnet18")
    assert "did you mean" in message("show", "torchvision_resnet19")
    assert "has no gates" in message("gates", "torchvision_resnet18", *data)
    torch.save(models.resnet18(num_classes=4).state_dict(), tmp_path / "four.pt")
    four = ("--weights", str(tmp_path / "four.pt"))
    assert "and 4 classes, and photos has" in message(
        "lesions", "torchvision_resnet18", *data, *four
    )


def test_from_a_notebook(photos: Path) -> None:
    import explorer

    net = explorer.create_net("torchvision_resnet18", input_shape=SHAPE, classes=3, seed=0)
    again = explorer.load_external("torchvision_resnet18", input_shape=SHAPE, classes=3, seed=0)
    assert isinstance(net, AdaptedNet)
    assert torch.equal(net.eval()(images()), again.eval()(images()))
    data = explorer.DataSpec(name="folder", path=str(photos), image_size=32)
    assert explorer.lesions(net, data).units == net.unit_names
    own = explorer.adapt(models.resnet18(), name="mine", input_shape=SHAPE)
    assert own.external.classes == 1000
