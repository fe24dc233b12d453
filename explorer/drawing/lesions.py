"""Accuracy after deleting each block (Veit16 Fig 3; SGS15 Fig 4)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from explorer.drawing.palette import Theme, base_figure, faded, lane_style, muted
from explorer.instruments.lesions.result import LesionCurve
from explorer.results.common import IMAGES, Split

PERCENT = (-3, 103)  # room for a whole marker at 0 and at 100 %


def lesion_figure(
    lanes: Sequence[tuple[int, str, Sequence[str], LesionCurve]],
    *,
    chance: float | None = None,
    theme: Theme = "light",
) -> go.Figure:
    """One dot a deleted block, with its 95 % Wilson interval, in per cent.

    Args:
        lanes: (lane index, name, names of all units in order, curve); the unit's position among
            all units is its place on the axis, so blocks that cannot be deleted leave a gap.
        chance: Accuracy of guessing, in [0, 1]; drawn as a dotted line.
    """
    figure = base_figure(
        theme,
        x="deleted block (1 is nearest the input)",
        y=accuracy_of([(curve.n_images, curve.images) for *_, curve in lanes]),
    )
    for lane, name, all_units, curve in lanes:
        style = lane_style(lane)
        colour = style.colour(theme)
        position = {unit: i + 1 for i, unit in enumerate(all_units)}
        x = np.asarray([position[unit] for unit in curve.units])
        done = np.isfinite(curve.accuracy)
        interval = curve.intervals()
        accuracy = curve.accuracy * 100
        figure.add_scatter(
            x=x[done],
            y=accuracy[done],
            name=name,
            text=[unit for unit, d in zip(curve.units, done, strict=True) if d],
            mode="markers",
            legendgroup=f"lane{lane}",
            marker={"symbol": style.symbol, "size": 7, "color": colour},
            error_y={
                "type": "data",
                "symmetric": False,
                "array": (interval[:, 1] * 100 - accuracy)[done],
                "arrayminus": (accuracy - interval[:, 0] * 100)[done],
                "color": faded(colour, 0.55),
                "thickness": 1,
                "width": 0,
            },
            hovertemplate="%{fullData.name}<br>without %{text}: %{y:.1f} %<extra></extra>",
        )
        if np.isfinite(curve.baseline_accuracy):
            figure.add_scatter(
                x=[0.5, len(all_units) + 0.5],
                y=[curve.baseline_accuracy * 100] * 2,
                mode="lines",
                line={"color": faded(colour, 0.6), "width": 1.25, "dash": style.dash},
                legendgroup=f"lane{lane}",
                showlegend=False,
                name=f"{name}, intact",
                hovertemplate="%{fullData.name}: %{y:.1f} %<extra></extra>",
            )
    if chance is not None and lanes:
        figure.add_hline(
            y=chance * 100,
            line={"color": muted(theme), "width": 1, "dash": "dot"},
            annotation={
                "text": "guessing",
                "font": {"size": 12, "color": muted(theme)},
                "showarrow": False,
            },
            annotation_position="bottom right",
        )
    figure.update_yaxes(range=PERCENT)
    figure.update_layout(showlegend=True)
    return figure


def accuracy_of(measured: Sequence[tuple[int, Split]], words: str = "accuracy") -> str:
    """The axis' title: on how many images of which kind the accuracies were measured."""
    if not measured:
        return f"{words}, %"
    low, high = min(measured)[0], max(measured)[0]
    kinds = {images for _, images in measured}
    which = IMAGES[kinds.pop()] if len(kinds) == 1 else "images"
    return f"{words}, % of {low:,}{'' if low == high else f' to {high:,}'} {which}"
