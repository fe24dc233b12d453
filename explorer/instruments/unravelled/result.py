"""Paths of a few units switched off (Veit16 Fig 1)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from explorer.instruments.contract import Column, Result
from explorer.results.common import wilson_interval
from explorer.results.statistics import Statistics


@dataclass(frozen=True)
class PathEffect:
    """What is left without some paths.

    Attributes:
        path: Its digits, where it is a single one; else empty.
        accuracy: Share of right answers.
        changed: Share of images that get another answer than from the intact net.
        shift: Mean over images of ‖Δz‖ / ‖z‖, z the intact logits less their mean.
    """

    path: str
    accuracy: float
    changed: float
    shift: float

    @property
    def length(self) -> int:
        return self.path.count("1")


@dataclass(frozen=True)
class UnravelledView(Result):
    """Paths of a few units switched off (Veit16 Fig 1), as ``graph.py`` here defines it.

    Attributes:
        units: The unravelled ones, in forward order: a digit of each path.
        off: Paths that were switched off.
        without: What is left without all of these; ``together`` in JSON.
        single: Without one path each: all 2ⁿ, from the shortest.
        statistics: What batch norms normalised by (:mod:`explorer.results.statistics`).
    """

    columns = (
        Column("path_off", "path off"),
        Column("length"),
        Column("accuracy", "right", unit="%", digits=1),
        Column("low_95", "95 % interval from", unit="%", digits=1),
        Column("high_95", "to", unit="%", digits=1),
        Column("changed", "answers changed", unit="%", digits=1),
        Column("shift", "logits moved", unit="%", digits=1),
    )

    net: str
    data: str
    n_images: int
    units: tuple[str, ...]
    off: tuple[str, ...]
    intact_accuracy: float
    without: PathEffect
    single: tuple[PathEffect, ...]
    statistics: Statistics | None = None

    def interval(self, effect: PathEffect) -> tuple[float, float]:
        """95 % Wilson interval of its accuracy."""
        return wilson_interval(effect.accuracy, self.n_images)

    def to_json(self, *, partial: bool = False) -> dict[str, Any]:
        value = super().to_json(partial=partial)
        return {**value, "together": value.pop("without")}

    @classmethod
    def upgraded(cls, value: dict[str, Any]) -> dict[str, Any]:
        """``together``, which is a word of every result's, is the field ``without``."""
        return {**value, "without": value.get("together")}

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """Without one path each."""
        for effect in self.single:
            yield effect.path, effect.length, *self.row(effect)

    def row(self, effect: PathEffect) -> tuple[float, float, float, float, float]:
        """Accuracy and its interval, answers changed, logits moved."""
        low, high = self.interval(effect)
        return effect.accuracy, low, high, effect.changed, effect.shift
