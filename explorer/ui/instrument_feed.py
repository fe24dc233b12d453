"""What the Instruments page's figure polls: figure, sentences, formula and table as one JSON text.

The question is the page's own link, so a refresh or another visitor finds the same answer, and a
measurement that was given up is asked for again.
"""

from __future__ import annotations

import json
import logging
import math
import threading
import zlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from typing import Any

import plotly.graph_objects as go

from explorer.charts import Theme
from explorer.charts.room import room_for_legend
from explorer.data.downloads import is_missing
from explorer.errors import SkipscopeError
from explorer.results.common import IMAGES
from explorer.results.statistics import kept_statistics, statistics_said
from explorer.runs.requests import JobKind
from explorer.runs.service import RunService
from explorer.shipped import shipped
from explorer.ui.downloading import downloads, wanted, words
from explorer.ui.instruments import Asking, Choice, Flag, Instrument, Lane, Row
from explorer.ui.look import Look, Scene, from_query, scene, to_query
from explorer.ui.measurements import Measured, Measurements
from explorer.ui.sources import SourceNet
from explorer.ui.visitors import get_service

POLL_MS = 400
POLL_REST_MS = 5000  # newer weights of a run, or none
ROWS_SHOWN = 400
LEGEND_NARROW, LEGEND_WIDE = 280, 640  # pixels of a phone's figure, and of a small window's
_KEPT = 64
measurements = Measurements()
_bodies: OrderedDict[tuple[str, str, Theme], bytes] = OrderedDict()
_bodies_lock = threading.Lock()


def answer(query: Mapping[str, str]) -> bytes:
    """The JSON text for one poll; only ``version`` and ``poll_ms`` if ``have`` is up to date."""
    service = get_service()
    theme: Theme = "dark" if query.get("theme") == "dark" else "light"
    shown, _ = scene(service, from_query(query)[0], narrow=query.get("narrow") == "1")
    measured = look_at(service, shown, query.get("viewer", ""), anew=not query.get("have"))
    waiting = any(not m.done and m.error is None for m in measured.values())
    poll = POLL_MS if waiting else POLL_REST_MS
    link = json.dumps([to_query(shown.look), shown.options["narrow"]], sort_keys=True)
    moment = [(index, m.number, shown.subjects[index].stamp) for index, m in measured.items()]
    version = f"{zlib.crc32(link.encode()):x}.{zlib.crc32(repr(moment).encode()):x}"
    if version == query.get("have"):
        return json.dumps({"version": version, "poll_ms": poll}).encode()
    key = (link, version, theme)
    with _bodies_lock:
        body = _bodies.get(key)
    if body is None:
        said = {"version": version, "poll_ms": poll, **_safely(shown, measured, theme)}
        body = json.dumps(said, separators=(",", ":")).encode()
        with _bodies_lock:
            _bodies[key] = body
            while len(_bodies) > _KEPT:
                _bodies.popitem(last=False)
    return body


def asking(shown: Scene, index: int) -> Asking:
    """What is asked of one of the scene's subjects."""
    net = shown.subjects[index]
    return Asking(
        index=index,
        source=net.source,
        data=net.data,
        n_images=shown.look.n_images if shown.instrument.takes_images else None,
        seed=shown.look.seed,
        options=shown.options,
        plan=net.plan,
    )


def question(shown: Scene, index: int) -> tuple[JobKind, dict[str, Any]]:
    """The job of one of the scene's subjects.

    Raises:
        SkipscopeError: One sentence: why this cannot be asked of that net.
    """
    return shown.instrument.kind(shown.options), shown.instrument.payload(asking(shown, index))


def look_at(
    service: RunService, shown: Scene, viewer: str = "", *, anew: bool = False
) -> dict[int, Measured]:
    """How the scene's measurements stand, by the net's position; asks for what is new.

    Args:
        viewer: Who looks (:mod:`explorer.ui.leases`).
        anew: They have just come: what failed is measured again.
    """
    found = {}
    for index, net in enumerate(shown.subjects):
        if index in shown.refused:
            continue
        try:
            found[index] = _look_at(service, shown, index, net, viewer, anew)
        except SkipscopeError as error:
            found[index] = Measured(0, None, False, 0.0, "", str(error))
    return found


