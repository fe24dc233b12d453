"""Accuracy with blocks of one shape reordered more and more (Veit16 Fig 5b)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from explorer.claims import says
from explorer.instruments import lesion_words
from explorer.instruments.contract import Column, Lane, Page, Table
from explorer.instruments.shuffle_lesions.ask import Ask, Show
from explorer.instruments.shuffle_lesions.result import ShuffleLesions
from explorer.instruments.words import count, percent
from explorer.results.common import intervals


def caption(lanes: Sequence[Lane[ShuffleLesions]], ask: Ask, show: Show) -> list[str]:
    said = []
    for lane in lanes:
        shuffled = lane.result
        walks, points = shuffled.accuracy.shape
        tau, middle = np.median(shuffled.tau, axis=0), np.median(shuffled.accuracy, axis=0)
        words = (
            f"{lesion_words.intact(lane)}. {count(walks, 'walk')} away from the order: the "
            f"median is {percent(float(middle[0]))} at τ = {tau[0]:.2f}"
        )
        if points > 1:
            words += f" and {percent(float(middle[-1]))} at τ = {tau[-1]:.2f}"
        said.append(
            f"{words}. Blocks of other shapes stay, so τ is never below {shuffled.lowest_tau:.2f}."
            + lesion_words.guessing(lane)
        )
    return said


def formula(lanes: Sequence[Lane[ShuffleLesions]], ask: Ask, show: Show) -> list[str]:
    lines = ["τ = (pairs of blocks in order − pairs the other way round) / pairs"]
    for lane in lanes:
        shuffled = lane.result
        n = len(shuffled.units)
        pairs = n * (n - 1) // 2
        tau = float(shuffled.tau[0, -1])
        turned = round((1 - tau) * pairs / 2)
        lines.append(
            f"{lane.name}, walk 1, last order: τ = ({pairs - turned:,} − {turned:,}) / {pairs:,} "
            f"= {tau:.3f}, accuracy "
            f"{lesion_words.with_interval(float(shuffled.accuracy[0, -1]), shuffled.n_images)}"
        )
    return [*lines, lesion_words.INTERVAL]


def table(shuffled: ShuffleLesions) -> Table:
    """By the distance from the intact order, over the walks."""
    tau, swaps, middle = (
        np.median(values, axis=0) for values in (shuffled.tau, shuffled.swaps, shuffled.accuracy)
    )
    low, high = intervals(middle, shuffled.n_images).T
    least, most = shuffled.accuracy.min(0), shuffled.accuracy.max(0)
    columns = (tau, swaps, middle, low, high, least, most)
    return Table(
        (
            Column("tau", "median τ", digits=3),
            Column("swaps", "changes of place"),
            Column("median", unit="%", digits=2, bar=True),
            Column("low", "95 % from", unit="%", digits=2),
            Column("high", "to", unit="%", digits=2),
            Column("least", unit="%", digits=2),
            Column("most", unit="%", digits=2),
            Column("walks"),
        ),
        [
            (*row, len(shuffled.accuracy))
            for row in zip(*(column.tolist() for column in columns), strict=True)
        ],
    )


PAGE = Page(
    result=ShuffleLesions,
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
    caption=caption,
    formula=formula,
    mode=lesion_words.mode,
    chosen=lesion_words.one_class,
    table=table,
    suggests=("digits_plain_56", "digits_resnet_v2_56"),
)
