"""Likeness of dh/dx at two inputs, in scalar nets."""

from __future__ import annotations

from explorer.instruments.shattering.ask import Ask
from explorer.instruments.shattering.measure import of_family
from explorer.instruments.shattering.result import ScalarFamily, ShatteredGradients

SEEDS = (10, 20)


def factor_a_layer(family: ScalarFamily) -> list[float]:
    """Of the mean cosine, from 1 layer to 6."""
    made = [one.pair_cosine for one in _measured(family, 6)]
    return [float((one[5, 0] / one[0, 0]) ** (1 / 5)) for one in made]


def mean_cosine(family: ScalarFamily, depth: int, transform_bias: float = -2.0) -> list[float]:
    """Over all pairs of inputs, and over the seeds."""
    return [float(one.pair_cosine[-1, 0]) for one in _measured(family, depth, transform_bias)]


def largest_share(family: ScalarFamily, depth: int, transform_bias: float) -> list[float]:
    """Of Σ|dh/dx|² at one of the points, median over the seeds."""
    return [float(one.largest_share[-1]) for one in _measured(family, depth, transform_bias)]


def _measured(
    family: ScalarFamily, depth: int, transform_bias: float = -2.0
) -> list[ShatteredGradients]:
    """From so many seeds, from 0."""
    return [
        of_family(family, Ask(depths=(depth,), seeds=n, seed=0, transform_bias=transform_bias))
        for n in SEEDS
    ]
