"""What a training recorded of each layer: layer × step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from explorer.charts import Theme, history_ends_figure, history_figure
from explorer.claims import says
from explorer.errors import NotApplicableError
from explorer.results import LayerHistory
from explorer.runs.service import RunService
from explorer.ui.instruments.blocks import rounded
from explorer.ui.instruments.contract import Asking, Instrument, Lane, Result, Row
from explorer.ui.instruments.options import Choice, Options
from explorer.ui.instruments.words import ends, times

WORDS = {
    "parameter_rms": "gradients of the weights",
    "output_rms": "gradients of block outputs",
    "response_sd": "responses",
    "gate_mean": "mean gates",
}
FORMULAS = {
    "parameter_rms": "RMS(∂L/∂W) = √( Σ (∂L/∂w)² / |W| ) of each layer, on the step's own batch",
    "output_rms": "RMS(∂ℓ/∂y) = √( mean over images and entries of (∂ℓᵢ/∂yᵢ)² ), on that batch",
    "response_sd": "standard deviation of each layer's response on fixed training images",
    "gate_mean": "mean of T(x) over the step's own batch and all entries",
}


def _measured(lane: Lane) -> LayerHistory:
    return LayerHistory.from_json(lane.result)


def figure(lanes: Sequence[Lane], options: Options, theme: Theme) -> go.Figure:
    drawn = [(lane.index, lane.name, _measured(lane)) for lane in lanes]
    return (history_ends_figure if options["as"] == "ends" else history_figure)(drawn, theme=theme)


def caption(lanes: Sequence[Lane], options: Options) -> list[str]:
    said = []
    for lane in lanes:
        history = _measured(lane)
        if options["as"] == "ends":
            said += _ends_said(lane, history)
            continue
        words = (
            f"{lane.name}: {WORDS[history.quantity]} at {len(history.steps)} moments, step "
            f"{history.steps[0]:.0f} to {history.steps[-1]:.0f}."
        )
        for i in sorted({0, len(history.steps) - 1}):
            both = ends(history.values[:, i].tolist())
            if both and np.isfinite(both).all() and min(both) > 0:
                words += (
                    f" At step {history.steps[i]:.0f} the first three are "
                    f"{times(both[0] / both[1])} the last three (medians)."
                )
        said.append(words)
    return said


def _ends_said(lane: Lane, history: LayerHistory) -> list[str]:
    """First ÷ last at the start, at its greatest, and over the second half of what is there."""
    first, last = history.ends()
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = first / last
    known = np.isfinite(ratio) & (ratio > 0)
    if not known.any():
        return []
    steps, ratio = history.steps[known], ratio[known]
    late = ratio[steps >= (steps[0] + steps[-1]) / 2]
    greatest = int(np.argmax(ratio))
    return [
        f"{lane.name}: {WORDS[history.quantity]}, median of the first three ÷ of the last three: "
        f"{ratio[0]:.3g} at step {steps[0]:.0f}, at most {ratio[greatest]:.3g} (step "
        f"{steps[greatest]:.0f}), {np.median(late):.3g} in the second half (median of "
        f"{len(late)} recorded steps, from {late.min():.2g} to {late.max():.2g}; one training)."
    ]


def formula(lanes: Sequence[Lane], options: Options) -> list[str]:
    lines = [FORMULAS[options["of"]]]
    for lane in lanes:
        history = _measured(lane)
        first, last = history.values[0, 0], history.values[0, -1]
        lines.append(
            f"{lane.name}, {history.rows[0]}: {first:.3g} at step {history.steps[0]:.0f}, "
            f"{last:.3g} at step {history.steps[-1]:.0f}"
        )
    return lines


def table(result: Result) -> list[Row]:
    """About eight moments, side by side."""
    history = LayerHistory.from_json(result)
    n = len(history.steps)
    moments = sorted({round(i * (n - 1) / 7) for i in range(8)})
    return [
        {
            "of": name,
            **{f"step {history.steps[i]:.0f}": rounded(float(values[i]), 3) for i in moments},
        }
        for name, values in zip(history.rows, history.values, strict=True)
    ]


def recorded(service: RunService, asking: Asking) -> dict[str, Any]:
    """The history of a lane of a run.

    Raises:
        NotApplicableError: The net is no lane of a run.
        RunError: Nothing was recorded yet.
    """
    source = asking.source
    if source.get("source") != "run":
        raise NotApplicableError(
            "Only a training that was recorded here has a history: choose a lane of a run, or "
            "train this net on the Compare page."
        )
    return service.layer_history(
        source["experiment"], source["lane"], asking.options["of"]
    ).to_json()


INSTRUMENT = Instrument(
    key="history",
    title="While it trained",
    group="gradients",
    order=18,
    question="What happened in every layer while the net trained?",
    explains=(
        "Each row is a layer or block, from the input below to the answer above; each column a "
        "recorded step, coloured on a log scale for gradients. Look for rows that stay dark or "
        "pale all along: layers that never get a gradient, or get far more than others. As curves: "
        "the first three layers beside the last three."
    ),
    figure_of=says("he15.healthy", "vanishing.in_training"),
    job=None,
    recorded=recorded,
    figure=figure,
    caption=caption,
    formula=formula,
    table=table,
    mode="as recorded in training",
    options=(
        Choice("of", "Show", WORDS),
        Choice("as", "As", {"map": "every layer", "ends": "first and last layers"}),
    ),
    takes_images=False,
)
