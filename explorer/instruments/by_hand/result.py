"""What a net answers without some units, or with them in another order, beside the intact net."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explorer.instruments.contract import Column, Result
from explorer.results.common import Floats, wilson_interval
from explorer.results.statistics import Statistics

Counts = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Flip:
    """One image whose answer is another one now.

    Attributes:
        picture: uint8 (H, W, C), as the net sees it.
        true, before, after: Classes.
        confidence: Probability that the net now gives its answer, in [0, 1].
    """

    picture: NDArray[np.uint8]
    true: int
    before: int
    after: int
    confidence: float


@dataclass(frozen=True, eq=False)
class ProgramAnswers(Result):
    """Right answers by class, intact and with a program, and the images between them.

    Attributes:
        program: Units in the order applied; those that are missing were deleted.
        of_class: Images of each class.
        intact, right: (classes,): right answers of the intact net, and with the program.
        broken: Images that were right and are wrong now.
        mended: Images that were wrong and are right now.
        changed: Images with another answer, whether right or not.
        flips: A few of them, the broken first.
        statistics: What batch norms normalised by (:mod:`explorer.results.statistics`).
    """

    columns = (
        Column("class"),
        Column("images"),
        Column("intact", unit="%", digits=1),
        Column("now", unit="%", digits=1, bar=True),
        Column("low_95", "95 % from", unit="%", digits=1),
        Column("high_95", "to", unit="%", digits=1),
    )

    net: str
    data: str
    program: tuple[str, ...]
    deleted: tuple[str, ...]
    of_class: Counts
    intact: Counts
    right: Counts
    broken: int
    mended: int
    changed: int
    flips: tuple[Flip, ...]
    statistics: Statistics | None = None

    @property
    def n_images(self) -> int:
        return int(self.of_class.sum())

    @property
    def accuracy(self) -> float:
        return float(self.right.sum() / self.n_images)

    @property
    def baseline_accuracy(self) -> float:
        return float(self.intact.sum() / self.n_images)

    def interval(self) -> tuple[float, float]:
        """95 % Wilson interval of ``accuracy``."""
        return wilson_interval(self.accuracy, self.n_images)

    def shares(self) -> tuple[Floats, Floats]:
        """Accuracy of each class, intact and with the program; NaN without images."""
        n = np.where(self.of_class > 0, self.of_class, 1)
        none = np.where(self.of_class > 0, 0.0, np.nan)
        return self.intact / n + none, self.right / n + none

    def intervals(self) -> Floats:
        """(classes, 2): 95 % Wilson intervals of each class's accuracy; NaN without images."""
        nothing = (float("nan"), float("nan"))
        return np.asarray(
            [
                wilson_interval(int(right) / int(n), int(n)) if n else nothing
                for right, n in zip(self.right, self.of_class, strict=True)
            ]
        )

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """A row a class."""
        shares = (column.tolist() for column in (*self.shares(), *self.intervals().T))
        return zip(range(len(self.of_class)), self.of_class.tolist(), *shares, strict=True)

    def to_json(self, *, partial: bool = False) -> dict[str, Any]:
        """Also what follows from the counts."""
        also = ("n_images", "accuracy", "baseline_accuracy")
        return {
            **super().to_json(partial=partial),
            **{name: getattr(self, name) for name in also},
        }
