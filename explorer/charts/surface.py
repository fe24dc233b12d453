"""The loss around the weights: contours, a surface, a line (Li18)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from explorer.charts.heat import decades, panels, place, sequential
from explorer.charts.palette import Theme, base_figure, ink, lane_style, line, muted
from explorer.charts.strip import bar_below
from explorer.results import Floats, LossSurface

Lanes = Sequence[tuple[int, str, LossSurface]]
FLOOR = 1e-3  # nats: what is less is drawn as this


def contour_figure(
    lanes: Lanes, *, cap: float = 10.0, columns: int = 2, theme: Theme = "light"
) -> go.Figure:
    """Contours of the log of the loss, lane beside lane, all on one scale.

    Shows the finest grid that is complete, so that a partial result is a coarse picture.

    Args:
        cap: Nats; what is more, or infinite, has the last colour.
        columns: Panels beside each other.
    """
    figure = panels(
        theme, [name for _, name, _ in lanes], x="α", y="β", columns=columns, row_height=300
    )
    low, high = _range(lanes, cap)
    step = max(0.05, round((high - low) / 12, 2))
    for index, (_, name, surface) in enumerate(lanes):
        grid = surface.finest()
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
            name=name,
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


def surface_figure(
    lanes: Lanes, *, cap: float = 10.0, columns: int = 2, theme: Theme = "light"
) -> go.Figure:
    """The same as surfaces in space, to be turned by hand."""
    columns = max(1, min(columns, len(lanes)))
    rows = max(1, math.ceil(len(lanes) / columns))
    figure = make_subplots(
        rows=rows,
        cols=columns,
        specs=[[{"type": "scene"}] * columns] * rows,
        subplot_titles=[name for _, name, _ in lanes],
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
    for index, (_, name, surface) in enumerate(lanes):
        grid = surface.finest()
        if grid is not None and len(grid.betas) > 1:
            figure.add_surface(
                x=grid.alphas,
                y=grid.betas,
                z=np.clip(_log(grid.loss), low, high),
                customdata=np.stack([grid.loss, grid.accuracy * 100], axis=-1),
                coloraxis="coloraxis",
                name=name,
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


def loss_line_figure(lanes: Lanes, *, cap: float = 10.0, theme: Theme = "light") -> go.Figure:
    """Loss along the first direction, on a log axis; of a plane, its line β = 0."""
    figure = base_figure(theme, x="α, along one random direction", y="loss, log scale")
    low, high = _range(lanes, cap)
    for lane, name, surface in lanes:
        grid = surface.finest()
        if grid is None:
            continue
        row = int(np.abs(grid.betas).argmin())
        style = lane_style(lane)
        figure.add_scatter(
            x=grid.alphas,
            y=np.clip(
                np.where(np.isfinite(grid.loss[row]), grid.loss[row], 10.0**high), FLOOR, cap
            ),
            customdata=np.stack([grid.loss[row], grid.accuracy[row] * 100], axis=-1),
            name=name,
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
    found = [surface.loss[np.isfinite(surface.loss)] for _, _, surface in lanes]
    every = np.concatenate(found) if found else np.empty(0)
    high = math.log10(cap)
    if every.size == 0:
        return math.log10(FLOOR), high
    low = math.log10(min(max(float(every.min()), FLOOR), cap / 10))
    return low, min(high, max(math.log10(max(float(every.max()), FLOOR)), low + 1))
