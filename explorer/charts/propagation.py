"""Variance of the signal and size of its gradient, from the image to the last unit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import plotly.graph_objects as go

from explorer.charts.bands import add_band
from explorer.charts.palette import Theme, base_figure, lane_style
from explorer.results import Propagation
from explorer.results.arrays import band


def propagation_figure(
    lanes: Sequence[tuple[int, str, Propagation]],
    *,
    of: Literal["variance", "gradient"] = "variance",
    theme: Theme = "light",
) -> go.Figure:
    """One curve a lane, log axis: the median over seeds; the band reaches from least to most."""
    figure = base_figure(
        theme,
        x="block (0: after the stem, −1: the image)",
        y="variance of the output, log" if of == "variance" else "RMS of ∂ℓ/∂y, log scale",
    )
    for lane, name, measured in lanes:
        style = lane_style(lane)
        colour = style.colour(theme)
        x = np.arange(len(measured.positions), dtype=np.float64) - 1
        values = measured.variance if of == "variance" else measured.gradient
        least, middle, most = band(np.where(values > 0, values, np.nan))
        add_band(figure, x, least, most, colour, f"lane{lane}")
        figure.add_scatter(
            x=x,
            y=middle,
            name=name,
            text=list(measured.positions),
            mode="lines+markers",
            legendgroup=f"lane{lane}",
            line={"color": colour, "width": 2, "dash": style.dash},
            marker={"symbol": style.symbol, "size": 5, "color": colour},
            hovertemplate="%{fullData.name}<br>%{text}: %{y:.3g}<extra></extra>",
        )
    figure.update_yaxes(type="log", exponentformat="power", dtick=1)
    figure.update_layout(showlegend=True)
    return figure
