"""Accuracy with gates held at a value instead of looking at their input (SGS15; He16 §3.1)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from explorer.claims import says
from explorer.instruments import lesion_words
from explorer.instruments.contract import Column, Lane, Page, Table
from explorer.instruments.gate_lesions.ask import Ask, Show
from explorer.instruments.gate_lesions.result import GateLesions
from explorer.instruments.gate_words import SYMBOLS
from explorer.instruments.words import percent


def caption(lanes: Sequence[Lane[GateLesions]], ask: Ask, show: Show) -> list[str]:
    said = []
    for lane in lanes:
        gates = lane.result
        sign = SYMBOLS[gates.gate]
        each = [
            f"at {sign} = {_value(value)}: {percent(float(np.median(shares[:-1])))} with one (the "
            f"median), {percent(float(shares[-1]))} with all"
            for value, shares in zip(gates.values, gates.accuracy, strict=True)
        ]
        said.append(
            f"{lesion_words.intact(lane)}. Gates held {'; '.join(each)}."
            + lesion_words.guessing(lane)
        )
    return said


def _value(value: float | str) -> str:
    return "its mean" if isinstance(value, str) else f"{value:g}"


def formula(lanes: Sequence[Lane[GateLesions]], ask: Ask, show: Show) -> list[str]:
    lines = []
    kinds = {lane.result.gate for lane in lanes} or {"transform"}
    if "transform" in kinds:
        lines.append("y = H(x)·T + x·(1 − T), with T held; T = 0 deletes the block")
    if "shortcut" in kinds:
        lines.append("the shortcut passes on (1 − g)·x, with g held (He et al. 2016, 3.1)")
    lines.append("its mean: each entry of the gate, averaged over training images")
    lines.append(lesion_words.INTERVAL)
    for lane in lanes:
        gates = lane.result
        held = f"all {SYMBOLS[gates.gate]} = {_value(gates.values[0])}"
        lines.append(lesion_words.present(lane, held, float(gates.accuracy[0, -1])))
    return lines


def table(gates: GateLesions) -> Table:
    """Block by block, the values side by side."""
    columns, cells = [Column("block")], []
    for value, shares, bounds in zip(
        gates.values, gates.accuracy, gates.intervals() * 100, strict=True
    ):
        held = f"{SYMBOLS[gates.gate]} = {_value(value)}"
        columns += [Column(held, unit="%", digits=2), Column(f"interval, {held}")]
        cells += [shares.tolist(), [f"{low:.1f} – {high:.1f}" for low, high in bounds]]
    return Table(tuple(columns), list(zip([*gates.units, "all"], *cells, strict=True)))


PAGE = Page(
    result=GateLesions,
    title="Hold gates",
    group="gates",
    order=36,
    question="Does it matter that gates look at the image?",
    explains=(
        "The gate of one block is held at a value instead of being computed from the block's "
        "input; at the right all gates at once. Look whether gates at their mean, which no longer "
        "depend on the image, do as well as free ones, one by one and all together."
    ),
    figure_of=says("sgs15.delete_one"),
    caption=caption,
    formula=formula,
    mode=lesion_words.mode,
    chosen=lesion_words.one_class,
    table=table,
    suggests=("digits_fc_highway_50",),
)
