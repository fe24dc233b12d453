"""The worked example: the same change for a plain map and for F, as numbers to play with."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from explorer.charts import Theme, worked_example_figure
from explorer.claims import says
from explorer.results import WorkedExample
from explorer.runs.service import RunService
from explorer.ui.instruments.contract import Asking, Instrument, Lane, Result, Row
from explorer.ui.instruments.options import Number, Options

NAMES = ("x", "before", "after")


def worked_out(service: RunService, asking: Asking) -> Result:
    """The three numbers; raises :class:`NotApplicableError` where they make no example."""
    numbers = {name: float(asking.options[name]) for name in NAMES}
    WorkedExample(**numbers)
    return dict(numbers)


def _example(result: Result) -> WorkedExample:
    return WorkedExample(**{name: result[name] for name in NAMES})


def figure(lanes: Sequence[Lane], options: Options, theme: Theme) -> go.Figure:
    if not lanes:
        return go.Figure()
    return worked_example_figure(_example(lanes[0].result), theme=theme)


def caption(lanes: Sequence[Lane], options: Options) -> list[str]:
    example = _example(lanes[0].result)
    return [
        f"Going from {example.before:g} to {example.after:g} changes the plain map's output by "
        f"{example.plain_change * 100:.3g} % of itself, and F's by "
        f"{example.residual_change * 100:.3g} %: {example.amplification:.3g} times as much."
    ]


def formula(lanes: Sequence[Lane], options: Options) -> list[str]:
    lines = [
        "plain map: (after − before) / before; F = output − x: (after − before) / (before − x)"
    ]
    for lane in lanes:
        example = _example(lane.result)
        change = f"({example.after:g} − {example.before:g})"
        lines.append(
            f"plain: {change} / {example.before:g} = {example.plain_change * 100:.3g} %; "
            f"F: {change} / ({example.before:g} − {example.x:g}) = "
            f"{example.residual_change * 100:.3g} %"
        )
    return lines


def table(result: Result) -> list[Row]:
    example = _example(result)
    return [
        {
            "map": "plain",
            "before": example.before,
            "after": example.after,
            "change, %": round(example.plain_change * 100, 4),
        },
        {
            "map": "residual F",
            "before": round(example.residual_before, 6),
            "after": round(example.residual_after, 6),
            "change, %": round(example.residual_change * 100, 4),
        },
    ]


INSTRUMENT = Instrument(
    key="amplifier",
    title="Worked example",
    group="start",
    order=60,
    question="How loud is a small change for a residual, and for a plain map?",
    explains=(
        "A block maps x to one number and is then asked for another, close by. Look by which share "
        "of itself a plain map's output changes, and by which share F, which only gives the "
        "difference from x: the closer the first answer is to x, the louder the change is for F. "
        + says("amplifier.same_gradient")
    ),
    figure_of=says("he15.perturbations", "amplifier.not_he15", "amplifier.example"),
    job=None,
    recorded=worked_out,
    figure=figure,
    caption=caption,
    formula=formula,
    table=table,
    mode="arithmetic",
    options=(
        Number("x", "Input x", 5.0, -1e6, 1e6, 0.1),
        Number("before", "First output", 5.1, -1e6, 1e6, 0.1),
        Number("after", "Then", 5.2, -1e6, 1e6, 0.1),
    ),
    needs_net=False,
    takes_images=False,
)
