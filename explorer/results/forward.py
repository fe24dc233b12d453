"""What forward passes give: class probabilities, and their time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from explorer.results.common import Floats
from explorer.results.statistics import Statistics, kept_statistics


@dataclass(frozen=True)
class Prediction:
    """Class probabilities of one image (softmax of the logits), one row per net.

    Attributes:
        statistics: What batch norms normalised by (:mod:`explorer.results.statistics`).
    """

    net: str
    probabilities: Floats
    true_class: int | None = None
    statistics: Statistics | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "net": self.net,
            "probabilities": [float(p) for p in self.probabilities],
            "true_class": self.true_class,
            "statistics": self.statistics,
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Prediction:
        probabilities = np.asarray(value["probabilities"], dtype=np.float64)
        return cls(value["net"], probabilities, value["true_class"], kept_statistics(value))


@dataclass(frozen=True)
class ForwardTiming:
    """Seconds of forward passes of one batch.

    Attributes:
        n_images: Images a batch.
        burn_in: Steps before the timed ones, not counted.
        seconds: Of each timed step.
        multiply_adds: Of one image.
        layout: ``contiguous`` (NCHW) or ``channels_last``.
    """

    n_images: int
    burn_in: int
    seconds: Floats
    multiply_adds: int
    device: str
    dtype: str
    layout: str
    threads: int

    @property
    def median(self) -> float:
        return float(np.median(self.seconds))

    def lines(self, every: int = 10) -> list[str]:
        """One line for every ``every`` steps: mean seconds a batch of those."""
        whole = len(self.seconds) // every * every
        means = self.seconds[:whole].reshape(-1, every).mean(axis=1)
        return [
            f"step {(i + 1) * every}: {_ms(mean, 4)} ms a batch" for i, mean in enumerate(means)
        ]

    def summary(self) -> str:
        """Mean ± standard deviation, median, images and operations a second, conditions."""
        sd = self.seconds.std(ddof=1) if len(self.seconds) > 1 else 0.0
        rate = self.n_images / self.median
        return (
            f"{_ms(self.seconds.mean(), 4)} ± {_ms(sd, 2)} ms a batch of {self.n_images} "
            f"(n = {len(self.seconds)} after {self.burn_in} of burn-in), median "
            f"{_ms(self.median, 4)} ms, {rate:,.1f} images/s, "
            f"{2 * self.multiply_adds * rate / 1e9:,.1f} GFLOP/s; {self.device}, "
            f"{self.threads} thread{'s' if self.threads > 1 else ''}, {self.dtype}, {self.layout}"
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "n_images": self.n_images,
            "burn_in": self.burn_in,
            "seconds": [float(s) for s in self.seconds],
            "multiply_adds": self.multiply_adds,
            "device": self.device,
            "dtype": self.dtype,
            "layout": self.layout,
            "threads": self.threads,
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> ForwardTiming:
        return cls(**{**value, "seconds": np.asarray(value["seconds"], dtype=np.float64)})


def _ms(seconds: float, digits: int) -> str:
    """Milliseconds with so many significant digits, or all before the point: never ``1.2e+03``."""
    value = seconds * 1000
    return f"{value:,.0f}" if abs(value) >= 10**digits - 0.5 else f"{value:.{digits}g}"
