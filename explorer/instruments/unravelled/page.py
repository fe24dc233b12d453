"""The unravelled view, whose paths can be switched off (Veit16 Fig 1)."""

from __future__ import annotations

from collections.abc import Sequence

from explorer.claims import says
from explorer.instruments.contract import Lane, Page
from explorer.instruments.unravelled.ask import Ask, Show
from explorer.instruments.unravelled.result import PathEffect, UnravelledView
from explorer.instruments.words import count, how, percent, so_far
from explorer.writing.text_tables import table


def caption(lanes: Sequence[Lane[UnravelledView]], ask: Ask, show: Show) -> list[str]:
    said = []
    for lane in lanes:
        view = lane.result
        words = (
            f"{lane.name}: {percent(view.intact_accuracy)} right intact "
            f"({view.n_images:,} test images{how(view)}{so_far(lane)})."
        )
        if view.off:
            low, high = view.interval(view.without)
            words += (
                f" Without {count(len(view.off), 'path')} ({', '.join(view.off)}): "
                f"{percent(view.without.accuracy)} right (95 % interval {percent(low)} to "
                f"{percent(high)}), and {percent(view.without.changed)} of the answers change."
            )
        worst = max(view.single, key=lambda effect: effect.shift)
        if worst.shift > 0:
            words += (
                f" Alone, path {worst.path} moves the logits most when it is off, by "
                f"{percent(worst.shift)}: {percent(worst.accuracy)} right without it."
            )
        said.append(words)
    return said


def formula(lanes: Sequence[Lane[UnravelledView]], ask: Ask, show: Show) -> list[str]:
    lines = [
        "y₃ = y₂ + f₃(y₂), y₂ = y₁ + f₂(y₁), y₁ = y₀ + f₁(y₀): written out, f₁ stands there four "
        "times, f₂ twice, f₃ once",
        "a path off: y₀ is left out where that path begins; a copy of a block without any input is "
        "left out too",
    ]
    for lane in lanes:
        view = lane.result
        names = ", ".join(f"f{i + 1} = {name}" for i, name in enumerate(view.units))
        lines.append(f"{lane.name}: {names}")
    return lines


def terminal(lane: Lane[UnravelledView], ask: Ask, show: Show) -> str:
    """The intact net, without all that is off, and without each path alone."""
    view = lane.result
    lines = ["A path has a digit for each of these units, 1 where it goes through the branch:"]
    lines += [f"  digit {i + 1}: {name}" for i, name in enumerate(view.units)]
    rows = [["(none)", "", percent(view.intact_accuracy), "", "", ""]]
    if view.off:
        rows.append(_cells(view, ", ".join(view.off), view.without))
    rows += [_cells(view, effect.path, effect) for effect in view.single]
    header = ["off", "length", "accuracy", "95 % interval", "answers changed", "logits moved"]
    return "\n".join([*lines, "", table(header, rows, " rrrrr")])


def _cells(view: UnravelledView, off: str, effect: PathEffect) -> list[str]:
    accuracy, low, high, changed, shift = view.row(effect)
    return [
        off,
        str(effect.length) if effect.path else "",
        percent(accuracy),
        f"{100 * low:.1f} – {100 * high:.1f}",
        percent(changed),
        percent(shift),
    ]


PAGE = Page(
    result=UnravelledView,
    title="Paths, unravelled",
    group="paths",
    order=30,
    question="What does the answer lose when single paths are switched off?",
    explains=(
        "A few blocks are written out to all their paths, a row each: digit by digit a path goes "
        "through a block (1) or round it (0), and each block stands there once for every way on to "
        "the output. Beside each row is the accuracy without that path alone; switch paths off and "
        "look which of them matter."
    ),
    figure_of=says("veit16.unravelled", "paths.deleted"),
    caption=caption,
    formula=formula,
    terminal=terminal,
    mode="evaluation mode; every copy computed on what reaches it",
    suggests=("digits_resnet_v2_56", "resnet_v2_8"),
)
