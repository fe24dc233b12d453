"""Delete blocks, or let them change places, by hand (Veit16 §4.1 to §4.3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from explorer.blueprint import Blueprint
from explorer.charts import Theme
from explorer.charts.answers import answers_figure
from explorer.claims import says
from explorer.results import ProgramAnswers
from explorer.ui.instruments.contract import Asking, Instrument, Lane, Picture, Result, Row, one_net
from explorer.ui.instruments.options import Options
from explorer.ui.instruments.rearranged import HandPick, hand_of, numbers
from explorer.ui.instruments.words import count, percent, so_far


def _answers(lane: Lane) -> ProgramAnswers:
    return ProgramAnswers.from_json(lane.result)


def payload(asking: Asking) -> dict[str, Any]:
    asked, done = one_net(asking), hand_of(asking.options, asking.index)
    if asking.plan is None or not (done.deleted or done.moved):
        return {**asked, "program": None}
    done.check(asking.plan)
    return {**asked, "program": done.program(asking.plan)}


def figure(lanes: Sequence[Lane], options: Options, theme: Theme) -> go.Figure:
    classes = lanes[0].info.classes if lanes else ()
    return answers_figure(
        [(lane.index, lane.name, _answers(lane)) for lane in lanes], classes, theme=theme
    )


def headline(lane: Lane, options: Options) -> tuple[str, str]:
    answers = _answers(lane)
    return percent(answers.accuracy), f"right · {percent(answers.baseline_accuracy)} intact"


def caption(lanes: Sequence[Lane], options: Options) -> list[str]:
    said = []
    for lane in lanes:
        answers, done = _answers(lane), hand_of(options, lane.index)
        n = f"{answers.n_images:,} test images{so_far(lane)}"
        whole = percent(answers.baseline_accuracy)
        if not (done.deleted or done.moved):
            said.append(f"{lane.name}, intact: {whole} right ({n}).")
            continue
        low, high = answers.interval()
        did = []
        if done.deleted:
            did.append(f"without {count(len(done.deleted), 'block')} ({numbers(_first(done))})")
        if done.moved:
            did.append(f"with {count(len(done.moved), 'block')} in another's place")
        words = (
            f"{lane.name}, {' and '.join(did)}: {percent(answers.accuracy)} right, {whole} intact "
            f"({n}; 95 % interval {percent(low)} to {percent(high)}). "
        )
        if answers.changed:
            words += (
                f"{count(answers.changed, 'answer')} changed: {answers.broken:,} became wrong, "
                f"{answers.mended:,} right."
            )
        else:
            words += "No answer changed."
        said.append(words + _worst(lane, answers))
    return said


def _first(done: Any, most: int = 12) -> list[int]:
    return sorted(done.deleted)[:most]


def _worst(lane: Lane, answers: ProgramAnswers) -> str:
    """The class that lost most, where one did."""
    intact, now = answers.shares()
    lost = np.nan_to_num(intact - now)
    worst = int(lost.argmax())
    if lost[worst] <= 0:
        return ""
    return (
        f" Class {lane.info.classes[worst]} lost most: {percent(float(intact[worst]))} to "
        f"{percent(float(now[worst]))}."
    )


def formula(lanes: Sequence[Lane], options: Options) -> list[str]:
    lines = [
        "A program is the blocks in the order they act; one that is left out is passed by:",
        "residual: y = shortcut(x); highway: y = x (T = 0); dense: no new features; plain: y = x",
    ]
    for lane in lanes:
        answers = _answers(lane)
        right, n = int(answers.right.sum()), answers.n_images
        lines.append(
            f"{lane.name}: {len(answers.program)} of "
            f"{len(answers.program) + len(answers.deleted)} blocks act; {right:,} ÷ {n:,} = "
            f"{percent(right / n)} right"
            if n
            else f"{lane.name}: no image measured yet"
        )
    return lines


def table(result: Result) -> list[Row]:
    answers = ProgramAnswers.from_json(result)
    intact, now = answers.shares()
    return [
        {
            "class": index,
            "images": int(n),
            "intact, %": _share(before),
            "now, %": _share(after),
        }
        for index, (n, before, after) in enumerate(zip(answers.of_class, intact, now, strict=True))
    ]


def _share(value: float) -> float | None:
    return round(100 * float(value), 1) if np.isfinite(value) else None


def pictures(lanes: Sequence[Lane], options: Options) -> list[Picture]:
    """Images whose answer is another one now."""
    shown = []
    for lane in lanes:
        classes = lane.info.classes
        for flip in _answers(lane).to_json()["flips"]:
            true, before, after = (classes[flip[key]] for key in ("true", "before", "after"))
            right = " (right)" if true == after else ""
            shown.append(
                Picture(
                    lane=lane.index,
                    png=flip["picture"],
                    words=f"{before} → {after}{right}",
                    alt=f"{lane.name}: an image of {true}, {before} when intact, now {after}",
                )
            )
    return shown


def not_for(plan: Blueprint) -> str | None:
    if any(unit.deletable or unit.swap_group for unit in plan.units):
        return None
    return (
        "No block of this net can be deleted or moved, because each changes the shape: take a "
        "deeper net, whose stages have more than one block."
    )


INSTRUMENT = Instrument(
    key="by_hand",
    title="By hand",
    group="blocks",
    order=5,
    question="How much of a net can you take out before it notices?",
    explains=(
        "Click a block to delete it or bring it back; drag one onto another of its stage to swap "
        "them. The bars are the accuracy of each class now, the line across each the intact net: "
        "compare what a residual and a plain net can spare. "
        + says("lesions.residual", "lesions.plain")
    ),
    figure_of=says("veit16.delete_one", "veit16.delete_several", "veit16.shuffle"),
    job="answers",
    figure=figure,
    caption=caption,
    formula=formula,
    table=table,
    headline=headline,
    pictures=pictures,
    mode="evaluation mode",
    options=(HandPick(),),
    payload=payload,
    not_for=not_for,
    suggests=("digits_plain_56", "digits_resnet_v2_56"),
)
