"""Accuracy after deleting each block (Veit16 Fig 3; SGS15 Fig 4)."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from explorer.drawing import lesion_figure
from explorer.instruments.contract import Lane, Style
from explorer.instruments.lesion_drawing import HEIGHT
from explorer.instruments.lesion_words import chance
from explorer.instruments.lesions.ask import Ask, Show
from explorer.instruments.lesions.result import LesionCurve
from explorer.instruments.words import units_of


def figure(lanes: Sequence[Lane[LesionCurve]], ask: Ask, show: Show, style: Style) -> go.Figure:
    """One dot a deleted block, with its interval; the line is the intact net."""
    made = lesion_figure(
        [(lane.index, lane.name, units_of(lane, lane.result.units), lane.result) for lane in lanes],
        chance=chance(lanes, show),
        theme=style.theme,
    )
    made.update_layout(height=HEIGHT)
    return made
