"""What the instruments return: frozen records of NumPy arrays and plain values.

Each result names the net, the data and the number of images it was measured on, turns into a
table (``to_frame``) and into plain JSON values (``to_json``) and back (``from_json``). No torch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def wilson_interval(correct: float, n: int, z: float = 1.96) -> tuple[float, float]:
    """95 % Wilson score interval of a share measured on ``n`` images (both ends in [0, 1])."""
    if n <= 0:
        return 0.0, 1.0
    share = correct
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return max(0.0, centre - half), min(1.0, centre + half)


@dataclass(frozen=True)
class LesionCurve:
    """Accuracy after deleting each single unit (Veit16 Fig 3; SGS15 Fig 4).

    Attributes:
        units: Names of the deleted units, in forward order; only deletable ones.
        accuracy: Share of correct answers in [0, 1], one per unit.
    """

    net: str
    data: str
    n_images: int
    baseline_accuracy: float
    units: tuple[str, ...]
    accuracy: Floats

    def intervals(self) -> Floats:
        """(units, 2): 95 % Wilson intervals."""
        rows = [wilson_interval(float(a), self.n_images) for a in self.accuracy]
        return np.asarray(rows, dtype=np.float64).reshape(-1, 2)

    def to_frame(self) -> pd.DataFrame:
        low_high = self.intervals()
        return pd.DataFrame(
            {
                "unit": list(self.units),
                "accuracy": self.accuracy,
                "low_95": low_high[:, 0],
                "high_95": low_high[:, 1],
            }
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "net": self.net,
            "data": self.data,
            "n_images": self.n_images,
            "baseline_accuracy": self.baseline_accuracy,
            "units": [
                {"name": name, "accuracy": float(a)}
                for name, a in zip(self.units, self.accuracy, strict=True)
            ],
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> LesionCurve:
        return cls(
            net=value["net"],
            data=value["data"],
            n_images=int(value["n_images"]),
            baseline_accuracy=float(value["baseline_accuracy"]),
            units=tuple(row["name"] for row in value["units"]),
            accuracy=np.asarray([row["accuracy"] for row in value["units"]], dtype=np.float64),
        )


@dataclass(frozen=True)
class ProgramResult:
    """Accuracy of a net whose units were applied in another order or left out.

    Attributes:
        program: Names of the units in the order applied.
        per_class: Accuracy of each class; NaN (null in JSON) for a class without images.
    """

    net: str
    data: str
    n_images: int
    program: tuple[str, ...]
    accuracy: float
    per_class: Floats

    def to_json(self) -> dict[str, Any]:
        return {
            "net": self.net,
            "data": self.data,
            "n_images": self.n_images,
            "program": list(self.program),
            "accuracy": self.accuracy,
            "per_class": [None if math.isnan(v) else float(v) for v in self.per_class],
        }


@dataclass(frozen=True)
class LayerGradients:
    """Gradient magnitude by layer on a fixed batch (He15 §4.1; SGS15 §1).

    Attributes:
        layers: Weight layers in forward order (blueprint names).
        depth_index: Position as the paper counts depth; 0 for projections and gates.
        parameter_rms: √mean((∂L/∂w)²) over the weights of each layer, L the mean loss.
        units: Unit names in forward order.
        output_rms: √mean((∂ℓ_i/∂y_i)²) over examples i and entries of each unit's output y.
    """

    net: str
    data: str
    n_images: int
    loss: float
    layers: tuple[str, ...]
    depth_index: tuple[int, ...]
    parameter_rms: Floats
    units: tuple[str, ...]
    output_rms: Floats

    def to_frame(self) -> pd.DataFrame:
        return pd.DataFrame(
            {
                "layer": list(self.layers),
                "depth_index": list(self.depth_index),
                "parameter_rms": self.parameter_rms,
            }
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "net": self.net,
            "data": self.data,
            "n_images": self.n_images,
            "loss": self.loss,
            "layers": [
                {"name": n, "depth_index": d, "parameter_rms": float(v)}
                for n, d, v in zip(self.layers, self.depth_index, self.parameter_rms, strict=True)
            ],
            "units": [
                {"name": n, "output_rms": float(v)}
                for n, v in zip(self.units, self.output_rms, strict=True)
            ],
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> LayerGradients:
        return cls(
            net=value["net"],
            data=value["data"],
            n_images=int(value["n_images"]),
            loss=float(value["loss"]),
            layers=tuple(row["name"] for row in value["layers"]),
            depth_index=tuple(int(row["depth_index"]) for row in value["layers"]),
            parameter_rms=np.asarray([r["parameter_rms"] for r in value["layers"]], np.float64),
            units=tuple(row["name"] for row in value["units"]),
            output_rms=np.asarray([r["output_rms"] for r in value["units"]], np.float64),
        )


@dataclass(frozen=True)
class GateMeans:
    """Transform gates T(x) by unit (SGS15 Fig 2).

    Attributes:
        mean: Mean of T over images and entries, in (0, 1), one per gated unit.
        sd: Standard deviation over images and entries.
        bias: Mean of b_T of each unit.
    """

    net: str
    data: str
    n_images: int
    units: tuple[str, ...]
    mean: Floats
    sd: Floats
    bias: Floats

    def to_frame(self) -> pd.DataFrame:
        return pd.DataFrame(
            {"unit": list(self.units), "mean": self.mean, "sd": self.sd, "bias": self.bias}
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "net": self.net,
            "data": self.data,
            "n_images": self.n_images,
            "units": [
                {"name": n, "mean": float(m), "sd": float(s), "bias": float(b)}
                for n, m, s, b in zip(self.units, self.mean, self.sd, self.bias, strict=True)
            ],
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> GateMeans:
        rows = value["units"]
        return cls(
            net=value["net"],
            data=value["data"],
            n_images=int(value["n_images"]),
            units=tuple(row["name"] for row in rows),
            mean=np.asarray([row["mean"] for row in rows], dtype=np.float64),
            sd=np.asarray([row["sd"] for row in rows], dtype=np.float64),
            bias=np.asarray([row["bias"] for row in rows], dtype=np.float64),
        )


@dataclass(frozen=True)
class Prediction:
    """Class probabilities of one image (softmax of the logits), one row per net."""

    net: str
    probabilities: Floats
    true_class: int | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "net": self.net,
            "probabilities": [float(p) for p in self.probabilities],
            "true_class": self.true_class,
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Prediction:
        probabilities = np.asarray(value["probabilities"], dtype=np.float64)
        return cls(value["net"], probabilities, value["true_class"])


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
            f"step {(i + 1) * every}: {mean * 1000:.4g} ms a batch" for i, mean in enumerate(means)
        ]

    def summary(self) -> str:
        """Mean ± standard deviation, median, images and operations a second, conditions."""
        sd = self.seconds.std(ddof=1) if len(self.seconds) > 1 else 0.0
        rate = self.n_images / self.median
        return (
            f"{self.seconds.mean() * 1000:.4g} ± {sd * 1000:.2g} ms a batch of {self.n_images} "
            f"(n = {len(self.seconds)} after {self.burn_in} of burn-in), median "
            f"{self.median * 1000:.4g} ms, {rate:,.1f} images/s, "
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
