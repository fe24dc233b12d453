"""Gates by unit: mean and spread (SGS15 Fig 2), of highway nets and of gated shortcuts."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from explorer.blueprint import Blueprint, Layer
from explorer.charts import Theme, gate_distribution_figure, gate_figure
from explorer.claims import says
from explorer.results import GateDistribution, GateMeans
from explorer.runs.requests import JobKind
from explorer.ui.instruments.blocks import rounded
from explorer.ui.instruments.contract import Instrument, Lane, Result, Row
from explorer.ui.instruments.options import Choice, Options
from explorer.ui.instruments.words import block

NEARLY_SHUT = 0.1


SYMBOLS = {"transform": "T", "shortcut": "g"}


def _spread(options: Options) -> bool:
    return bool(options.get("show") == "spread")


def kind(options: Options) -> JobKind:
    return "gate_distribution" if _spread(options) else "gates"


def figure(lanes: Sequence[Lane], options: Options, theme: Theme) -> go.Figure:
    if _spread(options):
        made = gate_distribution_figure(
            [(lane.index, lane.name, GateDistribution.from_json(lane.result)) for lane in lanes],
            theme=theme,
        )
    else:
        made = gate_figure(
            [(lane.index, lane.name, GateMeans.from_json(lane.result)) for lane in lanes],
            theme=theme,
        )
    made.update_layout(height=380)
    return made


def caption(lanes: Sequence[Lane], options: Options) -> list[str]:
    return [_said_of_spread(lane) if _spread(options) else _said_of_mean(lane) for lane in lanes]


def _said_of_mean(lane: Lane) -> str:
    gates = GateMeans.from_json(lane.result)
    shut = int(np.sum(gates.mean < NEARLY_SHUT))
    widest = int(np.argmax(gates.mean))
    return (
        f"{lane.name}: the mean gate is below {NEARLY_SHUT:g} in {shut} of {len(gates.units)} "
        f"blocks ({gates.n_images:,} test images). The most open is "
        f"{block(lane, gates.units[widest])} with {SYMBOLS[gates.gate]} = {gates.mean[widest]:.2f}."
    )


def _said_of_spread(lane: Lane) -> str:
    gates = GateDistribution.from_json(lane.result)
    low, middle, high = (gates.quantiles[:, k] for k in (0, len(gates.levels) // 2, -1))
    widest = int(np.argmax(high - low))
    return (
        f"{lane.name}: medians from {middle.min():.3f} to {middle.max():.3f} "
        f"({gates.n_images:,} test images). The widest spread is in "
        f"{block(lane, gates.units[widest])}: 90 % of its gates lie between {low[widest]:.3f} and "
        f"{high[widest]:.3f}."
    )


def formula(lanes: Sequence[Lane], options: Options) -> list[str]:
    kinds = {lane.result["gate"] for lane in lanes if "gate" in lane.result} or {"transform"}
    lines = []
    if "transform" in kinds:
        lines += [
            "y = H(x)·T(x) + x·(1 − T(x)), T(x) = σ(W_T·x + b_T), σ(b) = 1 / (1 + e⁻ᵇ)",
            "T near 0: the block passes x on; T near 1: it replaces x by H(x)",
        ]
    if "shortcut" in kinds:
        lines.append("Gated shortcut: y = (1 − g(x))·x + F(x), or with g(x)·F(x) where exclusive")
    for lane in lanes:
        if _spread(options):
            spread = GateDistribution.from_json(lane.result)
            told = ", ".join(
                f"{100 * level:g} % below {value:.3f}"
                for level, value in zip(spread.levels, spread.quantiles[0], strict=True)
            )
            lines.append(f"{lane.name}, {spread.units[0]}: {told}")
        else:
            gates = GateMeans.from_json(lane.result)
            first = float(gates.bias[0])
            lines.append(
                f"{lane.name}, {gates.units[0]}: mean bias {first:.2f}, so σ(b) = "
                f"{1 / (1 + math.exp(-first)):.3f} if W·x were 0; measured mean "
                f"{SYMBOLS[gates.gate]} = {gates.mean[0]:.3f}"
            )
    return lines


def table(result: Result) -> list[Row]:
    if "levels" in result:
        spread = GateDistribution.from_json(result)
        return [
            {
                "block": unit,
                **{
                    f"{100 * level:g} %": rounded(float(value), 3)
                    for level, value in zip(spread.levels, values, strict=True)
                },
            }
            for unit, values in zip(spread.units, spread.quantiles, strict=True)
        ]
    gates = GateMeans.from_json(result)
    return [
        {
            "block": unit,
            "mean": round(float(mean), 4),
            "sd": round(float(sd), 4),
            "mean bias": round(float(bias), 3),
        }
        for unit, mean, sd, bias in zip(gates.units, gates.mean, gates.sd, gates.bias, strict=True)
    ]


def is_gate(layer: Layer) -> bool:
    """Whether it computes a transform gate, or the gate of a shortcut."""
    return layer.branch == "transform_gate" or ".shortcut_gate." in layer.name


def not_for(plan: Blueprint) -> str | None:
    layers = [layer for unit in plan.units for layer in unit.layers]
    if any(map(is_gate, layers)):
        return None
    return (
        f"A {plan.spec.family} net has no transform gates: look at its gradients or responses, or "
        "choose a highway net, such as digits_fc_highway_50, or a residual one with gated "
        "shortcuts."
    )


INSTRUMENT = Instrument(
    key="gates",
    title="Gates",
    group="gates",
    order=30,
    question="How much of its input does each gated block replace?",
    explains=(
        "Each point is the mean gate of one block: near 0 its input passes on untouched, near 1 it "
        "is replaced; the band is one standard deviation over images and entries (or holds half "
        "and 90 % of the gates). Look where the open gates are: a block whose gates are all shut "
        "does nothing."
    ),
    figure_of=says("sgs15.biases"),
    job=kind,
    figure=figure,
    caption=caption,
    formula=formula,
    table=table,
    mode="evaluation mode",
    not_for=not_for,
    options=(Choice("show", "Show", {"mean": "mean ± sd", "spread": "median and spread"}),),
    suggests=("digits_fc_highway_50",),
)
