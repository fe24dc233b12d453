"""Several blocks deleted, moved or swapped, whole stages deleted, gates held (Veit16 Fig 5; SGS15).

Bars are 95 % Wilson intervals for the number of images, which the axis says; accuracies in per
cent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from explorer.charts.bands import add_band
from explorer.charts.heat import colour_bar, panels, sequential
from explorer.charts.lesions import PERCENT, accuracy_of
from explorer.charts.palette import Theme, base_figure, faded, lane_style, muted
from explorer.results import (
    Floats,
    GateLesions,
    LesionBand,
    LesionStudy,
    ShuffleLesions,
    StageLesions,
    SwapLesions,
)
from explorer.results.common import IMAGES
from explorer.results.lesions import intervals

_SPREAD = (0.1, 0.5, 0.9)  # quantiles over the draws: the band's ends and the line
_VALUE_SYMBOLS = ("circle-open", "square", "diamond", "triangle-up", "x", "cross")
HEIGHT = 380


def lesion_band_figure(
    lanes: Sequence[tuple[int, str, LesionBand]],
    *,
    chance: float | None = None,
    theme: Theme = "light",
) -> go.Figure:
    """Accuracy against the number of blocks deleted at random (Veit16 Fig 5a).

    A dot is one draw, the line their median, the band 10 to 90 % of them.

    Args:
        lanes: (lane index, name, result).
        chance: Accuracy of guessing, in [0, 1]; drawn as a dotted line.
    """
    figure = base_figure(theme, x="blocks deleted at random", y=_accuracy_of(lanes), height=HEIGHT)
    for lane, name, band in lanes:
        colour = lane_style(lane).colour(theme)
        trials, most = band.accuracy.shape
        x = np.concatenate([[0.0], band.k])
        low, middle, high = (
            np.concatenate([[band.baseline_accuracy], row]) for row in band.quantiles(*_SPREAD)
        )
        if trials > 1:
            add_band(figure, x, low * 100, high * 100, colour, f"lane{lane}")
            _dots(
                figure,
                np.tile(band.k, trials),
                band.accuracy.ravel(),
                band,
                lane,
                name,
                theme,
                words=[
                    f"draw {trial}, {k} deleted, last {band.deleted[trial - 1][k - 1]}"
                    for trial in range(1, trials + 1)
                    for k in range(1, most + 1)
                ],
            )
        _line(figure, x, middle, band.n_images, lane, name, theme, "%{x} deleted: %{y:.1f} %")
    _percent_axis(figure, chance if lanes else None, theme)
    figure.update_xaxes(rangemode="tozero")
    return figure


def shuffle_figure(
    lanes: Sequence[tuple[int, str, ShuffleLesions]],
    *,
    chance: float | None = None,
    theme: Theme = "light",
) -> go.Figure:
    """Accuracy against Kendall's τ of the blocks' order (Veit16 Fig 5b); intact is at the left.

    A dot is one order, the line joins the medians of orders equally far from the intact one, the
    band 10 to 90 % of them.
    """
    figure = base_figure(
        theme,
        x="Kendall's τ of the order (1 is intact)",
        y=_accuracy_of(lanes),
        height=HEIGHT,
    )
    for lane, name, shuffled in lanes:
        colour = lane_style(lane).colour(theme)
        trials, points = shuffled.accuracy.shape
        x = np.concatenate([[1.0], np.median(shuffled.tau, axis=0)])
        low, middle, high = (
            np.concatenate([[shuffled.baseline_accuracy], row])
            for row in np.quantile(shuffled.accuracy, _SPREAD, axis=0)
        )
        if trials > 1:
            add_band(figure, x, low * 100, high * 100, colour, f"lane{lane}")
            _dots(
                figure,
                shuffled.tau.ravel(),
                shuffled.accuracy.ravel(),
                shuffled,
                lane,
                name,
                theme,
                words=[
                    f"order {i // points + 1}.{i % points + 1}, τ = {tau:.2f}, "
                    f"{int(swaps)} change{'' if swaps == 1 else 's'} of place"
                    for i, (tau, swaps) in enumerate(
                        zip(shuffled.tau.flat, shuffled.swaps.flat, strict=True)
                    )
                ],
            )
        _line(figure, x, middle, shuffled.n_images, lane, name, theme, "τ = %{x:.2f}: %{y:.1f} %")
    _percent_axis(figure, chance if lanes else None, theme)
    figure.update_xaxes(autorange="reversed")
    return figure


def swap_figure(
    lanes: Sequence[tuple[int, str, SwapLesions]], *, theme: Theme = "light"
) -> go.Figure:
    """A panel a net: accuracy after blocks ``row`` and ``column`` have changed places.

    The diagonal is the intact net; empty are pairs of different shape. A panel goes from the first
    to the last block that changes places: where one stage was asked for, it is that stage.
    """
    lanes = list(lanes)
    figure = panels(
        theme,
        [f"{name}, {_images(swaps)}" for _, name, swaps in lanes],
        x="block (1 is nearest the input)",
        y="block",
        row_height=340,
    )
    for row, (_, name, swaps) in enumerate(lanes, start=1):
        first, last = min(swaps.first), max(swaps.second)
        table = swaps.matrix()[first : last + 1, first : last + 1]
        bounds = intervals(np.nan_to_num(table), swaps.n_images) * 100
        places = np.arange(first + 1, last + 2)
        figure.add_heatmap(
            z=table * 100,
            x=places,
            y=places,
            zmin=0,
            zmax=100,
            colorscale=sequential(theme),
            coloraxis=None,
            showscale=row == 1,
            colorbar=colour_bar(theme, "accuracy, %"),
            name=name,
            customdata=bounds,
            hoverongaps=False,
            hovertemplate=(
                "%{fullData.name}<br>%{x} and %{y} swapped: %{z:.1f} % "
                "(%{customdata[0]:.1f} – %{customdata[1]:.1f})<extra></extra>"
            ),
            row=row,
            col=1,
        )
        figure.update_yaxes(range=[last + 1.5, first + 0.5], constrain="domain", row=row, col=1)
        figure.update_xaxes(range=[first + 0.5, last + 1.5], row=row, col=1)
    return figure


def stage_figure(
    lanes: Sequence[tuple[int, str, StageLesions]],
    *,
    chance: float | None = None,
    theme: Theme = "light",
) -> go.Figure:
    """Accuracy without all the blocks of a stage that can be deleted, and intact."""
    figure = base_figure(theme, x="deleted", y=_accuracy_of(lanes), height=HEIGHT)
    places = list(dict.fromkeys(stage for _, _, stages in lanes for stage in stages.stages))
    for lane, name, stages in lanes:
        style = lane_style(lane)
        shares = np.concatenate([[stages.baseline_accuracy], stages.accuracy])
        words = ["intact"] + [
            f"{len(gone)} of {len(gone) + len(kept)} blocks deleted"
            for gone, kept in zip(stages.deleted, stages.kept, strict=True)
        ]
        figure.add_scatter(
            x=["none", *stages.stages],
            y=shares * 100,
            name=name,
            mode="markers",
            text=words,
            marker={"symbol": style.symbol, "size": 10, "color": style.colour(theme)},
            error_y=_bars(shares, stages.n_images, style.colour(theme)),
            hovertemplate="%{fullData.name}, %{x}<br>%{text}: %{y:.1f} %<extra></extra>",
        )
    _percent_axis(figure, chance if lanes else None, theme)
    figure.update_xaxes(
        type="category",
        tickvals=["none", *places],
        ticktext=["none", *(name.replace(" ", "<br>") for name in places)],  # none is tilted
        tickangle=0,
    )
    figure.update_layout(scattermode="group")  # nets stand side by side in a stage
    return figure


def gate_lesion_figure(
    lanes: Sequence[tuple[int, str, Sequence[str], GateLesions]],
    *,
    chance: float | None = None,
    theme: Theme = "light",
) -> go.Figure:
    """Accuracy with the gate of one block held, block by block, and at the right with all held.

    Args:
        lanes: (lane index, name, names of all units in order, result).
    """
    figure = base_figure(
        theme,
        x="block whose gate is held (1 is nearest the input)",
        y=_accuracy_of(lanes),
        height=HEIGHT,
    )
    last = max((len(units) for _, _, units, _ in lanes), default=1)
    apart = last + max(2.0, 0.06 * last)
    for lane, name, all_units, gates in lanes:
        colour = lane_style(lane).colour(theme)
        place = {unit: i + 1 for i, unit in enumerate(all_units)}
        x = [*(float(place[unit]) for unit in gates.units), apart]
        sign = "T" if gates.gate == "transform" else "g"
        for i, (value, shares) in enumerate(zip(gates.values, gates.accuracy, strict=True)):
            held = f"{sign} = {value if value == 'mean' else f'{value:g}'}"
            figure.add_scatter(
                x=x,
                y=shares * 100,
                name=f"{name}, {held}",
                mode="markers",
                text=[*gates.units, "all gates"],
                marker={
                    "symbol": _VALUE_SYMBOLS[i % len(_VALUE_SYMBOLS)],
                    "size": 7,
                    "color": colour,
                },
                error_y=_bars(shares, gates.n_images, colour),
                hovertemplate="%{fullData.name}<br>%{text}: %{y:.1f} %<extra></extra>",
            )
        figure.add_scatter(
            x=[0.5, apart + 0.5],
            y=[gates.baseline_accuracy * 100] * 2,
            mode="lines",
            line={"color": faded(colour, 0.6), "width": 1.25, "dash": lane_style(lane).dash},
            showlegend=False,
            name=f"{name}, intact",
            hovertemplate="%{fullData.name}: %{y:.1f} %<extra></extra>",
        )
    _percent_axis(figure, chance if lanes else None, theme)
    if lanes:
        step = max(1, round(last / 8))
        numbers = [1, *range(step, last + 1, step)] if step > 1 else list(range(1, last + 1))
        figure.update_xaxes(
            tickvals=[*numbers, apart], ticktext=[*map(str, numbers), "all"], tickangle=0
        )
    return figure


# ------------------------------------------------------------------------------ what recurs


def _images(study: LesionStudy) -> str:
    return f"{study.n_images:,} {IMAGES[study.images]}"


def _accuracy_of(lanes: Sequence[tuple[Any, ...]]) -> str:
    return accuracy_of([(study.n_images, study.images) for *_, study in lanes])


def _bars(shares: Floats, n: int, colour: str) -> dict[str, Any]:
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


def _dots(
    figure: go.Figure,
    x: Floats,
    shares: Floats,
    study: LesionStudy,
    lane: int,
    name: str,
    theme: Theme,
    *,
    words: Sequence[str],
) -> None:
    """One faint dot a program, with its interval on pointing."""
    style = lane_style(lane)
    figure.add_scatter(
        x=x,
        y=shares * 100,
        name=f"{name}, each",
        mode="markers",
        text=words,
        customdata=study.intervals().reshape(-1, 2) * 100,
        legendgroup=f"lane{lane}",
        showlegend=False,
        marker={"symbol": style.symbol, "size": 4, "color": faded(style.colour(theme), 0.45)},
        hovertemplate=(
            "%{fullData.name}<br>%{text}: %{y:.1f} % "
            "(%{customdata[0]:.1f} – %{customdata[1]:.1f})<extra></extra>"
        ),
    )


def _line(
    figure: go.Figure,
    x: Floats,
    shares: Floats,
    n: int,
    lane: int,
    name: str,
    theme: Theme,
    words: str,
) -> None:
    style = lane_style(lane)
    colour = style.colour(theme)
    figure.add_scatter(
        x=x,
        y=shares * 100,
        name=name,
        mode="lines+markers",
        legendgroup=f"lane{lane}",
        line={"color": colour, "width": 2, "dash": style.dash},
        marker={"symbol": style.symbol, "size": 7, "color": colour},
        error_y=_bars(shares, n, colour),
        hovertemplate="%{fullData.name}, median<br>" + words + "<extra></extra>",
    )


def _percent_axis(figure: go.Figure, chance: float | None, theme: Theme) -> None:
    figure.update_yaxes(range=PERCENT)
    figure.update_layout(showlegend=True)
    if chance is not None:
        figure.add_hline(
            y=chance * 100,
            line={"color": muted(theme), "width": 1, "dash": "dot"},
            annotation={
                "text": "guessing",
                "font": {"size": 12, "color": muted(theme)},
                "showarrow": False,
            },
            annotation_position="bottom left",
        )
