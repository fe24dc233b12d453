"""Accuracy of each class, with its interval."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from explorer.drawing.lesions import accuracy_of
from explorer.drawing.palette import base_figure, lane_style, muted
from explorer.drawing.plain import as_text
from explorer.instruments.accuracy.ask import Ask, Show
from explorer.instruments.accuracy.result import Accuracy
from explorer.instruments.contract import Lane, Style

SHOWN = 40  # classes; of more of them, those that are right least often


def figure(lanes: Sequence[Lane[Accuracy]], ask: Ask, show: Show, style: Style) -> go.Figure:
    """Bars in per cent with their 95 % Wilson intervals; the line is a net's own over all."""
    classes = lanes[0].info.classes if lanes else ()
    counts = [(int(n), lane.result.images) for lane in lanes for n in lane.result.of_class if n]
    made = base_figure(style.theme, x="class", y=accuracy_of(counts, "right"), height=300)
    shown = _shown(lanes, len(classes))
    width = 0.8 / max(1, len(lanes))
    names = [as_text(classes[c]) for c in shown]
    for place, lane in enumerate(lanes):
        right = 100 * lane.result.shares()[0][shown]
        bounds = 100 * lane.result.intervals()[shown]
        colour = lane_style(lane.index).colour(style.theme)
        made.add_bar(
            x=np.arange(len(shown)) + (place - (len(lanes) - 1) / 2) * width,
            y=right,
            width=width * 0.92,
            name=lane.name,
            text=names,
            textposition="none",
            marker={"color": colour},
            error_y={
                "type": "data",
                "symmetric": False,
                "array": bounds[:, 1] - right,
                "arrayminus": right - bounds[:, 0],
                "color": muted(style.theme),
                "thickness": 1,
                "width": 0,
            },
            hovertemplate="%{fullData.name}<br>%{text}: %{y:.2f} %<extra></extra>",
        )
        made.add_hline(
            y=100 * lane.result.accuracy, line={"color": colour, "width": 1, "dash": "dot"}
        )
    made.update_xaxes(
        tickvals=list(range(len(shown))),
        ticktext=names,
        range=[-0.6, max(1, len(shown)) - 0.4],
        showgrid=False,
    )
    made.update_yaxes(range=[0, 104])
    made.update_layout(showlegend=bool(lanes), barmode="overlay")
    return made


def _shown(lanes: Sequence[Lane[Accuracy]], classes: int) -> list[int]:
    if classes <= SHOWN or not lanes:
        return list(range(classes if lanes else 0))
    least = np.min([np.nan_to_num(lane.result.shares()[0], nan=1.0) for lane in lanes], axis=0)
    return sorted(np.argsort(least, kind="stable")[:SHOWN].tolist())
