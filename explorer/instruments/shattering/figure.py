"""Shattered gradients: dy/dx of scalar nets, its autocorrelation, its fall with depth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import plotly.graph_objects as go

from explorer.drawing.bands import add_band
from explorer.drawing.heat import panels, place
from explorer.drawing.palette import Theme, base_figure, faded, lane_style, muted
from explorer.instruments.contract import Lane, Style
from explorer.instruments.shattering.ask import Ask, Show
from explorer.instruments.shattering.result import ShatteredGradients, Shattering

Lanes = Sequence[tuple[int, str, ShatteredGradients]]


def figure(lanes: Sequence[Lane[Shattering]], ask: Ask, show: Show, style: Style) -> go.Figure:
    """A curve a family: plain, residual, highway."""
    families = [
        (index, measured.title, measured)
        for lane in lanes
        for index, measured in enumerate(lane.result.families)
    ]
    match show.show:
        case "gradient":
            return input_gradient_figure(families, depth=int(show.depth), theme=style.theme)
        case "depth":
            made = gradient_likeness_figure(families, theme=style.theme)
        case of:
            made = autocorrelation_figure(families, depth=int(show.depth), of=of, theme=style.theme)
    made.update_layout(height=380)
    return made


def autocorrelation_figure(
    lanes: Lanes,
    *,
    depth: int | None = None,
    of: Literal["autocorrelation", "cosine"] = "autocorrelation",
    theme: Theme = "light",
) -> go.Figure:
    """Likeness of the slope at two inputs against their distance, with the band over seeds.

    An autocorrelation of which one point holds most is faint, and its name says so.

    Args:
        depth: Of the nets; each lane shows its nearest. None takes the deepest.
        of: ``autocorrelation`` of dy/dx, or the mean ``cosine`` of dh/dx.
    """
    depths = {measured.depths[_nearest(measured, depth)] for _, _, measured in lanes}
    layers = f", {depths.pop()} layers" if len(depths) == 1 else ""
    what = "correlation of dy/dx" if of == "autocorrelation" else "mean cosine of dh/dx"
    figure = base_figure(theme, x=f"distance between two inputs{layers}", y=what)
    for lane, name, measured in lanes:
        style, at = lane_style(lane), _nearest(measured, depth)
        colour = style.colour(theme)
        mean, low, high = getattr(measured, of)[at]
        if of == "autocorrelation" and measured.one_point(at):
            colour, name = faded(colour, 0.35), f"{name}: one point holds most"
        else:
            add_band(figure, measured.distance, low, high, colour, f"lane{lane}")
        figure.add_scatter(
            x=measured.distance,
            y=mean,
            name=name if layers else f"{name}, {measured.depths[at]} layers",
            mode="lines",
            legendgroup=f"lane{lane}",
            line={"color": colour, "width": 2, "dash": style.dash},
            hovertemplate="%{fullData.name}<br>%{x:.3f} apart: %{y:.3f}<extra></extra>",
        )
    figure.update_yaxes(range=[-1.05, 1.05])
    figure.update_layout(showlegend=True)
    return figure


def input_gradient_figure(
    lanes: Lanes, *, depth: int | None = None, theme: Theme = "light"
) -> go.Figure:
    """dy/dx against x for one net of each lane, one panel below the other, in units of its RMS."""
    places = [_nearest(measured, depth) for _, _, measured in lanes]
    titles = [
        f"{name}, {measured.depths[at]} layers"
        for (_, name, measured), at in zip(lanes, places, strict=True)
    ]
    figure = panels(theme, titles, x="input x", y="dy/dx", row_height=120, gap=52)
    for index, (lane, name, measured) in enumerate(lanes):
        figure.add_scatter(
            x=measured.inputs,
            y=measured.gradient[places[index]],
            name=name,
            mode="lines",
            line={"color": lane_style(lane).colour(theme), "width": 1.5},
            hovertemplate="x = %{x:.3f}: %{y:.2f}<extra></extra>",
            showlegend=False,
            **place(index, 1),
        )
    return figure


def gradient_likeness_figure(lanes: Lanes, *, theme: Theme = "light") -> go.Figure:
    """Mean cosine of dh/dx at two inputs against depth, and 2^-L, on a log axis.

    A curve ends where the seeds no longer agree that it is above 0.
    """
    figure = base_figure(theme, x="layers L", y="mean cosine, log scale")
    deepest = max((measured.pair_depths[-1] for _, _, measured in lanes), default=0)
    for lane, name, measured in lanes:
        style = lane_style(lane)
        colour = style.colour(theme)
        depths = np.asarray(measured.pair_depths, dtype=np.float64)
        told = measured.told()
        mean, low, high = (np.where(told, column, np.nan) for column in measured.pair_cosine.T)
        add_band(figure, depths, low, high, colour, f"lane{lane}")
        figure.add_scatter(
            x=depths,
            y=mean,
            name=name,
            mode="lines+markers",
            legendgroup=f"lane{lane}",
            line={"color": colour, "width": 2, "dash": style.dash},
            marker={"symbol": style.symbol, "size": 5, "color": colour},
            hovertemplate="%{fullData.name}<br>%{x} layers: %{y:.2g}<extra></extra>",
        )
    if deepest:
        x = np.arange(1, min(deepest, 13) + 1)
        figure.add_scatter(
            x=x,
            y=0.5**x,
            name="2<sup>−L</sup>",
            mode="lines",
            line={"color": muted(theme), "width": 1.5, "dash": "dot"},
            hovertemplate="2<sup>−L</sup>, L = %{x}: %{y:.2g}<extra></extra>",
        )
    figure.update_yaxes(type="log", exponentformat="power", dtick=1, range=[-4.2, 0.1])
    figure.update_layout(showlegend=True)
    return figure


def _nearest(measured: ShatteredGradients, depth: int | None) -> int:
    if depth is None:
        return len(measured.depths) - 1
    return int(np.abs(np.asarray(measured.depths) - depth).argmin())
