"""Where on one image the gates of a convolutional net are open."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from explorer.claims import says
from explorer.instruments.contract import Column, Lane, Page, Table
from explorer.instruments.gate_image.ask import Ask, Show
from explorer.instruments.gate_image.result import GateImage
from explorer.instruments.gate_words import symbols
from explorer.instruments.words import block


def caption(lanes: Sequence[Lane[GateImage]], ask: Ask, show: Show) -> list[str]:
    said = []
    for lane in lanes:
        found = lane.result
        spread = [float(values.max() - values.min()) for values in found.maps]
        most = int(np.argmax(spread))
        values = found.maps[most]
        of = "the mean over channels" if found.channel is None else f"channel {found.channel}"
        said.append(
            f"{lane.name}, {found.image_name}, {of}: the gates differ most from place to place in "
            f"{block(lane, found.units[most])}, from {values.min():.2f} to {values.max():.2f}."
        )
    if len(lanes) > 1:
        said.append(f"Drawn is {lanes[0].name}; the tables have every net.")
    return said


def formula(lanes: Sequence[Lane[GateImage]], ask: Ask, show: Show) -> list[str]:
    lines = [
        f"{symbols(lane.result.gate for lane in lanes)} at each place of a block's maps, one "
        "channel or the mean over all of them"
    ]
    for lane in lanes:
        found = lane.result
        lines.append(f"{lane.name}, {found.units[0]}: mean {found.maps[0].mean():.3f}")
    return lines


def table(found: GateImage) -> Table:
    """A row a block; the files have every place."""
    heads = (
        Column("unit", "block"),
        Column("places"),
        *(Column(key, digits=3) for key in ("least", "mean", "greatest")),
    )
    entries = [
        (
            unit,
            f"{values.shape[0]}×{values.shape[1]}",
            *(float(number) for number in (values.min(), values.mean(), values.max())),
        )
        for unit, values in zip(found.units, found.maps, strict=True)
    ]
    return Table(heads, entries)


PAGE = Page(
    result=GateImage,
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
    caption=caption,
    formula=formula,
    mode="evaluation mode; one image",
    suggests=("highway_25",),
    table=table,
)
