"""Evidence over an image, net beside net; and the units that carried the decision."""

from __future__ import annotations

import math
from collections.abc import Sequence
from textwrap import wrap
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from explorer.charts.palette import (
    LANE_STYLES,
    Theme,
    base_figure,
    faded,
    ink,
    lane_style,
    line,
    muted,
)
from explorer.results import Attribution, Decision, UnitConductance
from explorer.results.attribution import to_png

SMALL = 64  # pixels a side, up to which an image is drawn as squares, not smoothed
PICTURE, LINE = 232, 19  # pixels: height of one picture, and of a line above it
LETTERS = {1: 44, 2: 20}  # of a net's name on a line, by the number of columns
BARS = 205  # height of one net's bars

Map = tuple[int, str, Attribution]


def attribution_figure(
    lanes: Sequence[Map], *, columns: int = 3, theme: Theme = "light"
) -> go.Figure:
    """The picture, then each net's map over it: orange speaks for the class, blue against it.

    Every map is coloured by its own greatest value, because logits of different nets have
    different sizes; the values are in the hover text. Images of at most 64 pixels a side are
    shown as squares; larger ones, and coarse maps over them, smoothly.

    Args:
        lanes: (lane index, name, result); results of one image.
        columns: Panels side by side; 2 for narrow screens.
    """
    panels = 1 + len(lanes) if lanes else 0
    columns = max(1, min(columns, panels))
    rows = math.ceil(panels / columns)
    titles = [_titled(name, result.decision, columns) for _, name, result in lanes]
    room = LINE * max((title.count("<br>") + 1 for title in titles), default=1)
    figure = base_figure(theme, x="", y="", height=max(1, rows) * (PICTURE + room) + 66)
    figure.update_layout(margin={"l": 8, "r": 8, "t": 8, "b": 58}, showlegend=False)
    if not lanes:
        return figure.update_layout(xaxis={"visible": False}, yaxis={"visible": False})
    first = lanes[0][2]
    for place in range(panels):
        _panel(figure, place, rows, columns, first.picture.shape[:2], room)
    _title(figure, 0, first.decision.image, ink(theme))
    place_picture(figure, "", first.picture)
    for place, (lane, _, result) in enumerate(lanes, start=1):
        place_picture(figure, _end(place), _dimmed(result.picture, theme))
        _heat(figure, place, result)
        _title(figure, place, titles[place - 1], lane_style(lane).colour(theme))
    signed = any(result.method != "saliency" for _, _, result in lanes)
    figure.update_layout(coloraxis=_colours(theme, signed=signed))
    return figure


def conductance_figure(
    lanes: Sequence[tuple[int, str, UnitConductance]], *, theme: Theme = "light"
) -> go.Figure:
    """One bar a unit in forward order: how much of the decision flows through its own layers.

    In logits; the dotted line is all there is, f(x) − f(x′), which a plain net's every unit
    carries. Deleted units have no bar; where no shortcut passes a unit by, in a net that has
    some, its bar is pale.
    """
    n = max(1, len(lanes))
    figure = base_figure(theme, x="block (1 is nearest the input)", y="", height=n * BARS + 90)
    figure.update_layout(showlegend=False, margin={"t": 46})
    axis = figure.layout.xaxis.to_plotly_json(), figure.layout.yaxis.to_plotly_json()
    gap = 70 / (n * BARS)
    for row, (lane, name, result) in enumerate(lanes):
        style, end = lane_style(lane), "" if row == 0 else str(row + 1)
        low, top = (n - row - 1) / n, (n - row) / n
        last = row == n - 1
        figure.layout[f"xaxis{end}"] = {
            **axis[0],
            "anchor": f"y{end}",
            "range": [0.25, len(result.units) + 0.75],
            "title": axis[0]["title"] if last else None,
        }
        figure.layout[f"yaxis{end}"] = {
            **axis[1],
            "anchor": f"x{end}",
            "domain": [low + (0 if last else gap), top],
            "title": {**axis[1]["title"], "text": "logits"},
        }
        kept = [unit not in result.decision.deleted for unit in result.units]
        numbers = np.flatnonzero(kept)
        pale = (result.shortcut[numbers] == 0) & bool(result.shortcut.any())
        figure.add_bar(
            x=numbers + 1,
            y=result.branch[numbers],
            customdata=[
                (result.units[i], float(result.shortcut[i]), float(result.errors()[i]))
                for i in numbers
            ],
            marker={"color": style.colour(theme), "opacity": np.where(pale, 0.35, 1.0)},
            xaxis=f"x{end}",
            yaxis=f"y{end}",
            name=name,
            hovertemplate=(
                "%{customdata[0]}<br>through its layers: %{y:.3g}<br>around them: "
                "%{customdata[1]:.3g}<br>error: %{customdata[2]:.2g}<extra></extra>"
            ),
        )
        for level, dash in ((result.whole, "dot"), (0.0, "solid")):
            figure.add_shape(
                type="line",
                xref=f"x{end} domain",
                yref=f"y{end}",
                x0=0,
                x1=1,
                y0=level,
                y1=level,
                line={"color": muted(theme) if level else line(theme), "width": 1, "dash": dash},
            )
        figure.add_annotation(
            text=f"<b>{name}</b><br>{_of(result.decision)} · all: {result.whole:.3g}",
            align="left",
            xref=f"x{end} domain",
            yref=f"y{end} domain",
            x=0,
            y=1,
            xanchor="left",
            yanchor="bottom",
            showarrow=False,
            font={"color": style.colour(theme), "size": 13},
        )
    return figure


def _of(decision: Decision) -> str:
    return f"for {decision.target_name}, {decision.probability * 100:.1f} %"


# ------------------------------------------------------------------------------------ panels


def _titled(name: str, decision: Decision, columns: int) -> str:
    lines = wrap(name, LETTERS.get(columns, 28))
    return f"<b>{'<br>'.join(lines)}</b><br>{_of(decision)}"


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


def place_picture(figure: go.Figure, number: str, pixels: NDArray[np.uint8]) -> None:
    """The pixels (H, W, C) on axes ``x<number>``: a PNG, a hundred times smaller than numbers."""
    height, width = pixels.shape[:2]
    figure.add_image(
        source="data:image/png;base64," + to_png(pixels),
        dx=1,
        dy=1,
        zsmooth="fast" if max(height, width) > SMALL else False,
        hoverinfo="skip",
        xaxis=f"x{number}",
        yaxis=f"y{number}",
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


def against_and_for(theme: Theme) -> list[Any]:
    """From blue over nothing to orange: what says little lets the picture through."""
    against, favour = LANE_STYLES[1].colour(theme), LANE_STYLES[0].colour(theme)
    below = [[(1 - at) / 2, faded(against, opacity)] for at, opacity in _OPACITY[::-1]]
    return below + [[(1 + at) / 2, faded(favour, opacity)] for at, opacity in _OPACITY]


_OPACITY = ((0.0, 0.0), (0.5, 0.6), (1.0, 0.95))  # of the way up from nothing


def _colours(theme: Theme, *, signed: bool) -> dict[str, Any]:
    favour = LANE_STYLES[0].colour(theme)
    alone = [[at, faded(favour, opacity)] for at, opacity in _OPACITY]
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
