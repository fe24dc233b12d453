"""What the layers and branches answer: size, direction, and how near the end a unit is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from explorer.results.common import Floats, floats, wilson_interval
from explorer.results.statistics import Statistics, kept_statistics

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class LayerResponses:
    """Standard deviation of each layer's response (He15 Fig 7).

    Attributes:
        statistics: What batch norms normalised by (:mod:`explorer.results.statistics`).
        layers: Layers that count as depth, but the classifier, in forward order.
        depth_index: Their positions as the paper counts depth, from 1.
        sd: √( mean(r²) − mean(r)² ) over all images and entries of the response r: the layer's
            output after its batch norm (where one follows at once), before activation and
            addition.
    """

    net: str
    data: str
    n_images: int
    statistics: Statistics | None
    layers: tuple[str, ...]
    depth_index: tuple[int, ...]
    sd: Floats

    def sorted(self) -> Floats:
        """From the greatest to the least, as in the lower half of Fig 7."""
        return np.asarray(np.sort(self.sd)[::-1], np.float64)

    def to_frame(self) -> pd.DataFrame:
        import pandas as pd

        return pd.DataFrame(
            {"layer": list(self.layers), "depth_index": list(self.depth_index), "sd": self.sd}
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "net": self.net,
            "data": self.data,
            "n_images": self.n_images,
            "statistics": self.statistics,
            "layers": [
                {"name": n, "depth_index": d, "sd": float(v)}
                for n, d, v in zip(self.layers, self.depth_index, self.sd, strict=True)
            ],
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> LayerResponses:
        rows = value["layers"]
        return cls(
            net=value["net"],
            data=value["data"],
            n_images=int(value["n_images"]),
            statistics=kept_statistics(value),
            layers=tuple(row["name"] for row in rows),
            depth_index=tuple(int(row["depth_index"]) for row in rows),
            sd=floats(row["sd"] for row in rows),
        )


@dataclass(frozen=True)
class BranchResponses:
    """How large each unit's F is, which way it points, and what the last ReLU cuts.

    h is the unit's input and F what is added to it: the residual branch as it is added, or, of a
    highway unit, y − h = T(h)·(H(h) − h).

    Attributes:
        statistics: See :class:`LayerResponses`.
        units: Units with a shortcut, in forward order.
        ratio: Mean over images of ‖F(h)‖ / ‖h‖ (Jastrzebski18).
        ratio_sd: Standard deviation over images.
        cosine: Mean over images of cos(F(h), ∂ℓ/∂h), ℓ the image's own loss: below 0 F steps
            down the loss (Jastrzebski18). NaN where F and h differ in shape.
        cosine_sd: Standard deviation over images.
        cut: Share of negative entries before the ReLU that follows the addition (it sets them to
            0); NaN where none follows.
    """

    net: str
    data: str
    n_images: int
    statistics: Statistics | None
    units: tuple[str, ...]
    ratio: Floats
    ratio_sd: Floats
    cosine: Floats
    cosine_sd: Floats
    cut: Floats

    def to_frame(self) -> pd.DataFrame:
        import pandas as pd

        return pd.DataFrame(
            {"unit": list(self.units), **{name: getattr(self, name) for name in _COLUMNS}}
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "net": self.net,
            "data": self.data,
            "n_images": self.n_images,
            "statistics": self.statistics,
            "units": [
                {"name": unit, **{name: float(getattr(self, name)[i]) for name in _COLUMNS}}
                for i, unit in enumerate(self.units)
            ],
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> BranchResponses:
        rows = value["units"]
        return cls(
            net=value["net"],
            data=value["data"],
            n_images=int(value["n_images"]),
            statistics=kept_statistics(value),
            units=tuple(row["name"] for row in rows),
            **{name: floats(row[name] for row in rows) for name in _COLUMNS},
        )


_COLUMNS = ("ratio", "ratio_sd", "cosine", "cosine_sd", "cut")


@dataclass(frozen=True)
class ClassifierByUnit:
    """The classifier applied to each unit's output of the last stage (Jastrzebski18).

    Attributes:
        statistics: See :class:`LayerResponses`.
        units: Units whose output the classifier takes, in forward order; the last is the net's.
        accuracy: Share of correct answers in [0, 1].
        loss: Mean cross-entropy.
    """

    net: str
    data: str
    n_images: int
    statistics: Statistics | None
    units: tuple[str, ...]
    accuracy: Floats
    loss: Floats

    def intervals(self) -> Floats:
        """(units, 2): 95 % Wilson intervals of the accuracy."""
        rows = [wilson_interval(float(a), self.n_images) for a in self.accuracy]
        return np.asarray(rows, dtype=np.float64).reshape(-1, 2)

    def to_frame(self) -> pd.DataFrame:
        import pandas as pd

        low_high = self.intervals()
        return pd.DataFrame(
            {
                "unit": list(self.units),
                "accuracy": self.accuracy,
                "low_95": low_high[:, 0],
                "high_95": low_high[:, 1],
                "loss": self.loss,
            }
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "net": self.net,
            "data": self.data,
            "n_images": self.n_images,
            "statistics": self.statistics,
            "units": [
                {"name": n, "accuracy": float(a), "loss": float(v)}
                for n, a, v in zip(self.units, self.accuracy, self.loss, strict=True)
            ],
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> ClassifierByUnit:
        rows = value["units"]
        return cls(
            net=value["net"],
            data=value["data"],
            n_images=int(value["n_images"]),
            statistics=kept_statistics(value),
            units=tuple(row["name"] for row in rows),
            accuracy=floats(row["accuracy"] for row in rows),
            loss=floats(row["loss"] for row in rows),
        )


@dataclass(frozen=True)
class EstimationError:
    """Each unit's output against the last of its stage: y_i − y_end (Greff17).

    Attributes:
        statistics: See :class:`LayerResponses`.
        units: In forward order; of each stage those whose output has the shape of its last.
        stage: Of each unit, from 0.
        mean: Mean error over images and entries; near 0 where units refine one estimate.
        sd: Standard deviation of the error over the same; falls to 0 at the stage's end.
        scale: Root mean square of y_end, to compare stages by.
    """

    net: str
    data: str
    n_images: int
    statistics: Statistics | None
    units: tuple[str, ...]
    stage: tuple[int, ...]
    mean: Floats
    sd: Floats
    scale: Floats

    def to_frame(self) -> pd.DataFrame:
        import pandas as pd

        return pd.DataFrame(
            {
                "unit": list(self.units),
                "stage": list(self.stage),
                "mean": self.mean,
                "sd": self.sd,
                "scale": self.scale,
            }
        )

    def to_json(self) -> dict[str, Any]:
        columns = (self.mean, self.sd, self.scale)
        return {
            "net": self.net,
            "data": self.data,
            "n_images": self.n_images,
            "statistics": self.statistics,
            "units": [
                {"name": n, "stage": s, "mean": float(m), "sd": float(d), "scale": float(e)}
                for n, s, m, d, e in zip(self.units, self.stage, *columns, strict=True)
            ],
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> EstimationError:
        rows = value["units"]
        return cls(
            net=value["net"],
            data=value["data"],
            n_images=int(value["n_images"]),
            statistics=kept_statistics(value),
            units=tuple(row["name"] for row in rows),
            stage=tuple(int(row["stage"]) for row in rows),
            mean=floats(row["mean"] for row in rows),
            sd=floats(row["sd"] for row in rows),
            scale=floats(row["scale"] for row in rows),
        )
