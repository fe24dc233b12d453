"""Paper against ours: each figure and table of the papers beside what this program measured.

A figure is one row, a :class:`~explorer.reproduce.contract.Figure` in ``ROWS`` of its paper's file
here: what the paper shows, its numbers with their sources, its protocol, how we measure it, and
three functions of a measurement: the table's lines, the two sentences, the Plotly figure. To add
one, append it to ``ROWS``; the command, the page, the gallery and the tests find it there.

What was measured is no part of the row. It lies in ``kept/KEY.json``, which only ``skipscope
reproduce KEY --measure`` writes, with seeds, hardware, versions and date; or on the cards of
shipped nets, where these were trained on the paper's own images; or it is counted when it is shown.
The mark (reproduced, reproduced smaller, not attempted) follows from what differs between the
paper's protocol and that of the measurement (:mod:`explorer.reproduce.compare`).

Nothing here imports torch or Streamlit, except ``measures/``, which only measuring loads.
"""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Sequence
from functools import cache

from explorer.errors import SpecError
from explorer.reproduce.contract import Figure

# In the order in which people read them.
PAPERS = (
    "He15",
    "He16",
    "SGS15",
    "Veit16",
    "Huang16",
    "SD16",
    "Balduzzi17",
    "Li18",
    "Greff17",
    "Jastrzebski18",
    "programs",
)


@cache
def figures() -> dict[str, Figure]:
    """All of them by key, paper by paper.

    Raises:
        ValueError: Two rows have one key.
    """
    found: dict[str, Figure] = {}
    for file in pkgutil.iter_modules(__path__):
        for row in getattr(importlib.import_module(f"{__name__}.{file.name}"), "ROWS", ()):
            if row.key in found:
                raise ValueError(f"two figures have the key {row.key!r}")
            found[row.key] = row
    return dict(sorted(found.items(), key=lambda pair: PAPERS.index(pair[1].paper)))


def figure(key: str) -> Figure:
    """The row of a key; raises :class:`SpecError` with what there is."""
    if key in figures():
        return figures()[key]
    near = difflib.get_close_matches(key.lower(), figures(), n=1, cutoff=0.6)
    if near:
        raise SpecError(f"There is no figure {key[:60]!r}: did you mean {near[0]!r}?")
    raise SpecError(f"There is no figure {key[:60]!r}; there are: {', '.join(figures())}.")


def chosen(keys: Sequence[str]) -> list[Figure]:
    """The rows of these keys, each once, and all of a paper that is named; all of them for none.

    Raises:
        SpecError: There is no such figure.
    """
    rows: dict[str, Figure] = {}
    for key in keys or list(figures()):
        of_paper = [row for row in figures().values() if row.paper.lower() == key.lower()]
        for row in of_paper or [figure(key)]:
            rows[row.key] = row
    return list(rows.values())


__all__ = ["PAPERS", "Figure", "chosen", "figure", "figures"]
