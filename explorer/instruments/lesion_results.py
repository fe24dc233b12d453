"""Accuracy with units deleted, moved, swapped, or with gates held: what these results share."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from explorer.errors import NotApplicableError
from explorer.instruments.contract import Column, Result
from explorer.results.common import Floats, Split, intervals
from explorer.results.statistics import Statistics

ACCURACY = (
    Column("accuracy", "right", unit="%", digits=2, bar=True),
    Column("low_95", "95 % from", unit="%", digits=2),
    Column("high_95", "to", unit="%", digits=2),
)


@dataclass(frozen=True)
class ByClass:
    """The same accuracies, class by class.

    Attributes:
        classes: Their names.
        n_images: (classes,): how many images of each there were.
        baseline: (classes,): of the intact net; NaN for a class without images.
        accuracy: (…, classes): the result's accuracies, one more axis.
    """

    classes: tuple[str, ...]
    n_images: NDArray[np.int64]
    baseline: Floats
    accuracy: Floats


@dataclass(frozen=True, kw_only=True)
class LesionStudy(Result):
    """Programs measured on the same images as the intact net.

    Attributes:
        n_images: Of ``images``: test images, or training images.
        baseline_accuracy: Of the intact net, in [0, 1].
        accuracy: Share of correct answers, one per program; its axes are the subclass's.
        recalibrated: Training images by which batch norm's statistics were measured anew for
            each program, and for the intact net; 0 leaves them as trained.
        by_class: The same class by class; None where it was not kept.
        statistics: What batch norms normalised by (:mod:`explorer.results.statistics`).
    """

    left_out = ("by_class",)  # of partial results and cards: ten times as many numbers

    net: str
    data: str
    n_images: int
    baseline_accuracy: float
    accuracy: Floats
    recalibrated: int = 0
    by_class: ByClass | None = None
    images: Split = "test"
    statistics: Statistics | None = None

    def intervals(self) -> Floats:
        """(…, 2): 95 % Wilson intervals of the accuracies."""
        return intervals(self.accuracy, self.n_images)

    def programs(self) -> Iterator[tuple[Any, ...]]:
        """What was done in each program: the first columns of its row."""
        raise NotImplementedError

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """What was done, the accuracy, and its interval."""
        bounds = self.intervals().reshape(-1, 2).tolist()
        for done, share, (low, high) in zip(
            self.programs(), self.accuracy.ravel().tolist(), bounds, strict=True
        ):
            yield (*done, share, low, high)

    def more_columns(self) -> Mapping[str, Any]:
        """The accuracies of each class."""
        if self.by_class is None:
            return {}
        flat = self.by_class.accuracy.reshape(-1, len(self.by_class.classes))
        return {f"class {name}": flat[:, i] for i, name in enumerate(self.by_class.classes)}


S = TypeVar("S", bound=LesionStudy)


def of_class(result: S, which: str) -> S:
    """The same result for the images of one class alone; its ``data`` says so.

    Args:
        which: The class's name; or its number from 0, where no class has that for a name.

    Raises:
        NotApplicableError: There is no such class, or no image of it.
    """
    by_class = result.by_class
    if by_class is None:
        raise NotApplicableError("This result was not kept class by class; measure it again.")
    names = by_class.classes
    if which not in names and which.isascii() and which.isdigit() and int(which) < len(names):
        which = names[int(which)]
    if which not in names:
        near = difflib.get_close_matches(which, names, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(names)}."
        raise NotApplicableError(f"There is no class {which!r}: {hint}")
    index = names.index(which)
    n = int(by_class.n_images[index])
    if n == 0:
        raise NotApplicableError(f"Among these images is none of the class {which!r}; take more.")
    return replace(
        result,
        data=f"{result.data}, class {which}",
        n_images=n,
        baseline_accuracy=float(by_class.baseline[index]),
        accuracy=by_class.accuracy[..., index],
        by_class=None,
    )
