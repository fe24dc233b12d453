"""Numbers and lists in the sentences of all instruments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from explorer.results import Statistics, statistics_said
from explorer.structure.blueprint import Blueprint
from explorer.structure.mean_field import doubling, padding_factor
from explorer.structure.specs import PlainSpec, ResidualSpec
from explorer.writing.wording import count as count
from explorer.writing.wording import listed as listed
from explorer.writing.wording import percent as percent
from explorer.writing.wording import times as times


class Shown(Protocol):
    """What the sentences need of a lane."""

    @property
    def plan(self) -> Blueprint | None: ...
    @property
    def done(self) -> bool: ...
    @property
    def unit_names(self) -> tuple[str, ...]: ...


class Normed(Protocol):
    """A result that says by which statistics batch norm normalised."""

    @property
    def statistics(self) -> Statistics | None: ...


def power(base: int, exponent: int) -> str:
    """ "2²⁷"."""
    return f"{base}{str(exponent).translate(str.maketrans('0123456789', '⁰¹²³⁴⁵⁶⁷⁸⁹'))}"


def so_far(lane: Shown) -> str:
    """Said of results that are still being refined."""
    return "" if lane.done else ", so far"


def block(lane: Shown, unit: str) -> str:
    """ "block 12 (stages.1.units.3)": its place among all units, as on the axes."""
    names = lane.unit_names
    return f"block {names.index(unit) + 1} ({unit})" if unit in names else unit


def ends(values: Sequence[float], k: int = 3) -> tuple[float, float] | None:
    """Medians of the first and the last ``k`` values; None where there are too few to compare."""
    if len(values) < 2 * k:
        return None
    return sorted(values[:k])[k // 2], sorted(values[-k:])[k // 2]


def at_the_edges(lane: Shown, *, squared: bool = False) -> str:
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


def units_of(lane: Shown, measured: tuple[str, ...]) -> tuple[str, ...]:
    """Names of all units, which are the places on the axis."""
    return lane.unit_names or measured


def how(found: Normed) -> str:
    """Said of an untrained net's result: by which images batch norm normalised."""
    if found.statistics != "batch":
        return ""
    return f", {statistics_said(found.statistics, getattr(found, 'n_images', None))}"