def _look_at(
    service: RunService, shown: Scene, index: int, net: SourceNet, viewer: str, anew: bool
) -> Measured:
    recorded = shown.instrument.recorded
    if recorded is not None:
        result = recorded(service, asking(shown, index))
        number = zlib.crc32(json.dumps(result, sort_keys=True).encode())
        return Measured(number, result, True, 1.0, "", None)
    kind, payload = question(shown, index)
    kept = _of_card(kind, payload, net)
    if kept is not None:
        return Measured(0, kept, True, 1.0, "", None)
    what = wanted(net)
    coming = downloads.under_way(what)
    if coming is not None:
        return coming
    stamp = downloads.stamp(what, net.stamp)
    return measurements.look(service, kind, payload, stamp, viewer, anew=anew)


def _of_card(kind: str, payload: Mapping[str, Any], net: SourceNet) -> dict[str, Any] | None:
    """What the card of shipped weights holds of this very question: it need not be measured."""
    if net.source.get("source") != "shipped":  # empty where no net is needed
        return None
    card = shipped()[net.source["name"]]
    usual = {"net": net.source, "data": card.data.model_dump(mode="json"), "n_images": None}
    result: dict[str, Any] | None = card.results.get(kind) if payload == usual else None
    return result


def left(query: Mapping[str, str]) -> None:
    """A page's figure is gone, with the page or without it."""
    viewer = query.get("viewer", "")
    if viewer:
        measurements.left(viewer)


def leave(service: RunService, look: Look) -> None:
    """The page shows something else now."""
    shown, _ = scene(service, look)
    if shown.instrument.recorded is not None:
        return
    for index in range(len(shown.subjects)):
        if index not in shown.refused:
            with suppress(SkipscopeError):  # what could not be asked needs no leaving
                measurements.leave(*question(shown, index))


def _safely(shown: Scene, measured: Mapping[int, Measured], theme: Theme) -> dict[str, Any]:
    """The answer; a fault in an instrument's own file is a sentence, and the page goes on."""
    try:
        return _answer(shown, measured, theme)
    except Exception as error:
        logging.getLogger(__name__).exception("the instrument %s", shown.instrument.key)
        words = error if isinstance(error, SkipscopeError) else f"{type(error).__name__}: {error}"
        problem = f"This cannot be drawn ({words}); the server's log has the whole report."
        failed = {i: replace(m, result=None, done=True, error=problem) for i, m in measured.items()}
        nothing = go.Figure(layout={"height": 300})
        return {**_answer(replace(shown, instrument=_blank(shown, nothing)), failed, theme)}


def no_answer(sentence: str) -> bytes:
    """What is answered where a poll fails in a way that nobody foresaw."""
    lane = {"index": 0, "name": "This look", "done": True, "share": 1.0, "text": ""}
    said = {
        "version": "",
        "poll_ms": POLL_REST_MS,
        "figure": json.loads(go.Figure(layout={"height": 300}).to_json()),
        **{key: [] for key in ("captions", "formula", "tables", "conditions", "pictures")},
        "lanes": [{**lane, "error": sentence, "headline": None}],
        "empty": "There is nothing to draw: see below.",
    }
    return json.dumps(said).encode()


def _blank(shown: Scene, figure: go.Figure) -> Instrument:
    """An instrument that draws and says nothing, in the place of one that cannot."""
    return replace(shown.instrument, figure=lambda *_: figure, formula=lambda *_: [])


def _answer(shown: Scene, measured: Mapping[int, Measured], theme: Theme) -> dict[str, Any]:
    one, options = shown.instrument, shown.options
    lanes = lanes_of(shown, measured)
    figure = one.figure(lanes, options, theme)
    room_for_legend(figure, LEGEND_NARROW if options["narrow"] else LEGEND_WIDE)
    heads = {lane.index: one.headline(lane, options) for lane in lanes}
    # Zoom survives new data and new nets, but not another instrument's axes.
    kinds = [o.write(options[o.name]) for o in one.options if isinstance(o, (Choice, Flag))]
    figure.update_layout(uirevision=" ".join([one.key, *kinds]))
    return {
        "figure": json.loads(figure.to_json()),
        "captions": one.caption(lanes, options) if lanes else [],
        "formula": one.formula(lanes, options),
        "tables": [_table(lane, one.table(lane.result)) for lane in lanes],
        "conditions": conditions(shown, lanes),
        "pictures": [asdict(picture) for picture in one.pictures(lanes, options)],
        "lanes": [
            {
                **_lane(shown.subjects[index], index, m),
                "headline": heads.get(index),
            }
            for index, m in measured.items()
        ],
        "empty": _empty(shown, measured),
    }


def lanes_of(shown: Scene, measured: Mapping[int, Measured]) -> list[Lane]:
    """What there is to draw of, in order: of each result what the options choose."""
    lanes = [
        Lane(index, net.name, net.plan, net.info, m.result, m.done)
        for index, m in measured.items()
        if m.result is not None and (net := shown.subjects[index])
    ]
    return [replace(lane, result=shown.instrument.chosen(lane, shown.options)) for lane in lanes]


