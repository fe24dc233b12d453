"""What one lane has to show, whatever it comes from: shipped weights, a run, or a fresh net."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from explorer.drawing.lane import Lane
from explorer.instruments import gate_words


@dataclass(frozen=True, kw_only=True)
class LaneView(Lane):
    """One lane of the page.

    Attributes:
        source: Where jobs find this net (see :mod:`explorer.runs`).
        origin: A few words on what was measured: "shipped weights", "step 120", "untrained".
        note: A sentence that needs reading, such as divergence; or None.
        problems: Why ``gradient``, ``gate`` or ``lesion`` could not be measured, a sentence each.
    """

    source: dict[str, Any]
    origin: str
    note: str | None = None
    problems: Mapping[str, str] = field(default_factory=dict)


def unit_quantities(view: LaneView) -> dict[str, dict[str, Any]]:
    """Values in [0, 1] and words by unit, with which the block graph is coloured.

    Gradients are placed on a log scale between the net's own smallest and largest; a gate and the
    accuracy that a deletion costs are shown as they are.
    """
    quantities: dict[str, dict[str, Any]] = {}
    if view.gradients is not None:
        outputs = dict(zip(view.gradients.units, view.gradients.output_rms, strict=True))
        weights = _weight_gradients(view)
        for key, sign, rms in (
            ("gradient_parameters", "∂L/∂W", weights),
            ("gradient_outputs", "∂ℓ/∂y", outputs),
        ):
            shown = _on_a_log_scale(rms)
            if shown:
                quantities[key] = {
                    "title": f"{sign}, own log scale",
                    "values": shown,
                    "labels": {name: f"RMS of {sign}: {rms[name]:.2g}" for name in shown},
                }
    if view.gates is not None and np.all(np.isfinite(view.gates.mean)):
        quantities["gate"] = {
            "title": f"{view.gates.gate} gate",
            "values": _rounded(view.gates.units, 0.05 + 0.9 * view.gates.mean),
            "labels": {
                name: f"{gate_words.SYMBOLS[view.gates.gate]}(x) = {value:.3f}"
                for name, value in zip(view.gates.units, view.gates.mean, strict=True)
            },
        }
    if view.lesions is not None:
        cost = np.clip(view.lesions.baseline_accuracy - view.lesions.accuracy, 0, 1)
        known = np.isfinite(cost)
        names = [name for name, k in zip(view.lesions.units, known, strict=True) if k]
        quantities["lesion"] = {
            "title": "cost of deletion",
            "values": _rounded(names, 0.05 + 0.9 * cost[known]),
            "labels": {
                name: f"without it: {accuracy:.1%}"
                for name, accuracy in zip(names, view.lesions.accuracy[known], strict=True)
            },
        }
    return quantities


def _weight_gradients(view: LaneView) -> dict[str, float]:
    """RMS over the layers of each unit that count as depth, each layer with equal weight."""
    assert view.gradients is not None
    rms = dict(zip(view.gradients.layers, view.gradients.parameter_rms, strict=True))
    found = {}
    for unit in view.plan.units:
        squares = [rms[x.name] ** 2 for x in unit.layers if x.depth_index and x.name in rms]
        if squares:
            found[unit.name] = float(np.sqrt(np.mean(squares)))
    return found


def _on_a_log_scale(rms: dict[str, float]) -> dict[str, float]:
    """From 0.08 (the smallest) to 0.95 (the largest); a span below ten looks flatter."""
    known = {name: float(v) for name, v in rms.items() if np.isfinite(v) and v > 0}
    if not known:
        return {}
    values = np.log10(list(known.values()))
    span = max(float(values.max() - values.min()), 1.0)
    places = 0.08 + 0.87 * np.clip((values - values.max()) / span + 1, 0, 1)
    return _rounded(known, places)


def _rounded(names: Any, values: Any) -> dict[str, float]:
    return {name: round(float(v), 3) for name, v in zip(names, values, strict=True)}
