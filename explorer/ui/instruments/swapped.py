"""Accuracy with every two blocks of one shape swapped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import plotly.graph_objects as go

from explorer.blueprint import Blueprint
from explorer.charts import Theme, swap_figure
from explorer.claims import says
from explorer.results import SwapLesions
from explorer.ui.instruments import lesioning, shuffled
from explorer.ui.instruments.contract import Asking, Instrument, Lane, Result, Row
from explorer.ui.instruments.options import Choice, Options, Present
from explorer.ui.instruments.words import count, percent


@dataclass(frozen=True)
class StagePick(Choice):
    """One stage, from 1, that every net here has; or all of them."""

    values: Mapping[str, str] = field(default_factory=dict)

    def choices(self, present: Present) -> Mapping[str, str]:
        stages = min((len(plan.stage_names) for plan in present.plans), default=1)
        return {"all": "all", **{str(i): str(i) for i in range(1, stages + 1) if stages > 1}}


STAGE = StagePick("stage", "Stage", help="Blocks of one stage alone: larger squares, sooner done.")


def _swaps(lane: Lane) -> SwapLesions:
    return SwapLesions.from_json(lane.result)


def payload(asking: Asking) -> dict[str, Any]:
    stage = asking.options["stage"]
    return {**lesioning.payload(asking), "stage": None if stage == "all" else int(stage) - 1}


def figure(lanes: Sequence[Lane], options: Options, theme: Theme) -> go.Figure:
    return swap_figure([(lane.index, lane.name, _swaps(lane)) for lane in lanes], theme=theme)


def caption(lanes: Sequence[Lane], options: Options) -> list[str]:
    said = []
    for lane in lanes:
        swaps = _swaps(lane)
        apart = np.subtract(swaps.second, swaps.first)
        worst = int(np.argmin(swaps.accuracy))
        near = float(np.median(swaps.accuracy[apart == 1])) if (apart == 1).any() else None
        words = (
            f"{lesioning.intact(lane, swaps)}. {count(len(apart), 'pair')} of one shape: the "
            f"median is {percent(float(np.median(swaps.accuracy)))}"
        )
        if near is not None:
            words += f", of neighbours {percent(near)}"
        if swaps.accuracy[worst] < swaps.baseline_accuracy:
            words += (
                f". Worst are blocks {swaps.first[worst] + 1} and {swaps.second[worst] + 1}: "
                f"{lesioning.with_interval(float(swaps.accuracy[worst]), swaps.n_images)}"
            )
        said.append(f"{words}.{lesioning.guessing(lane, swaps)}")
    return said


def formula(lanes: Sequence[Lane], options: Options) -> list[str]:
    lines = ["swapped: block a computes where b stood, and b where a stood", lesioning.INTERVAL]
    for lane in lanes:
        swaps = _swaps(lane)
        worst = int(np.argmin(swaps.accuracy))
        pair = f"blocks {swaps.first[worst] + 1} and {swaps.second[worst] + 1} swapped"
        share = float(swaps.accuracy[worst])
        lines.append(lesioning.present(lane, pair, share, swaps.n_images))
    return lines


def table(result: Result) -> list[Row]:
    swaps = SwapLesions.from_json(result)
    return [
        {
            "block": swaps.units[first],
            "and": swaps.units[second],
            "right, %": lesioning.points(float(share)),
            "95 % from": lesioning.points(float(low)),
            "to": lesioning.points(float(high)),
        }
        for first, second, share, (low, high) in zip(
            swaps.first, swaps.second, swaps.accuracy, swaps.intervals(), strict=True
        )
    ]


def not_for(plan: Blueprint) -> str | None:
    return shuffled.not_for(plan)


INSTRUMENT = Instrument(
    key="swap",
    title="Swap two",
    group="blocks",
    order=40,
    question="Which blocks can take each other's place?",
    explains=(
        "Each square is the accuracy after the two blocks of its row and column have changed "
        "places; the diagonal is the intact net, and pairs of different shape are empty. Look for "
        "squares unlike the diagonal: those two do not do the same work."
    ),
    figure_of=says("veit16.no_pairs"),
    job="swap_lesions",
    figure=figure,
    caption=caption,
    formula=formula,
    table=table,
    mode=lesioning.mode,
    chosen=lesioning.one_class(SwapLesions),
    payload=payload,
    not_for=not_for,
    suggests=("digits_plain_56", "digits_resnet_v2_56"),
    options=(STAGE, lesioning.SPLIT, lesioning.RECALIBRATE, lesioning.CLASS),
)
