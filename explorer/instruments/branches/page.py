"""Size and direction of each block's F, and what the last ReLU cuts (Jastrzebski18; He16)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from explorer.claims import says
from explorer.instruments.branches.ask import Ask, Show
from explorer.instruments.branches.result import BranchResponses
from explorer.instruments.contract import Lane, Page
from explorer.instruments.words import ends, how, percent

FORMULAS = {
    "ratio": "mean over images of ‖F(h)‖ / ‖h‖, h a block's input, F what is added to it",
    "cosine": "mean over images of F(h)·g / (‖F(h)‖ ‖g‖), g = ∂ℓ/∂h, ℓ the image's own loss",
    "cut": "share of entries of h + F(h) below 0, which the ReLU after the addition sets to 0",
}


def caption(lanes: Sequence[Lane[BranchResponses]], ask: Ask, show: Show) -> list[str]:
    said = []
    for lane in lanes:
        found = lane.result
        on = f"({found.n_images:,} test images{how(found)})"
        values = getattr(found, show.of)
        known = values[np.isfinite(values)]
        if not len(known) and show.of != "cut":
            continue
        if show.of == "cut":
            said.append(
                f"{lane.name}: the last ReLU cuts {percent(known.min())} to {percent(known.max())} "
                f"of the entries {on}."
                if len(known)
                else f"{lane.name}: no ReLU follows the addition, so nothing is cut {on}."
            )
        elif show.of == "cosine":
            below = int(np.sum(known < 0))
            said.append(
                f"{lane.name}: the mean cosine is below 0 in {below} of {len(known)} blocks that "
                f"keep the shape {on}."
            )
        elif both := ends(known.tolist()):
            said.append(
                f"{lane.name}: ‖F‖/‖h‖ is {both[0]:.3g} in the first three blocks and "
                f"{both[1]:.3g} in the last three (medians) {on}."
            )
        else:
            said.append(
                f"{lane.name}: ‖F‖/‖h‖ lies between {known.min():.3g} and {known.max():.3g} {on}."
            )
    return said


def formula(lanes: Sequence[Lane[BranchResponses]], ask: Ask, show: Show) -> list[str]:
    lines = [FORMULAS[show.of]]
    for lane in lanes:
        found = lane.result
        value = getattr(found, show.of)[-1]
        shown = "not defined here" if np.isnan(value) else f"{value:.3g}"
        lines.append(f"{lane.name}, {found.units[-1]}: {shown}")
    return lines


PAGE = Page(
    result=BranchResponses,
    title="Branches",
    group="responses",
    order=22,
    question="How much does each block change, and which way?",
    explains=(
        "F is what a block adds to its input h (in a highway block: its output less its input). "
        "Look whether late blocks add less, and whether F points against the loss gradient: below "
        "0 it steps down the loss."
    ),
    figure_of=says("jastrzebski18.negative", "he16.relu_cuts"),
    caption=caption,
    formula=formula,
    mode="evaluation mode",
)
