"""Shattered gradients and propagation at initialisation, against autograd and known truths."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from asking import Lane, asked, drawn
from asking import page_of as instrument
from torch import Tensor

from explorer.data.dataset import Dataset
from explorer.data.load import load_data
from explorer.errors import Cancelled, DataError, SpecError
from explorer.instruments import instrument as declared
from explorer.instruments.propagation.result import Propagation
from explorer.instruments.shattering.figure import (
    autocorrelation_figure,
    gradient_likeness_figure,
    input_gradient_figure,
)
from explorer.instruments.shattering.measure import of_family
from explorer.instruments.shattering.result import ScalarFamily, ShatteredGradients
from explorer.measuring.select import some_images
from explorer.nets import Net, create_net
from explorer.nets.adapters import load_external
from explorer.structure.specs import DATASETS, DataSpec


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_data(DataSpec(name="digits"))


def a_net(name: str, seed: int = 1) -> Net:
    return create_net(name, input_shape=(1, 8, 8), classes=10, seed=seed)


# ------------------------------------------------------------------------ shattered gradients


def shattered_gradients(family: ScalarFamily = "plain", **options: Any) -> ShatteredGradients:
    """Of one family, from seeds 0, 1, …"""
    ask: Any = declared("shattering").asked({"seed": 0, **options})
    return of_family(family, ask)


def by_autograd(family: str, depth: int, *, norm: bool, beta: float, bias: float) -> list[Tensor]:
    """dy/dx of one small net written out, and of all its units: seed 0, width 8, 16 points."""
    width, points = 8, 16
    draw = torch.Generator().manual_seed(0)

    def drawn(rows: int, columns: int, variance: float) -> Tensor:
        return (torch.randn(rows, columns, generator=draw) * math.sqrt(variance)).double()

    x = torch.linspace(-2, 2, points, dtype=torch.float64)[:, None].requires_grad_()
    h = x @ drawn(1, width, 2.0) + drawn(1, width, 2.0)
    readout = drawn(width, 1, 1 / width)
    for _ in range(depth):
        inner = h
        if norm:
            with torch.no_grad():
                mean, variance = h.mean(0), h.var(0, correction=0)
            inner = (h - mean) / (variance + 1e-5).sqrt()
        new = inner.relu() @ drawn(width, width, 2 / width) + drawn(1, width, 2 / width)
        if family == "plain":
            h = new
        elif family == "residual":
            h = h + beta * new
        else:
            gate = torch.sigmoid(h @ drawn(width, width, 1 / width) + bias)
            h = gate * new + (1 - gate) * h
    # Each y depends on its own x alone, as the statistics are fixed.
    slopes = [
        torch.autograd.grad(h[:, unit].sum(), x, retain_graph=True)[0][:, 0]
        for unit in range(width)
    ]
    return [torch.autograd.grad((h @ readout).sum(), x)[0][:, 0], torch.stack(slopes, dim=1)]


@pytest.mark.parametrize("family", ["plain", "residual", "highway"])
@pytest.mark.parametrize("norm", [True, False])
def test_the_gradients_are_autograds(family: Any, norm: bool) -> None:
    result = shattered_gradients(
        family,
        depths=(1, 5),
        batch_norm=norm,
        width=8,
        points=16,
        seeds=1,
        beta=0.3 if family == "residual" else 1.0,
        transform_bias=-1.0,
    )
    for place, depth in enumerate((1, 5)):
        slope, units = by_autograd(family, depth, norm=norm, beta=0.3, bias=-1.0)
        rms = slope.square().mean().sqrt()
        np.testing.assert_allclose(result.gradient[place], slope / rms, rtol=2e-3, atol=2e-3)
        # the definition, pair by pair
        for lag in (0, 1, 7):
            near, far = slope[: 16 - lag], slope[lag:]
            wanted = (near * far).sum() / (near.square().sum() * far.square().sum()).sqrt()
            np.testing.assert_allclose(result.autocorrelation[place, 0, lag], wanted, atol=2e-3)
        products = [float(units[i] @ units[j]) for i in range(16) for j in range(16) if i != j]
        wanted_pair = np.mean(products) / float(units.square().sum(1).mean())
        np.testing.assert_allclose(result.pair_correlation[depth - 1, 0], wanted_pair, atol=2e-3)
        size = units.norm(dim=1)
        cosines = ((units @ units.T) / (size[:, None] * size)).nan_to_num()  # 0 where J is 0
        for lag in (0, 1, 7):
            wanted_cosine = float(cosines.diagonal(lag).mean())
            np.testing.assert_allclose(result.cosine[place, 0, lag], wanted_cosine, atol=2e-3)
        known = float(cosines.trace())
        all_pairs = (float(cosines.sum()) - known) / (15 * known)
        np.testing.assert_allclose(result.pair_cosine[depth - 1, 0], all_pairs, atol=2e-3)
        share = float(size.square().max() / size.square().sum())
        np.testing.assert_allclose(result.largest_share[depth - 1], share, atol=2e-3)


@pytest.fixture(scope="module")
def measured() -> dict[str, ShatteredGradients]:
    kept: dict[str, Any] = {"depths": (2, 24), "seeds": 4}
    return {
        "plain": shattered_gradients("plain", **kept),
        "residual": shattered_gradients("residual", **kept),
        "gentle": shattered_gradients("residual", beta=0.1, **kept),
        "highway": shattered_gradients("highway", transform_bias=-4, **kept),
    }


def test_plain_gradients_halve_with_every_layer_and_shortcuts_keep_them(
    measured: dict[str, ShatteredGradients],
) -> None:
    """Balduzzi17: about 2^-L in plain nets with batch norm; far slower with shortcuts."""
    plain = measured["plain"].pair_cosine[:6, 0]
    assert 0.42 < (plain[5] / plain[0]) ** (1 / 5) < 0.52
    # 24 layers: points next to each other have nothing in common in the plain net alone
    beside = {name: one.autocorrelation[1, 0, 1] for name, one in measured.items()}
    assert abs(beside["plain"]) < 0.2
    assert beside["residual"] > 0.7
    assert beside["gentle"] > 0.95
    assert beside["highway"] > 0.95
    assert measured["plain"].half_distance()[1] < measured["residual"].half_distance()[1]
    assert math.isnan(measured["gentle"].half_distance()[0])  # 2 layers: never below a half


def test_where_one_point_holds_all_the_autocorrelation_means_nothing_and_is_said_to() -> None:
    """Highway nets of 50 layers with b_T = −2: ≥ 99 % of Σ|dh/dx|² at one of 256 points."""
    nets = shattered_gradients("highway", depths=(4, 50), seeds=4)
    assert nets.largest_share[3] < 0.05
    assert nets.largest_share[49] > 0.99
    assert (nets.one_point(0), nets.one_point(1)) == (False, True)
    assert not np.isnan(nets.half_distance()[0])
    assert np.isnan(nets.half_distance()[1])
    one = instrument("shattering")
    lane = Lane(0, one.title, None, DATASETS["digits"], {"families": [nets.to_json()]})
    for show in ("autocorrelation", "cosine", "depth"):
        (said,) = one.caption([lane], {"show": show, "depth": "50"})
        assert ("so its autocorrelation says nothing" in said) == (show == "autocorrelation")
    (said,) = one.caption([lane], {"show": "autocorrelation", "depth": "4"})
    assert "falls below ½ at a distance of" in said
    figure = autocorrelation_figure([(0, "highway", nets)])
    assert [trace.name for trace in figure.data] == ["highway: one point holds most"]
    figure = autocorrelation_figure([(0, "highway", nets)], of="cosine")
    assert "highway" in [trace.name for trace in figure.data]
    old = {
        key: value
        for key, value in nets.to_json().items()
        if key not in ("cosine", "pair_cosine", "largest_share")
    }
    assert not ShatteredGradients.from_json(old).one_point(1)  # not known


def test_depth_at_which_directions_are_told_from_chance_ends_at_the_first_that_is_not(
    measured: dict[str, ShatteredGradients],
) -> None:
    """Of plain nets' 24 layers the seeds agree on the first few; chance is no deeper likeness."""
    one = instrument("shattering")
    plain = measured["plain"]
    deep = int(plain.told().sum())
    assert 3 < deep < 16
    assert plain.told()[:deep].all()
    lane = Lane(0, one.title, None, DATASETS["digits"], {"families": [plain.to_json()]})
    (said,) = one.caption([lane], {"show": "depth"})
    assert f" at {deep} layers; with one layer more the 10 % percentile" in said
    lucky = plain.pair_cosine.copy()
    lucky[-1] = 0.01  # one seed's chance, far below where the others ended
    lane = replace(lane, result={"families": [replace(plain, pair_cosine=lucky).to_json()]})
    assert one.caption([lane], {"show": "depth"}) == [said]
    lucky[0, 1] = -0.01
    lane = replace(lane, result={"families": [replace(plain, pair_cosine=lucky).to_json()]})
    (said,) = one.caption([lane], {"show": "depth"})
    assert "no depth at which" in said


