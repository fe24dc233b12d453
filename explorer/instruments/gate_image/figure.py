"""Every unit's gate over the image, tile by tile."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from explorer.drawing.heat import colour_bar, sequential
from explorer.drawing.palette import base_figure, muted
from explorer.instruments.contract import Lane, Style
from explorer.instruments.gate_image.ask import Ask, Show
from explorer.instruments.gate_image.result import GateImage
from explorer.instruments.gate_words import symbols
from explorer.results.common import Floats
from explorer.results.png import to_png


def figure(lanes: Sequence[Lane[GateImage]], ask: Ask, show: Show, style: Style) -> go.Figure:
    """The image, then every unit in forward order, on one colour scale.

    Of the first net alone: it has a map for every unit.
    """
    theme = style.theme
    if not lanes:
        return base_figure(theme, x="", y="")
    result = lanes[0].result
    side = max(max(values.shape) for values in result.maps)
    tiles = [_enlarged(values, side) for values in result.maps]
    names = list(result.units)
    if result.picture is not None:
        tiles.insert(0, np.full((side, side), np.nan))
        names.insert(0, result.image_name)
    columns = min(len(tiles), max(4, math.ceil(math.sqrt(len(tiles) * 1.6))))
    rows = math.ceil(len(tiles) / columns)
    across, down = side + max(1, side // 8), side + max(2, side // 2)  # room for the numbers
    whole = np.full((rows * down, columns * across), np.nan)
    text = np.full(whole.shape, "", dtype=object)
    height = 40 + 120 * rows
    made = base_figure(theme, x="", y="", height=height // 2 if style.narrow else height)
    for i, (tile, name) in enumerate(zip(tiles, names, strict=True)):
        top, left = i // columns * down, i % columns * across
        whole[top : top + side, left : left + side] = tile
        text[top : top + side, left : left + side] = name
        number = i + (result.picture is None)
        made.add_annotation(
            x=left - 0.5,
            y=top - 0.5,
            text="image" if number == 0 else str(number),
            xanchor="left",
            yanchor="bottom",
            showarrow=False,
            font={"size": 12, "color": muted(theme)},
        )
    made.add_heatmap(
        z=whole,
        text=text,
        colorscale=sequential(theme),
        colorbar=colour_bar(theme, symbols([result.gate])),
        hovertemplate="%{text}: %{z:.3f}<extra></extra>",
        hoverongaps=False,
    )
    if result.picture is not None:
        made.add_layout_image(
            source=f"data:image/png;base64,{to_png(result.picture)}",
            xref="x",
            yref="y",
            x=-0.5,
            y=-0.5,
            sizex=side,
            sizey=side,
            sizing="contain",
            layer="above",
        )
    made.update_xaxes(visible=False, range=[-1, whole.shape[1]])
    made.update_yaxes(
        visible=False,
        range=[whole.shape[0], side - down],
        scaleanchor="x",
        constrain="domain",
        constraintoward="top",
    )
    made.update_layout(margin={"l": 12, "r": 12, "t": 8, "b": 12})
    return made


def _enlarged(values: Floats, side: int) -> Floats:
    """Pixels repeated until the map is as large as the largest; missing edges stay empty."""
    factor = max(1, side // max(values.shape))
    large = np.kron(values, np.ones((factor, factor)))
    tile = np.full((side, side), np.nan)
    tile[: large.shape[0], : large.shape[1]] = large
    return tile
