"""The loss around the weights (Li18)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from explorer.charts import Theme, contour_figure, loss_line_figure, surface_figure
from explorer.claims import says
from explorer.results import LossSurface
from explorer.ui.instruments.contract import Asking, Instrument, Lane, Result, Row, one_net
from explorer.ui.instruments.options import Choice, Number, Options, Whole
from explorer.ui.instruments.words import so_far


def _surface(lane: Lane) -> LossSurface:
    return LossSurface.from_json(lane.result)


def payload(asking: Asking) -> dict[str, Any]:
    options = asking.options
    return {
        **one_net(asking),
        "resolution": int(options["points"]),
        "span": options["span"],
        "line": options["show"] == "line",
        "direction": options["direction"],
        "norm": options["norm"],
    }


def figure(lanes: Sequence[Lane], options: Options, theme: Theme) -> go.Figure:
    drawn = [(lane.index, lane.name, _surface(lane)) for lane in lanes]
    columns = 1 if options["narrow"] else 2
    match options["show"]:
        case "space":
            return surface_figure(drawn, columns=columns, theme=theme)
        case "line":
            made = loss_line_figure(drawn, theme=theme)
            made.update_layout(height=380)
            return made
        case _:
            return contour_figure(drawn, columns=columns, theme=theme)


def caption(lanes: Sequence[Lane], options: Options) -> list[str]:
    said = []
    for lane in lanes:
        surface = _surface(lane)
        known = surface.loss[surface.done]
        if not len(known) or not np.isfinite(surface.centre):
            continue
        finite = known[np.isfinite(known)]
        over = int(np.sum(~np.isfinite(known) | (known > 10)))
        words = (
            f"{lane.name}: loss {surface.centre:.3g} at the weights themselves, "
            f"{float(finite.min()):.3g} at the least and {float(finite.max()):.3g} at the most of "
            f"{len(known):,} points{so_far(lane)} ({surface.n_images:,} training images)."
        )
        if over:
            words += f" {over:,} of them are above 10 nats."
        said.append(words)
    return said


def formula(lanes: Sequence[Lane], options: Options) -> list[str]:
    lines = [
        "L(θ + α·δ + β·η), δ and η random, each filter of them as long as θ's: "
        "δᵢ ← δᵢ · ‖θᵢ‖ / ‖δᵢ‖"
    ]
    for lane in lanes:
        surface = _surface(lane)
        if np.isfinite(surface.centre):
            side = len(surface.alphas)
            lines.append(
                f"{lane.name}: L(θ) = {surface.centre:.4g}; α from {surface.alphas[0]:g} to "
                f"{surface.alphas[-1]:g} in {side} points, β in {len(surface.betas)}"
            )
    return lines


def table(result: Result) -> list[Row]:
    surface = LossSurface.from_json(result)
    rows, columns = np.nonzero(surface.done)
    return [
        {
            "α": round(float(surface.alphas[c]), 4),
            "β": round(float(surface.betas[r]), 4),
            "loss": float(f"{surface.loss[r, c]:.4g}"),
            "right, %": round(100 * float(surface.accuracy[r, c]), 1),
        }
        for r, c in zip(rows, columns, strict=True)
    ]


INSTRUMENT = Instrument(
    key="surface",
    title="Loss surface",
    group="loss",
    question="Is the way down smooth?",
    explains=(
        "The loss on a plane through the weights, along two random directions whose filters are as "
        "long as the net's own; it is refined while you watch. Look how round the valley is around "
        "the middle, and how far from it the loss stays low."
    ),
    figure_of=says("li18.surface", "li18.errors"),
    job="surface",
    figure=figure,
    caption=caption,
    formula=formula,
    table=table,
    mode="training images; biases and what batch norm learned stay as they are",
    options=(
        Choice(
            "show", "Show", {"contour": "contours", "space": "in space", "line": "along one line"}
        ),
        Choice(
            "points",
            "Points a side",
            {"9": "9", "17": "17", "33": "33", "51": "51, as in the paper"},
            default="17",
        ),
        Number("span", "Out to ±", 1.0, 0.05, 10.0, 0.25, help="In lengths of the weights."),
        Choice(
            "norm",
            "Batch norm by",
            {"running": "its statistics", "batch": "the batch"},
            help="The paper takes its running statistics; of an untrained net they are those of "
            "these images at θ.",
        ),
        Whole("direction", "Directions", 0, 0, 2**31 - 1, help="Seed of the two directions."),
    ),
    payload=payload,
    suggests=("digits_plain_56", "digits_resnet_v2_56"),
)
