"""How much louder a change is for F than for the whole block."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from explorer.blueprint import Blueprint
from explorer.charts import Theme, sensitivity_figure
from explorer.claims import says
from explorer.results import Sensitivity
from explorer.ui.instruments.blocks import how
from explorer.ui.instruments.contract import Asking, Instrument, Lane, Result, Row, one_net
from explorer.ui.instruments.options import Choice, Number, Options
from explorer.ui.instruments.words import block

LOUD = 10.0


def _measured(lane: Lane) -> Sensitivity:
    return Sensitivity.from_json(lane.result)


def payload(asking: Asking) -> dict[str, Any]:
    return {**one_net(asking), "nudge": asking.options["nudge"] / 100}


def figure(lanes: Sequence[Lane], options: Options, theme: Theme) -> go.Figure:
    made = sensitivity_figure(
        [
            (lane.index, lane.name, lane.unit_names or measured.units, measured)
            for lane in lanes
            if (measured := _measured(lane))
        ],
        of=options["of"],
        theme=theme,
    )
    made.update_layout(height=380, showlegend=True)
    return made


def caption(lanes: Sequence[Lane], options: Options) -> list[str]:
    said = []
    for lane in lanes:
        measured = _measured(lane)
        n = f"{measured.n_images:,} test images{how(measured)}"
        if options["of"] == "target":
            times = measured.amplification[:, 0]
            known = np.isfinite(times)
            if not known.any():
                continue
            most = int(np.nanargmax(times))
            said.append(
                f"{lane.name}: in {int(np.sum(times[known] > LOUD))} of {int(known.sum())} blocks "
                f"the whole output is more than {LOUD:g} times as large as F (medians over {n}); "
                f"most in {block(lane, measured.units[most])}, {times[most]:.3g} times."
            )
        else:
            inner = float(np.nanmedian(measured.residual_change[:, 0])) * 100
            outer = float(np.nanmedian(measured.output_change[:, 0])) * 100
            if np.isfinite([inner, outer]).all():
                said.append(
                    f"{lane.name}: inputs moved by {measured.nudge * 100:g} % move F by "
                    f"{inner:.3g} % and the block's whole output by {outer:.3g} % (medians over "
                    f"blocks and {n})."
                )
    return said


def formula(lanes: Sequence[Lane], options: Options) -> list[str]:
    lines = [
        "H(x) = x + F(x): where the wanted H moves by the share ε of itself, F must move by "
        "ε·‖H‖ / ‖F‖ of itself",
        "5 → 5.1, then 5 → 5.2: a plain map changes by 0.1 / 5.1 = 2 %, F by 0.1 / 0.1 = 100 %",
    ]
    for lane in lanes:
        measured = _measured(lane)
        lines.append(
            f"{lane.name}, {measured.units[0]}: ‖H‖ / ‖F‖ = {measured.amplification[0, 0]:.3g}: "
            f"1 % of H is {measured.amplification[0, 0]:.3g} % of F"
        )
    return lines


def table(result: Result) -> list[Row]:
    measured = Sensitivity.from_json(result)
    return [
        {
            "block": unit,
            "‖H‖ / ‖F‖": _digits(measured.amplification[i, 0]),
            "F moves, %": _digits(100 * measured.residual_change[i, 0]),
            "H moves, %": _digits(100 * measured.output_change[i, 0]),
        }
        for i, unit in enumerate(measured.units)
    ]


def _digits(value: float) -> float | None:
    return float(f"{value:.3g}") if np.isfinite(value) else None


def not_for(plan: Blueprint) -> str | None:
    if any(unit.kind in ("residual", "highway") for unit in plan.units):
        return None
    return (
        f"The blocks of a {plan.spec.family} net add nothing to a shortcut, so there is no F to "
        "compare with the whole: look at its responses, or choose a residual or highway net, such "
        "as digits_resnet_v2_56."
    )


INSTRUMENT = Instrument(
    key="sensitivity",
    title="Sensitivity of F",
    group="responses",
    order=70,
    question="How loud is a small change of the target for the residual branch?",
    explains=(
        "A block that changes its input a little has a small F, so a small change of what it "
        "should give is a large change of F. Each point is how many times larger the whole output "
        "of a block is than its F, with the middle 80 % of the images; look where F is smallest. "
        + says("amplifier.same_gradient")
    ),
    figure_of=says("he15.perturbations", "amplifier.not_he15"),
    job="sensitivity",
    figure=figure,
    caption=caption,
    formula=formula,
    table=table,
    mode="evaluation mode",
    options=(
        Choice("of", "What moves", {"target": "the wanted output", "input": "the input"}),
        Number(
            "nudge",
            "By how much, %",
            2.0,
            0.01,
            100.0,
            1.0,
            when=lambda options: options["of"] == "input",
        ),
    ),
    payload=payload,
    not_for=not_for,
    suggests=("digits_resnet_v2_56", "digits_fc_highway_50"),
)
