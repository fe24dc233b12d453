"""Numbers in words and the pages' names, the same everywhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# In the order of the navigation; the first is the one at "/".
PAGES = {
    "compare": "Compare",
    "instruments": "Instruments",
    "net": "Net",
    "sweep": "Sweep",
    "papers": "Papers",
    "timing": "Timing",
    "runs": "Runs",
}


def duration(seconds: float) -> str:
    """ "9 s", "4 min", "1.5 h": one number, one unit."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def size_text(size: int) -> str:
    """ "840 kB", "97 MB", "1.2 GB": two or three figures."""
    for unit, scale in (("GB", 10**9), ("MB", 10**6)):
        if size >= scale:
            value = size / scale
            return f"{value:.0f} {unit}" if value >= 9.95 else f"{value:.1f} {unit}"
    return f"{size / 1000:.0f} kB"


def program_sentence(result: Mapping[str, Any], *, step: int | None = None) -> str:
    """ "34.2 % right without 2 blocks, 98.6 % intact (360 images, step 120)"."""
    deleted = len(result["deleted"])
    blocks = "1 block" if deleted == 1 else f"{deleted} blocks"
    when = f", step {step:,}" if step is not None else ""
    return (
        f"{result['accuracy'] * 100:.1f} % right without {blocks}, "
        f"{result['baseline_accuracy'] * 100:.1f} % intact ({result['n_images']:,} images{when})"
    )
