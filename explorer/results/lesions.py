"""Accuracy with units deleted or in another order."""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np

from explorer.errors import NotApplicableError
from explorer.results.common import Floats, Split, floats, wilson_interval
from explorer.results.statistics import Statistics, kept_statistics

if TYPE_CHECKING:
    import pandas as pd


def intervals(accuracy: Floats, n: Floats | int) -> Floats:
    """(…, 2): 95 % Wilson intervals of shares measured on ``n`` images each."""
    counts = np.broadcast_to(np.asarray(n), accuracy.shape)
    pairs = [
        wilson_interval(float(a), int(m)) for a, m in zip(accuracy.flat, counts.flat, strict=True)
    ]
    return np.asarray(pairs, dtype=np.float64).reshape(*accuracy.shape, 2)


def only_guesses(accuracy: float, n: int, chance: float) -> bool:
    """Whether an accuracy on ``n`` images cannot be told from guessing."""
    low, _ = wilson_interval(accuracy, n)
    return low <= chance


@dataclass(frozen=True)
class ByClass:
    """The same accuracies, class by class.

    Attributes:
        names: Of the classes.
        n_images: (classes,): how many images of each there were.
        baseline: (classes,): of the intact net; NaN for a class without images.
        accuracy: (…, classes): the result's accuracies, one more axis.
    """

    names: tuple[str, ...]
    n_images: Floats
    baseline: Floats
    accuracy: Floats

    def columns(self) -> dict[str, Floats]:
        """For a table: a column a class."""
        flat = self.accuracy.reshape(-1, len(self.names))
        return {f"class {name}": flat[:, i] for i, name in enumerate(self.names)}

    def to_json(self) -> dict[str, Any]:
        return {
            "classes": list(self.names),
            "n_images": [int(n) for n in self.n_images],
            "baseline": listed(self.baseline),
            "accuracy": listed(self.accuracy),
        }

    @classmethod
    def from_json(cls, value: dict[str, Any] | None) -> ByClass | None:
        if value is None:
            return None
        return cls(
            names=tuple(value["classes"]),
            n_images=floats(value["n_images"]),
            baseline=floats(value["baseline"]),
            accuracy=np.asarray(value["accuracy"], dtype=np.float64),  # null becomes NaN
        )


def listed(values: Floats) -> Any:
    """Nested lists, with None for what is not finite."""
    if values.ndim == 1:
        return [float(v) if math.isfinite(v) else None for v in values]
    return [listed(row) for row in values]


class HasClasses(Protocol):
    """A result that may also be known class by class."""

    @property
    def by_class(self) -> ByClass | None: ...


R = TypeVar("R", bound=HasClasses)


def of_class(result: R, which: str) -> R:
    """The same result for the images of one class alone; its ``data`` says so.

    Raises:
        NotApplicableError: There is no such class, or no image of it.
    """
    classes = result.by_class
    if classes is None:
        raise NotApplicableError("This result was not kept class by class; measure it again.")
    if which not in classes.names:
        near = difflib.get_close_matches(which, classes.names, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(classes.names)}."
        raise NotApplicableError(f"There is no class {which!r}: {hint}")
    index = classes.names.index(which)
    n = int(classes.n_images[index])
    if n == 0:
        raise NotApplicableError(f"Among these images is none of the class {which!r}; take more.")
    shown: R = replace(  # type: ignore[type-var]
        result,
        data=f"{result.data}, class {which}",  # type: ignore[attr-defined]
        n_images=n,
        baseline_accuracy=float(classes.baseline[index]),
        accuracy=classes.accuracy[..., index],
        by_class=None,
    )
    return shown


@dataclass(frozen=True)
class LesionCurve:
    """Accuracy after deleting each single unit (Veit16 Fig 3; SGS15 Fig 4).

    Attributes:
        units: Names of the deleted units, in forward order; only deletable ones.
        accuracy: Share of correct answers in [0, 1], one per unit.
        recalibrated: Training images by which batch norm's statistics were measured anew for
            each deletion, and for the intact net; 0 leaves them as trained.
        by_class: The same class by class; None where it was not kept.
        images: Whether they are test images, or training images as in SGS15.
        statistics: What batch norms normalised by (:mod:`explorer.results.statistics`).
    """

    net: str
    data: str
    n_images: int
    baseline_accuracy: float
    units: tuple[str, ...]
    accuracy: Floats
    recalibrated: int = 0
    by_class: ByClass | None = None
    images: Split = "test"
    statistics: Statistics | None = None

    def intervals(self) -> Floats:
        """(units, 2): 95 % Wilson intervals."""
        return intervals(self.accuracy, self.n_images)

    def to_frame(self) -> pd.DataFrame:
        import pandas as pd

        low_high = self.intervals()
        return pd.DataFrame(
            {
                "unit": list(self.units),
                "accuracy": self.accuracy,
                "low_95": low_high[:, 0],
                "high_95": low_high[:, 1],
                **(self.by_class.columns() if self.by_class else {}),
            }
        )

    def to_json(self, *, by_class: bool = True) -> dict[str, Any]:
        """Plain values; ``by_class`` False leaves those out, which are many."""
        value: dict[str, Any] = {
            "net": self.net,
            "data": self.data,
            "n_images": self.n_images,
            "statistics": self.statistics,
            "baseline_accuracy": self.baseline_accuracy,
            "units": [
                {"name": name, "accuracy": float(a)}
                for name, a in zip(self.units, self.accuracy, strict=True)
            ],
            "recalibrated": self.recalibrated,
            "images": self.images,
        }
        if by_class and self.by_class is not None:
            value["by_class"] = self.by_class.to_json()
        return value

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> LesionCurve:
        return cls(
            net=value["net"],
            data=value["data"],
            statistics=kept_statistics(value),
            n_images=int(value["n_images"]),
            baseline_accuracy=float(value["baseline_accuracy"]),
            units=tuple(row["name"] for row in value["units"]),
            accuracy=np.asarray([row["accuracy"] for row in value["units"]], dtype=np.float64),
            recalibrated=int(value.get("recalibrated", 0)),
            by_class=ByClass.from_json(value.get("by_class")),
            images=value.get("images", "test"),
        )


@dataclass(frozen=True)
class ProgramResult:
    """Accuracy of a net whose units were applied in another order or left out.

    Attributes:
        program: Names of the units in the order applied.
        per_class: Accuracy of each class; NaN (null in JSON) for a class without images.
        statistics: What batch norms normalised by (:mod:`explorer.results.statistics`).
    """

    net: str
    data: str
    n_images: int
    program: tuple[str, ...]
    accuracy: float
    per_class: Floats
    statistics: Statistics | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "net": self.net,
            "data": self.data,
            "n_images": self.n_images,
            "statistics": self.statistics,
            "program": list(self.program),
            "accuracy": self.accuracy,
            "per_class": [None if math.isnan(v) else float(v) for v in self.per_class],
        }
