"""Evidence over an image, net beside net."""

from __future__ import annotations

import math
from collections.abc import Sequence
from textwrap import wrap
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from explorer.drawing.evidence import OPACITY, SMALL, against_and_for, place_picture
from explorer.drawing.palette import LANE_STYLES, Theme, base_figure, faded, ink, lane_style
from explorer.instruments.attribution.ask import Ask, Show
from explorer.instruments.attribution.result import Attribution
from explorer.instruments.contract import Lane, Style
from explorer.instruments.decisions import Decision

PICTURE, LINE = 232, 19  # pixels: height of one picture, and of a line above it
LETTERS = {1: 44, 2: 20}  # of a net's name on a line, by the number of columns


def figure(lanes: Sequence[Lane[Attribution]], ask: Ask, show: Show, style: Style) -> go.Figure:
    """The picture, then each net's map over it: orange speaks for the class, blue against it.

    Every map is coloured by its own greatest value, because logits of different nets have
    different sizes; the values are in the hover text. Images of at most 64 pixels a side are
    shown as squares; larger ones, and coarse maps over them, smoothly.
    """
    theme = style.theme
    panels = 1 + len(lanes) if lanes else 0
    columns = max(1, min(2 if style.narrow else 4, panels))
    rows = math.ceil(panels / columns)
    titles = [_titled(lane.name, lane.result.decision, columns) for lane in lanes]
    room = LINE * max((title.count("<br>") + 1 for title in titles), default=1)
    made = base_figure(theme, x="", y="", height=max(1, rows) * (PICTURE + room) + 66)
    made.update_layout(margin={"l": 8, "r": 8, "t": 8, "b": 58}, showlegend=False)
    if not lanes:
        return made.update_layout(xaxis={"visible": False}, yaxis={"visible": False})
    first = lanes[0].result
    for place in range(panels):
        _panel(made, place, rows, columns, first.picture.shape[:2], room)
    _title(made, 0, first.decision.image, ink(theme))
    place_picture(made, "", first.picture)
    for place, lane in enumerate(lanes, start=1):
        place_picture(made, _end(place), _dimmed(lane.result.picture, theme))
        _heat(made, place, lane.result)
        _title(made, place, titles[place - 1], lane_style(lane.index).colour(theme))
    signed = any(lane.result.method != "saliency" for lane in lanes)
    made.update_layout(coloraxis=_colours(theme, signed=signed))
    return made


def _titled(name: str, decision: Decision, columns: int) -> str:
    lines = wrap(name, LETTERS.get(columns, 28))
    of = f"for {decision.target_name}, {decision.probability * 100:.1f} %"
    return f"<b>{'<br>'.join(lines)}</b><br>{of}"


def _panel(
    figure: go.Figure,
    place: int,
    rows: int,
    columns: int,
    shape: tuple[int, ...],
    title_height: float,
) -> None:
    """Axes of one picture: square pixels, the first row on top, nothing written on them."""
    row, column = divmod(place, columns)
    end = _end(place)
    gap, room = 0.03, title_height / (rows * (PICTURE + title_height))
    left, top = column / columns, 1 - row / rows
    shared: dict[str, Any] = {
        "visible": False,
        "constrain": "domain",
        "fixedrange": False,
        "title": None,
    }
    figure.layout[f"xaxis{end}"] = {
        **shared,
        "anchor": f"y{end}",
        "domain": [left + gap / 2, left + 1 / columns - gap / 2],
        "range": [-0.5, shape[1] - 0.5],
    }
    figure.layout[f"yaxis{end}"] = {
        **shared,
        "anchor": f"x{end}",
        "domain": [top - 1 / rows + 0.01, top - room],
        "range": [shape[0] - 0.5, -0.5],
        "scaleanchor": f"x{end}",
    }


def _end(place: int) -> str:
    """What follows the letter in the names of a panel's axes."""
    return "" if place == 0 else str(place + 1)


def _axes(place: int) -> dict[str, str]:
    return {"xaxis": f"x{_end(place)}", "yaxis": f"y{_end(place)}"}


def _title(figure: go.Figure, place: int, text: str, colour: str) -> None:
    axes = _axes(place)
    figure.add_annotation(
        text=text,
        xref=f"{axes['xaxis']} domain",
        yref=f"{axes['yaxis']} domain",
        x=0.5,
        y=1,
        yanchor="bottom",
        showarrow=False,
        font={"color": colour, "size": 13},
    )


def _dimmed(pixels: NDArray[np.uint8], theme: Theme) -> NDArray[np.uint8]:
    """Grey and pale, so that the map's colours are what one sees; (H, W, 1)."""
    grey = pixels.astype(np.float64).mean(2, keepdims=True) / 255
    low, high = (0.02, 0.26) if theme == "dark" else (0.8, 1.0)
    return np.asarray((low + (high - low) * grey) * 255).round().astype(np.uint8)


def _heat(figure: go.Figure, place: int, result: Attribution) -> None:
    values = result.values
    size = result.picture.shape[:2]
    most = float(np.abs(values).max()) if values.size else 0.0
    step = size[0] / values.shape[0], size[1] / values.shape[1]
    figure.add_heatmap(
        z=_short(values / most if most else values),
        customdata=_short(values),
        x0=step[1] / 2 - 0.5,
        dx=step[1],
        y0=step[0] / 2 - 0.5,
        dy=step[0],
        zsmooth="best" if max(size) > SMALL and min(values.shape) > 1 else False,
        coloraxis="coloraxis",
        hovertemplate="row %{y:.0f}, column %{x:.0f}: %{customdata:.3g}<extra></extra>",
        **_axes(place),
    )


def _short(values: NDArray[np.float64]) -> NDArray[np.float32]:
    """Enough digits for a picture."""
    return values.astype(np.float32)


def _colours(theme: Theme, *, signed: bool) -> dict[str, Any]:
    favour = LANE_STYLES[0].colour(theme)
    alone = [[at, faded(favour, opacity)] for at, opacity in OPACITY]
    ticks = {"tickvals": [-1, 0, 1], "ticktext": ["against", "0", "for the class"]}
    if not signed:
        ticks = {"tickvals": [0, 1], "ticktext": ["none", "most"]}
    return {
        "cmin": -1 if signed else 0,
        "cmax": 1,
        "colorscale": against_and_for(theme) if signed else alone,
        "colorbar": {
            "orientation": "h",
            "y": 0,
            "yanchor": "top",
            "len": 0.7,
            "thickness": 10,
            "outlinewidth": 0,
            "tickfont": {"color": ink(theme), "size": 13},
            **ticks,
        },
    }
