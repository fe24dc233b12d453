"""What can be asked of units' maps."""

from __future__ import annotations

from typing import Literal

from explorer.instruments import contract
from explorer.instruments.contract import option
from explorer.structure.blueprint import Blueprint

Part = Literal["output", "branch", "shortcut"]
Channels = Literal["strongest", "first"]


def _names(text: str) -> tuple[str, ...]:
    """Units of a list with commas."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


class Ask(contract.Ask):
    """Show the maps of units for one image.

    The strongest maps of each stage's last unit, or of units of your choice: their output, or
    what their own layers add (branch) to what passes them by (shortcut).
    """

    subject = "image"
    was = ("activation_maps",)
    examples = (
        "activations digits_resnet_v2_56 --image 3 --html maps.html",
        "activations digits_plain_56 digits_resnet_v2_56 --units stages.1.units.4",
        "activations digits_densenet_40_k12 --part branch --channels first --k 12",
        "activations digits_resnet_v2_56 --delete stages.0.units.1 --csv",
    )

    units: tuple[str | int, ...] | None = option(
        None,
        "Block",
        "units to show, separated by commas; else the last of each stage",
        flags=["unit"],
        was={"block": {}},
        pick="explorer.pages.instruments.picks:UNITS",
        read=_names,
        longest=64,
        each=True,
    )
    part: Part = option(
        "output",
        "What blocks",
        "maps of what blocks give on, of what their own layers add, or of what passes them by",
        words={"output": "give on", "branch": "add", "shortcut": "let pass"},
    )
    channels: Channels = option(
        "strongest", "Channels", "channels of the greatest mean magnitude, or the first ones"
    )
    k: int = option(
        16,
        "Number of channels",
        "number of channels of each unit",
        least=1,
        most=256,
        doors=("shell", "python"),
    )

    @classmethod
    def not_for(cls, plan: Blueprint) -> str | None:
        if len(plan.units[-1].output_shape) == 3:
            return None
        if len(plan.units[-1].output_shape) == 2:
            return (
                "The blocks of a vision transformer give tokens, not maps: look at its responses "
                "or branches, or choose a convolutional net, such as digits_resnet_v2_56."
            )
        return (
            "The blocks of a fully connected net give features, not maps: look at its gates or "
            "responses, or choose a convolutional net, such as digits_resnet_v2_56."
        )


class Show(contract.Show):
    pass
