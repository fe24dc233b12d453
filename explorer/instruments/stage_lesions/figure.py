"""Accuracy without all the blocks of a stage."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from explorer.drawing.palette import base_figure, lane_style
from explorer.instruments.contract import Lane, Style
from explorer.instruments.lesion_drawing import HEIGHT, accuracy_title, bars, percent_axis
from explorer.instruments.stage_lesions.ask import Ask, Show
from explorer.instruments.stage_lesions.result import StageLesions


def figure(lanes: Sequence[Lane[StageLesions]], ask: Ask, show: Show, style: Style) -> go.Figure:
    """Without all the blocks of a stage that can be deleted, and intact."""
    made = base_figure(style.theme, x="deleted", y=accuracy_title(lanes), height=HEIGHT)
    places = list(dict.fromkeys(stage for lane in lanes for stage in lane.result.stages))
    for lane in lanes:
        stages, drawn = lane.result, lane_style(lane.index)
        colour = drawn.colour(style.theme)
        shares = np.concatenate([[stages.baseline_accuracy], stages.accuracy])
        words = ["intact"] + [
            f"{len(gone)} of {len(gone) + len(kept)} blocks deleted"
            for gone, kept in zip(stages.deleted, stages.kept, strict=True)
        ]
        made.add_scatter(
            x=["none", *stages.stages],
            y=shares * 100,
            name=lane.name,
            mode="markers",
            text=words,
            marker={"symbol": drawn.symbol, "size": 10, "color": colour},
            error_y=bars(shares, stages.n_images, colour),
            hovertemplate="%{fullData.name}, %{x}<br>%{text}: %{y:.1f} %<extra></extra>",
        )
    percent_axis(made, lanes, show, style.theme)
    made.update_xaxes(
        type="category",
        tickvals=["none", *places],
        ticktext=["none", *(name.replace(" ", "<br>") for name in places)],  # none is tilted
        tickangle=0,
    )
    made.update_layout(scattermode="group")  # nets stand side by side in a stage
    return made
