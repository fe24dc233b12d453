"""Instruments: one question about a net each, and one folder.

A folder holds

- ``ask.py``: ``Ask`` (what is measured) and ``Show`` (what is only drawn), each option one line;
- ``result.py``: a frozen dataclass of arrays, and its columns;
- ``measure.py``: ``measure``, the science; the only file that imports torch. It takes what
  ``Ask.subject`` says: ``(net, data, ask, job)`` of a net on images, ``(net, ask, job)`` of weights
  alone, ``(net, data, image, ask, job)`` of one image, ``(data, ask, job)`` where the nets are its
  own, ``(training, ask, job)`` of a training's records, ``(ask, job)`` where nothing is needed;
- ``figure.py``: ``figure(lanes, ask, show, style)``, results as one Plotly figure;
- ``page.py``: ``PAGE``, the words around it.

A folder may also have

- ``graph.py``: ``dot(plan, ask)`` and ``svg(plan, ask)``, the net's structure drawn as the
  instrument sees it, without weights or images: ``--dot``, ``--svg`` and ``--picture`` of the
  command.

A folder that has these is an instrument: nothing else has to be changed, and nothing else has to
name it. The folder's name is its name in links, commands, jobs and Python; ``doors/`` derives each
of these. What several instruments share stands in a file beside the folders.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

from explorer.errors import NotApplicableError, SpecError
from explorer.instruments.contract import Ask, Draw, Graph, Option, Page, Result, Show
from explorer.structure.blueprint import Blueprint
from explorer.structure.specs import parse

_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Instrument:
    """An instrument, as its folder declares it."""

    name: str
    ask: type[Ask]
    show: type[Show]

    @cached_property
    def page(self) -> Page[Any, Any, Any]:
        page: Page[Any, Any, Any] = self._module("page").PAGE
        return page

    @property
    def result(self) -> type[Result]:
        return self.page.result

    @property
    def figure(self) -> Draw:
        """Imports plotly."""
        draw: Draw = self._module("figure").figure
        return draw

    @property
    def measure(self) -> Callable[..., Result]:
        """Imports torch."""
        measure: Callable[..., Result] = self._module("measure").measure
        return measure

    @property
    def graph(self) -> Graph | None:
        """How it draws a net's structure, where it does."""
        has = (_FOLDER / self.name / "graph.py").exists()
        graph: Graph | None = self._module("graph") if has else None
        return graph

    @property
    def question(self) -> Callable[..., tuple[object, ...]]:
        """Of instruments that keep what they measured; imports torch."""
        question: Callable[..., tuple[object, ...]] = self._module("measure").question
        return question

    @property
    def options(self) -> tuple[Option, ...]:
        """What is asked, then what is drawn."""
        return (*self.ask.options(), *self.show.options())

    def check(self, plan: Blueprint) -> None:
        """Refuses a net that it means nothing for.

        Raises:
            NotApplicableError: One sentence: why, and which nets would do.
        """
        why = self.ask.not_for(plan)
        if why is not None:
            raise NotApplicableError(why)

    def asked(self, values: Mapping[str, Any]) -> Ask:
        """An ``Ask`` of these values; those of other things are left aside.

        Raises:
            SpecError: One sentence: what is wrong with one of them.
        """
        return parse(self.ask, {k: v for k, v in values.items() if k in self.ask.model_fields})

    def shown(self, values: Mapping[str, Any]) -> Show:
        """The same of a ``Show``."""
        return parse(self.show, {k: v for k, v in values.items() if k in self.show.model_fields})

    def _module(self, file: str) -> Any:
        return import_module(f"{__name__}.{self.name}.{file}")


@cache
def instruments() -> dict[str, Instrument]:
    """All of them by name, in alphabetical order."""
    found = {}
    for file in sorted(_FOLDER.glob("*/ask.py")):
        name = file.parent.name
        module = import_module(f"{__name__}.{name}.ask")
        found[name] = Instrument(name, module.Ask, module.Show)
    return found


@cache
def aliases() -> dict[str, str]:
    """Earlier names, and the commands with their views, with the names of today.

    Raises:
        ValueError: Two instruments claim one name.
    """
    found: dict[str, str] = {}
    for name, one in instruments().items():
        for before in (*one.ask.was, *one.ask.views):
            if before in found or before in instruments():
                raise ValueError(f"{before!r} is claimed by {found.get(before)} and by {name}")
            found[before] = name
    return found


def function_aliases() -> dict[str, str]:
    """Earlier names that Python functions have, too."""
    return {
        old: new
        for old, new in aliases().items()
        if old.isidentifier() and old not in instruments()[new].ask.not_in_python
    }


def is_instrument(name: str) -> bool:
    """Whether there is one of this name, or was."""
    return name in instruments() or name in aliases()


def instrument(name: str) -> Instrument:
    """The instrument of a name, or of an earlier one.

    Raises:
        SpecError: One sentence with the nearest name.
    """
    known = instruments()
    found = known.get(aliases().get(name, name))
    if found is None:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}."
        raise SpecError(f"There is no instrument {name[:40]!r}: {hint}")
    return found
