"""The worked example of the differential amplifier, and the same measured in a net."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import plotly.graph_objects as go

from explorer.charts.bands import add_band
from explorer.charts.palette import (
    LANE_STYLES,
    Theme,
    base_figure,
    faded,
    ink,
    lane_style,
    one_two_five,
)
from explorer.results import Sensitivity, WorkedExample


def worked_example_figure(example: WorkedExample, *, theme: Theme = "light") -> go.Figure:
    """Two bars: by how much of itself each map's output changes, in per cent."""
    figure = base_figure(theme, x="", y="change, % of itself", height=280)
    x, before, after = example.x, example.before, example.after
    residual = f"{example.residual_before:.3g} → {example.residual_after:.3g}"
    figure.add_bar(
        x=["plain map", "residual F"],
        y=[example.plain_change * 100, example.residual_change * 100],
        text=[
            f"{before:g} → {after:g}<br>{example.plain_change * 100:.3g} %",
            f"{residual}<br>{example.residual_change * 100:.3g} %",
        ],
        textposition="outside",
        cliponaxis=False,
        textfont={"color": ink(theme), "size": 15},
        marker={"color": [LANE_STYLES[0].colour(theme), LANE_STYLES[1].colour(theme)]},
        hovertemplate="%{x}, input " + f"{x:g}" + ": %{y:.2f} %<extra></extra>",
        showlegend=False,
    )
    top = max(example.plain_change, example.residual_change) * 100
    figure.update_yaxes(range=[0, top * 1.3 or 1])
    figure.update_xaxes(type="category", tickfont={"size": 14})
    return figure


def sensitivity_figure(
    lanes: Sequence[tuple[int, str, Sequence[str], Sensitivity]],
    *,
    of: Literal["target", "input"] = "target",
    theme: Theme = "light",
) -> go.Figure:
    """Block by block, with the band of the middle 80 % of the images.

    Args:
        lanes: (lane index, name, names of all units in order, result).
        of: ``target``: how many times the share by which a unit's wanted output moves F must move,
            log axis. ``input``: by which share F (filled) and the whole output (open) move where
            the unit's input does.
    """
    target = of == "target"
    figure = base_figure(
        theme,
        x="block (1 is nearest the input)",
        y="‖H‖ / ‖F‖, log scale" if target else "relative change, %",
    )
    for lane, name, all_units, measured in lanes:
        style = lane_style(lane)
        position = {unit: i + 1 for i, unit in enumerate(all_units)}
        x = np.asarray([position[unit] for unit in measured.units], dtype=np.float64)
        curves = (
            [("", measured.amplification, style.symbol)]
            if target
            else [
                (": F", measured.residual_change * 100, style.symbol),
                (": whole output", measured.output_change * 100, f"{style.symbol}-open"),
            ]
        )
        for what, values, symbol in curves:
            filled = not symbol.endswith("-open")
            colour = style.colour(theme)
            if filled:
                add_band(figure, x, values[:, 1], values[:, 2], colour, f"lane{lane}{what}")
            figure.add_scatter(
                x=x,
                y=np.where(np.isfinite(values[:, 0]), values[:, 0], np.nan),
                name=f"{name}{what}",
                text=list(measured.units),
                mode="lines+markers",
                legendgroup=f"lane{lane}{what}",
                line={
                    "color": colour if filled else faded(colour, 0.6),
                    "width": 2 if filled else 1.25,
                    "dash": style.dash,
                },
                marker={"symbol": symbol, "size": 6, "color": colour},
                hovertemplate="%{fullData.name}<br>%{text}: %{y:.3g}"
                + ("×" if target else " %")
                + "<extra></extra>",
            )
    if target:
        figure.update_yaxes(type="log", **one_two_five())
    else:
        figure.update_yaxes(rangemode="tozero")
    figure.update_layout(showlegend=True)
    return figure
