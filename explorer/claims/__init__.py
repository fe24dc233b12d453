"""The table of claims: what pages, helps and captions say of papers, and of what one sees.

Each such sentence stands in one row, with its source and the measurement that bears it. Pages take
the sentence from here (``says("lesions.residual")``, several keys for several sentences) and never
write it again. ``skipscope claims`` lists the table, ``skipscope claims --check`` measures all of
it again, and so does the slow test (``pytest -m claims``).

To add a row, append a :class:`Claim` to ``ROWS`` of the topic's file here (or put a new file with
``ROWS`` here; it is found by itself)::

    Claim(
        key="lesions.residual",
        says="Without any one block the shipped residual nets lose less than a point in the middle "
        "of all blocks.",
        source=HERE,
        bears="lesions:median_cost",        # explorer/claims/measures/lesions.py
        given={"family": "residual"},
        holds=(-1.0, 1.0),                  # each of the numbers that it gives
        unit="points",
        conditions="shipped nets, all test images",
    )

- A function of ``measures/`` computes what the sentence says from nets, not from the sentence:
  it gives a number, or one for each seed or net, and takes what it needs as arguments. Measure with
  three seeds more than you name, and choose ``holds`` so that these hold, too.
- A sentence that quotes a paper has no ``bears``; its ``conditions`` are the paper's (data, median
  of how many runs). Quote only what was read in the paper itself.
- What depends on the nets on the screen is no claim: a caption chooses that sentence from the data.

Nothing here imports torch or Streamlit, except ``measures/``, which only ``check`` loads.
"""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from functools import cache

from explorer.claims.contract import HERE, SOURCES, Claim
from explorer.errors import SpecError

_NO_TOPIC = ("contract", "check", "measures")


@cache
def claims() -> dict[str, Claim]:
    """The whole table by key, topic by topic.

    Raises:
        ValueError: Two rows have one key, or one sentence.
    """
    found: dict[str, Claim] = {}
    sentences: dict[str, str] = {}
    for file in pkgutil.iter_modules(__path__):
        if file.name in _NO_TOPIC:
            continue
        for row in importlib.import_module(f"{__name__}.{file.name}").ROWS:
            if row.key in found:
                raise ValueError(f"two claims have the key {row.key!r}")
            if row.says in sentences:
                raise ValueError(f"{row.key!r} says the same as {sentences[row.says]!r}")
            found[row.key] = row
            sentences[row.says] = row.key
    return found


def claim(key: str) -> Claim:
    """The row of a key; raises :class:`SpecError`."""
    if key not in claims():
        near = difflib.get_close_matches(key, claims(), n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else "see `skipscope claims`."
        raise SpecError(f"There is no claim {key[:60]!r}: {hint}")
    return claims()[key]


def says(*keys: str) -> str:
    """The sentences of these rows, one after the other."""
    return " ".join(claim(key).says for key in keys)


__all__ = ["HERE", "SOURCES", "Claim", "claim", "claims", "says"]
