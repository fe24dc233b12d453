"""Units that a training passes by: k of n in every batch, or deleted for good."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import cast

from torch import Tensor, nn

from explorer.data.order import permutation
from explorer.errors import SpecError
from explorer.measuring.programs import compile_program, without
from explorer.nets import Net, Unit
from explorer.nets.layers import Survival
from explorer.structure.blueprint import Blueprint

_DRAW = 5  # stream of random numbers for the units of a batch


def deletable(net: Net) -> list[nn.Module]:
    """Units without which the net still computes, in forward order."""
    return [
        unit for unit, plan in zip(net.units, net.blueprint.units, strict=True) if plan.deletable
    ]


def drawn(n: int, k: int, seed: int, step: int) -> list[int]:
    """Which ``k`` of ``n`` units act at a step (Veit16 §4.3): a function of (n, seed, step)."""
    return sorted(permutation(n, _DRAW, seed, step)[:k].tolist())


def check_enough(net: Net, k: int, lane: str) -> None:
    """Raises :class:`SpecError` where the net has fewer than ``k`` units that can be left out."""
    n = len(deletable(net))
    if k > n:
        raise SpecError(
            f"{k} units cannot act in each batch of {lane}, which has {n} that can be passed by: "
            f"choose units_per_batch up to {n}, or none for all."
        )


@contextmanager
def acting(net: Net, absent: Sequence[nn.Module]) -> Iterator[None]:
    """Inside the block all units act but those ``absent``: stochastic depth draws none itself.

    Evaluations are as the net says: with survival_prob = k/n, uniform, p·F (SD16 Eq 5).
    """
    draws = [module for module in net.modules() if isinstance(module, Survival)]
    with passed_by(absent):
        for module in draws:
            module.forward = _as_it_is  # type: ignore[method-assign]
        try:
            yield
        finally:
            restore(draws)


def _as_it_is(x: Tensor) -> Tensor:
    return x


def checked(plan: Blueprint, names: Sequence[str]) -> tuple[str, ...]:
    """The named units in forward order.

    Raises:
        NotApplicableError: This net has no such unit, or cannot do without it.
    """
    program = compile_program(plan, without(plan, names))
    return tuple(plan.units[step.unit].name for step in program if step.bypass)


def pass_by(units: Iterable[nn.Module]) -> None:
    """From now on each unit returns what remains without it (its ``bypass``); hooks see that."""
    for unit in units:
        unit.forward = cast(Unit, unit).bypass


def pass_by_named(net: Net, names: Iterable[str]) -> None:
    """:func:`pass_by` of the units with these names."""
    by_name = dict(zip(net.unit_names, net.units, strict=True))
    pass_by(by_name[name] for name in names)


def restore(units: Iterable[nn.Module]) -> None:
    """Takes :func:`pass_by` back."""
    for unit in units:
        unit.__dict__.pop("forward", None)


@contextmanager
def passed_by(units: Sequence[nn.Module]) -> Iterator[None]:
    """:func:`pass_by` inside the block; units that were passed by before stay so."""
    fresh = [unit for unit in units if "forward" not in unit.__dict__]
    pass_by(fresh)
    try:
        yield
    finally:
        restore(fresh)
