"""Which units carried a decision."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from explorer.instruments.contract import Column, Result, grouped
from explorer.instruments.decisions import Baseline, Decision, OfDecision
from explorer.results.common import Floats


@dataclass(frozen=True, eq=False)
class UnitConductance(OfDecision, Result):
    """How much of f(x) − f(x′) flows through each unit and around it, in logits.

    Attributes:
        units: All units in forward order.
        branch: By the unit's own layers; 0 where it was deleted.
        shortcut: By its shortcut, carried input or earlier maps; 0 for plain units.
    """

    columns = (
        Column("unit", "block"),
        Column("branch", "through", unit="logits", bar=True),
        Column("shortcut", "around", unit="logits"),
        Column("error", digits=2),
    )
    together = grouped("units", "branch", "shortcut", name="units", error="errors")
    also = ("whole",)

    decision: Decision
    baseline: Baseline
    baseline_logit: float
    n_steps: int
    units: tuple[str, ...]
    branch: Floats
    shortcut: Floats

    @property
    def whole(self) -> float:
        """f(x) − f(x′)."""
        return self.decision.logit - self.baseline_logit

    def errors(self) -> Floats:
        """Of each unit: the two parts' sum less the whole."""
        return self.branch + self.shortcut - self.whole

    def rows(self) -> Iterator[tuple[Any, ...]]:
        numbers = (self.branch, self.shortcut, self.errors())
        return zip(self.units, *(values.tolist() for values in numbers), strict=True)
