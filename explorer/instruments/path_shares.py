"""What figures of paths share: bars of all paths by length, and what training makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from explorer.drawing.palette import Theme, base_figure, faded, lane_style, muted
from explorer.instruments.contract import Lane
from explorer.instruments.counted_paths import PathLengths
from explorer.structure.path_combinatorics import binomial

LENGTH = "path length: residual branches taken"


def share_figure(lanes: Sequence[tuple[Lane[Any], PathLengths]], theme: Theme) -> go.Figure:
    """Where the paths are, in per cent by length (Fig 6a)."""
    made = base_figure(theme, x=LENGTH, y="share by length, %", height=380)
    add_paths(made, [lengths.two_way for _, lengths in lanes], theme)
    for lane, lengths in lanes:
        if lengths.in_training is None:
            continue
        made.add_scatter(
            x=np.arange(lengths.two_way + 1),
            y=lengths.in_training * 100,
            name=f"{before(lane, lanes)}paths of a training step",
            mode="lines",
            legendgroup=f"lane{lane.index}",
            line={
                "color": lane_style(lane.index).colour(theme),
                "width": 2,
                "dash": "dash",
                "shape": "hvh",
            },
            hovertemplate=f"{lane.name}, in training<br>length %{{x}}: %{{y:.3g}} %<extra></extra>",
        )
    made.update_yaxes(rangemode="tozero")
    made.update_layout(showlegend=True, barmode="overlay", bargap=0.15)
    return made


def before(lane: Lane[Any], lanes: Sequence[Any]) -> str:
    """The net's name in a legend, where there are several."""
    return "" if len(lanes) == 1 else f"{lane.name}: "


def add_paths(figure: go.Figure, two_ways: Sequence[int], theme: Theme) -> None:
    """Bars of all 2ⁿ paths by length: once for nets of the same n."""
    several = len(set(two_ways)) > 1
    for n in dict.fromkeys(two_ways):
        figure.add_bar(
            x=np.arange(n + 1),
            y=binomial(n) * 100,
            name=f"all paths, n = {n}" if several else "all paths",
            marker={"color": faded(muted(theme), 0.35)},
            hovertemplate=f"%{{y:.3g}} % of 2<sup>{n}</sup> paths have length %{{x}}"
            "<extra></extra>",
        )
