"""Aligned columns of text, for a terminal, and what stands in them."""

from __future__ import annotations

import math
from collections.abc import Sequence


def table(header: Sequence[str], rows: Sequence[Sequence[str]], right: str = "") -> str:
    """Aligned columns under a header.

    Args:
        right: One letter a column, ``r`` for right-aligned; missing letters mean left.
    """
    lines = [list(header), *[list(row) for row in rows]]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    sides = right.ljust(len(header))

    def joined(line: list[str]) -> str:
        cells = [
            cell.rjust(width) if side == "r" else cell.ljust(width)
            for cell, width, side in zip(line, widths, sides, strict=True)
        ]
        return "  ".join(cells).rstrip()

    rule = "  ".join("─" * width for width in widths)
    return "\n".join([joined(lines[0]), rule, *(joined(line) for line in lines[1:])])


def scientific(value: float) -> str:
    """``4.16e-02``, three digits, for values on a log axis."""
    return f"{value:.2e}"


def log_marks(values: Sequence[float | None], width: int = 24) -> list[str]:
    """A dot a value, from the least at the left to the greatest at the right, log scale."""
    logs = [math.log10(value) if value and 0 < value < math.inf else None for value in values]
    known = [value for value in logs if value is not None]
    if not known:
        return ["" for _ in values]
    low, span = min(known), (max(known) - min(known)) or 1.0
    return [
        "" if value is None else "·" * round((value - low) / span * (width - 1)) + "●"
        for value in logs
    ]


def bar(share: float, width: int = 20) -> str:
    """A bar of eighths of a character; ``share`` in [0, 1]."""
    eighths = round(max(0.0, min(1.0, share)) * width * 8)
    full, rest = divmod(eighths, 8)
    return "█" * full + (" ▏▎▍▌▋▊▉"[rest] if rest else "")
