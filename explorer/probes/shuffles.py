"""Accuracy with units in another order: shuffled (Veit16 Fig 5b), or two of them swapped.

Purpose: does each unit need just what the one before it makes, or do units refine one and the
same thing, so that their order hardly matters? Only units of one shape change places. Cost: one
program a reordering; reorderings share prefixes only up to their first change. Cheaper: fewer
trials or images, or ``precision="bfloat16"`` for a quick look.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations

import numpy as np

from explorer.data.dataset import Dataset
from explorer.data.order import Indices, random_bits
from explorer.errors import NotApplicableError
from explorer.nets import Net
from explorer.probes.deletions import MOST_TRIALS
from explorer.probes.programs import Precision, compile_program
from explorer.probes.studies import Measured, at_least, study, swap_groups
from explorer.results import ShuffleLesions, SwapLesions
from explorer.results.lesion_studies import Moves


def shuffle_lesions(
    net: Net,
    dataset: Dataset,
    *,
    points: int = 12,
    trials: int = 8,
    moves: Moves = "pairs",
    seed: int = 0,
    n_images: int | None = None,
    train: bool = False,
    name: str | None = None,
    precision: Precision = "float32",
    recalibrate: int = 0,
    on_progress: Callable[[ShuffleLesions, float], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> ShuffleLesions:
    """Reorder units of one shape more and more, and measure the accuracy (Veit16 Fig 5b).

    Each trial walks away from the intact order by changes of place drawn at random, and is
    measured at ``points`` places spread evenly over the range of Kendall's τ. With ``pairs`` any
    two units of one shape change places, as in Veit16, down to the disorder of a random order;
    with ``neighbours`` two neighbours that still stand in order, down to the reversed order.

    Args:
        seed: Decides the walks, the same on every machine.
        n_images, train, name, precision, recalibrate, on_progress, cancelled: As of
            :func:`explorer.probes.lesions.lesion_curve`.

    Raises:
        NotApplicableError: No two units of this net keep one and the same shape.
        DataError: The images do not fit the net.
        Cancelled: ``cancelled`` said so.
    """
    plan = net.blueprint
    groups = swap_groups(plan)
    at_least("The number of points", points, 1, 1000)
    at_least("The number of trials", trials, 1, MOST_TRIALS)
    if moves not in ("pairs", "neighbours"):
        raise NotApplicableError(f"Moves are 'pairs' or 'neighbours', not {moves!r}.")
    units = len(plan.units)
    walks = [list(walk(units, groups, points, moves, seed, trial)) for trial in range(trials)]
    orders = tuple(tuple(order for order, _ in row) for row in walks)
    tau = np.asarray([[kendall_tau(order) for order, _ in row] for row in walks])
    reversed_order = np.arange(units)
    for group in groups:
        reversed_order[group] = group[::-1]
    lowest = kendall_tau(reversed_order)

    def result(measured: Measured) -> ShuffleLesions:
        return ShuffleLesions(
            units=tuple(unit.name for unit in plan.units),
            orders=orders,
            tau=tau,
            swaps=np.asarray([[swaps for _, swaps in row] for row in walks], dtype=np.float64),
            moves=moves,
            lowest_tau=lowest,
            **measured.fields(trials, points),
        )

    return study(
        net,
        dataset,
        [compile_program(plan, order) for row in orders for order in row],
        result,
        n_images=n_images,
        train=train,
        name=name,
        precision=precision,
        recalibrate=recalibrate,
        on_progress=on_progress,
        cancelled=cancelled,
    )


def swap_lesions(
    net: Net,
    dataset: Dataset,
    *,
    stage: int | None = None,
    n_images: int | None = None,
    train: bool = False,
    name: str | None = None,
    precision: Precision = "float32",
    recalibrate: int = 0,
    on_progress: Callable[[SwapLesions, float], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> SwapLesions:
    """Swap every two units of one shape in turn, and measure the accuracy on test images.

    Args:
        stage: Only units of this stage, from 0; None takes all.
        n_images, train, name, precision, recalibrate, on_progress, cancelled: As of
            :func:`explorer.probes.lesions.lesion_curve`.

    Raises:
        NotApplicableError: No two units (of that stage) keep one and the same shape, or there is
            no such stage.
        DataError: The images do not fit the net.
        Cancelled: ``cancelled`` said so.
    """
    plan = net.blueprint
    groups = swap_groups(plan)
    stages = len(plan.stage_names)
    if stage is not None and not 0 <= stage < stages:
        raise NotApplicableError(
            f"There is no stage {stage}: this net has {stages}, 0 to {stages - 1}."
        )
    pairs = [
        (int(a), int(b))
        for group in groups
        for a, b in combinations(group, 2)
        if stage is None or plan.units[a].stage == plan.units[b].stage == stage
    ]
    if not pairs:
        assert stage is not None
        raise NotApplicableError(
            f"No two units of {plan.stage_names[stage]} keep one and the same shape, so none can "
            "change places there: choose another stage."
        )
    intact = list(range(len(plan.units)))
    programs = []
    for a, b in pairs:
        order = intact.copy()
        order[a], order[b] = b, a
        programs.append(compile_program(plan, order))

    def result(measured: Measured) -> SwapLesions:
        return SwapLesions(
            units=tuple(unit.name for unit in plan.units),
            first=tuple(a for a, _ in pairs),
            second=tuple(b for _, b in pairs),
            **measured.fields(len(pairs)),
        )

    return study(
        net,
        dataset,
        programs,
        result,
        n_images=n_images,
        train=train,
        name=name,
        precision=precision,
        recalibrate=recalibrate,
        on_progress=on_progress,
        cancelled=cancelled,
    )


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
