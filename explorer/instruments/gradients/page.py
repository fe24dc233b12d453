"""Gradient magnitude by layer (He15 §4.1; SGS15 §1)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from explorer.claims import says
from explorer.instruments.contract import Lane, Page
from explorer.instruments.gradients.ask import Ask, Show
from explorer.instruments.gradients.result import LayerGradients
from explorer.instruments.words import ends, times

FORMULAS = {
    "parameters": (
        "RMS(∂L/∂W) = √( Σ (∂L/∂w)² / |W| ) over a layer's weights, L the batch's mean loss"
    ),
    "outputs": (
        "RMS(∂ℓ/∂y) = √( mean over images i and entries of (∂ℓᵢ/∂yᵢ)² ), y a block's output"
    ),
}


def caption(lanes: Sequence[Lane[LayerGradients]], ask: Ask, show: Show) -> list[str]:
    said = []
    where = "layers" if show.of == "parameters" else "blocks"
    for lane in lanes:
        gradients = lane.result
        both = ends(gradients.profile(show.of).tolist())
        if both is None or not np.all(np.isfinite(both)) or min(both) <= 0:
            continue
        first, last = both
        ratio = max(first, last) / min(first, last)
        near, far = ("first", "last") if first > last else ("last", "first")
        much = "about" if ratio < 1.1 else times(ratio)
        said.append(
            f"{lane.name}: {much} as large in the {near} three {where} as in the {far} three "
            f"(medians; over all {where} × {gradients.factor_a_layer(show.of):.3g} for each one "
            f"towards the input, on average; one batch of {gradients.n_images:,} training images, "
            f"loss {gradients.loss:.3g})."
        )
    return said


def formula(lanes: Sequence[Lane[LayerGradients]], ask: Ask, show: Show) -> list[str]:
    parameters = show.of == "parameters"
    lines = [FORMULAS[show.of]]
    for lane in lanes:
        gradients = lane.result
        values = gradients.profile(show.of)
        names = (
            [n for n, d in zip(gradients.layers, gradients.depth_index, strict=True) if d]
            if parameters
            else gradients.units
        )
        if not len(values):
            continue
        line = f"{lane.name}: {names[0]} {values[0]:.3g}, {names[-1]} {values[-1]:.3g}"
        if values[-1] > 0:
            line += f", first ÷ last = {values[0] / values[-1]:.3g}"
        lines.append(line)
    return lines


PAGE = Page(
    result=LayerGradients,
    title="Gradients",
    group="gradients",
    order=10,
    question="Does the signal that trains the first layers arrive?",
    explains=(
        "Each point is the root mean square of the loss gradient at one layer, on a log scale, "
        "from the input on the left to the answer on the right. Look for a slope and for the "
        "height: weights move by what their gradients say, so where a curve climbs by powers of "
        "ten one end of the net moves that much more than the other, and where all of it lies very "
        "low nothing moves, be it that the gradient vanished or that the loss is nearly 0."
    ),
    figure_of=says(
        "he15.healthy",
        "vanishing.normed",
        "vanishing.bare",
        "vanishing.flat",
        "vanishing.flat_idle",
    ),
    caption=caption,
    formula=formula,
    mode="as in a training step; nothing random",
    step=True,
    suggests=("digits_plain_56", "digits_resnet_v2_56"),
    see={
        "vanishing": "Why it vanishes: the causes apart",
        "history;drawn=ends": "First and last layers while it trains",
    },
)
