"""What can be asked of signal and gradient at initialisation."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import model_validator

from explorer.claims import says
from explorer.instruments import contract
from explorer.instruments.contract import images, option, seed
from explorer.instruments.fresh_seeds import FromSeeds, seeds
from explorer.structure.blueprint import Blueprint


class Ask(FromSeeds):
    """Measure signal and gradient from the image to the last unit, at initialisation.

    Variance of every unit's output, and the loss gradient there, over some fresh nets.
    """

    split = "train"
    priority = "sweep"
    examples = (
        "propagation plain_56 resnet_v2_56 --data digits",
        "propagation resnet_v2_56 'resnet_v2_56;batch_norm=false' --html variance.html",
        "propagation plain_56 resnet_v2_56 --of gradient --png gradient.png",
        "propagation digits_resnet_v2_56 --start own",
    )
    about = says("propagation.doubles", "propagation.zeros", "vanishing.factor")

    start: Literal["fresh", "own"] = option(
        "fresh",
        "Weights",
        "weights of the nets that are measured. Fresh nets have the same structure and other "
        "initial weights; the band reaches from the least to the greatest. Another library's net "
        "keeps its own",
        words={"fresh": "fresh nets", "own": "the net's own"},
        flags=["own-weights=own"],
        was={"weights": {}},
    )
    seeds: int = seeds(5)
    seed: int = seed("the first net of each, which those of the others follow")
    n_images: int = images(64, "number of training images, each class in its share")

    @model_validator(mode="before")
    @classmethod
    def _none_was_the_nets_own(cls, value: Any) -> Any:
        if isinstance(value, dict) and "seeds" in value and value["seeds"] is None:
            return {**value, "start": "own"}
        return value

    def for_net(self, plan: Blueprint | None, lane: int = 0) -> Ask:
        """Another library's initial weights are its own: such a net is measured as it is."""
        if plan is None or str(plan.spec.layout) == "external":
            return self.model_copy(update={"start": "own"})
        return self


class Show(contract.Show):
    of: Literal["variance", "gradient"] = option(
        "variance",
        "Of",
        "quantity that the figure shows",
        words={"variance": "signal (variance)", "gradient": "gradient"},
    )
