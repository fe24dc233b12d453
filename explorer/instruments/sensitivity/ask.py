"""What can be asked of units' sensitivity."""

from __future__ import annotations

from typing import Literal

from explorer.claims import says
from explorer.instruments import contract
from explorer.instruments.contract import images, option, seed
from explorer.structure.blueprint import Blueprint


class Ask(contract.Ask):
    """Show how much louder a change is for a residual branch than for a plain map.

    In a net: ‖H‖ / ‖F‖, unit by unit, where H = shortcut + F is the unit's output; and by which
    share F and H move where the unit's input does. Without a net: the worked example, which is also
    `skipscope amplifier`.
    """

    examples = (
        "sensitivity                               the worked example",
        "sensitivity digits_resnet_v2_56",
        "sensitivity resnet_v2_56 digits_resnet_v2_56 --html sensitivity.html",
    )
    about = says("amplifier.same_gradient")
    without_nets = "amplifier"

    n_images: int = images(200)
    nudge: float = option(
        0.02,
        "By how much",
        "share of itself by which each unit's input moves in a random direction, ‖Δx‖ / ‖x‖",
        least=0.0001,
        most=1,
        step=0.01,
        percent=True,
        when=lambda values: values["of"] == "input",
    )
    seed: int = seed("the directions in which inputs move")

    @classmethod
    def not_for(cls, plan: Blueprint) -> str | None:
        if any(unit.kind in ("residual", "highway") for unit in plan.units):
            return None
        return (
            f"The blocks of a {plan.spec.family} net add nothing to a shortcut, so there is no F "
            "to compare with the whole: look at its responses, or choose a residual or highway "
            "net, such as digits_resnet_v2_56."
        )


class Show(contract.Show):
    of: Literal["target", "input"] = option(
        "target",
        "What moves",
        "movement whose effect the figure shows",
        words={"target": "the wanted output", "input": "the input"},
    )
