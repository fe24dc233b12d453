"""What the pages on layers, branches and gates share."""

from __future__ import annotations

import math
from typing import Any, TypeVar

from explorer.ui.instruments.contract import Asking, Lane

T = TypeVar("T")


def rounded(value: float, digits: int = 4) -> float | None:
    """To so many significant digits; None for what is not finite."""
    return float(f"{value:.{digits}g}") if math.isfinite(value) else None


def kept(asking: Asking) -> dict[str, Any]:
    """Images of jobs that make their nets themselves."""
    return {"data": asking.data.model_dump(mode="json"), "n_images": asking.n_images}


def units_of(lane: Lane, measured: tuple[str, ...]) -> tuple[str, ...]:
    """Names of all units, which are the places on the axis."""
    return lane.unit_names or measured


def how(statistics: str) -> str:
    """Said of results whose batch norms may have used the batch's statistics."""
    return "" if statistics == "running" else ", normalised by the batch as the net is untrained"
