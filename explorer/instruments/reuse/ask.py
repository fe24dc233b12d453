"""What can be asked of feature reuse."""

from __future__ import annotations

from typing import Literal

from explorer.instruments import contract
from explorer.instruments.contract import option
from explorer.structure.blueprint import Blueprint


class Ask(contract.Ask):
    """Show how strongly the layers of a dense net use each earlier one.

    Mean absolute weight from every source of a block (its input, then its layers) to every layer
    that sees it, the transition or classifier last (Huang et al. 2016, Fig 5). Read from the
    weights alone: no images are needed.
    """

    subject = "weights"
    was = ("feature_reuse",)
    examples = (
        "reuse digits_densenet_40_k12",
        "reuse densenet_40_k12 digits_densenet_40_k12 --html reuse.html",
        "reuse digits_densenet_40_k12 --scaled --of absolute",
        "reuse torchvision_densenet121 --weights default --png densenet121.png",
    )

    scaled: bool = option(
        False,
        "Weights times the norm's scale",
        "count each weight times the scale |γ| of the batch norm before it",
        was={"weights": {"bare": False, "scaled": True}},
    )

    @classmethod
    def not_for(cls, plan: Blueprint) -> str | None:
        if any(unit.kind == "dense" for unit in plan.units):
            return None
        return (
            f"A {plan.spec.family} net hands on one sum of its features, not each layer's own, so "
            "their reuse cannot be read from its weights: look at its responses, or choose a dense "
            "net, such as digits_densenet_40_k12."
        )


class Show(contract.Show):
    of: Literal["relative", "absolute"] = option(
        "relative",
        "Colours",
        "quantity that colours show, shares to compare sources or mean weights, in whose size "
        "layers differ",
        words={"relative": "share of the layer's strongest", "absolute": "mean weight"},
        flags=["absolute=absolute"],
    )
