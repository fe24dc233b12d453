"""The gradient with every shortcut λ·x (He16 Eq 8)."""

from __future__ import annotations

from collections.abc import Sequence

from explorer.claims import says
from explorer.instruments.contract import Lane, Page
from explorer.instruments.shortcut_scaling.ask import Ask, Show
from explorer.instruments.shortcut_scaling.result import ShortcutScaling
from explorer.instruments.words import so_far


def caption(lanes: Sequence[Lane[ShortcutScaling]], ask: Ask, show: Show) -> list[str]:
    said = []
    for lane in lanes:
        result = lane.result
        said.append(
            f"{lane.name}, built anew with λ = {result.scale[0]:g}: Eq 8 says "
            f"{result.theory[0]:.3g} for the direct term, measured {result.direct[0]:.3g}; "
            f"the whole gradient at the first block is {result.whole[0]:.3g} times what "
            f"shortcuts with λ = 1 hand on "
            f"({result.n_images:,} training images{so_far(lane)})."
        )
    return said


def formula(lanes: Sequence[Lane[ShortcutScaling]], ask: Ask, show: Show) -> list[str]:
    lines = ["x_(l+1) = λ·x_l + F(x_l)  ⇒  direct term of ∂E/∂x_0 = λ^L · ∂E/∂x_L (He16 Eq 8)"]
    for lane in lanes:
        result = lane.result
        lines.append(f"{lane.name}: {result.scale[0]:g}^{result.n_units} = {result.theory[0]:.3g}")
    return lines


PAGE = Page(
    result=ShortcutScaling,
    title="Scaled shortcuts",
    group="gradients",
    order=14,
    question="What if every shortcut multiplied by λ?",
    explains=(
        "The net is built anew with shortcuts λ·x; crosses are the part of its gradient that comes "
        "back by shortcuts alone, the solid line is the whole of it. Move λ and look how fast the "
        "crosses follow λ to the power of the number of blocks, and whether the whole does."
    ),
    figure_of=says("he16.scaling"),
    caption=caption,
    formula=formula,
    mode="untrained nets, as in a training step",
    step=True,
    own_weights=lambda lane, ask, show: False,
    suggests=("resnet_v2_20", "resnet_v1_20"),
)
