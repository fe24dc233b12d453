"""The figures of a report: each with its sentences and its table, where there is anything to show.

The Runs page shows the same ones, one at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import plotly.graph_objects as go

from explorer.drawing import (
    Theme,
    captions,
    gate_figure,
    gradient_figure,
    lesion_figure,
    training_figure,
)
from explorer.drawing.plain import as_text
from explorer.instruments.history.figure import history_figure
from explorer.instruments.history.result import Quantity
from explorer.report.differences import differences
from explorer.report.material import ReportLane, named

Row = tuple[Any, ...]
TABLE_ROWS = 200  # of each net; longer tables keep every second (third, …) row


@dataclass(frozen=True)
class Part:
    """One figure of a report.

    Attributes:
        caption: Chosen from the data that the figure shows.
        columns: Of the table; ``rows`` have as many values.
    """

    key: str
    title: str
    caption: str
    figure: go.Figure
    columns: tuple[str, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class _Kind:
    title: str
    has: Callable[[ReportLane], bool]
    draw: Callable[[Sequence[ReportLane], Theme], go.Figure]
    caption: Callable[[Sequence[ReportLane]], str]
    columns: tuple[str, ...]
    rows: Callable[[ReportLane], Iterator[Row]]


def titles(lanes: Sequence[ReportLane]) -> dict[str, str]:
    """What can be drawn of these lanes: titles by key, in the report's order."""
    return {key: kind.title for key, kind in _KINDS.items() if any(map(kind.has, lanes))}


def part(key: str, lanes: Sequence[ReportLane], theme: Theme = "light") -> Part:
    """One of ``titles`` by itself: its caption says what differs between the nets, too."""
    drawn = _part(key, lanes, theme)
    return replace(drawn, caption=" ".join([*differences(lanes), drawn.caption]))


def _part(key: str, lanes: Sequence[ReportLane], theme: Theme) -> Part:
    """Of the lanes that have something to show."""
    kind = _KINDS[key]
    shown = [lane for lane in lanes if kind.has(lane)]
    return Part(
        key=key,
        title=kind.title,
        caption=kind.caption(shown),
        figure=kind.draw([named(lane, as_text(lane.name)) for lane in shown], theme),
        columns=("net", *kind.columns),
        rows=tuple((lane.name, *row) for lane in shown for row in _thinned(list(kind.rows(lane)))),
    )


def parts(lanes: Sequence[ReportLane], theme: Theme = "light") -> Iterator[Part]:
    """All that can be drawn, for a page that says once what differs."""
    for key in titles(lanes):
        yield _part(key, lanes, theme)


