"""Accuracy with k units deleted at random (Veit16 Fig 5a).

Purpose: does damage grow smoothly with the number of missing units, as in an ensemble, or does
one missing unit break everything? Cost: trials · k programs, of which each shares the prefix of
the one before it up to the unit that went last. Cheaper: fewer trials or images, or
``precision="bfloat16"`` for a quick look.
"""

from __future__ import annotations

from functools import partial

from explorer.data.dataset import Dataset
from explorer.data.order import permutation
from explorer.instruments.contract import Job
from explorer.instruments.lesion_measure import deletable_units, study
from explorer.instruments.random_lesions.ask import Ask
from explorer.instruments.random_lesions.result import LesionBand
from explorer.measuring.programs import compile_program, without
from explorer.nets import Net


def measure(net: Net, data: Dataset, ask: Ask, job: Job) -> LesionBand:
    """Delete 1, 2, … k units at random and measure the accuracy.

    Each trial draws one random order of the deletable units and deletes the first, the first
    two, and so on: within a trial the deleted sets are nested, across trials independent. The seed
    decides the orders, the same on every machine.
    """
    plan = net.blueprint
    units = deletable_units(plan)
    deleted = tuple(
        tuple(units[i] for i in permutation(len(units), ask.seed, trial)[: ask.k])
        for trial in range(ask.trials)
    )
    programs = [
        compile_program(plan, without(plan, gone[:k]))
        for gone in deleted
        for k in range(1, ask.k + 1)
    ]
    shape = (ask.trials, ask.k)
    return study(net, data, ask, job, programs, shape, partial(LesionBand, deleted=deleted))
