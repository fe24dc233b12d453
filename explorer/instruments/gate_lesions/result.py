"""Accuracy with gates held at a value instead of looking at their input."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from explorer.instruments.contract import Column
from explorer.instruments.lesion_results import ACCURACY, LesionStudy
from explorer.structure.blueprint import GateKind

GateValue = float | Literal["mean"]


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

    columns = (Column("held_at", "held at"), Column("unit"), *ACCURACY)

    units: tuple[str, ...]
    values: tuple[GateValue, ...]
    gate: GateKind

    def programs(self) -> Iterator[tuple[Any, ...]]:
        for value in self.values:
            for unit in (*self.units, "(all)"):
                yield str(value), unit
