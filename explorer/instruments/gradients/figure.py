"""Gradient magnitude by layer (He15 §4.1)."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from explorer.drawing.gradients import gradient_figure
from explorer.instruments.contract import Lane, Style
from explorer.instruments.gradients.ask import Ask, Show
from explorer.instruments.gradients.result import LayerGradients


def figure(lanes: Sequence[Lane[LayerGradients]], ask: Ask, show: Show, style: Style) -> go.Figure:
    """As on the Compare page, taller: one curve a lane on a log axis, against layer or unit."""
    drawn = [(lane.index, lane.name, lane.result) for lane in lanes]
    made = gradient_figure(drawn, of=show.of, theme=style.theme)
    made.update_layout(height=380, showlegend=True)
    return made
