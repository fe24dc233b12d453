"""What can be asked of blocks deleted and moved by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import field_validator

from explorer.errors import SpecError
from explorer.instruments import contract
from explorer.instruments.by_hand.rearranged import Rearranged, read_hands, write_hands
from explorer.instruments.contract import images, option
from explorer.structure.blueprint import Blueprint


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(","))


class Ask(contract.Ask):
    """Delete or move any blocks of a net and see which answers change.

    The accuracy of each class, intact and so, and a few of the images whose answer is another one.
    A block that is left out is passed by; blocks of one shape can change places.
    """

    was = ("answers",)
    examples = (
        "by_hand digits_resnet_v2_56 --hand 0:-3.-12",
        "by_hand digits_plain_56 digits_resnet_v2_56 --hand '0:-3|1:-3.5_9.9_5' --html hand.html",
        "by_hand digits_fc_highway_50 --program stages.0.units.3,stages.0.units.7",
    )

    hand: str | None = option(
        None,
        "Blocks",
        "blocks to delete or move in each net; nets and blocks are counted from 0: NET:-BLOCK "
        "deletes one, NET:PLACE_BLOCK lets one stand in another's place, as in "
        "0:-3.-12|1:5_9.9_5",
        pick="explorer.pages.instruments.picks:HAND",
    )
    program: tuple[str, ...] | None = option(
        None,
        "Program",
        "blocks that act, by name, in this order; the others are deleted",
        doors=("shell", "python"),
        read=_names,
    )
    n_images: int | None = images(None)

    @field_validator("hand", mode="before")
    @classmethod
    def _as_text(cls, value: Any) -> Any:
        return (write_hands(value) or None) if isinstance(value, Mapping) else value

    @property
    def hands(self) -> Mapping[int, Rearranged]:
        """By a net's place, what is done to it.

        Raises:
            SpecError: One sentence: what cannot be read.
        """
        return read_hands(self.hand or "")

    @classmethod
    def not_for(cls, plan: Blueprint) -> str | None:
        if any(unit.deletable or unit.swap_group for unit in plan.units):
            return None
        return (
            "No block of this net can be deleted or moved, because each changes the shape: take a "
            "deeper net, whose stages have more than one block."
        )

    def for_net(self, plan: Blueprint | None, lane: int = 0) -> Ask:
        """The program of this net; what is done to others is none of its business."""
        if self.hand is not None and self.program is not None:
            raise SpecError("Give either hand or program, not both: each says what acts.")
        done = self.hands.get(lane, Rearranged())
        if plan is None or not (done.deleted or done.moved):
            return self.model_copy(update={"hand": None})
        done.check(plan)
        return self.model_copy(update={"hand": None, "program": tuple(done.program(plan))})


class Show(contract.Show):
    pass
