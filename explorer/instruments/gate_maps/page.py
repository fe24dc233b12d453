"""Gates unit by unit: biases, means, one image, one class (SGS15 Fig 2 and 3)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from explorer.claims import says
from explorer.instruments.contract import Column, Lane, Page, Table
from explorer.instruments.gate_maps.ask import Ask, Show
from explorer.instruments.gate_maps.result import GateMaps
from explorer.instruments.gate_words import SYMBOLS
from explorer.instruments.words import how

OPEN = 0.5


def caption(lanes: Sequence[Lane[GateMaps]], ask: Ask, show: Show) -> list[str]:
    said = []
    for lane in lanes:
        maps = lane.result
        means, biases = np.concatenate(maps.mean), np.concatenate(maps.bias)
        moved = np.abs(biases - np.concatenate(maps.bias_before)).max()
        words = (
            f"{lane.name}: {int(np.sum(means > OPEN)):,} of {len(means):,} gates are open above "
            f"{OPEN:g} on average ({maps.n_images:,} {maps.images} images{how(maps)}); no bias "
            f"moved by more than {moved:.2g} from where it started."
        )
        if maps.class_difference is not None:
            largest = np.abs(np.concatenate(maps.class_difference)).max()
            words += (
                f" For {maps.class_name} the largest difference from the mean is {largest:.2f}."
            )
        said.append(words)
    return said


def formula(lanes: Sequence[Lane[GateMaps]], ask: Ask, show: Show) -> list[str]:
    symbol = " or ".join(dict.fromkeys(f"{SYMBOLS[lane.result.gate]}(x)" for lane in lanes))
    lines = [
        f"mean over images of {symbol or 'T(x)'} for each unit; class c: mean over images of c, "
        "less that mean"
    ]
    for lane in lanes:
        maps = lane.result
        lines.append(
            f"{lane.name}, {maps.units[0]}, unit 0: bias {maps.bias_before[0][0]:.2f} → "
            f"{maps.bias[0][0]:.2f}, mean {maps.mean[0][0]:.3f}"
        )
    return lines


_HEADS = {
    "bias_before": "bias before",
    "bias": "bias",
    "mean": "mean gate",
    "sample": "for the image",
    "class_difference": "class − mean, largest",
    "output": "output for the image",
}


def table(maps: GateMaps) -> Table:
    """Means of each block's units; the files have every unit."""
    tables = maps.tables()
    heads = [Column(key, _HEADS[key], digits=3) for key in tables]
    entries = []
    for i, unit in enumerate(maps.units):
        values = [
            float(abs(rows[i]).max() if key == "class_difference" else rows[i].mean())
            for key, rows in tables.items()
        ]
        entries.append((unit, len(maps.mean[i]), *values))
    return Table((Column("unit", "block"), Column("units"), *heads), entries)


PAGE = Page(
    result=GateMaps,
    title="Gates by unit",
    group="gates",
    order=32,
    question="Which units of which block are open, and for what?",
    explains=(
        "Each row is a block and each column one unit of it (a channel, in convolutional nets), "
        "coloured by its gate. Look whether few or many units are open for one image, where those "
        "of one class differ from the mean, and whether block outputs run on unchanged as vertical "
        "stripes."
    ),
    figure_of=says("sgs15.maps"),
    caption=caption,
    formula=formula,
    mode="evaluation mode",
    suggests=("digits_fc_highway_50",),
    table=table,
)
