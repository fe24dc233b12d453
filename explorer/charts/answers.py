"""Accuracy of each class, intact and with blocks deleted or moved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from explorer.charts.lesions import accuracy_of
from explorer.charts.palette import Theme, base_figure, ink, lane_style, muted
from explorer.charts.plain import as_text
from explorer.results import Floats, ProgramAnswers
from explorer.results.common import Split

SHOWN = 40  # classes; of more of them, those that lose most


def answers_figure(
    lanes: Sequence[tuple[int, str, ProgramAnswers]],
    classes: Sequence[str],
    *,
    theme: Theme = "light",
) -> go.Figure:
    """Bars in per cent, as the net answers now, with their 95 % Wilson intervals.

    The line across each is the intact net.
    """
    counts: list[tuple[int, Split]] = [
        (int(n), "test") for _, _, answers in lanes for n in answers.of_class if n
    ]
    figure = base_figure(theme, x="class", y=accuracy_of(counts, "right"), height=300)
    shown = _shown(lanes, len(classes))
    width = 0.8 / max(1, len(lanes))
    for place, (lane, name, answers) in enumerate(lanes):
        style = lane_style(lane)
        intact, now = (100 * share[shown] for share in answers.shares())
        x = np.arange(len(shown)) + (place - (len(lanes) - 1) / 2) * width
        texts = [as_text(classes[c]) for c in shown]
        figure.add_bar(
            x=x,
            y=now,
            width=width * 0.92,
            name=name,
            text=texts,
            textposition="none",
            customdata=intact,
            legendgroup=f"lane{lane}",
            marker={"color": style.colour(theme)},
            error_y=_bars(answers.intervals()[shown] * 100, now, theme),
            hovertemplate=(
                "%{fullData.name}<br>%{text}: %{y:.1f} %, intact %{customdata:.1f} %<extra></extra>"
            ),
        )
        figure.add_scatter(
            x=np.stack([x - width * 0.46, x + width * 0.46, np.full(len(x), np.nan)], 1).ravel(),
            y=np.repeat(intact, 3),
            mode="lines",
            line={"color": ink(theme), "width": 2},
            name=f"{name}, intact",
            legendgroup=f"lane{lane}",
            showlegend=False,
            hoverinfo="skip",
        )
    figure.update_xaxes(
        tickvals=list(range(len(shown))),
        ticktext=[as_text(classes[c]) for c in shown],
        range=[-0.6, max(1, len(shown)) - 0.4],
        showgrid=False,
    )
    figure.update_yaxes(range=[0, 104])
    figure.update_layout(showlegend=bool(lanes), barmode="overlay")
    return figure


def _bars(bounds: Floats, now: Floats, theme: Theme) -> dict[str, Any]:
    return {
        "type": "data",
        "symmetric": False,
        "array": bounds[:, 1] - now,
        "arrayminus": now - bounds[:, 0],
        "color": muted(theme),
        "thickness": 1,
        "width": 0,
    }


def _shown(lanes: Sequence[tuple[int, str, ProgramAnswers]], classes: int) -> list[int]:
    if classes <= SHOWN or not lanes:
        return list(range(classes if lanes else 0))
    lost = np.zeros(classes)
    for _, _, answers in lanes:
        intact, now = answers.shares()
        lost = np.fmax(lost, np.nan_to_num(intact - now))
    return sorted(np.argsort(-lost, kind="stable")[:SHOWN].tolist())
