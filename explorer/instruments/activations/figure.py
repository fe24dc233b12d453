"""Maps of units for one image, tile beside tile."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from explorer.drawing.evidence import against_and_for, place_picture
from explorer.drawing.palette import Theme, base_figure, ink, lane_style, muted
from explorer.instruments.activations.ask import Ask, Show
from explorer.instruments.activations.result import ActivationMaps, UnitMaps
from explorer.instruments.contract import Lane, Style

TILE, NARROW_TILE = 62, 46  # pixels a side on the screen, up to 8 columns the latter
ROOM = 34  # above a unit's tiles, for its words


def figure(lanes: Sequence[Lane[ActivationMaps]], ask: Ask, show: Show, style: Style) -> go.Figure:
    """A row of tiles for each unit, net under net; the picture comes first.

    Orange is above 0 and blue below, each unit by its own greatest magnitude. The values are in
    the hover text.
    """
    theme, columns = style.theme, 8 if style.narrow else 16
    made = base_figure(theme, x="", y="")
    tile = TILE if columns > 8 else NARROW_TILE
    heights = [
        sum(ROOM + tile * -(-len(unit.channels) // columns) for unit in lane.result.units)
        for lane in lanes
    ]
    height = sum(heights) + 26 * len(lanes) + (tile + ROOM if lanes else 0) + 16
    made.update_layout(
        height=max(120, height), margin={"l": 8, "r": 8, "t": 8, "b": 8}, showlegend=False
    )
    made.update_layout(xaxis={"visible": False}, yaxis={"visible": False})
    if not lanes:
        return made
    wide = height - 16
    at = 0.0  # from the top, in pixels
    first = lanes[0].result
    number = _panel(made, 0, (at + ROOM - 8, at + ROOM - 8 + tile), wide, (0.0, 1 / columns))
    place_picture(made, number, first.picture)
    size = first.picture.shape
    made.layout[f"xaxis{number}"].range = [-0.5, size[1] - 0.5]
    made.layout[f"yaxis{number}"].range = [size[0] - 0.5, -0.5]
    _words(made, first.image, at + ROOM - 8, wide, ink(theme))
    legend = "orange above 0, blue below,<br>each block by its own greatest"
    middle = at + ROOM - 8 + tile * 0.8
    _words(made, legend, middle, wide, muted(theme), x=1.25 / columns, align="left")
    at += tile + ROOM
    panel = 1
    for lane in lanes:
        _words(made, f"<b>{lane.name}</b>", at + 22, wide, lane_style(lane.index).colour(theme))
        at += 26
        for unit in lane.result.units:
            rows = -(-len(unit.channels) // columns)
            inside = (at + ROOM - 4, at + ROOM - 4 + rows * tile)
            number = _panel(made, panel, inside, wide, (0.0, 1.0))
            _tiles(made, number, unit, columns, theme)
            shape = "×".join(map(str, unit.shape))
            words = f"{unit.name}: {shape}, channels {_numbers(unit.channels, columns // 2)}"
            _words(made, words, at + ROOM - 6, wide, muted(theme))
            at += ROOM + rows * tile
            panel += 1
    return made


def _tiles(figure: go.Figure, number: str, unit: UnitMaps, columns: int, theme: Theme) -> None:
    more = max(1, 16 // unit.maps.shape[2])  # so that gaps can be narrow beside coarse maps
    maps = unit.maps.repeat(more, axis=1).repeat(more, axis=2)
    count, height, width = maps.shape
    rows = -(-count // columns)
    gap = max(1, width // 8)
    whole = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap), np.nan)
    for i, values in enumerate(maps):
        top, left = i // columns * (height + gap), i % columns * (width + gap)
        whole[top : top + height, left : left + width] = values
    most = float(np.abs(unit.maps).max()) or 1.0
    figure.add_heatmap(
        z=(whole / most).astype(np.float32),
        customdata=whole.astype(np.float32),
        colorscale=against_and_for(theme),
        zmin=-1,
        zmax=1,
        showscale=False,
        hoverongaps=False,
        hovertemplate=f"{unit.name}: %{{customdata:.3g}}<extra></extra>",
        xaxis=f"x{number}",
        yaxis=f"y{number}",
    )
    figure.layout[f"xaxis{number}"].range = [-0.5, whole.shape[1] - 0.5]
    figure.layout[f"yaxis{number}"].range = [whole.shape[0] - 0.5, -0.5]


def _panel(
    figure: go.Figure,
    index: int,
    inside: tuple[float, float],
    wide: float,
    across: tuple[float, float],
) -> str:
    """Axes of square pixels between two distances from the top; their number."""
    number = "" if index == 0 else str(index + 1)
    shared = {"visible": False, "constrain": "domain"}
    figure.layout[f"xaxis{number}"] = {
        **shared,
        "anchor": f"y{number}",
        "domain": list(across),
        "constraintoward": "left",
    }
    figure.layout[f"yaxis{number}"] = {
        **shared,
        "anchor": f"x{number}",
        "domain": [max(0.0, 1 - inside[1] / wide), 1 - inside[0] / wide],
        "scaleanchor": f"x{number}",
        "constraintoward": "top",
    }
    return number


def _words(
    figure: go.Figure,
    text: str,
    bottom: float,
    wide: float,
    colour: str,
    **more: Any,
) -> None:
    """Text that ends so many pixels from the top."""
    figure.add_annotation(
        **{
            "text": text,
            "xref": "paper",
            "yref": "paper",
            "x": 0,
            "y": 1 - bottom / wide,
            "xanchor": "left",
            "yanchor": "bottom",
            "showarrow": False,
            "font": {"color": colour, "size": 13},
            **more,
        }
    )


def _numbers(channels: Sequence[int], most: int) -> str:
    shown = ", ".join(map(str, channels[:most]))
    return f"{shown} …" if len(channels) > most else shown
