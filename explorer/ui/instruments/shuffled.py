"""Accuracy with blocks of one shape reordered more and more (Veit16 Fig 5b)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from explorer.blueprint import Blueprint
from explorer.charts import Theme, shuffle_figure
from explorer.claims import says
from explorer.results import ShuffleLesions
from explorer.ui.instruments import lesioning
from explorer.ui.instruments.contract import Asking, Instrument, Lane, Result, Row
from explorer.ui.instruments.options import Choice, Options, Whole
from explorer.ui.instruments.words import count, percent


def _shuffled(lane: Lane) -> ShuffleLesions:
    return ShuffleLesions.from_json(lane.result)


def payload(asking: Asking) -> dict[str, Any]:
    own = {name: asking.options[name] for name in ("points", "trials", "moves")}
    return {**lesioning.payload(asking), **own, "seed": asking.seed}


def figure(lanes: Sequence[Lane], options: Options, theme: Theme) -> go.Figure:
    return shuffle_figure(
        [(lane.index, lane.name, _shuffled(lane)) for lane in lanes],
        chance=lesioning.chance(lanes, options),
        theme=theme,
    )


def caption(lanes: Sequence[Lane], options: Options) -> list[str]:
    said = []
    for lane in lanes:
        shuffled = _shuffled(lane)
        walks, points = shuffled.accuracy.shape
        tau, middle = np.median(shuffled.tau, axis=0), np.median(shuffled.accuracy, axis=0)
        words = (
            f"{lesioning.intact(lane, shuffled)}. {count(walks, 'walk')} away from the order: the "
            f"median is {percent(float(middle[0]))} at τ = {tau[0]:.2f}"
        )
        if points > 1:
            words += f" and {percent(float(middle[-1]))} at τ = {tau[-1]:.2f}"
        said.append(
            f"{words}. Blocks of other shapes stay, so τ is never below {shuffled.lowest_tau:.2f}."
            + lesioning.guessing(lane, shuffled)
        )
    return said


def formula(lanes: Sequence[Lane], options: Options) -> list[str]:
    lines = ["τ = (pairs of blocks in order − pairs the other way round) / pairs"]
    for lane in lanes:
        shuffled = _shuffled(lane)
        n = len(shuffled.units)
        pairs = n * (n - 1) // 2
        tau = float(shuffled.tau[0, -1])
        turned = round((1 - tau) * pairs / 2)
        lines.append(
            f"{lane.name}, walk 1, last order: τ = ({pairs - turned:,} − {turned:,}) / {pairs:,} "
            f"= {tau:.3f}, accuracy "
            f"{lesioning.with_interval(float(shuffled.accuracy[0, -1]), shuffled.n_images)}"
        )
    return [*lines, lesioning.INTERVAL]


def table(result: Result) -> list[Row]:
    shuffled = ShuffleLesions.from_json(result)
    return [
        {
            "walk": walk + 1,
            "changes of place": int(swaps),
            "τ": round(float(tau), 4),
            "right, %": lesioning.points(float(share)),
            "95 % from": lesioning.points(float(low)),
            "to": lesioning.points(float(high)),
        }
        for walk, (row, places, shares, bounds) in enumerate(
            zip(shuffled.tau, shuffled.swaps, shuffled.accuracy, shuffled.intervals(), strict=True)
        )
        for tau, swaps, share, (low, high) in zip(row, places, shares, bounds, strict=True)
    ]


def not_for(plan: Blueprint) -> str | None:
    groups = Counter(unit.swap_group for unit in plan.units if unit.swap_group is not None)
    if any(n > 1 for n in groups.values()):
        return None
    return (
        "No two blocks of this net keep one and the same shape, so none can change places: delete "
        "its blocks instead, or choose a residual, highway or plain net with more than one block a "
        "stage, such as digits_resnet_v2_56."
    )


INSTRUMENT = Instrument(
    key="shuffle",
    title="Shuffle",
    group="blocks",
    order=30,
    question="Does the order of the blocks matter?",
    explains=(
        "Blocks of one shape change places at random, more and more of them; a dot is one order, "
        "and the further right, the further it is from the order that was trained (Kendall's τ). "
        "Look whether a net that was never trained in that order still knows its classes."
    ),
    figure_of=says("veit16.shuffle"),
    job="shuffle_lesions",
    figure=figure,
    caption=caption,
    formula=formula,
    table=table,
    mode=lesioning.mode,
    chosen=lesioning.one_class(ShuffleLesions),
    payload=payload,
    not_for=not_for,
    suggests=("digits_plain_56", "digits_resnet_v2_56"),
    options=(
        Choice(
            "moves",
            "What changes places",
            {"pairs": "any two blocks", "neighbours": "neighbours, until all is reversed"},
        ),
        Whole("points", "Orders of each walk", 12, 1, 100),
        Whole("trials", "Walks", 8, 1, 100),
        lesioning.SPLIT,
        lesioning.RECALIBRATE,
        lesioning.CLASS,
    ),
)
