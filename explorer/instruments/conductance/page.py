"""Which blocks carried a decision (Dhamdhere et al. 2018)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from explorer.claims import says
from explorer.instruments.conductance.ask import Ask, Show
from explorer.instruments.conductance.result import UnitConductance
from explorer.instruments.contract import Lane, Page, Table
from explorer.instruments.decisions import said_of
from explorer.instruments.words import block, so_far


def caption(lanes: Sequence[Lane[UnitConductance]], ask: Ask, show: Show) -> list[str]:
    said = []
    for lane in lanes:
        result = lane.result
        words = said_of(lane, result.decision)
        ways = result.shortcut != 0  # blocks that something passes by
        if not ways.any():
            words += f" All {result.whole:.3g} logits pass through each of its blocks"
        else:
            most = int(np.argmax(np.where(ways, result.branch, -np.inf)))
            words += (
                f" Of {result.whole:.3g} logits, {result.branch[most]:.3g} pass through "
                f"{block(lane, result.units[most])}, most of all blocks with a way round; half of "
                f"those carry less than {float(np.median(result.branch[ways])):.2g}"
            )
        error = float(np.abs(result.errors()).max())
        said.append(f"{words} (error at most {error:.2g}, {result.n_steps} steps{so_far(lane)}).")
    return said


def formula(lanes: Sequence[Lane[UnitConductance]], ask: Ask, show: Show) -> list[str]:
    lines = [
        "∫₀¹ Σ ∂f/∂y · dy/dα dα along x′ + α(x − x′), y what a block's own layers add; with the "
        "same of what passes it by: f(x) − f(x′)"
    ]
    for lane in lanes:
        result = lane.result
        lines.append(
            f"{lane.name}, {result.units[0]}: {result.branch[0]:.3g} + {result.shortcut[0]:.3g} = "
            f"{result.branch[0] + result.shortcut[0]:.3g}; f(x) − f(x′) = "
            f"{result.decision.logit:.3g} − ({result.baseline_logit:.3g}) = {result.whole:.3g}"
        )
    return lines


def table(result: UnitConductance) -> Table:
    """Nothing flows through a block that was left out."""
    gone = result.decision.deleted
    entries = [
        (unit, "deleted" if unit in gone else through, around, error)
        for unit, through, around, error in result.rows()
    ]
    return Table(result.columns, entries)


PAGE = Page(
    result=UnitConductance,
    title="Blocks",
    group="features",
    order=55,
    question="Which blocks carried the decision?",
    explains=(
        "Each bar is the part of the answer that flows through one block's own layers; the dotted "
        "line is all there is, and the rest passes the block by. "
        + says("conductance.plain")
        + " Compare with it what each block of a residual net carries."
    ),
    figure_of=says("methods.conductance", "veit16.indispensable"),
    caption=caption,
    formula=formula,
    mode="evaluation mode; one image",
    suggests=("digits_plain_56", "digits_resnet_v2_56"),
    table=table,
)
