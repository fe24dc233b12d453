"""Which pixels carried a decision (Captum)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from explorer.claims import says
from explorer.instruments.attribution.ask import Ask, Show
from explorer.instruments.attribution.result import Attribution
from explorer.instruments.contract import Lane, Page, Table
from explorer.instruments.decisions import said_of
from explorer.instruments.words import so_far

FORMULAS = {
    "integrated_gradients": "(xᵢ − x′ᵢ) · ∫₀¹ ∂f/∂xᵢ(x′ + α(x − x′)) dα; all pixels: f(x) − f(x′)",
    "saliency": "max over colours of |∂f/∂xᵢ|",
    "grad_cam": "Σₖ αₖ Aᵏ, αₖ the mean of ∂f/∂Aᵏ over positions, Aᵏ the maps of a block",
    "occlusion": "f(x) − f(x with a window filled with x′), averaged over the windows of a pixel",
}
STRONGEST = 64  # rows of the table
WIDEST = 32  # signs a row of a map in the terminal


def caption(lanes: Sequence[Lane[Attribution]], ask: Ask, show: Show) -> list[str]:
    said = []
    for lane in lanes:
        result = lane.result
        words = said_of(lane, result.decision)
        error, low = result.error(), result.baseline_logit
        if error is not None and low is not None:
            whole = result.decision.logit - low
            signed = f"{error:.2g}".replace("-", "−")
            words += (
                f" Its map adds up to {result.values.sum():.3g} of {whole:.3g} logits (error "
                f"{signed}, {result.n_steps} steps{so_far(lane)})."
            )
        elif result.unit is not None:
            height, width = result.values.shape
            words += f" Maps of {result.unit}, {height}×{width}."
        elif result.window is not None:
            words += f" The window has {result.window} pixels a side."
        said.append(words)
    return said


def formula(lanes: Sequence[Lane[Attribution]], ask: Ask, show: Show) -> list[str]:
    lines = [FORMULAS[ask.method] + "; f is the logit of the explained class"]
    for lane in lanes:
        result = lane.result
        row, column = result.strongest()[0]
        lines.append(
            f"{lane.name}: the strongest is row {row}, column {column}: "
            f"{result.values[row, column]:.3g}"
        )
    return lines


def table(result: Attribution) -> Table:
    """The strongest places; the files have every one."""
    places = result.strongest()[:STRONGEST]
    return Table(result.columns, [(r, c, float(result.values[r, c])) for r, c in places])


def terminal(lane: Lane[Attribution], ask: Ask, show: Show) -> str:
    signed = lane.result.method != "saliency"
    meaning = "░▒▓█ speak for the class, -=≡# against it" if signed else "░▒▓█ say how strongly"
    legend = f"{meaning}, on the scale of each map; --html FILE has the picture.\n\n"
    return (legend if lane.index == 0 else "") + drawn(lane.result)


def drawn(result: Attribution) -> str:
    """The map in signs, two to a pixel; wide ones are averaged to at most 32 columns."""
    values = result.values
    width = values.shape[1]
    block = -(-width // WIDEST)
    if block > 1:
        height = values.shape[0] // block * block
        values = values[:height, : width // block * block]
        values = values.reshape(height // block, block, -1, block).mean((1, 3))
    most = float(np.abs(values).max()) or 1.0
    level = np.ceil(np.abs(values) / most * 4 - 0.5).clip(0, 4).astype(int)
    return "\n".join(
        "  "
        + "".join(("·░▒▓█" if v >= 0 else "·-=≡#")[k] * 2 for v, k in zip(row, steps, strict=True))
        for row, steps in zip(values, level, strict=True)
    )


PAGE = Page(
    result=Attribution,
    title="Pixels",
    group="features",
    order=50,
    question="Which pixels decided?",
    explains=(
        "Orange pixels speak for the class and blue ones against it, on the scale of each net "
        "(saliency has no sign: it says how strongly, not which way). "
        "Look whether the nets look at the same strokes, and what changes without a block."
    ),
    figure_of=says("methods.pixels"),
    caption=caption,
    formula=formula,
    mode="evaluation mode; one image",
    suggests=("digits_plain_56", "digits_resnet_v2_56"),
    table=table,
    terminal=terminal,
)
