"""Heat maps: panels with the house's axes, and two colour scales for either theme.

Both scales grow in lightness evenly enough to be told apart without colour vision; the diverging
one has its neutral colour, the paper's, at 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from explorer.drawing.palette import Theme, base_figure, ink, muted
from explorer.results import Floats

_SEQUENTIAL = {
    "light": ["#f4f1e8", "#c9d7dd", "#8fb3c9", "#4f86ae", "#1f568a", "#0d2c56"],
    "dark": ["#141a22", "#173a5c", "#22609a", "#4c93c9", "#95c6e6", "#eaf5fb"],
}
_DIVERGING = {
    "light": ["#8a2f10", "#cf7a50", "#f0cbb5", "#f7f5ee", "#bcd3e6", "#5a93c2", "#0b3f75"],
    "dark": ["#ffb18a", "#c9693f", "#6b3a28", "#171d26", "#234d73", "#4a8fc7", "#a6dbff"],
}
ROW_HEIGHT = 250


def sequential(theme: Theme) -> list[tuple[float, str]]:
    """From least to greatest."""
    return _spread(_SEQUENTIAL[theme])


def diverging(theme: Theme) -> list[tuple[float, str]]:
    """From negative to positive, neutral in the middle."""
    return _spread(_DIVERGING[theme])


def _spread(colours: Sequence[str]) -> list[tuple[float, str]]:
    return [(i / (len(colours) - 1), colour) for i, colour in enumerate(colours)]


def panels(
    theme: Theme,
    titles: Sequence[str],
    *,
    x: str,
    y: str,
    columns: int = 1,
    row_height: int = ROW_HEIGHT,
    gap: float = 58,
) -> go.Figure:
    """An empty grid of panels, in reading order; the axes' names stand at its edges.

    Args:
        gap: Pixels between two rows: room for ticks and the next title.
    """
    count = max(1, len(titles))
    columns = min(columns, count)
    rows = math.ceil(count / columns)
    top, bottom = 30, 56
    inner = rows * row_height + (rows - 1) * gap
    figure = make_subplots(
        rows=rows,
        cols=columns,
        subplot_titles=list(titles),
        vertical_spacing=0.0 if rows == 1 else gap / inner,
        horizontal_spacing=0.0 if columns == 1 else 0.24 / columns,
    )
    house = base_figure(theme, x="", y="").layout
    layout = house.to_plotly_json()
    axes = {name: layout.pop(name) for name in ("xaxis", "yaxis")}
    layout["height"] = int(inner) + top + bottom
    layout["margin"] = {**layout["margin"], "t": top, "b": bottom}
    figure.update_layout(layout)
    for axis in axes.values():
        axis["showgrid"] = False
        axis["title"].pop("text", None)
    figure.update_xaxes(axes["xaxis"])
    figure.update_yaxes(axes["yaxis"])
    figure.update_annotations(font={"size": 13, "color": ink(theme)})
    for column in range(1, columns + 1):
        last = rows if (rows - 1) * columns + column <= count else rows - 1
        figure.update_xaxes(title_text=x, row=last, col=column)
    for row in range(1, rows + 1):
        figure.update_yaxes(title_text=y, row=row, col=1)
    return figure


def place(index: int, columns: int) -> dict[str, int]:
    """Row and column of a panel, as plotly takes them."""
    return {"row": index // columns + 1, "col": index % columns + 1}


def colour_bar(theme: Theme, title: str, **changes: Any) -> dict[str, Any]:
    return {
        "thickness": 10,
        "outlinewidth": 0,
        "tickfont": {"color": muted(theme), "size": 12},
        "title": {"text": title, "font": {"color": muted(theme), "size": 12}, "side": "right"},
        **changes,
    }


def decades(low: float, high: float) -> dict[str, Any]:
    """Ticks of a colour bar whose values are log10: at most seven whole powers of ten."""
    if not (np.isfinite(low) and np.isfinite(high)):
        return {}
    first, last = math.ceil(low - 1e-9), math.floor(high + 1e-9)
    if first > last:  # less than a decade, and no whole power inside
        return {"tickvals": [low, high], "ticktext": [f"{10**low:.2g}", f"{10**high:.2g}"]}
    step = max(1, math.ceil((last - first) / 6))
    powers = list(range(first, last + 1, step))
    return {"tickvals": powers, "ticktext": [f"10<sup>{power}</sup>" for power in powers]}


def ragged(table: Sequence[Floats]) -> Floats:
    """Rows of different length as one array, NaN where a row has ended."""
    width = max((len(row) for row in table), default=0)
    whole = np.full((len(table), width), np.nan)
    for i, row in enumerate(table):
        whole[i, : len(row)] = row
    return whole
