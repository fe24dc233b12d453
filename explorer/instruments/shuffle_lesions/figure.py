"""Accuracy against Kendall's τ of the blocks' order (Veit16 Fig 5b)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from explorer.drawing.bands import add_band
from explorer.drawing.palette import base_figure, lane_style
from explorer.instruments.contract import Lane, Style
from explorer.instruments.lesion_drawing import (
    HEIGHT,
    SPREAD,
    accuracy_title,
    dots,
    medians,
    percent_axis,
)
from explorer.instruments.shuffle_lesions.ask import Ask, Show
from explorer.instruments.shuffle_lesions.result import ShuffleLesions
from explorer.instruments.words import count


def figure(lanes: Sequence[Lane[ShuffleLesions]], ask: Ask, show: Show, style: Style) -> go.Figure:
    """Intact is at the left; a dot is one order, the line joins the medians of orders equally far
    from the intact one, the band 10 to 90 % of them.
    """
    made = base_figure(
        style.theme,
        x="Kendall's τ of the order (1 is intact)",
        y=accuracy_title(lanes),
        height=HEIGHT,
    )
    for lane in lanes:
        shuffled, colour = lane.result, lane_style(lane.index).colour(style.theme)
        trials, points = shuffled.accuracy.shape
        x = np.concatenate([[1.0], np.median(shuffled.tau, axis=0)])
        low, middle, high = (
            np.concatenate([[shuffled.baseline_accuracy], row])
            for row in np.quantile(shuffled.accuracy, SPREAD, axis=0)
        )
        if trials > 1:
            add_band(made, x, low * 100, high * 100, colour, f"lane{lane.index}")
            words = [
                f"order {trial}.{i % points + 1}, τ = {tau:.2f}, {count(swaps, 'change')} of place"
                for i, (trial, swaps, tau) in enumerate(shuffled.programs())
            ]
            dots(made, lane, shuffled.tau.ravel(), style.theme, words)
        medians(made, lane, x, middle, style.theme, "τ = %{x:.2f}: %{y:.1f} %")
    percent_axis(made, lanes, show, style.theme)
    made.update_xaxes(autorange="reversed")
    return made
