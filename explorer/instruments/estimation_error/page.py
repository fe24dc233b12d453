"""Each block's output against the end of its stage (Greff17)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from explorer.claims import says
from explorer.instruments.contract import Lane, Page
from explorer.instruments.estimation_error.ask import Ask, Show
from explorer.instruments.estimation_error.result import EstimationError
from explorer.instruments.words import how


def caption(lanes: Sequence[Lane[EstimationError]], ask: Ask, show: Show) -> list[str]:
    said = []
    for lane in lanes:
        found = lane.result
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


def formula(lanes: Sequence[Lane[EstimationError]], ask: Ask, show: Show) -> list[str]:
    lines = [
        "e_i = (y_i − y_end) / RMS(y_end): mean and standard deviation over images and entries"
    ]
    for lane in lanes:
        found = lane.result
        mean, sd = found.mean / found.scale, found.sd / found.scale
        lines.append(f"{lane.name}, {found.units[0]}: {mean[0]:.3f} ± {sd[0]:.3f}")
    return lines


PAGE = Page(
    result=EstimationError,
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
    caption=caption,
    formula=formula,
    mode="evaluation mode",
    suggests=("digits_plain_56", "digits_resnet_v2_56"),
)
