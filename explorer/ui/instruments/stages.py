"""Accuracy without all the blocks of a stage."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from explorer.charts import Theme, stage_figure
from explorer.claims import says
from explorer.results import StageLesions
from explorer.ui.instruments import lesioning, lesions
from explorer.ui.instruments.contract import Instrument, Lane, Result, Row
from explorer.ui.instruments.options import Options
from explorer.ui.instruments.words import count, listed


def _stages(lane: Lane) -> StageLesions:
    return StageLesions.from_json(lane.result)


def figure(lanes: Sequence[Lane], options: Options, theme: Theme) -> go.Figure:
    return stage_figure(
        [(lane.index, lane.name, _stages(lane)) for lane in lanes],
        chance=lesioning.chance(lanes, options),
        theme=theme,
    )


def caption(lanes: Sequence[Lane], options: Options) -> list[str]:
    said = []
    for lane in lanes:
        stages = _stages(lane)
        each = [
            f"{lesioning.with_interval(float(share), stages.n_images)} without the "
            f"{count(len(gone), 'block')} of {_stage(name)}"
            for name, gone, share in zip(
                stages.stages, stages.deleted, stages.accuracy, strict=True
            )
        ]
        words = f"{lesioning.intact(lane, stages)}; {listed(each)}."
        kept = sum(map(len, stages.kept))
        if kept:
            words += (
                f" {count(kept, 'block')} had to stay, because "
                f"{'it changes' if kept == 1 else 'they change'} the shape."
            )
        said.append(words + lesioning.guessing(lane, stages))
    return said


def _stage(name: str) -> str:
    """Of a dense net "dense block 1", whose units are blocks too on this page."""
    return f"dense {name}" if name.startswith("block") else name


def formula(lanes: Sequence[Lane], options: Options) -> list[str]:
    families = {lane.plan.spec.family for lane in lanes if lane.plan is not None}
    lines = [words for family, words in lesions.DELETED_IS.items() if family in families]
    lines.append(lesioning.INTERVAL)
    for lane in lanes:
        stages = _stages(lane)
        first = f"without {_stage(stages.stages[0])}"
        share = float(stages.accuracy[0])
        lines.append(lesioning.present(lane, first, share, stages.n_images))
    return lines


def table(result: Result) -> list[Row]:
    stages = StageLesions.from_json(result)
    return [
        {
            "stage": name,
            "blocks deleted": len(gone),
            "blocks kept": len(kept),
            "right, %": lesioning.points(float(share)),
            "95 % from": lesioning.points(float(low)),
            "to": lesioning.points(float(high)),
        }
        for name, gone, kept, share, (low, high) in zip(
            stages.stages,
            stages.deleted,
            stages.kept,
            stages.accuracy,
            stages.intervals(),
            strict=True,
        )
    ]


INSTRUMENT = Instrument(
    key="stages",
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
    job="stage_lesions",
    figure=figure,
    caption=caption,
    formula=formula,
    table=table,
    mode=lesioning.mode,
    chosen=lesioning.one_class(StageLesions),
    payload=lesioning.payload,
    not_for=lesions.not_for,
    suggests=("digits_plain_56", "digits_resnet_v2_56"),
    options=(lesioning.SPLIT, lesioning.RECALIBRATE, lesioning.CLASS),
)
