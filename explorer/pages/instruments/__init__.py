"""The Instruments page's instruments, each made from its declaration (:mod:`explorer.instruments`).

Here is what the page needs beside that: the groups on its buttons, and the controls that are not
derived from an option's type (:mod:`.picks`).
"""

from __future__ import annotations

from functools import cache

from explorer.instruments import instrument as found
from explorer.instruments import instruments as declared
from explorer.instruments.contract import Group
from explorer.pages.instruments.on_page import Instrument

GROUPS: dict[Group, str] = {
    "blocks": "Without a block",
    "gradients": "Gradients",
    "responses": "What blocks do",
    "gates": "Gates",
    "paths": "Paths",
    "features": "One answer",
    "start": "Before training",
    "loss": "Loss surface",
}
DEFAULT = "lesions"


@cache
def instruments() -> dict[str, Instrument]:
    """All instruments by key, group by group."""
    places = list(GROUPS)
    found = [Instrument(one) for one in declared().values()]
    found.sort(key=lambda one: (places.index(one.page.group), one.page.order, one.key))
    return {one.key: one for one in found}


def instrument(key: str) -> Instrument:
    """The instrument of a key, or of an earlier one; raises :class:`SpecError`."""
    return instruments()[found(key).name]


__all__ = ["DEFAULT", "GROUPS", "Group", "Instrument", "instrument", "instruments"]
