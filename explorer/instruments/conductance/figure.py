"""The units that carried the decision, a bar each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from explorer.drawing.palette import base_figure, lane_style, line, muted
from explorer.instruments.conductance.ask import Ask, Show
from explorer.instruments.conductance.result import UnitConductance
from explorer.instruments.contract import Lane, Style
from explorer.instruments.unit_axis import BLOCK

BARS = 205  # height of one net's bars


def figure(lanes: Sequence[Lane[UnitConductance]], ask: Ask, show: Show, style: Style) -> go.Figure:
    """One bar a unit in forward order: how much of the decision flows through its own layers.

    In logits; the dotted line is all there is, f(x) − f(x′), which a plain net's every unit
    carries. Deleted units have no bar; where no shortcut passes a unit by, in a net that has
    some, its bar is pale.
    """
    theme = style.theme
    n = max(1, len(lanes))
    made = base_figure(theme, x=BLOCK, y="", height=n * BARS + 90)
    made.update_layout(showlegend=False, margin={"t": 46})
    axis = made.layout.xaxis.to_plotly_json(), made.layout.yaxis.to_plotly_json()
    gap = 70 / (n * BARS)
    for row, lane in enumerate(lanes):
        result, drawn = lane.result, lane_style(lane.index)
        end = "" if row == 0 else str(row + 1)
        low, top = (n - row - 1) / n, (n - row) / n
        last = row == n - 1
        made.layout[f"xaxis{end}"] = {
            **axis[0],
            "anchor": f"y{end}",
            "range": [0.25, len(result.units) + 0.75],
            "title": axis[0]["title"] if last else None,
        }
        made.layout[f"yaxis{end}"] = {
            **axis[1],
            "anchor": f"x{end}",
            "domain": [low + (0 if last else gap), top],
            "title": {**axis[1]["title"], "text": "logits"},
        }
        kept = [unit not in result.decision.deleted for unit in result.units]
        numbers = np.flatnonzero(kept)
        pale = (result.shortcut[numbers] == 0) & bool(result.shortcut.any())
        made.add_bar(
            x=numbers + 1,
            y=result.branch[numbers],
            customdata=[
                (result.units[i], float(result.shortcut[i]), float(result.errors()[i]))
                for i in numbers
            ],
            marker={"color": drawn.colour(theme), "opacity": np.where(pale, 0.35, 1.0)},
            xaxis=f"x{end}",
            yaxis=f"y{end}",
            name=lane.name,
            hovertemplate=(
                "%{customdata[0]}<br>through its layers: %{y:.3g}<br>around them: "
                "%{customdata[1]:.3g}<br>error: %{customdata[2]:.2g}<extra></extra>"
            ),
        )
        for level, dash in ((result.whole, "dot"), (0.0, "solid")):
            made.add_shape(
                type="line",
                xref=f"x{end} domain",
                yref=f"y{end}",
                x0=0,
                x1=1,
                y0=level,
                y1=level,
                line={"color": muted(theme) if level else line(theme), "width": 1, "dash": dash},
            )
        decision = result.decision
        of = f"for {decision.target_name}, {decision.probability * 100:.1f} %"
        made.add_annotation(
            text=f"<b>{lane.name}</b><br>{of} · all: {result.whole:.3g}",
            align="left",
            xref=f"x{end} domain",
            yref=f"y{end} domain",
            x=0,
            y=1,
            xanchor="left",
            yanchor="bottom",
            showarrow=False,
            font={"color": drawn.colour(theme), "size": 13},
        )
    return made
