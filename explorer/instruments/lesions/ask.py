"""What can be asked of single deletions."""

from __future__ import annotations

from explorer.claims import says
from explorer.instruments import lesion_options
from explorer.structure.blueprint import Blueprint


class Ask(lesion_options.Ask):
    """Delete each unit of a net in turn and measure the accuracy.

    Deleting leaves what goes round the unit: the shortcut of a residual unit, the carried input of
    a highway unit, the earlier features of a dense unit; of a plain unit that keeps the shape its
    input (Veit et al. 2016, Fig 3; Srivastava et al. 2015, Fig 4).
    """

    was = ("lesion_curve", "lesions --kind one")
    examples = (
        "lesions digits_resnet_v2_56",
        "lesions digits_plain_56 digits_resnet_v2_56 --html fig3.html",
        "lesions digits_plain_56 --json",
        "lesions digits_fc_highway_50 --train --html fig4.html",
        "lesions digits_densenet_40_k12 --of-class 7",
        "lesions resnet_v2_20 --data cifar10 --weights lane-1-resnet_v2_20.safetensors",
        "lesions runs/he15/lane-1-resnet_v1_20.safetensors --n 1000",
        "lesions torchvision_resnet50 --weights default --data my_photos",
    )
    about = says("lesions.residual", "lesions.plain", "veit16.delete_one", "sgs15.delete_one")

    @classmethod
    def not_for(cls, plan: Blueprint) -> str | None:
        return lesion_options.none_deletable(plan)


class Show(lesion_options.Show):
    pass
