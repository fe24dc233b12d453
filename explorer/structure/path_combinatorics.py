"""Paths of a net, counted (Veit16 §3): closed forms over NumPy alone.

A net of n units with two ways has 2ⁿ paths from input to output; a path's length is how many
residual branches it takes. Lengths run over 0 … n, one entry each.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import comb, lgamma

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SHARE = 0.95  # of a curve that an effective range holds


def binomial(n: int) -> Floats:
    """Share of all paths that have each length: C(n, k) / 2ⁿ (Veit16 Fig 6a)."""
    whole = 2**n
    return np.asarray([comb(n, k) / whole for k in range(n + 1)], dtype=np.float64)


def poisson_binomial(chances: Sequence[float]) -> Floats:
    """Of how many branches are taken, where branch i is taken with chance ``chances[i]`` alone."""
    shares = np.ones(1)
    for chance in chances:
        shares = np.convolve(shares, [1 - chance, chance])
    return shares


def log_counts(n: int) -> Floats:
    """Natural logarithm of C(n, k), which itself no float holds where n is above 1029."""
    return np.asarray(
        [lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1) for k in range(n + 1)], dtype=np.float64
    )


def toy(n: int, ratio: float) -> Floats:
    """Share of the gradient by length, were every branch to scale it by r: ∝ C(n, k) rᵏ.

    Args:
        ratio: r, at least 0; 0.25 puts 97 % of 54 units' gradient on lengths 5 to 17.
    """
    return poisson_binomial([ratio / (1 + ratio)] * n)


def effective_range(curve: Floats, share: float = SHARE) -> tuple[int, int] | None:
    """The fewest neighbouring lengths that hold ``share`` of a curve's sum, ends included.

    Of several equally narrow, the one that holds most. None where there is nothing to share.
    """
    total = curve.sum()
    if not (np.isfinite(total) and total > 0):
        return None
    upto = np.concatenate([[0.0], np.cumsum(curve / total)])
    for width in range(1, len(curve) + 1):
        held = upto[width:] - upto[:-width]
        low = int(np.argmax(held))
        if held[low] >= share - 1e-12:
            return low, low + width - 1
    return 0, len(curve) - 1


def fitted_ratio(curve: Floats, n: int) -> float:
    """The r of the toy that fits a gradient by length: curve_k ≈ a·C(n, k)·rᵏ.

    Least squares on the logarithm, each length weighted by its share of the curve, so that the
    fit is good where the gradient is. NaN of fewer than two lengths above 0.

    Args:
        curve: Of the lengths 0 … len − 1; may end before n.
    """
    seen = np.isfinite(curve) & (curve > 0)
    if seen.sum() < 2:
        return float("nan")
    lengths = np.arange(len(curve))[seen]
    per_path = np.log(curve[seen]) - log_counts(n)[: len(curve)][seen]
    weight = curve[seen] / curve[seen].sum()
    mean = (weight * lengths).sum()
    spread = (weight * (lengths - mean) ** 2).sum()
    if not spread > 0:
        return float("nan")
    return float(np.exp((weight * (lengths - mean) * per_path).sum() / spread))
