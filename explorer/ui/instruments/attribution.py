"""Which pixels carried a decision (Captum)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from explorer.charts import Theme, attribution_figure
from explorer.claims import says
from explorer.results import Attribution
from explorer.ui.instruments.contract import Asking, Instrument, Lane, Result, Row
from explorer.ui.instruments.decisions import (
    BASELINE,
    IMAGE,
    OWN,
    TARGET,
    WITHOUT,
    one_decision,
    said_of,
)
from explorer.ui.instruments.options import Choice, Options, UnitPick
from explorer.ui.instruments.words import so_far

FORMULAS = {
    "integrated_gradients": "(xᵢ − x′ᵢ) · ∫₀¹ ∂f/∂xᵢ(x′ + α(x − x′)) dα; all pixels: f(x) − f(x′)",
    "saliency": "max over colours of |∂f/∂xᵢ|",
    "grad_cam": "Σₖ αₖ Aᵏ, αₖ the mean of ∂f/∂Aᵏ over positions, Aᵏ the maps of a block",
    "occlusion": "f(x) − f(x with a window filled with x′), averaged over the windows of a pixel",
}
STRONGEST = 64  # rows of the table


def _measured(lane: Lane) -> Attribution:
    return Attribution.from_json(lane.result)


def figure(lanes: Sequence[Lane], options: Options, theme: Theme) -> go.Figure:
    return attribution_figure(
        [(lane.index, lane.name, _measured(lane)) for lane in lanes],
        columns=2 if options.get("narrow") else 4,
        theme=theme,
    )


def caption(lanes: Sequence[Lane], options: Options) -> list[str]:
    said = []
    for lane in lanes:
        result = _measured(lane)
        words = said_of(lane, result.decision)
        error, low = result.error(), result.baseline_logit
        if error is not None and low is not None:
            whole = result.decision.logit - low
            signed = f"{error:.2g}".replace("-", "−")
            words += (
                f" Its map adds up to {result.values.sum():.3g} of {whole:.3g} logits (error "
                f"{signed}, {result.n_steps} steps{so_far(lane)})."
            )
        elif result.unit is not None:
            height, width = result.values.shape
            words += f" Maps of {result.unit}, {height}×{width}."
        said.append(words)
    return said


def formula(lanes: Sequence[Lane], options: Options) -> list[str]:
    lines = [FORMULAS[options["method"]] + "; f is the logit of the explained class"]
    for lane in lanes:
        result = _measured(lane)
        row, column = _strongest(result)[0]
        lines.append(
            f"{lane.name}: the strongest is row {row}, column {column}: "
            f"{result.values[row, column]:.3g}"
        )
    return lines


def table(result: Result) -> list[Row]:
    given = Attribution.from_json(result)
    return [
        {"row": row, "column": column, "evidence": float(f"{given.values[row, column]:.4g}")}
        for row, column in _strongest(given)[:STRONGEST]
    ]


def _strongest(result: Attribution) -> list[tuple[int, int]]:
    """Places of the map, the greatest magnitude first."""
    order = np.argsort(-np.abs(result.values), axis=None, kind="stable")
    rows, columns = np.unravel_index(order, result.values.shape)
    return [(int(r), int(c)) for r, c in zip(rows, columns, strict=True)]


def payload(asking: Asking) -> dict[str, Any]:
    options = asking.options
    units = () if asking.plan is None else asking.plan.units
    at = options["unit"] if options["method"] == "grad_cam" else None
    return {
        **one_decision(asking),
        "method": options["method"],
        "unit": at if any(unit.name == at for unit in units) else None,
    }


INSTRUMENT = Instrument(
    key="attribution",
    title="Pixels",
    group="features",
    order=50,
    question="Which pixels decided?",
    explains=(
        "Orange pixels speak for the class and blue ones against it, on the scale of each net "
        "(saliency has no sign: it says how strongly, not which way). "
        "Look whether the nets look at the same strokes, and what changes without a block."
    ),
    figure_of=says("methods.pixels"),
    job="attribution",
    figure=figure,
    caption=caption,
    formula=formula,
    table=table,
    mode="evaluation mode; one image",
    options=(
        IMAGE,
        OWN,
        Choice(
            "method",
            "Method",
            {
                "integrated_gradients": "integrated gradients",
                "grad_cam": "Grad-CAM",
                "occlusion": "occlusion",
                "saliency": "saliency",
            },
        ),
        UnitPick(
            "unit",
            "At block",
            usually="last",
            which=lambda unit: len(unit.output_shape) == 3,
            when=lambda options: options["method"] == "grad_cam",
            help="A net that has no block of this name is looked at after its last one.",
        ),
        TARGET,
        WITHOUT,
        Choice(
            BASELINE.name,
            BASELINE.label,
            BASELINE.values,
            when=lambda options: options["method"] in ("integrated_gradients", "occlusion"),
        ),
    ),
    payload=payload,
    suggests=("digits_plain_56", "digits_resnet_v2_56"),
    takes_images=False,
)
