"""Gradients of fresh nets against depth (He15 §4.1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from explorer.charts import Theme, gradients_at_init_figure
from explorer.claims import says
from explorer.results import GradientsAtInit
from explorer.ui.instruments.blocks import kept, rounded
from explorer.ui.instruments.contract import Asking, Instrument, Lane, Result, Row
from explorer.ui.instruments.options import Choice, Options
from explorer.ui.instruments.words import so_far, times

FAMILIES = ("plain_20", "resnet_v2_20", "highway_19", "densenet_40_k12")
PADDINGS = {"circular": "circular", "zeros": "zeros"}  # 32×32 maps and larger also mirror


def figure(lanes: Sequence[Lane], options: Options, theme: Theme) -> go.Figure:
    empty = {"data": "", "n_images": 0, "rows": []}
    sweep = GradientsAtInit.from_json(lanes[0].result if lanes else empty)
    made = gradients_at_init_figure(sweep, of=options["of"], theme=theme)
    if options.get("narrow"):  # one column of names below
        made.update_layout(height=520, margin={"b": 250}, legend={"y": -0.3})
    return made


def caption(lanes: Sequence[Lane], options: Options) -> list[str]:
    said = []
    for lane in lanes:
        sweep = GradientsAtInit.from_json(lane.result)
        seeds = len({row.seed for row in sweep.rows})
        for (family, norm), (depth, middle, *_) in sweep.curves(options["of"]).items():
            first, last = middle[0], middle[-1]
            if len(depth) < 2 or not np.isfinite([first, last]).all() or min(first, last) <= 0:
                continue
            said.append(
                f"{sweep.short(family)} {'with' if norm else 'without'} batch norm: at "
                f"{depth[-1]:.0f} layers "
                f"{times(last / first)} what it is at {depth[0]:.0f} (median of {seeds} seeds, "
                f"{sweep.n_images} images{so_far(lane)})."
            )
        if said and sweep.padding == "zeros":
            said.append(
                "Convolutions find zeros at the edges, which without batch norm take a share of "
                "the gradient away at every layer: circular padding shows depth alone."
            )
        elif said and sweep.padding == "circular":
            said.append("Circular padding: nothing is lost at the edges.")
    return said


def formula(lanes: Sequence[Lane], options: Options) -> list[str]:
    lines = [
        "RMS(∂L/∂W) = √( Σ (∂L/∂w)² / |W| ) over the first layer's weights"
        if options["of"] == "parameters"
        else "RMS(∂ℓ/∂y) of the first block's output ÷ that of the last block's: 1 keeps its size"
    ]
    for lane in lanes:
        for row in GradientsAtInit.from_json(lane.result).rows[-1:]:
            net = f"{row.family}, {row.depth} layers, {'with' if row.batch_norm else 'without'}"
            shown = (
                f"{row.first_layer:.3g}"
                if options["of"] == "parameters"
                else f"{row.first_unit:.3g} ÷ {row.last_unit:.3g} = {row.scale('outputs'):.3g}"
            )
            lines.append(f"{net} batch norm, seed {row.seed}: {shown}")
    return lines


def table(result: Result) -> list[Row]:
    return [
        {
            "net": row.family,
            "batch norm": "yes" if row.batch_norm else "no",
            "depth": row.depth,
            "seed": row.seed,
            "loss": rounded(row.loss),
            "first layer": rounded(row.first_layer),
            "last layer": rounded(row.last_layer),
            "first block ÷ last": rounded(row.scale("outputs")),
        }
        for row in GradientsAtInit.from_json(result).rows
    ]


def payload(asking: Asking) -> dict[str, Any]:
    norms = {"both": [True, False], "with": [True], "without": [False]}
    return {
        **kept(asking),
        "nets": [f"{name};padding={asking.options['padding']}" for name in FAMILIES],
        "batch_norm": norms[asking.options["norm"]],
        "seeds": [asking.seed + i for i in range(3)],
    }


INSTRUMENT = Instrument(
    key="at_init",
    title="Against depth",
    group="start",
    order=16,
    question="Does the gradient reach the first layer of a fresh net, however deep?",
    explains=(
        "Each point is an untrained net of that depth; filled with batch norm, open without, bars "
        "from the least to the greatest of three seeds, on a log scale. Look for lines that fall "
        "or climb by powers of ten with depth, and for those that stay."
    ),
    figure_of=says("he15.healthy", "vanishing.factor", "vanishing.edges"),
    job="gradients_at_init",
    figure=figure,
    caption=caption,
    formula=formula,
    table=table,
    mode="untrained nets, as in a training step",
    step=True,
    payload=payload,
    options=(
        Choice(
            "of",
            "Gradient of",
            {"parameters": "first layer's weights", "outputs": "first block ÷ last block"},
        ),
        Choice("norm", "Batch norm", {"both": "both", "with": "with", "without": "without"}),
        Choice(
            "padding",
            "Padding",
            PADDINGS,
            help="What convolutions find at a map's edges. Circular: the other side, so that "
            "nothing is lost there; zeros, the usual choice, hide what depth does on small maps.",
        ),
    ),
    needs_net=False,
    see={"vanishing": "Why it vanishes: the causes apart"},
)
