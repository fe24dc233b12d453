"""Layer × unit tables of gates (SGS15 Fig 2 and 3)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from explorer.instruments.contract import Column, Result, grouped
from explorer.results.common import Floats
from explorer.results.statistics import Statistics
from explorer.structure.blueprint import GateKind

Rows = tuple[Floats, ...]  # one a unit; stages may differ in width
TABLES = ("bias_before", "bias", "mean", "sample", "class_difference", "output")


@dataclass(frozen=True)
class GateMaps(Result):
    """Layer × unit tables of gates (SGS15 Fig 2 and 3); in convolutional nets layer × channel.

    A table has one row for each gated unit, in forward order, and one column for each entry of
    its gate; of a convolutional gate each channel's mean over positions.

    Attributes:
        images: ``test`` or ``train``: whose mean it is.
        gate: ``transform``: T(x) of highway units. ``shortcut``: g(x) of gated shortcuts.
        bias_before: As the net was initialised.
        bias: As it is.
        mean: Mean of the gate over the images.
        class_name: Whose mean ``class_difference`` is; None where no class was asked for.
        class_difference: Mean over the images of that class, less ``mean``.
        sample_name: ``test image 3``, or a file's name.
        sample: The gate for that sample.
        output: The units' outputs for that sample.
        statistics: What batch norms normalised by (:mod:`explorer.results.statistics`).
    """

    columns = (
        Column("unit", "block"),
        Column("channel"),
        Column("bias_before"),
        Column("bias"),
        Column("mean"),
    )
    together = grouped("units", *TABLES, name="units")

    net: str
    data: str
    n_images: int
    images: Literal["test", "train"]
    gate: GateKind
    units: tuple[str, ...]
    bias_before: Rows
    bias: Rows
    mean: Rows
    class_name: str | None = None
    class_difference: Rows | None = None
    sample_name: str | None = None
    sample: Rows | None = None
    output: Rows | None = None
    statistics: Statistics | None = None

    def tables(self) -> dict[str, Rows]:
        """Those that there are, by name, in the order in which they are drawn."""
        given = {name: getattr(self, name) for name in TABLES}
        return {name: table for name, table in given.items() if table is not None}

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """One for each unit and channel."""
        for i, unit in enumerate(self.units):
            numbers = (self.bias_before[i], self.bias[i], self.mean[i])
            for channel, values in enumerate(zip(*(v.tolist() for v in numbers), strict=True)):
                yield unit, channel, *values

    def more_columns(self) -> Mapping[str, Any]:
        known = {one.key for one in self.columns}
        tables = {name: rows for name, rows in self.tables().items() if name not in known}
        return {name: np.concatenate(rows) for name, rows in tables.items()}
