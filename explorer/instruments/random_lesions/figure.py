"""Accuracy with more and more blocks deleted at random (Veit16 Fig 5a)."""

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
from explorer.instruments.random_lesions.ask import Ask, Show
from explorer.instruments.random_lesions.result import LesionBand


def figure(lanes: Sequence[Lane[LesionBand]], ask: Ask, show: Show, style: Style) -> go.Figure:
    """A dot is one draw, the line their median, the band 10 to 90 % of them."""
    made = base_figure(
        style.theme, x="blocks deleted at random", y=accuracy_title(lanes), height=HEIGHT
    )
    for lane in lanes:
        band, colour = lane.result, lane_style(lane.index).colour(style.theme)
        trials = len(band.deleted)
        x = np.concatenate([[0.0], band.k])
        low, middle, high = (
            np.concatenate([[band.baseline_accuracy], row]) for row in band.quantiles(*SPREAD)
        )
        if trials > 1:
            add_band(made, x, low * 100, high * 100, colour, f"lane{lane.index}")
            words = [
                f"draw {trial}, {k} deleted, last {unit}" for trial, k, unit in band.programs()
            ]
            dots(made, lane, np.tile(band.k, trials), style.theme, words)
        medians(made, lane, x, middle, style.theme, "%{x} deleted: %{y:.1f} %")
    percent_axis(made, lanes, show, style.theme)
    made.update_xaxes(rangemode="tozero")
    return made
