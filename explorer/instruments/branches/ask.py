"""What can be asked of units' branches."""

from __future__ import annotations

from typing import Literal

from explorer.instruments import contract
from explorer.instruments.contract import images, option
from explorer.structure.blueprint import Blueprint


class Ask(contract.Ask):
    """Measure how much each unit adds to its input, and which way.

    The size of each unit's F against its input, its direction against the loss gradient
    (Jastrzebski et al. 2018), and what the ReLU after an addition cuts (He et al. 2016, 4.2).
    """

    was = ("branch_responses", "responses --view branches")
    examples = (
        "branches digits_resnet_v2_56",
        "branches digits_plain_56 digits_fc_highway_50 --of cosine --html cosine.html",
    )

    n_images: int = images(256)

    @classmethod
    def not_for(cls, plan: Blueprint) -> str | None:
        if any(unit.kind in ("residual", "highway") for unit in plan.units):
            return None
        return (
            f"In a {plan.spec.family} net nothing is added to what passes by: look at its layers' "
            "responses, or choose a residual or highway net, such as digits_resnet_v2_56."
        )


class Show(contract.Show):
    of: Literal["ratio", "cosine", "cut"] = option(
        "ratio",
        "Show",
        "quantity that the figure shows",
        words={
            "ratio": "size, ‖F‖/‖h‖",
            "cosine": "direction, cos(F, ∂ℓ/∂h)",
            "cut": "cut by the last ReLU",
        },
    )
