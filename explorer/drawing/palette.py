"""One palette and one line style per lane, shared by every figure.

The four colours are told apart with the common colour-vision deficiencies and on a projector;
marker and dash repeat the sign, so that colour is never alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import plotly.graph_objects as go

Theme = Literal["light", "dark"]


@dataclass(frozen=True)
class LaneStyle:
    """How one lane looks in every chart, and in the block graph."""

    light: str
    dark: str
    dash: str
    symbol: str

    def colour(self, theme: Theme) -> str:
        return self.dark if theme == "dark" else self.light


LANE_STYLES = (
    LaneStyle("#b4461f", "#ff9a6b", "solid", "square"),
    LaneStyle("#0b5fa5", "#7cc4ff", "dash", "circle"),
    LaneStyle("#6b4bb0", "#c3aaff", "dot", "diamond"),
    LaneStyle("#2c7a4b", "#7fd6a0", "dashdot", "triangle-up"),
)

_INK = {"light": "#1c2430", "dark": "#e8ebf0"}
_MUTE = {"light": "#5c6675", "dark": "#9aa5b4"}
_LINE = {"light": "#e4e1d8", "dark": "#2b333f"}
_CARD = {"light": "#ffffff", "dark": "#1a2029"}

FONT = '"Source Sans 3", "Source Sans Pro", "Source Sans", system-ui, sans-serif'


def lane_style(lane: int) -> LaneStyle:
    return LANE_STYLES[lane % len(LANE_STYLES)]


def faded(colour: str, opacity: float) -> str:
    """A ``#rrggbb`` colour with an opacity in [0, 1], as CSS."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity:g})"


def ink(theme: Theme) -> str:
    return _INK[theme]


def muted(theme: Theme) -> str:
    return _MUTE[theme]


def line(theme: Theme) -> str:
    return _LINE[theme]


def base_figure(theme: Theme, *, x: str, y: str, height: int = 300) -> go.Figure:
    """An empty figure with the house's axes, and room that does not change as data arrives."""
    axis: dict[str, Any] = {
        "gridcolor": _LINE[theme],
        "linecolor": _LINE[theme],
        "zeroline": False,
        "ticks": "outside",
        "tickcolor": _LINE[theme],
        "automargin": False,
        "title": {"font": {"size": 13, "color": _MUTE[theme]}, "standoff": 6},
    }
    # All at once: update_layout() of an empty figure takes ten times as long.
    return go.Figure(
        layout={
            "template": "none",
            "height": height,
            "margin": {"l": 62, "r": 12, "t": 8, "b": 72},
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "font": {"family": FONT, "size": 13, "color": _MUTE[theme]},
            "hoverlabel": {
                "bgcolor": _CARD[theme],
                "bordercolor": _LINE[theme],
                "font": {"family": FONT, "color": _INK[theme]},
            },
            "hovermode": "closest",
            "legend": {
                "orientation": "h",
                "yanchor": "top",
                "y": -0.2,
                "x": 0,
                "font": {"color": _INK[theme]},
            },
            "uirevision": "keep",  # zoom and legend choices survive new data
            "xaxis": {**axis, "title": {**axis["title"], "text": x}},
            "yaxis": {**axis, "title": {**axis["title"], "text": y}},
        }
    )


def one_two_five(*steps: int) -> dict[str, Any]:
    """Ticks of a log axis over few decades, from 0.0001 on: all of one size, 1, 2, 5, 10, …

    Plotly writes those between powers of ten too small to be read from afar.

    Args:
        steps: Within a decade, where not 1, 2 and 5.
    """
    ticks = [step * 10.0**power for power in range(-4, 13) for step in steps or (1, 2, 5)]
    return {"tickvals": ticks, "ticktext": [_short(tick) for tick in ticks]}


def _short(number: float) -> str:
    """``0.2``, ``500``, ``20k``, ``1M``."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if number >= size:
            return f"{number / {'k': 1e3}.get(letter, size):g}{letter}"
    return f"{number:g}"
