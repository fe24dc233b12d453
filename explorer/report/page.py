"""Trainings as one HTML file: interactive figures, tables, settings; it opens without a network.

Plotly's script is in it once, and a content security policy forbids every request, so that
"opens offline" is not a promise but enforced by the browser.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from functools import cache
from html import escape
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import plotly

from explorer.data.catalog import data_info
from explorer.drawing.palette import LANE_STYLES
from explorer.errors import SkipscopeError
from explorer.report.differences import differences
from explorer.report.figures import Part, parts
from explorer.report.material import ReportLane, Training, begun
from explorer.results.common import wilson_interval
from explorer.structure.blueprint import Blueprint, UnitPlan
from explorer.structure.graph import count_text
from explorer.structure.names import title_of, token_of
from explorer.structure.specs import ExperimentSpec
from explorer.system.versions import versions

_ASSETS = Path(__file__).parent / "assets"
_PLOTLY = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data: blob:; font-src data:"
)


def report_html(lanes: Sequence[ReportLane]) -> str:
    """The file's text, about 5 MB: Plotly's script, and the numbers.

    Args:
        lanes: One to four, of one training or of several.
    """
    trainings = _trainings(lanes)
    title = " · ".join(training.name for training in trainings)
    drawn = list(parts(lanes))
    body = "".join(
        [
            f"<header><h1>{escape(title)}</h1>{_under(trainings)}</header>",
            *(_note(training, several=len(trainings) > 1) for training in trainings),
            _section("nets", "Nets", _nets(lanes) + _sentences(differences(lanes))),
            *(_section(part.key, part.title, _figure(part)) for part in drawn),
            _section("settings", "Settings", _settings(trainings)),
            _section("made-of", "What the nets are made of", _made_of(lanes)),
            _section("conditions", "Conditions", _conditions(lanes, trainings)),
        ]
    )
    figures = "".join(
        f'<script type="application/json" id="data-{part.key}">{_inert(part)}</script>'
        for part in drawn
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{escape(title)}</title><link rel="icon" href="data:,">'
        f"<style>{_sheet()}</style></head><body><main>{body}</main>"
        f"{figures}<script>{_script()}</script></body></html>\n"
    )


@cache
def _script() -> str:
    return f"{_PLOTLY.read_text('utf-8')}\n{(_ASSETS / 'report.js').read_text('utf-8')}"


@cache
def _sheet() -> str:
    lanes = "".join(f".lane-{i}{{background:{style.light}}}" for i, style in enumerate(LANE_STYLES))
    return (_ASSETS / "report.css").read_text("utf-8") + lanes


def _inert(part: Part) -> str:
    """The figure's JSON, in which nothing can end the script element around it."""
    return str(part.figure.to_json()).replace("<", "\\u003c")


# --------------------------------------------------------------------------------------- parts


def _section(key: str, title: str, body: str) -> str:
    return f'<section id="{key}"><h2>{escape(title)}</h2>{body}</section>'


def _table(columns: Sequence[str], rows: Sequence[Sequence[Any]], caption: str) -> str:
    head = "".join(f'<th scope="col">{escape(column)}</th>' for column in columns)
    lines = "".join(
        "<tr>" + "".join(f"<td>{_cell(value)}</td>" for value in row) + "</tr>" for row in rows
    )
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="{escape(caption)}"><table>'
        f"<caption>{escape(caption)}</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table></div>"
    )


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    return escape(f"{value:,}" if isinstance(value, int) else f"{value}")


def _figure(part: Part) -> str:
    return (
        f'<p class="caption">{escape(part.caption)}</p>'
        f'<figure id="figure-{part.key}" data-figure="{part.key}" '
        f'aria-label="{escape(part.title)}. {escape(part.caption)}">'
        f'<div class="plot" style="height:{int(part.figure.layout.height or 300)}px"></div>'
        f'<p class="save"><button type="button" data-as="svg">Save as SVG</button>'
        f'<button type="button" data-as="png">Save as PNG</button></p></figure>'
        f"<details><summary>Table</summary>{_table(part.columns, part.rows, part.title)}</details>"
    )


def _trainings(lanes: Sequence[ReportLane]) -> list[Training]:
    return list({lane.training.id: lane.training for lane in lanes}.values())


def _under(trainings: Sequence[Training]) -> str:
    """One line a training: when, how far, how it ended."""
    lines = []
    for training in trainings:
        spec = training.spec
        words = [
            _title_of_data(spec),
            f"{training.step:,} of {training.steps_total:,} steps",
            training.status,
            f"seed {spec.seed}" if spec.seeds == 1 else f"{spec.seeds} seeds from {spec.seed}",
            begun(training) or "",
            f"run {training.id}",
        ]
        lines.append(f"<p>{escape(' · '.join(word for word in words if word))}</p>")
    return "".join(lines)


def _note(training: Training, *, several: bool) -> str:
    if not training.note:
        return ""
    of = f"Note on {training.name}" if several else "Note"
    return f'<div class="note"><b>{escape(of)}</b><p>{escape(training.note)}</p></div>'


