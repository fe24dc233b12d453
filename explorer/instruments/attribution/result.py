"""Which pixels carried a decision."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explorer.instruments.attribution.ask import Method
from explorer.instruments.contract import Column, Result
from explorer.instruments.decisions import Baseline, Decision, OfDecision
from explorer.results.common import Floats


@dataclass(frozen=True, eq=False)
class Attribution(OfDecision, Result):
    """A map of evidence for one class over one image.

    Attributes:
        picture: uint8 (H, W, C), as the net sees it.
        values: (h, w), positive for the class, negative against it; saliency has no sign. Coarser
            than the picture for Grad-CAM: each value stands for H/h × W/w pixels.
        unit: Of Grad-CAM, else None.
        baseline: Of integrated gradients and occlusion, else None, like its logit f(x′).
        n_steps: Of integrated gradients, else None.
        window: Of occlusion, side in pixels, else None.
    """

    columns = (Column("row"), Column("column"), Column("value", "evidence"))
    also = ("error",)

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

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """One for each place of the map."""
        for (row, column), value in np.ndenumerate(self.values):
            yield int(row), int(column), float(value)

    def strongest(self) -> list[tuple[int, int]]:
        """Places of the map, the greatest magnitude first."""
        order = np.argsort(-np.abs(self.values), axis=None, kind="stable")
        rows, columns = np.unravel_index(order, self.values.shape)
        return [(int(r), int(c)) for r, c in zip(rows, columns, strict=True)]
