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
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from typing import Any

import plotly.graph_objects as go

from explorer.data.downloads import is_here, is_missing
from explorer.drawing import Theme
from explorer.drawing.room import room_for_legend
from explorer.errors import SkipscopeError, WeightsError
from explorer.instruments import instrument, is_instrument
from explorer.instruments.contract import Lane, Result
from explorer.pages.instruments import Instrument
from explorer.pages.instruments.controls import Choice, Flag
from explorer.pages.instruments.downloads import downloads, wanted, words
from explorer.pages.instruments.links import Look, Scene, from_query, scene, to_query
from explorer.pages.instruments.on_page import Asking, Row
from explorer.pages.server.visitors import get_service
from explorer.pages.shared.measurements import Measured, Measurements
from explorer.pages.shared.sources import SourceNet
from explorer.results.common import IMAGES
from explorer.results.statistics import statistics_said
from explorer.runs.serve.service import RunService
from explorer.structure.cards import Card, kept, shipped
from explorer.writing.wording import typeset

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


def question(shown: Scene, index: int) -> tuple[str, dict[str, Any]]:
    """The job of one of the scene's subjects.

    Raises:
        SkipscopeError: One sentence: why this cannot be asked of that net.
    """
    return shown.instrument.key, shown.instrument.payload(asking(shown, index))


def look_at(
    service: RunService, shown: Scene, viewer: str = "", *, anew: bool = False
) -> dict[int, Measured]:
    """How the scene's measurements stand, by the net's position; asks for what is new.

    Args:
        viewer: Who looks (:mod:`explorer.pages.server.leases`).
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
    if shown.instrument.is_recorded:
        result = shown.instrument.recorded(service, net.source, shown.options).to_json()
        number = zlib.crc32(json.dumps(result, sort_keys=True).encode())
        return Measured(number, result, True, 1.0, "", None)
    kind, payload = question(shown, index)
    kept = None if shown.look.again else kept_answer(kind, payload, net, shown)
    if kept is not None:
        return Measured(0, kept, True, 1.0, "", None, kept=True)
    what = wanted(net)
    coming = downloads.under_way(what)
    if coming is not None:
        return coming
    stamp = downloads.stamp(what, net.stamp)
    return measurements.look(service, kind, payload, stamp, viewer, anew=anew)


def kept_answer(
    kind: str, payload: Mapping[str, Any], net: SourceNet, shown: Scene
) -> dict[str, Any] | None:
    """What shipped weights come with of this very question: it need not be measured.

    Where their images are not on this machine, of another number of images, too: the conditions
    say of how many.
    """
    if net.source.get("source") != "shipped":  # empty where no net is needed
        return None
    card = shipped()[net.source["name"]]
    if payload.get("data") not in (None, card.data.model_dump(mode="json")):
        return None
    asked = {key: value for key, value in payload.items() if key not in ("net", "data")}
    result = _of_card(kind, asked, card) or _beside_card(kind, asked, card)
    if result is None and not is_here(net.data):
        every = {**asked, "n_images": None}
        result = _of_card(kind, every, card) or _beside_card(kind, asked, card, any_number=True)
    if result is not None and is_instrument(kind):
        one = instrument(kind)
        result = {**result, "normalised": card.trained_on.normalisation}
        if any(result.get(field) is None for field in one.shown(shown.options).needs()):
            return None
    return result


def _of_card(kind: str, asked: Mapping[str, Any], card: Card) -> dict[str, Any] | None:
    """Of a card's results, which are of instruments as they usually ask."""
    result: dict[str, Any] | None = card.results.get(kind)
    usual = instrument(kind).ask().model_dump(mode="json") if is_instrument(kind) else {}
    given = {name: value for name, value in asked.items() if value is not None}
    same = all(value == usual.get(name) for name, value in given.items())
    return result if same else None


def _beside_card(
    kind: str, asked: Mapping[str, Any], card: Card, *, any_number: bool = False
) -> dict[str, Any] | None:
    """Of what is kept beside a card, by everything that was asked."""
    with suppress(WeightsError):  # damaged: it is measured instead
        for one in kept(card.name).results:
            differs = {key for key in {*asked, *one.ask} if asked.get(key) != one.ask.get(key)}
            if one.kind == kind and differs <= ({"n_images"} if any_number else set()):
                return one.result
    return None


def can_measure_again(shown: Scene) -> bool:
    """Whether something that is shown was kept with shipped weights, and the images are here."""
    for index, net in enumerate(shown.subjects):
        if index in shown.refused or shown.instrument.is_recorded or not is_here(net.data):
            continue
        with suppress(SkipscopeError):
            if kept_answer(*question(shown, index), net, shown) is not None:
                return True
    return False


def left(query: Mapping[str, str]) -> None:
    """A page's figure is gone, with the page or without it."""
    viewer = query.get("viewer", "")
    if viewer:
        measurements.left(viewer)


def leave(service: RunService, look: Look) -> None:
    """The page shows something else now."""
    shown, _ = scene(service, look)
    if shown.instrument.is_recorded:
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
        return _answer(shown, failed, theme, broken=True)


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


