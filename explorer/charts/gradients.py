"""Gradient magnitude by layer, and of fresh nets against depth (He15 §4.1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import plotly.graph_objects as go

from explorer.charts.palette import LANE_STYLES, Theme, base_figure, lane_style
from explorer.results import GradientsAtInit, LayerGradients


def gradient_figure(
    lanes: Sequence[tuple[int, str, LayerGradients]],
    *,
    of: Literal["parameters", "outputs"] = "parameters",
    theme: Theme = "light",
) -> go.Figure:
    """Root mean square gradient on a log axis, one curve a lane, against layer or unit."""
    parameters = of == "parameters"
    figure = base_figure(
        theme,
        x="layer (1 is nearest the input)" if parameters else "block (1 is nearest the input)",
        y="RMS of ∂L/∂W, log scale" if parameters else "RMS of ∂ℓ/∂y, log scale",
    )
    for lane, name, gradients in lanes:
        style = lane_style(lane)
        if parameters:
            # Projections and gates have no place on the depth axis; they are in the table.
            index = np.asarray(gradients.depth_index)
            x = index[index > 0]
            y = gradients.parameter_rms[index > 0]
            labels = [n for n, d in zip(gradients.layers, gradients.depth_index, strict=True) if d]
        else:
            x = np.arange(1, len(gradients.units) + 1)
            y = gradients.output_rms
            labels = list(gradients.units)
        figure.add_scatter(
            x=x,
            y=np.where(y > 0, y, np.nan),  # a log axis has no place for an exact zero
            name=name,
            text=labels,
            mode="lines+markers",
            legendgroup=f"lane{lane}",
            line={"color": style.colour(theme), "width": 2, "dash": style.dash},
            marker={"symbol": style.symbol, "size": 5, "color": style.colour(theme)},
            hovertemplate="%{fullData.name}<br>%{text}: %{y:.3g}<extra></extra>",
        )
    figure.update_yaxes(type="log", exponentformat="power", dtick=1)
    return figure


_MORE_SYMBOLS = ("x", "star", "cross", "hexagon")


def gradients_at_init_figure(
    sweep: GradientsAtInit,
    *,
    of: Literal["parameters", "outputs"] = "parameters",
    theme: Theme = "light",
) -> go.Figure:
    """Gradient of fresh nets against depth on a log axis; bars from least to greatest seed.

    Solid with filled markers: with batch norm; dotted with open markers: without.

    Args:
        of: ``parameters``: the first layer's RMS; ``outputs``: first unit's RMS ÷ last unit's.
    """
    parameters = of == "parameters"
    figure = base_figure(
        theme,
        x="depth, layers" + (f" (padding: {sweep.padding})" if sweep.padding else ""),
        y="RMS of ∂L/∂W, first layer" if parameters else "∂ℓ/∂y, first block ÷ last",
        height=380,
    )
    curves = sweep.curves(of)
    families = list(dict.fromkeys(family for family, _ in curves))
    for (family, norm), (depth, middle, least, most) in curves.items():
        place = families.index(family)
        style = lane_style(place)
        colour = style.colour(theme)
        repeat, within = divmod(place, len(LANE_STYLES))
        symbol = _MORE_SYMBOLS[within] if repeat else style.symbol
        seen = np.where(np.isfinite(middle) & (middle > 0), middle, np.nan)
        figure.add_scatter(
            x=depth,
            y=seen,
            name=f"{sweep.short(family)}, {'batch norm' if norm else 'none'}",
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
        figure.add_hline(y=1, line={"color": figure.layout.font.color, "width": 1, "dash": "dot"})
    figure.update_yaxes(type="log", exponentformat="power", dtick=1)
    figure.update_layout(showlegend=True, margin={"l": 76, "b": 120}, legend={"tracegroupgap": 0})
    return figure
