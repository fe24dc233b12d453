"""What can be asked of gates over one image."""

from __future__ import annotations

from explorer.errors import SpecError
from explorer.instruments import contract
from explorer.instruments.contract import option
from explorer.instruments.gate_words import no_gates
from explorer.structure.blueprint import Blueprint

_MOST = 2048  # channels that links of earlier versions may name


class Ask(contract.Ask):
    """Show where on one image the gates of a convolutional net are open.

    A map for every unit: its gate at each place of its maps, of one channel or the mean over all.
    """

    subject = "image"
    deletes = False
    was = ("gates --view image",)
    examples = (
        "gate_image highway_25 --image 3 --html open.html",
        "gate_image highway_25 --image my_five.png --channel 2 --csv",
    )

    of_channel: int | None = option(
        None,
        "Channel",
        "channel of each gate that is shown, counted from 0; else the mean over all of them",
        least=0,
        flags=["channel"],
        # Links counted from 1, with 0 for the mean.
        was={"channel": {"0": None, **{str(k + 1): k for k in range(_MOST)}}},
        pick="explorer.pages.instruments.picks:OF_CHANNEL",
    )

    @classmethod
    def not_for(cls, plan: Blueprint) -> str | None:
        if plan.gated_units and len(plan.gated_units[0].input_shape) == 1:
            return (
                "The gates of a fully connected net have no places on the image: look at its gates "
                "by unit, or choose a convolutional net with gates, such as highway_25."
            )
        return no_gates(plan, such_as="highway_25")

    def for_net(self, plan: Blueprint | None, lane: int = 0) -> Ask:
        fewest = None if plan is None else fewest_channels(plan)
        if self.of_channel is not None and fewest is not None and self.of_channel >= fewest:
            raise SpecError(
                f"There is no channel {self.of_channel} in every block: choose one from 0 to "
                f"{fewest - 1}, or none for the mean over all of them."
            )
        return self


class Show(contract.Show):
    pass


def fewest_channels(plan: Blueprint) -> int | None:
    """Of the gate that has the fewest; None of a net without gates."""
    return min((unit.output_shape[0] for unit in plan.gated_units), default=None)
