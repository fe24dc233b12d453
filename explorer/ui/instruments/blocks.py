"""What the pages on layers, branches and gates share."""

from __future__ import annotations

import math
from typing import Any, Protocol, TypeVar

from explorer.results import Statistics, statistics_said
from explorer.ui.instruments.contract import Asking, Lane

T = TypeVar("T")


class Normed(Protocol):
    """A result that says by which statistics batch norm normalised."""

    @property
    def statistics(self) -> Statistics | None: ...


def rounded(value: float, digits: int = 4) -> float | None:
    """To so many significant digits; None for what is not finite."""
    return float(f"{value:.{digits}g}") if math.isfinite(value) else None


def kept(asking: Asking) -> dict[str, Any]:
    """Images of jobs that make their nets themselves."""
    return {"data": asking.data.model_dump(mode="json"), "n_images": asking.n_images}


def units_of(lane: Lane, measured: tuple[str, ...]) -> tuple[str, ...]:
    """Names of all units, which are the places on the axis."""
    return lane.unit_names or measured


def how(found: Normed) -> str:
    """Said of an untrained net's result: by which images batch norm normalised."""
    if found.statistics != "batch":
        return ""
    return f", {statistics_said(found.statistics, getattr(found, 'n_images', None))}"
