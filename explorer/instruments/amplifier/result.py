"""The worked example of a small change: for a plain map, and for F."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from explorer.errors import NotApplicableError
from explorer.instruments.contract import Column, Result


@dataclass(frozen=True)
class WorkedExample(Result):
    """A unit that maps ``x`` to ``before`` is asked to map it to ``after`` instead.

    A plain unit's whole output changes: (after − before) / before. A residual unit's branch gives
    F = output − x, a small number, so that the same change is a large share of it:
    (after − before) / (before − x). For 5 → 5.1 → 5.2 that is 2 % against 100 %.

    Raises:
        NotApplicableError: A share of nothing: ``before`` is 0, or equals ``x``.
    """

    columns = (
        Column("map", ""),
        Column("before"),
        Column("after"),
        Column("change", unit="%", digits=2),
    )

    x: float = 5.0
    before: float = 5.1
    after: float = 5.2

    def __post_init__(self) -> None:
        if not np.isfinite([self.x, self.before, self.after]).all():
            raise NotApplicableError("The example takes three finite numbers, such as 5 5.1 5.2.")
        if self.before in (0, self.x):
            raise NotApplicableError(
                "The first output must be neither 0 nor the input, for the change is a share of it "
                "and of their difference; try 5 5.1 5.2."
            )

    @property
    def residual_before(self) -> float:
        return self.before - self.x

    @property
    def residual_after(self) -> float:
        return self.after - self.x

    @property
    def plain_change(self) -> float:
        """Share by which the plain map's output changes."""
        return abs((self.after - self.before) / self.before)

    @property
    def residual_change(self) -> float:
        """Share by which F changes."""
        return abs((self.after - self.before) / self.residual_before)

    @property
    def amplification(self) -> float:
        """How many times the plain map's change F's is: |before| / |before − x|."""
        return abs(self.before / self.residual_before)

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """The plain map's output, then F's."""
        yield "plain map", self.before, self.after, self.plain_change
        yield "residual F", self.residual_before, self.residual_after, self.residual_change
