"""What can be asked of gates, unit by channel."""

from __future__ import annotations

from typing import Literal

from explorer.instruments import contract
from explorer.instruments.contract import images, option
from explorer.instruments.gate_words import no_gates
from explorer.structure.blueprint import Blueprint


class Ask(contract.Ask):
    """Measure each gate by itself: biases, means, one image, one class.

    Tables of block × unit (of channels, in convolutional nets): biases before and after training,
    mean gates, the gates and the outputs of the blocks for one image (Srivastava et al. 2015,
    Fig 2), and with --class the mean over a class less the mean over all (Fig 3).
    """

    subject = "image"
    deletes = False
    was = ("gates --view maps",)
    examples = (
        "gate_maps digits_fc_highway_50 --image 3 --show all --html fig2.html",
        "gate_maps digits_fc_highway_50 --class 8 --show classes --html fig3.html",
        "gate_maps digits_fc_highway_50 --train --csv",
    )

    n_images: int | None = images(
        None, "take means over only so many images, each class in its share"
    )
    of_class: str | int | None = option(
        None,
        "Class",
        "class whose mean is told less the mean over all, by name or number",
        flags=["class"],
        was={"class": {}},
        pick="explorer.pages.instruments.picks:OF_CLASS",
    )
    train: bool = option(
        False,
        "Mean over training images",
        "take means over training images, not test images",
        was={"images": {"test": False, "train": True}},
    )

    @classmethod
    def not_for(cls, plan: Blueprint) -> str | None:
        return no_gates(plan)


class Show(contract.Show):
    show: Literal["fig2", "biases", "classes", "all"] = option(
        "fig2",
        "Show",
        "tables that the figure shows",
        words={
            "fig2": "bias, mean, one image",
            "biases": "biases before and after",
            "classes": "one class less the mean",
            "all": "all",
        },
    )
