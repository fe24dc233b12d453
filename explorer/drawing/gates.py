"""Gates by unit: their mean, as Compare, reports and the instrument draw it (SGS15 Fig 2)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from explorer.drawing.palette import Theme, base_figure, faded, lane_style
from explorer.instruments.gate_words import symbols
from explorer.instruments.gates.result import GateMeans
from explorer.instruments.unit_axis import BLOCK


def gate_figure(
    lanes: Sequence[tuple[int, str, GateMeans]], *, theme: Theme = "light"
) -> go.Figure:
    """Mean gate of each unit, with a band of one standard deviation."""
    figure = base_figure(theme, x=BLOCK, y=symbols([gates.gate for _, _, gates in lanes]))
    for lane, name, gates in lanes:
        style = lane_style(lane)
        colour = style.colour(theme)
        x = np.arange(1, len(gates.units) + 1)
        if np.any(gates.sd > 0):
            figure.add_scatter(
                x=np.concatenate([x, x[::-1]]),
                y=np.clip(
                    np.concatenate([gates.mean + gates.sd, (gates.mean - gates.sd)[::-1]]), 0, 1
                ),
                mode="lines",
                fill="toself",
                fillcolor=faded(colour, 0.14),
                line={"width": 0},
                hoverinfo="skip",
                showlegend=False,
                legendgroup=f"lane{lane}",
                name=f"{name}, ± 1 sd",
            )
        figure.add_scatter(
            x=x,
            y=gates.mean,
            name=name,
            text=list(gates.units),
            mode="lines+markers",
            legendgroup=f"lane{lane}",
            line={"color": colour, "width": 2, "dash": style.dash},
            marker={"symbol": style.symbol, "size": 5, "color": colour},
            hovertemplate="%{fullData.name}<br>%{text}: %{y:.3f}<extra></extra>",
        )
    figure.update_yaxes(range=[0, 1.02])
    figure.update_layout(showlegend=True)
    return figure
