"""Each unit's output against the end of its stage (Greff17)."""

from __future__ import annotations

from dataclasses import dataclass

from explorer.instruments.contract import Column, Result, grouped
from explorer.results.common import Floats
from explorer.results.statistics import Statistics


@dataclass(frozen=True)
class EstimationError(Result):
    """Each unit's output against the last of its stage: y_i − y_end (Greff17).

    Attributes:
        statistics: What batch norms normalised by (:mod:`explorer.results.statistics`).
        units: In forward order; of each stage those whose output has the shape of its last.
        stage: Of each unit, from 0.
        mean: Mean error over images and entries; near 0 where units refine one estimate.
        sd: Standard deviation of the error over the same; falls to 0 at the stage's end.
        scale: Root mean square of y_end, to compare stages by.
    """

    columns = (
        Column("unit", of="units"),
        Column("stage"),
        Column("mean"),
        Column("sd"),
        Column("scale", "RMS of the end"),
    )
    together = grouped("units", "stage", "mean", "sd", "scale", name="units")

    net: str
    data: str
    n_images: int
    statistics: Statistics | None
    units: tuple[str, ...]
    stage: tuple[int, ...]
    mean: Floats
    sd: Floats
    scale: Floats
