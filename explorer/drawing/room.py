"""Room for a legend below the plot, whatever number of lines it takes.

Plotly makes room for a long legend by shrinking the plot, and then the legend, which hangs at a
share of the plot's height, slides over the axis's name; what does not fit is cut off.
"""

from __future__ import annotations

import math
import re
from textwrap import wrap
from typing import Any

import plotly.graph_objects as go

LINE = 20  # pixels of an entry's height at the house's font size
LETTER, SIGN = 6.8, 45  # mean width of a letter; width of an entry's sign and gaps


def room_for_legend(figure: go.Figure, width: float) -> go.Figure:
    """The figure, higher by what its legend needs, so that the plot keeps its own height.

    Names that are wider than the legend are broken into lines.

    Args:
        width: Pixels that the legend may take.
    """
    layout = figure.layout
    for trace in _entries(figure):
        if len(trace.name or "") > _letters(width):
            trace.name = "<br>".join(wrap(trace.name.replace("<br>", " "), _letters(width)))
    lines = legend_lines(figure, width)
    if lines <= 1 or layout.legend.y is None or layout.legend.y >= 0 or layout.sliders:
        return figure
    top, bottom = layout.margin.t or 0, layout.margin.b or 0
    plot = layout.height - top - bottom
    missing = math.ceil(-layout.legend.y * plot + lines * LINE + 10) - bottom
    if missing > 0:
        figure.update_layout(height=layout.height + missing, margin={"b": bottom + missing})
    return figure


def legend_lines(figure: go.Figure, width: float) -> int:
    """Lines of text that a horizontal legend takes; 0 where there is none.

    Entries of one group stand one below the other, and groups side by side, as many as fit.
    """
    groups: dict[str, list[list[str]]] = {}
    for place, trace in enumerate(_entries(figure)):
        group = trace.legendgroup or f"trace {place}"
        groups.setdefault(group, []).append((trace.name or "").split("<br>"))
    entries = sum(map(len, groups.values()))
    if entries == 0 or (entries == 1 and not figure.layout.showlegend):
        return 0
    lines, across, highest = 0, 0.0, 0
    for names in groups.values():
        own = SIGN + LETTER * max(_seen(line) for name in names for line in name)
        if across and across + own > width:
            lines, across, highest = lines + highest, 0.0, 0
        across += own
        highest = max(highest, sum(map(len, names)))
    return lines + highest


def _entries(figure: go.Figure) -> list[Any]:
    """Traces with a line in the legend; heat maps and the like have none unless they ask for it."""
    if figure.layout.showlegend is False:
        return []
    return [
        trace
        for trace in figure.data
        if trace.visible is not False
        and (trace.showlegend or (trace.showlegend is None and trace.type in ("scatter", "bar")))
    ]


def _letters(width: float) -> int:
    return int((width - SIGN) / LETTER)


def _seen(text: str) -> int:
    """Letters of a text without its tags."""
    return len(re.sub("<[^>]*>", "", text))
