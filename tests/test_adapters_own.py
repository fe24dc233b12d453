"""Nets that a person built, told where their stem, units and head are."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from asking import asked
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision import models

from explorer.data.dataset import Dataset, build
from explorer.errors import NotApplicableError, SkipscopeError
from explorer.measuring.engine import Engine
from explorer.measuring.pathwalk import Walk
from explorer.measuring.predict import predict
from explorer.measuring.programs import compile_program, evaluate_program, without
from explorer.measuring.select import some_images
from explorer.nets.adapters import AdaptedNet, adapt
from explorer.nets.adapters.own import matches, natural
from explorer.structure.specs import DataInfo, DataSpec

SHAPE = (3, 16, 16)
CLASSES = ("ant", "bee", "cat", "dog", "eel")


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


# -------------------------------------------------------- nets as people write them


class PadShortcut(nn.Module):
    """Option A with maps of zeros on both sides."""

    def forward(self, x: Tensor) -> Tensor:
        extra = x.shape[1] // 2
        return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, extra, extra))


class Usual(nn.Module):
    """conv1, bn1, conv2, bn2, shortcut; ReLUs are functions."""

    def __init__(self, inputs: int, maps: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, maps, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(maps)
        self.conv2 = nn.Conv2d(maps, maps, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(maps)
        self.shortcut = PadShortcut() if stride > 1 else nn.Sequential()

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + self.shortcut(x))


class Before(nn.Module):
    """Pre-activated; a projection takes the activated input."""

    def __init__(self, inputs: int, maps: int, stride: int = 1) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, maps, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(maps)
        self.conv2 = nn.Conv2d(maps, maps, 3, 1, 1, bias=False)
        if stride > 1:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, maps, 1, stride, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        active = F.relu(self.bn1(x))
        passed = self.shortcut(active) if hasattr(self, "shortcut") else x
        return self.conv2(F.relu(self.bn2(self.conv1(active)))) + passed


class Unusual(nn.Module):
    """A residual block whose names tell nothing, in place, with its ReLU after the addition."""

    def __init__(self, inputs: int, maps: int, stride: int = 1) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, maps, 3, stride, 1),
            nn.BatchNorm2d(maps),
            nn.ReLU(inplace=True),
            nn.Conv2d(maps, maps, 3, 1, 1),
        )
        self.side = nn.Conv2d(inputs, maps, 1, stride) if stride > 1 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.body(x)
        y += self.side(x)
        return F.relu_(y)


class Plain(nn.Module):
    def __init__(self, inputs: int, maps: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, maps, 3, stride, 1)
        self.norm = nn.BatchNorm2d(maps)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.norm(self.conv(x)))


class Gated(nn.Module):
    """y = T·H + (1 − T)·x."""

    def __init__(self, maps: int) -> None:
        super().__init__()
        self.h, self.t = (nn.Conv2d(maps, maps, 3, 1, 1) for _ in range(2))
        nn.init.constant_(self.t.bias, -1.0)

    def forward(self, x: Tensor) -> Tensor:
        gate = torch.sigmoid(self.t(x))
        return gate * F.relu(self.h(x)) + (1 - gate) * x


class Grows(nn.Module):
    def __init__(self, inputs: int, rate: int, *, in_front: bool) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(inputs)
        self.conv = nn.Conv2d(inputs, rate, 3, 1, 1)
        self.in_front = in_front

    def forward(self, x: Tensor) -> Tensor:
        new = self.conv(F.relu(self.norm(x)))
        return torch.cat((new, x) if self.in_front else (x, new), 1)


class Net(nn.Module):
    """Two stages; the pooling and the first ReLU are functions."""

    def __init__(self, block: Any, n: int = 2, pool: nn.Module | None = None) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.layer1 = nn.Sequential(*[block(8, 8) for _ in range(n)])
        self.pool = pool
        self.layer2 = nn.Sequential(block(8, 16, 2), *[block(16, 16) for _ in range(n - 1)])
        self.linear = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer1(F.relu(self.bn1(self.conv1(x))))
        if self.pool is not None:
            x = self.pool(x)
        x = self.layer2(x)
        x = F.avg_pool2d(x, x.size(3))
        return self.linear(x.view(x.size(0), -1))


class Chain(nn.Module):
    def __init__(self, blocks: list[nn.Module], maps: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, 1, 1)
        self.blocks = nn.ModuleList(blocks)
        self.last = nn.Linear(maps, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        for block in self.blocks:
            x = block(x)
        return self.last(x.mean((2, 3)))


def dense(*, in_front: bool) -> Chain:
    return Chain([Grows(8 + 4 * i, 4, in_front=in_front) for i in range(3)], 20)


def stirred(net: nn.Module) -> Any:
    draw = torch.Generator().manual_seed(3)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            n = module.num_features
            module.running_mean = torch.randn(n, generator=draw) / 4
            module.running_var = torch.rand(n, generator=draw) + 0.5
            with torch.no_grad():
                module.weight.copy_(torch.rand(n, generator=draw) + 0.5)
                module.bias.copy_(torch.randn(n, generator=draw) / 4)
    return net.eval()


LAYERS = "layer*.?"
NETS: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "usual": (lambda: Net(Usual), LAYERS),
    "before": (lambda: Net(Before), LAYERS),
    "unusual": (lambda: Net(Unusual), LAYERS),
    "plain": (lambda: Net(Plain), LAYERS),
    "gated": (lambda: Chain([Gated(8) for _ in range(3)], 8), "blocks.*"),
    "dense": (lambda: dense(in_front=False), "blocks.*"),
    "dense_in_front": (lambda: dense(in_front=True), "blocks.*"),
}
# Kind, shortcut and whether it can be deleted, of the first unit and of one that changes the shape.
KINDS = {
    "usual": [("residual", "identity", True), ("residual", "zero_pad", True)],
    "before": [("residual", "identity", True), ("residual", "projection", True)],
    "unusual": [("residual", "identity", True), ("plain", "none", False)],
    "plain": [("plain", "none", True), ("plain", "none", False)],
    "gated": [("residual", "identity", True), ("residual", "identity", True)],
    "dense": [("dense", "concatenate", True)] * 2,
    "dense_in_front": [("residual", "zero_pad", True)] * 2,
}


@pytest.fixture(params=sorted(NETS))
def case(request: pytest.FixtureRequest) -> tuple[str, Any, AdaptedNet]:
    torch.manual_seed(1)
    made, units = NETS[request.param]
    original = stirred(made())
    net = adapt(original, input_shape=SHAPE, units=units, class_names=CLASSES)
    return request.param, original, net


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


# --------------------------------------------------------------------------------- the same net


def test_the_fold_gives_the_originals_logits(case: tuple[str, Any, AdaptedNet]) -> None:
    label, original, net = case
    x = images()
    with torch.no_grad():
        torch.testing.assert_close(net(x), original(x), rtol=1e-5, atol=1e-5)
    plan = net.blueprint
    theirs = dict(original.named_modules())
    assert all(unit.name in theirs for unit in plan.units)
    assert plan.parameters == sum(p.numel() for p in original.parameters())
    for unit in plan.units:
        assert unit.parameters == sum(p.numel() for p in theirs[unit.name].parameters())
    two = [plan.units[0], plan.units[len(plan.units) // 2]]
    assert [(u.kind, u.shortcut, u.deletable) for u in two] == KINDS[label]
    assert net.external.name == type(original).__name__
    wanted = ("layer1", "layer2") if isinstance(original, Net) else ("blocks",)
    assert plan.stage_names == wanted
    modules = dict(net.named_modules())
    for layer in plan.layers:
        if layer.kind not in ("add", "concatenate"):
            assert layer.name in modules


class Nothing(nn.Module):
    """What is left of a block when the branch is gone."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block

    def forward(self, x: Tensor) -> Tensor:
        block: Any = self.block
        if isinstance(block, Usual):
            return F.relu(block.shortcut(x))
        if isinstance(block, Before) and hasattr(block, "shortcut"):
            return block.shortcut(F.relu(block.bn1(x)))
        if isinstance(block, Grows):
            none = torch.zeros_like(block.conv(F.relu(block.norm(x))))
            return torch.cat((none, x) if block.in_front else (x, none), 1)
        return x


