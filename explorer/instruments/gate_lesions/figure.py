"""Accuracy with gates held at a value instead of looking at their input (SGS15)."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from explorer.drawing.palette import base_figure, faded, lane_style
from explorer.instruments.contract import Lane, Style
from explorer.instruments.gate_lesions.ask import Ask, Show
from explorer.instruments.gate_lesions.result import GateLesions
from explorer.instruments.gate_words import SYMBOLS
from explorer.instruments.lesion_drawing import HEIGHT, accuracy_title, bars, percent_axis
from explorer.instruments.words import units_of

_VALUE_SYMBOLS = ("circle-open", "square", "diamond", "triangle-up", "x", "cross")


def figure(lanes: Sequence[Lane[GateLesions]], ask: Ask, show: Show, style: Style) -> go.Figure:
    """With the gate of one block held, block by block, and at the right with all held."""
    made = base_figure(
        style.theme,
        x="block whose gate is held (1 is nearest the input)",
        y=accuracy_title(lanes),
        height=HEIGHT,
    )
    last = max((len(units_of(lane, lane.result.units)) for lane in lanes), default=1)
    apart = last + max(2.0, 0.06 * last)
    for lane in lanes:
        gates, drawn = lane.result, lane_style(lane.index)
        colour = drawn.colour(style.theme)
        place = {unit: i + 1 for i, unit in enumerate(units_of(lane, gates.units))}
        x = [*(float(place[unit]) for unit in gates.units), apart]
        for i, (value, shares) in enumerate(zip(gates.values, gates.accuracy, strict=True)):
            held = f"{SYMBOLS[gates.gate]} = {value if value == 'mean' else f'{value:g}'}"
            made.add_scatter(
                x=x,
                y=shares * 100,
                name=f"{lane.name}, {held}",
                mode="markers",
                text=[*gates.units, "all gates"],
                marker={
                    "symbol": _VALUE_SYMBOLS[i % len(_VALUE_SYMBOLS)],
                    "size": 7,
                    "color": colour,
                },
                error_y=bars(shares, gates.n_images, colour),
                hovertemplate="%{fullData.name}<br>%{text}: %{y:.1f} %<extra></extra>",
            )
        made.add_scatter(
            x=[0.5, apart + 0.5],
            y=[gates.baseline_accuracy * 100] * 2,
            mode="lines",
            line={"color": faded(colour, 0.6), "width": 1.25, "dash": drawn.dash},
            showlegend=False,
            name=f"{lane.name}, intact",
            hovertemplate="%{fullData.name}: %{y:.1f} %<extra></extra>",
        )
    percent_axis(made, lanes, show, style.theme)
    if lanes:
        step = max(1, round(last / 8))
        numbers = [1, *range(step, last + 1, step)] if step > 1 else list(range(1, last + 1))
        made.update_xaxes(
            tickvals=[*numbers, apart], ticktext=[*map(str, numbers), "all"], tickangle=0
        )
    return made
