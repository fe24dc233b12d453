"""How much each unit changes its input, and which way (Jastrzebski18; He16 §4.2)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from explorer.drawing.palette import base_figure, lane_style, muted, one_two_five
from explorer.instruments.branches.ask import Ask, Show
from explorer.instruments.branches.result import BranchResponses
from explorer.instruments.contract import Lane, Style
from explorer.instruments.unit_axis import BLOCK, band
from explorer.instruments.words import units_of
from explorer.results.common import Floats


def figure(lanes: Sequence[Lane[BranchResponses]], ask: Ask, show: Show, style: Style) -> go.Figure:
    """‖F‖ / ‖h‖ (log axis), cos(F, ∂ℓ/∂h), or the share that the last ReLU cuts, unit by unit."""
    titles = {
        "ratio": "‖F(h)‖ / ‖h‖, log scale",
        "cosine": "cos(F(h), ∂ℓ/∂h)",
        "cut": "cut by the last ReLU, %",
    }
    made = base_figure(style.theme, x=BLOCK, y=titles[show.of], height=340)
    for lane in lanes:
        responses, drawn = lane.result, lane_style(lane.index)
        colour = drawn.colour(style.theme)
        values, spread = _of(responses, show.of)
        place = {unit: i + 1 for i, unit in enumerate(units_of(lane, responses.units))}
        x = np.asarray([place[unit] for unit in responses.units])
        known = np.isfinite(values) & ((values > 0) | (show.of != "ratio"))
        if spread is not None and show.of == "cosine":
            band(
                made,
                x[known],
                (values - spread)[known],
                (values + spread)[known],
                colour,
                lane.index,
            )
        made.add_scatter(
            x=x[known],
            y=values[known],
            name=lane.name,
            text=[unit for unit, shown in zip(responses.units, known, strict=True) if shown],
            mode="lines+markers",
            legendgroup=f"lane{lane.index}",
            line={"color": colour, "width": 2, "dash": drawn.dash},
            marker={"symbol": drawn.symbol, "size": 6, "color": colour},
            hovertemplate="%{fullData.name}<br>%{text}: %{y:.3g}<extra></extra>",
        )
    if show.of == "ratio":
        made.update_yaxes(type="log", **one_two_five())
    elif show.of == "cosine":
        made.add_hline(y=0, line={"color": muted(style.theme), "width": 1, "dash": "dot"})
    else:
        made.update_yaxes(range=[0, 102])
    made.update_layout(showlegend=True)
    return made


def _of(responses: BranchResponses, of: str) -> tuple[Floats, Floats | None]:
    """The values drawn, and their spread over images."""
    if of == "ratio":
        return responses.ratio, responses.ratio_sd
    if of == "cosine":
        return responses.cosine, responses.cosine_sd
    return responses.cut * 100, None
