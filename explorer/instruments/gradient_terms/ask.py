"""What can be asked of the gradient's two terms."""

from __future__ import annotations

from explorer.instruments import contract
from explorer.instruments.contract import images
from explorer.structure.blueprint import Blueprint


class Ask(contract.Ask):
    """Measure what of the gradient comes by the shortcuts alone, and what by the branches.

    The two terms of He et al. 2016, Eq 5, at every unit's input, on one batch of training images.
    """

    was = ("terms", "gradients --view terms")
    split = "train"
    examples = (
        "gradient_terms digits_resnet_v2_56",
        "gradient_terms resnet_v2_56 digits_fc_highway_50 --html terms.html",
    )

    n_images: int = images(128, "number of training images, each class in its share")

    @classmethod
    def not_for(cls, plan: Blueprint) -> str | None:
        if any(unit.shortcut != "none" for unit in plan.units):
            return None
        return (
            f"A {plan.spec.family} net has no shortcuts, so its gradient has no direct term: look "
            "at its gradients by layer, or choose a residual net, such as digits_resnet_v2_56."
        )


class Show(contract.Show):
    pass
