"""Where on one image the gates of a convolutional net are open."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from explorer.blueprint import Blueprint
from explorer.charts import Theme, gate_image_figure
from explorer.charts.palette import base_figure
from explorer.claims import says
from explorer.errors import SpecError
from explorer.results import GateImage
from explorer.ui.instruments import gates
from explorer.ui.instruments.blocks import rounded
from explorer.ui.instruments.contract import Asking, Instrument, Lane, Result, Row
from explorer.ui.instruments.decisions import IMAGE, OWN
from explorer.ui.instruments.options import Options, Whole
from explorer.ui.instruments.words import block


def _measured(lane: Lane) -> GateImage:
    return GateImage.from_json(lane.result)


def figure(lanes: Sequence[Lane], options: Options, theme: Theme) -> go.Figure:
    """Of the first net alone: it has a map for every block."""
    if not lanes:
        return base_figure(theme, x="", y="")
    result = lanes[0].result
    found = GateImage.from_json(result)
    made = gate_image_figure(found, picture=result["picture"], theme=theme)
    if options.get("narrow"):
        made.update_layout(height=0.5 * made.layout.height)
    return made


def caption(lanes: Sequence[Lane], options: Options) -> list[str]:
    said = []
    for lane in lanes:
        found = _measured(lane)
        spread = [float(values.max() - values.min()) for values in found.maps]
        most = int(np.argmax(spread))
        values = found.maps[most]
        said.append(
            f"{lane.name}, {found.image_name}: the gates differ most from place to place in "
            f"{block(lane, found.units[most])}, from {values.min():.2f} to {values.max():.2f}."
        )
    if len(lanes) > 1:
        said.append(f"Drawn is {lanes[0].name}; the tables have every net.")
    return said


def formula(lanes: Sequence[Lane], options: Options) -> list[str]:
    lines = ["T(x) at each place of a block's maps, one channel or the mean over all of them"]
    for lane in lanes:
        found = _measured(lane)
        lines.append(f"{lane.name}, {found.units[0]}: mean {found.maps[0].mean():.3f}")
    return lines


def table(result: Result) -> list[Row]:
    found = GateImage.from_json(result)
    return [
        {
            "block": unit,
            "places": f"{values.shape[0]}×{values.shape[1]}",
            "least": rounded(float(values.min()), 3),
            "mean": rounded(float(values.mean()), 3),
            "greatest": rounded(float(values.max()), 3),
        }
        for unit, values in zip(found.units, found.maps, strict=True)
    ]


def payload(asking: Asking) -> dict[str, Any]:
    """What the job takes, which counts channels from 0.

    Raises:
        SpecError: Some block has no such channel.
    """
    options = asking.options
    own = options["own"]
    fewest = _channels(asking.plan)
    if fewest is not None and options["channel"] > fewest:
        raise SpecError(
            f"There is no channel {options['channel']} in every block: choose one from 1 to "
            f"{fewest}, or 0 for the mean over all of them."
        )
    return {
        "net": asking.source,
        "data": asking.data.model_dump(mode="json"),
        "index": None if own else options["image"],
        "image_path": own or None,
        "channel": options["channel"] - 1 if options["channel"] else None,
    }


def _channels(plan: Blueprint | None) -> int | None:
    """Of the gates with the fewest."""
    layers = [] if plan is None else [layer for unit in plan.units for layer in unit.layers]
    found = [x.output_shape[0] for x in layers if gates.is_gate(x)]
    return min(found, default=None)


def not_for(plan: Blueprint) -> str | None:
    if gates.not_for(plan) is not None:
        return (
            f"A {plan.spec.family} net has no transform gates: look at the maps of its blocks, or "
            "choose a convolutional highway net, such as highway_25, or a residual one with gated "
            "shortcuts."
        )
    if len(plan.units[0].input_shape) == 1:
        return (
            "The gates of a fully connected net have no places on the image: look at its gates by "
            "unit, or choose a convolutional highway net, such as highway_25."
        )
    return None


INSTRUMENT = Instrument(
    key="gate_image",
    title="Gates on an image",
    group="gates",
    order=34,
    question="Where on an image are the gates open?",
    explains=(
        "Each tile is one block's gates over the places of the image, in forward order; dark is "
        "open on a light page. Look whether the gates follow the strokes, and whether late blocks, "
        "whose maps are coarse, still tell places apart."
    ),
    figure_of=says("sgs15.no_places"),
    job="gate_image",
    figure=figure,
    caption=caption,
    formula=formula,
    table=table,
    mode="evaluation mode; one image",
    payload=payload,
    not_for=not_for,
    options=(
        IMAGE,
        OWN,
        Whole("channel", "Channel", 0, 0, 2048, help="0: the mean over all of them."),
    ),
    suggests=("highway_25",),
    takes_images=False,
)
