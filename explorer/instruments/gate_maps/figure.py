"""Layer × unit tables of gates as heat maps (SGS15 Fig 2 and 3)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from explorer.drawing.heat import colour_bar, diverging, panels, place, ragged, sequential
from explorer.drawing.plain import as_text
from explorer.instruments.contract import Lane, Style
from explorer.instruments.gate_maps.ask import Ask, Show
from explorer.instruments.gate_maps.result import TABLES, GateMaps
from explorer.results.common import Floats

SHOWN = {
    "fig2": ("bias", "mean", "sample", "class_difference", "output"),
    "biases": ("bias_before", "bias"),
    "classes": ("mean", "class_difference"),
    "all": TABLES,
}
_TITLES = {
    "bias_before": "bias, before training",
    "bias": "bias, now",
    "mean": "mean over {n:,} {images} images",
    "class_difference": "{class_name}: its mean less the mean",
    "sample": "for {sample_name}",
    "output": "block outputs for {sample_name}",
}
_BARS = {"gate": "gate", "bias": "bias", "difference": "class − all", "output": "output"}


def figure(lanes: Sequence[Lane[GateMaps]], ask: Ask, show: Show, style: Style) -> go.Figure:
    """Heat maps, block × unit (or channel).

    Gates share one scale from 0 to 1; biases, outputs and differences have each their own, the
    same for all nets, the latter two with 0 in the neutral colour.
    """
    theme = style.theme
    drawn = [
        (lane.name, lane.result, key)
        for lane in lanes
        for key in SHOWN[show.show]
        if key in lane.result.tables()
    ]
    titles = [
        (f"{name}: " if len(lanes) > 1 else "")
        + _TITLES[key].format(
            n=maps.n_images,
            images=maps.images,
            class_name=as_text(maps.class_name or ""),
            sample_name=as_text(maps.sample_name or ""),
        )
        for name, maps, key in drawn
    ]
    columns = min(1 if style.narrow else 2, max(1, len(drawn)))
    made = panels(theme, titles, x="unit or channel", y="block (1: input)", columns=columns)
    used = list(dict.fromkeys(_scale(key) for _, _, key in drawn))
    for i, (name, maps, key) in enumerate(drawn):
        table = ragged(maps.tables()[key])
        made.add_heatmap(
            y=np.arange(1, len(maps.units) + 1),
            z=table,
            text=np.repeat(np.asarray(maps.units)[:, None], table.shape[1], axis=1),
            name=name,
            coloraxis=_axis(used.index(_scale(key))),
            hovertemplate="%{text}, unit %{x}: %{z:.3g}<extra></extra>",
            **place(i, columns),
        )
    first = [next(i for i, row in enumerate(drawn) if _scale(row[2]) == key) for key in used]
    rows = [i // columns for i in first]
    for i, key in enumerate(used):
        tables_of = [maps.tables()[k] for _, maps, k in drawn if _scale(k) == key]
        low, high = _range(key, tables_of)
        # Beside the first panel that it is for; two bars of one row stand one above the other.
        bottom, top = made.layout[_axis(first[i]).replace("coloraxis", "yaxis")].domain
        beside = [k for k in range(len(used)) if rows[k] == rows[i]]
        part = (top - bottom) / len(beside)
        middle = top - part * (beside.index(i) + 0.5)
        bar = colour_bar(theme, _BARS[key], len=part, y=middle, yanchor="middle")
        colours = sequential(theme) if key in ("gate", "bias") else diverging(theme)
        axis = {"cmin": low, "cmax": high, "colorscale": colours, "colorbar": bar}
        made.update_layout({_axis(i): axis})
    return made


def _scale(key: str) -> str:
    return {"mean": "gate", "sample": "gate", "class_difference": "difference"}.get(
        key, "bias" if key.startswith("bias") else "output"
    )


def _axis(place: int) -> str:
    return "coloraxis" if place == 0 else f"coloraxis{place + 1}"


def _range(key: str, tables: Sequence[Sequence[Floats]]) -> tuple[float, float]:
    """Gates: 0 to 1. Else the values' own; where they have a sign, 0 is in the middle.

    Of outputs and differences it holds 99.5 %: a few outliers saturate.
    """
    if key == "gate":
        return 0.0, 1.0
    values = np.concatenate([row for table in tables for row in table])
    if key == "bias":
        return float(values.min()), float(values.max())
    high = float(np.quantile(np.abs(values), 0.995)) or 1.0
    return -high, high
