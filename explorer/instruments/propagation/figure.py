"""Variance of the signal and size of its gradient, from the image to the last unit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from explorer.drawing.bands import add_band
from explorer.drawing.palette import base_figure, lane_style
from explorer.instruments.contract import Lane, Style
from explorer.instruments.propagation.ask import Ask, Show
from explorer.instruments.propagation.result import Propagation
from explorer.results.arrays import band


def figure(lanes: Sequence[Lane[Propagation]], ask: Ask, show: Show, style: Style) -> go.Figure:
    """One curve a lane, log axis: the median over seeds; the band reaches from least to most."""
    made = base_figure(
        style.theme,
        x="block (0: after the stem, −1: the image)",
        y="variance of the output, log" if show.of == "variance" else "RMS of ∂ℓ/∂y, log scale",
    )
    for lane in lanes:
        measured, drawn = lane.result, lane_style(lane.index)
        colour = drawn.colour(style.theme)
        x = np.arange(len(measured.positions), dtype=np.float64) - 1
        values = measured.variance if show.of == "variance" else measured.gradient
        least, middle, most = band(np.where(values > 0, values, np.nan))
        add_band(made, x, least, most, colour, f"lane{lane.index}")
        made.add_scatter(
            x=x,
            y=middle,
            name=lane.name,
            text=list(measured.positions),
            mode="lines+markers",
            legendgroup=f"lane{lane.index}",
            line={"color": colour, "width": 2, "dash": drawn.dash},
            marker={"symbol": drawn.symbol, "size": 5, "color": colour},
            hovertemplate="%{fullData.name}<br>%{text}: %{y:.3g}<extra></extra>",
        )
    made.update_yaxes(type="log", exponentformat="power", dtick=1)
    made.update_layout(showlegend=True, height=380)
    return made
