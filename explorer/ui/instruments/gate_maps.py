"""Gates unit by unit: biases, means, one image, one class (SGS15 Fig 2 and 3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from explorer.charts import Theme, gate_map_figure
from explorer.claims import says
from explorer.results import GateMaps
from explorer.ui.instruments.blocks import rounded
from explorer.ui.instruments.contract import Asking, Instrument, Lane, Result, Row
from explorer.ui.instruments.decisions import IMAGE, OWN
from explorer.ui.instruments.gates import not_for
from explorer.ui.instruments.options import Choice, ClassPick, Options, Present

SHOWN = {
    "fig2": ("bias", "mean", "sample", "output"),
    "biases": ("bias_before", "bias"),
    "classes": ("mean", "class_difference"),
}
OPEN = 0.5


@dataclass(frozen=True)
class MaybeClass(ClassPick):
    """One class, or none."""

    def choices(self, present: Present) -> Mapping[str, str]:
        return {"": "none", **super().choices(present)}


def _measured(lane: Lane) -> GateMaps:
    return GateMaps.from_json(lane.result)


def figure(lanes: Sequence[Lane], options: Options, theme: Theme) -> go.Figure:
    return gate_map_figure(
        [(lane.index, lane.name, _measured(lane)) for lane in lanes],
        tables=SHOWN[options["show"]],
        columns=1 if options.get("narrow") else 2,
        theme=theme,
    )


def caption(lanes: Sequence[Lane], options: Options) -> list[str]:
    said = []
    for lane in lanes:
        maps = _measured(lane)
        means, biases = np.concatenate(maps.mean), np.concatenate(maps.bias)
        moved = np.abs(biases - np.concatenate(maps.bias_before)).max()
        words = (
            f"{lane.name}: {int(np.sum(means > OPEN)):,} of {len(means):,} gates are open above "
            f"{OPEN:g} on average ({maps.n_images:,} {maps.images} images); no bias moved by more "
            f"than {moved:.2g} from where it started."
        )
        if maps.class_difference is not None:
            largest = np.abs(np.concatenate(maps.class_difference)).max()
            words += (
                f" For {maps.class_name} the largest difference from the mean is {largest:.2f}."
            )
        said.append(words)
    return said


def formula(lanes: Sequence[Lane], options: Options) -> list[str]:
    lines = [
        "mean over images of T(x) for each unit; class c: mean over images of c, less that mean"
    ]
    for lane in lanes:
        maps = _measured(lane)
        lines.append(
            f"{lane.name}, {maps.units[0]}, unit 0: bias {maps.bias_before[0][0]:.2f} → "
            f"{maps.bias[0][0]:.2f}, mean {maps.mean[0][0]:.3f}"
        )
    return lines


def table(result: Result) -> list[Row]:
    """Means of each block's units; every unit is in the download of the command line."""
    maps = GateMaps.from_json(result)
    names = {
        "bias_before": "bias before",
        "bias": "bias",
        "mean": "mean gate",
        "sample": "for the image",
        "class_difference": "class − mean, largest",
        "output": "output for the image",
    }
    rows: list[Row] = []
    for i, unit in enumerate(maps.units):
        row: dict[str, str | int | float | None] = {"block": unit, "units": len(maps.mean[i])}
        for key, values in maps.tables().items():
            number = abs(values[i]).max() if key == "class_difference" else values[i].mean()
            row[names[key]] = rounded(float(number), 3)
        rows.append(row)
    return rows


def payload(asking: Asking) -> dict[str, Any]:
    options = asking.options
    own = options["own"]
    return {
        "net": asking.source,
        "data": asking.data.model_dump(mode="json"),
        "n_images": asking.n_images,
        "index": None if own else options["image"],
        "image_path": own or None,
        "train": options["images"] == "train",
        "of_class": int(options["class"]) if options["class"] else None,
    }


INSTRUMENT = Instrument(
    key="gate_maps",
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
    job="gate_maps",
    figure=figure,
    caption=caption,
    formula=formula,
    table=table,
    mode="evaluation mode",
    payload=payload,
    not_for=not_for,
    options=(
        Choice(
            "show",
            "Show",
            {
                "fig2": "bias, mean, one image",
                "biases": "biases before and after",
                "classes": "one class less the mean",
            },
        ),
        IMAGE,
        OWN,
        MaybeClass("class", "Class"),
        Choice("images", "Mean over", {"test": "test images", "train": "training images"}),
    ),
    suggests=("digits_fc_highway_50",),
)
