"""How much louder a change is for F than for the whole block."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from explorer.claims import says
from explorer.instruments.contract import Lane, Page
from explorer.instruments.sensitivity.ask import Ask, Show
from explorer.instruments.sensitivity.result import Sensitivity
from explorer.instruments.words import block, how

LOUD = 10.0


def caption(lanes: Sequence[Lane[Sensitivity]], ask: Ask, show: Show) -> list[str]:
    said = []
    for lane in lanes:
        measured = lane.result
        n = f"{measured.n_images:,} test images{how(measured)}"
        if show.of == "target":
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


def formula(lanes: Sequence[Lane[Sensitivity]], ask: Ask, show: Show) -> list[str]:
    lines = [
        "H(x) = x + F(x): where the wanted H moves by the share ε of itself, F must move by "
        "ε·‖H‖ / ‖F‖ of itself",
        "5 → 5.1, then 5 → 5.2: a plain map changes by 0.1 / 5.1 = 2 %, F by 0.1 / 0.1 = 100 %",
    ]
    for lane in lanes:
        measured = lane.result
        lines.append(
            f"{lane.name}, {measured.units[0]}: ‖H‖ / ‖F‖ = {measured.amplification[0, 0]:.3g}: "
            f"1 % of H is {measured.amplification[0, 0]:.3g} % of F"
        )
    return lines


PAGE = Page(
    result=Sensitivity,
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
    caption=caption,
    formula=formula,
    mode="evaluation mode",
    suggests=("digits_resnet_v2_56", "digits_fc_highway_50"),
)
