"""Accuracy with two units of one shape swapped.

Purpose: do two units do the same work, so that each can stand in the other's place? Cost: one
program a pair, of which each shares the prefix up to its first unit. Cheaper: one ``stage``, fewer
images, or ``precision="bfloat16"`` for a quick look.
"""

from __future__ import annotations

from functools import partial
from itertools import combinations

from explorer.data.dataset import Dataset
from explorer.instruments.contract import Job
from explorer.instruments.lesion_measure import study, swap_groups
from explorer.instruments.swap_lesions.ask import Ask
from explorer.instruments.swap_lesions.result import SwapLesions
from explorer.measuring.programs import compile_program
from explorer.nets import Net


def measure(net: Net, data: Dataset, ask: Ask, job: Job) -> SwapLesions:
    """Swap every two units of one shape in turn, and measure the accuracy."""
    plan = net.blueprint
    stage = None if ask.stage is None else ask.stage - 1
    pairs = [
        (int(a), int(b))
        for group in swap_groups(plan)
        for a, b in combinations(group, 2)
        if stage is None or plan.units[a].stage == plan.units[b].stage == stage
    ]
    programs = []
    for a, b in pairs:
        order = list(range(len(plan.units)))
        order[a], order[b] = b, a
        programs.append(compile_program(plan, order))
    make = partial(
        SwapLesions,
        units=tuple(unit.name for unit in plan.units),
        first=tuple(a for a, _ in pairs),
        second=tuple(b for _, b in pairs),
    )
    return study(net, data, ask, job, programs, (len(pairs),), make)
