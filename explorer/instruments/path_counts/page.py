"""How many paths, and how long: Veit16 Fig 6a, and multiplicity beside depth and width."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from explorer.claims import says
from explorer.instruments.contract import Lane, Page
from explorer.instruments.path_counts.ask import Ask, Show
from explorer.instruments.path_counts.result import PathCounts
from explorer.instruments.words import percent, power
from explorer.structure.path_combinatorics import effective_range
from explorer.writing.text_tables import bar, table


def caption(lanes: Sequence[Lane[PathCounts]], ask: Ask, show: Show) -> list[str]:
    return [_words(lane, show.show) for lane in lanes]


def _words(lane: Lane[PathCounts], show: str) -> str:
    lengths = lane.result
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
    others = lane.result.multiplicity
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


def formula(lanes: Sequence[Lane[PathCounts]], ask: Ask, show: Show) -> list[str]:
    lines = [
        "n blocks with two ways each: 2ⁿ paths, C(n, k) of them through k branches; share "
        "C(n, k) ÷ 2ⁿ, mean n ÷ 2"
    ]
    for lane in lanes:
        lengths = lane.result
        k = lengths.two_way // 2
        lines.append(
            f"{lane.name}: n = {lengths.two_way}, C({lengths.two_way}, {k}) ÷ "
            f"{power(2, lengths.two_way)} = {percent(float(lengths.shares[k]), 2)}"
        )
    return lines


def terminal(lane: Lane[PathCounts], ask: Ask, show: Show) -> str:
    """Paths by length; or nets of other depths and widths."""
    counts = lane.result
    if show.show == "nets":
        if counts.multiplicity is None:
            return "Another library's net has no other depths and widths here."
        rows = [
            [net, str(depth), str(width), f"{parameters:,}", f"2^{two_way}"]
            for net, depth, width, parameters, two_way in counts.multiplicity.rows()
        ]
        return table(["net", "depth", "width", "parameters", "paths"], rows, " rrrr")
    training = counts.in_training
    rows = [
        [
            str(k),
            f"{100 * share:.3g}",
            *([] if training is None else [f"{100 * training[k]:.3g}"]),
            bar(float(share / counts.shares.max())),
        ]
        for k, share in enumerate(counts.shares)
    ]
    header = ["length", "% of all paths", *([] if training is None else ["% in training"]), ""]
    return (
        f"2^{counts.two_way} paths, of {counts.mean:.1f} branches on average; {counts.one_way} "
        f"units have one way alone.\n\n{table(header, rows, 'r' * (len(header) - 1))}"
    )


PAGE = Page(
    result=PathCounts,
    title="How many paths",
    group="paths",
    order=20,
    question="How many paths does a net have, and how long are they?",
    explains=(says("paths.half_as_long", "paths.wider")),
    figure_of=says("veit16.lengths", "veit16.multiplicity"),
    caption=caption,
    formula=formula,
    terminal=terminal,
    mode="counted from the structure; no weights, no images",
    own_weights=lambda lane, ask, show: False,
)
