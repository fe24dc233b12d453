"""The page of a net's accuracy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from explorer.instruments.accuracy.ask import Ask, Show
from explorer.instruments.accuracy.result import Accuracy
from explorer.instruments.contract import Lane, Page
from explorer.instruments.words import percent, so_far
from explorer.results.common import IMAGES, only_guesses

FIVE_OF = 10  # classes from which on the first five answers say something


def headline(lane: Lane[Accuracy], ask: Ask, show: Show) -> tuple[str, str]:
    found = lane.result
    return f"{100 * found.accuracy:.2f} %", f"right of {found.n_images:,} {IMAGES[found.images]}"


def caption(lanes: Sequence[Lane[Accuracy]], ask: Ask, show: Show) -> list[str]:
    said = []
    for lane in lanes:
        found, classes = lane.result, lane.info.classes
        words = (
            f"{lane.name}: {100 * found.accuracy:.2f} % right (95 % interval "
            f"{100 * found.low_95:.2f} % to {100 * found.high_95:.2f} %; {found.n_images:,} "
            f"{IMAGES[found.images]}{so_far(lane)})."
        )
        if len(classes) > FIVE_OF:
            words += f" The right answer is among its first five for {100 * found.top_5:.2f} %."
        of_class = found.of_class[found.of_class > 0]
        chance = float(of_class.max() / found.n_images)
        if only_guesses(found.accuracy, found.n_images, chance):
            words += f" One and the same answer to all would be right for {percent(chance)}."
        said.append(words + _ends(found, classes))
    return said


def _ends(found: Accuracy, classes: Sequence[str]) -> str:
    """The classes that are right least and most often, where their intervals are apart."""
    shares, bounds = found.shares()[0], found.intervals()
    if np.isnan(shares).all():
        return ""
    low, high = int(np.nanargmin(shares)), int(np.nanargmax(shares))
    if bounds[low, 1] >= bounds[high, 0]:
        return " No class differs from another beyond what chance would do."
    return (
        f" Least often for {classes[low]} ({percent(float(shares[low]))} of "
        f"{found.of_class[low]:,}), most often for {classes[high]} "
        f"({percent(float(shares[high]))} of {found.of_class[high]:,})."
    )


def formula(lanes: Sequence[Lane[Accuracy]], ask: Ask, show: Show) -> list[str]:
    lines = ["accuracy = right answers ÷ images; its interval is Wilson's, at 95 %"]
    for lane in lanes:
        found = lane.result
        right, n = int(found.right.sum()), found.n_images
        lines.append(f"{lane.name}: {right:,} ÷ {n:,} = {100 * right / n:.2f} %")
    return lines


PAGE = Page(
    result=Accuracy,
    title="Accuracy",
    group="blocks",
    order=1,
    question="How often is the net right?",
    explains="Each bar is a class, with its 95 % interval; the dotted line is a net's accuracy "
    "over all images. Look first whether it is what the net's maker published: if not, images are "
    "normalised otherwise, or classes stand in another order.",
    figure_of="None of the papers' figures; their tables print this number.",
    caption=caption,
    formula=formula,
    headline=headline,
    mode="evaluation mode",
)
