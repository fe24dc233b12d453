"""Accuracy of each class, intact and with blocks deleted or moved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from explorer.drawing.lesions import accuracy_of
from explorer.drawing.palette import Theme, base_figure, ink, lane_style, muted
from explorer.drawing.plain import as_text
from explorer.instruments.by_hand.ask import Ask, Show
from explorer.instruments.by_hand.result import ProgramAnswers
from explorer.instruments.contract import Lane, Style
from explorer.results.common import Floats, Split

SHOWN = 40  # classes; of more of them, those that lose most


def figure(lanes: Sequence[Lane[ProgramAnswers]], ask: Ask, show: Show, style: Style) -> go.Figure:
    """Bars in per cent, as the net answers now, with their 95 % Wilson intervals.

    The line across each is the intact net.
    """
    theme, classes = style.theme, lanes[0].info.classes if lanes else ()
    counts: list[tuple[int, Split]] = [
        (int(n), "test") for lane in lanes for n in lane.result.of_class if n
    ]
    made = base_figure(theme, x="class", y=accuracy_of(counts, "right"), height=300)
    shown = _shown(lanes, len(classes))
    width = 0.8 / max(1, len(lanes))
    for place, lane in enumerate(lanes):
        answers, colour = lane.result, lane_style(lane.index).colour(theme)
        intact, now = (100 * share[shown] for share in answers.shares())
        x = np.arange(len(shown)) + (place - (len(lanes) - 1) / 2) * width
        texts = [as_text(classes[c]) for c in shown]
        made.add_bar(
            x=x,
            y=now,
            width=width * 0.92,
            name=lane.name,
            text=texts,
            textposition="none",
            customdata=intact,
            legendgroup=f"lane{lane.index}",
            marker={"color": colour},
            error_y=_bars(answers.intervals()[shown] * 100, now, theme),
            hovertemplate=(
                "%{fullData.name}<br>%{text}: %{y:.1f} %, intact %{customdata:.1f} %<extra></extra>"
            ),
        )
        made.add_scatter(
            x=np.stack([x - width * 0.46, x + width * 0.46, np.full(len(x), np.nan)], 1).ravel(),
            y=np.repeat(intact, 3),
            mode="lines",
            line={"color": ink(theme), "width": 2},
            name=f"{lane.name}, intact",
            legendgroup=f"lane{lane.index}",
            showlegend=False,
            hoverinfo="skip",
        )
    made.update_xaxes(
        tickvals=list(range(len(shown))),
        ticktext=[as_text(classes[c]) for c in shown],
        range=[-0.6, max(1, len(shown)) - 0.4],
        showgrid=False,
    )
    made.update_yaxes(range=[0, 104])
    made.update_layout(showlegend=bool(lanes), barmode="overlay")
    return made


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


def _shown(lanes: Sequence[Lane[ProgramAnswers]], classes: int) -> list[int]:
    if classes <= SHOWN or not lanes:
        return list(range(classes if lanes else 0))
    lost = np.zeros(classes)
    for lane in lanes:
        intact, now = lane.result.shares()
        lost = np.fmax(lost, np.nan_to_num(intact - now))
    return sorted(np.argsort(-lost, kind="stable")[:SHOWN].tolist())
