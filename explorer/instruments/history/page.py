"""What a training recorded of each layer: layer × step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from explorer.claims import says
from explorer.instruments.contract import Column, Lane, Page, Table
from explorer.instruments.history.ask import QUANTITIES, Ask, Show
from explorer.instruments.history.result import WORDS, LayerHistory
from explorer.instruments.words import ends, times
from explorer.writing.text_tables import scientific, table

FORMULAS = {
    "parameter_rms": "RMS(∂L/∂W) = √( Σ (∂L/∂w)² / |W| ) of each layer, on the step's own batch",
    "output_rms": "RMS(∂ℓ/∂y) = √( mean over images and entries of (∂ℓᵢ/∂yᵢ)² ), on that batch",
    "response_sd": "standard deviation of each layer's response on fixed training images",
    "gate_mean": "mean of T(x) over the step's own batch and all entries",
}


def caption(lanes: Sequence[Lane[LayerHistory]], ask: Ask, show: Show) -> list[str]:
    said = []
    for lane in lanes:
        history = lane.result
        if show.drawn == "ends":
            said += _ends_said(lane, history)
            continue
        words = (
            f"{lane.name}: {WORDS[history.quantity]} at {len(history.steps)} moments, step "
            f"{history.steps[0]} to {history.steps[-1]}."
        )
        for i in sorted({0, len(history.steps) - 1}):
            both = ends(history.values[:, i].tolist())
            if both and np.isfinite(both).all() and min(both) > 0:
                words += (
                    f" At step {history.steps[i]} the first three are "
                    f"{times(both[0] / both[1])} the last three (medians)."
                )
        said.append(words)
    return said


def _ends_said(lane: Lane[LayerHistory], history: LayerHistory) -> list[str]:
    """First ÷ last at the start, at its greatest, and over the second half of what is there."""
    first, last = history.ends()
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = first / last
    known = np.isfinite(ratio) & (ratio > 0)
    if not known.any():
        return []
    steps, ratio = history.steps[known], ratio[known]
    late = ratio[steps >= (steps[0] + steps[-1]) / 2]
    greatest = int(np.argmax(ratio))
    return [
        f"{lane.name}: {WORDS[history.quantity]}, median of the first three ÷ of the last three: "
        f"{ratio[0]:.3g} at step {steps[0]}, at most {ratio[greatest]:.3g} (step "
        f"{steps[greatest]}), {np.median(late):.3g} in the second half (median of "
        f"{len(late)} recorded steps, from {late.min():.2g} to {late.max():.2g}; one training)."
    ]


def formula(lanes: Sequence[Lane[LayerHistory]], ask: Ask, show: Show) -> list[str]:
    lines = [FORMULAS[QUANTITIES[ask.of]]]
    for lane in lanes:
        history = lane.result
        first, last = history.values[0, 0], history.values[0, -1]
        lines.append(
            f"{lane.name}, {history.layers[0]}: {first:.3g} at step {history.steps[0]}, "
            f"{last:.3g} at step {history.steps[-1]}"
        )
    return lines


def moments(history: LayerHistory) -> Table:
    """About eight moments of the training, side by side."""
    n = len(history.steps)
    shown = sorted({round(i * (n - 1) / 7) for i in range(8)})
    return Table(
        (Column("layer"), *(Column(f"step {history.steps[i]}", digits=3) for i in shown)),
        [
            (name, *(float(values[i]) for i in shown))
            for name, values in zip(history.layers, history.values, strict=True)
        ],
    )


def terminal(lane: Lane[LayerHistory], ask: Ask, show: Show) -> str | None:
    """As curves are: about sixteen moments of the training, one below the other."""
    if show.drawn == "map":
        return None
    history = lane.result
    first, last = history.ends()
    n = len(history.steps)
    moments = sorted({round(i * (n - 1) / 15) for i in range(16)})
    rows = [
        [
            str(history.steps[i]),
            scientific(first[i]),
            scientific(last[i]),
            f"{first[i] / last[i]:.3g}" if last[i] > 0 else "",
        ]
        for i in moments
    ]
    what = f"{WORDS[history.quantity]} at {len(moments)} of {n} recorded steps"
    header = ["step", "first three", "last three", "first ÷ last"]
    return f"{what}; medians of three layers\n{table(header, rows, 'rrrr')}"


PAGE = Page(
    result=LayerHistory,
    title="While it trained",
    group="gradients",
    order=18,
    question="What happened in every layer while the net trained?",
    explains=(
        "Each row is a layer or block, from the input below to the answer above; each column a "
        "recorded step, coloured on a log scale for gradients. Look for rows that stay dark or "
        "pale all along: layers whose values stay far above or far below those of the others. As "
        "curves: the first three layers beside the last three."
    ),
    figure_of=says("he15.healthy", "vanishing.in_training"),
    caption=caption,
    formula=formula,
    mode="as recorded in training",
    table=moments,
    terminal=terminal,
)
