"""The classifier applied after every block of the last stage (Jastrzebski18)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from explorer.claims import says
from explorer.instruments.classifier_by_unit.ask import Ask, Show
from explorer.instruments.classifier_by_unit.result import ClassifierByUnit
from explorer.instruments.contract import Lane, Page
from explorer.instruments.words import block, how, percent


def caption(lanes: Sequence[Lane[ClassifierByUnit]], ask: Ask, show: Show) -> list[str]:
    said = []
    for lane in lanes:
        found = lane.result
        said.append(
            f"{lane.name}: after {block(lane, found.units[0])} the classifier is right on "
            f"{percent(found.accuracy[0])}, at the end on {percent(found.accuracy[-1])} "
            f"({found.n_images:,} test images{how(found)})."
        )
    return said


def formula(lanes: Sequence[Lane[ClassifierByUnit]], ask: Ask, show: Show) -> list[str]:
    lines = ["answer after block i = head(x_i), the head as trained on the last x_L"]
    for lane in lanes:
        found = lane.result
        far = np.flatnonzero(np.abs(found.accuracy - found.accuracy[-1]) > 0.01)
        first = found.units[int(far[-1]) + 1 if len(far) else 0]
        lines.append(f"{lane.name}: within a point of its accuracy from {first} on")
    return lines


PAGE = Page(
    result=ClassifierByUnit,
    title="Early answers",
    group="responses",
    order=24,
    question="Could the net answer earlier?",
    explains=(
        "Each point is the accuracy of the net's own classifier, applied after that block of the "
        "last stage instead of the last one, with its 95 % interval. Look whether the answer comes "
        "up step by step, block by block, or all at once at the end."
    ),
    figure_of=says("jastrzebski18.refine"),
    caption=caption,
    formula=formula,
    mode="evaluation mode",
    suggests=("digits_plain_56", "digits_resnet_v2_56"),
)
