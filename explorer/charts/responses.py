"""What layers and branches answer (He15 Fig 7; Jastrzebski18; Greff17)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import plotly.graph_objects as go

from explorer.charts.lesions import accuracy_of
from explorer.charts.palette import Theme, base_figure, faded, lane_style, muted, one_two_five
from explorer.results import (
    BranchResponses,
    ClassifierByUnit,
    EstimationError,
    Floats,
    LayerResponses,
)

BranchQuantity = Literal["ratio", "cosine", "cut"]
_BLOCK = "block (1 is nearest the input)"


def response_figure(
    lanes: Sequence[tuple[int, str, LayerResponses]],
    *,
    ordered: Literal["by layer", "by size"] = "by layer",
    theme: Theme = "light",
) -> go.Figure:
    """Standard deviation of each layer's response, in order or sorted (He15 Fig 7)."""
    by_layer = ordered == "by layer"
    x_title = "layer (1 is nearest the input)" if by_layer else "rank (1 is the greatest)"
    figure = base_figure(theme, x=x_title, y="sd of the response", height=340)
    for lane, name, responses in lanes:
        style = lane_style(lane)
        colour = style.colour(theme)
        order = np.arange(len(responses.sd)) if by_layer else np.argsort(-responses.sd)
        x = np.asarray(responses.depth_index) if by_layer else 1 + np.arange(len(order))
        figure.add_scatter(
            x=x,
            y=responses.sd[order],
            name=name,
            text=[responses.layers[i] for i in order],
            mode="lines+markers",
            line={"color": colour, "width": 2, "dash": style.dash},
            marker={"symbol": style.symbol, "size": 5, "color": colour},
            hovertemplate="%{fullData.name}<br>%{text}: %{y:.3g}<extra></extra>",
        )
    figure.update_yaxes(rangemode="tozero")
    figure.update_layout(showlegend=True)
    return figure


def branch_figure(
    lanes: Sequence[tuple[int, str, Sequence[str], BranchResponses]],
    *,
    of: BranchQuantity = "ratio",
    theme: Theme = "light",
) -> go.Figure:
    """‖F‖ / ‖h‖ (log axis), cos(F, ∂ℓ/∂h), or the share that the last ReLU cuts, unit by unit.

    Args:
        lanes: (lane index, name, names of all units in order, responses).
    """
    titles = {
        "ratio": "‖F(h)‖ / ‖h‖, log scale",
        "cosine": "cos(F(h), ∂ℓ/∂h)",
        "cut": "cut by the last ReLU, %",
    }
    figure = base_figure(theme, x=_BLOCK, y=titles[of], height=340)
    for lane, name, units, responses in lanes:
        style = lane_style(lane)
        colour = style.colour(theme)
        values, spread = _of(responses, of)
        place = {unit: i + 1 for i, unit in enumerate(units)}
        x = np.asarray([place[unit] for unit in responses.units])
        known = np.isfinite(values) & ((values > 0) | (of != "ratio"))
        if spread is not None and of == "cosine":
            _band(
                figure, x[known], (values - spread)[known], (values + spread)[known], colour, lane
            )
        figure.add_scatter(
            x=x[known],
            y=values[known],
            name=name,
            text=[unit for unit, shown in zip(responses.units, known, strict=True) if shown],
            mode="lines+markers",
            legendgroup=f"lane{lane}",
            line={"color": colour, "width": 2, "dash": style.dash},
            marker={"symbol": style.symbol, "size": 6, "color": colour},
            hovertemplate="%{fullData.name}<br>%{text}: %{y:.3g}<extra></extra>",
        )
    if of == "ratio":
        figure.update_yaxes(type="log", **one_two_five())
    elif of == "cosine":
        figure.add_hline(y=0, line={"color": muted(theme), "width": 1, "dash": "dot"})
    else:
        figure.update_yaxes(range=[0, 102])
    figure.update_layout(showlegend=True)
    return figure


def _of(responses: BranchResponses, of: BranchQuantity) -> tuple[Floats, Floats | None]:
    """The values drawn, and their spread over images."""
    if of == "ratio":
        return responses.ratio, responses.ratio_sd
    if of == "cosine":
        return responses.cosine, responses.cosine_sd
    return responses.cut * 100, None


