"""Class probabilities of one image, lane beside lane."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from explorer.charts.palette import Theme, base_figure, lane_style
from explorer.results import Prediction

SHOWN = 10  # a bar chart of a thousand classes says nothing


def probability_figure(
    lanes: Sequence[tuple[int, str, Prediction]],
    classes: Sequence[str],
    *,
    theme: Theme = "light",
) -> go.Figure:
    """Grouped bars in per cent: the classes that any lane finds likeliest, at most ten."""
    figure = base_figure(theme, x="", y="probability, %", height=280)
    best = [
        max((float(p.probabilities[c]) for _, _, p in lanes), default=0.0)
        for c in range(len(classes))
    ]
    likeliest = sorted(range(len(classes)), key=lambda c: -best[c])[:SHOWN]
    shown = sorted(likeliest)
    for lane, name, prediction in lanes:
        figure.add_bar(
            x=[classes[c] for c in shown],
            y=[float(prediction.probabilities[c]) * 100 for c in shown],
            name=name,
            marker={"color": lane_style(lane).colour(theme)},
            hovertemplate="%{fullData.name}<br>%{x}: %{y:.1f} %<extra></extra>",
        )
    figure.update_xaxes(type="category")
    figure.update_yaxes(range=[0, 102])
    figure.update_layout(barmode="group", bargap=0.25, showlegend=True)
    return figure