def test_deleting_is_what_it_says(case: tuple[str, Any, AdaptedNet], dataset: Dataset) -> None:
    _, original, net = case
    x = dataset.normalise(dataset.test_images)
    for unit in net.blueprint.units:
        if not unit.deletable:
            with pytest.raises(NotApplicableError, match="changes the shape from"):
                evaluate_program(net, dataset, without(net.blueprint, [unit.name]))
            continue
        block = original.get_submodule(unit.name)
        original.set_submodule(unit.name, Nothing(block))
        with torch.no_grad():
            wanted = original(x).softmax(1).numpy()
        original.set_submodule(unit.name, block)
        given = predict(net, x, program=without(net.blueprint, [unit.name]))
        np.testing.assert_allclose(given, wanted, rtol=1e-3, atol=1e-5, err_msg=unit.name)


def test_several_programs_at_once_do_not_disturb_each_other(
    case: tuple[str, Any, AdaptedNet], dataset: Dataset
) -> None:
    """Blocks that work in place are given copies, as other programs go on from the same state."""
    _, original, net = case
    plan = net.blueprint
    units = [unit.name for unit in plan.units if unit.deletable]
    programs = [net.unit_names, *(without(plan, [unit]) for unit in units)]
    steps = [compile_program(plan, program) for program in programs]
    x = dataset.normalise(dataset.test_images[:5])
    together = Engine(net).logits(x, steps)
    with torch.no_grad():
        torch.testing.assert_close(together[0], original(x), rtol=1e-4, atol=1e-5)
    for row, one in zip(together, steps, strict=True):
        alone = Engine(net, fold=False).logits(x, [one])[0]
        torch.testing.assert_close(row, alone, rtol=1e-4, atol=1e-5)


