"""Numbers and lists in the sentences of all instruments."""

from __future__ import annotations

from collections.abc import Sequence

from explorer.ui.instruments.contract import Lane


def percent(share: float, digits: int = 1) -> str:
    """ "98.6 %" of a share in [0, 1]."""
    return f"{share * 100:.{digits}f} %"


def listed(names: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    if len(names) < 2:
        return "".join(names)
    return ", ".join(names[:-1]) + " and " + names[-1]


def times(ratio: float) -> str:
    """A ratio as people say it: "120 ×", "2.4 ×", "1/35"."""
    if ratio >= 1:
        return f"{ratio:,.0f} ×" if ratio >= 100 else f"{ratio:.2g} ×"
    return f"1/{1 / ratio:,.0f}" if ratio < 0.1 else f"{ratio:.2g} ×"


def count(n: int, one: str, many: str | None = None) -> str:
    """ "1 block", "3 blocks", "1,000 images"."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def power(base: int, exponent: int) -> str:
    """ "2²⁷"."""
    return f"{base}{str(exponent).translate(str.maketrans('0123456789', '⁰¹²³⁴⁵⁶⁷⁸⁹'))}"


def so_far(lane: Lane) -> str:
    """Said of results that are still being refined."""
    return "" if lane.done else ", so far"


def block(lane: Lane, unit: str) -> str:
    """ "block 12 (stages.1.units.3)": its place among all units, as on the axes."""
    names = lane.unit_names
    return f"block {names.index(unit) + 1} ({unit})" if unit in names else unit


def ends(values: Sequence[float], k: int = 3) -> tuple[float, float] | None:
    """Medians of the first and the last ``k`` values; None where there are too few to compare."""
    if len(values) < 2 * k:
        return None
    return sorted(values[:k])[k // 2], sorted(values[-k:])[k // 2]
