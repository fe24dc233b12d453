"""Figures whose places are a net's units: the axis, and bands along it."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from explorer.drawing.palette import faded
from explorer.results.common import Floats

BLOCK = "block (1 is nearest the input)"


def band(figure: go.Figure, x: Floats, low: Floats, high: Floats, colour: str, lane: int) -> None:
    """Fills from ``low`` to ``high``; it comes and goes with the lane's legend entry."""
    figure.add_scatter(
        x=np.concatenate([x, x[::-1]]),
        y=np.concatenate([high, low[::-1]]),
        mode="lines",
        fill="toself",
        fillcolor=faded(colour, 0.14),
        line={"width": 0},
        hoverinfo="skip",
        showlegend=False,
        legendgroup=f"lane{lane}",
    )
