"""Accuracy with more and more blocks deleted at random (Veit16 Fig 5a)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from explorer.charts import Theme, lesion_band_figure
from explorer.claims import says
from explorer.results import LesionBand
from explorer.ui.instruments import lesioning, lesions
from explorer.ui.instruments.contract import Asking, Instrument, Lane, Result, Row
from explorer.ui.instruments.options import Options, Whole
from explorer.ui.instruments.words import count, percent


def _band(lane: Lane) -> LesionBand:
    return LesionBand.from_json(lane.result)


def payload(asking: Asking) -> dict[str, Any]:
    k = asking.options["k"]
    if asking.plan is not None:  # a smaller net has fewer to delete
        k = min(k, max(1, sum(unit.deletable for unit in asking.plan.units)))
    own = {"k": k, "trials": asking.options["trials"], "seed": asking.seed}
    return {**lesioning.payload(asking), **own}


def figure(lanes: Sequence[Lane], options: Options, theme: Theme) -> go.Figure:
    return lesion_band_figure(
        [(lane.index, lane.name, _band(lane)) for lane in lanes],
        chance=lesioning.chance(lanes, options),
        theme=theme,
    )


def caption(lanes: Sequence[Lane], options: Options) -> list[str]:
    said = []
    for lane in lanes:
        band = _band(lane)
        draws, most = band.accuracy.shape
        (middle,) = band.quantiles(0.5)
        lost = np.flatnonzero(band.baseline_accuracy - middle > 0.1)
        words = f"{lesioning.intact(lane, band)}. {count(draws, 'draw')}: the median is "
        words += f"{percent(float(middle[0]))} without 1 block"
        if most > 1:
            words += f" and {percent(float(middle[-1]))} without {most}"
        words += (
            f"; it is more than 10 points below intact from {count(int(lost[0]) + 1, 'block')} on."
            if len(lost) and bool((np.diff(lost) == 1).all()) and lost[-1] == most - 1
            else "."
            if len(lost)
            else "; it never is more than 10 points below intact."
        )
        said.append(words + lesioning.guessing(lane, band))
    return said


def formula(lanes: Sequence[Lane], options: Options) -> list[str]:
    families = {lane.plan.spec.family for lane in lanes if lane.plan is not None}
    lines = [words for family, words in lesions.DELETED_IS.items() if family in families]
    lines.append("draw i: one random order of the blocks; k deleted: the first k of it")
    lines.append(lesioning.INTERVAL)
    for lane in lanes:
        band = _band(lane)
        most = band.accuracy.shape[1]
        p = float(band.accuracy[0, -1])
        gone = f"draw 1, {count(most, 'block')} deleted"
        lines.append(lesioning.present(lane, gone, p, band.n_images))
    return lines


def table(result: Result) -> list[Row]:
    band = LesionBand.from_json(result)
    low, middle, high = band.quantiles(0, 0.5, 1) * 100
    return [
        {
            "blocks deleted": int(k),
            "median, %": round(float(half), 2),
            "least, %": round(float(least), 2),
            "most, %": round(float(most), 2),
            "draws": len(band.deleted),
        }
        for k, half, least, most in zip(band.k, middle, low, high, strict=True)
    ]


INSTRUMENT = Instrument(
    key="several",
    title="Delete several",
    group="blocks",
    order=20,
    question="How many blocks can a trained net lose?",
    explains=(
        "Blocks are deleted at random, one more at each step; a dot is one draw, the line their "
        "median, the band 10 to 90 % of the draws, and a bar the 95 % interval of the median for "
        "this number of images. Look whether accuracy goes down step by step, as that of many "
        "voters who leave one after another, or at once."
    ),
    figure_of=says("veit16.delete_several"),
    job="lesion_band",
    figure=figure,
    caption=caption,
    formula=formula,
    table=table,
    mode=lesioning.mode,
    chosen=lesioning.one_class(LesionBand),
    payload=payload,
    not_for=lesions.not_for,
    suggests=("digits_plain_56", "digits_resnet_v2_56"),
    options=(
        Whole("k", "Most blocks deleted", 20, 1, 1000, help="Fewer where a net has fewer."),
        Whole("trials", "Draws", 10, 1, 100),
        lesioning.SPLIT,
        lesioning.RECALIBRATE,
        lesioning.CLASS,
    ),
)
