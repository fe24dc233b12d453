"""The Instruments page's instruments: one file each, found by themselves.

To add one, put a file here that ends in ``INSTRUMENT = Instrument(...)``; nothing else needs to
be changed (a file without one is a help to others). It is pure: results' JSON in, figure,
sentences and rows out; no torch, no Streamlit. The page asks for ``job`` with ``payload(Asking)``
once a net, shows partial results as they come, and calls

- ``figure(lanes, options, theme)``: one figure of all nets; use :mod:`explorer.charts`, whose
  figures take ``(lane.index, lane.name, Result.from_json(lane.result))``. ``lanes`` may be empty
  and results partial. Zoom and legend survive new data and other themes by themselves.
- ``caption(lanes, options)``: what this data shows, a sentence an entry, always with n. Compare
  numbers before you say "smaller", "most", "hardly": a sentence that the data on the screen does
  not bear out must not appear. The list is the chart's text summary for screen readers too.
- ``formula(lanes, options)``: first the formula, then the same with numbers of these results.
- ``table(result)``: rows of one net; keys are the columns' heads, with units. Values are shown
  as they are: round them to what they are worth.
- ``not_for(plan)``: None, or one sentence: why it means nothing for this net, which nets would do.

Where a figure is laid out in panels, ``options["narrow"]`` is true for a phone's width.

``options`` are few and typed (:mod:`explorer.ui.instruments.options`: ``Choice``, ``Whole``,
``Number``, ``Flag``, ``UnitPick``, ``ClassPick``, ``ImagePick``, ``OwnImage``), each in the link
under its name; ``when`` hides one that means nothing beside the others. A wrong value in a link is
a sentence and the default. What cannot be known before the job has run is the job's own sentence
(any ``SkipscopeError``), shown beside that net's name.

``question`` is the heading, ``explains`` two sentences (what one sees, what to look for),
``figure_of`` the paper's figure with the numbers that the paper prints, ``mode`` how the net was
evaluated. Words are for people who have not read the paper. ``lesions.py`` is a good start to copy.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from explorer.errors import SpecError
from explorer.ui.instruments.contract import (
    Asking,
    Group,
    Instrument,
    Lane,
    Result,
    Row,
    one_net,
)
from explorer.ui.instruments.options import (
    Choice,
    ClassPick,
    Flag,
    ImagePick,
    Number,
    Option,
    Options,
    OwnImage,
    Present,
    Several,
    UnitPick,
    Whole,
)

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
    """All instruments by key, group by group.

    Raises:
        ValueError: Two files use one key.
    """
    found: list[Instrument] = []
    for file in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{file.name}")
        if hasattr(module, "INSTRUMENT"):  # the others are what several instruments share
            found.append(module.INSTRUMENT)
    places = list(GROUPS)
    found.sort(key=lambda one: (places.index(one.group), one.order, one.key))
    by_key = {one.key: one for one in found}
    if len(by_key) < len(found):
        raise ValueError("two instruments have the same key")
    return by_key


def instrument(key: str) -> Instrument:
    """The instrument of a key; raises :class:`SpecError`."""
    if key not in instruments():
        raise SpecError(
            f"There is no instrument {key[:40]!r}; choose one of {', '.join(instruments())}."
        )
    return instruments()[key]


__all__ = [
    "DEFAULT",
    "GROUPS",
    "Asking",
    "Choice",
    "ClassPick",
    "Flag",
    "Group",
    "ImagePick",
    "Instrument",
    "Lane",
    "Number",
    "Option",
    "Options",
    "OwnImage",
    "Present",
    "Result",
    "Row",
    "Several",
    "UnitPick",
    "Whole",
    "instrument",
    "instruments",
    "one_net",
]
