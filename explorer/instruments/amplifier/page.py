"""The worked example: the same change for a plain map and for F, as numbers to play with."""

from __future__ import annotations

from collections.abc import Sequence

from explorer.claims import says
from explorer.instruments.amplifier.ask import Ask, Show
from explorer.instruments.amplifier.result import WorkedExample
from explorer.instruments.contract import Lane, Page


def caption(lanes: Sequence[Lane[WorkedExample]], ask: Ask, show: Show) -> list[str]:
    return [
        f"Going from {lane.result.before:g} to {lane.result.after:g} changes the plain map's "
        f"output by {lane.result.plain_change * 100:.3g} % of itself, and F's by "
        f"{lane.result.residual_change * 100:.3g} %: {lane.result.amplification:.3g} times as much."
        for lane in lanes
    ]


def formula(lanes: Sequence[Lane[WorkedExample]], ask: Ask, show: Show) -> list[str]:
    lines = [
        "plain map: (after − before) / before; F = output − x: (after − before) / (before − x)"
    ]
    for lane in lanes:
        example = lane.result
        change = f"({example.after:g} − {example.before:g})"
        lines.append(
            f"plain: {change} / {example.before:g} = {example.plain_change * 100:.3g} %; "
            f"F: {change} / ({example.before:g} − {example.x:g}) = "
            f"{example.residual_change * 100:.3g} %"
        )
    return lines


PAGE = Page(
    result=WorkedExample,
    title="Worked example",
    group="start",
    order=60,
    question="How loud is a small change for a residual, and for a plain map?",
    explains=(
        "A block maps x to one number and is then asked for another, close by. Look by which share "
        "of itself a plain map's output changes, and by which share F, which only gives the "
        "difference from x: the closer the first answer is to x, the louder the change is for F. "
        + says("amplifier.same_gradient")
    ),
    figure_of=says("he15.perturbations", "amplifier.not_he15", "amplifier.example"),
    caption=caption,
    formula=formula,
    mode="arithmetic",
)
