"""Shattered gradients of nets at initialisation (Balduzzi17)."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from explorer.errors import Cancelled
from explorer.instruments import fresh_seeds
from explorer.instruments.contract import Job
from explorer.instruments.shattering.ask import Ask
from explorer.instruments.shattering.result import ScalarFamily, ShatteredGradients, Shattering

_EPSILON = 1e-5  # of torch's batch norm


def measure(ask: Ask, job: Job) -> Shattering:
    """Gradients of fully connected ReLU nets with one input and one output, family by family.

    In a deep plain net dy/dx becomes white noise: at two inputs close together it has nothing in
    common. With shortcuts it keeps its likeness. No data and no training.

    Cost: x is a single number, so dy/dx is carried forward beside y, two matrix products a layer,
    and one pass through the deepest net gives every shallower one; all seeds go together. 50 layers
    of width 200, 10 seeds: about a second on one core.
    """
    found: list[ShatteredGradients] = []
    for family in ask.families:
        found.append(of_family(family, ask, job.cancelled))
        result = Shattering(tuple(found))
        job.tell(result, len(found) / len(ask.families), family)
    return result


def of_family(
    family: ScalarFamily, ask: Ask, cancelled: Callable[[], bool] = lambda: False
) -> ShatteredGradients:
    """Gradients of the nets of a family, on [-2, 2].

    With h_0 = w x + b, N batch norm (or nothing) and W He's weights, layer l is

    - plain: h_l = W ReLU(N(h)) + b,
    - residual: h_l = h + β (W ReLU(N(h)) + b), full pre-activation (He16 Eq 4),
    - highway: h_l = T H + (1 − T) h, H = W ReLU(N(h)) + b, T = σ(W_T h + b_T) (SGS15 Eq 3),

    and y = w_y · h_L / √width. Biases are drawn as weights are: without them, and without batch
    norm, y would have a single kink, at 0. Batch norm takes its statistics from the points and
    counts as fixed where dy/dx is taken, so that this is the slope of the curve y(x).

    Where half the ReLUs are active, at each of two inputs independently, a plain layer halves the
    correlation of the gradients there (P(both) / P(one) = ½): Balduzzi17's 2^-L. Batch norm
    brings that about (measured: the mean cosine × 0.47 a layer, from 1 to 6). Without it most
    ReLUs of a deep plain net are active everywhere or nowhere, and its gradients shatter far
    less.

    Args:
        cancelled: Asked before each layer.

    Raises:
        Cancelled: ``cancelled`` said so.
    """
    chosen = tuple(sorted(set(ask.depths)))
    width, points, seeds = ask.width, ask.points, ask.seeds
    inputs = torch.linspace(-2, 2, points, dtype=torch.float64)
    draws = [torch.Generator().manual_seed(seed) for seed in fresh_seeds.of(ask)]

    def drawn(rows: int, columns: int, variance: float) -> Tensor:
        """(seeds, rows, columns), each seed's net from its own generator."""
        made = [torch.randn(rows, columns, generator=draw) for draw in draws]
        return torch.stack(made) * math.sqrt(variance)

    h = inputs.float()[None, :, None].expand(seeds, points, 1)
    state = _Dual(h, torch.ones_like(h)).linear(drawn(1, width, 2.0), drawn(1, width, 2.0))
    readout = drawn(width, 1, 1 / width)
    he = 2 / width
    kept: list[tuple[Tensor, Tensor]] = []
    pairs: list[Tensor] = []
    cosines: list[Tensor] = []
    shares: list[Tensor] = []
    directions: list[Tensor] = []
    for depth in range(1, chosen[-1] + 1):
        if cancelled():
            raise Cancelled("The measurement was stopped before its end.")
        active = (state.normalised() if ask.batch_norm else state).relu()
        made = active.linear(drawn(width, width, he), drawn(1, width, he))
        if family == "plain":
            state = made
        elif family == "residual":
            state = state.plus(made.times(ask.beta))
        else:
            raw = state.linear(drawn(width, width, 1 / width), torch.full((), ask.transform_bias))
            state = raw.sigmoid().mix(made, state)
        pairs.append(_pair_correlation(state.slope))
        unit, share = _directions(state.slope)
        cosines.append(_pair_correlation(unit))
        shares.append(share.median())
        if depth in chosen:
            slope = (state.slope.double() @ readout.double()).squeeze(-1)  # (seeds, points)
            kept.append((slope[0] / slope[0].square().mean().sqrt(), _autocorrelation(slope)))
            directions.append(_cosine_by_distance(unit))
    lags = points // 2 + 1
    return ShatteredGradients(
        family=family,
        batch_norm=ask.batch_norm,
        width=width,
        seeds=seeds,
        beta=ask.beta if family == "residual" else 1.0,
        transform_bias=ask.transform_bias if family == "highway" else None,
        inputs=inputs.numpy(),
        depths=chosen,
        gradient=torch.stack([gradient for gradient, _ in kept]).numpy(),
        distance=(inputs[:lags] - inputs[0]).numpy(),
        autocorrelation=torch.stack([_band(acf) for _, acf in kept]).numpy(),
        pair_depths=tuple(range(1, chosen[-1] + 1)),
        pair_correlation=torch.stack([_band(pair) for pair in pairs]).numpy(),
        cosine=torch.stack([_band(one) for one in directions]).numpy(),
        pair_cosine=torch.stack([_band(one) for one in cosines]).numpy(),
        largest_share=torch.stack(shares).numpy(),
    )


