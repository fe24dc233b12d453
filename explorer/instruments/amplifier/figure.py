"""The worked example as two bars."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from explorer.drawing.palette import LANE_STYLES, base_figure, ink
from explorer.instruments.amplifier.ask import Ask, Show
from explorer.instruments.amplifier.result import WorkedExample
from explorer.instruments.contract import Lane, Style


def figure(lanes: Sequence[Lane[WorkedExample]], ask: Ask, show: Show, style: Style) -> go.Figure:
    """By how much of itself each map's output changes, in per cent."""
    theme = style.theme
    made = base_figure(theme, x="", y="change, % of itself", height=280)
    for lane in lanes[:1]:  # of no net: there is one
        example = lane.result
        x, before, after = example.x, example.before, example.after
        residual = f"{example.residual_before:.3g} → {example.residual_after:.3g}"
        made.add_bar(
            x=["plain map", "residual F"],
            y=[example.plain_change * 100, example.residual_change * 100],
            text=[
                f"{before:g} → {after:g}<br>{example.plain_change * 100:.3g} %",
                f"{residual}<br>{example.residual_change * 100:.3g} %",
            ],
            textposition="outside",
            cliponaxis=False,
            textfont={"color": ink(theme), "size": 15},
            marker={"color": [LANE_STYLES[0].colour(theme), LANE_STYLES[1].colour(theme)]},
            hovertemplate="%{x}, input " + f"{x:g}" + ": %{y:.2f} %<extra></extra>",
            showlegend=False,
        )
        top = max(example.plain_change, example.residual_change) * 100
        made.update_yaxes(range=[0, top * 1.3 or 1])
    made.update_xaxes(type="category", tickfont={"size": 14})
    return made
