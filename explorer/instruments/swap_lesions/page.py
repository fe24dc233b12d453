"""Accuracy with every two blocks of one shape swapped."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from explorer.claims import says
from explorer.instruments import lesion_words
from explorer.instruments.contract import Column, Lane, Page, Table
from explorer.instruments.swap_lesions.ask import Ask, Show
from explorer.instruments.swap_lesions.result import SwapLesions
from explorer.instruments.words import count, percent


def caption(lanes: Sequence[Lane[SwapLesions]], ask: Ask, show: Show) -> list[str]:
    said = []
    for lane in lanes:
        swaps = lane.result
        apart = np.subtract(swaps.second, swaps.first)
        worst = int(np.argmin(swaps.accuracy))
        near = float(np.median(swaps.accuracy[apart == 1])) if (apart == 1).any() else None
        words = (
            f"{lesion_words.intact(lane)}. {count(len(apart), 'pair')} of one shape: the "
            f"median is {percent(float(np.median(swaps.accuracy)))}"
        )
        if near is not None:
            words += f", of neighbours {percent(near)}"
        if swaps.accuracy[worst] < swaps.baseline_accuracy:
            words += (
                f". Worst are blocks {swaps.first[worst] + 1} and {swaps.second[worst] + 1}: "
                f"{lesion_words.with_interval(float(swaps.accuracy[worst]), swaps.n_images)}"
            )
        said.append(f"{words}.{lesion_words.guessing(lane)}")
    return said


def formula(lanes: Sequence[Lane[SwapLesions]], ask: Ask, show: Show) -> list[str]:
    lines = ["swapped: block a computes where b stood, and b where a stood", lesion_words.INTERVAL]
    for lane in lanes:
        swaps = lane.result
        worst = int(np.argmin(swaps.accuracy))
        pair = f"blocks {swaps.first[worst] + 1} and {swaps.second[worst] + 1} swapped"
        share = float(swaps.accuracy[worst])
        lines.append(lesion_words.present(lane, pair, share))
    return lines


def terminal(lane: Lane[SwapLesions], ask: Ask, show: Show) -> Table:
    """By how far the two stand apart: a list of all pairs is long."""
    swaps = lane.result
    rows, apart = list(swaps.rows()), np.subtract(swaps.second, swaps.first)
    entries = []
    for distance in sorted(set(apart.tolist())):
        inside = np.flatnonzero(apart == distance)
        first, second, _, *shares = rows[inside[int(np.argmin(swaps.accuracy[inside]))]]
        middle = float(np.median(swaps.accuracy[inside]))
        entries.append((distance, len(inside), middle, f"{first} and {second}", *shares))
    return Table(
        (
            Column("apart"),
            Column("pairs"),
            Column("median", unit="%", digits=1),
            Column("worst", "worst pair"),
            Column("right", unit="%", digits=1, bar=True),
            Column("low", "95 % from", unit="%", digits=1),
            Column("high", "to", unit="%", digits=1),
        ),
        entries,
    )


PAGE = Page(
    result=SwapLesions,
    title="Swap two",
    group="blocks",
    order=40,
    question="Which blocks can take each other's place?",
    explains=(
        "Each square is the accuracy after the two blocks of its row and column have changed "
        "places; the diagonal is the intact net, and pairs of different shape are empty. Look for "
        "squares unlike the diagonal: those two do not do the same work."
    ),
    figure_of=says("veit16.no_pairs"),
    caption=caption,
    formula=formula,
    mode=lesion_words.mode,
    chosen=lesion_words.one_class,
    terminal=terminal,
    suggests=("digits_plain_56", "digits_resnet_v2_56"),
)
