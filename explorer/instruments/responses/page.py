"""Standard deviation of each layer's response (He15 Fig 7)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from explorer.claims import says
from explorer.instruments.contract import Lane, Page
from explorer.instruments.responses.ask import Ask, Show
from explorer.instruments.responses.result import LayerResponses
from explorer.instruments.words import how


def caption(lanes: Sequence[Lane[LayerResponses]], ask: Ask, show: Show) -> list[str]:
    said = []
    for lane in lanes:
        found = lane.result
        low, middle, high = np.quantile(found.sd, [0, 0.5, 1])
        said.append(
            f"{lane.name}: standard deviations from {low:.3g} to {high:.3g}, median {middle:.3g} "
            f"over {len(found.sd)} layers ({found.n_images:,} test images{how(found)})."
        )
    return said


def formula(lanes: Sequence[Lane[LayerResponses]], ask: Ask, show: Show) -> list[str]:
    lines = ["sd = √( mean(r²) − mean(r)² ), r a layer's response, over images, maps and places"]
    for lane in lanes:
        found = lane.result
        lines.append(
            f"{lane.name}: {found.layers[0]} {found.sd[0]:.3g}, {found.layers[-1]} "
            f"{found.sd[-1]:.3g}"
        )
    return lines


PAGE = Page(
    result=LayerResponses,
    title="Responses",
    group="responses",
    order=20,
    question="How strongly does each layer answer?",
    explains=(
        "Each point is the standard deviation of one layer's response, after batch norm and before "
        "the activation and the addition, over all images. Look whether the residual net's "
        "layers answer less than the plain net's, and the deeper of two residual nets less still. "
        + says("responses.fresh")
    ),
    figure_of=says("he15.fig7", "he15.fig7_order", "responses.short"),
    caption=caption,
    formula=formula,
    mode="evaluation mode",
    suggests=("digits_plain_56", "digits_resnet_v2_56"),
)
