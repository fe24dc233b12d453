"""Accuracy after deleting each block (Veit16 Fig 3; SGS15 Fig 4)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from explorer.blueprint import Blueprint
from explorer.charts import Theme, lesion_figure
from explorer.claims import says
from explorer.results import LesionCurve
from explorer.ui.instruments import lesioning
from explorer.ui.instruments.contract import Instrument, Lane, Result, Row
from explorer.ui.instruments.options import Options
from explorer.ui.instruments.words import block, count, listed, percent

DELETED_IS = {
    "plain": "deleted: y = x instead of y = H(x)",
    "residual": "deleted: y = shortcut(x) instead of y = shortcut(x) + F(x)",
    "highway": "deleted: T = 0, so y = x instead of y = H(x)·T(x) + x·(1 − T(x))",
    "dense": "deleted: its new features are 0, [x, 0] instead of [x, F(x)]",
}


def _curve(lane: Lane) -> LesionCurve:
    return LesionCurve.from_json(lane.result)


def figure(lanes: Sequence[Lane], options: Options, theme: Theme) -> go.Figure:
    drawn = []
    for lane in lanes:
        curve = _curve(lane)
        drawn.append((lane.index, lane.name, lane.unit_names or curve.units, curve))
    made = lesion_figure(drawn, chance=lesioning.chance(lanes, options), theme=theme)
    made.update_layout(height=380)
    return made


def caption(lanes: Sequence[Lane], options: Options) -> list[str]:
    said = []
    for lane in lanes:
        curve = _curve(lane)
        measured = np.isfinite(curve.accuracy)
        if not measured.any() or not np.isfinite(curve.baseline_accuracy):
            continue
        accuracy = curve.accuracy[measured]
        units = [unit for unit, known in zip(curve.units, measured, strict=True) if known]
        cost = (curve.baseline_accuracy - accuracy) * 100
        worst = int(np.argmin(accuracy))
        cheap = int(np.sum(cost < 1))
        said.append(
            f"{lesioning.intact(lane, curve)}. Deleted alone, {cheap} of "
            f"{count(len(units), 'block')} cost less than 1 point; the median cost is "
            f"{float(np.median(cost)):.1f} points. "
            + _worst(lane, units[worst], float(accuracy[worst]), curve.baseline_accuracy)
            + lesioning.guessing(lane, curve)
        )
    return said


def _worst(lane: Lane, unit: str, accuracy: float, intact: float) -> str:
    if accuracy >= intact:
        return "None of them costs anything on these images."
    return f"Worst is {block(lane, unit)}: {percent(accuracy)} without it."


def formula(lanes: Sequence[Lane], options: Options) -> list[str]:
    families = {lane.plan.spec.family for lane in lanes if lane.plan is not None}
    lines = [words for family, words in DELETED_IS.items() if family in families]
    lines.append(lesioning.INTERVAL)
    for lane in lanes:
        curve = _curve(lane)
        if not len(curve.units) or not np.isfinite(curve.accuracy).all():
            continue
        worst = int(np.argmin(curve.accuracy))
        p = float(curve.accuracy[worst])
        lines.append(lesioning.present(lane, f"without {curve.units[worst]}", p, curve.n_images))
    return lines


def table(result: Result) -> list[Row]:
    curve = LesionCurve.from_json(result)
    return [
        {
            "without": unit,
            "right, %": _round(accuracy),
            "95 % from": _round(low),
            "to": _round(high),
            "cost, points": _round(curve.baseline_accuracy - accuracy),
        }
        for unit, accuracy, (low, high) in zip(
            curve.units, curve.accuracy, curve.intervals(), strict=True
        )
    ]


def _round(share: float) -> float | None:
    return round(float(share) * 100, 2) if np.isfinite(share) else None


def not_for(plan: Blueprint) -> str | None:
    if any(unit.deletable for unit in plan.units):
        return None
    return (
        "No block of this net can be deleted, because each changes the shape of what passes "
        f"({listed([count(len(plan.units), 'block')])}): look at its gradients, or take a deeper "
        "net, whose stages have more than one block."
    )


INSTRUMENT = Instrument(
    key="lesions",
    title="Delete one block",
    group="blocks",
    order=10,
    question="Which blocks can a trained net do without?",
    explains=(
        "Each dot is the accuracy after one block is deleted and the rest is left "
        "as it was trained; the line of their colour is the intact net. Look how far the dots lie "
        "below it, and whether the deep ones or the first of each stage are worst."
    ),
    figure_of=says("veit16.delete_one", "sgs15.delete_one"),
    job="lesions",
    figure=figure,
    caption=caption,
    formula=formula,
    table=table,
    mode=lesioning.mode,
    chosen=lesioning.one_class(LesionCurve),
    payload=lesioning.payload,
    not_for=not_for,
    suggests=("digits_plain_56", "digits_resnet_v2_56"),
    options=(lesioning.SPLIT, lesioning.RECALIBRATE, lesioning.CLASS),
)
