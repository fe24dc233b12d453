"""Trainings over nets, depths and seeds: how each ended, and its evaluations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from explorer.results.common import Floats, floats

if TYPE_CHECKING:
    import pandas as pd

Quantity = Literal["train_loss", "train_error", "test_loss", "test_error"]
QUANTITIES: tuple[Quantity, ...] = ("train_loss", "train_error", "test_loss", "test_error")
# How a run ended: after its last step; or before it, for this reason
Outcome = Literal["", "reached", "seconds", "diverged", "failed"]


@dataclass(frozen=True)
class SweepRun:
    """One net of one depth from one seed, trained to its end.

    Attributes:
        net: What was swept, with N for the depth: ``plain_N``.
        depth: As the paper counts it.
        step: (evaluations,), updates done.
        train_loss, train_error, test_loss, test_error: (evaluations,); losses in nats, errors as
            shares; training values on a fixed subset. NaN where a loss was not finite.
        seconds: Of training, evaluations included; of all its seeds where they are trained
            together.
        outcome: Empty where it came to its last step; ``reached`` its target error, used up its
            ``seconds``, ``diverged``, or ``failed`` for want of memory.
        ended: The same as a sentence, or empty.
    """

    net: str
    title: str
    depth: int
    seed: int
    parameters: int
    step: Floats
    train_loss: Floats
    train_error: Floats
    test_loss: Floats
    test_error: Floats
    seconds: float
    outcome: Outcome = ""
    ended: str = ""

    @property
    def lost(self) -> bool:
        """Whether there is no trained net at its end."""
        return self.outcome in ("diverged", "failed") or not len(self.step)

    @property
    def steps(self) -> int:
        """Updates before the last evaluation."""
        return int(self.step[-1]) if len(self.step) else 0

    def last(self, quantity: Quantity) -> float:
        """Its value at the last evaluation; NaN without any."""
        values = getattr(self, quantity)
        return float(values[-1]) if len(values) else math.nan

    def to_json(self) -> dict[str, Any]:
        columns = {name: getattr(self, name).tolist() for name in ("step", *QUANTITIES)}
        return {
            **{name: getattr(self, name) for name in _PLAIN},
            **{k: [None if math.isnan(v) else v for v in row] for k, row in columns.items()},
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> SweepRun:
        columns = {name: floats(value[name]) for name in ("step", *QUANTITIES)}
        return cls(**{**value, **columns})


_PLAIN = ("net", "title", "depth", "seed", "parameters", "seconds", "outcome", "ended")


@dataclass(frozen=True)
class SweepResult:
    """A sweep as far as it has come.

    Attributes:
        data: Name of the data set.
        recipe: Name of the recipe, and what was chosen otherwise.
        nets: What is swept, in order: the lanes of its figures.
        planned: How many runs there are to be; those done are in ``runs``.
        n_train, n_test: Images of an evaluation; 0 before the first run is done.
    """

    data: str
    recipe: str
    steps: int
    n_train: int
    n_test: int
    nets: tuple[str, ...]
    planned: int
    runs: tuple[SweepRun, ...]

    @property
    def seeds(self) -> tuple[int, ...]:
        """Of the runs that are done."""
        return tuple(sorted({run.seed for run in self.runs}))

    def by_depth(self, net: str, quantity: Quantity) -> tuple[Floats, Floats, Floats, Floats]:
        """(depth, lowest, median, highest) over the seeds at their last evaluation.

        Runs that diverged, or failed, are left out.
        """
        found: dict[int, list[float]] = {}
        for run in self.runs:
            value = run.last(quantity)
            if run.net == net and not run.lost and not math.isnan(value):
                found.setdefault(run.depth, []).append(value)
        rows = [(d, min(v), float(np.median(v)), max(v)) for d, v in sorted(found.items())]
        depth, low, middle, high = np.asarray(rows, dtype=np.float64).reshape(-1, 4).T
        return depth, low, middle, high

    def label(self, net: str) -> str:
        """``ResNet v2 N`` for ``resnet_v2_N``; the name itself before a run of it is done."""
        run = next((run for run in self.runs if run.net == net), None)
        return net if run is None else run.title.replace(str(run.depth), "N", 1)

    def caption(self) -> str:
        """What was measured, on how many images, and what is not shown."""
        n = f"{self.n_test:,} test images and {self.n_train:,} training images"
        first, last = (self.seeds or (0,))[0], (self.seeds or (0,))[-1]
        seeds = f"seed {first}" if first == last else f"seeds {first} to {last}, median and range"
        how = f"{self.steps:,} steps on {self.data}, recipe {self.recipe}"
        parts = [f"Error after {how}; {n}; {seeds}" if self.runs else how]
        if len(self.runs) < self.planned:
            parts.append(f"{len(self.runs)} of {self.planned} trainings are done")
        early = [run for run in self.runs if run.outcome in ("reached", "seconds")]
        if early:
            parts.append(f"{len(early)} ended before the last step, as the recipe says")
        lost = [f"{run.title} (seed {run.seed})" for run in self.runs if run.lost]
        if lost:
            more = f" and {len(lost) - 3} more" if len(lost) > 3 else ""
            parts.append(f"Left out, because they diverged or failed: {', '.join(lost[:3])}{more}")
        return ". ".join(parts) + "."

    def of(self, net: str) -> Sequence[SweepRun]:
        """Its runs, in order of depth and seed."""
        mine = [run for run in self.runs if run.net == net]
        return sorted(mine, key=lambda run: (run.depth, run.seed))

    def to_frame(self) -> pd.DataFrame:
        import pandas as pd

        head, tail = _PLAIN[:5], _PLAIN[5:]
        columns = (*head, "steps", *QUANTITIES, *tail)
        rows = [
            {
                **{name: getattr(run, name) for name in (*_PLAIN, "steps")},
                **{name: run.last(name) for name in QUANTITIES},
            }
            for net in self.nets
            for run in self.of(net)
        ]
        return pd.DataFrame(rows, columns=list(columns))

    def to_json(self) -> dict[str, Any]:
        plain = ("data", "recipe", "steps", "n_train", "n_test", "planned")
        return {
            **{name: getattr(self, name) for name in plain},
            "nets": list(self.nets),
            "runs": [run.to_json() for run in self.runs],
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> SweepResult:
        runs = tuple(SweepRun.from_json(run) for run in value["runs"])
        return cls(**{**value, "nets": tuple(value["nets"]), "runs": runs})
