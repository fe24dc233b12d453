"""What can be asked of scaled shortcuts."""

from __future__ import annotations

from explorer.instruments import contract
from explorer.instruments.contract import images, option, seed
from explorer.structure.blueprint import Blueprint
from explorer.structure.specs import ResidualSpec


class Ask(contract.Ask):
    """Measure the gradient with every shortcut λ·x.

    The net is built anew, untrained, with each λ: λ^L, by which He et al. 2016, Eq 8, say the
    direct term shrinks over L units, beside what is measured.
    """

    was = ("scaling", "gradients --view scaling")
    split = "train"
    priority = "sweep"
    examples = (
        "shortcut_scaling resnet_v2_56",
        "shortcut_scaling resnet_v2_56 --scale 1 --scales 0.5,0.9,1.1 --json",
    )

    scale: float = option(
        0.9,
        "λ",
        "factor λ that is measured first, and marked in the figure",
        least=0,
        most=2,
        step=0.05,
        slider=True,
        was={"lambda": {}},
    )
    scales: tuple[float, ...] = option(
        (0.5, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2),
        "λ beside it",
        "factors λ that are measured after the first",
        least=0,
        most=2,
        longest=50,
        doors=("shell", "python"),
    )
    n_images: int = images(64, "number of training images, each class in its share")
    seed: int = seed("the weights, the same with every λ")

    @classmethod
    def not_for(cls, plan: Blueprint) -> str | None:
        spec = plan.spec
        if isinstance(spec, ResidualSpec) and spec.layout not in ("fc", "reference"):
            return None
        return (
            "The shortcuts of convolutional residual nets alone can be scaled: look at this net's "
            "gradients by layer, or choose one of those, such as resnet_v2_20."
        )


class Show(contract.Show):
    pass
