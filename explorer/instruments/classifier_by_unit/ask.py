"""What can be asked: the classifier after every unit of the last stage (Jastrzebski18)."""

from __future__ import annotations

from explorer.instruments import contract
from explorer.instruments.contract import images
from explorer.structure.blueprint import Blueprint


class Ask(contract.Ask):
    """Measure the accuracy of the classifier applied after every unit of the last stage.

    The head is applied as it is, its own batch norm and activation included (Jastrzebski et al.
    2018).
    """

    was = ("classifier", "responses --view classifier")
    examples = ("classifier_by_unit digits_plain_56 digits_resnet_v2_56",)

    n_images: int | None = images(None)

    @classmethod
    def not_for(cls, plan: Blueprint) -> str | None:
        shapes = [unit.output_shape for unit in plan.units]
        if len(shapes) > 1 and shapes[-1] == shapes[-2]:
            return None
        return (
            "The classifier of this net takes the last block's output alone: delete its blocks "
            "instead, or choose a plain, residual or highway net with several blocks a stage, such "
            "as digits_resnet_v2_56."
        )


class Show(contract.Show):
    pass
