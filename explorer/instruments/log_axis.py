"""What figures with a logarithmic axis share."""

from __future__ import annotations

import numpy as np

from explorer.results.common import Floats


def above_zero(values: Floats) -> Floats:
    """A log axis has no place for 0, nor for what is not finite: NaN there."""
    return np.where(np.isfinite(values) & (values > 0), values, np.nan)
