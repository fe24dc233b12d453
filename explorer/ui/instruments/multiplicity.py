"""How many paths, and how long: Veit16 Fig 6a, and multiplicity beside depth and width."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from explorer.charts import Theme, multiplicity_figure, path_share_figure
from explorer.claims import says
from explorer.paths import effective_range
from explorer.results import Multiplicity, PathLengths
from explorer.ui.instruments.contract import Instrument, Lane, Result, Row
from explorer.ui.instruments.options import Choice, Options
from explorer.ui.instruments.words import percent, power


def _lengths(lane: Lane) -> PathLengths:
    return PathLengths.from_json(lane.result)


def _others(result: Result) -> Multiplicity | None:
    """None of another library's net, which has no other depths here."""
    value = result["multiplicity"]
    return None if value is None else Multiplicity.from_json(value)


def figure(lanes: Sequence[Lane], options: Options, theme: Theme) -> go.Figure:
    if options["show"] == "lengths":
        return path_share_figure(
            [(lane.index, lane.name, _lengths(lane), None) for lane in lanes], theme=theme
        )
    found = [(lane.index, lane.name, _others(lane.result)) for lane in lanes]
    return multiplicity_figure(
        [(index, name, others) for index, name, others in found if others is not None], theme=theme
    )


def caption(lanes: Sequence[Lane], options: Options) -> list[str]:
    return [_words(lane, options["show"]) for lane in lanes]


def _words(lane: Lane, show: str) -> str:
    lengths = _lengths(lane)
    n = lengths.two_way
    if n == 0:
        return f"{lane.name}: one path, through every block."
    if show == "lengths":
        low, high = effective_range(lengths.shares) or (0, n)
        words = (
            f"{lane.name}: {power(2, n)} = {_number(n)} paths, {lengths.mean:.3g} blocks long on "
            f"average; {percent(lengths.between(low, high))} of them have {low} to {high} blocks."
        )
        if lengths.in_training is not None:
            mean = float(np.arange(n + 1) @ lengths.in_training)
            words += f" With stochastic depth a path of a training step has {mean:.3g} on average."
        return words
    others = _others(lane.result)
    if others is None:
        return f"{lane.name}: {power(2, n)} paths; another library's net has no other depths here."
    deepest, widest = others.deeper[-1], others.wider[-1]
    return (
        f"{lane.name}: {power(2, n)} paths with {others.net.parameters:,} parameters. Of depth "
        f"{deepest.depth} it would have {power(2, deepest.two_way)} with {deepest.parameters:,}; "
        f"of width {widest.width}, {power(2, widest.two_way)} with {widest.parameters:,}."
    )


def _number(n: int) -> str:
    """2ⁿ: "512", "1.3·10⁸"."""
    if n < 20:
        return f"{2**n:,}"
    whole, rest = divmod(n * math.log10(2), 1)
    return f"{10**rest:.1f}·{power(10, int(whole))}"


def formula(lanes: Sequence[Lane], options: Options) -> list[str]:
    lines = [
        "n blocks with two ways each: 2ⁿ paths, C(n, k) of them through k branches; share "
        "C(n, k) ÷ 2ⁿ, mean n ÷ 2"
    ]
    for lane in lanes:
        lengths = _lengths(lane)
        k = lengths.two_way // 2
        lines.append(
            f"{lane.name}: n = {lengths.two_way}, C({lengths.two_way}, {k}) ÷ "
            f"{power(2, lengths.two_way)} = {percent(float(lengths.shares[k]), 2)}"
        )
    return lines


def table(result: Result) -> list[Row]:
    lengths = PathLengths.from_json(result)
    rows: list[Row] = []
    for k, share in enumerate(lengths.shares):
        row: dict[str, Any] = {"length": k, "% of all paths": float(f"{share * 100:.3g}")}
        if lengths.in_training is not None:
            row["% in training"] = float(f"{lengths.in_training[k] * 100:.3g}")
        rows.append(row)
    return rows


INSTRUMENT = Instrument(
    key="multiplicity",
    title="How many paths",
    group="paths",
    order=20,
    question="How many paths does a net have, and how long are they?",
    explains=(says("paths.half_as_long", "paths.wider")),
    figure_of=says("veit16.lengths", "veit16.multiplicity"),
    job="path_counts",
    figure=figure,
    caption=caption,
    formula=formula,
    table=table,
    mode="counted from the structure; no weights, no images",
    options=(
        Choice(
            "show",
            "Show",
            {"lengths": "paths by length", "nets": "deeper and wider nets"},
        ),
    ),
    takes_images=False,
    own_weights=lambda lane, options: False,
)
