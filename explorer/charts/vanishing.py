"""Why the gradient vanishes: a curve a cause, a panel for shortcuts and batch norm on and off."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from explorer.charts.heat import panels, place
from explorer.charts.palette import Theme, faded, ink, lane_style
from explorer.results import VanishingCauses
from explorer.results.gradients import Of
from explorer.results.vanishing import PANELS, Cause

# Beyond these a curve leaves the figure, so that the others can be told apart.
FLOOR, CEILING = -12, 8
_LANES: dict[Cause, int] = {"sigmoid": 0, "scale": 1, "zeros": 2, "tanh": 3}


def cause_words(causes: VanishingCauses) -> dict[Cause, str]:
    """Each curve's name: what the first one has, and what the others have in its place."""
    usual = "ReLU + He's rule" + (" + circular padding" if causes.layers == "conv" else "")
    words: dict[Cause, str] = {
        "none": usual,
        "sigmoid": "sigmoid",
        "tanh": "tanh",
        "scale": f"weights × {causes.gain:g}",
        "zeros": "zero padding",
    }
    return {cause: words[cause] for cause in causes.causes}


def panel_words(shortcuts: bool, batch_norm: bool) -> str:
    ends = [
        f"{'' if on else 'no '}{what}"
        for on, what in zip((shortcuts, batch_norm), ("shortcuts", "batch norm"), strict=True)
    ]
    text = ", ".join(ends)
    return text[0].upper() + text[1:]


def vanishing_figure(
    causes: VanishingCauses, *, of: Of = "parameters", columns: int = 2, theme: Theme = "light"
) -> go.Figure:
    """Gradient against depth on a log axis, the same in all panels; bars from least to greatest.

    The broad pale lines, where there are no shortcuts, are what is derived for infinitely wide
    nets, from the first depth's median on.

    Args:
        of: ``parameters``: the first layer's RMS; ``outputs``: first unit's RMS ÷ last unit's.
        columns: 2, or 1 for a phone's width.
    """
    what = "first layer's ∂L/∂W, RMS" if of == "parameters" else "∂ℓ/∂y, first block ÷ last"
    figure = panels(
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
        curves = causes.curves(panel, of)
        for cause, (depth, middle, _, _) in curves.items():
            factor = None if panel[0] else causes.expected.get((cause, panel[1]))
            if factor is not None and len(depth) > 1 and middle[0] > 0:
                figure.add_scatter(
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
            value = np.where(np.isfinite(middle) & (middle > 0), middle, np.nan)
            seen += [float(v) for v in (*value, *most) if 0 < v < np.inf]
            style = lane_style(_LANES.get(cause, 0))
            figure.add_scatter(
                x=depth,
                y=value,
                name=cause_words(causes)[cause],
                mode="lines+markers",
                legendgroup=cause,
                showlegend=cause not in named,
                line={
                    "color": colour,
                    "width": 2,
                    "dash": style.dash if cause in _LANES else "solid",
                },
                marker={
                    "symbol": style.symbol if cause in _LANES else "circle-open",
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
    figure.update_xaxes(tickvals=sorted(depths) or None)
    if low >= high:  # all of it lies beyond
        low, high = FLOOR, CEILING
    figure.update_yaxes(type="log", range=[low, high], exponentformat="power", dtick=2, matches="y")
    legend = {"y": -44 / figure.layout.height - 0.02, "tracegroupgap": 0}
    extra = 70 if columns > 1 else 150
    figure.update_layout(
        showlegend=True,
        legend=legend,
        height=figure.layout.height + extra,
        margin={"l": 66, "b": figure.layout.margin.b + extra},
    )
    return figure


def _colour(cause: Cause, theme: Theme) -> str:
    return lane_style(_LANES[cause]).colour(theme) if cause in _LANES else ink(theme)