def _lane(net: SourceNet, index: int, m: Measured) -> dict[str, Any]:
    under_way = not m.done and m.error is None
    return {
        "index": index,
        "name": net.name,
        "done": not under_way,
        "share": round(m.share, 4) if under_way else 1.0,
        "text": m.text if under_way else "",
        "error": m.error,
        "download": _download(net, m.error),
    }


def _download(net: SourceNet, error: str | None) -> dict[str, str] | None:
    """The button that fetches what a measurement lacks."""
    what = wanted(net)
    failed = what and downloads.under_way(what) is not None
    if not what or error is None or not (failed or is_missing(error)):
        return None
    return {"what": what, "words": words(what)}


def download(query: Mapping[str, str]) -> str | None:
    """Fetches what a person asked for; a sentence where that is not possible."""
    try:
        downloads.begin(get_service(), query.get("what", ""))
    except SkipscopeError as error:
        return str(error)
    return None


def _empty(shown: Scene, measured: Mapping[int, Measured]) -> str:
    """What stands in a figure that has nothing to show."""
    if not shown.subjects:
        return "Choose a net above."
    if not measured:
        return "This instrument means nothing for the nets above; the sentence there says why."
    if all(m.error for m in measured.values()):
        return "There is nothing to draw: see below."
    return "Measuring…"


def conditions(shown: Scene, lanes: Sequence[Lane]) -> list[str]:
    """Under what conditions the numbers were taken; what nets have in common is said once."""
    names: dict[str, list[str]] = {}
    for lane in lanes:
        names.setdefault(_condition(shown, lane), []).append(lane.name)
    if len(names) == 1:
        return list(names)
    return [f"{'; '.join(of)}: {words}" for words, of in names.items()]


def _condition(shown: Scene, lane: Lane) -> str:
    net, result, one = shown.subjects[lane.index], lane.result, shown.instrument
    own = one.needs_net and one.own_weights(lane, shown.options)
    words = [_origin(net, result)] if own else []
    n = result.get("n_images")
    if "decision" in result:
        words.append(f"{result['decision']['image']}, {net.info.title}")
    elif one.takes_images or isinstance(n, int):
        shape = "×".join(str(n) for n in net.info.input_shape)
        kind = IMAGES.get(result.get("images", ""), "images")
        images = f"{n:,} {kind} of" if isinstance(n, int) else "images of"
        of_class = str(result.get("data", "")).partition(", class ")[2]
        images += f" class {of_class} of" if of_class else ""
        words.append(f"{images} {net.info.title}, {shape}")
    counted = one.needs_net and not own and not one.takes_images  # from the structure alone
    if one.recorded is None and not counted:
        words.append(str(result.get("precision") or result.get("dtype") or "float32"))
    words.append(one.mode if isinstance(one.mode, str) else one.mode(lane))
    words.append(_norms(one, lane))
    return " · ".join(word for word in words if word)


def _norms(one: Instrument, lane: Lane) -> str:
    """By which statistics batch norm normalised; empty of a net without."""
    found = lane.result.get("decision", lane.result)
    if found.get("recalibrated"):
        return ""  # the mode says how
    known = kept_statistics(found)
    kept_earlier = "statistics" not in found and one.recorded is None and one.takes_images
    if kept_earlier and lane.plan is not None:
        # Of the days when only a training step was not by the running statistics.
        normed = any(layer.kind == "batch_norm" for layer in lane.plan.layers)
        known = ("batch" if one.step else "running") if normed else None
    step = one.step or found.get("norm") == "batch"
    return statistics_said(known, found.get("n_images"), step=step)


def _origin(net: SourceNet, result: Mapping[str, Any]) -> str:
    """Where the weights come from, with the step that was measured."""
    if isinstance(result.get("step"), int) and net.stamp is not None:
        return f"{net.origin.rsplit(', ', 1)[0]}, weights of step {result['step']:,}"
    return net.origin


def _table(lane: Lane, rows: Any) -> dict[str, Any]:
    shown: list[Row] = list(rows)
    return {
        "name": lane.name,
        "columns": list(shown[0]) if shown else [],
        "rows": [[_cell(value) for value in row.values()] for row in shown[:ROWS_SHOWN]],
        "left_out": max(0, len(shown) - ROWS_SHOWN),
    }


def _cell(value: str | int | float | None) -> str | int | float | None:
    return None if isinstance(value, float) and not math.isfinite(value) else value
