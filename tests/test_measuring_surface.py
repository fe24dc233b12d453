"""The loss around the weights against naive evaluation; resuming; the worked sensitivity."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from asking import asked, drawn
from torch import nn

from explorer.data.dataset import Dataset
from explorer.data.load import load_data
from explorer.errors import Cancelled, DataError, NotApplicableError, SpecError
from explorer.instruments.surface.measure import filter_normalised, fingerprint
from explorer.instruments.surface.result import LossSurface, levels
from explorer.measuring.select import some_images
from explorer.nets import Net, create_net
from explorer.structure.specs import DataSpec
from explorer.training import units


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_data(DataSpec(name="digits"))


def a_net(name: str = "resnet_v2_8;width=4", seed: int = 1) -> Net:
    """Batch norms that do something, as after a training."""
    net = create_net(name, input_shape=(1, 8, 8), classes=10, seed=seed).eval()
    draw = torch.Generator().manual_seed(seed)
    for module in net.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            n = module.num_features
            module.running_mean = torch.randn(n, generator=draw) / 4
            module.running_var = torch.rand(n, generator=draw) + 0.5
            with torch.no_grad():
                module.weight.copy_(torch.rand(n, generator=draw) + 0.5)
                module.bias.copy_(torch.randn(n, generator=draw) / 4)
    return net


def naive(
    net: Net, digits: Dataset, alpha: float, beta: float, *, seed: int, n: int, norm: str
) -> tuple[float, float]:
    """Move every weight of a deep copy, filter by filter, and evaluate it in the open."""
    twin = copy.deepcopy(net)
    draw = torch.Generator().manual_seed(seed)
    for step in (alpha, beta):
        for name, weight in twin.named_parameters():
            if weight.dim() < 2:
                continue
            own = net.get_parameter(name)
            direction = torch.randn(weight.shape, generator=draw)
            for filter_, given in zip(direction, own, strict=True):
                filter_ *= given.detach().norm() / filter_.norm()
            with torch.no_grad():
                weight += step * direction
    if norm == "batch":
        for module in twin.modules():
            if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
                module.train()
    images, labels = some_images(net, digits, n, train=True)
    with torch.no_grad():
        logits = twin(digits.normalise(images))
    right = (logits.argmax(1) == labels).double().mean().item()
    return F.cross_entropy(logits, labels).item(), right


# ------------------------------------------------------------------------------- the surface


def test_directions_are_as_long_as_the_filters() -> None:
    weight = torch.randn(5, 3, 3, 3) * torch.arange(5)[:, None, None, None]
    direction = filter_normalised(weight, torch.Generator().manual_seed(0))
    torch.testing.assert_close(direction.flatten(1).norm(dim=1), weight.flatten(1).norm(dim=1))
    assert not direction[0].any()  # a filter of zeros stays


@pytest.mark.parametrize("norm", ["running", "batch"])
@pytest.mark.parametrize(
    "name",
    [
        "resnet_v2_8;width=4",
        "plain_8;width=4",
        "highway_7;width=4",
        "densenet_7_k4",
        "fc_highway_5",
    ],
)
def test_points_are_those_of_a_moved_net(name: str, norm: Any, digits: Dataset) -> None:
    net = a_net(name)
    before = copy.deepcopy(net.state_dict())
    surface = asked(
        "surface", net, digits, resolution=3, span=0.4, n_images=50, direction=5, norm=norm
    )
    assert all(torch.equal(before[key], value) for key, value in net.state_dict().items())
    assert not net.training
    assert surface.alphas.tolist() == surface.betas.tolist() == [-0.4, 0.0, 0.4]
    for row in range(3):
        for column in range(3):
            loss, accuracy = naive(
                net,
                digits,
                surface.alphas[column],
                surface.betas[row],
                seed=5,
                n=50,
                norm=norm,
            )
            np.testing.assert_allclose(surface.loss[row, column], loss, rtol=2e-4)
            assert abs(surface.accuracy[row, column] - accuracy) < 0.021  # a tie may fall otherwise
    assert surface.complete
    assert surface.centre == surface.loss[1, 1]


def test_biases_and_norms_stay(digits: Dataset) -> None:
    """A net whose weights are all zero has nowhere to go."""
    net = a_net()
    with torch.no_grad():
        for weight in net.parameters():
            if weight.dim() > 1:
                weight.zero_()
    surface = asked("surface", net, digits, resolution=3, n_images=20)
    np.testing.assert_allclose(surface.loss, surface.centre, rtol=1e-6)


def test_levels_hold_each_other() -> None:
    for n in (1, 2, 3, 4, 17, 51, 100):
        found = levels(n)
        assert found[-1].tolist() == list(range(n))
        for coarse, fine in pairwise(found):
            assert set(coarse) < set(fine)
        assert {0, (n - 1) // 2, n - 1} == set(found[0])
    assert [len(level) for level in levels(51)] == [3, 5, 9, 17, 33, 51]


def test_points_come_from_coarse_to_fine(digits: Dataset, monkeypatch: Any) -> None:
    monkeypatch.setattr("explorer.instruments.surface.measure._TOLD_EVERY", 0.0)
    seen: list[tuple[float, int, int]] = []

    def tell(part: LossSurface, share: float, _: str) -> None:
        grid = part.finest()
        seen.append((share, int(part.done.sum()), 0 if grid is None else len(grid.alphas)))

    surface = asked("surface", a_net(), digits, resolution=9, n_images=10, on_part=tell)
    assert [count for _, count, _ in seen] == list(range(1, 82))
    assert seen[-1][0] == 1
    finest = [size for _, _, size in seen]
    assert finest == [0] * 8 + [3] * 16 + [5] * 56 + [9]
    grid = surface.finest()
    assert grid is not None
    assert grid.loss is surface.loss or np.array_equal(grid.loss, surface.loss)


WHOLE: dict[str, Any] = {"resolution": 7, "n_images": 30, "direction": 2}


def test_a_stopped_surface_goes_on_as_if_nothing_had_happened(digits: Dataset) -> None:
    net = a_net()
    whole = asked("surface", net, digits, **WHOLE)
    kept: list[dict[str, Any]] = []
    points = 0

    def enough() -> bool:
        nonlocal points
        points += 1
        return points > 14  # in the middle of the second level

    def keep(part: LossSurface, share: float, _: str) -> None:
        kept.append(json.loads(json.dumps(part.to_json(), allow_nan=False)))

    with pytest.raises(Cancelled):
        asked(
            "surface",
            net,
            digits,
            resolution=7,
            n_images=30,
            direction=2,
            on_part=keep,
            cancelled=enough,
        )
    known = LossSurface.from_json(kept[-1])
    assert 9 <= known.done.sum() < 49
    evaluated = 0

    def count() -> bool:
        nonlocal evaluated
        evaluated += 1
        return False

    rest = asked(
        "surface", net, digits, resolution=7, n_images=30, direction=2, known=known, cancelled=count
    )
    assert evaluated == 49 - known.done.sum()
    np.testing.assert_array_equal(rest.loss, whole.loss)
    np.testing.assert_array_equal(rest.accuracy, whole.accuracy)


def test_a_finer_surface_takes_over_the_coarser_ones_points(digits: Dataset) -> None:
    net = a_net()
    coarse = asked("surface", net, digits, resolution=5, n_images=20)
    evaluated: list[int] = []
    fine = asked(
        "surface",
        net,
        digits,
        resolution=9,
        n_images=20,
        known=coarse,
        cancelled=lambda: bool(evaluated.append(1)),
    )
    assert len(evaluated) == 81 - 25
    np.testing.assert_array_equal(fine.loss[::2, ::2], coarse.loss)
    assert fine.complete


def test_a_line_is_the_planes_middle(digits: Dataset) -> None:
    net = a_net()
    plane = asked("surface", net, digits, resolution=5, n_images=20)
    line = asked("surface", net, digits, resolution=5, n_images=20, line=True)
    assert line.loss.shape == (1, 5)
    np.testing.assert_allclose(line.loss[0], plane.loss[2], rtol=1e-6)
    grid = line.finest()
    assert grid is not None
    assert len(grid.alphas) == 5


def test_twins_draw_the_same_directions(digits: Dataset) -> None:
    """So that plain and residual nets are compared along the same random numbers."""
    drawn = []
    for name in ("plain_8;width=4", "resnet_v2_8;width=4"):
        draw = torch.Generator().manual_seed(0)
        weights = [w for w in a_net(name).parameters() if w.dim() > 1]
        drawn.append([torch.randn(w.shape, generator=draw) for w in weights])
    for one, other in zip(*drawn, strict=True):
        torch.testing.assert_close(one, other)


def test_a_loss_that_overflows_is_infinite(digits: Dataset) -> None:
    net = a_net("plain_8;width=4;batch_norm=false")
    with torch.no_grad():
        net.get_parameter("head.linear.weight").mul_(1e38)
    surface = asked("surface", net, digits, resolution=3, span=100, n_images=10)
    assert np.isinf(surface.loss[0, 0])
    assert surface.complete
    back = LossSurface.from_json(json.loads(json.dumps(surface.to_json(), allow_nan=False)))
    np.testing.assert_array_equal(back.loss, surface.loss)
    for show in SHOWN:
        for trace in drawn("surface", [surface], show=show).data:
            values = trace.y if trace.type == "scatter" else trace.z
            assert np.isfinite(np.asarray(values, dtype=float)).all()


def test_surfaces_round_trip_and_are_drawn_on_one_scale(digits: Dataset) -> None:
    one = asked("surface", a_net(), digits, resolution=5, n_images=20, name="one")
    other = asked(
        "surface", a_net("plain_8;width=4"), digits, resolution=3, n_images=20, name="other"
    )
    back = LossSurface.from_json(json.loads(json.dumps(one.to_json(), allow_nan=False)))
    np.testing.assert_array_equal(back.loss, one.loss)
    assert back.to_json() == one.to_json()
    assert len(one.to_frame()) == 25
    contours = drawn("surface", [one, other], theme="dark")
    made = [trace for trace in contours.data if trace.type == "contour"]
    assert len(made) == 2
    assert made[0].coloraxis == made[1].coloraxis == "coloraxis"
    for show in ("space", "line"):
        assert len(drawn("surface", [one, other], show=show).data) == 2
    assert drawn("surface", [one, other], show="surface").data[0].type == "surface"  # as it was
    waiting = LossSurface.from_json({**one.to_json(), "points": []})
    assert waiting.finest() is None
    assert math.isnan(waiting.centre)
    for show in SHOWN:
        assert not drawn("surface", [], show=show).data
        assert not drawn("surface", [waiting], show=show).data


SHOWN = ("contour", "space", "line")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"weights": "0" * 16}, "of other weights than the net has"),
        ({"seed": 9}, "along other directions"),
        ({"n_images": 19}, "another number of images"),
        ({"norm": "batch"}, "batch norm in another mode"),
        ({"data": "cifar10"}, "on other data"),
    ],
)
def test_only_the_same_surface_is_continued(
    change: dict[str, Any], sentence: str, digits: Dataset
) -> None:
    net = a_net()
    known = asked("surface", net, digits, resolution=3, n_images=20)
    changed = LossSurface.from_json({**known.to_json(), **change})
    with pytest.raises(NotApplicableError, match=sentence):
        asked("surface", net, digits, resolution=3, n_images=20, known=changed)


def test_the_fingerprint_is_of_every_value() -> None:
    net = a_net()
    first = fingerprint(net)
    assert first == fingerprint(copy.deepcopy(net))
    with torch.no_grad():
        net.get_buffer("stem.bn.running_mean")[0] += 1e-6
    assert fingerprint(net) != first
    # The same values, in nets that compute something else with them.
    twins = [create_net(f"resnet_v2_8;width=2{more}", seed=0) for more in ("", *OTHERS)]
    units.pass_by_named(twins[-1], twins[-1].unit_names[-1:])
    assert len({fingerprint(twin) for twin in twins}) == len(twins)
    for twin in twins[1:]:
        for key, value in twin.state_dict().items():
            assert torch.equal(value, twins[0].state_dict()[key])


OTHERS = (";shortcut=constant_scaling", ";shortcut=constant_scaling;shortcut_scale=0.9", "")


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"resolution": 2}, "resolution.* 3"),
        ({"resolution": 102}, "resolution.* 101"),
        ({"span": 0.0}, "span.* 0.01"),
        ({"span": math.nan}, "span"),
        ({"norm": "layer"}, "'running' or 'batch'"),
    ],
)
def test_impossible_surfaces_are_one_sentence(
    wrong: dict[str, Any], sentence: str, digits: Dataset
) -> None:
    with pytest.raises(SpecError, match=sentence):
        asked("surface", a_net(), digits, **wrong)


def test_other_documents_are_no_surface(digits: Dataset) -> None:
    for document in ({}, {"alphas": 3}, {**_document(), "points": [[9, 9, 1.0, 0.5]]}):
        with pytest.raises(NotApplicableError, match="no LossSurface"):
            LossSurface.from_json(document)
    with pytest.raises(DataError, match="images of 3×32×32"):
        asked("surface", create_net("plain_8"), digits)


def _document() -> dict[str, Any]:
    return {
        "net": "a",
        "data": "digits",
        "n_images": 1,
        "seed": 0,
        "norm": "running",
        "weights": "",
        "alphas": [0.0],
        "betas": [0.0],
    }