def classifier_figure(
    lanes: Sequence[tuple[int, str, Sequence[str], ClassifierByUnit]],
    *,
    chance: float | None = None,
    theme: Theme = "light",
) -> go.Figure:
    """Accuracy of the classifier after each unit of the last stage, with 95 % Wilson intervals.

    Args:
        lanes: (lane index, name, names of all units in order, result).
        chance: Accuracy of guessing, in [0, 1]; drawn as a dotted line.
    """
    axis = accuracy_of([(found.n_images, "test") for *_, found in lanes])
    figure = base_figure(theme, x="classifier after block", y=axis, height=340)
    for lane, name, units, found in lanes:
        style = lane_style(lane)
        colour = style.colour(theme)
        place = {unit: i + 1 for i, unit in enumerate(units)}
        interval, accuracy = found.intervals() * 100, found.accuracy * 100
        figure.add_scatter(
            x=[place[unit] for unit in found.units],
            y=accuracy,
            name=name,
            text=list(found.units),
            customdata=found.loss,
            mode="lines+markers",
            line={"color": colour, "width": 2, "dash": style.dash},
            marker={"symbol": style.symbol, "size": 7, "color": colour},
            error_y={
                "type": "data",
                "symmetric": False,
                "array": interval[:, 1] - accuracy,
                "arrayminus": accuracy - interval[:, 0],
                "color": faded(colour, 0.55),
                "thickness": 1,
                "width": 0,
            },
            hovertemplate="%{fullData.name}<br>after %{text}: %{y:.1f} %, loss "
            "%{customdata:.3g}<extra></extra>",
        )
    if chance is not None and lanes:
        figure.add_hline(y=chance * 100, line={"color": muted(theme), "width": 1, "dash": "dot"})
    figure.update_yaxes(range=[0, 102])
    figure.update_layout(showlegend=True)
    return figure


def estimation_figure(
    lanes: Sequence[tuple[int, str, Sequence[str], EstimationError]],
    *,
    theme: Theme = "light",
) -> go.Figure:
    """Mean of y_i − y_end with a band of one standard deviation, stage by stage (Greff17).

    In units of the root mean square of y_end, so that stages and nets can be compared.

    Args:
        lanes: (lane index, name, names of all units in order, result).
    """
    figure = base_figure(theme, x=_BLOCK, y="error ÷ RMS of the stage's end", height=340)
    for lane, name, units, errors in lanes:
        style = lane_style(lane)
        colour = style.colour(theme)
        place = {unit: i + 1 for i, unit in enumerate(units)}
        stages = np.asarray(errors.stage)
        mean, sd = errors.mean / errors.scale, errors.sd / errors.scale
        for number, stage in enumerate(np.unique(stages)):
            inside = np.flatnonzero(stages == stage)
            x = np.asarray([place[errors.units[i]] for i in inside])
            _band(figure, x, (mean - sd)[inside], (mean + sd)[inside], colour, lane)
            figure.add_scatter(
                x=x,
                y=mean[inside],
                name=name,
                text=[errors.units[i] for i in inside],
                customdata=sd[inside],
                mode="lines+markers",
                legendgroup=f"lane{lane}",
                showlegend=number == 0,
                line={"color": colour, "width": 2, "dash": style.dash},
                marker={"symbol": style.symbol, "size": 6, "color": colour},
                hovertemplate="%{fullData.name}<br>%{text}: %{y:.3f} ± %{customdata:.3f}"
                "<extra></extra>",
            )
    figure.add_hline(y=0, line={"color": muted(theme), "width": 1, "dash": "dot"})
    figure.update_layout(showlegend=True)
    return figure


def _band(figure: go.Figure, x: Floats, low: Floats, high: Floats, colour: str, lane: int) -> None:
    figure.add_scatter(
        x=np.concatenate([x, x[::-1]]),
        y=np.concatenate([high, low[::-1]]),
        mode="lines",
        fill="toself",
        fillcolor=faded(colour, 0.14),
        line={"width": 0},
        hoverinfo="skip",
        showlegend=False,
        legendgroup=f"lane{lane}",
    )
