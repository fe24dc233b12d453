"""Signal and gradient from the image to the last block."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from explorer.charts import Theme, propagation_figure
from explorer.claims import says
from explorer.results import Propagation
from explorer.results.arrays import band
from explorer.ui.instruments.blocks import at_the_edges
from explorer.ui.instruments.contract import Asking, Instrument, Lane, Result, Row, one_net
from explorer.ui.instruments.options import Choice, Options
from explorer.ui.instruments.words import count, so_far, times

STEM = 1  # place among the positions


def _measured(lane: Lane) -> Propagation:
    return Propagation.from_json(lane.result)


def figure(lanes: Sequence[Lane], options: Options, theme: Theme) -> go.Figure:
    made = propagation_figure(
        [(lane.index, lane.name, _measured(lane)) for lane in lanes],
        of=options["of"],
        theme=theme,
    )
    made.update_layout(height=380)
    return made


def caption(lanes: Sequence[Lane], options: Options) -> list[str]:
    said = []
    variance = options["of"] == "variance"
    for lane in lanes:
        result = _measured(lane)
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


def formula(lanes: Sequence[Lane], options: Options) -> list[str]:
    variance = options["of"] == "variance"
    lines = [
        "Var(y) over images and entries of a block's output y; F drawn by He's rule adds as much "
        "as it is given: Var(x + F) ≈ 2 Var(x), where nothing normalises F and nothing is lost at "
        "the edges"
        if variance
        else "RMS(n·∂L/∂y) = √( mean over images i and entries of (∂ℓᵢ/∂yᵢ)² )"
    ]
    for lane in lanes:
        result = _measured(lane)
        _, middle, _ = band(result.variance if variance else result.gradient)
        blocks = len(result.positions) - 2
        ratio = middle[-1] / middle[STEM]
        if blocks > 0 and np.isfinite(ratio) and ratio > 0:
            lines.append(
                f"{lane.name}: {middle[-1]:.3g} / {middle[STEM]:.3g} over {blocks} blocks: "
                f"{ratio ** (1 / blocks):.3g} a block"
            )
    return lines


def table(result: Result) -> list[Row]:
    given = Propagation.from_json(result)
    _, variance, _ = band(given.variance)
    _, gradient, _ = band(given.gradient)
    return [
        {"after": place, "variance": _digits(v), "RMS of the gradient": _digits(g)}
        for place, v, g in zip(given.positions, variance, gradient, strict=True)
    ]


def _digits(value: float) -> float | None:
    return float(f"{value:.4g}") if np.isfinite(value) else None


def _payload(asking: Asking) -> dict[str, Any]:
    # Another library's initial weights are its own: such a net is measured as it is.
    fresh = asking.options["weights"] == "fresh" and asking.source.get("source") != "external"
    return {**one_net(asking), "seeds": 5 if fresh else None}


INSTRUMENT = Instrument(
    key="propagation",
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
    job="propagation",
    figure=figure,
    caption=caption,
    formula=formula,
    table=table,
    mode="as in a training step; nothing random but the weights",
    step=True,
    own_weights=lambda lane, options: not _measured(lane).fresh,
    options=(
        Choice("of", "Of", {"variance": "signal (variance)", "gradient": "gradient"}),
        Choice(
            "weights",
            "Weights",
            {"fresh": "five fresh nets", "own": "the net's own"},
            help="Fresh nets have the same structure and other initial weights; the band reaches "
            "from the least to the greatest. Another library's net keeps its own.",
        ),
    ),
    payload=_payload,
    suggests=(
        "plain_56;padding=circular",
        "resnet_v2_56;padding=circular",
        "resnet_v2_56;batch_norm=false;padding=circular",
    ),
    see={"vanishing": "Why it vanishes: the causes apart"},
)
