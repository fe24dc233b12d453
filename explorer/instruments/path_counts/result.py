"""How many paths a net has of each length, and what depth and width make of that."""

from __future__ import annotations

from dataclasses import dataclass

from explorer.instruments.counted_paths import Multiplicity, PathLengths


@dataclass(frozen=True)
class PathCounts(PathLengths):
    """A net's paths by length, beside nets of other depths and widths.

    Attributes:
        multiplicity: None of another library's net, which has no other depths here.
    """

    multiplicity: Multiplicity | None = None
