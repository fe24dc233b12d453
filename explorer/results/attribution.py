"""Which pixels and which units carried a decision."""

from __future__ import annotations

import base64
import io
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from explorer.results.common import Floats
from explorer.results.statistics import Statistics

if TYPE_CHECKING:
    import pandas as pd

Method = Literal["saliency", "integrated_gradients", "grad_cam", "occlusion"]
METHODS: tuple[Method, ...] = get_args(Method)
Baseline = Literal["black", "white", "mean"]
BASELINES: tuple[Baseline, ...] = get_args(Baseline)


@dataclass(frozen=True)
class Decision:
    """What is explained: the logit of one class, of one net, for one image.

    Attributes:
        image: ``test image 12``, or the file's name.
        deleted: Units that were left out.
        target: The class whose logit is explained.
        predicted: The class that the net, with what was deleted, finds likeliest.
        true_class: None for a person's own image.
        logit: f(x) of the target.
        probability: Its softmax, in [0, 1].
        statistics: What batch norms normalised by (:mod:`explorer.results.statistics`).
    """

    net: str
    data: str
    image: str
    deleted: tuple[str, ...]
    target: int
    target_name: str
    predicted: int
    predicted_name: str
    true_class: int | None
    logit: float
    probability: float
    statistics: Statistics | None = None

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "deleted": list(self.deleted)}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Decision:
        return cls(**{**value, "deleted": tuple(value["deleted"])})


@dataclass(frozen=True, eq=False)
class Attribution:
    """A map of evidence for one class over one image; see :mod:`explorer.probes.attribution`.

    Attributes:
        picture: uint8 (H, W, C), as the net sees it.
        values: (h, w), positive for the class, negative against it; saliency has no sign. Coarser
            than the picture for Grad-CAM: each value stands for H/h × W/w pixels.
        unit: Of Grad-CAM, else None.
        baseline: Of integrated gradients and occlusion, else None, like its logit f(x′).
        n_steps: Of integrated gradients, else None.
        window: Of occlusion, side in pixels, else None.
    """

    decision: Decision
    method: Method
    picture: NDArray[np.uint8]
    values: Floats
    unit: str | None = None
    baseline: Baseline | None = None
    baseline_logit: float | None = None
    n_steps: int | None = None
    window: int | None = None

    def error(self) -> float | None:
        """Sum of the map less f(x) − f(x′), in logits; None where it need not add up."""
        if self.method != "integrated_gradients" or self.baseline_logit is None:
            return None
        return float(self.values.sum() - (self.decision.logit - self.baseline_logit))

    def to_frame(self) -> pd.DataFrame:
        import pandas as pd

        rows, columns = np.indices(self.values.shape)
        return pd.DataFrame(
            {
                "net": self.decision.net,
                "row": rows.ravel(),
                "column": columns.ravel(),
                "value": self.values.ravel(),
            }
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "decision": self.decision.to_json(),
            "method": self.method,
            "unit": self.unit,
            "baseline": self.baseline,
            "baseline_logit": self.baseline_logit,
            "n_steps": self.n_steps,
            "window": self.window,
            "error": self.error(),
            "picture": to_png(self.picture),
            "values": self.values.tolist(),
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Attribution:
        kept = {k: v for k, v in value.items() if k in cls.__dataclass_fields__}
        return cls(
            **{
                **kept,
                "decision": Decision.from_json(value["decision"]),
                "picture": from_png(value["picture"]),
                "values": np.asarray(value["values"], dtype=np.float64),
            }
        )


@dataclass(frozen=True, eq=False)
class UnitConductance:
    """How much of f(x) − f(x′) flows through each unit and around it, in logits.

    Attributes:
        units: All units in forward order.
        branch: By the unit's own layers; 0 where it was deleted.
        shortcut: By its shortcut, carried input or earlier maps; 0 for plain units.
    """

    decision: Decision
    baseline: Baseline
    baseline_logit: float
    n_steps: int
    units: tuple[str, ...]
    branch: Floats
    shortcut: Floats

    @property
    def whole(self) -> float:
        """f(x) − f(x′)."""
        return self.decision.logit - self.baseline_logit

    def errors(self) -> Floats:
        """Of each unit: the two parts' sum less the whole."""
        return self.branch + self.shortcut - self.whole

    def to_frame(self) -> pd.DataFrame:
        import pandas as pd

        return pd.DataFrame(
            {
                "net": self.decision.net,
                "unit": list(self.units),
                "branch": self.branch,
                "shortcut": self.shortcut,
                "error": self.errors(),
            }
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "decision": self.decision.to_json(),
            "baseline": self.baseline,
            "baseline_logit": self.baseline_logit,
            "n_steps": self.n_steps,
            "whole": self.whole,
            "units": [
                {"name": name, "branch": float(b), "shortcut": float(s), "error": float(e)}
                for name, b, s, e in zip(
                    self.units, self.branch, self.shortcut, self.errors(), strict=True
                )
            ],
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> UnitConductance:
        rows = value["units"]
        return cls(
            decision=Decision.from_json(value["decision"]),
            baseline=value["baseline"],
            baseline_logit=float(value["baseline_logit"]),
            n_steps=int(value["n_steps"]),
            units=tuple(row["name"] for row in rows),
            branch=np.asarray([row["branch"] for row in rows], dtype=np.float64),
            shortcut=np.asarray([row["shortcut"] for row in rows], dtype=np.float64),
        )


def to_png(pixels: NDArray[np.uint8]) -> str:
    """uint8 (H, W, C) of 1 or 3 channels as a PNG, base64."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def from_png(text: str) -> NDArray[np.uint8]:
    """The pixels of :func:`to_png`."""
    from PIL import Image

    with Image.open(io.BytesIO(base64.b64decode(text)), formats=["PNG"]) as picture:
        pixels = np.asarray(picture, dtype=np.uint8)
    return pixels[..., None] if pixels.ndim == 2 else pixels
