"""Feature reuse of dense nets, block by block (Huang16 Fig 5)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from explorer.drawing.heat import panels, place, sequential
from explorer.drawing.palette import ink
from explorer.drawing.strip import bar_below
from explorer.instruments.contract import Lane, Style
from explorer.instruments.reuse.ask import Ask, Show
from explorer.instruments.reuse.result import FeatureReuse, ReuseBlock
from explorer.results.common import Floats


def figure(lanes: Sequence[Lane[FeatureReuse]], ask: Ask, show: Show, style: Style) -> go.Figure:
    """One triangular map a block: rows are sources, columns the layers that use them.

    The first row is the block's input; the framed last column is the transition or classifier.
    Colours are shares: of each layer's strongest source, or of the block's greatest mean |w|.
    They reach down to the least that there is.
    """
    relative, theme = show.of == "relative", style.theme
    columns = 1 if style.narrow else 3
    blocks = [(lane.name, block) for lane in lanes for block in lane.result.blocks]
    titles = [f"{name}, {block.name}" if len(lanes) > 1 else block.name for name, block in blocks]
    columns = min(columns, max(1, len(blocks)))
    made = panels(theme, titles, x="layer", y="its source", columns=columns)
    shares = [block.relative() if relative else _scaled(block.weight) for _, block in blocks]
    for index, (_, block) in enumerate(blocks):
        cell = place(index, columns)
        made.add_heatmap(
            x=[*range(1, len(block.targets) + 1)],
            y=[*range(len(block.sources))],
            z=shares[index],
            customdata=_words(block),
            hovertemplate="%{customdata}<extra></extra>",
            hoverongaps=False,
            coloraxis="coloraxis",
            xgap=1,
            ygap=1,
            **cell,
        )
        last = len(block.targets)
        made.add_shape(
            type="rect",
            x0=last - 0.5,
            x1=last + 0.5,
            y0=-0.5,
            y1=len(block.sources) - 0.5,
            line={"color": ink(theme), "width": 1},
            **cell,
        )
        made.update_xaxes(
            tickvals=[*_ticks(1, last - 1), last],
            ticktext=[*map(str, _ticks(1, last - 1)), _ending(block)],
            tickangle=0,
            **cell,
        )
        made.update_yaxes(
            autorange="reversed",
            tickvals=_ticks(0, len(block.sources) - 1),
            ticktext=["in", *map(str, _ticks(0, len(block.sources) - 1)[1:])],
            **cell,
        )
    least = min((float(np.nanmin(share)) for share in shares), default=0.0)
    made.update_layout(
        coloraxis={
            "colorscale": sequential(theme),
            "cmin": math.floor(least * 20) / 20,
            "cmax": 1,
        }
    )
    of = "the layer's strongest source" if relative else "the block's greatest mean |w|"
    return bar_below(made, theme, f"share of {of}")


def _scaled(weight: Floats) -> Floats:
    """From 0 to 1 within a block."""
    most = float(np.nanmax(weight))
    return weight / most if most > 0 else weight


def _ending(block: ReuseBlock) -> str:
    """Of the last column: ``T`` for the transition, ``C`` for the classifier."""
    return "C" if block.targets[-1] == "head" else "T"


def _ticks(first: int, last: int) -> list[int]:
    """At most four whole numbers: three panels share a phone's width."""
    step = max(1, math.ceil((last - first + 1) / 4))
    return list(range(first, last + 1, step))


def _words(block: ReuseBlock) -> list[list[str]]:
    return [
        [
            f"{target} ← {source} ({maps} maps): mean |w| = {value:.3g}"
            for target, value in zip(block.targets, row, strict=True)
        ]
        for source, maps, row in zip(block.sources, block.maps, block.weight, strict=True)
    ]
