"""Numbers of every layer while a net trains: layer × step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from explorer.drawing.heat import colour_bar, decades, panels, place, sequential
from explorer.drawing.palette import Theme, base_figure, lane_style
from explorer.instruments.contract import Lane, Style
from explorer.instruments.history.ask import Ask, Show
from explorer.instruments.history.result import LayerHistory

_WORDS = {
    "parameter_rms": ("layer", "RMS of ∂L/∂W"),
    "output_rms": ("block", "RMS of ∂ℓ/∂y"),
    "gate_mean": ("block", "mean T(x)"),
    "response_sd": ("layer", "sd of the response"),
}


def figure(lanes: Sequence[Lane[LayerHistory]], ask: Ask, show: Show, style: Style) -> go.Figure:
    """A map of every layer, or the first and the last ones as curves."""
    drawn = [(lane.index, lane.name, lane.result) for lane in lanes]
    return (_ends if show.drawn == "ends" else history_figure)(drawn, theme=style.theme)


def history_figure(
    lanes: Sequence[tuple[int, str, LayerHistory]], *, theme: Theme = "light"
) -> go.Figure:
    """A heat map a lane, one below the other, all on one colour scale; 1 is nearest the input.

    Gradients are on a log scale, gates from 0 to 1. All lanes must hold the same quantity.
    """
    quantity = lanes[0][2].quantity if lanes else "parameter_rms"
    what, title = _WORDS[quantity]
    figure = panels(theme, [name for _, name, _ in lanes], x="step", y=f"{what} (1: input)")
    log = quantity in ("parameter_rms", "output_rms")
    with np.errstate(divide="ignore", invalid="ignore"):
        tables = [np.log10(h.values) if log else h.values for _, _, h in lanes]
    finite = np.concatenate([t[np.isfinite(t)] for t in tables]) if tables else np.empty(0)
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    if quantity == "gate_mean":
        low, high = 0.0, 1.0
    for i, ((_, name, history), table) in enumerate(zip(lanes, tables, strict=True)):
        figure.add_heatmap(
            x=history.steps,
            y=np.arange(1, len(history.layers) + 1),
            z=np.where(np.isfinite(table), table, np.nan),
            customdata=history.values,
            text=np.repeat(np.asarray(history.layers)[:, None], len(history.steps), axis=1),
            name=name,
            coloraxis="coloraxis",
            hovertemplate="%{fullData.name}<br>%{text}, step %{x}: %{customdata:.3g}"
            "<extra></extra>",
            **place(i, 1),
        )
    figure.update_layout(
        coloraxis={
            "cmin": low,
            "cmax": high,
            "colorscale": sequential(theme),
            "colorbar": colour_bar(theme, title, **(decades(low, high) if log else {})),
        },
        margin={"r": 16},
    )
    return figure


def _ends(lanes: Sequence[tuple[int, str, LayerHistory]], *, theme: Theme) -> go.Figure:
    """Two curves a lane against the step: medians of its first three rows, and of its last three.

    The first rows' are solid, the last ones' dotted; gradients on a log scale.
    """
    quantity = lanes[0][2].quantity if lanes else "parameter_rms"
    what, title = _WORDS[quantity]
    log = quantity in ("parameter_rms", "output_rms")
    figure = base_figure(theme, x="step", y=f"{title}{', log scale' if log else ''}", height=380)
    for lane, name, history in lanes:
        style = lane_style(lane)
        colour = style.colour(theme)
        for words, values, dash in zip(
            ("first", "last"), history.ends(), ("solid", "dot"), strict=True
        ):
            shown = np.where(np.isfinite(values) & ((values > 0) | (not log)), values, np.nan)
            figure.add_scatter(
                x=history.steps,
                y=shown,
                name=f"{name}, {words} three {what}s",
                mode="lines+markers",
                legendgroup=f"lane{lane}",
                line={"color": colour, "width": 2, "dash": dash},
                marker={
                    "symbol": style.symbol if words == "first" else f"{style.symbol}-open",
                    "size": 5,
                    "color": colour,
                },
                hovertemplate="%{fullData.name}<br>step %{x}: %{y:.3g}<extra></extra>",
            )
    if log:
        figure.update_yaxes(type="log", exponentformat="power", dtick=1)
    figure.update_layout(showlegend=True, margin={"b": 110})
    return figure
