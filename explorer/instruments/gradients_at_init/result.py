"""Gradients of fresh nets against depth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from explorer.instruments.contract import Column, Result, grouped
from explorer.instruments.gradient_scales import Curve, Of, against_depth, over_seeds
from explorer.results.common import Floats
from explorer.results.statistics import Statistics


@dataclass(frozen=True)
class GradientsAtInit(Result):
    """Gradients of fresh nets against depth, family by family, with and without batch norm.

    Of each net, in the order measured; scales as in
    :class:`~explorer.instruments.gradients.result.LayerGradients`:

    Attributes:
        n_images: Of the one batch that every net saw.
        family: The net's name with N for its depth: ``resnet_v2_N``.
        first_layer, last_layer: parameter_rms of the first and the last layer that count as depth.
        first_unit, last_unit: output_rms of the first and the last unit.
        statistics: ``batch`` where there is batch norm, as in a training step.
    """

    columns = (
        Column("family", "net"),
        Column("depth"),
        Column("batch_norm"),
        Column("seed"),
        Column("loss"),
        Column("first_layer"),
        Column("last_layer"),
        Column("first_unit", shown=False),
        Column("last_unit", shown=False),
        Column("ratio", "first block ÷ last"),
    )
    together = grouped(
        "rows",
        *("family", "depth", "batch_norm", "seed", "loss"),
        *("first_layer", "last_layer", "first_unit", "last_unit"),
    )

    data: str
    n_images: int
    family: tuple[str, ...]
    depth: tuple[int, ...]
    batch_norm: tuple[bool, ...]
    seed: tuple[int, ...]
    loss: Floats
    first_layer: Floats
    last_layer: Floats
    first_unit: Floats
    last_unit: Floats
    statistics: Statistics | None = None

    @property
    def ratio(self) -> Floats:
        return self.scale("outputs")

    @property
    def seeds(self) -> int:
        return len(set(self.seed))

    def scale(self, of: Of) -> Floats:
        """Of each net what is drawn against depth."""
        return against_depth(of, self.first_layer, self.first_unit, self.last_unit)

    @property
    def padding(self) -> str:
        """What the convolutions of all families pad with; empty where they do not agree."""
        found = {_padding(family) for family in self.family}
        return found.pop() if len(found) == 1 else ""

    def short(self, family: str) -> str:
        """A family's name without the padding, where all families have the same."""
        return family.replace(f";padding={self.padding}", "") if self.padding else family

    def curves(self, of: Of = "parameters") -> dict[tuple[str, bool], Curve]:
        """By (family, batch norm): depths, and over the seeds the median, least and greatest."""
        values = self.scale(of)
        places: dict[tuple[str, bool], list[int]] = {}
        for i, key in enumerate(zip(self.family, self.batch_norm, strict=True)):
            places.setdefault(key, []).append(i)
        return {
            key: over_seeds([self.depth[i] for i in inside], values[np.asarray(inside)])
            for key, inside in places.items()
        }


def _padding(family: str) -> str:
    _, given, rest = family.partition(";padding=")
    if family.startswith("fc_"):
        return "no"
    return rest.partition(";")[0] if given else "zeros"
