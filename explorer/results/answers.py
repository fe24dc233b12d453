"""What a net answers without some units, or with them in another order, beside the intact net."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from explorer.results.attribution import from_png, to_png
from explorer.results.common import Floats, wilson_interval
from explorer.results.statistics import Statistics, kept_statistics

if TYPE_CHECKING:
    import pandas as pd

Counts = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Flip:
    """One image whose answer is another one now.

    Attributes:
        picture: uint8 (H, W, C), as the net sees it.
        true, before, after: Classes.
        confidence: Probability that the net now gives its answer, in [0, 1].
    """

    picture: NDArray[np.uint8]
    true: int
    before: int
    after: int
    confidence: float

    def to_json(self) -> dict[str, Any]:
        return {
            "picture": to_png(self.picture),
            "true": self.true,
            "before": self.before,
            "after": self.after,
            "confidence": self.confidence,
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Flip:
        return cls(**{**value, "picture": from_png(value["picture"])})


@dataclass(frozen=True, eq=False)
class ProgramAnswers:
    """Right answers by class, intact and with a program, and the images between them.

    Attributes:
        program: Units in the order applied; those that are missing were deleted.
        of_class: Images of each class.
        intact, right: (classes,): right answers of the intact net, and with the program.
        broken: Images that were right and are wrong now.
        mended: Images that were wrong and are right now.
        changed: Images with another answer, whether right or not.
        flips: A few of them, the broken first.
        statistics: What batch norms normalised by (:mod:`explorer.results.statistics`).
    """

    net: str
    data: str
    program: tuple[str, ...]
    deleted: tuple[str, ...]
    of_class: Counts
    intact: Counts
    right: Counts
    broken: int
    mended: int
    changed: int
    flips: tuple[Flip, ...]
    statistics: Statistics | None = None

    @property
    def n_images(self) -> int:
        return int(self.of_class.sum())

    @property
    def accuracy(self) -> float:
        return float(self.right.sum() / self.n_images)

    @property
    def baseline_accuracy(self) -> float:
        return float(self.intact.sum() / self.n_images)

    def interval(self) -> tuple[float, float]:
        """95 % Wilson interval of ``accuracy``."""
        return wilson_interval(self.accuracy, self.n_images)

    def shares(self) -> tuple[Floats, Floats]:
        """Accuracy of each class, intact and with the program; NaN without images."""
        n = np.where(self.of_class > 0, self.of_class, 1)
        none = np.where(self.of_class > 0, 0.0, np.nan)
        return self.intact / n + none, self.right / n + none

    def intervals(self) -> Floats:
        """(classes, 2): 95 % Wilson intervals of each class's accuracy; NaN without images."""
        nothing = (float("nan"), float("nan"))
        return np.asarray(
            [
                wilson_interval(int(right) / int(n), int(n)) if n else nothing
                for right, n in zip(self.right, self.of_class, strict=True)
            ]
        )

    def to_frame(self) -> pd.DataFrame:
        import pandas as pd

        intact, now = self.shares()
        return pd.DataFrame(
            {"class": range(len(now)), "images": self.of_class, "intact": intact, "now": now}
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "net": self.net,
            "data": self.data,
            "n_images": self.n_images,
            "statistics": self.statistics,
            "program": list(self.program),
            "deleted": list(self.deleted),
            "accuracy": self.accuracy,
            "baseline_accuracy": self.baseline_accuracy,
            "of_class": self.of_class.tolist(),
            "intact": self.intact.tolist(),
            "right": self.right.tolist(),
            "broken": self.broken,
            "mended": self.mended,
            "changed": self.changed,
            "flips": [flip.to_json() for flip in self.flips],
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> ProgramAnswers:
        return cls(
            net=value["net"],
            data=value["data"],
            statistics=kept_statistics(value),
            program=tuple(value["program"]),
            deleted=tuple(value["deleted"]),
            of_class=np.asarray(value["of_class"], np.int64),
            intact=np.asarray(value["intact"], np.int64),
            right=np.asarray(value["right"], np.int64),
            broken=int(value["broken"]),
            mended=int(value["mended"]),
            changed=int(value["changed"]),
            flips=tuple(Flip.from_json(flip) for flip in value["flips"]),
        )
