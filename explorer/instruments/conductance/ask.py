"""What can be asked of the units that carried a decision."""

from __future__ import annotations

from explorer.instruments import contract
from explorer.instruments.decisions import (
    Baseline,
    baseline_option,
    steps_option,
    target_option,
)


class Ask(contract.Ask):
    """Show which units carried a decision.

    How much of f(x) − f(x′) flows through each unit's own layers, and how much passes it by
    (Dhamdhere et al. 2018): f is the logit of one class, x′ an image of no evidence. In a plain
    net all of it goes through every unit.
    """

    subject = "image"
    priority = "sweep"
    was = (
        "unit_conductance",
        "attribute --method conductance",
        "attribution --method conductance",
    )
    examples = (
        "conductance digits_plain_56 digits_resnet_v2_56 --image 3",
        "conductance digits_resnet_v2_56 --delete stages.0.units.4",
    )

    target: str | int = target_option()
    baseline: Baseline = baseline_option()
    steps: int | None = steps_option()


class Show(contract.Show):
    pass
