"""What the shipped nets lose with blocks deleted."""

from __future__ import annotations

from functools import cache

import numpy as np

from explorer.claims.measures.nets import images, shipped_names, trained
from explorer.instruments.functions import lesions
from explorer.instruments.lesions.result import LesionCurve
from explorer.structure.cards import shipped


@cache
def _curve(name: str) -> LesionCurve:
    return lesions(trained(name), images(), name=name)


def median_cost(family: str, least_depth: int = 0) -> list[float]:
    """Points of accuracy that the middle one of all single deletions costs, net by net.

    Args:
        least_depth: Of the nets that are measured.
    """
    names = [name for name in shipped_names(family) if shipped()[name].spec.depth >= least_depth]
    return [
        float(100 * (curve.baseline_accuracy - np.median(curve.accuracy)))
        for curve in map(_curve, names)
    ]


def median_left(family: str) -> list[float]:
    """Accuracy in percent in the middle of all single deletions, net by net."""
    return [float(100 * np.median(_curve(name).accuracy)) for name in shipped_names(family)]
