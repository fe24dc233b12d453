"""Moments of a training, and the curves they make."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from explorer.results.common import Floats


@dataclass(frozen=True)
class Record:
    """One moment of a training, as the loop yields it and the store keeps it.

    ``kind`` and the keys of ``values``:

    ========== ==========================================================================
    step       loss, error (share of this batch), learning_rate
    eval       train_loss, train_error (fixed subset), test_loss, test_error, n_train, n_test
    layers     parameter_rms (list, blueprint.weight_layers), output_rms (list, units)
    gates      mean (list, gated units)
    diverged   message: the lane stopped; the others go on
    checkpoint path
    ========== ==========================================================================
    """

    kind: str
    lane: int
    step: int
    values: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "lane": self.lane, "step": self.step, **self.values}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Record:
        rest = {k: v for k, v in value.items() if k not in ("kind", "lane", "step")}
        return cls(value["kind"], int(value["lane"]), int(value["step"]), rest)


@dataclass(frozen=True)
class TrainingCurves:
    """Loss (nats) and error (share, [0, 1]) of one lane while it trains.

    Attributes:
        step, batch_loss, batch_error: Every update, measured on its own batch.
        eval_step, train_loss, train_error, test_loss, test_error: Every evaluation; training
            values on a fixed subset of ``n_train`` images, test values on ``n_test``.
    """

    name: str
    step: Floats
    batch_loss: Floats
    batch_error: Floats
    eval_step: Floats
    train_loss: Floats
    train_error: Floats
    test_loss: Floats
    test_error: Floats
    n_train: int = 0
    n_test: int = 0

    def smoothed(self, points: int = 200) -> tuple[Floats, Floats, Floats]:
        """(step, loss, error): means over runs of neighbouring batches, at most ``points``."""
        n = len(self.step)
        if n == 0:
            return self.step, self.batch_loss, self.batch_error
        starts = np.arange(0, n, max(5, -(-n // points)))
        counts = np.diff(np.append(starts, n))
        step, loss, error = (
            np.add.reduceat(column, starts) / counts
            for column in (self.step, self.batch_loss, self.batch_error)
        )
        return step, loss, error
