"""Measures claims again. Loads torch, by the modules of :mod:`explorer.claims.measures`."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from explorer.claims.contract import Claim


@dataclass(frozen=True)
class Verdict:
    """What the measure of a claim gives now.

    Attributes:
        measured: One number, or one for each seed or net.
    """

    claim: Claim
    measured: tuple[float, ...]

    @property
    def holds(self) -> bool:
        """Whether every number is within the row's bounds; of no number at all, no."""
        assert self.claim.holds is not None
        low, high = self.claim.holds
        return bool(self.measured) and all(low <= value <= high for value in self.measured)


def measure_of(claim: Claim) -> Callable[..., float | Sequence[float]]:
    """The function that bears a claim."""
    if claim.bears is None:
        raise ValueError(f"{claim.key} quotes a paper; nothing measures it")
    module, _, function = claim.bears.partition(":")
    found: Callable[..., float | Sequence[float]] = getattr(
        importlib.import_module(f"explorer.claims.measures.{module}"), function
    )
    return found


def check(claim: Claim) -> Verdict:
    """Measure a claim that has a measure."""
    value = measure_of(claim)(**claim.given)
    numbers = (value,) if isinstance(value, (int, float)) else tuple(value)
    return Verdict(claim, tuple(float(n) if not math.isnan(n) else math.nan for n in numbers))
