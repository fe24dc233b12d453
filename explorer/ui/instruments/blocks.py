"""What the pages on layers, branches and gates share."""

from __future__ import annotations

import math
from typing import Any, Protocol, TypeVar

from explorer.mean_field import doubling, padding_factor
from explorer.results import Statistics, statistics_said
from explorer.specs import PlainSpec, ResidualSpec
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


def at_the_edges(lane: Lane, *, squared: bool = False) -> str:
    """Said of nets in which zero padding acts: what it alone does, derived; else nothing.

    Of plain nets the factor on the gradient, or squared on the variance; of pre-activation nets
    by what a block multiplies the variance. Batch norm hides either.
    """
    spec = None if lane.plan is None else lane.plan.spec
    if spec is None or spec.layout in ("fc", "external") or spec.padding != "zeros":
        return ""
    if spec.batch_norm:
        return ""
    if isinstance(spec, PlainSpec):
        factor = padding_factor(spec) ** (2 if squared else 1)
        return f" Zeros at the edges of its maps alone make it × {factor:.1g} (derived)."
    if isinstance(spec, ResidualSpec) and spec.order == "full_preact" and squared:
        return (
            f" A block that keeps the shape multiplies it by {doubling(spec):.2g} with zeros at "
            "the edges of these maps, by 2 with none (derived for He's rule)."
        )
    return ""


def units_of(lane: Lane, measured: tuple[str, ...]) -> tuple[str, ...]:
    """Names of all units, which are the places on the axis."""
    return lane.unit_names or measured


def how(found: Normed) -> str:
    """Said of an untrained net's result: by which images batch norm normalised."""
    if found.statistics != "batch":
        return ""
    return f", {statistics_said(found.statistics, getattr(found, 'n_images', None))}"