def _answer(
    shown: Scene, measured: Mapping[int, Measured], theme: Theme, *, broken: bool = False
) -> dict[str, Any]:
    """What is drawn and said; ``broken``: the instrument cannot draw even an empty figure."""
    one, options = shown.instrument, shown.options
    lanes = lanes_of(shown, measured)
    nothing = go.Figure(layout={"height": 300})
    figure = nothing if broken else one.figure(lanes, options, theme)
    room_for_legend(figure, LEGEND_NARROW if options["narrow"] else LEGEND_WIDE)
    heads = {lane.index: one.headline(lane, options) for lane in lanes}
    # Zoom survives new data and new nets, but not another instrument's axes.
    kinds = [o.write(options[o.name]) for o in one.options if isinstance(o, (Choice, Flag))]
    figure.update_layout(uirevision=" ".join([one.key, *kinds]))
    return {
        "figure": json.loads(figure.to_json()),
        "captions": list(map(typeset, one.caption(lanes, options))) if lanes else [],
        "formula": [] if broken else list(map(typeset, one.formula(lanes, options))),
        "tables": [_table(lane, one.table(lane.result)) for lane in lanes],
        "conditions": conditions(shown, lanes, {i for i, m in measured.items() if m.kept}),
        "pictures": [asdict(picture) for picture in one.pictures(lanes, options)] if lanes else [],
        "lanes": [
            {
                **_lane(shown.subjects[index], index, m),
                "headline": heads.get(index),
            }
            for index, m in measured.items()
        ],
        "empty": _empty(shown, measured),
    }


def lanes_of(shown: Scene, measured: Mapping[int, Measured]) -> list[Lane[Any]]:
    """What there is to draw of, in order: of each result what the options choose."""
    one = shown.instrument
    lanes = [
        one.lane(index, net.name, net.plan, net.info, m.result, m.done)
        for index, m in measured.items()
        if m.result is not None and (net := shown.subjects[index])
    ]
    return [one.chosen(lane, shown.options) for lane in lanes]


def _lane(net: SourceNet, index: int, m: Measured) -> dict[str, Any]:
    under_way = not m.done and m.error is None
    return {
        "index": index,
        "name": net.name,
        "done": not under_way,
        "share": round(m.share, 4) if under_way else 1.0,
        "text": m.text if under_way else "",
        "error": m.error,
        "download": _download(net, m),
    }


def _download(net: SourceNet, m: Measured) -> dict[str, str] | None:
    """The button that fetches what a measurement lacks, or would, were it taken again."""
    what = wanted(net)
    failed = what and downloads.under_way(what) is not None
    lacking = m.kept or (m.error is not None and (failed or is_missing(m.error)))
    if not what or not lacking:
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


def conditions(shown: Scene, lanes: Sequence[Lane[Any]], kept: Collection[int] = ()) -> list[str]:
    """Under what conditions the numbers were taken; what nets have in common is said once.

    Args:
        kept: Lanes whose numbers came with shipped weights.
    """
    names: dict[str, list[str]] = {}
    for lane in lanes:
        words = _condition(shown, lane)
        words += " · kept with the weights" if lane.index in kept else ""
        names.setdefault(words, []).append(lane.name)
    if len(names) == 1:
        return list(names)
    return [f"{'; '.join(of)}: {words}" for words, of in names.items()]


def _condition(shown: Scene, lane: Lane[Any]) -> str:
    net, result, one = shown.subjects[lane.index], lane.result, shown.instrument
    own = one.needs_net and one.own_weights(lane, shown.options)
    words = [_origin(net, lane)] if own else []
    n, image = getattr(result, "n_images", None), _image_of(result)
    if image is not None and not one.takes_images:
        words.append(f"{image}, {net.info.title}")
    elif one.takes_images or isinstance(n, int):
        shape = "×".join(str(n) for n in net.info.input_shape)
        kind = IMAGES.get(str(getattr(result, "images", one.split)), "images")
        images = f"{n:,} {kind} of" if isinstance(n, int) else "images of"
        of_class = str(getattr(result, "data", "")).partition(", class ")[2]
        images += f" class {of_class} of" if of_class else ""
        words.append(f"{images} {net.info.title}, {shape}")
    words += [lane.skew, lane.normalised]
    counted = one.needs_net and not own and not one.takes_images  # from the structure alone
    if not one.is_recorded and not counted:
        words.append(str(getattr(result, "precision", None) or "float32"))
    words.append(one.mode(lane))
    words.append(_norms(one, lane))
    return " · ".join(word for word in words if word)


def _image_of(result: Result) -> str | None:
    """What the result calls its image, if it is of one."""
    decision = getattr(result, "decision", None)
    if decision is not None:
        return str(decision.image)
    image = getattr(result, "image_name", getattr(result, "image", None))
    return image if isinstance(image, str) else None


def _norms(one: Instrument, lane: Lane[Any]) -> str:
    """By which statistics batch norm normalised; empty of a net without."""
    found = getattr(lane.result, "decision", lane.result)
    if getattr(found, "recalibrated", 0):
        return ""  # the mode says how
    step, known = one.page.step, getattr(found, "statistics", None)
    if known is None and not one.is_recorded and one.takes_images and lane.plan is not None:
        # Stored in the days when only a training step was not by the running statistics.
        normed = any(layer.kind == "batch_norm" for layer in lane.plan.layers)
        known = ("batch" if step else "running") if normed else None
    by_the_batch = step or lane.result.by_the_batch
    return statistics_said(known, getattr(found, "n_images", None), step=by_the_batch)


def _origin(net: SourceNet, lane: Lane[Any]) -> str:
    """Where the weights come from, with the step that was measured."""
    if lane.step is not None and net.stamp is not None:
        return f"{net.origin.rsplit(', ', 1)[0]}, weights of step {lane.step:,}"
    return net.origin


def _table(lane: Lane[Any], rows: Any) -> dict[str, Any]:
    shown: list[Row] = list(rows)
    return {
        "name": lane.name,
        "columns": list(shown[0]) if shown else [],
        "rows": [[_cell(value) for value in row.values()] for row in shown[:ROWS_SHOWN]],
        "left_out": max(0, len(shown) - ROWS_SHOWN),
    }


def _cell(value: str | int | float | None) -> str | int | float | None:
    return None if isinstance(value, float) and not math.isfinite(value) else value
