"""Shattered gradients of nets of one number, at initialisation (Balduzzi17)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from explorer.claims import says
from explorer.instruments.contract import Column, Lane, Page, Table
from explorer.instruments.shattering.ask import Ask, Show
from explorer.instruments.shattering.result import ShatteredGradients, Shattering
from explorer.instruments.words import count, percent


def _families(lanes: Sequence[Lane[Shattering]]) -> Iterator[tuple[str, ShatteredGradients]]:
    for lane in lanes:
        for measured in lane.result.families:
            yield measured.title, measured


def caption(lanes: Sequence[Lane[Shattering]], ask: Ask, show: Show) -> list[str]:
    said = []
    for name, measured in _families(lanes):
        if show.show == "depth":
            said.append(_by_depth(name, measured))
            continue
        depth = int(show.depth)
        place = int(np.argmin(np.abs(np.asarray(measured.depths) - depth)))
        if show.show == "cosine":
            beside, far = measured.cosine[place, 0, 1], measured.cosine[place, 0, -1]
            said.append(
                f"{name}: with {measured.depths[place]} layers the mean cosine of dh/dx is "
                f"{beside:.2g} at neighbouring inputs and {far:.2g} at {measured.distance[-1]:.2g} "
                f"apart ({count(measured.seeds, 'seed')}, width {measured.width})."
            )
            continue
        if measured.one_point(place):
            share = measured.largest_share[measured.pair_depths.index(measured.depths[place])]
            said.append(
                f"{name}: with {measured.depths[place]} layers one of {len(measured.inputs)} "
                f"inputs holds {_nearly(float(share))} of Σ|dh/dx|² (median of "
                f"{count(measured.seeds, 'seed')}), so its autocorrelation says nothing; the "
                "likeness of directions counts every input the same."
            )
            continue
        half = float(measured.half_distance()[place])
        if not np.isfinite(half):
            where = f"stays above ½ up to a distance of {measured.distance[-1]:.2g}"
        elif half <= measured.distance[1]:
            where = f"is below ½ already at the next input, {half:.2g} away"
        else:
            where = f"falls below ½ at a distance of {half:.2g}"
        said.append(
            f"{name}: with {measured.depths[place]} layers the correlation of dy/dx at two inputs "
            f"{where} (mean of {count(measured.seeds, 'seed')}, width {measured.width})."
        )
    return said


def _by_depth(name: str, measured: ShatteredGradients) -> str:
    """Down to which depth directions are alike at all, and how much there."""
    deep, seeds = int(measured.told().sum()), count(measured.seeds, "seed")
    if not deep:
        return f"{name}: no depth at which the mean cosine of dh/dx is told from 0 ({seeds})."
    at = f"{measured.pair_cosine[deep - 1, 0]:.2g} at {measured.pair_depths[deep - 1]} layers"
    end = (
        ""
        if deep == len(measured.pair_depths)
        else "; with one layer more the 10 % percentile over the seeds is no longer above 0"
    )
    return f"{name}: the mean cosine of dh/dx at two inputs is {at}{end} ({seeds})."


def _nearly(share: float) -> str:
    """Of a share that may be all but a whole."""
    return "over 99.9 %" if 0.9995 <= share < 1 else percent(share)


def formula(lanes: Sequence[Lane[Shattering]], ask: Ask, show: Show) -> list[str]:
    lines = [
        "R(d) = Σ g(x)·g(x + d) ÷ √(Σ g(x)² · Σ g(x + d)²), g = dy/dx on 256 points of [−2, 2]",
        "plain nets, were half of the ReLUs active at each input, independently of the other: "
        "P(both) ÷ P(one) = ½ a layer, 2⁻ᴸ in all",
        "cos(x, x′) = J·J′ ÷ (|J|·|J′|), J = dh/dx of the last layer's values h: every input "
        "counts the same",
    ]
    for name, measured in _families(lanes):
        depth = measured.pair_depths[-1]
        lines.append(
            f"{name}: mean cosine over all pairs at L = {depth}: {measured.pair_cosine[-1, 0]:.3g}"
            + (_theory(measured, depth) if measured.family == "plain" else "")
        )
    return lines


def _theory(measured: ShatteredGradients, depth: int) -> str:
    """2⁻ᴸ, where its assumption about holds."""
    if not measured.batch_norm:
        return "; without batch norm most ReLUs are active at every input or at none: no 2⁻ᴸ"
    far = "" if measured.told()[-1] else ", too little to be told from 0 by these seeds"
    return f"; 2⁻ᴸ = {2.0**-depth:.2g}{far}"


def by_depth(result: Shattering) -> Table:
    """A row for each family and depth."""
    rows = []
    for one in result.families:
        for place, (depth, half) in enumerate(zip(one.depths, one.half_distance(), strict=True)):
            at = one.pair_depths.index(depth)
            rows.append(
                (
                    one.title,
                    depth,
                    None if one.one_point(place) else float(one.autocorrelation[place, 0, 1]),
                    float(half),
                    float(one.pair_cosine[at, 0]),
                    0.5**depth,
                    float(one.largest_share[at]),
                )
            )
    columns = (
        Column("nets"),
        Column("layers"),
        Column("likeness at the next input", digits=3),
        Column("below ½ at"),
        Column("mean cosine of pairs", digits=3),
        Column("2⁻ᴸ", digits=3),
        Column("largest point's share", digits=3),
    )
    return Table(columns, rows)


PAGE = Page(
    result=Shattering,
    title="Shattered gradients",
    group="start",
    order=40,
    question="Do two inputs that are close have like slopes dy/dx?",
    explains=(
        "Small nets with one input and one output, before training and without a loss: how alike "
        "the slope dy/dx is at two inputs, against their distance. Look at which distance a deep "
        "plain net's slope has nothing in common with itself, like white noise, and whether "
        "shortcuts keep it alike."
    ),
    figure_of=says(
        "balduzzi17.shattering", "shattering.plain", "shattering.residual", "shattering.highway"
    ),
    caption=caption,
    formula=formula,
    table=by_depth,
    mode=lambda lane: (
        f"nets of one number, width {lane.result.families[0].width}, each seed another start"
    ),
)
