"""The figures and captions of a page, by the names that its live charts ask for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import plotly.graph_objects as go

from explorer.drawing import (
    Theme,
    captions,
    gate_figure,
    gradient_figure,
    lesion_figure,
    probability_figure,
    training_figure,
)
from explorer.pages.compare.lane_views import LaneView
from explorer.pages.compare.predictions import Seen

CHARTS = (
    "error",
    "loss",
    "gradient_parameters",
    "gradient_outputs",
    "gate",
    "lesion",
    "probabilities",
)
# Why a chart may be empty: something is under way; Play was not pressed and the images are not
# there to measure on; the run ended before it recorded this.
Situation = Literal["measuring", "before play", "over"]


def figure(
    chart: str,
    lanes: Sequence[LaneView],
    *,
    theme: Theme,
    steps_total: int | None,
    seen: Seen | None,
) -> go.Figure:
    """One figure of ``CHARTS``."""
    match chart:
        case "probabilities":
            predictions = seen.predictions if seen else ()
            return probability_figure(
                [(v.index, v.name, p) for v, p in zip(lanes, predictions, strict=False)],
                seen.classes if seen else (),
                intact=seen.intact if seen else {},
                theme=theme,
            )
        case "error" | "loss":
            return training_figure(
                [(v.index, v.curves) for v in lanes if v.curves is not None],
                quantity="error" if chart == "error" else "loss",
                steps_total=steps_total,
                theme=theme,
            )
        case "gradient_parameters" | "gradient_outputs":
            return gradient_figure(
                [(v.index, v.name, v.gradients) for v in lanes if v.gradients is not None],
                of="parameters" if chart == "gradient_parameters" else "outputs",
                theme=theme,
            )
        case "gate":
            return gate_figure(
                [(v.index, v.name, v.gates) for v in lanes if v.gates is not None], theme=theme
            )
        case _:
            shown = [v for v in lanes if v.lesions is not None]
            return lesion_figure(
                [(v.index, v.name, v.unit_names, v.lesions) for v in shown if v.lesions],
                chance=shown[0].chance if shown else None,
                theme=theme,
            )


def caption(chart: str, lanes: Sequence[LaneView], seen: Seen | None) -> str:
    """The two sentences of a chart, from the data that it shows."""
    match chart:
        case "probabilities":
            return seen.words([v.name for v in lanes]) if seen and seen.predictions else ""
        case "error":
            return captions.error_caption(lanes)
        case "loss":
            text = captions.error_caption(lanes)
            return text and f"{text} Cross-entropy, log scale."
        case "gradient_parameters":
            return captions.gradient_caption(lanes, "parameters")
        case "gradient_outputs":
            return captions.gradient_caption(lanes, "outputs")
        case "gate":
            return captions.gate_caption(lanes)
        case _:
            return captions.lesion_caption(lanes)


def problems(chart: str, lanes: Sequence[LaneView]) -> str:
    """Why a chart lacks a lane: the sentences of what could not be measured, each once."""
    kind = chart.partition("_")[0]
    lacking = [view for view in lanes if kind in view.problems]
    said = {view.problems[kind]: None for view in lacking}
    who = f"{', '.join(view.name for view in lacking)}: " if len(lacking) < len(lanes) else ""
    return f"{who}{' '.join(said)}" if said else ""


def words_when_empty(chart: str, lanes: Sequence[LaneView], situation: Situation) -> str:
    """What stands in a chart that has nothing to show."""
    if chart == "gate" and not any(view.plan.gated_units for view in lanes):
        return (
            "No net here has gates: choose the highway family for one lane, or a residual net's "
            "gated shortcuts."
        )
    if problem := problems(chart, lanes):
        return problem
    if situation == "over":
        return "This run ended without a record of this."
    if situation == "before play" or chart in ("error", "loss"):
        return "Press Play: it begins with the first step."
    if chart == "lesion":
        return "Press Play, or click a block: untrained nets have no lesion curve yet."
    return "Measuring…"
