"""Paths: how many, how long, and how much gradient each length carries (Veit16 §3, Fig 6)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from explorer.paths import SHARE, binomial, effective_range, fitted_ratio, log_counts, toy
from explorer.results.arrays import listed
from explorer.results.common import Floats, floats, wilson_interval
from explorer.results.statistics import Statistics, kept_statistics

if TYPE_CHECKING:
    import pandas as pd

CurveKind = Literal["coherent", "incoherent", "sampled"]
CURVES: dict[CurveKind, str] = {
    "coherent": "coherent: norm of the summed gradient of all paths of a length, exact",
    "incoherent": "incoherent: root of the sum of the paths' squared norms, from random signs",
    "sampled": "Veit et al.: C(n, k) × mean norm of one path, from paths drawn at random",
}


@dataclass(frozen=True)
class PathLengths:
    """How many paths a net has of each length; closed form.

    Attributes:
        two_way: n, units at which paths part: residual, highway and dense ones.
        one_way: Units that every path takes: transitions, and a plain net's.
        shares: (n + 1,): share of all 2ⁿ paths, C(n, k) / 2ⁿ.
        in_training: With stochastic depth, the same for a path drawn at random in the net that a
            training step draws at random, where unit i is left with chance pᵢ: each branch is
            then taken with chance pᵢ/2 (SD16 §3). None without.
    """

    net: str
    two_way: int
    one_way: int
    shares: Floats
    in_training: Floats | None = None

    @property
    def mean(self) -> float:
        return float(np.arange(self.two_way + 1) @ self.shares)

    def between(self, low: int, high: int) -> float:
        """Share of all paths whose lengths lie between, ends included."""
        return float(self.shares[low : high + 1].sum())

    def to_frame(self) -> pd.DataFrame:
        import pandas as pd

        columns = {"length": np.arange(self.two_way + 1), "share_of_paths": self.shares}
        if self.in_training is not None:
            columns["share_in_training"] = self.in_training
        return pd.DataFrame(columns)

    def to_json(self) -> dict[str, Any]:
        return {
            "net": self.net,
            "two_way": self.two_way,
            "one_way": self.one_way,
            "shares": listed(self.shares),
            "in_training": None if self.in_training is None else listed(self.in_training),
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> PathLengths:
        training = value["in_training"]
        return cls(
            net=value["net"],
            two_way=int(value["two_way"]),
            one_way=int(value["one_way"]),
            shares=floats(value["shares"]),
            in_training=None if training is None else floats(training),
        )


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

    def to_frame(self) -> pd.DataFrame:
        import pandas as pd

        return pd.DataFrame(
            {
                "length": np.arange(self.two_way + 1),
                "share_of_paths": binomial(self.two_way),
                "share_of_gradient": self.shares,
            }
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "net": self.net,
            "two_way": self.two_way,
            "ratio": self.ratio,
            "shares": listed(self.shares),
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> PathToy:
        return cls(value["net"], int(value["two_way"]), float(value["ratio"]))


@dataclass(frozen=True)
class NetPaths:
    """One net among others: 2^two_way paths.

    Attributes:
        width: Filters of the first stage, or the growth rate of a dense net.
    """

    net: str
    depth: int
    width: int
    parameters: int
    two_way: int


@dataclass(frozen=True)
class Multiplicity:
    """Paths of a net, of nets of its kind of other depths, and of other widths."""

    net: NetPaths
    deeper: tuple[NetPaths, ...]
    wider: tuple[NetPaths, ...]

    def to_frame(self) -> pd.DataFrame:
        import pandas as pd

        return pd.DataFrame([vars(net) for net in dict.fromkeys((*self.deeper, *self.wider))])

    def to_json(self) -> dict[str, Any]:
        return {
            "net": dict(vars(self.net)),
            "deeper": [dict(vars(net)) for net in self.deeper],
            "wider": [dict(vars(net)) for net in self.wider],
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Multiplicity:
        return cls(
            net=NetPaths(**value["net"]),
            deeper=tuple(NetPaths(**net) for net in value["deeper"]),
            wider=tuple(NetPaths(**net) for net in value["wider"]),
        )


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

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "value": listed(self.value),
            "standard_error": listed(self.standard_error),
            "n_images": self.n_images,
            "draws": self.draws,
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> PathCurve:
        return cls(
            kind=value["kind"],
            value=floats(value["value"]),
            standard_error=floats(value["standard_error"]),
            n_images=int(value["n_images"]),
            draws=int(value["draws"]),
        )


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
class PathGradients:
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
        incoherent, sampled: None while, or where, they are not measured.
        statistics: What batch norms normalised by (:mod:`explorer.results.statistics`).
    """

    net: str
    data: str
    two_way: int
    gradient_norm: float
    mismatch: float | None
    coherent: PathCurve
    incoherent: PathCurve | None = None
    sampled: PathCurve | None = None
    statistics: Statistics | None = None

    @property
    def n_images(self) -> int:
        return self.coherent.n_images

    @property
    def lengths(self) -> Floats:
        return np.arange(len(self.coherent.value), dtype=np.float64)

    @property
    def path_shares(self) -> Floats:
        """Share of all 2ⁿ paths by length, of the lengths that were measured."""
        return binomial(self.two_way)[: len(self.lengths)]

    def curves(self) -> list[PathCurve]:
        """Those that were measured."""
        every = (self.coherent, self.incoherent, self.sampled)
        return [curve for curve in every if curve is not None]

    def curve(self, kind: CurveKind) -> PathCurve | None:
        found: PathCurve | None = getattr(self, kind)
        return found

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
        """r of the toy C(n, k)·rᵏ that fits a curve; see :func:`explorer.paths.fitted_ratio`."""
        return fitted_ratio(curve.value, self.two_way)

    def to_frame(self) -> pd.DataFrame:
        import pandas as pd

        columns: dict[str, Any] = {
            "length": self.lengths.astype(int),
            "share_of_paths": self.path_shares,
        }
        for curve in self.curves():
            columns[curve.kind] = curve.value
            columns[f"{curve.kind}_standard_error"] = curve.standard_error
            columns[f"{curve.kind}_per_path"] = self.per_path(curve)
        return pd.DataFrame(columns)

    def to_json(self) -> dict[str, Any]:
        return {
            "net": self.net,
            "data": self.data,
            "n_images": self.n_images,
            "statistics": self.statistics,
            "two_way": self.two_way,
            "gradient_norm": self.gradient_norm,
            "mismatch": self.mismatch,
            "curves": [curve.to_json() for curve in self.curves()],
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> PathGradients:
        given = [PathCurve.from_json(one) for one in value["curves"]]
        by_kind = {curve.kind: curve for curve in given}
        norm = value["gradient_norm"]
        return cls(
            net=value["net"],
            data=value["data"],
            statistics=kept_statistics(value),
            two_way=int(value["two_way"]),
            gradient_norm=float("nan") if norm is None else float(norm),
            mismatch=None if value["mismatch"] is None else float(value["mismatch"]),
            coherent=by_kind["coherent"],
            incoherent=by_kind.get("incoherent"),
            sampled=by_kind.get("sampled"),
        )


@dataclass(frozen=True)
class PathEffect:
    """What is left without some paths.

    Attributes:
        path: Its digits, where it is a single one; else empty.
        accuracy: Share of right answers.
        changed: Share of images that get another answer than from the intact net.
        shift: Mean over images of ‖Δz‖ / ‖z‖, z the intact logits less their mean.
    """

    path: str
    accuracy: float
    changed: float
    shift: float

    @property
    def length(self) -> int:
        return self.path.count("1")


@dataclass(frozen=True)
class UnravelledView:
    """Paths of a few units switched off, as :mod:`explorer.unravelled` defines it (Veit16 Fig 1).

    Attributes:
        units: The unravelled ones, in forward order: a digit of each path.
        off: Paths that were switched off.
        together: Without all of these.
        single: Without one path each: all 2ⁿ, from the shortest.
        statistics: What batch norms normalised by (:mod:`explorer.results.statistics`).
    """

    net: str
    data: str
    n_images: int
    units: tuple[str, ...]
    off: tuple[str, ...]
    intact_accuracy: float
    together: PathEffect
    single: tuple[PathEffect, ...]
    statistics: Statistics | None = None

    def interval(self, effect: PathEffect) -> tuple[float, float]:
        """95 % Wilson interval of its accuracy."""
        return wilson_interval(effect.accuracy, self.n_images)

    def to_frame(self) -> pd.DataFrame:
        import pandas as pd

        intervals = [self.interval(effect) for effect in self.single]
        return pd.DataFrame(
            {
                "path_off": [effect.path for effect in self.single],
                "length": [effect.length for effect in self.single],
                "accuracy": [effect.accuracy for effect in self.single],
                "low_95": [low for low, _ in intervals],
                "high_95": [high for _, high in intervals],
                "changed": [effect.changed for effect in self.single],
                "shift": [effect.shift for effect in self.single],
            }
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "net": self.net,
            "data": self.data,
            "n_images": self.n_images,
            "statistics": self.statistics,
            "units": list(self.units),
            "off": list(self.off),
            "intact_accuracy": self.intact_accuracy,
            "together": dict(vars(self.together)),
            "single": [dict(vars(effect)) for effect in self.single],
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> UnravelledView:
        def effect(given: dict[str, Any]) -> PathEffect:
            known: dict[str, Any] = {k: float("nan") if v is None else v for k, v in given.items()}
            return PathEffect(**known)

        return cls(
            net=value["net"],
            data=value["data"],
            statistics=kept_statistics(value),
            n_images=int(value["n_images"]),
            units=tuple(value["units"]),
            off=tuple(value["off"]),
            intact_accuracy=float(value["intact_accuracy"]),
            together=effect(value["together"]),
            single=tuple(effect(one) for one in value["single"]),
        )