def test_what_falls_at_the_next_input_is_said_to(measured: dict[str, ShatteredGradients]) -> None:
    one = instrument("shattering")
    noise = measured["plain"].autocorrelation.copy()
    noise[:, :, 1:] = 0.0
    plain = replace(measured["plain"], autocorrelation=noise)
    lane = Lane(0, one.title, None, DATASETS["digits"], {"families": [plain.to_json()]})
    deepest = str(plain.depths[-1])
    (said,) = one.caption([lane], {"show": "autocorrelation", "depth": deepest})
    assert "is below ½ already at the next input, 0.016 away" in said
    assert any("2⁻ᴸ = " in line for line in one.formula([lane], {})[3:])
    bare = Lane(
        0,
        one.title,
        None,
        DATASETS["digits"],
        {"families": [replace(plain, batch_norm=False).to_json()]},
    )
    assert not any("2⁻ᴸ = " in line for line in one.formula([bare], {})[3:])


def test_without_batch_norm_plain_gradients_shatter_far_less(
    measured: dict[str, ShatteredGradients],
) -> None:
    bare = shattered_gradients("plain", depths=(24,), batch_norm=False, seeds=4)
    assert bare.autocorrelation[0, 0, 1] > 0.6 > measured["plain"].autocorrelation[1, 0, 1] + 0.4


