"""What a chart needs of a training: a few thousand points a lane, kept up to date as it runs.

Every record stays on disk (:mod:`explorer.runs.store`); here is the copy that figures are drawn
from. Where it gets long, equal runs of neighbouring points become their mean, as He15 plots the
training error; their lengths are powers of two, so that what was drawn stays where it was.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from explorer.results import Floats, Record, Statistics, TrainingCurves
from explorer.results.statistics import kept_statistics

STEP_COLUMNS = ("step", "loss", "error")
EVAL_COLUMNS = ("step", "train_loss", "train_error", "test_loss", "test_error")
KEPT_POINTS = 32_768  # of a lane, in memory


def number(value: Any) -> float:
    """A recorded value as a float; NaN where none was recorded (a diverged loss)."""
    return float(value) if isinstance(value, (int, float)) else math.nan


def merge(table: Floats, run: int) -> Floats:
    """Means over runs of ``run`` neighbouring rows; the last run may be shorter."""
    if run == 1 or len(table) == 0:
        return table
    starts = np.arange(0, len(table), run)
    counts = np.diff(np.append(starts, len(table)))
    means: Floats = np.add.reduceat(table, starts, axis=0) / counts[:, None]
    return means


def power_of_two(rows: int, most: int) -> int:
    """The shortest run, a power of two, that leaves at most ``most`` of ``rows`` points."""
    run = 1
    while math.ceil(rows / run) > most:
        run *= 2
    return run


class Series:
    """Columns of numbers in order of step, appended to cheaply and read thinned.

    ``run`` consecutive values have been merged into each stored point but the last, which is
    still filling; ``run`` doubles whenever the series is full.
    """

    def __init__(self, columns: tuple[str, ...]) -> None:
        self.columns = columns
        self._table = np.empty((256, len(columns)), dtype=np.float64)
        self._rows = 0
        self._run = 1
        self._filled = 1  # values in the last point

    def __len__(self) -> int:
        return self._rows

    def append(self, step: int, values: Mapping[str, Any]) -> None:
        row = [step, *(number(values.get(name)) for name in self.columns[1:])]
        if self._rows and self._filled < self._run:
            last = self._table[self._rows - 1]
            last += (np.asarray(row) - last) / (self._filled + 1)
            self._filled += 1
            return
        if self._rows == KEPT_POINTS:
            self._keep(merge(self._table, 2))
            self._run *= 2
        if self._rows == len(self._table):
            self._table = np.concatenate([self._table, np.empty_like(self._table)])
        self._table[self._rows] = row
        self._rows += 1
        self._filled = 1

    def load(self, table: Floats, run: int = 1, filled: int = 1) -> None:
        """Replaces everything by rows in order of step, each the mean of ``run`` values."""
        self._keep(table)
        self._run, self._filled = run, filled

    def read(self, max_points: int) -> dict[str, Floats]:
        """Columns by name, at most ``max_points`` long; the caller's own."""
        table = merge(self._table[: self._rows], power_of_two(self._rows, max_points))
        return {name: table[:, column].copy() for column, name in enumerate(self.columns)}

    def _keep(self, table: Floats) -> None:
        self._rows = len(table)
        self._table = np.empty((max(256, self._rows), len(self.columns)), dtype=np.float64)
        self._table[: self._rows] = table


class LaneHistory:
    """One lane's curves, and the latest of what is drawn as a profile."""

    def __init__(self) -> None:
        self.steps = Series(STEP_COLUMNS)
        self.evals = Series(EVAL_COLUMNS)
        self.latest: dict[str, Record] = {}  # by kind
        self.first_layers: Record | None = None  # the gradients of the first step
        self.at_start: Statistics | None = None  # what the untrained net was evaluated by
        self.by_seed: list[Record] = []  # evaluations, where there are several seeds

    def add(self, record: Record) -> None:
        if record.kind == "step":
            self.steps.append(record.step, record.values)
        elif record.kind == "eval":
            self.evals.append(record.step, record.values)
            self.at_start = kept_statistics(record.values) or self.at_start
            if "by_seed" in record.values:
                self.by_seed.append(record)
        elif record.kind == "layers" and self.first_layers is None:
            self.first_layers = record
        self.latest[record.kind] = record


def training_curves(name: str, history: LaneHistory, max_points: int) -> TrainingCurves:
    """What is drawn of a lane's curves, at most ``max_points`` long."""
    steps, evals = history.steps.read(max_points), history.evals.read(max_points)
    sizes = history.latest["eval"].values if "eval" in history.latest else {}
    return TrainingCurves(
        name=name,
        step=steps["step"],
        batch_loss=steps["loss"],
        batch_error=steps["error"],
        eval_step=evals["step"],
        train_loss=evals["train_loss"],
        train_error=evals["train_error"],
        test_loss=evals["test_loss"],
        test_error=evals["test_error"],
        n_train=int(sizes.get("n_train", 0)),
        n_test=int(sizes.get("n_test", 0)),
        at_start=history.at_start,
    )
