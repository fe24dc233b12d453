"""Likeness of dh/dx at two inputs, in scalar nets."""

from __future__ import annotations

from explorer.probes.shattering import shattered_gradients
from explorer.results import ScalarFamily

SEEDS = (10, 20)


def factor_a_layer(family: ScalarFamily) -> list[float]:
    """Of the mean cosine, from 1 layer to 6."""
    made = [shattered_gradients(family, depths=(6,), seeds=n).pair_cosine for n in SEEDS]
    return [float((one[5, 0] / one[0, 0]) ** (1 / 5)) for one in made]


def mean_cosine(family: ScalarFamily, depth: int, transform_bias: float = -2.0) -> list[float]:
    """Over all pairs of inputs, and over the seeds."""
    return [
        float(
            shattered_gradients(
                family, depths=(depth,), seeds=n, transform_bias=transform_bias
            ).pair_cosine[-1, 0]
        )
        for n in SEEDS
    ]


def largest_share(family: ScalarFamily, depth: int, transform_bias: float) -> list[float]:
    """Of Σ|dh/dx|² at one of the points, median over the seeds."""
    return [
        float(
            shattered_gradients(
                family, depths=(depth,), seeds=n, transform_bias=transform_bias
            ).largest_share[-1]
        )
        for n in SEEDS
    ]
