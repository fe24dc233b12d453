"""Arrays of results as plain JSON values, and bands over seeds."""

from __future__ import annotations

from typing import Any

import numpy as np

from explorer.results.common import Floats


def listed(values: Floats) -> list[Any]:
    """Nested lists; None for what is not a finite number. ``np.asarray`` turns None into NaN."""
    boxed = values.astype(object)
    boxed[~np.isfinite(values)] = None
    nested: list[Any] = boxed.tolist()
    return nested


def band(values: Floats) -> tuple[Floats, Floats, Floats]:
    """Least, median and greatest over the first axis; NaN where any is not finite."""
    spoilt = ~np.isfinite(values).all(axis=0)
    known = np.where(spoilt, np.nan, values)
    least, middle, most = known.min(axis=0), np.median(known, axis=0), known.max(axis=0)
    return least, middle, most