@pytest.mark.parametrize("norm", [True, False])
def test_what_batch_norm_does_to_relus(norm: bool) -> None:
    """Without it most of a deep plain net's are active at every input or at none."""
    draw = torch.Generator().manual_seed(0)
    h = torch.linspace(-2, 2, 256)[:, None] @ torch.randn(1, 200, generator=draw) * math.sqrt(2)
    h = h + torch.randn(1, 200, generator=draw) * math.sqrt(2)
    for _ in range(24):
        if norm:
            h = (h - h.mean(0)) / (h.var(0, correction=0) + 1e-5).sqrt()
        active = h > 0
        weight, bias = (torch.randn(n, 200, generator=draw) * 0.1 for n in (200, 1))
        h = h.relu() @ weight + bias
    fixed = (active.all(0) | ~active.any(0)).float().mean().item()
    assert fixed == 0 if norm else fixed > 0.6


def test_a_linear_net_is_not_shattered() -> None:
    """β = 0 leaves y = w_y · (w x + b): one slope everywhere."""
    result = shattered_gradients("residual", beta=0.0, depths=(3,), width=16, seeds=2)
    np.testing.assert_allclose(result.autocorrelation, 1, atol=1e-6)
    np.testing.assert_allclose(result.pair_correlation, 1, atol=1e-5)
    assert np.isnan(result.half_distance()).all()


def test_seeds_are_nets_of_their_own_and_the_same_again() -> None:
    few = shattered_gradients("plain", depths=(3,), width=16, seeds=1)
    many = shattered_gradients("plain", depths=(5, 3), width=16, seeds=3)
    np.testing.assert_allclose(few.gradient[0], many.gradient[0], rtol=1e-4, atol=1e-4)
    assert many.depths == (3, 5)
    assert (many.autocorrelation[:, 1] <= many.autocorrelation[:, 2]).all()
    assert many.autocorrelation.shape == (2, 3, 129)
    assert many.distance[-1] == pytest.approx(128 * 4 / 255)


def test_shattered_gradients_round_trip_and_are_drawn(
    measured: dict[str, ShatteredGradients],
) -> None:
    for one in measured.values():
        back = ShatteredGradients.from_json(json.loads(json.dumps(one.to_json(), allow_nan=False)))
        assert (back.title, back.depths, back.seeds) == (one.title, one.depths, 4)
        np.testing.assert_array_equal(back.autocorrelation, one.autocorrelation)
        np.testing.assert_array_equal(back.gradient, one.gradient)
        table = declared("shattering").result(families=(one, one)).to_frame()  # type: ignore[call-arg]
        assert len(table) == 2 * 2 * 129
        assert list(table.columns)[:4] == ["family", "batch_norm", "depth", "distance"]
    assert measured["gentle"].title == "residual, β = 0.1, batch norm"
    assert measured["highway"].title == "highway, b_T = −4, batch norm"
    lanes = [(i, name, one) for i, (name, one) in enumerate(measured.items())]
    figure = autocorrelation_figure(lanes, depth=2)
    assert [trace.name for trace in figure.data if trace.name] == list(measured)
    assert "2 layers" in figure.layout.xaxis.title.text
    assert len(input_gradient_figure(lanes).data) == 4
    assert len(gradient_likeness_figure(lanes).data) >= 5
    for draw in (autocorrelation_figure, input_gradient_figure, gradient_likeness_figure):
        assert not draw([]).data


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"families": ("dense",)}, "Families"),
        ({"depths": ()}, "depths"),
        ({"depths": (0, 3)}, "at least 1 and at most 100, not 0"),
        ({"depths": (101,)}, "at most 100, not 101"),
        ({"width": 0}, "width"),
        ({"seeds": 0}, "seeds"),
        ({"points": 3}, "points"),
        ({"beta": 1.5}, "beta"),
    ],
)
def test_impossible_scalar_nets_are_one_sentence(wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SpecError, match=f"(?i){sentence}") as error:
        asked("shattering", **wrong)
    assert str(error.value).endswith(".")


