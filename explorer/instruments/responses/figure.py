"""Standard deviation of each layer's response (He15 Fig 7)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from explorer.drawing.palette import base_figure, lane_style
from explorer.instruments.contract import Lane, Style
from explorer.instruments.responses.ask import Ask, Show
from explorer.instruments.responses.result import LayerResponses


def figure(lanes: Sequence[Lane[LayerResponses]], ask: Ask, show: Show, style: Style) -> go.Figure:
    """Layer by layer, or sorted from the greatest to the least, as in the lower half of Fig 7."""
    by_layer = show.order == "layer"
    x_title = "layer (1 is nearest the input)" if by_layer else "rank (1 is the greatest)"
    made = base_figure(style.theme, x=x_title, y="sd of the response", height=340)
    for lane in lanes:
        found, drawn = lane.result, lane_style(lane.index)
        colour = drawn.colour(style.theme)
        order = np.arange(len(found.sd)) if by_layer else np.argsort(-found.sd)
        x = np.asarray(found.depth_index) if by_layer else 1 + np.arange(len(order))
        made.add_scatter(
            x=x,
            y=found.sd[order],
            name=lane.name,
            text=[found.layers[i] for i in order],
            mode="lines+markers",
            line={"color": colour, "width": 2, "dash": drawn.dash},
            marker={"symbol": drawn.symbol, "size": 5, "color": colour},
            hovertemplate="%{fullData.name}<br>%{text}: %{y:.3g}<extra></extra>",
        )
    made.update_yaxes(rangemode="tozero")
    made.update_layout(showlegend=True)
    return made
