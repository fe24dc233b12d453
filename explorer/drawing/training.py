"""Error and loss against steps (He15 Fig 1 and 6): solid is test, dotted is training.

The training curve is the mean over neighbouring batches, as He15 plots it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import plotly.graph_objects as go

from explorer.drawing.palette import Theme, base_figure, lane_style
from explorer.results import TrainingCurves, statistics_said


def training_figure(
    lanes: Sequence[tuple[int, TrainingCurves]],
    *,
    quantity: Literal["error", "loss"] = "error",
    steps_total: int | None = None,
    theme: Theme = "light",
) -> go.Figure:
    """One pair of curves a lane; ``lanes`` pairs each curve with its lane's index.

    Errors are in per cent; losses are cross-entropies in nats on a log axis.
    """
    percent = quantity == "error"
    figure = base_figure(theme, x="step", y="error, %" if percent else "loss, log scale")
    for lane, curves in lanes:
        style = lane_style(lane)
        colour = style.colour(theme)
        scale = 100.0 if percent else 1.0
        steps, batch_loss, batch_error = curves.smoothed()
        train = batch_error if percent else batch_loss
        test = curves.test_error if percent else curves.test_loss
        figure.add_scatter(
            x=steps,
            y=train * scale,
            name=f"{curves.name}, training batches",
            mode="lines",
            line={"color": colour, "width": 1.5, "dash": "dot"},
            legendgroup=f"lane{lane}",
            showlegend=False,
            hovertemplate="%{fullData.name}<br>step %{x}: %{y:.4~g}<extra></extra>",
        )
        figure.add_scatter(
            x=curves.eval_step,
            y=test * scale,
            name=curves.name,
            mode="lines+markers",
            line={"color": colour, "width": 2.25},
            marker={"symbol": style.symbol, "size": 6, "color": colour},
            legendgroup=f"lane{lane}",
            text=[_how(curves) if step == 0 else "" for step in curves.eval_step],
            hovertemplate="%{fullData.name}, test<br>step %{x}: %{y:.4~g}%{text}<extra></extra>",
        )
    if percent:
        figure.update_yaxes(range=[0, 102])
    else:
        figure.update_yaxes(type="log", exponentformat="power", dtick=1)
    if steps_total:
        figure.update_xaxes(range=[0, steps_total * 1.01])
    return figure


def _how(curves: TrainingCurves) -> str:
    """What is to be known of the point before the first step."""
    said = statistics_said(curves.at_start, curves.n_test)
    return f"<br>{said}" if said else ""
