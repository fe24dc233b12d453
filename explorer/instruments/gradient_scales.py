"""What instruments of gradients share: of what one is taken, and how it is followed with depth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from explorer.instruments.contract import option
from explorer.results.common import Floats

Of = Literal["parameters", "outputs"]
Curve = tuple[Floats, Floats, Floats, Floats]  # depths; median, least and greatest over the seeds


def of_fresh_nets() -> Any:
    """The option ``of`` where gradients are drawn against depth."""
    return option(
        "parameters",
        "Gradient of",
        "gradient of the first layer, or that of the first block divided by the last one's",
        words={"parameters": "first layer's weights", "outputs": "first block ÷ last block"},
    )


def against_depth(of: Of, first_layer: Floats, first_unit: Floats, last_unit: Floats) -> Floats:
    """What is drawn against depth: the first layer's gradient, or first unit ÷ last unit."""
    if of == "parameters":
        return first_layer
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(last_unit > 0, first_unit / last_unit, np.nan)


def over_seeds(depths: Sequence[int], values: Floats) -> Curve:
    """By depth, over the seeds: median, least and greatest."""
    by_depth: dict[int, list[float]] = {}
    for depth, value in zip(depths, values.tolist(), strict=True):
        by_depth.setdefault(depth, []).append(value)
    at = sorted(by_depth)
    middle, least, most = (
        np.asarray([end(by_depth[depth]) for depth in at], np.float64)
        for end in (np.median, np.min, np.max)
    )
    return np.asarray(at, np.float64), middle, least, most
