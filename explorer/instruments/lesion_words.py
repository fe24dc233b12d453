"""What the pages on deleted, moved and held blocks say alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from explorer.instruments.contract import Lane
from explorer.instruments.lesion_options import Ask, Show
from explorer.instruments.lesion_results import LesionStudy, of_class
from explorer.instruments.words import block, how, listed, percent, so_far
from explorer.results.common import IMAGES, only_guesses, wilson_interval

R = TypeVar("R", bound=LesionStudy)
KEPT_NAMED = 6  # blocks, in a sentence
INTERVAL = "95 % interval (Wilson): (p + z²/2n ± z·√(p(1−p)/n + z²/4n²)) / (1 + z²/n)"
DELETED_IS = {
    "plain": "deleted: y = x instead of y = H(x)",
    "residual": "deleted: y = shortcut(x) instead of y = shortcut(x) + F(x)",
    "highway": "deleted: T = 0, so y = x instead of y = H(x)·T(x) + x·(1 − T(x))",
    "dense": "deleted: its new features are 0, [x, 0] instead of [x, F(x)]",
}


def one_class(lane: Lane[R], ask: Ask, show: Show) -> R:
    """Of a result the class that was chosen; all of them while it is still coming."""
    result = lane.result
    coming = result.by_class is None and not lane.done
    return result if show.of_class is None or coming else of_class(result, show.of_class)


def mode(lane: Lane[R]) -> str:
    """How the net was evaluated."""
    anew = lane.result.recalibrated
    if not anew:
        return "evaluation mode"
    return f"batch norm's statistics measured anew for each lesion on {anew:,} training images"


def chance(lanes: Sequence[Lane[R]], show: Show) -> float | None:
    """Accuracy of guessing; of one class's images it is another for every guesser."""
    if not lanes or show.of_class is not None:
        return None
    return 1 / len(lanes[0].info.classes)


def intact(lane: Lane[R]) -> str:
    """ "Plain 56: 59.4 % right intact (54.3 % to 64.4 %; 360 test images …)", no full stop.

    The interval is that of the intact net's accuracy; those of the lesions are in the table.
    """
    result = lane.result
    norms = (
        f", batch norm measured anew on {result.recalibrated:,} training images"
        if result.recalibrated
        else how(result)
    )
    where = result.data.partition(", ")[2]
    of = f" of {where}" if where.startswith("class ") else ""
    share, n = result.baseline_accuracy, result.n_images
    low, high = wilson_interval(share, n)
    return (
        f"{lane.name}: {percent(share)} right intact (95 % interval {percent(low)} to "
        f"{percent(high)}; {n:,} {IMAGES[result.images]}{of}{norms}{so_far(lane)})"
    )


def guessing(lane: Lane[R]) -> str:
    """A sentence where the intact net does no better than guessing: there is nothing to lose."""
    result = lane.result
    if ", class " in result.data or not np.isfinite(result.baseline_accuracy):
        return ""
    by_chance = 1 / len(lane.info.classes)
    if not only_guesses(result.baseline_accuracy, result.n_images, by_chance):
        return ""
    return (
        f" Intact it does no better than guessing ({percent(by_chance)}), so that what is changed "
        "costs nothing here: look at a trained net."
    )


def kept(lane: Lane[R]) -> str:
    """A sentence on the blocks that cannot be deleted, where there are some."""
    units = () if lane.plan is None else lane.plan.units
    stay = [block(lane, unit.name) for unit in units if not unit.deletable]
    if not stay:
        return ""
    few = stay[:KEPT_NAMED]
    names = listed(few if len(few) == len(stay) else [*few, f"{len(stay) - len(few)} more"])
    change = "it changes" if len(stay) == 1 else "they change"
    return f" Never deleted, because {change} the shape: {names}."


def deletions(lanes: Sequence[Lane[R]]) -> list[str]:
    """What deleting is, for the families at hand."""
    families = {lane.plan.spec.family for lane in lanes if lane.plan is not None}
    return [words for family, words in DELETED_IS.items() if family in families]


def with_interval(share: float, n: int) -> str:
    """ "41.7 % (33.2 % to 50.6 %)"."""
    low, high = wilson_interval(share, n)
    return f"{percent(share)} ({percent(low)} to {percent(high)})"


def present(lane: Lane[R], what: str, p: float) -> str:
    """The interval's formula with the numbers of one lesion."""
    n = lane.result.n_images
    low, high = wilson_interval(p, n)
    return (
        f"{lane.name}, {what}: p = {p:.4f}, n = {n:,}, z = 1.96: from {percent(low)} to "
        f"{percent(high)}"
    )