def test_gradients_and_responses_are_the_originals(
    case: tuple[str, Any, AdaptedNet], dataset: Dataset
) -> None:
    label, original, net = case
    layers = [m for m in original.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    result = asked("gradients", net, dataset, n_images=10)
    found = dict(zip(result.layers, result.parameter_rms, strict=True))
    assert len(found) == len(layers)
    sd = asked("responses", net, dataset)
    sds = dict(zip(sd.layers, sd.sd, strict=True))
    seen: dict[nn.Module, Tensor] = {}
    for one in layers:
        one.register_forward_hook(lambda module, _, y: seen.__setitem__(module, y.clone()))
    with torch.no_grad():
        original(dataset.normalise(dataset.test_images))
    answers = dict(seen)
    pixels, labels = some_images(net, dataset, 10, train=True)
    for norm in original.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.train()
    F.cross_entropy(original(dataset.normalise(pixels)), labels).backward()
    for layer, rms in found.items():
        own = net.get_submodule(layer).weight
        (twin,) = (one for one in layers if torch.equal(getattr(one, "weight"), own))  # noqa: B009
        wanted = float(twin.weight.grad.square().mean().sqrt())  # type: ignore[union-attr,operator]
        assert rms == pytest.approx(wanted, rel=1e-3), layer
        if label in ("unusual", "gated", "dense_in_front") and layer in sds:
            assert sds[layer] == pytest.approx(float(answers[twin].std(correction=0)), rel=1e-4)


@pytest.mark.parametrize("label", ["usual", "unusual", "gated", "dense", "dense_in_front"])
def test_paths_add_up_to_the_gradient(label: str, dataset: Dataset) -> None:
    torch.manual_seed(1)
    made, units = NETS[label]
    original = stirred(made())
    net = adapt(original, input_shape=SHAPE, units=units)
    x, labels = dataset.normalise(dataset.test_images[:4]), dataset.test_labels[:4]
    walk = Walk(net)
    lengths = walk.by_length(walk.at(x, labels)).plain()
    at = x.clone().requires_grad_()
    F.cross_entropy(original(at), labels, reduction="sum").backward()
    torch.testing.assert_close(lengths.sum(0), at.grad, rtol=1e-3, atol=1e-5)
    if label in ("gated", "dense_in_front"):  # nothing but the shortcuts, in straight lines
        end = original.blocks
        at = x.clone().requires_grad_()
        with torch.no_grad():
            y = original.first(x)
            for block in end:
                y = block(y)
        y = y.requires_grad_()
        (gradient,) = torch.autograd.grad(
            F.cross_entropy(original.last(y.mean((2, 3))), labels, reduction="sum"), y
        )
        (shortest,) = torch.autograd.grad(original.first(at), at, gradient[:, -8:])
        torch.testing.assert_close(lengths[0], shortest, rtol=1e-3, atol=1e-6)


def test_training_goes_as_the_originals() -> None:
    torch.manual_seed(1)
    original = Net(Unusual).train()
    net = adapt(original, input_shape=SHAPE, units=LAYERS)
    assert net.training
    losses = [F.cross_entropy(one(images(5)), torch.arange(5)) for one in (original, net)]
    for loss in losses:
        loss.backward()
    torch.testing.assert_close(losses[0], losses[1], rtol=1e-5, atol=1e-5)
    norms = [
        sorted(float(p.grad.norm()) for p in one.parameters() if p.grad is not None)
        for one in (original, net)
    ]
    np.testing.assert_allclose(*norms, rtol=1e-3, atol=1e-5)


# --------------------------------------------------------------------------- where things are


def test_patterns_stay_within_one_part_of_a_name() -> None:
    assert matches("layer1.0", "layer*.?")
    assert not matches("layer1.0.conv1", "layer*.?")
    assert not matches("layer1.10", "layer*.?")
    assert matches("layer1.10", "layer?.*")
    names = ["layer1.10", "layer10.0", "layer1.2", "layer2.0", "layer1.1"]
    assert (
        sorted(names, key=natural) == names[4:] + names[2:3] + names[:1] + names[3:4] + names[1:2]
    )


def test_stem_and_head_by_name_and_function() -> None:
    original = stirred(Net(Usual))
    net = adapt(
        original,
        input_shape=SHAPE,
        stem=["conv1", "bn1", F.relu],
        units=LAYERS,
        head=[nn.AdaptiveAvgPool2d(1), nn.Flatten(), "linear"],
    )
    torch.testing.assert_close(net(images()), original(images()), rtol=1e-5, atol=1e-5)
    assert [layer.kind for layer in net.blueprint.stem] == ["conv", "batch_norm"]
    assert [layer.kind for layer in net.blueprint.head] == ["average_pool", "flatten", "linear"]
    few = net.for_classes([3, 1])
    torch.testing.assert_close(few(images()), original(images())[:, [3, 1]], rtol=1e-5, atol=1e-5)


def test_a_layer_between_stages_is_a_transition() -> None:
    original = stirred(Net(Usual, pool=nn.MaxPool2d(2)))
    net = adapt(original, input_shape=SHAPE, units=["layer1.?", "pool", "layer2.?"])
    assert [unit.kind for unit in net.blueprint.units][1:4] == [
        "residual",
        "transition",
        "residual",
    ]
    assert [unit.stage for unit in net.blueprint.units] == [0, 0, 0, 1, 1]
    torch.testing.assert_close(net(images()), original(images()), rtol=1e-5, atol=1e-5)


def test_the_net_is_taken_out_of_what_trained_it() -> None:
    original = stirred(Net(Usual))
    wanted = original(images())
    average = torch.optim.swa_utils.AveragedModel(original)
    wrapped = (nn.DataParallel(original), average, torch.compile(original))
    for around in (*wrapped, torch.compile(nn.DataParallel(original))):
        net = adapt(around, input_shape=SHAPE, units=LAYERS)
        torch.testing.assert_close(net(images()), wanted, rtol=1e-5, atol=1e-5)
        assert net.external.name == "Net"
    library = nn.DataParallel(models.resnet18(num_classes=5).eval())
    assert len(adapt(library, input_shape=(3, 32, 32)).units) == 8


# ------------------------------------------------------------------------- what is not possible


def message(net: Any, **options: Any) -> str:
    with pytest.raises(SkipscopeError) as caught:
        adapt(net, **{"input_shape": SHAPE, **options})
    text = str(caught.value)
    assert "\n" not in text
    assert text.endswith(".")
    return text


class Ahead(Net):
    """The head looks at the images, too."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + x.mean((2, 3)).sum(1, keepdim=True)


class Jumps(Net):
    """A connection over two units."""

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer1[0](F.relu(self.bn1(self.conv1(x))))
        y = self.layer1[1](x)
        y = self.layer2(y + x)
        return self.linear(y.mean((2, 3)))


class Decides(Net):
    """Its forward depends on values, so that it cannot be followed."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x if x.sum() > 0 else x * 1)


class Draws(Usual):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + torch.rand(())


class Pair(Gated):
    def forward(self, x: Tensor) -> Any:
        return super().forward(x), x


class Pairs(Chain):
    """Its blocks give two tensors."""

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        for block in self.blocks:
            x, _ = block(x)
        return self.last(x.mean((2, 3)))


def test_units_that_are_no_chain_are_refused_with_what_differs() -> None:
    net = stirred(Net(Usual))
    assert "the order layer1.0, layer1.1, layer2.0, layer2.1" in message(
        net, units=["layer2.?", "layer1.?"]
    )
    pooled = stirred(Net(Usual, pool=nn.MaxPool2d(2)))
    assert "between layer1.1 and layer2.0 the net also calls pool" in message(pooled, units=LAYERS)
    many = stirred(Net(Usual, n=11))
    assert "the net also calls layer1.10" in message(many, units=LAYERS)
    assert "layer1.0 stands inside of layer1" in message(net, units=["layer1", "layer1.?"])
    assert "each once" in message(net, units=["layer1.?", "layer1.0"])
    assert "computes something between" in message(stirred(Jumps(Usual)), units=LAYERS)
    assert "takes more than the last unit's output" in message(stirred(Ahead(Usual)), units=LAYERS)
    assert "name it with stem= and head=" in message(stirred(Decides(Usual)), units=LAYERS)
    assert "draws at random" in message(stirred(Net(Draws)), units=LAYERS)
    assert "The stem that was named for Net does not give" in message(
        net, units=LAYERS, stem=["conv1", "bn1"]
    )
    assert "The head that was named for Net cannot compute" in message(
        net, units=LAYERS, head="linear"
    )
    twice = Chain([Gated(8)] * 2, 8)
    assert "calls blocks.0 2 times" in message(twice, units="blocks.*")
    unused = stirred(Net(Usual))
    unused.layer9 = nn.Sequential(Usual(8, 8))
    assert "calls layer9.0 never" in message(unused, units=LAYERS)
    assert "No module of Net is named 'block*'" in message(net, units="block*")
    pair = Pairs([Pair(8)], 8)
    assert "Unit blocks.0 of Pairs gives a tuple" in message(pair, units="blocks.*")


ODD: list[Any] = [None, "resnet18", 3, [], {}, Net, nn.Module, lambda x: x, nn.ReLU(), nn.Module()]


@pytest.mark.parametrize("units", [None, LAYERS])
@pytest.mark.parametrize("odd", ODD)
def test_what_is_no_net_is_refused_in_a_sentence(odd: Any, units: str | None) -> None:
    message(odd, units=units)


def test_nets_that_cannot_be_taken_apart_are_refused_in_a_sentence() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that scripts go out of use
        script = torch.jit.script(nn.Sequential(nn.Conv2d(3, 8, 3)))
    assert "ScriptModule" in message(script)
    midway = Net(Usual)
    midway.linear.weight = nn.Parameter(midway.linear.weight)
    del midway.linear._parameters["weight"]
    midway.linear.weight = torch.randn(5, 16, requires_grad=True) * 2  # type: ignore[assignment]
    assert "cannot be copied" in message(midway, units=LAYERS)
    assert "cannot take images" in message(Net(Usual), units=LAYERS, input_shape=(1, 16, 16))
    assert "say where its blocks are" not in message(Net(Usual), stem="conv1")
    lazy = nn.Sequential(nn.LazyConv2d(4, 3), nn.Flatten(), nn.LazyLinear(2))
    message(lazy)
    cut: Any = models.resnet18(num_classes=5)
    cut.layer4, cut.fc = nn.Identity(), nn.Linear(256, 5)
    assert "ResNet that was changed" in message(cut)
    assert len(adapt(cut.eval(), input_shape=(3, 32, 32), units=LAYERS).units) == 6


@pytest.mark.parametrize(
    "options",
    [
        {"input_shape": shape}
        for shape in (None, (3, 16), "abc", (3, -1, 4), (3, 16.0, 16), 3, (3, 0, 0), (3, True, 3))
    ]
    + [{"units": units} for units in (3, [], [None], "", {}, [[]], "*.*.*.*", "[", "layer1..0")]
    + [{"stem": stem} for stem in (3, [], "", [None])]
    + [{"head": head} for head in (3, [], "", nn.ReLU())]
    + [{"mean": "x"}, {"mean": [0.5], "std": [0.5]}, {"mean": [0.1] * 3}, {"std": None}]
    + [{"class_names": "abcde"}, {"class_names": ["a"]}, {"class_names": [1] * 5}],
)
def test_odd_words_are_refused_in_a_sentence(options: dict[str, Any]) -> None:
    message(stirred(Net(Usual)), **{"units": LAYERS, **options})


def test_the_example_of_the_readme(capsys: pytest.CaptureFixture[str]) -> None:
    text = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(import explorer\nimport torch\n.*?)```", text, re.S)
    found: dict[str, Any] = {"__name__": "example"}
    exec(compile(code, "README.md", "exec"), found)
    assert "blocks.3" in capsys.readouterr().out
    net = found["net"]
    assert [unit.kind for unit in net.blueprint.units] == ["residual"] * 4
