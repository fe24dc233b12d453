"""Size and direction of each block's F, and what the last ReLU cuts (Jastrzebski18; He16)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from explorer.blueprint import Blueprint
from explorer.charts import Theme, branch_figure
from explorer.claims import says
from explorer.results import BranchResponses
from explorer.ui.instruments.blocks import how, rounded, units_of
from explorer.ui.instruments.contract import Instrument, Lane, Result, Row
from explorer.ui.instruments.options import Choice, Options
from explorer.ui.instruments.words import ends, percent

FORMULAS = {
    "ratio": "mean over images of ‖F(h)‖ / ‖h‖, h a block's input, F what is added to it",
    "cosine": "mean over images of F(h)·g / (‖F(h)‖ ‖g‖), g = ∂ℓ/∂h, ℓ the image's own loss",
    "cut": "share of entries of h + F(h) below 0, which the ReLU after the addition sets to 0",
}


def _measured(lane: Lane) -> BranchResponses:
    return BranchResponses.from_json(lane.result)


def figure(lanes: Sequence[Lane], options: Options, theme: Theme) -> go.Figure:
    drawn = [(lane, _measured(lane)) for lane in lanes]
    return branch_figure(
        [(lane.index, lane.name, units_of(lane, found.units), found) for lane, found in drawn],
        of=options["of"],
        theme=theme,
    )


def caption(lanes: Sequence[Lane], options: Options) -> list[str]:
    said = []
    for lane in lanes:
        found = _measured(lane)
        on = f"({found.n_images:,} test images{how(found)})"
        values = getattr(found, options["of"])
        known = values[np.isfinite(values)]
        if not len(known) and options["of"] != "cut":
            continue
        if options["of"] == "cut":
            said.append(
                f"{lane.name}: the last ReLU cuts {percent(known.min())} to {percent(known.max())} "
                f"of the entries {on}."
                if len(known)
                else f"{lane.name}: no ReLU follows the addition, so nothing is cut {on}."
            )
        elif options["of"] == "cosine":
            below = int(np.sum(known < 0))
            said.append(
                f"{lane.name}: the mean cosine is below 0 in {below} of {len(known)} blocks that "
                f"keep the shape {on}."
            )
        elif both := ends(known.tolist()):
            said.append(
                f"{lane.name}: ‖F‖/‖h‖ is {both[0]:.3g} in the first three blocks and "
                f"{both[1]:.3g} in the last three (medians) {on}."
            )
        else:
            said.append(
                f"{lane.name}: ‖F‖/‖h‖ lies between {known.min():.3g} and {known.max():.3g} {on}."
            )
    return said


def formula(lanes: Sequence[Lane], options: Options) -> list[str]:
    lines = [FORMULAS[options["of"]]]
    for lane in lanes:
        found = _measured(lane)
        value = getattr(found, options["of"])[-1]
        shown = "not defined here" if np.isnan(value) else f"{value:.3g}"
        lines.append(f"{lane.name}, {found.units[-1]}: {shown}")
    return lines


def table(result: Result) -> list[Row]:
    found = BranchResponses.from_json(result)
    return [
        {
            "block": unit,
            "‖F‖/‖h‖": rounded(found.ratio[i]),
            "± sd": rounded(found.ratio_sd[i], 2),
            "cos(F, ∂ℓ/∂h)": rounded(found.cosine[i], 3),
            "its sd": rounded(found.cosine_sd[i], 2),
            "cut, %": rounded(100 * found.cut[i], 3),
        }
        for i, unit in enumerate(found.units)
    ]


def not_for(plan: Blueprint) -> str | None:
    if any(unit.kind in ("residual", "highway") for unit in plan.units):
        return None
    return (
        f"In a {plan.spec.family} net nothing is added to what passes by: look at its layers' "
        "responses, or choose a residual or highway net, such as digits_resnet_v2_56."
    )


INSTRUMENT = Instrument(
    key="branches",
    title="Branches",
    group="responses",
    order=22,
    question="How much does each block change, and which way?",
    explains=(
        "F is what a block adds to its input h (in a highway block: its output less its input). "
        "Look whether late blocks add less, and whether F points against the loss gradient: below "
        "0 it steps down the loss."
    ),
    figure_of=says("jastrzebski18.negative", "he16.relu_cuts"),
    job="branches",
    figure=figure,
    caption=caption,
    formula=formula,
    table=table,
    mode="evaluation mode",
    not_for=not_for,
    options=(
        Choice(
            "of",
            "Show",
            {
                "ratio": "size, ‖F‖/‖h‖",
                "cosine": "direction, cos(F, ∂ℓ/∂h)",
                "cut": "cut by the last ReLU",
            },
        ),
    ),
)
