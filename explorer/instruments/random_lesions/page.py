"""Accuracy with more and more blocks deleted at random (Veit16 Fig 5a)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from explorer.claims import says
from explorer.instruments import lesion_words
from explorer.instruments.contract import Column, Lane, Page, Table
from explorer.instruments.random_lesions.ask import Ask, Show
from explorer.instruments.random_lesions.result import LesionBand
from explorer.instruments.words import count, percent
from explorer.results.common import intervals


def caption(lanes: Sequence[Lane[LesionBand]], ask: Ask, show: Show) -> list[str]:
    said = []
    for lane in lanes:
        band = lane.result
        draws, most = band.accuracy.shape
        (middle,) = band.quantiles(0.5)
        lost = np.flatnonzero(band.baseline_accuracy - middle > 0.1)
        words = f"{lesion_words.intact(lane)}. {count(draws, 'draw')}: the median is "
        words += f"{percent(float(middle[0]))} without 1 block"
        if most > 1:
            words += f" and {percent(float(middle[-1]))} without {most}"
        words += (
            f"; it is more than 10 points below intact from {count(int(lost[0]) + 1, 'block')} on."
            if len(lost) and bool((np.diff(lost) == 1).all()) and lost[-1] == most - 1
            else "."
            if len(lost)
            else "; it never is more than 10 points below intact."
        )
        said.append(words + lesion_words.guessing(lane))
    return said


def formula(lanes: Sequence[Lane[LesionBand]], ask: Ask, show: Show) -> list[str]:
    lines = [
        *lesion_words.deletions(lanes),
        "draw i: one random order of the blocks; k deleted: the first k of it",
        lesion_words.INTERVAL,
    ]
    for lane in lanes:
        band = lane.result
        most = band.accuracy.shape[1]
        p = float(band.accuracy[0, -1])
        gone = f"draw 1, {count(most, 'block')} deleted"
        lines.append(lesion_words.present(lane, gone, p))
    return lines


def table(band: LesionBand) -> Table:
    """By the number of deleted blocks, over the draws."""
    least, middle, most = band.quantiles(0, 0.5, 1)
    low, high = intervals(middle, band.n_images).T
    return Table(
        (
            Column("k", "blocks deleted"),
            Column("median", unit="%", digits=2, bar=True),
            Column("low", "95 % from", unit="%", digits=2),
            Column("high", "to", unit="%", digits=2),
            Column("least", unit="%", digits=2),
            Column("most", unit="%", digits=2),
            Column("draws"),
        ),
        [
            (int(k), *shares, len(band.deleted))
            for k, *shares in zip(
                *(column.tolist() for column in (band.k, middle, low, high, least, most)),
                strict=True,
            )
        ],
    )


PAGE = Page(
    result=LesionBand,
    title="Delete several",
    group="blocks",
    order=20,
    question="How many blocks can a trained net lose?",
    explains=(
        "Blocks are deleted at random, one more at each step; a dot is one draw, the line their "
        "median, the band 10 to 90 % of the draws, and a bar the 95 % interval of the median for "
        "this number of images. Look whether accuracy goes down step by step, as that of many "
        "voters who leave one after another, or at once."
    ),
    figure_of=says("veit16.delete_several"),
    caption=caption,
    formula=formula,
    mode=lesion_words.mode,
    chosen=lesion_words.one_class,
    table=table,
    suggests=("digits_plain_56", "digits_resnet_v2_56"),
)
