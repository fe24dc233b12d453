"""The loss around the weights (Li18)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from explorer.claims import says
from explorer.instruments.contract import Lane, Page
from explorer.instruments.surface.ask import Ask, Show
from explorer.instruments.surface.result import LossSurface
from explorer.instruments.words import so_far
from explorer.writing.text_tables import table

SHOWN = 9  # points a side of the terminal's grid


def caption(lanes: Sequence[Lane[LossSurface]], ask: Ask, show: Show) -> list[str]:
    said = []
    for lane in lanes:
        surface = lane.result
        known = surface.loss[surface.done]
        if not len(known) or not np.isfinite(surface.centre):
            continue
        finite = known[np.isfinite(known)]
        over = int(np.sum(~np.isfinite(known) | (known > 10)))
        words = (
            f"{lane.name}: loss {surface.centre:.3g} at the weights themselves, "
            f"{float(finite.min()):.3g} at the least and {float(finite.max()):.3g} at the most of "
            f"{len(known):,} points{so_far(lane)} ({surface.n_images:,} training images)."
        )
        if over:
            words += f" {over:,} of them are above 10 nats."
        said.append(words)
    return said


def formula(lanes: Sequence[Lane[LossSurface]], ask: Ask, show: Show) -> list[str]:
    lines = [
        "L(θ + α·δ + β·η), δ and η random, each filter of them as long as θ's: "
        "δᵢ ← δᵢ · ‖θᵢ‖ / ‖δᵢ‖"
    ]
    for lane in lanes:
        surface = lane.result
        if np.isfinite(surface.centre):
            side = len(surface.alphas)
            lines.append(
                f"{lane.name}: L(θ) = {surface.centre:.4g}; α from {surface.alphas[0]:g} to "
                f"{surface.alphas[-1]:g} in {side} points, β in {len(surface.betas)}"
            )
    return lines


def terminal(lane: Lane[LossSurface], ask: Ask, show: Show) -> str:
    """The grid, as far as a terminal shows one, and the loss by distance."""
    surface = lane.result
    anew = ", batch norm at each point anew" if surface.by_the_batch and surface.statistics else ""
    columns, rows = _few(len(surface.alphas)), _few(len(surface.betas))
    header = ["β \\ α" if len(rows) > 1 else "α", *(f"{a:.2g}" for a in surface.alphas[columns])]
    body = [
        [
            f"{surface.betas[row]:.2g}" if len(rows) > 1 else "loss",
            *(_loss(surface.loss[row, column]) for column in columns),
        ]
        for row in reversed(rows)
    ]
    lines = [
        f"Mean cross-entropy{anew}; directions of seed {surface.seed}.\n",
        table(header, body, "r" * len(header)),
    ]
    if len(rows) > 1:
        lines.append(_rings(surface))
    return "\n".join(lines)


def _few(n: int) -> list[int]:
    """At most ``SHOWN`` positions, the ends and the middle among them."""
    return sorted({round(i) for i in np.linspace(0, n - 1, min(n, SHOWN))})


def _loss(value: float) -> str:
    if not np.isfinite(value):
        return "∞"
    return f"{value:.3g}" if value < 1000 else f"{value:.0e}".replace("e+0", "e").replace("e+", "e")


def _rings(surface: LossSurface) -> str:
    """The median loss at some distances from the weights."""
    distance = np.hypot(surface.betas[:, None], surface.alphas[None, :])
    reach = float(surface.alphas[-1])
    words = []
    for share in (0.25, 0.5, 1.0):
        ring = np.abs(distance - share * reach) <= reach / max(8, len(surface.alphas) - 1)
        if ring.any():
            words.append(f"{_loss(float(np.median(surface.loss[ring])))} at {share * reach:g}")
    return f"\nMedian loss by distance from the weights: {', '.join(words)}."


PAGE = Page(
    result=LossSurface,
    title="Loss surface",
    group="loss",
    question="Is the way down smooth?",
    explains=(
        "The loss on a plane through the weights, along two random directions whose filters are as "
        "long as the net's own; it is refined while you watch. Look how round the valley is around "
        "the middle, and how far from it the loss stays low."
    ),
    figure_of=says("li18.surface", "li18.errors"),
    caption=caption,
    formula=formula,
    terminal=terminal,
    mode="biases and what batch norm learned stay as they are",
    suggests=("digits_plain_56", "digits_resnet_v2_56"),
)
