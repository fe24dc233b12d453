"""A colour bar below a figure: it takes no width, which a phone has little of."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go

from explorer.drawing.heat import colour_bar
from explorer.drawing.palette import Theme

_ROOM = 64  # pixels


def bar_below(figure: go.Figure, theme: Theme, title: str, **changes: Any) -> go.Figure:
    """Make room at the foot of a figure of panels, and put its shared colour bar there."""
    margin = figure.layout.margin
    inner = figure.layout.height - margin.t - margin.b
    bar = colour_bar(theme, title, **changes)
    bar["title"]["side"] = "top"
    bar |= {"orientation": "h", "x": 0.5, "len": 0.9, "y": -margin.b / inner, "yanchor": "top"}
    figure.update_layout(
        height=figure.layout.height + _ROOM,
        margin={"b": margin.b + _ROOM},
        coloraxis={"colorbar": bar},
    )
    return figure
