"""Feature reuse in dense nets (Huang16 Fig 5)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from explorer.blueprint import Blueprint
from explorer.charts import Theme, reuse_figure
from explorer.claims import says
from explorer.results import FeatureReuse, ReuseBlock
from explorer.ui.instruments.contract import Asking, Instrument, Lane, Result, Row, one_net
from explorer.ui.instruments.options import Choice, Options
from explorer.ui.instruments.words import percent


def _measured(lane: Lane) -> FeatureReuse:
    return FeatureReuse.from_json(lane.result)


def figure(lanes: Sequence[Lane], options: Options, theme: Theme) -> go.Figure:
    return reuse_figure(
        [(lane.index, lane.name, _measured(lane)) for lane in lanes],
        relative=options["of"] == "relative",
        columns=1 if options.get("narrow") else 3,
        theme=theme,
    )


def caption(lanes: Sequence[Lane], options: Options) -> list[str]:
    said = []
    for lane in lanes:
        reuse = _measured(lane)
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


def formula(lanes: Sequence[Lane], options: Options) -> list[str]:
    scaled = options["weights"] == "scaled"
    lines = [
        "(s, ℓ) = mean of |w| over the weights of layer ℓ on the maps of source s"
        + (", times |γ| of the batch norm before" if scaled else "")
    ]
    for lane in lanes:
        block = _measured(lane).blocks[0]
        column = min(1, len(block.targets) - 1)
        parts = ", ".join(
            f"{_source(block, row)} {block.weight[row, column]:.3g}" for row in range(column + 1)
        )
        lines.append(f"{lane.name}, {block.name}, {block.targets[column]}: {parts}")
    return lines


def table(result: Result) -> list[Row]:
    return [
        {
            "block": block.name,
            "source": source,
            "maps": maps,
            "used by": target,
            "mean |w|": float(f"{block.weight[s, t]:.4g}"),
        }
        for block in FeatureReuse.from_json(result).blocks
        for t, target in enumerate(block.targets)
        for s, (source, maps) in enumerate(zip(block.sources, block.maps, strict=True))
        if np.isfinite(block.weight[s, t])
    ]


def _shares(block: ReuseBlock) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    shares = block.relative().ravel()
    return shares[np.isfinite(shares)]


def _source(block: ReuseBlock, row: int) -> str:
    return f"{block.name}'s input" if row == 0 else f"layer {row} ({block.sources[row]})"


def _payload(asking: Asking) -> dict[str, object]:
    return {**one_net(asking), "scaled": asking.options["weights"] == "scaled"}


def not_for(plan: Blueprint) -> str | None:
    if any(unit.kind == "dense" for unit in plan.units):
        return None
    return (
        f"A {plan.spec.family} net hands on one sum of its features, not each layer's own: look at "
        "its responses, or choose a dense net, such as digits_densenet_40_k12."
    )


INSTRUMENT = Instrument(
    key="reuse",
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
    job="reuse",
    figure=figure,
    caption=caption,
    formula=formula,
    table=table,
    mode="read from the weights alone",
    options=(
        Choice(
            "of",
            "Colours",
            {"relative": "share of the layer's strongest", "absolute": "mean weight"},
            help="Layers differ in the size of all their weights; shares compare sources.",
        ),
        Choice(
            "weights",
            "Weights",
            {"bare": "bare, as in the paper", "scaled": "times the norm's scale"},
            help="A batch norm before the weights may scale a source's maps up or down.",
        ),
    ),
    payload=_payload,
    not_for=not_for,
    suggests=("digits_densenet_40_k12",),
    takes_images=False,
)
