"""What the shipped nets lose with blocks deleted."""

from __future__ import annotations

from functools import cache

import numpy as np

from explorer.claims.measures.nets import images, shipped_names, trained
from explorer.probes.lesions import lesion_curve
from explorer.results import LesionCurve


@cache
def _curve(name: str) -> LesionCurve:
    return lesion_curve(trained(name), images(), name=name)


def median_cost(family: str) -> list[float]:
    """Points of accuracy that the middle one of all single deletions costs, net by net."""
    return [
        float(100 * (curve.baseline_accuracy - np.median(curve.accuracy)))
        for curve in map(_curve, shipped_names(family))
    ]


def median_left(family: str) -> list[float]:
    """Accuracy in percent in the middle of all single deletions, net by net."""
    return [float(100 * np.median(_curve(name).accuracy)) for name in shipped_names(family)]


def cheap_share(family: str, points: float) -> list[float]:
    """Share of blocks, in percent, of which each alone costs less than so many points."""
    return [
        float(100 * np.mean(100 * (curve.baseline_accuracy - curve.accuracy) < points))
        for curve in map(_curve, shipped_names(family))
    ]
