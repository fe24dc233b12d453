"""Slow motion in words: what the part of a step that was done last has made known. No torch."""

from __future__ import annotations

import math
from collections.abc import Sequence

from explorer.runs.serve.views import PhaseState


def phase_words(phase: PhaseState, names: Sequence[str]) -> dict[str, str]:
    """The part's ``name``, and a ``text`` with its numbers, lane by lane.

    Args:
        names: Of the lanes, in order; a lane that has ended has no numbers.
    """
    parts = []
    for lane, name in enumerate(names):
        values = phase.lanes.get(lane)
        if values is None:
            continue
        match phase.name:
            case "forward":
                words = _number(values["loss"])
            case "backward":
                found = [v for v in values["parameter_rms"] if v is not None]
                words = f"{_number(found[0])} … {_number(found[-1])}" if found else "not finite"
            case _:
                found = [v for v in values["change"] if v is not None]
                typical = sorted(found)[len(found) // 2] if found else math.nan
                words = f"{100 * typical:.2g} %" if found else "not finite"
        parts.append(f"{name} {words}")
    return {"name": phase.name, "text": f"{_MEANING[phase.name]}: {'; '.join(parts)}."}


_MEANING = {
    "forward": "Loss of this batch",
    "backward": "Gradient of the first … last layer's weights (root mean square)",
    "update": "The median layer's weights have moved by (‖Δw‖/‖w‖)",
}


def _number(value: float | None) -> str:
    return "not finite" if value is None else f"{value:.3g}"
