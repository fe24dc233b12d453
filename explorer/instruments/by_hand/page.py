"""Delete blocks, or let them change places, by hand (Veit16 §4.1 to §4.3)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from explorer.claims import says
from explorer.instruments.by_hand.ask import Ask, Show
from explorer.instruments.by_hand.rearranged import Rearranged, numbers
from explorer.instruments.by_hand.result import ProgramAnswers
from explorer.instruments.contract import Lane, Page, Picture
from explorer.instruments.words import count, percent, so_far
from explorer.results.png import to_png


def headline(lane: Lane[ProgramAnswers], ask: Ask, show: Show) -> tuple[str, str]:
    answers = lane.result
    return percent(answers.accuracy), f"right · {percent(answers.baseline_accuracy)} intact"


def caption(lanes: Sequence[Lane[ProgramAnswers]], ask: Ask, show: Show) -> list[str]:
    said = []
    for lane in lanes:
        answers, done = lane.result, ask.hands.get(lane.index, Rearranged())
        n = f"{answers.n_images:,} test images{so_far(lane)}"
        whole = percent(answers.baseline_accuracy)
        did = _did(answers, done, given=ask.program is not None)
        if not did:
            said.append(f"{lane.name}, intact: {whole} right ({n}).")
            continue
        low, high = answers.interval()
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


def _did(answers: ProgramAnswers, done: Rearranged, *, given: bool) -> list[str]:
    """What was done to a net, by hand or with a given program; nothing to an intact one."""
    if given:
        n = len(answers.program)
        return [f"with {count(n, 'block')} acting, of {n + len(answers.deleted)}"]
    did = []
    if done.deleted:
        did.append(f"without {count(len(done.deleted), 'block')} ({numbers(_first(done))})")
    if done.moved:
        did.append(f"with {count(len(done.moved), 'block')} in another's place")
    return did


def _first(done: Rearranged, most: int = 12) -> list[int]:
    return sorted(done.deleted)[:most]


def _worst(lane: Lane[ProgramAnswers], answers: ProgramAnswers) -> str:
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


def formula(lanes: Sequence[Lane[ProgramAnswers]], ask: Ask, show: Show) -> list[str]:
    lines = [
        "A program is the blocks in the order they act; one that is left out is passed by:",
        "residual: y = shortcut(x); highway: y = x (T = 0); dense: no new features; plain: y = x",
    ]
    for lane in lanes:
        answers = lane.result
        right, n = int(answers.right.sum()), answers.n_images
        lines.append(
            f"{lane.name}: {len(answers.program)} of "
            f"{len(answers.program) + len(answers.deleted)} blocks act; {right:,} ÷ {n:,} = "
            f"{percent(right / n)} right"
            if n
            else f"{lane.name}: no image measured yet"
        )
    return lines


def pictures(lanes: Sequence[Lane[ProgramAnswers]], ask: Ask, show: Show) -> list[Picture]:
    """Images whose answer is another one now."""
    shown = []
    for lane in lanes:
        classes = lane.info.classes
        for flip in lane.result.flips:
            true, before, after = (classes[index] for index in (flip.true, flip.before, flip.after))
            right = " (right)" if true == after else ""
            shown.append(
                Picture(
                    lane=lane.index,
                    png=to_png(flip.picture),
                    words=f"{before} → {after}{right}",
                    alt=f"{lane.name}: an image of {true}, {before} when intact, now {after}",
                )
            )
    return shown


PAGE = Page(
    result=ProgramAnswers,
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
    caption=caption,
    formula=formula,
    headline=headline,
    pictures=pictures,
    mode="evaluation mode",
    suggests=("digits_plain_56", "digits_resnet_v2_56"),
)
