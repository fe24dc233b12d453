"""The loss around the weights: contours, a surface, a line (Li18)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from explorer.drawing.heat import decades, panels, place, sequential
from explorer.drawing.palette import Theme, base_figure, ink, lane_style, line, muted
from explorer.drawing.strip import bar_below
from explorer.instruments.contract import Lane, Style
from explorer.instruments.surface.ask import Ask, Show
from explorer.instruments.surface.result import LossSurface
from explorer.results.common import Floats

Lanes = Sequence[Lane[LossSurface]]
FLOOR = 1e-3  # nats: what is less is drawn as this


def figure(lanes: Lanes, ask: Ask, show: Show, style: Style) -> go.Figure:
    """The finest grid that is complete, so that a partial result is a coarse picture.

    All lanes are on one scale; what is above ``cap`` nats, or infinite, has the last colour.
    """
    columns = 1 if style.narrow else 2
    if show.show == "line" or any(len(lane.result.betas) == 1 for lane in lanes):
        return _line(lanes, show.cap, style.theme)
    draw = _in_space if show.show == "space" else _contours
    return draw(lanes, show.cap, columns, style.theme)


def _contours(lanes: Lanes, cap: float, columns: int, theme: Theme) -> go.Figure:
    """Contours of the log of the loss, lane beside lane."""
    figure = panels(
        theme, [lane.name for lane in lanes], x="α", y="β", columns=columns, row_height=300
    )
    low, high = _range(lanes, cap)
    step = max(0.05, round((high - low) / 12, 2))
    for index, lane in enumerate(lanes):
        grid = lane.result.finest()
        if grid is None or len(grid.betas) == 1:
            continue
        figure.add_contour(
            x=grid.alphas,
            y=grid.betas,
            z=np.clip(_log(grid.loss), low, high),
            customdata=np.stack([grid.loss, grid.accuracy * 100], axis=-1),
            coloraxis="coloraxis",
            contours={"start": low, "end": high, "size": step},
            line={"width": 0.6, "color": muted(theme)},
            name=lane.name,
            hovertemplate=_HOVER,
            **place(index, columns),
        )
        figure.add_scatter(
            x=[0],
            y=[0],
            mode="markers",
            marker={"symbol": "x-thin", "size": 8, "line": {"width": 2, "color": ink(theme)}},
            hoverinfo="skip",
            showlegend=False,
            **place(index, columns),
        )
    figure.update_xaxes(constrain="domain")
    for index in range(len(lanes)):
        x_axis = figure.get_subplot(**place(index, columns)).yaxis.anchor
        figure.update_yaxes(scaleanchor=x_axis, constrain="domain", **place(index, columns))
    figure.update_layout(coloraxis={"colorscale": sequential(theme), "cmin": low, "cmax": high})
    return bar_below(figure, theme, "loss, log scale", **decades(low, high))


def _in_space(lanes: Lanes, cap: float, columns: int, theme: Theme) -> go.Figure:
    """The same as surfaces in space, to be turned by hand."""
    columns = max(1, min(columns, len(lanes)))
    rows = max(1, math.ceil(len(lanes) / columns))
    figure = make_subplots(
        rows=rows,
        cols=columns,
        specs=[[{"type": "scene"}] * columns] * rows,
        subplot_titles=[lane.name for lane in lanes],
        horizontal_spacing=0.02,
        vertical_spacing=0.06,
    )
    layout = base_figure(theme, x="", y="").layout.to_plotly_json()
    for axis in ("xaxis", "yaxis"):
        layout.pop(axis)
    figure.update_layout(
        {**layout, "height": 400 * rows, "margin": {"l": 4, "r": 4, "t": 30, "b": 4}}
    )
    figure.update_annotations(font={"size": 13, "color": ink(theme)})
    low, high = _range(lanes, cap)
    for index, lane in enumerate(lanes):
        grid = lane.result.finest()
        if grid is not None and len(grid.betas) > 1:
            figure.add_surface(
                x=grid.alphas,
                y=grid.betas,
                z=np.clip(_log(grid.loss), low, high),
                customdata=np.stack([grid.loss, grid.accuracy * 100], axis=-1),
                coloraxis="coloraxis",
                name=lane.name,
                hovertemplate=_HOVER,
                **place(index, columns),
            )
    house: dict[str, Any] = {
        "gridcolor": line(theme),
        "color": muted(theme),
        "showbackground": False,
        "nticks": 5,
    }
    figure.update_scenes(
        xaxis={**house, "title": {"text": "α"}},
        yaxis={**house, "title": {"text": "β"}},
        zaxis={**house, **decades(low, high), "title": {"text": ""}, "range": [low, high + 0.1]},
        aspectmode="cube",
        camera={"eye": {"x": 1.6, "y": -1.6, "z": 1.0}},
    )
    figure.update_layout(coloraxis={"colorscale": sequential(theme), "cmin": low, "cmax": high})
    return bar_below(figure, theme, "loss, log scale", **decades(low, high))


def _line(lanes: Lanes, cap: float, theme: Theme) -> go.Figure:
    """Loss along the first direction, on a log axis; of a plane, its line β = 0."""
    figure = base_figure(theme, x="α, along one random direction", y="loss, log scale", height=380)
    low, high = _range(lanes, cap)
    for lane in lanes:
        grid = lane.result.finest()
        if grid is None:
            continue
        row = int(np.abs(grid.betas).argmin())
        style = lane_style(lane.index)
        figure.add_scatter(
            x=grid.alphas,
            y=np.clip(
                np.where(np.isfinite(grid.loss[row]), grid.loss[row], 10.0**high), FLOOR, cap
            ),
            customdata=np.stack([grid.loss[row], grid.accuracy[row] * 100], axis=-1),
            name=lane.name,
            mode="lines+markers",
            line={"color": style.colour(theme), "width": 2, "dash": style.dash},
            marker={"symbol": style.symbol, "size": 5, "color": style.colour(theme)},
            hovertemplate="%{fullData.name}<br>α = %{x:.3f}: loss %{customdata[0]:.3g}, "
            "accuracy %{customdata[1]:.1f} %<extra></extra>",
        )
    figure.update_yaxes(type="log", exponentformat="power", dtick=1, range=[low, high + 0.05])
    figure.update_layout(showlegend=True)
    return figure


_HOVER = (
    "%{fullData.name}<br>α = %{x:.3f}, β = %{y:.3f}<br>loss %{customdata[0]:.3g}, "
    "accuracy %{customdata[1]:.1f} %<extra></extra>"
)


def _log(loss: Floats) -> Floats:
    with np.errstate(divide="ignore"):
        return np.asarray(np.log10(loss), dtype=np.float64)


def _range(lanes: Lanes, cap: float) -> tuple[float, float]:
    """log10 of the least and the greatest loss drawn, the same for every lane."""
    found = [loss[np.isfinite(loss)] for loss in (lane.result.loss for lane in lanes)]
    every = np.concatenate(found) if found else np.empty(0)
    high = math.log10(cap)
    if every.size == 0:
        return math.log10(FLOOR), high
    low = math.log10(min(max(float(every.min()), FLOOR), cap / 10))
    return low, min(high, max(math.log10(max(float(every.max()), FLOOR)), low + 1))
