"""Gates by unit, by channel, by place, and how they are spread (SGS15 Fig 2 and 3)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from explorer.charts.heat import colour_bar, diverging, panels, place, ragged, sequential
from explorer.charts.palette import Theme, base_figure, faded, lane_style, muted
from explorer.charts.plain import as_text
from explorer.results import Floats, GateDistribution, GateImage, GateMaps, GateMeans

_BLOCK = "block (1 is nearest the input)"
_TITLES = {
    "bias_before": "bias, before training",
    "bias": "bias, now",
    "mean": "mean over {n:,} {images} images",
    "class_difference": "{class_name}: its mean less the mean",
    "sample": "for {sample_name}",
    "output": "block outputs for {sample_name}",
}


_BARS = {"gate": "gate", "bias": "bias", "difference": "class − all", "output": "output"}


def _symbol(kinds: Sequence[str]) -> str:
    """What the gates are called: of highway units T, of gated shortcuts g."""
    names = {"transform": "T(x)", "shortcut": "g(x)"}
    return " or ".join(dict.fromkeys(names[kind] for kind in kinds)) or "T(x)"


def gate_figure(
    lanes: Sequence[tuple[int, str, GateMeans]], *, theme: Theme = "light"
) -> go.Figure:
    """Mean gate of each unit, with a band of one standard deviation."""
    figure = base_figure(theme, x=_BLOCK, y=_symbol([gates.gate for _, _, gates in lanes]))
    for lane, name, gates in lanes:
        style = lane_style(lane)
        colour = style.colour(theme)
        x = np.arange(1, len(gates.units) + 1)
        if np.any(gates.sd > 0):
            figure.add_scatter(
                x=np.concatenate([x, x[::-1]]),
                y=np.clip(
                    np.concatenate([gates.mean + gates.sd, (gates.mean - gates.sd)[::-1]]), 0, 1
                ),
                mode="lines",
                fill="toself",
                fillcolor=faded(colour, 0.14),
                line={"width": 0},
                hoverinfo="skip",
                showlegend=False,
                legendgroup=f"lane{lane}",
                name=f"{name}, ± 1 sd",
            )
        figure.add_scatter(
            x=x,
            y=gates.mean,
            name=name,
            text=list(gates.units),
            mode="lines+markers",
            legendgroup=f"lane{lane}",
            line={"color": colour, "width": 2, "dash": style.dash},
            marker={"symbol": style.symbol, "size": 5, "color": colour},
            hovertemplate="%{fullData.name}<br>%{text}: %{y:.3f}<extra></extra>",
        )
    figure.update_yaxes(range=[0, 1.02])
    figure.update_layout(showlegend=True)
    return figure


def gate_map_figure(
    lanes: Sequence[tuple[int, str, GateMaps]],
    *,
    tables: Sequence[str] | None = None,
    columns: int = 2,
    theme: Theme = "light",
) -> go.Figure:
    """Heat maps, block × unit (or channel): SGS15 Fig 2, and Fig 3 with a class.

    Gates share one scale from 0 to 1; biases, outputs and differences have each their own, the
    same for all nets, the latter two with 0 in the neutral colour.

    Args:
        tables: Names of :meth:`GateMaps.tables`, in the order wanted; None draws all.
        columns: Panels in a row.
    """
    drawn = [
        (name, maps, key)
        for _, name, maps in lanes
        for key in (maps.tables() if tables is None else tables)
        if key in maps.tables()
    ]
    titles = [
        (f"{name}: " if len(lanes) > 1 else "")
        + _TITLES[key].format(
            n=maps.n_images,
            images=maps.images,
            class_name=as_text(maps.class_name or ""),
            sample_name=maps.sample_name,
        )
        for name, maps, key in drawn
    ]
    columns = min(columns, max(1, len(drawn)))
    figure = panels(theme, titles, x="unit or channel", y="block (1: input)", columns=columns)
    used = list(dict.fromkeys(_scale(key) for _, _, key in drawn))
    for i, (name, maps, key) in enumerate(drawn):
        table = ragged(maps.tables()[key])
        figure.add_heatmap(
            y=np.arange(1, len(maps.units) + 1),
            z=table,
            text=np.repeat(np.asarray(maps.units)[:, None], table.shape[1], axis=1),
            name=name,
            coloraxis=_axis(used.index(_scale(key))),
            hovertemplate="%{text}, unit %{x}: %{z:.3g}<extra></extra>",
            **place(i, columns),
        )
    first = [next(i for i, row in enumerate(drawn) if _scale(row[2]) == key) for key in used]
    rows = [i // columns for i in first]
    for i, key in enumerate(used):
        tables_of = [maps.tables()[k] for _, maps, k in drawn if _scale(k) == key]
        low, high = _range(key, tables_of)
        # Beside the first panel that it is for; two bars of one row stand one above the other.
        bottom, top = figure.layout[_axis(first[i]).replace("coloraxis", "yaxis")].domain
        beside = [k for k in range(len(used)) if rows[k] == rows[i]]
        part = (top - bottom) / len(beside)
        middle = top - part * (beside.index(i) + 0.5)
        bar = colour_bar(theme, _BARS[key], len=part, y=middle, yanchor="middle")
        colours = sequential(theme) if key in ("gate", "bias") else diverging(theme)
        axis = {"cmin": low, "cmax": high, "colorscale": colours, "colorbar": bar}
        figure.update_layout({_axis(i): axis})
    return figure


def _scale(key: str) -> str:
    return {"mean": "gate", "sample": "gate", "class_difference": "difference"}.get(
        key, "bias" if key.startswith("bias") else "output"
    )


def _axis(place: int) -> str:
    return "coloraxis" if place == 0 else f"coloraxis{place + 1}"


def _range(key: str, tables: Sequence[Sequence[Floats]]) -> tuple[float, float]:
    """Gates: 0 to 1. Else the values' own; where they have a sign, 0 is in the middle.

    Of outputs and differences it holds 99.5 %: a few outliers saturate.
    """
    if key == "gate":
        return 0.0, 1.0
    values = np.concatenate([row for table in tables for row in table])
    if key == "bias":
        return float(values.min()), float(values.max())
    high = float(np.quantile(np.abs(values), 0.995)) or 1.0
    return -high, high


def gate_distribution_figure(
    lanes: Sequence[tuple[int, str, GateDistribution]], *, theme: Theme = "light"
) -> go.Figure:
    """Median gate of each unit, with bands that hold half and 90 % of the values."""
    figure = base_figure(
        theme, x=_BLOCK, y=_symbol([gates.gate for _, _, gates in lanes]), height=340
    )
    for lane, name, gates in lanes:
        style = lane_style(lane)
        colour = style.colour(theme)
        x = np.arange(1, len(gates.units) + 1)
        middle = len(gates.levels) // 2
        for k in range(middle):
            low, high = gates.quantiles[:, k], gates.quantiles[:, -1 - k]
            share = gates.levels[-1 - k] - gates.levels[k]
            figure.add_scatter(
                x=np.concatenate([x, x[::-1]]),
                y=np.concatenate([high, low[::-1]]),
                mode="lines",
                fill="toself",
                fillcolor=faded(colour, 0.12 + 0.1 * k),
                line={"width": 0},
                hoverinfo="skip",
                showlegend=False,
                legendgroup=f"lane{lane}",
                name=f"{name}, {100 * share:.0f} %",
            )
        figure.add_scatter(
            x=x,
            y=gates.quantiles[:, middle],
            name=f"{name}, median",
            text=list(gates.units),
            customdata=gates.quantiles,
            mode="lines+markers",
            legendgroup=f"lane{lane}",
            line={"color": colour, "width": 2, "dash": style.dash},
            marker={"symbol": style.symbol, "size": 5, "color": colour},
            hovertemplate="%{fullData.name}<br>%{text}: %{y:.3f} (%{customdata[0]:.3f} to "
            "%{customdata[4]:.3f})<extra></extra>",
        )
    figure.update_yaxes(range=[0, 1.02])
    figure.update_layout(showlegend=True)
    return figure


def gate_image_figure(
    result: GateImage, *, picture: str | None = None, theme: Theme = "light"
) -> go.Figure:
    """Every unit's gate over the image, tile by tile in forward order, on one colour scale.

    Args:
        picture: The image as a PNG in base64; it is the first tile, where it is given.
    """
    side = max(max(values.shape) for values in result.maps)
    tiles = [_enlarged(values, side) for values in result.maps]
    names = list(result.units)
    if picture is not None:
        tiles.insert(0, np.full((side, side), np.nan))
        names.insert(0, result.image_name)
    columns = min(len(tiles), max(4, math.ceil(math.sqrt(len(tiles) * 1.6))))
    rows = math.ceil(len(tiles) / columns)
    across, down = side + max(1, side // 8), side + max(2, side // 2)  # room for the numbers
    whole = np.full((rows * down, columns * across), np.nan)
    text = np.full(whole.shape, "", dtype=object)
    figure = base_figure(theme, x="", y="", height=40 + 120 * rows)
    for i, (tile, name) in enumerate(zip(tiles, names, strict=True)):
        top, left = i // columns * down, i % columns * across
        whole[top : top + side, left : left + side] = tile
        text[top : top + side, left : left + side] = name
        number = i + (picture is None)
        figure.add_annotation(
            x=left - 0.5,
            y=top - 0.5,
            text="image" if number == 0 else str(number),
            xanchor="left",
            yanchor="bottom",
            showarrow=False,
            font={"size": 12, "color": muted(theme)},
        )
    figure.add_heatmap(
        z=whole,
        text=text,
        colorscale=sequential(theme),
        colorbar=colour_bar(theme, _symbol([result.gate])),
        hovertemplate="%{text}: %{z:.3f}<extra></extra>",
        hoverongaps=False,
    )
    if picture is not None:
        figure.add_layout_image(
            source=f"data:image/png;base64,{picture}",
            xref="x",
            yref="y",
            x=-0.5,
            y=-0.5,
            sizex=side,
            sizey=side,
            sizing="contain",
            layer="above",
        )
    figure.update_xaxes(visible=False, range=[-1, whole.shape[1]])
    figure.update_yaxes(
        visible=False,
        range=[whole.shape[0], side - down],
        scaleanchor="x",
        constrain="domain",
        constraintoward="top",
    )
    figure.update_layout(margin={"l": 12, "r": 12, "t": 8, "b": 12})
    return figure


def _enlarged(values: Floats, side: int) -> Floats:
    """Pixels repeated until the map is as large as the largest; missing edges stay empty."""
    factor = max(1, side // max(values.shape))
    large = np.kron(values, np.ones((factor, factor)))
    tile = np.full((side, side), np.nan)
    tile[: large.shape[0], : large.shape[1]] = large
    return tile
