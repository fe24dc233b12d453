"""Transform gates by unit (SGS15 Fig 2)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from explorer.blueprint import Blueprint
from explorer.charts import Theme, gate_figure
from explorer.results import GateMeans
from explorer.ui.instruments.contract import Instrument, Lane, Result, Row
from explorer.ui.instruments.options import Options
from explorer.ui.instruments.words import block
from explorer.ui.plans import gated_units

NEARLY_SHUT = 0.1


def _measured(lane: Lane) -> GateMeans:
    return GateMeans.from_json(lane.result)


def figure(lanes: Sequence[Lane], options: Options, theme: Theme) -> go.Figure:
    made = gate_figure([(lane.index, lane.name, _measured(lane)) for lane in lanes], theme=theme)
    made.update_layout(height=380)
    return made


def caption(lanes: Sequence[Lane], options: Options) -> list[str]:
    said = []
    for lane in lanes:
        gates = _measured(lane)
        shut = int(np.sum(gates.mean < NEARLY_SHUT))
        widest = int(np.argmax(gates.mean))
        said.append(
            f"{lane.name}: the mean gate is below {NEARLY_SHUT:g} in {shut} of {len(gates.units)} "
            f"blocks ({gates.n_images:,} test images). The most open is "
            f"{block(lane, gates.units[widest])} with T = {gates.mean[widest]:.2f}."
        )
    return said


def formula(lanes: Sequence[Lane], options: Options) -> list[str]:
    lines = [
        "y = H(x)·T(x) + x·(1 − T(x)), T(x) = σ(W_T·x + b_T), σ(b) = 1 / (1 + e⁻ᵇ)",
        "T near 0: the block passes x on; T near 1: it replaces x by H(x)",
    ]
    for lane in lanes:
        gates = _measured(lane)
        first = float(gates.bias[0])
        lines.append(
            f"{lane.name}, {gates.units[0]}: mean b_T = {first:.2f}, so σ(b_T) = "
            f"{1 / (1 + math.exp(-first)):.3f} if W_T·x were 0; measured mean T = "
            f"{gates.mean[0]:.3f}"
        )
    return lines


def table(result: Result) -> list[Row]:
    gates = GateMeans.from_json(result)
    return [
        {
            "block": unit,
            "mean T": round(float(mean), 4),
            "sd": round(float(sd), 4),
            "mean b_T": round(float(bias), 3),
        }
        for unit, mean, sd, bias in zip(gates.units, gates.mean, gates.sd, gates.bias, strict=True)
    ]


def not_for(plan: Blueprint) -> str | None:
    if gated_units(plan):
        return None
    return (
        f"A {plan.spec.family} net has no transform gates: choose a highway net, such as "
        "fc_highway_50."
    )


INSTRUMENT = Instrument(
    key="gates",
    title="Gates",
    group="signals",
    order=30,
    question="How much of its input does each highway block replace?",
    explains=(
        "Each point is the mean transform gate of one block: near 0 it passes its input on "
        "untouched, near 1 it replaces it; the band is one standard deviation over images and "
        "entries. Look where the open gates are: blocks with shut gates hardly work."
    ),
    figure_of=(
        "Srivastava et al. 2015, Fig 2: gates of 50-layer highway nets, whose biases started at "
        "−2 (MNIST) and −4 (CIFAR-100)."
    ),
    job="gates",
    figure=figure,
    caption=caption,
    formula=formula,
    table=table,
    mode="evaluation mode",
    not_for=not_for,
    suggests=("digits_fc_highway_50",),
)
