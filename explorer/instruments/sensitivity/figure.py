"""How much louder a change is for F than for the whole unit, block by block."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from explorer.drawing.bands import add_band
from explorer.drawing.palette import base_figure, faded, lane_style, one_two_five
from explorer.instruments.contract import Lane, Style
from explorer.instruments.sensitivity.ask import Ask, Show
from explorer.instruments.sensitivity.result import Sensitivity
from explorer.instruments.unit_axis import BLOCK
from explorer.instruments.words import units_of


def figure(lanes: Sequence[Lane[Sensitivity]], ask: Ask, show: Show, style: Style) -> go.Figure:
    """Block by block, with the band of the middle 80 % of the images.

    ``target``: how many times the share by which a unit's wanted output moves F must move, log
    axis. ``input``: by which share F (filled) and the whole output (open) move where the unit's
    input does.
    """
    target = show.of == "target"
    made = base_figure(
        style.theme,
        x=BLOCK,
        y="‖H‖ / ‖F‖, log scale" if target else "relative change, %",
        height=380,
    )
    for lane in lanes:
        measured, drawn = lane.result, lane_style(lane.index)
        position = {unit: i + 1 for i, unit in enumerate(units_of(lane, measured.units))}
        x = np.asarray([position[unit] for unit in measured.units], dtype=np.float64)
        curves = (
            [("", measured.amplification, drawn.symbol)]
            if target
            else [
                (": F", measured.residual_change * 100, drawn.symbol),
                (": whole output", measured.output_change * 100, f"{drawn.symbol}-open"),
            ]
        )
        for what, values, symbol in curves:
            filled = not symbol.endswith("-open")
            colour = drawn.colour(style.theme)
            if filled:
                add_band(made, x, values[:, 1], values[:, 2], colour, f"lane{lane.index}{what}")
            made.add_scatter(
                x=x,
                y=np.where(np.isfinite(values[:, 0]), values[:, 0], np.nan),
                name=f"{lane.name}{what}",
                text=list(measured.units),
                mode="lines+markers",
                legendgroup=f"lane{lane.index}{what}",
                line={
                    "color": colour if filled else faded(colour, 0.6),
                    "width": 2 if filled else 1.25,
                    "dash": drawn.dash,
                },
                marker={"symbol": symbol, "size": 6, "color": colour},
                hovertemplate="%{fullData.name}<br>%{text}: %{y:.3g}"
                + ("×" if target else " %")
                + "<extra></extra>",
            )
    if target:
        made.update_yaxes(type="log", **one_two_five())
    else:
        made.update_yaxes(rangemode="tozero")
    made.update_layout(showlegend=True)
    return made
