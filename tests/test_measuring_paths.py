"""Gradients by path length against all 2ⁿ paths, one by one, and against autograd."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from itertools import product

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from asking import asked as ask_of
from asking import drawn
from torch import Tensor, nn

from explorer.data.dataset import Dataset
from explorer.data.load import load_data
from explorer.errors import Cancelled, NotApplicableError, SpecError
from explorer.instruments.paths import ask, measure
from explorer.instruments.paths.measure import gradients_by_length
from explorer.instruments.paths.result import PathGradients
from explorer.measuring import pathwalk
from explorer.measuring.pathwalk import Walk, has_two_ways, loss_seeds
from explorer.measuring.transposes import transposed
from explorer.nets import Net, create_net
from explorer.nets.adapters import load_external
from explorer.nets.dense import DenseUnit
from explorer.nets.highway import HighwayUnit
from explorer.nets.layers import ZeroPad
from explorer.nets.residual import ResidualUnit
from explorer.structure.specs import DataSpec


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_data(DataSpec(name="digits"))


def a_net(name: str, shape: tuple[int, int, int] = (1, 8, 8), *, double: bool = True) -> Net:
    """A fresh net whose batch norms have statistics of their own, as trained ones have."""
    net = create_net(name, input_shape=shape, classes=10, seed=1)
    net = net.double() if double else net
    random = torch.Generator().manual_seed(2)
    for module in net.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_(generator=random)
            module.running_var.uniform_(0.5, 2, generator=random)
            if module.weight is not None:
                module.weight.data.uniform_(0.5, 1.5, generator=random)
    return net.eval()


def images(n: int, shape: tuple[int, int, int] = (1, 8, 8)) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(3)
    x = torch.randn(n, *shape, generator=random, dtype=torch.float64)
    return x, torch.randint(10, (n,), generator=random)


# ------------------------------------------------------------------- the plain way, one path


def addends(unit: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """What comes by the two ways, written out."""
    if isinstance(unit, HighwayUnit):
        gate = unit.transform_gate(x)
        return x * (1 - gate), unit.transform(x) * gate
    if isinstance(unit, DenseUnit):
        new = unit.growth(x)
        return torch.cat((x, 0 * new), 1), torch.cat((0 * x, new), 1)
    assert isinstance(unit, ResidualUnit)
    return unit.branches(x)


def one_path(net: Net, x: Tensor, labels: Tensor, taken: tuple[bool, ...]) -> Tensor:
    """Gradient along one path: the other way of every unit is there, and carries none back."""
    start = x.clone().requires_grad_()
    y, turns = net.stem(start), iter(taken)
    for unit in net.units:
        if not has_two_ways(unit):
            y = unit(y)
            continue
        by, through = addends(unit, y)
        y = by.detach() + through if next(turns) else by + through.detach()
        y = unit.after(y) if isinstance(unit, ResidualUnit) else y
    loss = F.cross_entropy(net.head(y), labels, reduction="sum")
    return torch.autograd.grad(loss, start)[0]


def every_path(net: Net, x: Tensor, labels: Tensor, n: int) -> dict[tuple[bool, ...], Tensor]:
    every = product((False, True), repeat=n)
    return {taken: one_path(net, x, labels, taken) for taken in every}


def by_length(paths: dict[tuple[bool, ...], Tensor], n: int) -> Tensor:
    return torch.stack(
        [
            torch.stack([g for taken, g in paths.items() if sum(taken) == k]).sum(0)
            for k in range(n + 1)
        ]
    )


def autograd(net: Net, x: Tensor, labels: Tensor) -> Tensor:
    start = x.clone().requires_grad_()
    loss = F.cross_entropy(net(start), labels, reduction="sum")
    return torch.autograd.grad(loss, start)[0]


NETS = [
    "resnet_v2_14;width=3",
    "resnet_v2_8;width=3;shortcut=B",
    "resnet_v1_14;width=3",
    "resnet_v1_8;width=3;shortcut=C",
    "resnet_v2_8;width=3;shortcut=exclusive_gating;gate_bias=-1",
    "resnet_v2_8;width=3;shortcut=shortcut_only_gating;gate_bias=-1",
    "resnet_v2_8;width=3;shortcut=constant_scaling",
    "resnet_v2_8;width=3;shortcut=dropout",
    "resnet_v2_8;width=3;shortcut=conv1x1",
    "resnet_v2_8;width=3;order=bn_after_addition",
    "resnet_v2_8;width=3;order=relu_before_addition;survival_prob=0.5",
    "resnet_v2_11;width=3",
    "fc_residual_9;width=8;activation=tanh",
    "highway_7;width=3",
    "fc_highway_9;width=8",
    "densenet_10_k3",
    "densenet_bc_10_k3",
    "small_resnet_v2;width=3",
    "reference_residual_5;width=3",
    "resnet_v2_8;width=3;asymmetric_padding=all;norm_scale=false;conv_bias=unnormalised",
]


@pytest.mark.parametrize("name", NETS)
def test_every_length_is_the_sum_of_all_its_paths(name: str) -> None:
    net = a_net(name)
    x, labels = images(2)
    walk = Walk(net)
    n = walk.two_way
    assert 2 <= n <= 8
    assert n == sum(unit.parts_ways for unit in net.blueprint.units)
    point = walk.at(x, labels)
    paths = every_path(net, x, labels, n)
    exact = by_length(paths, n)
    scale = exact.flatten(2).norm(dim=2).amax()
    vectors = walk.by_length(point)
    assert (vectors.plain() - exact).abs().max() <= 1e-10 * scale
    norms = exact.flatten(2).norm(dim=2)
    torch.testing.assert_close(vectors.norms(), norms, rtol=1e-10, atol=1e-12 * float(scale))
    whole = autograd(net, x, labels)
    torch.testing.assert_close(walk.gradient(point).plain()[0], whole)
    torch.testing.assert_close(vectors.plain().sum(0), whole)

    # Some paths by themselves, another one for each image.
    taken = torch.rand(5, 2, n, generator=torch.Generator().manual_seed(4)) < 0.5
    alone = walk.along(point, taken).plain()
    for row, image in product(range(5), range(2)):
        path = paths[tuple(bool(t) for t in taken[row, image])][image]
        assert (alone[row, image] - path).abs().max() <= 1e-10 * scale


@pytest.mark.parametrize(
    "name", ["resnet_v2_14;width=2", "resnet_v1_8;width=3", "highway_7;width=3"]
)
def test_random_signs_estimate_the_sum_of_squares_without_bias(name: str) -> None:
    net = a_net(name)
    x, labels = images(2)
    walk = Walk(net)
    n = walk.two_way
    point = walk.at(x, labels)
    squares = torch.zeros(n + 1, 2, dtype=torch.float64)
    for taken, gradient in every_path(net, x, labels, n).items():
        squares[sum(taken)] += gradient.flatten(1).square().sum(1)
    # Their mean over all 2ⁿ draws that there are is what is expected of one.
    every = torch.tensor(list(product((-1.0, 1.0), repeat=n)))
    mean = sum(
        walk.by_length(point, signs=signs.expand(2, n)).norms().square() for signs in every
    ) / len(every)
    torch.testing.assert_close(mean, squares, rtol=1e-10, atol=0)
    # The images' signs are their own.
    mixed = walk.by_length(point, signs=every[1:3]).norms()
    for image in (0, 1):
        alike = walk.by_length(point, signs=every[1 + image].expand(2, n)).norms()
        torch.testing.assert_close(mixed[:, image], alike[:, image])


def test_at_54_units_the_lengths_add_up_to_autograds_gradient_in_float32() -> None:
    net = a_net("resnet_v2_110;width=4", double=False)
    x, labels = images(3)
    x = x.float()
    given = gradients_by_length(net, x, labels)
    assert given.shape == (55, 3, 1, 8, 8)
    whole = autograd(net, x, labels)
    apart = (given.double().sum(0) - whole).flatten(1).norm(dim=1)
    assert (apart <= 1e-5 * whole.flatten(1).norm(dim=1)).all()
    # Not only the sum: every length is right.
    walk, exact = Walk(net), Walk(copy.deepcopy(net).double())
    norms = walk.by_length(walk.at(x, labels)).norms()
    wanted = exact.by_length(exact.at(x.double(), labels)).norms()
    torch.testing.assert_close(norms, wanted, rtol=1e-5, atol=0)


def test_paths_too_faint_for_float32_are_measured() -> None:
    net = a_net("resnet_v2_56;width=4", double=False)
    for unit in net.units:
        assert isinstance(unit, ResidualUnit)
        conv = unit.residual.get_submodule("conv2")
        assert isinstance(conv, nn.Conv2d)
        conv.weight.data *= 1e-4
    x, labels = images(2)
    walk, exact = Walk(net), Walk(copy.deepcopy(net).double())
    norms = walk.by_length(walk.at(x.float(), labels)).norms()
    assert norms[-1].max() < 1e-50
    assert norms.min() > 0
    wanted = exact.by_length(exact.at(x, labels)).norms()
    torch.testing.assert_close(norms, wanted, rtol=1e-4, atol=0)
    assert torch.isfinite(
        walk.along(walk.at(x.float(), labels), torch.ones(3, 2, 27) > 0).norms()
    ).all()


def test_an_image_whose_paths_are_dead_does_not_spoil_the_others() -> None:
    net = a_net("resnet_v2_26;width=1")  # some of whose ReLUs are shut for some images
    for unit in net.units:
        assert isinstance(unit, ResidualUnit)
        conv = unit.residual.get_submodule("conv2")
        assert isinstance(conv, nn.Conv2d)
        conv.weight.data *= 1e-4
    x, labels = images(12)
    walk, light = Walk(net), Walk(copy.deepcopy(net).float())
    wanted = walk.by_length(walk.at(x, labels)).norms()
    assert torch.isfinite(wanted).all()
    assert (wanted == 0).any(0).sum() > 1
    assert (wanted > 0).all(0).sum() > 1
    norms = light.by_length(light.at(x.float(), labels)).norms()
    torch.testing.assert_close(norms, wanted, rtol=1e-4, atol=0)
    every = torch.ones(1, 12, 12, dtype=torch.bool)
    along = light.along(light.at(x.float(), labels), every).norms()
    torch.testing.assert_close(along[0], wanted[-1], rtol=1e-4, atol=0)


def test_only_the_shortest_lengths() -> None:
    net = a_net("resnet_v2_14;width=3")
    x, labels = images(2)
    walk = Walk(net)
    point = walk.at(x, labels)
    few = walk.by_length(point, longest=2).plain()
    torch.testing.assert_close(few, walk.by_length(point).plain()[:3])
    assert len(walk.by_length(point, longest=99).plain()) == 7


def test_parts_of_any_size_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    net = a_net("resnet_v2_14;width=3;shortcut=B")
    x, labels = images(2)
    walk = Walk(net)
    point = walk.at(x, labels)
    taken = torch.rand(7, 2, 6, generator=torch.Generator().manual_seed(4)) < 0.5
    wanted = walk.by_length(point).plain(), walk.along(point, taken).plain()
    for size in (1, 5000):
        monkeypatch.setattr(pathwalk, "_CALL_BYTES", size)
        torch.testing.assert_close(walk.by_length(point).plain(), wanted[0])
        torch.testing.assert_close(walk.along(point, taken).plain(), wanted[1])


def test_other_libraries_nets() -> None:
    net = load_external("torchvision_resnet18", input_shape=(3, 32, 32), classes=10, seed=0)
    net = net.double().eval()
    x, labels = images(1, (3, 32, 32))
    walk = Walk(net)
    assert walk.two_way == 8
    point = walk.at(x, labels)
    vectors = walk.by_length(point).plain()
    whole = autograd(net, x, labels)
    assert (vectors.sum(0) - whole).norm() <= 1e-10 * whole.norm()
    shortest = one_path(net, x, labels, (False,) * 8)
    assert (vectors[0] - shortest).norm() <= 1e-10 * shortest.norm()
    longest = one_path(net, x, labels, (True,) * 8)
    assert (vectors[8] - longest).norm() <= 1e-10 * longest.norm()


# ------------------------------------------------------------------------------------ layers


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(4, 6, 3, padding=1),
        nn.Conv2d(4, 6, 3, stride=2, padding=1),
        nn.Conv2d(4, 6, 3, padding=2, dilation=2),
        nn.Conv2d(4, 6, 1, padding=1),
        nn.Conv2d(4, 8, 3, padding=1, groups=2),
        nn.Conv2d(4, 6, 3, padding="same"),
        nn.Conv2d(4, 6, 3, padding=1, padding_mode="circular"),
        nn.Conv2d(4, 6, 3, padding=1, padding_mode="reflect", stride=2),
        nn.Sequential(nn.Conv2d(4, 6, 3, padding=1, padding_mode="circular"), nn.Sigmoid()),
        nn.BatchNorm2d(4),
        nn.BatchNorm2d(4, affine=False),
        nn.BatchNorm2d(4, track_running_stats=False),
        nn.ReLU(inplace=True),
        nn.SiLU(),
        nn.MaxPool2d(3, 2, 1),
        nn.AdaptiveAvgPool2d(1),
        ZeroPad(3, 2),
        ZeroPad(4, 2, 2),
        nn.Sequential(nn.ReLU(), nn.BatchNorm2d(4), nn.Tanh(), nn.Conv2d(4, 2, 3), nn.ReLU()),
        nn.Sequential(nn.Sequential(), nn.Flatten(), nn.Linear(4 * 6 * 6, 3), nn.Sigmoid()),
        nn.Sequential(),
    ],
    ids=str,
)
def test_transposes_are_autograds(layer: nn.Module) -> None:
    layer = layer.double().eval()
    if isinstance(layer, nn.BatchNorm2d) and not layer.track_running_stats:
        # Its images are not alone then; it still is what autograd says.
        assert layer.running_var is None
    for parameter in layer.parameters():
        nn.init.normal_(parameter)
    x = torch.randn(3, 4, 6, 6, dtype=torch.float64)
    kept = x.clone()
    y, transpose = transposed(layer, x)
    assert torch.equal(x, kept)
    torch.testing.assert_close(y, layer(x.clone()))
    vectors = torch.randn(2, *y.shape, dtype=torch.float64)
    given = vectors.clone()
    at = x.clone().requires_grad_()
    wanted = [torch.autograd.grad(layer(at.clone()), at, v)[0] for v in vectors]
    torch.testing.assert_close(transpose(vectors), torch.stack(wanted))
    assert torch.equal(vectors, given)
    assert all(parameter.grad is None for parameter in layer.parameters())


def test_seeds_are_right_where_the_net_is_sure() -> None:
    logits = torch.tensor([[40.0, 0.0, 1.0], [0.0, 3.0, -80.0]])
    seeds = loss_seeds(logits, torch.tensor([0, 2]))
    exact = logits.double().softmax(-1)
    wrong = exact[0, 1:]
    torch.testing.assert_close(seeds.plain()[0, 0, 1:].double(), wrong, rtol=1e-6, atol=0)
    torch.testing.assert_close(seeds.plain()[0, 0, 0].double(), -wrong.sum(), rtol=1e-6, atol=0)
    torch.testing.assert_close(
        seeds.plain()[0, 1].double(), exact[1] - torch.tensor([0.0, 0, 1]), rtol=1e-6, atol=1e-12
    )


# -------------------------------------------------------------------------------- instrument


def state(net: Net) -> list[object]:
    return [
        (
            module.training,
            [p.requires_grad for p in module.parameters()],
            len(module._forward_hooks),
        )
        for module in net.modules()
    ]


def test_the_three_curves(digits: Dataset) -> None:
    net = a_net("resnet_v2_20;width=4", double=False).train()
    weights = {key: value.clone() for key, value in net.state_dict().items()}
    before = state(net)
    seen: list[tuple[PathGradients, float]] = []
    result = ask_of(
        "paths",
        net,
        digits,
        n_images=24,
        draws=2,
        seed=5,
        name="mine",
        on_part=lambda part, share, _: seen.append((part, share)),
    )
    assert state(net) == before
    assert all(p.grad is None for p in net.parameters())
    assert all(torch.equal(weights[key], value) for key, value in net.state_dict().items())

    assert (result.net, result.data, result.n_images, result.two_way) == ("mine", "digits", 24, 9)
    assert result.mismatch is not None
    assert result.mismatch < 1e-5
    coherent, incoherent, sampled = result.curves
    assert (incoherent.draws, sampled.draws, coherent.draws) == (2, 2, 0)
    for end in (0, 9):  # one path alone: all three say the same
        assert incoherent.value[end] == pytest.approx(coherent.value[end], rel=1e-4)
        assert sampled.value[end] == pytest.approx(coherent.value[end], rel=1e-4)
    assert (coherent.standard_error > 0).all()

    # The exact curve comes first, then draw by draw the others.
    assert [share for _, share in seen] == pytest.approx([1 / 3, 2 / 3, 1])
    assert [len(part.curves) for part, _ in seen] == [1, 3, 3]
    assert [part.incoherent.draws for part, _ in seen if part.incoherent] == [1, 2]
    np.testing.assert_array_equal(seen[-1][0].coherent.value, seen[0][0].coherent.value)


def test_the_exact_curve_is_the_mean_norm_of_the_vectors(digits: Dataset) -> None:
    net = a_net("resnet_v1_14;width=3", double=False)
    result = ask_of("paths", net, digits, n_images=10, draws=0)
    assert result.incoherent is None
    assert result.sampled is None
    chosen = digits.some_test(10)
    x = digits.normalise(digits.test_images[chosen])
    norms = gradients_by_length(net, x, digits.test_labels[chosen]).flatten(2).norm(dim=2)
    np.testing.assert_allclose(result.coherent.value, norms.mean(1), rtol=1e-4)
    error = norms.std(1) / np.sqrt(10)
    np.testing.assert_allclose(result.coherent.standard_error, error, rtol=1e-3)
    whole = autograd(net, x, digits.test_labels[chosen]).flatten(1).norm(dim=1)
    assert result.gradient_norm == pytest.approx(float(whole.mean()), rel=1e-4)


def test_drawn_curves_come_near_what_they_estimate(digits: Dataset) -> None:
    net = a_net("resnet_v2_14;width=3")
    chosen = digits.some_test(4)
    labels = digits.test_labels[chosen]
    x = digits.normalise(digits.test_images[chosen]).double()
    norms: dict[int, list[Tensor]] = {k: [] for k in range(7)}
    for taken, gradient in every_path(net, x, labels, 6).items():
        norms[sum(taken)].append(gradient.flatten(1).norm(dim=1))
    paths = [torch.stack(norms[k]) for k in range(7)]  # (paths, images)
    result = ask_of("paths", net, digits, n_images=4, draws=30)
    assert result.incoherent is not None
    assert result.sampled is not None
    incoherent = [float(p.square().sum(0).sqrt().mean()) for p in paths]
    sampled = [float(p.sum(0).mean()) for p in paths]
    np.testing.assert_allclose(result.incoherent.value, incoherent, rtol=0.25)
    np.testing.assert_allclose(result.sampled.value, sampled, rtol=0.25)


def test_draws_do_not_depend_on_how_images_are_cut(
    digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = a_net("resnet_v2_8;width=2", double=False)
    whole = ask_of("paths", net, digits, n_images=9, draws=2, seed=1)
    monkeypatch.setattr(measure, "_CHUNK", 4)
    parts: list[tuple[int, int]] = []
    cut = ask_of(
        "paths",
        net,
        digits,
        n_images=9,
        draws=2,
        seed=1,
        on_part=lambda part, *_: parts.append(
            (part.n_images, 0 if part.sampled is None else part.sampled.n_images)
        ),
    )
    assert parts == [(4, 0), (8, 0), (9, 0), (9, 4), (9, 8), (9, 9), (9, 9), (9, 9), (9, 9)]
    for one, other in zip(whole.curves, cut.curves, strict=True):
        np.testing.assert_allclose(one.value, other.value, rtol=1e-4)
    another = ask_of("paths", net, digits, n_images=9, draws=2, seed=2)
    assert another.sampled is not None
    assert cut.sampled is not None
    assert abs(another.sampled.value[1] / cut.sampled.value[1] - 1) > 1e-4
    np.testing.assert_allclose(another.coherent.value, cut.coherent.value, rtol=1e-4)


def test_a_net_that_has_diverged_is_measured_as_nothing(digits: Dataset) -> None:
    net = a_net("resnet_v2_8;width=2", double=False)
    with torch.no_grad():
        net.head.linear.weight[0] = float("nan")
    result = ask_of("paths", net, digits, n_images=4)
    assert np.isnan(result.coherent.value).all()
    assert all(result.effective(curve) is None for curve in result.curves)
    assert np.isnan(result.ratio(result.coherent))
    told = json.loads(json.dumps(result.to_json()).replace("NaN", "null"))
    assert np.isnan(PathGradients.from_json(told).gradient_norm)
    assert drawn("paths", [result]).data[0].x.size == 0
    # One that does not see its input has no gradient at all.
    with torch.no_grad():
        net.head.linear.weight.zero_()
    nothing = ask_of("paths", net, digits, n_images=4)
    assert (nothing.coherent.value == 0).all()
    assert nothing.effective(nothing.coherent) is None
    assert drawn("paths", [nothing]).layout


def test_paths_are_drawn_evenly() -> None:
    taken = np.stack([measure._paths(measure._random((0, i), 2, 0), 6, 5) for i in range(400)])
    assert (taken.sum(2) == np.arange(6)).all()
    np.testing.assert_allclose(taken.mean(0), np.arange(6)[:, None] / 5 * np.ones(5), atol=0.1)


def test_what_cannot_be_measured_is_one_sentence(
    digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(NotApplicableError, match="A plain net has a single path"):
        ask_of("paths", a_net("plain_8;width=2", double=False), digits)
    with pytest.raises(NotApplicableError, match="A plain net has a single path"):
        gradients_by_length(a_net("plain_8;width=2"), *images(1))
    net = a_net("resnet_v2_8;width=2", double=False)
    with pytest.raises(SpecError, match="longest"):
        ask_of("paths", net, digits, longest=0)
    with pytest.raises(SpecError, match="draws"):
        ask_of("paths", net, digits, draws=-1)
    with pytest.raises(SpecError, match="n_images"):
        ask_of("paths", net, digits, n_images=0)
    asked = iter([False] * 10 + [True] * 99)
    with pytest.raises(Cancelled):
        ask_of("paths", net, digits, cancelled=lambda: next(asked))
    monkeypatch.setattr(ask, "MOST_UNITS", 2)
    with pytest.raises(NotApplicableError, match="has 3 units with two ways, and 2 are the limit"):
        ask_of("paths", net, digits, draws=0)
