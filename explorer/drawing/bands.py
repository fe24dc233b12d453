"""A band around a curve, in the colour of its lane."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go

from explorer.drawing.palette import faded
from explorer.results import Floats


def add_band(
    figure: go.Figure, x: Floats, low: Floats, high: Floats, colour: str, group: str, **cell: Any
) -> None:
    """Fill between two curves; parts where either is not finite stay empty.

    Args:
        colour: ``#rrggbb``, faded here.
        group: Of the legend: the band comes and goes with its curve.
        cell: Row and column of a panel.
    """
    known = np.isfinite(low) & np.isfinite(high)
    # One polygon for each unbroken stretch.
    edges = np.flatnonzero(np.diff(np.concatenate(([0], known.astype(int), [0]))))
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        figure.add_scatter(
            x=np.concatenate([x[start:end], x[start:end][::-1]]),
            y=np.concatenate([high[start:end], low[start:end][::-1]]),
            fill="toself",
            fillcolor=faded(colour, 0.14),
            line={"width": 0},
            mode="lines",
            hoverinfo="skip",
            showlegend=False,
            legendgroup=group,
            **cell,
        )
