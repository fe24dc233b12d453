"""Accuracy without all the blocks of a stage."""

from __future__ import annotations

from collections.abc import Sequence

from explorer.claims import says
from explorer.instruments import lesion_words
from explorer.instruments.contract import Lane, Page
from explorer.instruments.stage_lesions.ask import Ask, Show
from explorer.instruments.stage_lesions.result import StageLesions
from explorer.instruments.words import count, listed


def caption(lanes: Sequence[Lane[StageLesions]], ask: Ask, show: Show) -> list[str]:
    said = []
    for lane in lanes:
        stages = lane.result
        each = [
            f"{lesion_words.with_interval(float(share), stages.n_images)} without the "
            f"{count(len(gone), 'block')} of {_stage(name)}"
            for name, gone, share in zip(
                stages.stages, stages.deleted, stages.accuracy, strict=True
            )
        ]
        said.append(
            f"{lesion_words.intact(lane)}; {listed(each)}."
            + _untouched(lane)
            + lesion_words.kept(lane)
            + lesion_words.guessing(lane)
        )
    return said


def _untouched(lane: Lane[StageLesions]) -> str:
    """Stages that are not there to compare."""
    names = () if lane.plan is None else lane.plan.stage_names
    left = [_stage(name) for name in names if name not in lane.result.stages]
    if not left:
        return ""
    words = listed(left)
    have = "has" if len(left) == 1 else "have"
    return f" {words[0].upper()}{words[1:]} {have} no block that can be deleted."


def _stage(name: str) -> str:
    """Of a dense net "dense block 1", whose units are blocks too on this page."""
    return f"dense {name}" if name.startswith("block") else name


def formula(lanes: Sequence[Lane[StageLesions]], ask: Ask, show: Show) -> list[str]:
    lines = [*lesion_words.deletions(lanes), lesion_words.INTERVAL]
    for lane in lanes:
        stages = lane.result
        first = f"without {_stage(stages.stages[0])}"
        share = float(stages.accuracy[0])
        lines.append(lesion_words.present(lane, first, share))
    return lines


PAGE = Page(
    result=StageLesions,
    title="Delete stages",
    group="blocks",
    order=50,
    question="Can a net do without a whole stage?",
    explains=(
        "Every block of a stage that can be deleted is gone at once; what halves the resolution "
        "and has nothing to pass it by stays, and the sentences say how many those are. Look "
        "whether the first stage, whose maps all the others build on, costs most."
    ),
    figure_of=says("veit16.no_stages"),
    caption=caption,
    formula=formula,
    mode=lesion_words.mode,
    chosen=lesion_words.one_class,
    suggests=("digits_plain_56", "digits_resnet_v2_56"),
)
