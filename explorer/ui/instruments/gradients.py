"""Gradient magnitude by layer (He15 §4.1; SGS15 §1)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from explorer.charts import Theme, gradient_figure
from explorer.claims import says
from explorer.results import Floats, LayerGradients
from explorer.ui.instruments.contract import Instrument, Lane, Result, Row
from explorer.ui.instruments.options import Choice, Options
from explorer.ui.instruments.words import ends, times


def _measured(lane: Lane) -> LayerGradients:
    return LayerGradients.from_json(lane.result)


def _values(gradients: LayerGradients, options: Options) -> Floats:
    """By layer on the depth axis, or by unit."""
    if options["of"] == "outputs":
        return gradients.output_rms
    return gradients.parameter_rms[np.asarray(gradients.depth_index) > 0]


def figure(lanes: Sequence[Lane], options: Options, theme: Theme) -> go.Figure:
    made = gradient_figure(
        [(lane.index, lane.name, _measured(lane)) for lane in lanes],
        of=options["of"],
        theme=theme,
    )
    made.update_layout(height=380, showlegend=True)
    return made


def caption(lanes: Sequence[Lane], options: Options) -> list[str]:
    said = []
    where = "layers" if options["of"] == "parameters" else "blocks"
    for lane in lanes:
        gradients = _measured(lane)
        both = ends(_values(gradients, options).tolist())
        if both is None or not np.all(np.isfinite(both)) or min(both) <= 0:
            continue
        first, last = both
        ratio = max(first, last) / min(first, last)
        near, far = ("first", "last") if first > last else ("last", "first")
        much = "about" if ratio < 1.1 else times(ratio)
        said.append(
            f"{lane.name}: {much} as large in the {near} three {where} as in the {far} three "
            f"(medians; one batch of {gradients.n_images:,} training images, loss "
            f"{gradients.loss:.3g})."
        )
    return said


def formula(lanes: Sequence[Lane], options: Options) -> list[str]:
    parameters = options["of"] == "parameters"
    lines = [
        "RMS(∂L/∂W) = √( Σ (∂L/∂w)² / |W| ) over a layer's weights, L the batch's mean loss"
        if parameters
        else "RMS(∂ℓ/∂y) = √( mean over images i and entries of (∂ℓᵢ/∂yᵢ)² ), y a block's output"
    ]
    for lane in lanes:
        gradients = _measured(lane)
        values = _values(gradients, options)
        names = (
            [n for n, d in zip(gradients.layers, gradients.depth_index, strict=True) if d]
            if parameters
            else gradients.units
        )
        if len(values):
            lines.append(
                f"{lane.name}: {names[0]} {values[0]:.3g}, {names[-1]} {values[-1]:.3g}, "
                f"first ÷ last = {values[0] / values[-1]:.3g}"
                if values[-1] > 0
                else f"{lane.name}: {names[0]} {values[0]:.3g}, {names[-1]} {values[-1]:.3g}"
            )
    return lines


def table(result: Result) -> list[Row]:
    gradients = LayerGradients.from_json(result)
    layers: list[Row] = [
        {"of": layer, "kind": "weights", "depth": depth or None, "RMS": _digits(rms)}
        for layer, depth, rms in zip(
            gradients.layers, gradients.depth_index, gradients.parameter_rms, strict=True
        )
    ]
    outputs: list[Row] = [
        {"of": unit, "kind": "output", "depth": None, "RMS": _digits(rms)}
        for unit, rms in zip(gradients.units, gradients.output_rms, strict=True)
    ]
    return layers + outputs


def _digits(value: float) -> float | None:
    return float(f"{value:.4g}") if np.isfinite(value) else None


INSTRUMENT = Instrument(
    key="gradients",
    title="Gradients",
    group="gradients",
    order=10,
    question="Does the signal that trains the first layers arrive?",
    explains=(
        "Each point is the root mean square of the loss gradient at one layer, on a log scale, "
        "from the input on the left to the answer on the right. Look for a slope: a curve that "
        "climbs or falls by powers of ten starves one end of the net, a flat one trains all of it."
    ),
    figure_of=says("he15.healthy", "vanishing.normed", "vanishing.bare"),
    job="gradients",
    figure=figure,
    caption=caption,
    formula=formula,
    table=table,
    mode="as in a training step; nothing random",
    step=True,
    options=(
        Choice(
            "of",
            "Gradient of",
            {"parameters": "weights", "outputs": "block outputs"},
            help="Of each layer's weights, or of what each block gives to the next.",
        ),
    ),
    suggests=("digits_plain_56", "digits_resnet_v2_56"),
    see={
        "vanishing": "Why it vanishes: the causes apart",
        "history;as=ends": "First and last layers while it trains",
    },
)
