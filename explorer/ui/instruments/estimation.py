"""Each block's output against the end of its stage (Greff17)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from explorer.blueprint import Blueprint
from explorer.charts import Theme, estimation_figure
from explorer.claims import says
from explorer.results import EstimationError
from explorer.ui.instruments.blocks import how, rounded, units_of
from explorer.ui.instruments.contract import Instrument, Lane, Result, Row
from explorer.ui.instruments.options import Options


def _measured(lane: Lane) -> EstimationError:
    return EstimationError.from_json(lane.result)


def figure(lanes: Sequence[Lane], options: Options, theme: Theme) -> go.Figure:
    drawn = [(lane, _measured(lane)) for lane in lanes]
    return estimation_figure(
        [(lane.index, lane.name, units_of(lane, found.units), found) for lane, found in drawn],
        theme=theme,
    )


def caption(lanes: Sequence[Lane], options: Options) -> list[str]:
    said = []
    for lane in lanes:
        found = _measured(lane)
        stages = np.asarray(found.stage)
        shrinking = 0
        for stage in np.unique(stages):
            spread = found.sd[stages == stage]
            shrinking += bool((np.diff(spread) < 0).all())
        n = len(np.unique(stages))
        first = found.sd[0] / found.scale[0]
        said.append(
            f"{lane.name}: the spread shrinks from block to block in {shrinking} of {n} "
            f"stage{'' if n == 1 else 's'}; the first block's is {first:.2f} of the size of its "
            f"stage's end ({found.n_images:,} test images{how(found)})."
        )
    return said


def formula(lanes: Sequence[Lane], options: Options) -> list[str]:
    lines = [
        "e_i = (y_i − y_end) / RMS(y_end): mean and standard deviation over images and entries"
    ]
    for lane in lanes:
        found = _measured(lane)
        mean, sd = found.mean / found.scale, found.sd / found.scale
        lines.append(f"{lane.name}, {found.units[0]}: {mean[0]:.3f} ± {sd[0]:.3f}")
    return lines


def table(result: Result) -> list[Row]:
    found = EstimationError.from_json(result)
    return [
        {
            "block": unit,
            "stage": stage + 1,
            "mean": rounded(mean),
            "sd": rounded(sd),
            "RMS of the end": rounded(scale),
        }
        for unit, stage, mean, sd, scale in zip(
            found.units, found.stage, found.mean, found.sd, found.scale, strict=True
        )
    ]


def not_for(plan: Blueprint) -> str | None:
    inside = [unit for unit in plan.units if unit.kind != "transition"]
    ends = {unit.stage: unit for unit in inside}
    alike = [u for u in inside if u.output_shape == ends[u.stage].output_shape]
    if len(alike) > len(ends):
        return None
    return (
        f"No two blocks of a stage of this {plan.spec.family} net have one shape, so none "
        "estimates another's output: look at its layers' responses, or choose a residual or "
        "highway net, such as digits_resnet_v2_56."
    )


INSTRUMENT = Instrument(
    key="estimation",
    title="Estimates",
    group="responses",
    order=26,
    question="Does each block refine what its stage will end with?",
    explains=(
        "Each point is the mean of a block's output less its stage's last output, the band one "
        "standard deviation, in units of that output's size. Look for bands that narrow evenly, "
        "more so than in the untrained net: there the blocks improve one estimate, instead of each "
        "computing something new."
    ),
    figure_of=says("greff17.estimates", "estimation.untrained"),
    job="estimation_error",
    figure=figure,
    caption=caption,
    formula=formula,
    table=table,
    mode="evaluation mode",
    not_for=not_for,
    suggests=("digits_plain_56", "digits_resnet_v2_56"),
)
