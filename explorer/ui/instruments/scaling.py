"""The gradient with every shortcut λ·x (He16 Eq 8)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from explorer.blueprint import Blueprint
from explorer.charts import Theme, shortcut_scaling_figure
from explorer.claims import says
from explorer.results import ShortcutScaling
from explorer.specs import ResidualSpec
from explorer.ui.instruments.blocks import kept, rounded
from explorer.ui.instruments.contract import Asking, Instrument, Lane, Result, Row
from explorer.ui.instruments.options import Number, Options
from explorer.ui.instruments.words import so_far

BESIDE = (0.5, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2)  # measured after the λ that is chosen


def _measured(lane: Lane) -> ShortcutScaling:
    return ShortcutScaling.from_json(lane.result)


def figure(lanes: Sequence[Lane], options: Options, theme: Theme) -> go.Figure:
    return shortcut_scaling_figure(
        [(lane.index, lane.name, _measured(lane)) for lane in lanes],
        scale=options["lambda"],
        theme=theme,
    )


def caption(lanes: Sequence[Lane], options: Options) -> list[str]:
    said = []
    for lane in lanes:
        result = _measured(lane)
        said.append(
            f"{lane.name}, untrained, λ = {result.scale[0]:g}: Eq 8 says {result.theory()[0]:.3g} "
            f"for the direct term, measured {result.direct[0]:.3g}; the whole gradient at the "
            f"first block is {result.whole[0]:.3g} times what shortcuts with λ = 1 hand on "
            f"({result.n_images} training images{so_far(lane)})."
        )
    return said


def formula(lanes: Sequence[Lane], options: Options) -> list[str]:
    lines = ["x_(l+1) = λ·x_l + F(x_l)  ⇒  direct term of ∂E/∂x_0 = λ^L · ∂E/∂x_L (He16 Eq 8)"]
    for lane in lanes:
        result = _measured(lane)
        scale = result.scale[0]
        lines.append(f"{lane.name}: {scale:g}^{result.n_units} = {result.theory()[0]:.3g}")
    return lines


def table(result: Result) -> list[Row]:
    scaling = ShortcutScaling.from_json(result)
    return [
        {
            "λ": rounded(scaling.scale[i]),
            "λ^L": rounded(theory),
            "direct, measured": rounded(scaling.direct[i]),
            "whole, measured": rounded(scaling.whole[i]),
        }
        for i, theory in enumerate(scaling.theory())
    ]


def payload(asking: Asking) -> dict[str, Any]:
    chosen = asking.options["lambda"]
    plan = asking.plan
    return {
        **kept(asking),
        "spec": None if plan is None else plan.spec.model_dump(mode="json"),
        "scales": [chosen, *(scale for scale in BESIDE if scale != chosen)],
        "seed": asking.seed,
    }


def not_for(plan: Blueprint) -> str | None:
    spec = plan.spec
    if isinstance(spec, ResidualSpec) and spec.layout not in ("fc", "reference"):
        return None
    return (
        "The shortcuts of convolutional residual nets alone can be scaled: look at this net's "
        "gradients, or choose one of those, such as resnet_v2_20."
    )


INSTRUMENT = Instrument(
    key="scaling",
    title="Scaled shortcuts",
    group="gradients",
    order=14,
    question="What if every shortcut multiplied by λ?",
    explains=(
        "The net is built anew with shortcuts λ·x; crosses are the part of its gradient that comes "
        "back by shortcuts alone, the solid line is the whole of it. Move λ and look how fast the "
        "crosses follow λ to the power of the number of blocks, and whether the whole does."
    ),
    figure_of=says("he16.scaling"),
    job="shortcut_scaling",
    figure=figure,
    caption=caption,
    formula=formula,
    table=table,
    mode="untrained nets from the page's seed, as in a training step",
    step=True,
    payload=payload,
    not_for=not_for,
    own_weights=lambda lane, options: False,
    options=(Number("lambda", "λ", 0.9, 0.0, 2.0, 0.05, slider=True),),
    suggests=("resnet_v2_20", "resnet_v1_20"),
)
