"""The gradient's direct and residual term (He16 Eq 5)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from explorer.claims import says
from explorer.instruments.contract import Lane, Page
from explorer.instruments.gradient_terms.ask import Ask, Show
from explorer.instruments.gradient_terms.result import GradientTerms
from explorer.instruments.words import block


def caption(lanes: Sequence[Lane[GradientTerms]], ask: Ask, show: Show) -> list[str]:
    said = []
    for lane in lanes:
        terms = lane.result
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


def formula(lanes: Sequence[Lane[GradientTerms]], ask: Ask, show: Show) -> list[str]:
    lines = ["∂E/∂x_l = ∂E/∂x_L · (1 + ∂/∂x_l Σ F): direct term + residual term (He16 Eq 5)"]
    for lane in lanes:
        terms = lane.result
        lines.append(
            f"{lane.name}, {terms.units[0]}: ‖direct‖ {terms.direct[0]:.3g}, ‖residual‖ "
            f"{terms.residual[0]:.3g}, cosine between them {terms.cosine[0]:.3f}, ‖whole‖ "
            f"{terms.whole[0]:.3g}; at the end ‖∂E/∂x_L‖ {terms.end:.3g}"
        )
    return lines


PAGE = Page(
    result=GradientTerms,
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
    caption=caption,
    formula=formula,
    mode="as in a training step; nothing random",
    step=True,
    suggests=("digits_resnet_v2_56", "digits_fc_highway_50"),
)
