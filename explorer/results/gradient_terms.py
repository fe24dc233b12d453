"""What of the gradient comes by the shortcuts alone, and what by the branches (He16)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from explorer.results.common import Floats, floats
from explorer.results.statistics import Statistics, kept_statistics

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class GradientTerms:
    """The two terms of He16 Eq 5 at the input x_l of every unit l, as measured.

    ∂E/∂x_l = ∂E/∂x_L · (∏ shortcuts) + ∂E/∂x_L · (∂/∂x_l Σ F): the *direct* term, which comes by
    the shortcuts alone (with identity shortcuts it is ∂E/∂x_L itself), and the *residual* term,
    everything that passed at least one branch. A norm is √( (1/N) Σ_i ‖∂ℓ_i/∂x_l‖² ) over the N
    images, ℓ_i the loss of image i.

    Attributes:
        units: In forward order; entry l of the columns is at the input of unit l.
        whole, direct, residual: Norms of the gradient and of its terms.
        cosine: Of the angle between the two terms, over all images and entries; NaN where one is
            zero.
        end: Norm of ∂E/∂x_L, at the last unit's output.
        shortcut_scale: λ, where every shortcut is λ·x (1 for identities); else None.
        unscaled: Where there is a λ: norm of what the same shortcuts would hand on with λ = 1. It
            is ``end``, but for what option A drops where the shape changes, and what a ReLU after
            the addition stops (Eq 8 takes it that there is none).
        statistics: What batch norms normalised by (:mod:`explorer.results.statistics`).
    """

    net: str
    data: str
    n_images: int
    units: tuple[str, ...]
    whole: Floats
    direct: Floats
    residual: Floats
    cosine: Floats
    end: float
    shortcut_scale: float | None = None
    unscaled: Floats | None = None
    statistics: Statistics | None = None

    def theory(self) -> Floats | None:
        """The direct term of He16 Eq 8, λ^(L−l) · ``unscaled``; None without one λ."""
        if self.shortcut_scale is None or self.unscaled is None:
            return None
        left = np.arange(len(self.units), 0, -1)
        with np.errstate(over="ignore", under="ignore"):
            return np.asarray(self.unscaled * np.float64(self.shortcut_scale) ** left, np.float64)

    def to_frame(self) -> pd.DataFrame:
        import pandas as pd

        theory = self.theory()
        return pd.DataFrame(
            {
                "unit": list(self.units),
                "whole": self.whole,
                "direct": self.direct,
                "residual": self.residual,
                "cosine": self.cosine,
                **({} if theory is None else {"theory": theory}),
            }
        )

    def to_json(self) -> dict[str, Any]:
        columns = (self.whole, self.direct, self.residual, self.cosine)
        return {
            "net": self.net,
            "data": self.data,
            "n_images": self.n_images,
            "statistics": self.statistics,
            "end": self.end,
            "shortcut_scale": self.shortcut_scale,
            "unscaled": None if self.unscaled is None else self.unscaled.tolist(),
            "units": [
                {
                    "name": name,
                    "whole": float(whole),
                    "direct": float(direct),
                    "residual": float(residual),
                    "cosine": float(cosine),
                }
                for name, whole, direct, residual, cosine in zip(self.units, *columns, strict=True)
            ],
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> GradientTerms:
        rows = value["units"]
        return cls(
            net=value["net"],
            data=value["data"],
            statistics=kept_statistics(value),
            n_images=int(value["n_images"]),
            units=tuple(row["name"] for row in rows),
            whole=floats(row["whole"] for row in rows),
            direct=floats(row["direct"] for row in rows),
            residual=floats(row["residual"] for row in rows),
            cosine=floats(row["cosine"] for row in rows),
            end=float("nan") if value["end"] is None else float(value["end"]),
            shortcut_scale=value["shortcut_scale"],
            unscaled=None if value["unscaled"] is None else floats(value["unscaled"]),
        )


@dataclass(frozen=True)
class ShortcutScaling:
    """The gradient at the first unit's input when every shortcut is λ·x (He16 Eq 8).

    Norms, as in :class:`GradientTerms`, are divided by that of what the same shortcuts would hand
    on of ∂E/∂x_L with λ = 1.

    Attributes:
        n_units: L, the shortcuts that the gradient passes.
        scale: λ, one for each fresh net measured.
        whole: Of ∂E/∂x_0.
        direct: Of its direct term: by Eq 8 λ^L.
        statistics: What batch norms normalised by (:mod:`explorer.results.statistics`).
    """

    net: str
    data: str
    n_images: int
    n_units: int
    scale: Floats
    whole: Floats
    direct: Floats
    statistics: Statistics | None = None

    def theory(self, scale: Floats | None = None) -> Floats:
        """λ^L, of the measured scales or of others."""
        with np.errstate(over="ignore", under="ignore"):
            return np.asarray((self.scale if scale is None else scale) ** self.n_units, np.float64)

    def to_frame(self) -> pd.DataFrame:
        import pandas as pd

        return pd.DataFrame(
            {
                "scale": self.scale,
                "theory": self.theory(),
                "direct": self.direct,
                "whole": self.whole,
            }
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "net": self.net,
            "data": self.data,
            "n_images": self.n_images,
            "statistics": self.statistics,
            "n_units": self.n_units,
            "scales": [
                {"scale": float(s), "theory": float(t), "direct": float(d), "whole": float(w)}
                for s, t, d, w in zip(
                    self.scale, self.theory(), self.direct, self.whole, strict=True
                )
            ],
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> ShortcutScaling:
        rows = value["scales"]
        return cls(
            net=value["net"],
            data=value["data"],
            statistics=kept_statistics(value),
            n_images=int(value["n_images"]),
            n_units=int(value["n_units"]),
            scale=floats(row["scale"] for row in rows),
            whole=floats(row["whole"] for row in rows),
            direct=floats(row["direct"] for row in rows),
        )
