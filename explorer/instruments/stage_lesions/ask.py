"""What can be asked of whole stages' deletion."""

from __future__ import annotations

from explorer.instruments import lesion_options
from explorer.structure.blueprint import Blueprint


class Ask(lesion_options.Ask):
    """Delete all units of a stage that can be deleted, stage by stage, and measure the accuracy.

    What changes the shape and has no shortcut must stay, and the result names it.
    """

    was = ("stages", "lesions --kind stages")
    priority = "click"
    examples = (
        "stage_lesions digits_resnet_v2_56",
        "stage_lesions digits_densenet_40_k12 --of-class 7",
    )

    @classmethod
    def not_for(cls, plan: Blueprint) -> str | None:
        return lesion_options.none_deletable(plan)


class Show(lesion_options.Show):
    pass
