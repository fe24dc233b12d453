"""What the pages on deleted, moved and held blocks share: options, payloads, sentences."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from explorer.results import (
    GateLesions,
    LesionBand,
    LesionCurve,
    LesionStudy,
    ShuffleLesions,
    StageLesions,
    SwapLesions,
    wilson_interval,
)
from explorer.results.common import IMAGES
from explorer.results.lesions import of_class, only_guesses
from explorer.ui.instruments.blocks import how
from explorer.ui.instruments.contract import Asking, Lane, Result, one_net
from explorer.ui.instruments.options import Choice, ClassPick, Flag, Options, Present
from explorer.ui.instruments.words import percent, so_far

Study = LesionCurve | LesionBand | ShuffleLesions | SwapLesions | StageLesions | GateLesions
RECALIBRATED = 512  # training images for a recalibration
RECALIBRATE = Flag(
    "recalibrate",
    "Measure batch norm's statistics anew",
    help=f"For each lesion, on {RECALIBRATED} training images; nothing is learned. It takes "
    "longer.",
)
INTERVAL = "95 % interval (Wilson): (p + z²/2n ± z·√(p(1−p)/n + z²/4n²)) / (1 + z²/n)"


class OneClass(ClassPick):
    """One class of the images, or all of them."""

    def choices(self, present: Present) -> Mapping[str, str]:
        return {"all": "all classes", **super().choices(present)}


SPLIT = Choice(
    "images",
    "Accuracy on",
    IMAGES,
    help="Training images show what a net has learned of them; test images, what carries over.",
)
CLASS = OneClass("class", "Images of", help="Accuracy among the images of one class alone.")


def payload(asking: Asking) -> dict[str, Any]:
    """Of a job on one net; says ``recalibrate`` and ``train`` only where they are not usual."""
    asked = one_net(asking)
    if asking.options["recalibrate"] or asking.options["class"] != "all":
        asked["recalibrate"] = RECALIBRATED if asking.options["recalibrate"] else 0
    if asking.options.get("images") == "train":
        asked["train"] = True
    return asked


def one_class(kind: type[Study]) -> Callable[[Lane, Options], Result]:
    """Of a result the class that was chosen; all of them while it is still coming."""

    def chosen(lane: Lane, options: Options) -> Result:
        result, place = kind.from_json(lane.result), options.get("class", "all")
        classes = result.by_class
        if place == "all" or classes is None or classes.n_images[int(place)] == 0:
            return lane.result
        rest = {key: value for key, value in lane.result.items() if key != "by_class"}
        return {**rest, **of_class(result, lane.info.classes[int(place)]).to_json()}

    return chosen


def mode(lane: Lane) -> str:
    """How the net was evaluated."""
    anew = lane.result.get("recalibrated")
    if not anew:
        return "evaluation mode"
    return f"batch norm's statistics measured anew for each lesion on {anew:,} training images"


def chance(lanes: Sequence[Lane], options: Options) -> float | None:
    """Accuracy of guessing; of one class's images it is another for every guesser."""
    if not lanes or options.get("class", "all") != "all":
        return None
    return 1 / len(lanes[0].info.classes)


def intact(lane: Lane, result: LesionCurve | LesionStudy) -> str:
    """ "Plain 56: 59.4 % right intact (360 test images, …)." without the full stop."""
    norms = (
        f", batch norm measured anew on {result.recalibrated} training images"
        if result.recalibrated
        else how(result)
    )
    where = result.data.partition(", ")[2]
    of = f" of {where}" if where.startswith("class ") else ""
    return (
        f"{lane.name}: {percent(result.baseline_accuracy)} right intact "
        f"({result.n_images:,} {IMAGES[result.images]}{of}{norms}{so_far(lane)})"
    )


def guessing(lane: Lane, result: LesionCurve | LesionStudy) -> str:
    """A sentence where the intact net does no better than guessing: there is nothing to lose."""
    if ", class " in result.data or not np.isfinite(result.baseline_accuracy):
        return ""
    chance = 1 / len(lane.info.classes)
    if not only_guesses(result.baseline_accuracy, result.n_images, chance):
        return ""
    return (
        f" Intact it does no better than guessing ({percent(chance)}), so that what is changed "
        "costs nothing here: look at a trained net."
    )


def with_interval(share: float, n: int) -> str:
    """ "41.7 % (33.2 % to 50.6 %)"."""
    low, high = wilson_interval(share, n)
    return f"{percent(share)} ({percent(low)} to {percent(high)})"


def present(lane: Lane, what: str, p: float, n: int) -> str:
    """The interval's formula with the numbers of one lesion."""
    low, high = wilson_interval(p, n)
    return (
        f"{lane.name}, {what}: p = {p:.4f}, n = {n:,}, z = 1.96: from {percent(low)} to "
        f"{percent(high)}"
    )


def points(share: float) -> float:
    """Per cent, rounded to what it is worth."""
    return round(share * 100, 2)
