"""Sweeps: error against depth (He15 Fig 1 and 6, SGS15 Fig 1), and the curves behind it."""

from __future__ import annotations

from typing import Literal, cast

import numpy as np
import plotly.graph_objects as go

from explorer.drawing.bands import add_band
from explorer.drawing.heat import panels, place
from explorer.drawing.palette import Theme, base_figure, faded, ink, lane_style
from explorer.results import Quantity, SweepResult

_Images = Literal["test", "train"]
_KINDS: tuple[tuple[_Images, str], ...] = (("test", "test"), ("train", "training"))


def _of(images: _Images, what: Literal["error", "loss"]) -> Quantity:
    return cast(Quantity, f"{images}_{what}")


def _ticks(depths: list[int]) -> list[int]:
    """The depths that were trained, but none so near to the next that their labels would meet."""
    found = sorted(set(depths))
    shown: list[int] = []
    for depth in reversed(found):
        if not shown or shown[-1] - depth > (found[-1] - found[0]) / 12:
            shown.append(depth)
    return shown[::-1]


def _apart(values: list[float], *, log: bool) -> list[float]:
    """Heights for labels of these values, moved up where they would stand on one another."""
    heights = np.log10(values) if log else np.asarray(values)
    gap = 0.3 if log else 8.0  # decades, per cent
    moved, below = heights.copy(), -np.inf
    for one in np.argsort(heights):
        moved[one] = below = max(heights[one], below + gap)
    return [float(value) for value in (10**moved if log else moved)]


def depth_figure(result: SweepResult, *, theme: Theme = "light") -> go.Figure:
    """Error of each family against depth; median over the seeds, and the band of all of them.

    Solid with filled markers: test images; dotted with open markers: training images.
    """
    figure = base_figure(theme, x="depth, layers", y="error, %", height=380)
    highest = 0.0
    for lane, net in enumerate(result.nets):
        style = lane_style(lane)
        colour, label = style.colour(theme), result.label(net)
        for kind, images in _KINDS:
            depth, low, middle, high = (
                values * (1 if i == 0 else 100)
                for i, values in enumerate(result.by_depth(net, _of(kind, "error")))
            )
            test = kind == "test"
            highest = max([highest, *high.tolist()])
            if (high > low).any():
                add_band(figure, depth, low, high, colour, net)
            figure.add_scatter(
                x=depth,
                y=middle,
                name=label if test else f"{label}, training images",
                mode="lines+markers",
                legendgroup=net,
                showlegend=test,
                line={"color": colour, "width": 2.25, "dash": "solid" if test else "dot"},
                marker={
                    "symbol": style.symbol if test else f"{style.symbol}-open",
                    "size": 8,
                    "color": colour,
                },
                hovertemplate=f"{label}, {images} images<br>"
                "%{x} layers: %{y:.3~g} %<extra></extra>",
            )
    figure.update_yaxes(range=[-0.02 * max(highest, 1), 1.06 * max(highest, 1)])
    figure.update_xaxes(tickvals=_ticks([run.depth for run in result.runs]))
    figure.update_layout(showlegend=True, margin={"b": 96})
    return figure


def sweep_curves_figure(
    result: SweepResult,
    *,
    quantity: Literal["error", "loss"] = "error",
    theme: Theme = "light",
) -> go.Figure:
    """Every run against its steps, a panel for each family: the deeper, the stronger the line.

    Solid: test images; dotted: training images.

    Args:
        quantity: ``error`` (per cent) or ``loss`` (nats, log scale).
    """
    titles = [result.label(net) for net in result.nets]
    percent = quantity == "error"
    figure = panels(
        theme, titles, x="step", y="error, %" if percent else "loss", row_height=210, gap=52
    )
    scale = 100 if percent else 1
    for index, net in enumerate(result.nets):
        colour = lane_style(index).colour(theme)
        runs = result.of(net)
        depths = sorted({run.depth for run in runs})
        for run in runs:
            strength = (depths.index(run.depth) + 1) / len(depths)
            for kind, images in _KINDS:
                test = kind == "test"
                figure.add_scatter(
                    x=run.step,
                    y=getattr(run, _of(kind, quantity)) * scale,
                    name=f"{run.title}, seed {run.seed}, {images} images",
                    mode="lines",
                    showlegend=False,
                    line={
                        "color": faded(colour, 0.3 + 0.7 * strength),
                        "width": (1.0 + 1.75 * strength) * (1 if test else 0.7),
                        "dash": "solid" if test else "dot",
                    },
                    hovertemplate="%{fullData.name}<br>step %{x}: %{y:.3~g}<extra></extra>",
                    **place(index, 1),
                )
        ends = [next(run for run in runs if run.depth == depth) for depth in depths]
        figure.add_scatter(
            x=[run.steps for run in ends],
            y=_apart([run.last(_of("test", quantity)) * scale for run in ends], log=not percent),
            text=[f" {run.depth}" for run in ends],
            mode="text",
            textposition="middle right",
            textfont={"size": 12, "color": ink(theme)},
            hoverinfo="skip",
            showlegend=False,
            **place(index, 1),
        )
    if percent:
        figure.update_yaxes(range=[0, 102])
    else:
        figure.update_yaxes(type="log", exponentformat="power", dtick=1)
    figure.update_xaxes(range=[0, result.steps * 1.08])
    return figure
