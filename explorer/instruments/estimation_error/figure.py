"""Each unit's output against the end of its stage (Greff17)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from explorer.drawing.palette import base_figure, lane_style, muted
from explorer.instruments.contract import Lane, Style
from explorer.instruments.estimation_error.ask import Ask, Show
from explorer.instruments.estimation_error.result import EstimationError
from explorer.instruments.unit_axis import BLOCK, band
from explorer.instruments.words import units_of


def figure(lanes: Sequence[Lane[EstimationError]], ask: Ask, show: Show, style: Style) -> go.Figure:
    """Mean of y_i − y_end with a band of one standard deviation, stage by stage (Greff17)."""
    made = base_figure(style.theme, x=BLOCK, y="error ÷ RMS of the stage's end", height=340)
    for lane in lanes:
        errors, drawn = lane.result, lane_style(lane.index)
        colour = drawn.colour(style.theme)
        place = {unit: i + 1 for i, unit in enumerate(units_of(lane, errors.units))}
        stages = np.asarray(errors.stage)
        mean, sd = errors.mean / errors.scale, errors.sd / errors.scale
        for number, stage in enumerate(np.unique(stages)):
            inside = np.flatnonzero(stages == stage)
            x = np.asarray([place[errors.units[i]] for i in inside])
            band(made, x, (mean - sd)[inside], (mean + sd)[inside], colour, lane.index)
            made.add_scatter(
                x=x,
                y=mean[inside],
                name=lane.name,
                text=[errors.units[i] for i in inside],
                customdata=sd[inside],
                mode="lines+markers",
                legendgroup=f"lane{lane.index}",
                showlegend=number == 0,
                line={"color": colour, "width": 2, "dash": drawn.dash},
                marker={"symbol": drawn.symbol, "size": 6, "color": colour},
                hovertemplate="%{fullData.name}<br>%{text}: %{y:.3f} ± %{customdata:.3f}"
                "<extra></extra>",
            )
    made.add_hline(y=0, line={"color": muted(style.theme), "width": 1, "dash": "dot"})
    made.update_layout(showlegend=True)
    return made
