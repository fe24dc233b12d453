"""Which blocks carried a decision (Dhamdhere et al. 2018)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from explorer.charts import Theme, conductance_figure
from explorer.claims import says
from explorer.results import UnitConductance
from explorer.ui.instruments.contract import Instrument, Lane, Result, Row
from explorer.ui.instruments.decisions import (
    BASELINE,
    IMAGE,
    OWN,
    TARGET,
    WITHOUT,
    one_decision,
    said_of,
)
from explorer.ui.instruments.options import Options
from explorer.ui.instruments.words import block, so_far


def _measured(lane: Lane) -> UnitConductance:
    return UnitConductance.from_json(lane.result)


def figure(lanes: Sequence[Lane], options: Options, theme: Theme) -> go.Figure:
    return conductance_figure(
        [(lane.index, lane.name, _measured(lane)) for lane in lanes], theme=theme
    )


def caption(lanes: Sequence[Lane], options: Options) -> list[str]:
    said = []
    for lane in lanes:
        result = _measured(lane)
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


def formula(lanes: Sequence[Lane], options: Options) -> list[str]:
    lines = [
        "∫₀¹ Σ ∂f/∂y · dy/dα dα along x′ + α(x − x′), y what a block's own layers add; with the "
        "same of what passes it by: f(x) − f(x′)"
    ]
    for lane in lanes:
        result = _measured(lane)
        lines.append(
            f"{lane.name}, {result.units[0]}: {result.branch[0]:.3g} + {result.shortcut[0]:.3g} = "
            f"{result.branch[0] + result.shortcut[0]:.3g}; f(x) − f(x′) = "
            f"{result.decision.logit:.3g} − ({result.baseline_logit:.3g}) = {result.whole:.3g}"
        )
    return lines


def table(result: Result) -> list[Row]:
    given = UnitConductance.from_json(result)
    return [
        {
            "block": unit,
            "through, logits": float(f"{through:.4g}"),
            "around, logits": float(f"{around:.4g}"),
            "error": float(f"{error:.2g}"),
        }
        for unit, through, around, error in zip(
            given.units, given.branch, given.shortcut, given.errors(), strict=True
        )
    ]


INSTRUMENT = Instrument(
    key="conductance",
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
    job="conductance",
    figure=figure,
    caption=caption,
    formula=formula,
    table=table,
    mode="evaluation mode; one image",
    options=(IMAGE, OWN, TARGET, WITHOUT, BASELINE),
    payload=one_decision,
    suggests=("digits_plain_56", "digits_resnet_v2_56"),
    takes_images=False,
)
