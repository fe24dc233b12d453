"""Figures of measurements: an instrument's own, or trainings side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import plotly.graph_objects as go

from explorer.drawing.palette import base_figure, faded, ink, lane_style, muted
from explorer.instruments import instrument
from explorer.instruments.contract import Lane, Result, Style
from explorer.reproduce.contract import Asks, Ends, Figure, LaneResult, Measurement
from explorer.structure.blueprint import Blueprint, blueprint
from explorer.structure.names import spec_of
from explorer.structure.specs import DATASETS, DataSpec, fit_to_data

Quantity = Literal["error", "loss"]
MOST_LANES = 4


def plan_of(lane: LaneResult, data: str) -> Blueprint:
    return blueprint(fit_to_data(spec_of(lane.net), DataSpec.model_validate({"name": data})))


def result_of(measurement: Measurement, lane: LaneResult) -> Result:
    """The lane's result, as the instrument's own type."""
    return instrument(measurement.instrument).result.from_json(lane.result)


def by_instrument(row: Figure, measurement: Measurement, style: Style) -> go.Figure:
    """The instrument's figure of the first net of each label."""
    assert isinstance(row.how, Asks)
    one = instrument(measurement.instrument)
    first: dict[str, LaneResult] = {}
    for lane in measurement.lanes:
        first.setdefault(lane.label, lane)
    data = measurement.data
    lanes = [
        Lane(
            index=place,
            name=lane.label,
            plan=plan_of(lane, data) if lane.net else None,
            info=DATASETS[data],
            result=result_of(measurement, lane),
        )
        for place, lane in enumerate(list(first.values())[:MOST_LANES])
    ]
    return one.figure(lanes, one.asked(row.how.ask), one.shown(row.show), style)


def ends(
    measurement: Measurement, style: Style, quantity: Quantity = "error", lines: Sequence[str] = ()
) -> go.Figure:
    """One mark a training: filled for test images, open for training images.

    Args:
        lines: Paper's values in per cent by label, drawn as short lines.
    """
    theme = style.theme
    last: dict[str, Ends] = {}
    for arm in measurement.arms:
        if arm.label not in last or last[arm.label].steps < arm.steps:
            last[arm.label] = arm
    height = 120 + 26 * len(last)
    percent = quantity == "error"
    made = base_figure(theme, x="error, %" if percent else "training loss, nats", y="")
    names = list(last)
    kinds = (
        [("test_error", "test images", ""), ("train_error", "training images", "-open")]
        if percent
        else [("train_loss", "training loss", "")]
    )
    for place, (field, words, mark) in enumerate(kinds):
        colour = lane_style(place).colour(theme)
        points = [
            (100 * value if percent else value, names.index(label), arm.seeds[i], arm.steps)
            for label, arm in last.items()
            for i, value in enumerate(getattr(arm, field))
            if value is not None
        ]
        made.add_scatter(
            x=[x for x, *_ in points],
            y=[names[y] for _, y, *_ in points],
            customdata=[list(rest) for *_, rest in ((x, y, (s, n)) for x, y, s, n in points)],
            mode="markers",
            name=words,
            marker={"symbol": f"{lane_style(place).symbol}{mark}", "size": 9, "color": colour},
            hovertemplate="%{y}<br>seed %{customdata[0]}, %{customdata[1]:,} steps: %{x:.3g}"
            + (" %" if percent else "")
            + "<extra></extra>",
        )
    made.update_yaxes(
        autorange="reversed",
        categoryorder="array",
        categoryarray=names,
        automargin=True,
        tickfont={"color": ink(theme)},
    )
    if percent:
        made.update_xaxes(range=[-2, 102])
    else:
        made.update_xaxes(type="log", exponentformat="power", dtick=1)
    made.update_layout(height=max(260, height), showlegend=True, margin={"b": 84})
    made.update_layout(legend={"y": -60 / max(140, height - 92)})
    return made


def curves(
    measurement: Measurement, style: Style, of: str = "train_loss", most: int = 8
) -> go.Figure:
    """Of each arm every seed's curve, faint, the first strong; deeper nets have wider lines."""
    theme = style.theme
    percent = of.endswith("error")
    what = {"train_loss": "training loss", "train_error": "training error, %"}.get(of, of)
    made = base_figure(theme, x="training step", y=what, height=380)
    arms = [arm for arm in measurement.arms if arm.curve][:most]
    families = list(dict.fromkeys(spec_of(arm.net).family for arm in arms))
    depths = sorted({getattr(spec_of(arm.net), "depth", 0) for arm in arms})
    dashes = ("dot", "dashdot", "dash", "solid")
    for arm in arms:
        spec = spec_of(arm.net)
        colour = lane_style(families.index(spec.family)).colour(theme)
        place = depths.index(getattr(spec, "depth", 0))
        for i, curve in enumerate(arm.curve):
            values = np.asarray([np.nan if v is None else v for v in curve[of]], dtype=float)
            made.add_scatter(
                x=curve["step"],
                y=100 * values if percent else values,
                name=arm.label,
                legendgroup=arm.label,
                showlegend=i == 0,
                mode="lines",
                line={
                    "color": colour if i == 0 else faded(colour, 0.35),
                    "width": 2.25 if i == 0 else 1.25,
                    "dash": dashes[-1 - (len(depths) - 1 - place) % len(dashes)],
                },
                hovertemplate=f"{arm.label}, seed {arm.seeds[min(i, len(arm.seeds) - 1)]}"
                "<br>step %{x}: %{y:.3g}<extra></extra>",
            )
    if not percent:
        made.update_yaxes(type="log", exponentformat="power", dtick=1)
    made.update_layout(showlegend=True)
    return made


def bars(
    names: Sequence[str], paper: Sequence[float], ours: Sequence[float], y: str, style: Style
) -> go.Figure:
    """The paper's numbers beside ours."""
    made = base_figure(style.theme, x="", y=y, height=320)
    for place, (name, values) in enumerate((("paper", paper), ("ours", ours))):
        made.add_bar(
            x=list(names),
            y=list(values),
            name=name,
            marker={
                "color": muted(style.theme) if place == 0 else lane_style(1).colour(style.theme)
            },
            hovertemplate=f"%{{x}}, {name}: %{{y:,.6g}}<extra></extra>",
        )
    made.update_layout(barmode="group", showlegend=True)
    return made


def shares(values: Sequence[float], low: int, high: int, y: str, style: Style) -> go.Figure:
    """Shares in [0, 1] by path length; those from ``low`` to ``high`` are marked."""
    theme = style.theme
    made = base_figure(theme, x="path length: residual branches taken", y=y, height=320)
    strong, weak = lane_style(1).colour(theme), faded(muted(theme), 0.45)
    made.add_bar(
        x=list(range(len(values))),
        y=[100 * value for value in values],
        marker={"color": [strong if low <= k <= high else weak for k in range(len(values))]},
        showlegend=False,
        hovertemplate="length %{x}: %{y:.3g} %<extra></extra>",
    )
    return made


def counted(row: Figure, measurement: Measurement, style: Style) -> go.Figure:
    """The numbers that the paper prints beside those counted; on a log axis where they lie far."""
    names = [name for name, number in row.numbers.items() if number.value is not None]
    paper = [row.numbers[name].value or 0.0 for name in names]
    unit = next((number.unit for number in row.numbers.values() if number.unit), "number")
    made = bars(names, paper, [measurement.numbers[name] for name in names], unit, style)
    if 0 < 50 * min(paper) < max(paper):
        made.update_yaxes(type="log", dtick=1)
    return made
