"""What recurs in lesions' figures: medians with their interval, single draws, the axis in per cent.

Bars are 95 % Wilson intervals for the number of images, which the axis says.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import plotly.graph_objects as go

from explorer.drawing.lesions import PERCENT, accuracy_of
from explorer.drawing.palette import Theme, faded, lane_style, muted
from explorer.instruments.contract import Lane
from explorer.instruments.lesion_options import Show
from explorer.instruments.lesion_results import LesionStudy
from explorer.instruments.lesion_words import chance
from explorer.results.common import Floats, intervals

R = TypeVar("R", bound=LesionStudy)
SPREAD = (0.1, 0.5, 0.9)  # quantiles over the draws: the band's ends and the line
HEIGHT = 380


def accuracy_title(lanes: Sequence[Lane[R]]) -> str:
    """The axis' title, with the number of images."""
    return accuracy_of([(lane.result.n_images, lane.result.images) for lane in lanes])


def bars(shares: Floats, n: int, colour: str) -> dict[str, Any]:
    """Intervals beside the points of a trace."""
    bounds = intervals(shares, n)
    return {
        "type": "data",
        "symmetric": False,
        "array": (bounds[:, 1] - shares) * 100,
        "arrayminus": (shares - bounds[:, 0]) * 100,
        "color": faded(colour, 0.55),
        "thickness": 1,
        "width": 0,
    }


def dots(figure: go.Figure, lane: Lane[R], x: Floats, theme: Theme, words: Sequence[str]) -> None:
    """One faint dot a program, with its interval on pointing."""
    style, study = lane_style(lane.index), lane.result
    figure.add_scatter(
        x=x,
        y=study.accuracy.ravel() * 100,
        name=f"{lane.name}, each",
        mode="markers",
        text=words,
        customdata=study.intervals().reshape(-1, 2) * 100,
        legendgroup=f"lane{lane.index}",
        showlegend=False,
        marker={"symbol": style.symbol, "size": 4, "color": faded(style.colour(theme), 0.45)},
        hovertemplate=(
            "%{fullData.name}<br>%{text}: %{y:.1f} % "
            "(%{customdata[0]:.1f} – %{customdata[1]:.1f})<extra></extra>"
        ),
    )


def medians(
    figure: go.Figure, lane: Lane[R], x: Floats, shares: Floats, theme: Theme, words: str
) -> None:
    """A line of medians over the draws.

    Args:
        words: Of the hover, with its place and value.
    """
    style = lane_style(lane.index)
    colour = style.colour(theme)
    figure.add_scatter(
        x=x,
        y=shares * 100,
        name=lane.name,
        mode="lines+markers",
        legendgroup=f"lane{lane.index}",
        line={"color": colour, "width": 2, "dash": style.dash},
        marker={"symbol": style.symbol, "size": 7, "color": colour},
        error_y=bars(shares, lane.result.n_images, colour),
        hovertemplate="%{fullData.name}, median<br>" + words + "<extra></extra>",
    )


def percent_axis(figure: go.Figure, lanes: Sequence[Lane[R]], show: Show, theme: Theme) -> None:
    """From 0 to 100 %, with a dotted line where guessing is."""
    figure.update_yaxes(range=PERCENT)
    figure.update_layout(showlegend=True)
    guess = chance(lanes, show)
    if guess is not None:
        figure.add_hline(
            y=guess * 100,
            line={"color": muted(theme), "width": 1, "dash": "dot"},
            annotation={
                "text": "guessing",
                "font": {"size": 12, "color": muted(theme)},
                "showarrow": False,
            },
            annotation_position="bottom left",
        )
