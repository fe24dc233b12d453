"""Multiplicity, the third dimension beside depth and width (Veit16 §1): paths of a blueprint.

No torch. Whoever makes a net deeper by a unit doubles its paths; whoever makes it wider adds none.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from explorer.blueprint import Blueprint, UnitPlan, blueprint
from explorer.errors import NotApplicableError
from explorer.external import ExternalSpec
from explorer.names import token_of
from explorer.paths import binomial, poisson_binomial
from explorer.results.paths import Multiplicity, NetPaths, PathLengths
from explorer.specs import MAX_DEPTH, DenseSpec, NetSpec, parse_net

TWO_WAYS = ("residual", "highway", "dense")
DEPTHS = 9  # nets of other depths, at most
WIDTHS = (0.25, 0.5, 1, 2, 4)


def parts_ways(unit: UnitPlan) -> bool:
    """Whether paths part at this unit."""
    return unit.kind in TWO_WAYS


def path_lengths(plan: Blueprint, name: str | None = None) -> PathLengths:
    """How many paths a net has of each length; a plain net has one, of length 0.

    Args:
        name: What the result calls the net; None takes its token.
    """
    parting = [unit for unit in plan.units if parts_ways(unit)]
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
        two_way=sum(parts_ways(unit) for unit in plan.units),
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
