"""Moments of a training, and the curves they make."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from explorer.results.common import Floats
from explorer.results.statistics import Statistics

# Of everything that is recorded of a lane, the values that are always there; Record says more.
RECORD_VALUES: dict[str, tuple[str, ...]] = {
    "step": ("loss", "error", "learning_rate"),
    "eval": ("train_loss", "train_error", "test_loss", "test_error", "n_train", "n_test"),
    "layers": ("parameter_rms", "output_rms"),
    "gates": ("mean",),
    "responses": ("sd",),
    "lesions": ("accuracy", "baseline", "n"),
    "diverged": ("message",),
    "reached": ("message",),
    "failed": ("message",),
    "forked": ("message",),
    "deleted": ("units",),
}
RECORD_KINDS = tuple(RECORD_VALUES)


@dataclass(frozen=True)
class Record:
    """One moment of a training, as the loop yields it and the store keeps it.

    ``kind`` and the keys of ``values``:

    ========== ==========================================================================
    step       loss, error (share of this batch), learning_rate; with several seeds by_seed
    eval       train_loss, train_error (fixed subset), test_loss, test_error, n_train,
               n_test; with several seeds by_seed; before the first step of nets with batch norm
               statistics, ``batch``: those of the evaluated images (none of later ones: running)
    layers     parameter_rms (list, blueprint.weight_layers), output_rms (list, units), before
               clipping; clip (what clipping multiplied this gradient by, where the recipe clips)
    gates      mean (list, gated units)
    responses  sd (list, layers that count as depth but the classifier; He15 Fig 7)
    lesions    accuracy (list, deletable units), baseline, n
    diverged   message: the lane stopped; the others go on
    reached    message: likewise, as its test error is small enough
    failed     message: likewise, for want of memory
    forked     from (a lane), message: this lane goes on from that one's state
    deleted    units (list of names): passed by from now on
    ========== ==========================================================================

    Of several seeds the plain values are the first one's; ``by_seed`` has a list for each of
    them, the first included, None where a seed's net has ended.
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
class SeedBand:
    """Evaluations of one lane that is trained from several seeds.

    Attributes:
        step: (evaluations,).
        seeds: (seeds,).
        train_loss, train_error, test_loss, test_error: (evaluations, seeds); NaN where a seed's
            net had ended.
    """

    name: str
    seeds: tuple[int, ...]
    step: Floats
    train_loss: Floats
    train_error: Floats
    test_loss: Floats
    test_error: Floats

    @classmethod
    def from_records(cls, name: str, first_seed: int, records: Iterable[Record]) -> SeedBand | None:
        """From records of kind ``eval`` in order of step; None where there is but one seed."""
        rows = [record for record in records if "by_seed" in record.values]
        if not rows:
            return None
        columns = {
            key: np.asarray(
                [[np.nan if v is None else v for v in r.values["by_seed"][key]] for r in rows],
                dtype=np.float64,
            )
            for key in ("train_loss", "train_error", "test_loss", "test_error")
        }
        n = columns["test_error"].shape[1]
        steps = np.asarray([record.step for record in rows], dtype=np.float64)
        return cls(name, tuple(range(first_seed, first_seed + n)), steps, **columns)

    def spread(self, quantity: str) -> tuple[Floats, Floats, Floats]:
        """(lowest, median, highest) over the seeds that still train, at each evaluation."""
        values = getattr(self, quantity)
        shown = ~np.isnan(values).all(1)
        low, middle, high = (np.full(len(values), np.nan) for _ in range(3))
        low[shown] = np.nanmin(values[shown], 1)
        middle[shown] = np.nanmedian(values[shown], 1)
        high[shown] = np.nanmax(values[shown], 1)
        return low, middle, high


@dataclass(frozen=True)
class TrainingCurves:
    """Loss (nats) and error (share, [0, 1]) of one lane while it trains.

    Attributes:
        step, batch_loss, batch_error: Every update, measured on its own batch.
        eval_step, train_loss, train_error, test_loss, test_error: Every evaluation; training
            values on a fixed subset of ``n_train`` images, test values on ``n_test``.
        at_start: By which statistics the untrained net was evaluated, where that is known.
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
    at_start: Statistics | None = None

    def until(self, step: int) -> TrainingCurves:
        """What was known after that step."""
        batches, evals = self.step <= step, self.eval_step <= step
        cut = {
            name: getattr(self, name)[mask]
            for mask, names in (
                (batches, ("step", "batch_loss", "batch_error")),
                (evals, ("eval_step", "train_loss", "train_error", "test_loss", "test_error")),
            )
            for name in names
        }
        return replace(self, **cut)

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