def _thinned(rows: list[Row]) -> list[Row]:
    stride = -(-len(rows) // TABLE_ROWS) or 1
    kept = rows[::stride]
    return kept if not rows or kept[-1] is rows[-1] else [*kept, rows[-1]]


# --------------------------------------------------------------------------------- training


def _training(quantity: str) -> _Kind:
    percent = quantity == "error"
    scale = 100.0 if percent else 1.0

    def draw(lanes: Sequence[ReportLane], theme: Theme) -> go.Figure:
        return training_figure(
            [(lane.index, lane.curves) for lane in lanes],
            quantity="error" if percent else "loss",
            steps_total=max(lane.training.steps_total for lane in lanes),
            theme=theme,
        )

    def rows(lane: ReportLane) -> Iterator[Row]:
        c = lane.curves
        columns = (c.train_error, c.test_error) if percent else (c.train_loss, c.test_loss)
        for step, train, test in zip(c.eval_step, *columns, strict=True):
            yield int(step), _number(train * scale), _number(test * scale)

    unit = "error, %" if percent else "loss"
    return _Kind(
        title="Error" if percent else "Loss",
        has=lambda lane: len(lane.curves.step) > 0 or len(lane.curves.eval_step) > 0,
        draw=draw,
        caption=lambda lanes: (
            captions.error_caption(lanes) + ("" if percent else " Cross-entropy, log scale.")
        ),
        columns=("step", f"training {unit}", f"test {unit}"),
        rows=rows,
    )


# -------------------------------------------------------------------------------- gradients


def _gradients(of: str) -> _Kind:
    parameters = of == "parameters"

    def rows(lane: ReportLane) -> Iterator[Row]:
        assert lane.gradients is not None
        names = lane.gradients.layers if parameters else lane.gradients.units
        values = lane.gradients.parameter_rms if parameters else lane.gradients.output_rms
        for name, value in zip(names, values, strict=True):
            yield name, _number(value)

    return _Kind(
        title=f"Gradient magnitude by {'layer' if parameters else 'block output'}",
        has=lambda lane: lane.gradients is not None,
        draw=lambda lanes, theme: gradient_figure(
            [(lane.index, lane.name, lane.gradients) for lane in lanes if lane.gradients],
            of="parameters" if parameters else "outputs",
            theme=theme,
        ),
        caption=lambda lanes: (
            f"{captions.gradient_caption(lanes, of)} On the last recorded training batch."
        ),
        columns=("layer" if parameters else "block", "root mean square"),
        rows=rows,
    )


# --------------------------------------------------------------------------------- over time

_OVER_TIME: dict[Quantity, tuple[str, str]] = {
    "parameter_rms": (
        "Gradient magnitude by layer over time",
        "Root mean square of ∂L/∂W of every layer that counts as depth, on the {n} images of each "
        "recorded step's batch; log scale, the same for all nets.",
    ),
    "gate_mean": (
        "Gates over time",
        "Mean gate of every block over the {n} images of each recorded step's batch.",
    ),
    "response_sd": (
        "Responses by layer over time",
        "Standard deviation of every layer's output after its batch norm, before activation and "
        "addition (He et al. 2015, Fig 7), on {n} fixed training images.",
    ),
}


def _over_time(quantity: Quantity) -> _Kind:
    title, caption = _OVER_TIME[quantity]

    def rows(lane: ReportLane) -> Iterator[Row]:
        history = lane.histories[quantity]
        middle = len(history.steps) // 2
        for name, values in zip(history.layers, history.values, strict=True):
            yield name, *(_number(values[i]) for i in (0, middle, -1))

    return _Kind(
        title=title,
        has=lambda lane: quantity in lane.histories,
        draw=lambda lanes, theme: history_figure(
            [(lane.index, lane.name, lane.histories[quantity]) for lane in lanes], theme=theme
        ),
        caption=lambda lanes: caption.format(n=lanes[0].histories[quantity].n_images),
        columns=("layer", "first recorded", "half-way", "last"),
        rows=rows,
    )


# --------------------------------------------------------------------------- gates and lesions


def _gate_rows(lane: ReportLane) -> Iterator[Row]:
    assert lane.gates is not None
    for name, value in zip(lane.gates.units, lane.gates.mean, strict=True):
        yield name, _number(value)


_GATES = _Kind(
    title="Gates by block",
    has=lambda lane: lane.gates is not None,
    draw=lambda lanes, theme: gate_figure(
        [(lane.index, lane.name, lane.gates) for lane in lanes if lane.gates], theme=theme
    ),
    caption=captions.gate_caption,
    columns=("block", "mean gate"),
    rows=_gate_rows,
)


def _lesion_rows(lane: ReportLane) -> Iterator[Row]:
    curve = lane.lesions
    assert curve is not None
    for name, accuracy, (low, high) in zip(
        curve.units, curve.accuracy * 100, curve.intervals() * 100, strict=True
    ):
        yield name, _number(accuracy), _number(low), _number(high)


def _draw_lesions(lanes: Sequence[ReportLane], theme: Theme) -> go.Figure:
    classes = {lane.plan.spec.classes for lane in lanes}
    return lesion_figure(
        [
            (lane.index, lane.name, [unit.name for unit in lane.plan.units], lane.lesions)
            for lane in lanes
            if lane.lesions is not None
        ],
        chance=1 / classes.pop() if len(classes) == 1 else None,
        theme=theme,
    )


_LESIONS = _Kind(
    title="Accuracy after deleting one block",
    has=lambda lane: lane.lesions is not None and len(lane.lesions.units) > 0,
    draw=_draw_lesions,
    caption=captions.lesion_caption,
    columns=("block", "accuracy, %", "95 % interval, low", "high"),
    rows=_lesion_rows,
)

_KINDS: dict[str, _Kind] = {
    "error": _training("error"),
    "loss": _training("loss"),
    "gradient_parameters": _gradients("parameters"),
    "gradient_outputs": _gradients("outputs"),
    "gradients_over_time": _over_time("parameter_rms"),
    "lesion": _LESIONS,
    "gate": _GATES,
    "gates_over_time": _over_time("gate_mean"),
    "responses_over_time": _over_time("response_sd"),
}


def _number(value: float) -> float | None:
    """Four significant digits; None where it is not finite."""
    return float(f"{value:.4g}") if np.isfinite(value) else None
