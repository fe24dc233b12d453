"""Accuracy with every two blocks of one shape swapped."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from explorer.drawing.heat import colour_bar, panels, sequential
from explorer.instruments.contract import Lane, Style
from explorer.instruments.swap_lesions.ask import Ask, Show
from explorer.instruments.swap_lesions.result import SwapLesions
from explorer.results.common import IMAGES, intervals


def figure(lanes: Sequence[Lane[SwapLesions]], ask: Ask, show: Show, style: Style) -> go.Figure:
    """A panel a net: accuracy after blocks ``row`` and ``column`` have changed places.

    The diagonal is the intact net; empty are pairs of different shape. A panel goes from the first
    to the last block that changes places: where one stage was asked for, it is that stage.
    """
    made = panels(
        style.theme,
        [f"{lane.name}, {lane.result.n_images:,} {IMAGES[lane.result.images]}" for lane in lanes],
        x="block (1 is nearest the input)",
        y="block",
        row_height=340,
    )
    for row, lane in enumerate(lanes, start=1):
        swaps = lane.result
        first, last = min(swaps.first), max(swaps.second)
        table = swaps.matrix()[first : last + 1, first : last + 1]
        places = np.arange(first + 1, last + 2)
        made.add_heatmap(
            z=table * 100,
            x=places,
            y=places,
            zmin=0,
            zmax=100,
            colorscale=sequential(style.theme),
            coloraxis=None,
            showscale=row == 1,
            colorbar=colour_bar(style.theme, "accuracy, %"),
            name=lane.name,
            customdata=intervals(np.nan_to_num(table), swaps.n_images) * 100,
            hoverongaps=False,
            hovertemplate=(
                "%{fullData.name}<br>%{x} and %{y} swapped: %{z:.1f} % "
                "(%{customdata[0]:.1f} – %{customdata[1]:.1f})<extra></extra>"
            ),
            row=row,
            col=1,
        )
        made.update_yaxes(range=[last + 1.5, first + 0.5], constrain="domain", row=row, col=1)
        made.update_xaxes(range=[first + 0.5, last + 1.5], row=row, col=1)
    return made
