"""The unravelled view, whose paths can be switched off (Veit16 Fig 1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from explorer.blueprint import Blueprint
from explorer.charts import Theme, unravelled_figure
from explorer.claims import says
from explorer.path_counts import parts_ways
from explorer.results import UnravelledView
from explorer.ui.instruments.contract import Asking, Instrument, Lane, Result, Row, one_net
from explorer.ui.instruments.options import Choice, Options, Present, Several
from explorer.ui.instruments.words import count, percent, so_far
from explorer.unravelled import MOST, all_paths, tree

WHICH = {
    "stages": "the first of each stage",
    "start": "the first blocks",
    "end": "the last blocks",
}


def chosen_units(plan: Blueprint, which: str) -> list[str]:
    """All blocks with two ways, if they are few; else as many as there are stages, at most four."""
    parting = [unit for unit in plan.units if parts_ways(unit)]
    if len(parting) <= MOST:
        return [unit.name for unit in parting]
    of_stage = {unit.stage: unit.name for unit in reversed(parting)}
    n = min(MOST, max(len(of_stage), 2))
    if which == "end":
        return [unit.name for unit in parting[-n:]]
    if which == "start" or len(of_stage) < 2:
        return [unit.name for unit in parting[:n]]
    return [of_stage[stage] for stage in sorted(of_stage)][:n]


class Paths(Several):
    """Paths of the first net, by their digits, from the top of its tree."""

    def choices(self, present: Present) -> Mapping[str, str]:
        if not present.plans or not_for(present.plans[0]):
            return {}
        n = len(chosen_units(present.plans[0], "stages"))
        rows = tree(n)
        return {path: path for path in sorted(all_paths(n), key=lambda path: rows[path].row)}


def _view(lane: Lane) -> UnravelledView:
    return UnravelledView.from_json(lane.result)


def payload(asking: Asking) -> dict[str, Any]:
    units = None if asking.plan is None else chosen_units(asking.plan, asking.options["which"])
    return {**one_net(asking), "units": units, "off": list(asking.options["off"])}


def figure(lanes: Sequence[Lane], options: Options, theme: Theme) -> go.Figure:
    return unravelled_figure([(lane.index, lane.name, _view(lane)) for lane in lanes], theme=theme)


def caption(lanes: Sequence[Lane], options: Options) -> list[str]:
    said = []
    for lane in lanes:
        view = _view(lane)
        words = (
            f"{lane.name}: {percent(view.intact_accuracy)} right intact "
            f"({view.n_images:,} test images{so_far(lane)})."
        )
        if view.off:
            low, high = view.interval(view.together)
            words += (
                f" Without {count(len(view.off), 'path')} ({', '.join(view.off)}): "
                f"{percent(view.together.accuracy)} right (95 % interval {percent(low)} to "
                f"{percent(high)}), and {percent(view.together.changed)} of the answers change."
            )
        worst = max(view.single, key=lambda effect: effect.shift)
        if worst.shift > 0:
            words += (
                f" Alone, path {worst.path} moves the logits most when it is off, by "
                f"{percent(worst.shift)}: {percent(worst.accuracy)} right without it."
            )
        said.append(words)
    return said


def formula(lanes: Sequence[Lane], options: Options) -> list[str]:
    lines = [
        "y₃ = y₂ + f₃(y₂), y₂ = y₁ + f₂(y₁), y₁ = y₀ + f₁(y₀): written out, f₁ stands there four "
        "times, f₂ twice, f₃ once",
        "a path off: y₀ is left out where that path begins; a copy of a block without any input is "
        "left out too",
    ]
    for lane in lanes:
        view = _view(lane)
        names = ", ".join(f"f{i + 1} = {name}" for i, name in enumerate(view.units))
        lines.append(f"{lane.name}: {names}")
    return lines


def table(result: Result) -> list[Row]:
    view = UnravelledView.from_json(result)
    rows: list[Row] = []
    for effect in view.single:
        low, high = view.interval(effect)
        rows.append(
            {
                "path off": effect.path,
                "length": effect.length,
                "right, %": round(100 * effect.accuracy, 2),
                "95 % from": round(100 * low, 2),
                "to": round(100 * high, 2),
                "answers changed, %": round(100 * effect.changed, 2),
                "logits moved, %": round(100 * effect.shift, 2),
            }
        )
    return rows


def not_for(plan: Blueprint) -> str | None:
    if any(map(parts_ways, plan.units)):
        return None
    return (
        f"A {plan.spec.family} net has a single path, so there is nothing to unravel: look at its "
        "gradients, or choose a residual, highway or dense net, such as digits_resnet_v2_56."
    )


INSTRUMENT = Instrument(
    key="unravelled",
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
    job="unravelled",
    figure=figure,
    caption=caption,
    formula=formula,
    table=table,
    mode="evaluation mode; every copy computed on what reaches it",
    options=(
        Choice("which", "Blocks", WHICH, help="Nets of up to four blocks are shown whole."),
        Paths("off", "Switched off"),
    ),
    payload=payload,
    not_for=not_for,
    suggests=("digits_resnet_v2_56", "resnet_v2_8"),
)