def test_shattered_gradients_can_be_stopped() -> None:
    with pytest.raises(Cancelled):
        asked("shattering", depths=(4,), width=8, seeds=1, cancelled=lambda: True)


# ------------------------------------------------------------------------------- propagation


@pytest.mark.parametrize(
    "name", ["plain_8", "resnet_v2_8", "highway_7", "densenet_7_k4", "fc_residual_5"]
)
def test_propagation_is_measured_as_in_a_training_step(name: str, digits: Dataset) -> None:
    net = a_net(name, seed=3)
    before = {key: value.clone() for key, value in net.state_dict().items()}
    result = asked("propagation", net, digits, n_images=20, start="own")
    assert all(torch.equal(before[key], value) for key, value in net.state_dict().items())
    assert net.training
    assert all(parameter.grad is None for parameter in net.parameters())

    images, labels = some_images(net, digits, 20, train=True)
    flow = [digits.normalise(images).requires_grad_()]
    twin = create_net(net.spec, seed=3).train()
    for part in (twin.stem, *twin.units):
        flow.append(part(flow[-1]))
        flow[-1].retain_grad()
    loss = F.cross_entropy(twin.head(flow[-1]), labels)
    loss.backward()
    variance = [signal.detach().double().var(correction=0).item() for signal in flow]
    gradient = []
    for signal in flow:
        assert signal.grad is not None
        gradient.append(20 * signal.grad.double().square().mean().sqrt().item())
    assert result.positions == ("input", "stem", *net.unit_names)
    assert not result.fresh
    np.testing.assert_allclose(result.variance, [variance], rtol=1e-4)
    np.testing.assert_allclose(result.gradient, [gradient], rtol=1e-3)


def test_each_row_is_a_fresh_net(digits: Dataset) -> None:
    told: list[float] = []
    result = asked(
        "propagation",
        a_net("plain_8;width=4"),
        digits,
        n_images=20,
        seeds=3,
        seed=0,
        on_part=lambda part, share, text: told.append(share),
    )
    assert told == pytest.approx([1 / 3, 2 / 3, 1])
    assert (result.seeds, result.fresh) == (3, True)
    own = {"n_images": 20, "seeds": None}  # as the net's own weights were asked for before
    second = asked("propagation", a_net("plain_8;width=4", seed=1), digits, **own)
    assert not second.fresh
    np.testing.assert_array_equal(result.variance[1], second.variance[0])
    assert len(np.unique(result.gradient[:, 3])) == 3


def test_additions_double_the_variance_unless_normalised(digits: Dataset) -> None:
    """With He's weights and no batch norm each addition adds what is there already."""
    two = {"seeds": 2, "seed": 0}
    bare = asked("propagation", a_net("resnet_v2_44;batch_norm=false"), digits, **two)
    whole = asked("propagation", a_net("resnet_v2_44"), digits, **two)

    def growth(result: Propagation) -> float:
        middle = np.median(result.variance, axis=0)
        return float(middle[8] / middle[2])  # over six units of the first stage

    assert growth(bare) > 2**4
    assert growth(whole) < 1 + 6


def test_propagation_round_trips_and_is_drawn(digits: Dataset) -> None:
    net = a_net("plain_14;batch_norm=false")
    result = asked("propagation", net, digits, n_images=20, seeds=2)
    result.variance[0, 2] = math.inf  # as after an overflow
    back = Propagation.from_json(json.loads(json.dumps(result.to_json(), allow_nan=False)))
    assert np.isnan(back.variance[0, 2])
    np.testing.assert_array_equal(back.gradient, result.gradient)
    frame = back.to_frame()
    assert list(frame["position"]) == list(result.positions)
    assert math.isnan(frame["variance"][2])
    for of in ("variance", "gradient"):
        figure = drawn("propagation", [back, result], of=of)
        names = [trace.name for trace in figure.data if trace.name]
        assert names == [f"{result.net} 0", f"{result.net} 1"]
    assert not drawn("propagation", []).data


def test_propagation_that_is_not_possible_is_one_sentence(digits: Dataset) -> None:
    net = a_net("plain_8")
    with pytest.raises(SpecError, match="seeds must be at least 1 and at most 100, not 0"):
        asked("propagation", net, digits, seeds=0)
    with pytest.raises(Cancelled):
        asked("propagation", net, digits, cancelled=lambda: True)
    with pytest.raises(DataError, match="images of 3×32×32"):
        asked("propagation", create_net("plain_8"), digits)


def test_another_librarys_net_keeps_its_own_weights() -> None:
    adapted = load_external("torchvision_resnet18", input_shape=(3, 32, 32), classes=10, seed=0)
    ask: Any = declared("propagation").ask().for_net(adapted.blueprint)
    assert ask.start == "own"
