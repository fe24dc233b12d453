"""Accuracy with several units deleted, moved, swapped, or with gates held."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from explorer.results.common import Floats, Split
from explorer.results.lesions import ByClass, intervals, listed
from explorer.results.statistics import Statistics, kept_statistics

if TYPE_CHECKING:
    import pandas as pd

Moves = Literal["pairs", "neighbours"]
GateValue = float | Literal["mean"]


@dataclass(frozen=True, kw_only=True)
class LesionStudy:
    """What these studies share: programs measured on the same images as the intact net.

    Attributes:
        n_images: Of ``images``: test images, or training images.
        baseline_accuracy: Of the intact net, in [0, 1].
        accuracy: Share of correct answers, one per program; its axes are the subclass's.
        recalibrated: Training images by which batch norm's statistics were measured anew for
            each program, and for the intact net; 0 leaves them as trained.
        statistics: What batch norms normalised by (:mod:`explorer.results.statistics`).
    """

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

    def _shared_json(self, *, by_class: bool) -> dict[str, Any]:
        value = {
            "net": self.net,
            "data": self.data,
            "n_images": self.n_images,
            "statistics": self.statistics,
            "baseline_accuracy": self.baseline_accuracy,
            "accuracy": listed(self.accuracy),
            "recalibrated": self.recalibrated,
            "images": self.images,
        }
        if by_class and self.by_class is not None:
            value["by_class"] = self.by_class.to_json()
        return value

    def _frame(self, columns: dict[str, Any]) -> pd.DataFrame:
        import pandas as pd

        low_high = self.intervals().reshape(-1, 2)
        return pd.DataFrame(
            {
                **columns,
                "accuracy": self.accuracy.ravel(),
                "low_95": low_high[:, 0],
                "high_95": low_high[:, 1],
                **(self.by_class.columns() if self.by_class else {}),
            }
        )


def _shared(value: dict[str, Any]) -> dict[str, Any]:
    """The fields of :class:`LesionStudy` from JSON."""
    return {
        "net": value["net"],
        "data": value["data"],
        "n_images": int(value["n_images"]),
        "baseline_accuracy": float(value["baseline_accuracy"]),
        "accuracy": np.asarray(value["accuracy"], dtype=np.float64),
        "recalibrated": int(value["recalibrated"]),
        "statistics": kept_statistics(value),
        "by_class": ByClass.from_json(value.get("by_class")),
        "images": value.get("images", "test"),
    }


@dataclass(frozen=True, kw_only=True)
class LesionBand(LesionStudy):
    """Accuracy against the number of units deleted at random (Veit16 Fig 5a).

    Attributes:
        deleted: Of each trial the units in the order in which they went: k deletions are the
            first k.
        accuracy: (trials, K): with 1 … K units deleted.
    """

    deleted: tuple[tuple[str, ...], ...]

    @property
    def k(self) -> Floats:
        """1 … K."""
        return np.arange(1, self.accuracy.shape[1] + 1, dtype=np.float64)

    def quantiles(self, *shares: float) -> Floats:
        """(len(shares), K): over the trials."""
        return np.quantile(self.accuracy, shares, axis=0)

    def to_frame(self) -> pd.DataFrame:
        """One line for each trial and k; ``unit`` is the last one deleted."""
        trials, most = self.accuracy.shape
        return self._frame(
            {
                "trial": np.repeat(np.arange(1, trials + 1), most),
                "k": np.tile(np.arange(1, most + 1), trials),
                "unit": [unit for units in self.deleted for unit in units],
            }
        )

    def to_json(self, *, by_class: bool = True) -> dict[str, Any]:
        return {
            **self._shared_json(by_class=by_class),
            "deleted": [list(units) for units in self.deleted],
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> LesionBand:
        return cls(**_shared(value), deleted=tuple(tuple(units) for units in value["deleted"]))


@dataclass(frozen=True, kw_only=True)
class ShuffleLesions(LesionStudy):
    """Accuracy against how far units of one shape were reordered (Veit16 Fig 5b).

    Attributes:
        units: All units of the net, in order.
        orders: Of each trial and point the order: positions among ``units``.
        tau: (trials, points): Kendall's τ between the order and the intact one, over all units:
            (concordant − discordant pairs) / pairs. 1 is intact.
        swaps: (trials, points): how many changes of place led there.
        moves: ``pairs``: any two units of one shape change places (as Veit16 does);
            ``neighbours``: two neighbours that still stood in order.
        lowest_tau: With every group of alike units reversed; below that no order can come.
        accuracy: (trials, points).
    """

    units: tuple[str, ...]
    orders: tuple[tuple[tuple[int, ...], ...], ...]
    tau: Floats
    swaps: Floats
    moves: Moves
    lowest_tau: float

    def to_frame(self) -> pd.DataFrame:
        trials, points = self.accuracy.shape
        return self._frame(
            {
                "trial": np.repeat(np.arange(1, trials + 1), points),
                "swaps": self.swaps.ravel().astype(int),
                "tau": self.tau.ravel(),
            }
        )

    def to_json(self, *, by_class: bool = True) -> dict[str, Any]:
        return {
            **self._shared_json(by_class=by_class),
            "units": list(self.units),
            "orders": [[list(order) for order in row] for row in self.orders],
            "tau": listed(self.tau),
            "swaps": self.swaps.astype(int).tolist(),
            "moves": self.moves,
            "lowest_tau": self.lowest_tau,
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> ShuffleLesions:
        return cls(
            **_shared(value),
            units=tuple(value["units"]),
            orders=tuple(tuple(tuple(order) for order in row) for row in value["orders"]),
            tau=np.asarray(value["tau"], dtype=np.float64),
            swaps=np.asarray(value["swaps"], dtype=np.float64),
            moves=value["moves"],
            lowest_tau=float(value["lowest_tau"]),
        )


@dataclass(frozen=True, kw_only=True)
class SwapLesions(LesionStudy):
    """Accuracy after two units of one shape have changed places.

    Attributes:
        units: All units of the net, in order.
        first, second: Of each swap the positions among ``units``; first < second.
        accuracy: (swaps,).
    """

    units: tuple[str, ...]
    first: tuple[int, ...]
    second: tuple[int, ...]

    def matrix(self) -> Floats:
        """(units, units), symmetric; NaN where no swap was measured, the diagonal is intact."""
        table = np.full((len(self.units),) * 2, np.nan)
        table[self.first, self.second] = table[self.second, self.first] = self.accuracy
        inside = sorted({*self.first, *self.second})
        table[inside, inside] = self.baseline_accuracy
        return table

    def to_frame(self) -> pd.DataFrame:
        return self._frame(
            {
                "first": [self.units[i] for i in self.first],
                "second": [self.units[i] for i in self.second],
                "distance": np.subtract(self.second, self.first),
            }
        )

    def to_json(self, *, by_class: bool = True) -> dict[str, Any]:
        return {
            **self._shared_json(by_class=by_class),
            "units": list(self.units),
            "first": list(self.first),
            "second": list(self.second),
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> SwapLesions:
        return cls(
            **_shared(value),
            units=tuple(value["units"]),
            first=tuple(value["first"]),
            second=tuple(value["second"]),
        )


@dataclass(frozen=True, kw_only=True)
class StageLesions(LesionStudy):
    """Accuracy after deleting all units of a stage that can be deleted.

    Attributes:
        stages: Names of the stages that were deleted; those without a deletable unit are not.
        deleted: Of each the units that went.
        kept: Of each the units that had to stay, because they change the shape.
        accuracy: (stages,).
    """

    stages: tuple[str, ...]
    deleted: tuple[tuple[str, ...], ...]
    kept: tuple[tuple[str, ...], ...]

    def to_frame(self) -> pd.DataFrame:
        return self._frame(
            {
                "stage": list(self.stages),
                "deleted": [len(units) for units in self.deleted],
                "kept": [len(units) for units in self.kept],
            }
        )

    def to_json(self, *, by_class: bool = True) -> dict[str, Any]:
        return {
            **self._shared_json(by_class=by_class),
            "stages": [
                {"name": name, "deleted": list(deleted), "kept": list(kept)}
                for name, deleted, kept in zip(self.stages, self.deleted, self.kept, strict=True)
            ],
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> StageLesions:
        rows = value["stages"]
        return cls(
            **_shared(value),
            stages=tuple(row["name"] for row in rows),
            deleted=tuple(tuple(row["deleted"]) for row in rows),
            kept=tuple(tuple(row["kept"]) for row in rows),
        )


@dataclass(frozen=True, kw_only=True)
class GateLesions(LesionStudy):
    """Accuracy with gates held at a value instead of looking at their input.

    Attributes:
        units: Units with a gate, in order.
        values: What the gates are held at: a number in [0, 1], or ``mean``, each entry's mean
            over training images.
        gate: ``transform``: T of highway units; ``shortcut``: g of gated shortcuts (He16 §3.1).
        accuracy: (values, units + 1): with the gate of one unit held, and last with all held.
    """

    units: tuple[str, ...]
    values: tuple[GateValue, ...]
    gate: Literal["transform", "shortcut"]

    def to_frame(self) -> pd.DataFrame:
        columns = len(self.units) + 1
        return self._frame(
            {
                "held_at": np.repeat([str(value) for value in self.values], columns),
                "unit": [*self.units, "(all)"] * len(self.values),
            }
        )

    def to_json(self, *, by_class: bool = True) -> dict[str, Any]:
        return {
            **self._shared_json(by_class=by_class),
            "units": list(self.units),
            "values": list(self.values),
            "gate": self.gate,
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> GateLesions:
        return cls(
            **_shared(value),
            units=tuple(value["units"]),
            values=tuple(value["values"]),
            gate=value["gate"],
        )
