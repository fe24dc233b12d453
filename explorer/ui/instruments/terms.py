"""The gradient's direct and residual term (He16 Eq 5)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from explorer.blueprint import Blueprint
from explorer.charts import Theme, gradient_terms_figure
from explorer.claims import says
from explorer.results import GradientTerms
from explorer.ui.instruments.blocks import rounded
from explorer.ui.instruments.contract import Instrument, Lane, Result, Row
from explorer.ui.instruments.options import Options
from explorer.ui.instruments.words import block, percent


def _measured(lane: Lane) -> GradientTerms:
    return GradientTerms.from_json(lane.result)


def figure(lanes: Sequence[Lane], options: Options, theme: Theme) -> go.Figure:
    return gradient_terms_figure(
        [(lane.index, lane.name, _measured(lane)) for lane in lanes], theme=theme
    )


def caption(lanes: Sequence[Lane], options: Options) -> list[str]:
    said = []
    for lane in lanes:
        terms = _measured(lane)
        whole, direct = terms.whole[0], terms.direct[0]
        if not (np.isfinite([whole, direct]).all() and whole > 0):
            continue
        words = (
            f"{lane.name}: at the input of {block(lane, terms.units[0])} the gradient's norm is "
            f"{whole:.3g}, and that of its direct term {direct:.3g} ({terms.n_images:,} training "
            "images)."
        )
        larger = int(np.sum(terms.direct > terms.residual))
        words += f" The direct term is the larger one in {larger} of {len(terms.units)} blocks."
        said.append(words)
    return said


def formula(lanes: Sequence[Lane], options: Options) -> list[str]:
    lines = ["∂E/∂x_l = ∂E/∂x_L · (1 + ∂/∂x_l Σ F): direct term + residual term (He16 Eq 5)"]
    for lane in lanes:
        terms = _measured(lane)
        lines.append(
            f"{lane.name}, {terms.units[0]}: ‖direct‖ {terms.direct[0]:.3g}, ‖residual‖ "
            f"{terms.residual[0]:.3g}, cosine between them {terms.cosine[0]:.3f}, ‖whole‖ "
            f"{terms.whole[0]:.3g}; at the end ‖∂E/∂x_L‖ {terms.end:.3g}"
        )
    return lines


def table(result: Result) -> list[Row]:
    terms = GradientTerms.from_json(result)
    share = terms.direct / np.where(terms.whole > 0, terms.whole, np.nan)
    return [
        {
            "block": unit,
            "whole": rounded(terms.whole[i]),
            "direct": rounded(terms.direct[i]),
            "residual": rounded(terms.residual[i]),
            "cosine": rounded(terms.cosine[i], 3),
            "direct ÷ whole": percent(share[i]) if np.isfinite(share[i]) else None,
        }
        for i, unit in enumerate(terms.units)
    ]


def not_for(plan: Blueprint) -> str | None:
    if any(unit.shortcut != "none" for unit in plan.units):
        return None
    return (
        f"A {plan.spec.family} net has no shortcuts, so its gradient has no direct term: look at "
        "its gradients by layer, or choose a residual net, such as digits_resnet_v2_56."
    )


INSTRUMENT = Instrument(
    key="terms",
    title="Two terms",
    group="gradients",
    order=12,
    question="How much of the gradient comes by the shortcuts alone?",
    explains=(
        "At the input of every block, on a log scale: the norm of the whole gradient, of what came "
        "back by shortcuts alone (dashed), and of what passed at least one branch (dotted). Look "
        "whether the dashed line is flat: then the last block's gradient reaches every block as "
        "it is, whatever the branches do."
    ),
    figure_of=says("he16.eq5", "terms.v2", "terms.v1"),
    job="gradient_terms",
    figure=figure,
    caption=caption,
    formula=formula,
    table=table,
    mode="as in a training step; nothing random",
    step=True,
    not_for=not_for,
    suggests=("digits_resnet_v2_56", "digits_fc_highway_50"),
)
