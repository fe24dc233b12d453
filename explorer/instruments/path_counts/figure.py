"""Paths by length, and how many there are beside depth and width (Veit16 Fig 6a)."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from explorer.drawing.palette import Theme, base_figure, lane_style, muted, one_two_five
from explorer.instruments.contract import Lane, Style
from explorer.instruments.path_counts.ask import Ask, Show
from explorer.instruments.path_counts.result import PathCounts
from explorer.instruments.path_shares import share_figure

Lanes = Sequence[Lane[PathCounts]]


def figure(lanes: Lanes, ask: Ask, show: Show, style: Style) -> go.Figure:
    """Shares of all paths by length; or the number of paths against parameters."""
    if show.show == "lengths":
        return share_figure([(lane, lane.result) for lane in lanes], style.theme)
    return _nets(lanes, style.theme)


def _nets(lanes: Lanes, theme: Theme) -> go.Figure:
    """Number of paths, 2ⁿ on a log axis: deeper nets have more, wider ones as many.

    Solid with filled markers: other depths; dotted with open markers: other widths.
    """
    made = base_figure(
        theme,
        x="parameters, log scale",
        y="paths, log scale",
        height=380,
    )
    for lane in lanes:
        found, name, style = lane.result.multiplicity, lane.name, lane_style(lane.index)
        if found is None:
            continue
        colour = style.colour(theme)
        for nets, words, dash, marker in (
            (found.deeper, "other depths", "solid", ""),
            (found.wider, "other widths", "dot", "-open"),
        ):
            made.add_scatter(
                x=[net.parameters for net in nets],
                y=[net.two_way for net in nets],
                name=words if len(lanes) == 1 else f"{name}: {words}",
                mode="lines+markers",
                legendgroup=f"lane{lane.index}",
                line={"color": colour, "width": 2, "dash": dash},
                marker={"symbol": style.symbol + marker, "size": 7, "color": colour},
                customdata=[
                    [net.depth, net.width, f"{net.parameters:,}", net.two_way] for net in nets
                ],
                hovertemplate=f"{name}, {words}<br>depth %{{customdata[0]}}, width "
                "%{customdata[1]}: %{customdata[2]} parameters, 2<sup>%{customdata[3]}</sup> paths"
                "<extra></extra>",
            )
        made.add_scatter(
            x=[found.net.parameters],
            y=[found.net.two_way],
            mode="markers",
            marker={
                "symbol": "circle-open",
                "size": 16,
                "color": muted(theme),
                "line": {"width": 2},
            },
            name=name,
            legendgroup=f"lane{lane.index}",
            showlegend=False,
            hovertemplate=f"{name}: 2<sup>{found.net.two_way}</sup> paths<extra></extra>",
        )
    # 2ⁿ on a log axis is n on a linear one, and no number is too great for that.
    made.update_yaxes(tickprefix="2<sup>", ticksuffix="</sup>", rangemode="tozero")
    made.update_xaxes(type="log", tickangle=0, **one_two_five(1, 3))
    made.update_layout(showlegend=True)
    return made
