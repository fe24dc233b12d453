"""Accuracy with gates held at a value instead of looking at their input (SGS15; He16 §3.1).

Purpose: does a gate route each image its own way, or would a constant do? T = 0 deletes a highway
unit, T = 1 leaves a plain layer, and at its mean the gate no longer depends on the image. Cost:
as many programs as values · (units + 1), and for the means one forward pass of 1,000 training
images. Cheaper: fewer images (``n_images``).
"""

from __future__ import annotations

from functools import partial

from explorer.data.dataset import Dataset
from explorer.errors import NotApplicableError
from explorer.instruments.contract import Job
from explorer.instruments.gate_lesions.ask import Ask
from explorer.instruments.gate_lesions.result import GateLesions
from explorer.instruments.lesion_measure import study
from explorer.measuring.programs import compile_program
from explorer.nets import Net
from explorer.nets.net import passed_by


def measure(net: Net, data: Dataset, ask: Ask, job: Job) -> GateLesions:
    """Hold the gate of each unit in turn, then of all units, and measure the accuracy.

    Raises:
        NotApplicableError: Every unit with a gate was deleted before this net was trained on.
    """
    plan = net.blueprint
    units = [
        unit.name
        for unit, module in zip(plan.units, net.units, strict=True)
        if unit.gate is not None and not passed_by(module)
    ]
    if not units:
        raise NotApplicableError(
            "All blocks of this net that have a gate are deleted, so none can be held: take the "
            "net from before that."
        )
    every = range(len(plan.units))
    programs = [
        compile_program(plan, every, gates=dict.fromkeys(held, value))
        for value in ask.values
        for held in [*([unit] for unit in units), units]
    ]
    make = partial(
        GateLesions,
        units=tuple(units),
        values=ask.values,
        gate=plan.gate_kind or "transform",
    )
    return study(net, data, ask, job, programs, (len(ask.values), len(units) + 1), make)
