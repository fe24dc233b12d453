"""Accuracy with gates held at a value instead of looking at their input (SGS15; He16 §3.1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from explorer.blueprint import Blueprint
from explorer.charts import Theme, gate_lesion_figure
from explorer.claims import says
from explorer.results import GateLesions
from explorer.ui.instruments import lesioning
from explorer.ui.instruments.contract import Asking, Instrument, Lane, Result, Row
from explorer.ui.instruments.options import Number, Options
from explorer.ui.instruments.words import percent


def _gates(lane: Lane) -> GateLesions:
    return GateLesions.from_json(lane.result)


def payload(asking: Asking) -> dict[str, Any]:
    own = asking.options["value"]
    values = [0.0, 1.0, "mean"]
    return {**lesioning.payload(asking), "values": values if own in values else [*values, own]}


def figure(lanes: Sequence[Lane], options: Options, theme: Theme) -> go.Figure:
    drawn = []
    for lane in lanes:
        gates = _gates(lane)
        drawn.append((lane.index, lane.name, lane.unit_names or gates.units, gates))
    return gate_lesion_figure(drawn, chance=lesioning.chance(lanes, options), theme=theme)


def caption(lanes: Sequence[Lane], options: Options) -> list[str]:
    said = []
    for lane in lanes:
        gates = _gates(lane)
        sign = _sign(gates)
        each = [
            f"at {sign} = {_value(value)}: {percent(float(np.median(shares[:-1])))} with one (the "
            f"median), {percent(float(shares[-1]))} with all"
            for value, shares in zip(gates.values, gates.accuracy, strict=True)
        ]
        said.append(
            f"{lesioning.intact(lane, gates)}. Gates held {'; '.join(each)}."
            + lesioning.guessing(lane, gates)
        )
    return said


def _sign(gates: GateLesions) -> str:
    return "T" if gates.gate == "transform" else "g"


def _value(value: float | str) -> str:
    return "its mean" if isinstance(value, str) else f"{value:g}"


def formula(lanes: Sequence[Lane], options: Options) -> list[str]:
    lines = []
    kinds = {_sign(_gates(lane)) for lane in lanes} or {"T"}
    if "T" in kinds:
        lines.append("y = H(x)·T + x·(1 − T), with T held; T = 0 deletes the block")
    if "g" in kinds:
        lines.append("the shortcut passes on (1 − g)·x, with g held (He et al. 2016, 3.1)")
    lines.append("its mean: each entry of the gate, averaged over training images")
    lines.append(lesioning.INTERVAL)
    for lane in lanes:
        gates = _gates(lane)
        held = f"all {_sign(gates)} = {_value(gates.values[0])}"
        lines.append(lesioning.present(lane, held, float(gates.accuracy[0, -1]), gates.n_images))
    return lines


def table(result: Result) -> list[Row]:
    gates = GateLesions.from_json(result)
    sign = _sign(gates)
    return [
        {
            "block": unit,
            **{
                f"{sign} = {_value(value)}, %": lesioning.points(float(gates.accuracy[i, column]))
                for i, value in enumerate(gates.values)
            },
        }
        for column, unit in enumerate([*gates.units, "all"])
    ]


def not_for(plan: Blueprint) -> str | None:
    if any(
        ".transform_gate." in layer.name or ".shortcut_gate." in layer.name
        for unit in plan.units
        for layer in unit.layers
    ):
        return None
    return (
        f"A {plan.spec.family} net has no gates that could be held: delete its blocks instead, or "
        "choose a highway net, such as digits_fc_highway_50."
    )


INSTRUMENT = Instrument(
    key="held_gates",
    title="Hold gates",
    group="gates",
    order=36,
    question="Does it matter that gates look at the image?",
    explains=(
        "The gate of one block is held at a value instead of being computed from the block's "
        "input; at the right all gates at once. Look whether gates at their mean, which no longer "
        "depend on the image, do as well as free ones, one by one and all together."
    ),
    figure_of=says("sgs15.delete_one"),
    job="gate_lesions",
    figure=figure,
    caption=caption,
    formula=formula,
    table=table,
    mode=lesioning.mode,
    chosen=lesioning.one_class(GateLesions),
    payload=payload,
    not_for=not_for,
    suggests=("digits_fc_highway_50",),
    options=(
        Number(
            "value",
            "A value of your own",
            0.5,
            0.0,
            1.0,
            0.05,
            slider=True,
            help="Beside 0, 1 and the mean.",
        ),
        lesioning.SPLIT,
        lesioning.RECALIBRATE,
        lesioning.CLASS,
    ),
)
