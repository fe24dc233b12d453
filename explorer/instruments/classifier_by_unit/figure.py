"""The classifier after every unit of the last stage (Jastrzebski18)."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from explorer.drawing.lesions import accuracy_of
from explorer.drawing.palette import base_figure, faded, lane_style, muted
from explorer.instruments.classifier_by_unit.ask import Ask, Show
from explorer.instruments.classifier_by_unit.result import ClassifierByUnit
from explorer.instruments.contract import Lane, Style
from explorer.instruments.words import units_of


def figure(
    lanes: Sequence[Lane[ClassifierByUnit]], ask: Ask, show: Show, style: Style
) -> go.Figure:
    """Accuracy of the classifier after each unit of the last stage, with 95 % Wilson intervals."""
    axis = accuracy_of([(lane.result.n_images, "test") for lane in lanes])
    made = base_figure(style.theme, x="classifier after block", y=axis, height=340)
    for lane in lanes:
        found, drawn = lane.result, lane_style(lane.index)
        colour = drawn.colour(style.theme)
        place = {unit: i + 1 for i, unit in enumerate(units_of(lane, found.units))}
        interval, accuracy = found.intervals() * 100, found.accuracy * 100
        made.add_scatter(
            x=[place[unit] for unit in found.units],
            y=accuracy,
            name=lane.name,
            text=list(found.units),
            customdata=found.loss,
            mode="lines+markers",
            line={"color": colour, "width": 2, "dash": drawn.dash},
            marker={"symbol": drawn.symbol, "size": 7, "color": colour},
            error_y={
                "type": "data",
                "symmetric": False,
                "array": interval[:, 1] - accuracy,
                "arrayminus": accuracy - interval[:, 0],
                "color": faded(colour, 0.55),
                "thickness": 1,
                "width": 0,
            },
            hovertemplate="%{fullData.name}<br>after %{text}: %{y:.1f} %, loss "
            "%{customdata:.3g}<extra></extra>",
        )
    if lanes:
        chance = 1 / len(lanes[0].info.classes)
        made.add_hline(
            y=chance * 100, line={"color": muted(style.theme), "width": 1, "dash": "dot"}
        )
    made.update_yaxes(range=[0, 102])
    made.update_layout(showlegend=True)
    return made
