"""Class probabilities of one image, lane beside lane."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from explorer.drawing.palette import Theme, base_figure, faded, lane_style
from explorer.drawing.plain import as_text
from explorer.results import Prediction

SHOWN = 10  # a bar chart of a thousand classes says nothing


def probability_figure(
    lanes: Sequence[tuple[int, str, Prediction]],
    classes: Sequence[str],
    *,
    intact: Mapping[int, Prediction] | None = None,
    theme: Theme = "light",
) -> go.Figure:
    """Grouped bars in per cent: the classes that any lane finds likeliest, at most ten.

    Args:
        intact: By lane, for nets with deleted blocks: the same nets whole, in pale bars beside.
    """
    whole = intact or {}
    figure = base_figure(theme, x="", y="probability, %", height=280)
    best = [
        max(
            (float(p.probabilities[c]) for p in (*(p for *_, p in lanes), *whole.values())),
            default=0.0,
        )
        for c in range(len(classes))
    ]
    likeliest = sorted(range(len(classes)), key=lambda c: -best[c])[:SHOWN]
    shown = sorted(likeliest)
    for lane, name, prediction in lanes:
        colour = lane_style(lane).colour(theme)
        bars: list[tuple[str, Prediction, dict[str, Any]]] = [(name, prediction, {"color": colour})]
        if lane in whole:
            pale = {"color": faded(colour, 0.25), "line": {"color": colour, "width": 1.25}}
            bars = [
                (f"{name}, intact", whole[lane], pale),
                (f"{name}, blocks deleted", prediction, {"color": colour}),
            ]
        for words, shares, marker in bars:
            figure.add_bar(
                x=[as_text(classes[c]) for c in shown],
                y=[float(shares.probabilities[c]) * 100 for c in shown],
                name=words,
                marker=marker,
                hovertemplate="%{fullData.name}<br>%{x}: %{y:.1f} %<extra></extra>",
            )
    figure.update_xaxes(type="category")
    figure.update_yaxes(range=[0, 102])
    figure.update_layout(barmode="group", bargap=0.25, showlegend=True)
    return figure
