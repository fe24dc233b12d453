"""Signal and gradient from the image to the last block."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from explorer.claims import says
from explorer.instruments.contract import Lane, Page
from explorer.instruments.propagation.ask import Ask, Show
from explorer.instruments.propagation.result import Propagation
from explorer.instruments.words import at_the_edges, count, so_far, times
from explorer.results.arrays import band

STEM = 1  # place among the positions


def caption(lanes: Sequence[Lane[Propagation]], ask: Ask, show: Show) -> list[str]:
    said = []
    variance = show.of == "variance"
    for lane in lanes:
        result = lane.result
        _, middle, _ = band(result.variance if variance else result.gradient)
        first, last = (middle[STEM], middle[-1]) if variance else (middle[0], middle[-1])
        if not (np.isfinite([first, last]).all() and first > 0 and last > 0):
            said.append(f"{lane.name}: some values are too large or too small to be told.")
            continue
        nets = f"median of {count(result.seeds, 'fresh net')}" if result.fresh else "its weights"
        conditions = f"({nets}, {result.n_images:,} training images{so_far(lane)})"
        if variance:
            said.append(
                f"{lane.name}: the variance is {first:.3g} after the stem and {last:.3g} after the "
                f"last block, {times(last / first)} {conditions}.{at_the_edges(lane, squared=True)}"
            )
        else:
            said.append(
                f"{lane.name}: the gradient is {first:.3g} at the image and {last:.3g} at the last "
                f"block's output, {times(first / last)} {conditions}.{at_the_edges(lane)}"
            )
    return said


def formula(lanes: Sequence[Lane[Propagation]], ask: Ask, show: Show) -> list[str]:
    variance = show.of == "variance"
    lines = [
        "Var(y) over images and entries of a block's output y; F drawn by He's rule adds as much "
        "as it is given: Var(x + F) ≈ 2 Var(x), where nothing normalises F and nothing is lost at "
        "the edges"
        if variance
        else "RMS(n·∂L/∂y) = √( mean over images i and entries of (∂ℓᵢ/∂yᵢ)² )"
    ]
    for lane in lanes:
        result = lane.result
        _, middle, _ = band(result.variance if variance else result.gradient)
        blocks = len(result.positions) - 2
        ends = [middle[STEM], middle[-1]]
        start, end = ends if variance else ends[::-1]  # the signal's way, or the gradient's
        ratio = end / start
        if blocks > 0 and np.isfinite(ratio) and ratio > 0:
            lines.append(
                f"{lane.name}: {end:.3g} / {start:.3g} over {blocks} blocks: "
                f"{ratio ** (1 / blocks):.3g} a block{'' if variance else ' towards the image'}"
            )
    return lines


PAGE = Page(
    result=Propagation,
    title="Signal and gradient",
    group="start",
    order=20,
    question="Do signal and gradient keep their size before any training?",
    explains=(
        "Each point is one block's output: the variance of the signal there, or the size of the "
        "loss gradient there, on a log scale, from the image on the left to the last block. Look "
        "for straight slopes, which are a constant factor at every block: with depth they end in "
        "nothing or in overflow."
    ),
    figure_of=says("he15.healthy", "vanishing.factor", "propagation.doubles", "propagation.zeros"),
    caption=caption,
    formula=formula,
    mode="as in a training step; nothing random but the weights",
    step=True,
    own_weights=lambda lane, ask, show: not lane.result.fresh,
    suggests=(
        "plain_56;padding=circular",
        "resnet_v2_56;padding=circular",
        "resnet_v2_56;batch_norm=false;padding=circular",
    ),
    see={"vanishing": "Why it vanishes: the causes apart"},
)
