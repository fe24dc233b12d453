"""Shattered gradients of nets of one number, at initialisation (Balduzzi17)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import plotly.graph_objects as go

from explorer.charts import (
    Theme,
    autocorrelation_figure,
    gradient_likeness_figure,
    input_gradient_figure,
)
from explorer.claims import says
from explorer.results import ShatteredGradients
from explorer.ui.instruments.contract import Asking, Instrument, Lane, Result, Row
from explorer.ui.instruments.options import Choice, Flag, Number, Options, Whole
from explorer.ui.instruments.words import percent

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
        case show:
            of: Literal["autocorrelation", "cosine"] = (
                "cosine" if show == "cosine" else "autocorrelation"
            )
            made = autocorrelation_figure(drawn, depth=int(options["depth"]), of=of, theme=theme)
    made.update_layout(height=380)
    return made


def caption(lanes: Sequence[Lane], options: Options) -> list[str]:
    said = []
    for _, name, measured in _drawn(lanes):
        if options["show"] == "depth":
            mean, low, _ = measured.pair_cosine.T
            alike = [d for d, bottom in zip(measured.pair_depths, low, strict=True) if bottom > 0]
            deepest = max(alike, default=0)
            at = (
                f"{mean[measured.pair_depths.index(deepest)]:.2g} at {deepest} layers, the deepest "
                "at which the 10 % percentile over the seeds is above 0"
                if deepest
                else "not told from 0 at any depth"
            )
            said.append(
                f"{name}: the mean cosine of dh/dx at two inputs is {at} ({measured.seeds} seeds)."
            )
            continue
        depth = int(options["depth"])
        place = int(np.argmin(np.abs(np.asarray(measured.depths) - depth)))
        if options["show"] == "cosine":
            beside, far = measured.cosine[place, 0, 1], measured.cosine[place, 0, -1]
            said.append(
                f"{name}: with {measured.depths[place]} layers the mean cosine of dh/dx is "
                f"{beside:.2g} at neighbouring inputs and {far:.2g} at {measured.distance[-1]:.2g} "
                f"apart ({measured.seeds} seeds, width {measured.width})."
            )
            continue
        if measured.one_point(place):
            share = measured.largest_share[measured.pair_depths.index(measured.depths[place])]
            said.append(
                f"{name}: with {measured.depths[place]} layers one of {len(measured.inputs)} "
                f"inputs holds {percent(float(share))} of Σ|dh/dx|² (median of {measured.seeds} "
                "seeds), so its autocorrelation says nothing; the likeness of directions counts "
                "every input the same."
            )
            continue
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
        "cos(x, x′) = J·J′ ÷ (|J|·|J′|), J = dh/dx of the last layer's values h: every input "
        "counts the same",
    ]
    for _, name, measured in _drawn(lanes):
        depth = measured.pair_depths[-1]
        lines.append(
            f"{name}: mean cosine over all pairs at L = {depth}: {measured.pair_cosine[-1, 0]:.3g}"
            + (f"; 2⁻ᴸ = {2.0**-depth:.2g}" if measured.family == "plain" else "")
        )
    return lines


def table(result: Result) -> list[Row]:
    return [
        {
            "nets": measured.title,
            "layers": depth,
            "below ½ at": None if np.isnan(half) else round(float(half), 4),
            "mean cosine of pairs": float(
                f"{measured.pair_cosine[measured.pair_depths.index(depth), 0]:.3g}"
            ),
            "largest point's share": float(
                f"{measured.largest_share[measured.pair_depths.index(depth)]:.3g}"
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
    question="Do two inputs that are close have like slopes dy/dx?",
    explains=(
        "Small nets with one input and one output, before training and without a loss: how alike "
        "the slope dy/dx is at two inputs, against their distance. Look at what distance a deep "
        "plain net's slope has nothing in common with itself, like white noise, and whether "
        "shortcuts keep it alike."
    ),
    figure_of=says(
        "balduzzi17.shattering", "shattering.plain", "shattering.residual", "shattering.highway"
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
                "cosine": "directions by distance",
                "gradient": "dy/dx itself",
                "depth": "directions by depth",
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
