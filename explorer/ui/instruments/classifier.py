"""The classifier applied after every block of the last stage (Jastrzebski18)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from explorer.blueprint import Blueprint
from explorer.charts import Theme, classifier_figure
from explorer.claims import says
from explorer.results import ClassifierByUnit
from explorer.ui.instruments.blocks import how, rounded, units_of
from explorer.ui.instruments.contract import Instrument, Lane, Result, Row
from explorer.ui.instruments.options import Options
from explorer.ui.instruments.words import block, percent


def _measured(lane: Lane) -> ClassifierByUnit:
    return ClassifierByUnit.from_json(lane.result)


def figure(lanes: Sequence[Lane], options: Options, theme: Theme) -> go.Figure:
    drawn = [(lane, _measured(lane)) for lane in lanes]
    return classifier_figure(
        [(lane.index, lane.name, units_of(lane, found.units), found) for lane, found in drawn],
        chance=1 / len(lanes[0].info.classes) if lanes else None,
        theme=theme,
    )


def caption(lanes: Sequence[Lane], options: Options) -> list[str]:
    said = []
    for lane in lanes:
        found = _measured(lane)
        said.append(
            f"{lane.name}: after {block(lane, found.units[0])} the classifier is right on "
            f"{percent(found.accuracy[0])}, at the end on {percent(found.accuracy[-1])} "
            f"({found.n_images:,} test images{how(found)})."
        )
    return said


def formula(lanes: Sequence[Lane], options: Options) -> list[str]:
    lines = ["answer after block i = head(x_i), the head as trained on the last x_L"]
    for lane in lanes:
        found = _measured(lane)
        far = np.flatnonzero(np.abs(found.accuracy - found.accuracy[-1]) > 0.01)
        first = found.units[int(far[-1]) + 1 if len(far) else 0]
        lines.append(f"{lane.name}: within a point of its accuracy from {first} on")
    return lines


def table(result: Result) -> list[Row]:
    found = ClassifierByUnit.from_json(result)
    return [
        {
            "after block": unit,
            "right, %": rounded(100 * accuracy),
            "95 % interval": f"{100 * low:.1f} – {100 * high:.1f}",
            "loss": rounded(loss),
        }
        for unit, accuracy, (low, high), loss in zip(
            found.units, found.accuracy, found.intervals(), found.loss, strict=True
        )
    ]


def not_for(plan: Blueprint) -> str | None:
    shapes = [unit.output_shape for unit in plan.units]
    if len(shapes) > 1 and shapes[-1] == shapes[-2]:
        return None
    return (
        "The classifier of this net takes the last block's output alone: delete its blocks "
        "instead, or choose a plain, residual or highway net with several blocks a stage, such as "
        "digits_resnet_v2_56."
    )


INSTRUMENT = Instrument(
    key="classifier",
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
    job="classifier_by_unit",
    figure=figure,
    caption=caption,
    formula=formula,
    table=table,
    mode="evaluation mode",
    not_for=not_for,
    suggests=("digits_plain_56", "digits_resnet_v2_56"),
)
