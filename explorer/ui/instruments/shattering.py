"""Shattered gradients of nets of one number, at initialisation (Balduzzi17)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from explorer.charts import (
    Theme,
    autocorrelation_figure,
    gradient_likeness_figure,
    input_gradient_figure,
)
from explorer.results import ShatteredGradients
from explorer.ui.instruments.contract import Asking, Instrument, Lane, Result, Row
from explorer.ui.instruments.options import Choice, Flag, Number, Options, Whole

DEPTHS = (2, 4, 10, 24, 50)


def _families(result: Result) -> list[ShatteredGradients]:
    return [ShatteredGradients.from_json(value) for value in result["families"]]


def _drawn(lanes: Sequence[Lane]) -> list[tuple[int, str, ShatteredGradients]]:
    """One lane a family: plain, residual, highway."""
    return [
        (index, measured.title, measured)
        for lane in lanes
        for index, measured in enumerate(_families(lane.result))
    ]


def payload(asking: Asking) -> dict[str, Any]:
    return {
        "depths": DEPTHS,
        "batch_norm": asking.options["batch_norm"],
        "beta": asking.options["beta"],
        "transform_bias": asking.options["bias"],
        "seeds": asking.options["seeds"],
    }


def figure(lanes: Sequence[Lane], options: Options, theme: Theme) -> go.Figure:
    drawn = _drawn(lanes)
    match options["show"]:
        case "gradient":
            return input_gradient_figure(drawn, depth=int(options["depth"]), theme=theme)
        case "depth":
            made = gradient_likeness_figure(drawn, theme=theme)
        case _:
            made = autocorrelation_figure(drawn, depth=int(options["depth"]), theme=theme)
    made.update_layout(height=380)
    return made


def caption(lanes: Sequence[Lane], options: Options) -> list[str]:
    said = []
    for _, name, measured in _drawn(lanes):
        if options["show"] == "depth":
            mean, low, _ = measured.pair_correlation.T
            alike = [d for d, bottom in zip(measured.pair_depths, low, strict=True) if bottom > 0]
            deepest = max(alike, default=0)
            at = (
                f"{mean[measured.pair_depths.index(deepest)]:.2g} at {deepest} layers, the deepest "
                "at which the 10 % percentile over the seeds is above 0"
                if deepest
                else "not told from 0 at any depth"
            )
            said.append(
                f"{name}: the correlation of the gradients at two inputs is {at} "
                f"({measured.seeds} seeds)."
            )
            continue
        depth = int(options["depth"])
        place = int(np.argmin(np.abs(np.asarray(measured.depths) - depth)))
        half = float(measured.half_distance()[place])
        where = (
            f"falls below ½ at a distance of {half:.2g}"
            if np.isfinite(half)
            else f"stays above ½ up to a distance of {measured.distance[-1]:.2g}"
        )
        said.append(
            f"{name}: with {measured.depths[place]} layers the correlation of dy/dx at two inputs "
            f"{where} (mean of {measured.seeds} seeds, width {measured.width})."
        )
    return said


def formula(lanes: Sequence[Lane], options: Options) -> list[str]:
    lines = [
        "R(d) = Σ g(x)·g(x + d) ÷ √(Σ g(x)² · Σ g(x + d)²), g = dy/dx on 256 points of [−2, 2]",
        "plain nets, half of the ReLUs active at each input independently: P(both) ÷ P(one) = ½ a "
        "layer, 2⁻ᴸ in all",
    ]
    for _, name, measured in _drawn(lanes):
        depth = measured.pair_depths[-1]
        lines.append(
            f"{name}: measured over all pairs at L = {depth}: "
            f"{measured.pair_correlation[-1, 0]:.3g}"
            + (f"; 2⁻ᴸ = {2.0**-depth:.2g}" if measured.family == "plain" else "")
        )
    return lines


def table(result: Result) -> list[Row]:
    return [
        {
            "nets": measured.title,
            "layers": depth,
            "below ½ at": None if np.isnan(half) else round(float(half), 4),
            "over all pairs": float(
                f"{measured.pair_correlation[measured.pair_depths.index(depth), 0]:.3g}"
            ),
        }
        for measured in _families(result)
        for depth, half in zip(measured.depths, measured.half_distance(), strict=True)
    ]


INSTRUMENT = Instrument(
    key="shattering",
    title="Shattered gradients",
    group="start",
    order=40,
    question="Do two inputs that are close agree on where the loss goes down?",
    explains=(
        "Small nets with one input and one output, before training: how alike the slope dy/dx is "
        "at two inputs, against their distance. Look how soon a deep plain net's slope has nothing "
        "in common with itself a step away, like white noise, and how shortcuts keep it alike."
    ),
    figure_of=(
        "Balduzzi et al. 2017 (width 200, 256 points on [−2, 2]): the gradients of plain nets "
        "decorrelate as 1/2ᴸ, towards white noise; those of nets with shortcuts far more slowly."
    ),
    job="shattering",
    figure=figure,
    caption=caption,
    formula=formula,
    table=table,
    mode="nets of one number, width 200, each seed another start",
    options=(
        Choice(
            "show",
            "Show",
            {
                "autocorrelation": "likeness by distance",
                "gradient": "dy/dx itself",
                "depth": "likeness by depth",
            },
        ),
        Choice(
            "depth",
            "Layers",
            {str(depth): str(depth) for depth in DEPTHS},
            default=str(DEPTHS[-1]),
            when=lambda options: options["show"] != "depth",
        ),
        Flag("batch_norm", "Batch norm", default=True),
        Number("beta", "β, on F of residual nets", 1.0, 0.0, 1.0, 0.1),
        Whole("seeds", "Seeds", 5, 1, 50, help="So many random starts of each net."),
        Number("bias", "b_T of highway nets", -2.0, -20.0, 20.0, 0.5),
    ),
    payload=payload,
    needs_net=False,
    takes_images=False,
)
