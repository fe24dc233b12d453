"""Gradients of fresh nets against depth."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from explorer.drawing.palette import LANE_STYLES, base_figure, lane_style
from explorer.instruments.contract import Lane, Style
from explorer.instruments.gradients_at_init.ask import Ask, Show
from explorer.instruments.gradients_at_init.result import GradientsAtInit
from explorer.instruments.log_axis import above_zero

_MORE_SYMBOLS = ("x", "star", "cross", "hexagon")


def figure(lanes: Sequence[Lane[GradientsAtInit]], ask: Ask, show: Show, style: Style) -> go.Figure:
    """Gradient of fresh nets against depth on a log axis; bars from least to greatest seed.

    Solid with filled markers: with batch norm; dotted with open markers: without.
    """
    sweep = lanes[0].result if lanes else None
    padding = "" if sweep is None else sweep.padding
    parameters = show.of == "parameters"
    made = base_figure(
        style.theme,
        x="depth, layers" + (f" (padding: {padding})" if padding else ""),
        y="RMS of ∂L/∂W, first layer" if parameters else "∂ℓ/∂y, first block ÷ last",
        height=380,
    )
    curves = {} if sweep is None else sweep.curves(show.of)
    families = list(dict.fromkeys(family for family, _ in curves))
    for (family, norm), (depth, middle, least, most) in curves.items():
        place = families.index(family)
        drawn = lane_style(place)
        colour = drawn.colour(style.theme)
        repeat, within = divmod(place, len(LANE_STYLES))
        symbol = _MORE_SYMBOLS[within] if repeat else drawn.symbol
        seen = above_zero(middle)
        name = family if sweep is None else sweep.short(family)
        made.add_scatter(
            x=depth,
            y=seen,
            name=f"{name}, {'batch norm' if norm else 'none'}",
            mode="lines+markers",
            legendgroup=family,
            line={"color": colour, "width": 2, "dash": "solid" if norm else "dot"},
            marker={
                "symbol": symbol if norm else f"{symbol}-open",
                "size": 8,
                "color": colour,
            },
            error_y={
                "type": "data",
                "symmetric": False,
                "array": most - seen,
                "arrayminus": seen - least,
                "color": colour,
                "thickness": 1,
                "width": 3,
            },
            hovertemplate="%{fullData.name}<br>depth %{x}: %{y:.3g}<extra></extra>",
        )
    if not parameters:
        made.add_hline(y=1, line={"color": made.layout.font.color, "width": 1, "dash": "dot"})
    made.update_yaxes(type="log", exponentformat="power", dtick=1)
    made.update_layout(showlegend=True, margin={"l": 76, "b": 120}, legend={"tracegroupgap": 0})
    if style.narrow:  # one column of names below
        made.update_layout(height=520, margin={"b": 250}, legend={"y": -0.3})
    return made
