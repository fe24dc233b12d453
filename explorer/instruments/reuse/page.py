"""Feature reuse in dense nets (Huang16 Fig 5)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from explorer.claims import says
from explorer.instruments.contract import Lane, Page
from explorer.instruments.reuse.ask import Ask, Show
from explorer.instruments.reuse.result import FeatureReuse, ReuseBlock
from explorer.instruments.words import percent
from explorer.writing.text_tables import table


def caption(lanes: Sequence[Lane[FeatureReuse]], ask: Ask, show: Show) -> list[str]:
    said = []
    for lane in lanes:
        reuse = lane.result
        shares = np.concatenate([_shares(block) for block in reuse.blocks])
        words = (
            f"{lane.name}: a source has {percent(float(np.median(shares)), 0)} of the mean weight "
            f"of its layer's strongest one in the middle of all {len(shares)} pairs, and "
            f"{percent(float(shares.min()), 0)} at the least (read from the weights, no images)."
        )
        last = reuse.blocks[-1]
        if last.targets[-1] == "head":
            column = last.relative()[:, -1]
            words += (
                f" The classifier's weights are largest on {_source(last, int(column.argmax()))}; "
                f"on the last block's input they are {percent(float(column[0]), 0)} of those."
            )
        said.append(words)
    return said


def formula(lanes: Sequence[Lane[FeatureReuse]], ask: Ask, show: Show) -> list[str]:
    scaled = ask.scaled
    lines = [
        "(s, ℓ) = mean of |w| over the weights of layer ℓ on the maps of source s"
        + (", times |γ| of the batch norm before" if scaled else "")
    ]
    for lane in lanes:
        block = lane.result.blocks[0]
        column = min(1, len(block.targets) - 1)
        parts = ", ".join(
            f"{_source(block, row)} {block.weight[row, column]:.3g}" for row in range(column + 1)
        )
        lines.append(f"{lane.name}, {block.name}, {block.targets[column]}: {parts}")
    return lines


def terminal(lane: Lane[FeatureReuse], ask: Ask, show: Show) -> str:
    """Each block's triangle, as numbers."""
    absolute = show.of == "absolute"
    lines = [
        "Mean |w| from each source (row) to each layer (column), "
        + ("as it is." if absolute else "in % of the layer's strongest source.")
    ]
    for block in lane.result.blocks:
        ending = "the classifier" if block.targets[-1] == "head" else "the transition"
        lines.append(f"\n{block.name}: in is its input, the last column {ending}")
        values = block.weight if absolute else block.relative() * 100
        rows = [
            ["in" if i == 0 else str(i), *(_cell(value, absolute) for value in row)]
            for i, row in enumerate(values)
        ]
        header = ["", *map(str, range(1, len(block.targets))), "→"]
        lines.append(table(header, rows, "r" * len(header)))
    return "\n".join(lines)


def _cell(value: float, absolute: bool) -> str:
    if value != value:  # not connected
        return ""
    return f"{value:.3f}" if absolute else f"{value:.0f}"


def _shares(block: ReuseBlock) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    shares = block.relative().ravel()
    return shares[np.isfinite(shares)]


def _source(block: ReuseBlock, row: int) -> str:
    return f"{block.name}'s input" if row == 0 else f"layer {row} ({block.sources[row]})"


PAGE = Page(
    result=FeatureReuse,
    title="Reuse",
    group="responses",
    order=60,
    question="Which earlier layers does each dense layer use?",
    explains=(
        "In each triangle a column is one layer, a row a source that it can use: the block's "
        "input at the top, then every earlier layer; the framed last column is what follows the "
        "block. Look how far up the colours reach: early features that stay in use late, and "
        "whether the classifier leans on the last ones."
    ),
    figure_of=says("huang16.reuse", "reuse.shipped"),
    caption=caption,
    formula=formula,
    mode="read from the weights alone",
    terminal=terminal,
    suggests=("digits_densenet_40_k12",),
)
