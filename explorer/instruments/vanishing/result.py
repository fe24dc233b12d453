"""The gradient of fresh nets against depth, with one cause of vanishing at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from explorer.instruments.contract import Column, Result, grouped
from explorer.instruments.gradient_scales import Curve, Of, against_depth, over_seeds
from explorer.results.common import Floats
from explorer.results.statistics import Statistics

Cause = Literal["none", "tanh", "sigmoid", "scale", "zeros"]
Layers = Literal["conv", "fc"]
Panel = tuple[bool, bool]
PANELS: tuple[Panel, ...] = ((False, False), (False, True), (True, False), (True, True))
"""(shortcuts, batch norm), in reading order."""


@dataclass(frozen=True)
class Expected:
    """What :mod:`explorer.structure.mean_field` derives for infinitely wide nets without shortcuts.

    Attributes:
        factor: By what a layer more multiplies the gradient.
    """

    cause: Cause
    batch_norm: bool
    factor: float


@dataclass(frozen=True)
class VanishingCauses(Result):
    """Gradients of fresh nets against depth: activation, weight scale and padding apart.

    All start from a net in which none of them acts: ReLUs, He's rule, and convolutions that pad
    circularly (or fully connected layers). Each other curve has one thing changed.

    Of each net, in the order measured (a seed's are complete before the next one's); scales as in
    :class:`~explorer.instruments.gradients.result.LayerGradients`:

    Attributes:
        n_images: Of the one batch that every net saw.
        gain: The factor on He's standard deviation where ``cause`` is ``scale``.
        net: Its token.
        first_layer: parameter_rms of the first layer, which is what its first step is made of.
        first_unit, last_unit: output_rms of the first and the last unit.
        expected: Beside it, what is derived.
        statistics: ``batch`` where there is batch norm, as in a training step.
    """

    columns = (
        Column("cause", "changed"),
        Column("shortcuts"),
        Column("batch_norm"),
        Column("depth"),
        Column("seed"),
        Column("net", shown=False),
        Column("first_layer", "first layer's gradient", digits=3),
        Column("first_unit", shown=False),
        Column("last_unit", shown=False),
        Column("ratio", "first block ÷ last", digits=3),
        Column("derived", "derived factor a layer", digits=3),
    )
    together = grouped(
        "rows",
        *("cause", "shortcuts", "batch_norm", "depth", "seed", "net"),
        *("first_layer", "first_unit", "last_unit"),
    )

    data: str
    n_images: int
    layers: Layers
    gain: float
    cause: tuple[Cause, ...]
    shortcuts: tuple[bool, ...]
    batch_norm: tuple[bool, ...]
    depth: tuple[int, ...]
    seed: tuple[int, ...]
    net: tuple[str, ...]
    first_layer: Floats
    first_unit: Floats
    last_unit: Floats
    expected: tuple[Expected, ...]
    statistics: Statistics | None = None

    @property
    def seeds(self) -> int:
        return len(set(self.seed))

    @property
    def causes(self) -> tuple[Cause, ...]:
        return tuple(dict.fromkeys(self.cause))

    @property
    def ratio(self) -> Floats:
        return self.scale("outputs")

    @property
    def derived(self) -> list[float | None]:
        """Of each net, :meth:`factor_derived`."""
        of = zip(self.shortcuts, self.batch_norm, self.cause, strict=True)
        return [self.factor_derived((shortcuts, norm), cause) for shortcuts, norm, cause in of]

    def scale(self, of: Of) -> Floats:
        """Of each net what is drawn against depth."""
        return against_depth(of, self.first_layer, self.first_unit, self.last_unit)

    def factor_derived(self, panel: Panel, cause: Cause) -> float | None:
        """What a layer more multiplies the gradient by in an infinitely wide net.

        None where there are shortcuts, or only one depth.
        """
        known = {(one.cause, one.batch_norm): one.factor for one in self.expected}
        return None if panel[0] else known.get((cause, panel[1]))

    def curves(self, panel: Panel, of: Of = "parameters") -> dict[Cause, Curve]:
        """By cause: depths, and over the seeds the median, least and greatest."""
        values = self.scale(of)
        found = {cause: self._inside(panel, cause) for cause in self.causes}
        return {
            cause: over_seeds([self.depth[i] for i in inside], values[inside])
            for cause, inside in found.items()
            if inside
        }

    def factor_a_layer(self, panel: Panel, cause: Cause, of: Of = "parameters") -> Floats:
        """(3,): by what a layer more multiplies the gradient, median, least and greatest seed.

        The factor of a seed is exp of the slope of log gradient against depth; NaN where its nets
        have fewer than two depths with a gradient above 0.
        """
        values = self.scale(of)
        by_seed: dict[int, list[tuple[int, float]]] = {}
        for i in self._inside(panel, cause):
            if 0 < values[i] < np.inf:
                point = (self.depth[i], float(np.log(values[i])))
                by_seed.setdefault(self.seed[i], []).append(point)
        slopes = [
            float(np.exp(np.polyfit([d for d, _ in points], [log for _, log in points], 1)[0]))
            for points in by_seed.values()
            if len({depth for depth, _ in points}) > 1
        ]
        if not slopes:
            return np.full(3, np.nan)
        return np.asarray([np.median(slopes), np.min(slopes), np.max(slopes)])

    def _inside(self, panel: Panel, cause: Cause) -> list[int]:
        """Places of the nets of a panel with a cause."""
        of = zip(self.shortcuts, self.batch_norm, self.cause, strict=True)
        return [i for i, (*where, one) in enumerate(of) if tuple(where) == panel and one == cause]
