"""Why the gradient vanishes: a curve a cause, a panel for shortcuts and batch norm on and off."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from explorer.drawing.heat import panels, place
from explorer.drawing.palette import Theme, faded, ink, lane_style
from explorer.instruments.contract import Lane, Style
from explorer.instruments.log_axis import above_zero
from explorer.instruments.vanishing.ask import Ask, Show
from explorer.instruments.vanishing.result import PANELS, Cause, VanishingCauses
from explorer.instruments.vanishing.texts import CEILING, FLOOR, cause_words, panel_words

_LANES: dict[Cause, int] = {"sigmoid": 0, "scale": 1, "zeros": 2, "tanh": 3}


def figure(lanes: Sequence[Lane[VanishingCauses]], ask: Ask, show: Show, style: Style) -> go.Figure:
    """Gradient against depth on a log axis, the same in all panels; bars from least to greatest.

    The broad pale lines, where there are no shortcuts, are what is derived for infinitely wide
    nets, from the first depth's median on.
    """
    causes = lanes[0].result if lanes else None
    words = {} if causes is None else cause_words(causes)
    columns = 1 if style.narrow else 2
    theme = style.theme
    what = "first layer's ∂L/∂W, RMS" if show.of == "parameters" else "∂ℓ/∂y, first block ÷ last"
    made = panels(
        theme,
        [panel_words(*panel) for panel in PANELS],
        x="depth, layers",
        y=what,
        columns=columns,
        row_height=230,
    )
    seen: list[float] = []
    depths: set[float] = set()
    named: set[str] = set()
    for index, panel in enumerate(PANELS):
        cell = place(index, columns)
        curves = {} if causes is None else causes.curves(panel, show.of)
        for cause, (depth, middle, _, _) in curves.items():
            factor = causes.factor_derived(panel, cause) if causes is not None else None
            if factor is not None and len(depth) > 1 and middle[0] > 0:
                made.add_scatter(
                    x=depth,
                    y=middle[0] * factor ** (depth - depth[0]),
                    name="derived",
                    mode="lines",
                    legendgroup="derived",
                    showlegend="derived" not in named,
                    line={"color": faded(_colour(cause, theme), 0.3), "width": 7},
                    hoverinfo="skip",
                    **cell,
                )
                named.add("derived")
        for cause, (depth, middle, least, most) in curves.items():
            depths.update(depth.tolist())
            colour = _colour(cause, theme)
            value = above_zero(middle)
            seen += [float(v) for v in (*value, *most) if 0 < v < np.inf]
            drawn = lane_style(_LANES.get(cause, 0))
            made.add_scatter(
                x=depth,
                y=value,
                name=words[cause],
                mode="lines+markers",
                legendgroup=cause,
                showlegend=cause not in named,
                line={
                    "color": colour,
                    "width": 2,
                    "dash": drawn.dash if cause in _LANES else "solid",
                },
                marker={
                    "symbol": drawn.symbol if cause in _LANES else "circle-open",
                    "size": 7,
                    "color": colour,
                },
                error_y={
                    "type": "data",
                    "symmetric": False,
                    "array": most - value,
                    "arrayminus": value - least,
                    "color": colour,
                    "thickness": 1,
                    "width": 3,
                },
                hovertemplate="%{fullData.name}<br>depth %{x}: %{y:.3g}<extra></extra>",
                **cell,
            )
            named.add(cause)
    logs = np.log10(seen) if seen else np.asarray([-3.0, 1.0])
    low, high = max(FLOOR, logs.min() - 0.5), min(CEILING, logs.max() + 0.5)
    made.update_xaxes(tickvals=sorted(depths) or None)
    if low >= high:  # all of it lies beyond
        low, high = FLOOR, CEILING
    made.update_yaxes(type="log", range=[low, high], exponentformat="power", dtick=2, matches="y")
    legend = {"y": -44 / made.layout.height - 0.02, "tracegroupgap": 0}
    extra = 70 if columns > 1 else 150
    made.update_layout(
        showlegend=True,
        legend=legend,
        height=made.layout.height + extra,
        margin={"l": 66, "b": made.layout.margin.b + extra},
    )
    return made


def _colour(cause: Cause, theme: Theme) -> str:
    return lane_style(_LANES[cause]).colour(theme) if cause in _LANES else ink(theme)