class _Dual:
    """Values h (seeds, points, width) and their slopes dh/dx: forward-mode differentiation."""

    def __init__(self, value: Tensor, slope: Tensor) -> None:
        self.value = value
        self.slope = slope

    def linear(self, weight: Tensor, bias: Tensor) -> _Dual:
        return _Dual(self.value @ weight + bias, self.slope @ weight)

    def normalised(self) -> _Dual:
        """Over the points; the statistics count as fixed."""
        centred = self.value - self.value.mean(1, keepdim=True)
        scale = (centred.square().mean(1, keepdim=True) + _EPSILON).rsqrt()
        return _Dual(centred * scale, self.slope * scale)

    def relu(self) -> _Dual:
        return _Dual(self.value.relu(), self.slope * (self.value > 0))

    def sigmoid(self) -> _Dual:
        value = self.value.sigmoid()
        return _Dual(value, self.slope * value * (1 - value))

    def times(self, factor: float) -> _Dual:
        return _Dual(factor * self.value, factor * self.slope)

    def plus(self, other: _Dual) -> _Dual:
        return _Dual(self.value + other.value, self.slope + other.slope)

    def mix(self, new: _Dual, old: _Dual) -> _Dual:
        """T·new + (1 − T)·old, where T is this."""
        gap = new.value - old.value
        slope = self.value * new.slope + (1 - self.value) * old.slope + self.slope * gap
        return _Dual(old.value + self.value * gap, slope)


def _autocorrelation(slope: Tensor) -> Tensor:
    """(seeds, points) → (seeds, lags): Σ g_i g_{i+k} / √(Σ g_i² · Σ g_{i+k}²), so 1 at k = 0.

    Each sum runs over the pairs there are, and no mean is subtracted: a linear net has 1 at every
    distance.
    """
    n = slope.shape[1]
    rows = []
    for lag in range(n // 2 + 1):
        near, far = slope[:, : n - lag], slope[:, lag:]
        size = (near.square().sum(1) * far.square().sum(1)).sqrt()
        rows.append((near * far).sum(1) / size)
    return torch.stack(rows, dim=1)


def _pair_correlation(slope: Tensor) -> Tensor:
    """(seeds, points, width) → (seeds,): mean of J_i · J_j over i ≠ j, by the mean of |J_i|².

    J_i is dh/dx at point i; for y = w · h with random w it is what dy/dx correlates by.
    """
    n = slope.shape[1]
    own = torch.linalg.vector_norm(slope, dim=(1, 2)).double().square()
    together = slope.sum(1).double().square().sum(1)
    correlation: Tensor = (together - own) / ((n - 1) * own)
    return correlation


def _directions(slope: Tensor) -> tuple[Tensor, Tensor]:
    """J_i / |J_i|, and of each seed the share of Σ|J_i|² at its largest point.

    A few points may hold nearly all of that sum (gates whose slopes multiply): then correlations
    are those of these points alone. Every direction counts the same; where J is 0 it is 0.
    """
    wide = slope.double()
    size = wide.square().sum(2)
    unit = wide / size.sqrt().clamp_min(torch.finfo(torch.float64).tiny)[..., None]
    return unit, size.amax(1) / size.sum(1)


def _cosine_by_distance(unit: Tensor) -> Tensor:
    """(seeds, points, width) of length 1 → (seeds, lags): mean cosine at that distance."""
    products = unit @ unit.transpose(1, 2)
    lags = unit.shape[1] // 2 + 1
    return torch.stack([products.diagonal(lag, 1, 2).mean(1) for lag in range(lags)], dim=1)


def _band(values: Tensor) -> Tensor:
    """(seeds, …) → (3, …): mean, 10 % and 90 % percentile."""
    low, high = torch.quantile(values, torch.tensor([0.1, 0.9], dtype=values.dtype), dim=0)
    return torch.stack([values.mean(0), low, high])
