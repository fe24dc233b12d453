"""What arrives at the first unit against λ (He16 Eq 8)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from explorer.drawing.palette import base_figure, faded, lane_style, muted
from explorer.instruments.contract import Lane, Style
from explorer.instruments.log_axis import above_zero
from explorer.instruments.shortcut_scaling.ask import Ask, Show
from explorer.instruments.shortcut_scaling.result import ShortcutScaling, by_eq_8


def figure(lanes: Sequence[Lane[ShortcutScaling]], ask: Ask, show: Show, style: Style) -> go.Figure:
    """What arrives at the first unit against λ: by Eq 8, and as measured; log axis."""
    made = base_figure(
        style.theme, x="λ of every shortcut", y="gradient ÷ that with λ = 1", height=340
    )
    for lane in lanes:
        scaling, name, drawn = lane.result, lane.name, lane_style(lane.index)
        colour = drawn.colour(style.theme)
        order = np.argsort(scaling.scale)
        x = scaling.scale[order]
        fine = np.linspace(min(x[x > 0], default=1.0), max(x[-1], 1e-3), 200)
        made.add_scatter(
            x=fine,
            y=above_zero(by_eq_8(fine, scaling.n_units)),
            name=f"{name}: λ<sup>{scaling.n_units}</sup> (Eq 8)",
            mode="lines",
            legendgroup=f"lane{lane.index}",
            line={"color": faded(colour, 0.6), "width": 1.5, "dash": "dash"},
            hovertemplate="λ = %{x:.3g}: %{y:.3g}<extra></extra>",
        )
        for what, values, symbol, mode in (
            ("direct term, measured", scaling.direct, "x-thin", "markers"),
            ("whole, measured", scaling.whole, drawn.symbol, "lines+markers"),
        ):
            made.add_scatter(
                x=x,
                y=above_zero(values[order]),
                name=f"{name}: {what}",
                mode=mode,
                legendgroup=f"lane{lane.index}",
                line={"color": colour, "width": 2},
                marker={
                    "symbol": symbol,
                    "size": 8,
                    "color": colour,
                    "line": {"color": colour, "width": 1.5},
                },
                hovertemplate="%{fullData.name}<br>λ = %{x:.3g}: %{y:.3g}<extra></extra>",
            )
    made.add_vline(x=ask.scale, line={"color": muted(style.theme), "width": 1, "dash": "dot"})
    made.update_yaxes(type="log", exponentformat="power")
    made.update_layout(showlegend=True, margin={"l": 76})
    return made
