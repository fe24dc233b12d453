"""What the maps of blocks look like for one image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from explorer.blueprint import Blueprint
from explorer.charts import Theme, activation_figure
from explorer.claims import says
from explorer.results import ActivationMaps
from explorer.ui.instruments.contract import Asking, Instrument, Lane, Result, Row
from explorer.ui.instruments.decisions import IMAGE, OWN, WITHOUT, one_picture
from explorer.ui.instruments.options import Choice, Options, Present, UnitPick
from explorer.ui.instruments.words import block, listed, percent


@dataclass(frozen=True)
class BlockPick(UnitPick):
    """One block, or the last of each stage."""

    def choices(self, present: Present) -> Mapping[str, str]:
        return {"": "the last of each stage", **super().choices(present)}

    def usual(self, present: Present) -> Any:
        return ""


PARTS = {"output": "give on", "branch": "add", "shortcut": "let pass"}


def _measured(lane: Lane) -> ActivationMaps:
    return ActivationMaps.from_json(lane.result)


def figure(lanes: Sequence[Lane], options: Options, theme: Theme) -> go.Figure:
    return activation_figure(
        [(lane.index, lane.name, _measured(lane)) for lane in lanes],
        columns=8 if options.get("narrow") else 16,
        theme=theme,
    )


def caption(lanes: Sequence[Lane], options: Options) -> list[str]:
    said = []
    for lane in lanes:
        result = _measured(lane)
        parts = []
        for unit in result.units:
            best = int(unit.magnitude.argmax())
            parts.append(
                f"{block(lane, unit.name)} has {unit.shape[0]} maps of {unit.shape[1]}×"
                f"{unit.shape[2]}, {percent(unit.negative)} of their values below 0, channel "
                f"{best} strongest (mean magnitude {unit.magnitude[best]:.3g})"
            )
        words = f"{lane.name}, {result.image}"
        if result.deleted:
            words += f", without {listed(result.deleted)}"
        said.append(f"{words}: {'; '.join(parts)}.")
    return said


def formula(lanes: Sequence[Lane], options: Options) -> list[str]:
    lines = [
        "output y = after(h(x) + F(x)); what its layers add: F(x), H(x)·T(x), or the new maps; "
        "what passes: h(x), x·(1 − T(x)), or the earlier maps",
        "strongest: the channels of the greatest mean |activation| over positions",
    ]
    for lane in lanes:
        for unit in _measured(lane).units[:1]:
            first = unit.channels[0]
            lines.append(
                f"{lane.name}, {unit.name}, channel {first}: mean |activation| "
                f"{unit.magnitude[first]:.3g}, the greatest of {unit.shape[0]} channels "
                f"{unit.magnitude.max():.3g}"
            )
    return lines


def table(result: Result) -> list[Row]:
    return [
        {
            "block": unit.name,
            "channel": channel,
            "mean |activation|": float(f"{unit.magnitude[channel]:.4g}"),
        }
        for unit in ActivationMaps.from_json(result).units
        for channel in unit.channels
    ]


def payload(asking: Asking) -> dict[str, Any]:
    options = asking.options
    names = () if asking.plan is None else tuple(unit.name for unit in asking.plan.units)
    return {
        **one_picture(asking),
        "units": [options["block"]] if options["block"] in names else None,
        "part": options["part"],
        "channels": options["channels"],
    }


def not_for(plan: Blueprint) -> str | None:
    if len(plan.units[-1].output_shape) == 3:
        return None
    return (
        "The blocks of a fully connected net give features, not maps: look at its gates or "
        "responses, or choose a convolutional net, such as digits_resnet_v2_56."
    )


INSTRUMENT = Instrument(
    key="activations",
    title="Maps",
    group="features",
    order=40,
    question="What do the blocks make of an image?",
    explains=(
        "Each tile is one channel of a block's maps over the image: orange above 0, blue below. "
        "Compare what a block's layers add with what passes it by, and how the maps grow coarse."
    ),
    figure_of=says("methods.maps"),
    job="activations",
    figure=figure,
    caption=caption,
    formula=formula,
    table=table,
    mode="evaluation mode; one image",
    options=(
        IMAGE,
        OWN,
        BlockPick("block", "Block", help="Nets without a block of this name show their stages."),
        Choice("part", "What blocks", PARTS),
        Choice("channels", "Channels", {"strongest": "strongest", "first": "first"}),
        WITHOUT,
    ),
    payload=payload,
    not_for=not_for,
    suggests=("digits_resnet_v2_56", "digits_densenet_40_k12"),
    takes_images=False,
)
