"""Accuracy without whole stages.

Purpose: does one missing stage break everything, and which? Cost: one program a stage. Cheaper:
fewer images, or ``precision="bfloat16"`` for a quick look.
"""

from __future__ import annotations

from functools import partial

from explorer.data.dataset import Dataset
from explorer.instruments.contract import Job
from explorer.instruments.lesion_measure import study
from explorer.instruments.stage_lesions.ask import Ask
from explorer.instruments.stage_lesions.result import StageLesions
from explorer.measuring.programs import compile_program, without
from explorer.nets import Net


def measure(net: Net, data: Dataset, ask: Ask, job: Job) -> StageLesions:
    """Delete all units of a stage that can be deleted, stage by stage."""
    plan = net.blueprint
    stages, deleted, kept = [], [], []
    for stage, title in enumerate(plan.stage_names):
        inside = [unit for unit in plan.units if unit.stage == stage]
        gone = tuple(unit.name for unit in inside if unit.deletable)
        if gone:
            stages.append(title)
            deleted.append(gone)
            kept.append(tuple(unit.name for unit in inside if not unit.deletable))
    make = partial(StageLesions, stages=tuple(stages), deleted=tuple(deleted), kept=tuple(kept))
    programs = [compile_program(plan, without(plan, gone)) for gone in deleted]
    return study(net, data, ask, job, programs, (len(stages),), make)
