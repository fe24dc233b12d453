"""Gates by unit: mean and spread (SGS15 Fig 2), of highway nets and of gated shortcuts."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from explorer.claims import says
from explorer.instruments.contract import Column, Lane, Page, Table
from explorer.instruments.gate_words import SYMBOLS
from explorer.instruments.gates.ask import Ask, Show
from explorer.instruments.gates.result import GateMeans
from explorer.instruments.words import block, how

NEARLY_SHUT = 0.1


def caption(lanes: Sequence[Lane[GateMeans]], ask: Ask, show: Show) -> list[str]:
    say = _said_of_mean if show.view == "mean" else _said_of_spread
    return [said for lane in lanes if (said := say(lane))]


def _said_of_mean(lane: Lane[GateMeans]) -> str:
    gates = lane.result
    shut = int(np.sum(gates.mean < NEARLY_SHUT))
    widest = int(np.argmax(gates.mean))
    return (
        f"{lane.name}: the mean gate is below {NEARLY_SHUT:g} in {shut} of {len(gates.units)} "
        f"blocks ({gates.n_images:,} test images{how(gates)}). The most open is "
        f"{block(lane, gates.units[widest])} with {SYMBOLS[gates.gate]} = {gates.mean[widest]:.2f}."
    )


def _said_of_spread(lane: Lane[GateMeans]) -> str:
    gates = lane.result
    if gates.quantiles is None:
        return ""
    low, middle, high = (gates.quantiles[:, k] for k in (0, gates.quantiles.shape[1] // 2, -1))
    widest = int(np.argmax(high - low))
    return (
        f"{lane.name}: medians from {middle.min():.3f} to {middle.max():.3f} "
        f"({gates.n_images:,} test images{how(gates)}). The widest spread is in "
        f"{block(lane, gates.units[widest])}: 90 % of its gates lie between {low[widest]:.3f} and "
        f"{high[widest]:.3f}."
    )


def formula(lanes: Sequence[Lane[GateMeans]], ask: Ask, show: Show) -> list[str]:
    kinds = {lane.result.gate for lane in lanes} or {"transform"}
    lines = []
    if "transform" in kinds:
        lines += [
            "y = H(x)·T(x) + x·(1 − T(x)), T(x) = σ(W_T·x + b_T), σ(b) = 1 / (1 + e⁻ᵇ)",
            "T near 0: the block passes x on; T near 1: it replaces x by H(x)",
        ]
    if "shortcut" in kinds:
        lines.append("Gated shortcut: y = (1 − g(x))·x + F(x), or with g(x)·F(x) where exclusive")
    for lane in lanes:
        gates = lane.result
        if show.view == "distribution" and gates.levels is not None and gates.quantiles is not None:
            told = ", ".join(
                f"{100 * level:g} % below {value:.3f}"
                for level, value in zip(gates.levels, gates.quantiles[0], strict=True)
            )
            lines.append(f"{lane.name}, {gates.units[0]}: {told}")
        elif show.view == "mean":
            first = float(gates.bias[0])
            lines.append(
                f"{lane.name}, {gates.units[0]}: mean bias {first:.2f}, so σ(b) = "
                f"{1 / (1 + math.exp(-first)):.3f} if W·x were 0; measured mean "
                f"{SYMBOLS[gates.gate]} = {gates.mean[0]:.3f}"
            )
    return lines


def table(gates: GateMeans) -> Table:
    """The columns, and the quantiles where they are known."""
    more = gates.more_columns()
    levels = () if gates.levels is None else gates.levels
    heads = [
        Column(key, f"{100 * level:g} %", digits=3) for key, level in zip(more, levels, strict=True)
    ]
    rows = zip(gates.rows(), *(column.tolist() for column in more.values()), strict=True)
    return Table((*gates.columns, *heads), [(*row, *others) for row, *others in rows])


PAGE = Page(
    result=GateMeans,
    title="Gates",
    group="gates",
    order=30,
    question="How much of its input does each gated block replace?",
    explains=(
        "Each point is the mean gate of one block, and the band one standard deviation over images "
        "and entries (or holds half and 90 % of the gates). In a highway net the input passes on "
        "untouched where T is near 0 and is replaced where it is near 1, so that a block whose "
        "gates are all shut does nothing; a gated shortcut passes on the share 1 − g. Look where "
        "the open gates are."
    ),
    figure_of=says("sgs15.biases"),
    caption=caption,
    formula=formula,
    mode="evaluation mode",
    suggests=("digits_fc_highway_50",),
    table=table,
)
