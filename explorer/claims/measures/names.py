"""Numbers of the rows of names."""

from __future__ import annotations

from collections.abc import Sequence

from explorer.structure.names import NETS


def medians(nets: Sequence[str]) -> list[float]:
    """Of each net the median that a paper prints; nothing of one without."""
    return [
        error.percent
        for net in nets
        for error in NETS[net].errors
        if error.of == "median" and error.percent is not None
    ]
