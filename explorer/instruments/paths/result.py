"""Gradient by path length (Veit16 Fig 6)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from explorer.instruments.contract import Column, Result
from explorer.results.common import Floats
from explorer.results.statistics import Statistics
from explorer.structure.path_combinatorics import (
    SHARE,
    binomial,
    effective_range,
    fitted_ratio,
    log_counts,
    toy,
)

CurveKind = Literal["coherent", "incoherent", "sampled"]
CURVES: dict[CurveKind, str] = {
    "coherent": "coherent: norm of the summed gradient of all paths of a length, exact",
    "incoherent": "incoherent: root of the sum of the paths' squared norms, from random signs",
    "sampled": "Veit et al.: C(n, k) × mean norm of one path, from paths drawn at random",
}


@dataclass(frozen=True)
class PathToy:
    """The gradient by length, were every branch to scale it by r: ∝ C(n, k)·rᵏ. No training."""

    net: str
    two_way: int
    ratio: float

    @property
    def shares(self) -> Floats:
        """(n + 1,): adds up to 1."""
        return toy(self.two_way, self.ratio)

    def effective(self, share: float = SHARE) -> EffectiveRange:
        curve = self.shares
        low, high = effective_range(curve, share) or (0, self.two_way)
        paths = binomial(self.two_way)[low : high + 1].sum()
        return EffectiveRange(low, high, float(curve[low : high + 1].sum()), float(paths))


@dataclass(frozen=True)
class PathCurve:
    """A gradient by path length, 0 … as many as were measured: mean over images.

    Attributes:
        standard_error: Of the mean, over images (NaN of one image). Where paths or signs are
            drawn, an image's own mean over its draws is what varies, so it holds their chance too.
        draws: Random draws for every image and length; 0 where nothing is drawn.
    """

    kind: CurveKind
    value: Floats
    standard_error: Floats
    n_images: int
    draws: int = 0


@dataclass(frozen=True)
class EffectiveRange:
    """The fewest neighbouring lengths that hold most of a curve.

    Attributes:
        low, high: Lengths, ends included.
        held: Share of the curve's sum that they hold.
        paths: Share of all paths that have these lengths.
    """

    low: int
    high: int
    held: float
    paths: float


@dataclass(frozen=True)
class PathGradients(Result):
    """Gradient at the input by path length: three curves that are not each other.

    ========== =====================================================================================
    coherent   ‖v_k‖, v_k = Σ g_path over the paths of length k; exact
    incoherent √( Σ ‖g_path‖² ); estimated without bias in the squares: v_k with a random sign
               for each branch
    sampled    C(n, k) · mean ‖g_path‖ (Veit16 Fig 6c); estimated from paths drawn at random
    ========== =====================================================================================

    g_path is the part of ∂ℓ/∂image that comes along one path, ℓ the cross-entropy of one image.
    For every image, coherent ≤ sampled and incoherent ≤ sampled; at length 0 and n, where there
    is one path, all three are equal. Paths that pull together make coherent greater than
    incoherent, paths that cancel make it less.

    Attributes:
        two_way: n, the length of the longest path; curves may end before it.
        gradient_norm: Mean over images of ‖∂ℓ/∂image‖.
        mismatch: Greatest over images of ‖Σ v_k − ∂ℓ/∂image‖ / ‖∂ℓ/∂image‖, the latter by
            autograd. None where not all lengths were measured.
        curves: Those that were measured, the exact one first.
        statistics: What batch norms normalised by (:mod:`explorer.results.statistics`).
    """

    columns = (
        Column("length"),
        Column("share_of_paths", "of all paths", unit="%", digits=3),
        *(
            Column(f"{kind}{key}", heading, digits=digits, shown=shown)
            for kind in CURVES
            for key, heading, digits, shown in (
                ("", None, 3, True),
                ("_standard_error", f"± {kind}", 2, True),
                ("_per_path", None, 3, False),
            )
        ),
    )

    net: str
    data: str
    n_images: int
    two_way: int
    gradient_norm: float
    mismatch: float | None
    curves: tuple[PathCurve, ...]
    statistics: Statistics | None = None

    @property
    def coherent(self) -> PathCurve:
        return self.curves[0]

    @property
    def incoherent(self) -> PathCurve | None:
        """None while, or where, it is not measured; as ``sampled``."""
        return self.curve("incoherent")

    @property
    def sampled(self) -> PathCurve | None:
        return self.curve("sampled")

    @property
    def lengths(self) -> Floats:
        return np.arange(len(self.coherent.value), dtype=np.float64)

    @property
    def path_shares(self) -> Floats:
        """Share of all 2ⁿ paths by length, of the lengths that were measured."""
        return binomial(self.two_way)[: len(self.lengths)]

    def curve(self, kind: CurveKind) -> PathCurve | None:
        return next((curve for curve in self.curves if curve.kind == kind), None)

    def leading(self) -> PathCurve:
        """Veit et al.'s curve, from which the paper reads its range; the exact one until then."""
        return self.sampled or self.coherent

    def per_path(self, curve: PathCurve) -> Floats:
        """A curve ÷ C(n, k); of the sampled one the mean norm of a path (Veit16 Fig 6b)."""
        scale = np.exp(-log_counts(self.two_way)[: len(curve.value)])
        values: Floats = curve.value * scale
        return values

    def effective(self, curve: PathCurve, share: float = SHARE) -> EffectiveRange | None:
        """Where the curve's gradient is; None where it is 0 or not finite."""
        ends = effective_range(curve.value, share)
        if ends is None:
            return None
        low, high = ends
        held = curve.value[low : high + 1].sum() / curve.value.sum()
        paths = binomial(self.two_way)[low : high + 1].sum()
        return EffectiveRange(low, high, float(held), float(paths))

    def ratio(self, curve: PathCurve) -> float:
        """r of the toy C(n, k)·rᵏ that fits a curve, where most of it is."""
        return fitted_ratio(curve.value, self.two_way)

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """One a length; what was not measured is None."""
        found = [self.curve(kind) for kind in CURVES]
        per_path = [None if curve is None else self.per_path(curve) for curve in found]
        for k, share in enumerate(self.path_shares.tolist()):
            row: list[Any] = [k, share]
            for curve, each in zip(found, per_path, strict=True):
                if curve is None or each is None:
                    row += [None] * 3
                else:
                    row += [float(curve.value[k]), float(curve.standard_error[k]), float(each[k])]
            yield tuple(row)
