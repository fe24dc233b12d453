"""The direct and the residual term of the gradient (He16 Eq 5)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from explorer.drawing.palette import base_figure, lane_style
from explorer.instruments.contract import Lane, Style
from explorer.instruments.gradient_terms.ask import Ask, Show
from explorer.instruments.gradient_terms.result import GradientTerms
from explorer.instruments.log_axis import above_zero


def figure(lanes: Sequence[Lane[GradientTerms]], ask: Ask, show: Show, style: Style) -> go.Figure:
    """Norms at every unit's input on a log axis: the whole (solid), its direct and residual term.

    Where every shortcut is λ·x, crosses mark what Eq 8 says of the direct term.
    """
    made = base_figure(
        style.theme,
        x="block (1 is nearest the input)",
        y="‖∂ℓ/∂x‖ at its input, log scale",
        height=360,
    )
    for lane in lanes:
        terms, name, drawn = lane.result, lane.name, lane_style(lane.index)
        colour = drawn.colour(style.theme)
        x = np.arange(1, len(terms.units) + 1)
        group = f"lane{lane.index}"
        for what, values, dash, width in (
            ("whole", terms.whole, "solid", 2.5),
            ("direct", terms.direct, "dash", 2),
            ("residual", terms.residual, "dot", 2),
        ):
            whole = what == "whole"
            made.add_scatter(
                x=x,
                y=above_zero(values),
                name=f"{name}, {what}",
                text=list(terms.units),
                mode="lines+markers" if whole else "lines",
                legendgroup=group,
                line={"color": colour, "width": width, "dash": dash},
                marker={"symbol": drawn.symbol, "size": 5, "color": colour},
                hovertemplate="%{fullData.name}<br>%{text}: %{y:.3g}<extra></extra>",
            )
        theory = terms.theory()
        if theory is not None:
            made.add_scatter(
                x=x,
                y=above_zero(theory),
                name=f"{name}, Eq 8 with λ = {terms.shortcut_scale:g}",
                mode="markers",
                legendgroup=group,
                marker={"symbol": "x-thin", "size": 8, "line": {"color": colour, "width": 1.5}},
                hovertemplate="%{fullData.name}<br>block %{x}: %{y:.3g}<extra></extra>",
            )
    made.update_yaxes(type="log", exponentformat="power", dtick=1)
    made.update_layout(showlegend=True)
    return made
