"""Paths, counted."""

from __future__ import annotations

from collections.abc import Sequence

from explorer.claims.measures.nets import SEEDS, fresh, images
from explorer.instruments import functions
from explorer.instruments.counted_paths import multiplicity, path_lengths
from explorer.instruments.unravelled.graph import all_paths
from explorer.structure.blueprint import blueprint
from explorer.structure.names import spec_of
from explorer.structure.path_combinatorics import binomial, toy


def share_between(units: int, low: int, high: int) -> float:
    """Of all paths of so many units, in percent: those of ``low`` to ``high``."""
    return float(100 * binomial(units)[low : high + 1].sum())


def toy_held(units: int, ratio: float, low: int, high: int) -> float:
    """Of the toy's gradient, in percent: what is on lengths ``low`` to ``high``."""
    return float(100 * toy(units, ratio)[low : high + 1].sum())


def number(units: int) -> float:
    """Paths of so many units with two ways each, counted one by one."""
    return float(len(all_paths(units)))


def switched_off(units: int) -> float:
    """Of all paths, in percent: those that a single deleted block switches off."""
    every = all_paths(units)
    return 100 * sum(path[0] == "1" for path in every) / len(every)


def mean_share(nets: Sequence[str]) -> list[float]:
    """Mean length of each net's paths over the number of its blocks with two ways."""
    found = [path_lengths(blueprint(spec_of(net))) for net in nets]
    return [float(lengths.mean / lengths.two_way) for lengths in found]


def order_of_multiplicity(nets: Sequence[str]) -> list[float]:
    """1 for each net of which a deeper one has more paths and a wider one as many, else 0."""
    found = [multiplicity(spec_of(net)) for net in nets]
    return [
        float(
            all(other.two_way == one.net.two_way for other in one.wider)
            and all(
                (other.two_way > one.net.two_way) == (other.depth > one.net.depth)
                for other in one.deeper
            )
        )
        for one in found
    ]


def one_block_more(net: str, n: int = 32, draws: int = 2) -> list[float]:
    """By seed of an untrained net: what one block more multiplies the gradient of a path by."""
    found = []
    for seed in SEEDS:
        result = functions.paths(fresh(net, seed), images(), n_images=n, draws=draws, seed=0)
        assert result.sampled is not None
        found.append(result.ratio(result.sampled))
    return found