def _nets(lanes: Sequence[ReportLane]) -> str:
    columns = (
        *("net", "layers", "parameters", "multiply-adds", "training error, %", "test error, %"),
        "95 % interval",
    )
    rows = []
    for lane in lanes:
        c = lane.curves
        train = c.train_error[-1] * 100 if len(c.eval_step) else np.nan
        test = c.test_error[-1] if len(c.eval_step) else np.nan
        if np.isfinite(test) and c.n_test:
            low, high = wilson_interval(float(test), c.n_test)
            interval = f"{100 * low:.1f} to {100 * high:.1f}, n = {c.n_test:,}"
        else:
            interval = "–"
        depth = sum(1 for layer in lane.plan.weight_layers if layer.depth_index)
        cells = [
            f'<span class="dot lane-{lane.index}"></span>{escape(lane.name)}',
            str(depth),
            f"{lane.plan.parameters:,}",
            count_text(lane.plan.multiply_adds),
            *(f"{v:.2f}" if np.isfinite(v) else "–" for v in (train, test * 100)),
            interval,
        ]
        rows.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    head = "".join(f'<th scope="col">{column}</th>' for column in columns)
    said = "".join(
        f"<p>{escape(f'{lane.name}: {sentence}')}</p>" for lane in lanes for sentence in lane.notes
    )
    return (
        '<div class="wide" tabindex="0" role="region" aria-label="Nets"><table>'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>{said}"
    )


def _sentences(sentences: Sequence[str]) -> str:
    return "".join(f"<p>{escape(sentence)}</p>" for sentence in sentences)


# ------------------------------------------------------------------------- settings, conditions


def _settings(trainings: Sequence[Training]) -> str:
    rows = [
        (words, *(_setting(training.spec, part, name) for training in trainings))
        for part, name, words in _fields(trainings[0].spec)
    ]
    columns = ("setting", *(training.name for training in trainings))
    whole = "".join(
        f"<details><summary>{escape(training.name)} as JSON</summary>"
        f"<pre>{escape(training.spec.model_dump_json(indent=1))}</pre></details>"
        for training in trainings
    )
    return _table(columns, rows, "Settings") + whole


def _fields(spec: ExperimentSpec) -> Iterator[tuple[str | None, str, str]]:
    for name in type(spec.data).model_fields:
        yield "data", name, "data set" if name == "name" else f"data: {name.replace('_', ' ')}"
    for name in type(spec.training).model_fields:
        yield "training", name, name.replace("_", " ")
    for name in ("seed", "seeds", "device"):
        yield None, name, name


def _setting(spec: ExperimentSpec, part: str | None, name: str) -> str:
    value = getattr(spec if part is None else getattr(spec, part), name)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    return "none" if value is None else str(value)


def _made_of(lanes: Sequence[ReportLane]) -> str:
    columns = ("stage", "blocks", "kind", "shortcut", "input", "output", "parameters of each")
    seen: dict[str, ReportLane] = {}
    for lane in lanes:
        seen.setdefault(token_of(lane.plan.spec), lane)
    return "".join(
        f"<details><summary>{escape(title_of(lane.plan.spec))}: {escape(token)}</summary>"
        f"{_table(columns, list(_stages(lane.plan)), title_of(lane.plan.spec))}</details>"
        for token, lane in seen.items()
    )


def _stages(plan: Blueprint) -> Iterator[tuple[Any, ...]]:
    """Neighbours that are alike, in one row."""

    def likeness(unit: UnitPlan) -> tuple[Any, ...]:
        shapes = ("×".join(map(str, shape)) for shape in (unit.input_shape, unit.output_shape))
        shortcut = unit.shortcut.replace("_", " ")
        return (unit.stage + 1, unit.kind, shortcut, *shapes, unit.parameters)

    for (stage, *rest), units in groupby(plan.units, likeness):
        kind, *others = rest
        yield stage, len(list(units)), *(kind, *others)


def _conditions(lanes: Sequence[ReportLane], trainings: Sequence[Training]) -> str:
    lines = []
    for training in trainings:
        spec = training.spec
        n = next((x.curves for x in lanes if x.training.id == training.id), None)
        images = (
            f"errors on {n.n_test:,} test images and {n.n_train:,} training images"
            if n is not None and n.n_test
            else "not evaluated yet"
        )
        lines.append(
            f"{training.name}: {_title_of_data(spec)}, {images}; gradients and gates on batches of "
            f"{spec.training.batch_size}; {spec.training.precision}"
            + (f" on {training.device.upper()}" if training.device else "")
            + ". Lanes of one run see the same batches from the same seed."
        )
    made = ", ".join(f"{name} {version}" for name, version in versions().items())
    lines.append(f"Written {time.strftime('%Y-%m-%d %H:%M')} with {made}.")
    return "".join(f"<p>{escape(line)}</p>" for line in lines)


def _title_of_data(spec: ExperimentSpec) -> str:
    try:
        return data_info(spec.data).title
    except SkipscopeError:  # a folder that is not there any more
        return spec.data.name
