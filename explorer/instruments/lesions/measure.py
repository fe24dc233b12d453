"""Accuracy after deleting each unit (Veit16 Fig 3; SGS15 Fig 4).

Purpose: a plain net falls to chance whichever unit is missing, a residual net hardly notices.
Cost: n + 1 programs of n units on the engine, about n²/2 unit evaluations; on 360 digits about a
second. Cheaper: fewer images (``n_images``), or ``precision="bfloat16"`` for a quick look.
"""

from __future__ import annotations

from functools import partial

from explorer.data.dataset import Dataset
from explorer.instruments.contract import Job
from explorer.instruments.lesion_measure import deletable_units, study
from explorer.instruments.lesions.ask import Ask
from explorer.instruments.lesions.result import LesionCurve
from explorer.measuring.programs import compile_program, without
from explorer.nets import Net


def measure(net: Net, data: Dataset, ask: Ask, job: Job) -> LesionCurve:
    """Delete each deletable unit in turn and measure the accuracy on test or training images."""
    plan = net.blueprint
    units = deletable_units(plan)
    programs = [compile_program(plan, without(plan, [unit])) for unit in units]
    return study(net, data, ask, job, programs, (len(units),), partial(LesionCurve, units=units))
