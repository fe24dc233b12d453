"""Multiplicity, the third dimension beside depth and width (Veit16 §1): paths of a blueprint.

No torch. Whoever makes a net deeper by a unit doubles its paths; whoever makes it wider adds none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from explorer.errors import NotApplicableError
from explorer.instruments.contract import Column, Result
from explorer.results.common import Floats
from explorer.structure.blueprint import Blueprint, blueprint
from explorer.structure.library_nets import ExternalSpec
from explorer.structure.names import token_of
from explorer.structure.path_combinatorics import binomial, poisson_binomial
from explorer.structure.specs import MAX_DEPTH, DenseSpec, NetSpec, parse_net

DEPTHS = 9  # nets of other depths, at most
WIDTHS = (0.25, 0.5, 1, 2, 4)


@dataclass(frozen=True)
class PathLengths(Result):
    """How many paths a net has of each length; closed form.

    Attributes:
        two_way: n, units at which paths part: residual, highway and dense ones.
        one_way: Units that every path takes: transitions, and a plain net's.
        shares: (n + 1,): share of all 2ⁿ paths, C(n, k) / 2ⁿ.
        in_training: With stochastic depth, the same for a path drawn at random in the net that a
            training step draws at random, where unit i is left with chance pᵢ: each branch is
            then taken with chance pᵢ/2 (SD16 §3). None without.
    """

    columns = (
        Column("length", of="lengths"),
        Column("share_of_paths", "of all paths", unit="%", of="shares", digits=2, bar=True),
    )

    net: str
    two_way: int
    one_way: int
    shares: Floats
    in_training: Floats | None = None

    @property
    def mean(self) -> float:
        return float(np.arange(self.two_way + 1) @ self.shares)

    def between(self, low: int, high: int) -> float:
        """Share of all paths whose lengths lie between, ends included."""
        return float(self.shares[low : high + 1].sum())

    @property
    def lengths(self) -> tuple[int, ...]:
        return tuple(range(self.two_way + 1))

    def more_columns(self) -> Mapping[str, Any]:
        return {} if self.in_training is None else {"share_in_training": self.in_training}


@dataclass(frozen=True)
class NetPaths:
    """One net among others: 2^two_way paths.

    Attributes:
        width: Filters of the first stage, or the growth rate of a dense net.
    """

    net: str
    depth: int
    width: int
    parameters: int
    two_way: int


@dataclass(frozen=True)
class Multiplicity(Result):
    """Paths of a net, of nets of its kind of other depths, and of other widths."""

    columns = (
        Column("net"),
        Column("depth"),
        Column("width"),
        Column("parameters"),
        Column("two_way", "paths, 2 to the power"),
    )

    net: NetPaths
    deeper: tuple[NetPaths, ...]
    wider: tuple[NetPaths, ...]

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """Each net once."""
        for one in dict.fromkeys((*self.deeper, *self.wider)):
            yield one.net, one.depth, one.width, one.parameters, one.two_way


def path_lengths(plan: Blueprint, name: str | None = None) -> PathLengths:
    """How many paths a net has of each length; a plain net has one, of length 0.

    Args:
        name: What the result calls the net; None takes its token.
    """
    parting = [unit for unit in plan.units if unit.parts_ways]
    survival = [unit.survival_prob for unit in parting]
    drawn = any(chance < 1 for chance in survival)
    return PathLengths(
        net=token_of(plan.spec) if name is None else name,
        two_way=len(parting),
        one_way=len(plan.units) - len(parting),
        shares=binomial(len(parting)),
        in_training=poisson_binomial([chance / 2 for chance in survival]) if drawn else None,
    )


def multiplicity(spec: NetSpec) -> Multiplicity:
    """Paths against parameters: the net, others of its kind that are deeper or shallower, and
    others that are wider or narrower.

    Raises:
        NotApplicableError: Another library's net, which has no other depths or widths.
    """
    if isinstance(spec, ExternalSpec):
        raise NotApplicableError(
            f"{spec.name} is another library's net, whose depth and width cannot be changed here: "
            "choose a net of `skipscope list`."
        )
    return Multiplicity(
        net=_paths_of(spec),
        deeper=tuple(_paths_of(_changed(spec, depth=depth)) for depth in _depths(spec)),
        wider=tuple(_paths_of(_changed(spec, **width)) for width in _widths(spec)),
    )


def _paths_of(spec: NetSpec) -> NetPaths:
    plan = blueprint(spec)
    return NetPaths(
        net=token_of(spec),
        depth=spec.depth,
        width=getattr(spec, _width_field(spec)),
        parameters=plan.parameters,
        two_way=sum(unit.parts_ways for unit in plan.units),
    )


def _changed(spec: NetSpec, **fields: Any) -> NetSpec:
    return parse_net({**spec.model_dump(), **fields})


def _width_field(spec: NetSpec) -> str:
    return "growth_rate" if isinstance(spec, DenseSpec) else "width"


def _widths(spec: NetSpec) -> Iterator[dict[str, int]]:
    field = _width_field(spec)
    most = 256 if isinstance(spec, DenseSpec) else 2048
    here: int = getattr(spec, field)
    for width in sorted({min(most, max(1, round(here * factor))) for factor in WIDTHS}):
        yield {field: width}


def _depths(spec: NetSpec) -> list[int]:
    """The net's own depth among others that are possible, from the least to twice as many."""
    table = spec.depth_table()
    if table is not None:
        return sorted({*table, spec.depth})
    step, _, least = spec.depth_rule() or (1, 0, 2)
    possible = list(range(least, min(2 * spec.depth, MAX_DEPTH) + 1, step))
    every = max(1, round(len(possible) / DEPTHS))
    return sorted({*possible[::every], spec.depth})
