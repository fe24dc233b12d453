"""Accuracy after deleting each block (Veit16 Fig 3; SGS15 Fig 4)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from explorer.claims import says
from explorer.instruments import lesion_words
from explorer.instruments.contract import Lane, Page
from explorer.instruments.lesions.ask import Ask, Show
from explorer.instruments.lesions.result import LesionCurve
from explorer.instruments.words import block, count, percent


def caption(lanes: Sequence[Lane[LesionCurve]], ask: Ask, show: Show) -> list[str]:
    said = []
    for lane in lanes:
        curve = lane.result
        measured = np.isfinite(curve.accuracy)
        if not measured.any() or not np.isfinite(curve.baseline_accuracy):
            continue
        accuracy = curve.accuracy[measured]
        units = [unit for unit, known in zip(curve.units, measured, strict=True) if known]
        cost = (curve.baseline_accuracy - accuracy) * 100
        worst = int(np.argmin(accuracy))
        cheap = int(np.sum(cost < 1))
        said.append(
            f"{lesion_words.intact(lane)}. Deleted alone, {cheap} of "
            f"{count(len(units), 'block')} cost less than 1 point; the median cost is "
            f"{float(np.median(cost)):.1f} points. "
            + _worst(lane, units[worst], float(accuracy[worst]))
            + lesion_words.kept(lane)
            + lesion_words.guessing(lane)
        )
    return said


def _worst(lane: Lane[LesionCurve], unit: str, accuracy: float) -> str:
    if accuracy >= lane.result.baseline_accuracy:
        return "None of them costs anything on these images."
    return f"Worst is {block(lane, unit)}: {percent(accuracy)} without it."


def formula(lanes: Sequence[Lane[LesionCurve]], ask: Ask, show: Show) -> list[str]:
    lines = [*lesion_words.deletions(lanes), lesion_words.INTERVAL]
    for lane in lanes:
        curve = lane.result
        if not len(curve.units) or not np.isfinite(curve.accuracy).all():
            continue
        worst = int(np.argmin(curve.accuracy))
        without = f"without {curve.units[worst]}"
        lines.append(lesion_words.present(lane, without, float(curve.accuracy[worst])))
    return lines


PAGE = Page(
    result=LesionCurve,
    title="Delete one block",
    group="blocks",
    order=10,
    question="Which blocks can a trained net do without?",
    explains=(
        "Each dot is the accuracy after one block is deleted and the rest is left "
        "as it was trained; the line of their colour is the intact net. Look how far the dots lie "
        "below it, and whether the deep ones or the first of each stage are worst."
    ),
    figure_of=says("veit16.delete_one", "sgs15.delete_one"),
    caption=caption,
    formula=formula,
    mode=lesion_words.mode,
    chosen=lesion_words.one_class,
    suggests=("digits_plain_56", "digits_resnet_v2_56"),
)
