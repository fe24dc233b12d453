"""What can be asked of a net's accuracy."""

from __future__ import annotations

from explorer.instruments import contract
from explorer.instruments.contract import images, option


class Ask(contract.Ask):
    """Measure how often a net is right, over all and class by class.

    Plain accuracy of the intact net in evaluation mode: how often its first answer is right, how
    often the right one is among its first five, and the same for each class, each with
    its 95 % interval (Wilson's). What a checkpoint's maker published is held against this.
    """

    was = ("evaluate",)
    examples = (
        "accuracy digits_resnet_v2_56",
        "accuracy checkpoint.pth --data FOLDER --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225",
        "accuracy digits_plain_56 digits_resnet_v2_56 --train",
    )

    n_images: int | None = images(None)
    train: bool = option(
        False,
        "On training images",
        "measure on training images, which shows what a net has learned of them",
        was={"images": {"test": False, "train": True}},
    )


class Show(contract.Show):
    pass
