"""What can be asked of the worked example."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from explorer.claims import says
from explorer.instruments import contract
from explorer.instruments.contract import option


def _number(default: float, label: str, help: str) -> Any:
    return option(default, label, help, least=-1e6, most=1e6, step=0.1)


class Ask(contract.Ask):
    """Work out how much louder a change is for F than for a plain map, with three numbers.

    A block maps one number to another, and is then asked for a third. Neither a net nor images are
    needed: it is arithmetic.
    """

    subject = "none"
    was = ("sensitivity --example",)
    examples = ("amplifier", "amplifier --x 10 --before 10.5 --after 11")
    about = says("amplifier.example", "amplifier.same_gradient")
    flags: ClassVar[Mapping[str, tuple[str, ...]]] = {"example": ("x", "before", "after")}

    x: float = _number(5.0, "Input x", "number that the block is given")
    before: float = _number(5.1, "First output", "number that the block maps x to")
    after: float = _number(5.2, "Then", "number that the block is to map x to instead")


class Show(contract.Show):
    pass
