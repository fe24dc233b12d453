"""Accuracy with blocks of one shape reordered more and more."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from explorer.instruments.contract import Column
from explorer.instruments.lesion_results import ACCURACY, LesionStudy
from explorer.results.common import Floats

Moves = Literal["pairs", "neighbours"]


@dataclass(frozen=True, kw_only=True)
class ShuffleLesions(LesionStudy):
    """Accuracy against how far units of one shape were reordered (Veit16 Fig 5b).

    Attributes:
        units: All units of the net, in order.
        orders: Of each trial and point the order: positions among ``units``.
        tau: (trials, points): Kendall's τ between the order and the intact one, over all units:
            (concordant − discordant pairs) / pairs. 1 is intact.
        swaps: (trials, points): how many changes of place led there.
        moves: ``pairs``: any two units of one shape change places (as Veit16 does);
            ``neighbours``: two neighbours that still stood in order.
        lowest_tau: With every group of alike units reversed; below that no order can come.
        accuracy: (trials, points).
    """

    columns = (
        Column("trial", "walk"),
        Column("swaps", "changes of place"),
        Column("tau", "τ"),
        *ACCURACY,
    )

    units: tuple[str, ...]
    orders: tuple[tuple[tuple[int, ...], ...], ...]
    tau: Floats
    swaps: NDArray[np.int64]
    moves: Moves
    lowest_tau: float

    def programs(self) -> Iterator[tuple[Any, ...]]:
        for trial, (swaps, taus) in enumerate(
            zip(self.swaps.tolist(), self.tau.tolist(), strict=True), start=1
        ):
            for swapped, tau in zip(swaps, taus, strict=True):
                yield trial, swapped, tau
