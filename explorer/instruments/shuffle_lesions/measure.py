"""Accuracy with units in another order (Veit16 Fig 5b).

Purpose: does each unit need just what the one before it makes, or do units refine one and the
same thing, so that their order hardly matters? Only units of one shape change places. Cost: one
program a reordering; reorderings share prefixes only up to their first change. Cheaper: fewer
trials or images, or ``precision="bfloat16"`` for a quick look.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np

from explorer.data.dataset import Dataset
from explorer.data.order import Indices, random_bits
from explorer.instruments.contract import Job
from explorer.instruments.lesion_measure import study, swap_groups
from explorer.instruments.shuffle_lesions.ask import Ask
from explorer.instruments.shuffle_lesions.result import Moves, ShuffleLesions
from explorer.measuring.programs import compile_program
from explorer.nets import Net


def measure(net: Net, data: Dataset, ask: Ask, job: Job) -> ShuffleLesions:
    """Reorder units of one shape more and more, and measure the accuracy.

    Each trial walks away from the intact order by changes of place drawn at random, and is
    measured at ``points`` places spread evenly over the range of Kendall's τ. With ``pairs`` any
    two units of one shape change places, as in Veit16, down to the disorder of a random order;
    with ``neighbours`` two neighbours that still stand in order, down to the reversed order. The
    seed decides the walks, the same on every machine.
    """
    plan = net.blueprint
    units, groups = len(plan.units), swap_groups(plan)
    walks = [
        list(walk(units, groups, ask.points, ask.moves, ask.seed, trial))
        for trial in range(ask.trials)
    ]
    orders = tuple(tuple(order for order, _ in row) for row in walks)
    reversed_order = np.arange(units)
    for group in groups:
        reversed_order[group] = group[::-1]
    make = partial(
        ShuffleLesions,
        units=tuple(unit.name for unit in plan.units),
        orders=orders,
        tau=np.asarray([[kendall_tau(order) for order, _ in row] for row in walks]),
        swaps=np.asarray([[swaps for _, swaps in row] for row in walks], dtype=np.int64),
        moves=ask.moves,
        lowest_tau=kendall_tau(reversed_order),
    )
    programs = [compile_program(plan, order) for row in orders for order in row]
    return study(net, data, ask, job, programs, (ask.trials, ask.points), make)


# ----------------------------------------------------------------------------------- orders


def kendall_tau(order: Sequence[int] | Indices) -> float:
    """Kendall's τ between an order of 0 … n−1 and the intact one; 1 for fewer than two."""
    n = len(order)
    return 1 - 4 * _inversions(np.asarray(order)) / (n * (n - 1)) if n > 1 else 1.0


def _inversions(order: Indices) -> int:
    """Pairs that stand the other way round: discordant ones."""
    return int(np.sum(np.triu(order[:, None] > order[None, :], k=1)))


def walk(
    units: int, groups: Sequence[Indices], points: int, moves: Moves, seed: int, trial: int
) -> Iterator[tuple[tuple[int, ...], int]]:
    """Orders ever further from 0 … units−1, each with the number of changes that led there.

    Point p of P comes as soon as a share p/P of the inversions aimed at is reached: for
    ``neighbours`` all that there can be, for ``pairs`` half of them, as a random order has.
    """
    draws = _draws(seed, trial)
    order = np.arange(units)
    sizes = np.asarray([len(group) for group in groups])
    all_pairs = sizes * (sizes - 1) // 2
    aim = int(all_pairs.sum()) if moves == "neighbours" else int(all_pairs.sum()) / 2
    swaps = inversions = 0
    for point in range(1, points + 1):
        while inversions < aim * point / points:
            if moves == "neighbours":
                ordered = [(g[:-1], g[1:]) for g in groups]
                left = np.concatenate([a[order[a] < order[b]] for a, b in ordered])
                right = np.concatenate([b[order[a] < order[b]] for a, b in ordered])
                at = next(draws) % len(left)
                a, b = left[at], right[at]
            else:
                which = int(
                    np.searchsorted(np.cumsum(all_pairs), next(draws) % all_pairs.sum(), "right")
                )
                group = groups[which]
                i, j = next(draws) % len(group), next(draws) % (len(group) - 1)
                a, b = group[i], group[j + (j >= i)]
            order[[a, b]] = order[[b, a]]
            swaps += 1
            inversions = sum(_inversions(order[group]) for group in groups)
        yield tuple(int(i) for i in order), swaps


def _draws(*key: int) -> Iterator[int]:
    """Random whole numbers that depend on ``key`` alone."""
    block = 0
    while True:
        yield from (int(bits >> np.uint64(16)) for bits in random_bits(256, *key, block))
        block += 1
