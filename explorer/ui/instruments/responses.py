"""Standard deviation of each layer's response (He15 Fig 7)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from explorer.charts import Theme, response_figure
from explorer.claims import says
from explorer.results import LayerResponses
from explorer.ui.instruments.blocks import how, rounded
from explorer.ui.instruments.contract import Instrument, Lane, Result, Row
from explorer.ui.instruments.options import Choice, Options


def _measured(lane: Lane) -> LayerResponses:
    return LayerResponses.from_json(lane.result)


def figure(lanes: Sequence[Lane], options: Options, theme: Theme) -> go.Figure:
    return response_figure(
        [(lane.index, lane.name, _measured(lane)) for lane in lanes],
        ordered="by size" if options["order"] == "size" else "by layer",
        theme=theme,
    )


def caption(lanes: Sequence[Lane], options: Options) -> list[str]:
    said = []
    for lane in lanes:
        found = _measured(lane)
        low, middle, high = np.quantile(found.sd, [0, 0.5, 1])
        said.append(
            f"{lane.name}: standard deviations from {low:.3g} to {high:.3g}, median {middle:.3g} "
            f"over {len(found.sd)} layers ({found.n_images:,} test images{how(found)})."
        )
    return said


def formula(lanes: Sequence[Lane], options: Options) -> list[str]:
    lines = ["sd = √( mean(r²) − mean(r)² ), r a layer's response, over images, maps and places"]
    for lane in lanes:
        found = _measured(lane)
        lines.append(
            f"{lane.name}: {found.layers[0]} {found.sd[0]:.3g}, {found.layers[-1]} "
            f"{found.sd[-1]:.3g}"
        )
    return lines


def table(result: Result) -> list[Row]:
    found = LayerResponses.from_json(result)
    rank = np.argsort(np.argsort(-found.sd)) + 1
    return [
        {"layer": layer, "depth": depth, "sd": rounded(sd), "rank": int(place)}
        for layer, depth, sd, place in zip(
            found.layers, found.depth_index, found.sd, rank, strict=True
        )
    ]


INSTRUMENT = Instrument(
    key="responses",
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
    job="responses",
    figure=figure,
    caption=caption,
    formula=formula,
    table=table,
    mode="evaluation mode",
    options=(Choice("order", "In order of", {"layer": "layers", "size": "size"}),),
    suggests=("digits_plain_56", "digits_resnet_v2_56"),
)
