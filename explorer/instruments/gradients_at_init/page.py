"""Gradients of fresh nets against depth (He15 §4.1)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from explorer.claims import says
from explorer.instruments.contract import Lane, Page
from explorer.instruments.gradients_at_init.ask import Ask, Show
from explorer.instruments.gradients_at_init.result import GradientsAtInit
from explorer.instruments.words import count, so_far, times
from explorer.writing.text_tables import scientific, table


def caption(lanes: Sequence[Lane[GradientsAtInit]], ask: Ask, show: Show) -> list[str]:
    said = []
    for lane in lanes:
        sweep = lane.result
        seeds = count(sweep.seeds, "seed")
        for (family, norm), (depth, middle, least, most) in sweep.curves(show.of).items():
            first, last = middle[0], middle[-1]
            if len(depth) < 2 or not np.isfinite([first, last]).all() or min(first, last) <= 0:
                continue
            said.append(
                f"{sweep.short(family)} {'with' if norm else 'without'} batch norm: at "
                f"{depth[-1]:.0f} layers "
                f"{times(last / first)} what it is at {depth[0]:.0f} (median of {seeds}"
                f"{_spread(least[-1] / first, most[-1] / first)}, "
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


def _spread(least: float, most: float) -> str:
    """Said where seeds differ by more than twice: then a median alone tells little."""
    if not 2 * least < most < np.inf or least <= 0:
        return ""
    return f", from {times(least)} to {times(most)}"


def formula(lanes: Sequence[Lane[GradientsAtInit]], ask: Ask, show: Show) -> list[str]:
    lines = [
        "RMS(∂L/∂W) = √( Σ (∂L/∂w)² / |W| ) over the first layer's weights"
        if show.of == "parameters"
        else "RMS(∂ℓ/∂y) of the first block's output ÷ that of the last block's: 1 keeps its size"
    ]
    for lane in lanes:
        for row in lane.result.records()[-1:]:
            norm = "with" if row["batch_norm"] else "without"
            shown = (
                f"{row['first_layer']:.3g}"
                if show.of == "parameters"
                else f"{row['first_unit']:.3g} ÷ {row['last_unit']:.3g} = {row['ratio']:.3g}"
            )
            lines.append(
                f"{row['family']}, {row['depth']} layers, {norm} batch norm, seed {row['seed']}: "
                f"{shown}"
            )
    return lines


def terminal(lane: Lane[GradientsAtInit], ask: Ask, show: Show) -> str:
    """Over the seeds, a line for each family, norm and depth."""
    rows = [
        [family, "yes" if norm else "no", f"{depth:.0f}", *map(scientific, values)]
        for (family, norm), curve in lane.result.curves(show.of).items()
        for depth, *values in zip(*curve, strict=True)
    ]
    what = (
        "Root mean square of ∂L/∂w of the first layer"
        if show.of == "parameters"
        else "Root mean square of ∂ℓ/∂y, first unit ÷ last unit"
    )
    seeds = count(lane.result.seeds, "seed")
    header = ["net", "batch norm", "depth", "median", "least", "greatest"]
    return f"{what}; median, least and greatest of {seeds}.\n{table(header, rows, '  rrrr')}"


PAGE = Page(
    result=GradientsAtInit,
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
    caption=caption,
    formula=formula,
    mode="untrained nets, as in a training step",
    step=True,
    terminal=terminal,
    see={"vanishing": "Why it vanishes: the causes apart"},
)
