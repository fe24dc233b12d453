"""What the maps of blocks look like for one image."""

from __future__ import annotations

from collections.abc import Sequence

from explorer.claims import says
from explorer.instruments.activations.ask import Ask, Part, Show
from explorer.instruments.activations.result import ActivationMaps
from explorer.instruments.contract import Column, Lane, Page, Table
from explorer.instruments.words import block, listed, percent
from explorer.writing.text_tables import table as text_table

_DOES: dict[Part, str] = {"output": "gives on", "branch": "adds", "shortcut": "lets pass"}
SHOWN = 6  # channels of a unit in the terminal


def caption(lanes: Sequence[Lane[ActivationMaps]], ask: Ask, show: Show) -> list[str]:
    said = []
    for lane in lanes:
        result = lane.result
        parts = []
        for unit in result.units:
            best = int(unit.magnitude.argmax())
            parts.append(
                f"{block(lane, unit.name)} {_DOES[result.part]} {unit.shape[0]} maps of "
                f"{unit.shape[1]}×"
                f"{unit.shape[2]}, {percent(unit.negative)} of their values below 0, channel "
                f"{best} strongest (mean magnitude {unit.magnitude[best]:.3g})"
            )
        words = f"{lane.name}, {result.image}"
        if result.deleted:
            words += f", without {listed(result.deleted)}"
        said.append(f"{words}: {'; '.join(parts)}.")
    return said


def formula(lanes: Sequence[Lane[ActivationMaps]], ask: Ask, show: Show) -> list[str]:
    lines = [
        "output y = after(h(x) + F(x)); what its layers add: F(x), H(x)·T(x), or the new maps; "
        "what passes: h(x), x·(1 − T(x)), or the earlier maps",
        "strongest: the channels of the greatest mean |activation| over positions",
    ]
    for lane in lanes:
        for unit in lane.result.units[:1]:
            first = unit.channels[0]
            lines.append(
                f"{lane.name}, {unit.name}, channel {first}: mean |activation| "
                f"{unit.magnitude[first]:.3g}, the greatest of {unit.shape[0]} channels "
                f"{unit.magnitude.max():.3g}"
            )
    return lines


def table(result: ActivationMaps) -> Table:
    """The channels that are drawn; the files have all."""
    columns = (Column("unit", "block"), Column("channel"), Column("magnitude", "mean |activation|"))
    entries = [
        (unit.name, channel, float(unit.magnitude[channel]))
        for unit in result.units
        for channel in unit.channels
    ]
    return Table(columns, entries)


def terminal(lane: Lane[ActivationMaps], ask: Ask, show: Show) -> str:
    """A line a unit: its maps, how strong they are, and the channels that are drawn."""
    rows = []
    for unit in lane.result.units:
        shown = [f"{c}: {unit.magnitude[c]:.3g}" for c in unit.channels[:SHOWN]]
        more = " …" if len(unit.channels) > len(shown) else ""
        rows.append(
            [
                unit.name,
                "×".join(map(str, unit.shape)),
                f"{unit.magnitude.mean():.3g}",
                percent(unit.negative),
                ", ".join(shown) + more,
            ]
        )
    heads = ["unit", "maps", "mean |activation|", "below 0", "of channels"]
    hint = "--html FILE has the maps themselves.\n\n" if lane.index == 0 else ""
    return hint + text_table(heads, rows, "  rr ")


PAGE = Page(
    result=ActivationMaps,
    title="Maps",
    group="features",
    order=40,
    question="What do the blocks make of an image?",
    explains=(
        "Each tile is one channel of a block's maps over the image: orange above 0, blue below. "
        "Compare what a block's layers add with what passes it by, and how the maps grow coarse."
    ),
    figure_of=says("methods.maps"),
    caption=caption,
    formula=formula,
    mode="evaluation mode; one image",
    suggests=("digits_resnet_v2_56", "digits_densenet_40_k12"),
    table=table,
    terminal=terminal,
)
