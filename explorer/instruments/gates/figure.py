"""Gates by unit: their mean with one standard deviation, or their median and spread."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from explorer.drawing.gates import gate_figure
from explorer.drawing.palette import base_figure, faded, lane_style
from explorer.instruments.contract import Lane, Style
from explorer.instruments.gate_words import symbols
from explorer.instruments.gates.ask import Ask, Show
from explorer.instruments.gates.result import GateMeans
from explorer.instruments.unit_axis import BLOCK

HEIGHT = 380


def figure(lanes: Sequence[Lane[GateMeans]], ask: Ask, show: Show, style: Style) -> go.Figure:
    """Points by unit; the bands are one standard deviation, or hold half and 90 % of the values."""
    if show.view == "mean":
        rows = [(lane.index, lane.name, lane.result) for lane in lanes]
        made = gate_figure(rows, theme=style.theme)
    else:
        made = _distribution(lanes, style)
    made.update_layout(height=HEIGHT)
    return made


def _distribution(lanes: Sequence[Lane[GateMeans]], style: Style) -> go.Figure:
    made = base_figure(style.theme, x=BLOCK, y=symbols([lane.result.gate for lane in lanes]))
    for lane in lanes:
        gates, drawn = lane.result, lane_style(lane.index)
        if gates.levels is None or gates.quantiles is None:
            continue
        colour = drawn.colour(style.theme)
        x = np.arange(1, len(gates.units) + 1)
        middle = len(gates.levels) // 2
        for k in range(middle):
            low, high = gates.quantiles[:, k], gates.quantiles[:, -1 - k]
            share = gates.levels[-1 - k] - gates.levels[k]
            made.add_scatter(
                x=np.concatenate([x, x[::-1]]),
                y=np.concatenate([high, low[::-1]]),
                mode="lines",
                fill="toself",
                fillcolor=faded(colour, 0.12 + 0.1 * k),
                line={"width": 0},
                hoverinfo="skip",
                showlegend=False,
                legendgroup=f"lane{lane.index}",
                name=f"{lane.name}, {100 * share:.0f} %",
            )
        made.add_scatter(
            x=x,
            y=gates.quantiles[:, middle],
            name=f"{lane.name}, median",
            text=list(gates.units),
            customdata=gates.quantiles,
            mode="lines+markers",
            legendgroup=f"lane{lane.index}",
            line={"color": colour, "width": 2, "dash": drawn.dash},
            marker={"symbol": drawn.symbol, "size": 5, "color": colour},
            hovertemplate="%{fullData.name}<br>%{text}: %{y:.3f} (%{customdata[0]:.3f} to "
            "%{customdata[4]:.3f})<extra></extra>",
        )
    made.update_yaxes(range=[0, 1.02])
    made.update_layout(showlegend=True)
    return made
