"""What can be asked: each unit's output against the end of its stage (Greff17)."""

from __future__ import annotations

from explorer.instruments import contract
from explorer.instruments.contract import images
from explorer.structure.blueprint import Blueprint


class Ask(contract.Ask):
    """Measure each unit's output against the end of its stage.

    Mean and spread of the output less that of the stage's last unit, beside the root mean square
    of that (Greff et al. 2017).
    """

    was = ("estimation", "responses --view estimation")
    examples = ("estimation_error digits_fc_highway_50 --csv",)

    n_images: int = images(256)

    @classmethod
    def not_for(cls, plan: Blueprint) -> str | None:
        inside = [unit for unit in plan.units if unit.kind != "transition"]
        ends = {unit.stage: unit for unit in inside}
        alike = [u for u in inside if u.output_shape == ends[u.stage].output_shape]
        if len(alike) > len(ends):
            return None
        return (
            f"No two blocks of a stage of this {plan.spec.family} net have one shape, so none "
            "estimates another's output: look at its layers' responses, or choose a residual or "
            "highway net, such as digits_resnet_v2_56."
        )


class Show(contract.Show):
    pass
