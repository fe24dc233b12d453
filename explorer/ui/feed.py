"""What the page's live parts poll: transport, lanes, figures and captions as one JSON text.

A feed is named by its link: ``run=ID`` follows an experiment, ``lanes=…`` shows nets at rest (the
shipped weights where there are some for exactly these choices, else a fresh net's gradients). An
answer is built once a version, theme and set of charts, and shared by everyone who looks.
"""

from __future__ import annotations

import json
import threading
import time
import zlib
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from explorer.charts import Theme
from explorer.errors import SkipscopeError
from explorer.names import title_of
from explorer.results import GateMeans, LayerGradients, LesionCurve, TrainingCurves
from explorer.runs.desk import JobHandle
from explorer.runs.requests import JobKind
from explorer.runs.service import Action, RunService, get_service
from explorer.shipped import Card, shipped_for
from explorer.specs import DataSpec, NetSpec
from explorer.ui.figures import drawn
from explorer.ui.plans import has_gates, plan_of
from explorer.ui.predictions import Predictions, Seen
from explorer.ui.runview import lane_views, transport, watched_programs
from explorer.ui.state import PageState, from_query, read_cuts
from explorer.ui.views import LaneView, unit_quantities
from explorer.ui.words import program_sentence

POLL_LIVE_MS = 500
POLL_REST_MS = 2500
_cache: OrderedDict[tuple[str, ...], bytes] = OrderedDict()
_cache_lock = threading.Lock()
_building = threading.Lock()
_predictions = Predictions()
_CACHED = 64


# ---------------------------------------------------------------------------------- the feed


def answer(query: Mapping[str, str]) -> bytes:
    """The JSON text for one poll; only ``version`` and ``poll_ms`` if ``have`` is up to date."""
    service = get_service()
    theme: Theme = "dark" if query.get("theme") == "dark" else "light"
    charts = tuple(name for name in query.get("charts", "").split(",") if name)
    run = query.get("run")
    if run:
        return _run_answer(service, run, charts, theme, query)
    return _rest_answer(service, query, charts, theme)


def _remembered(key: tuple[str, ...], build: Callable[[], dict[str, Any]]) -> bytes:
    """The answer under ``key``; thirty viewers who ask at once wait for one that builds it."""
    with _building:
        with _cache_lock:
            if key in _cache:
                _cache.move_to_end(key)
                return _cache[key]
        body = json.dumps(build(), separators=(",", ":")).encode()
        with _cache_lock:
            _cache[key] = body
            while len(_cache) > _CACHED:
                _cache.popitem(last=False)
        return body


def _unchanged(version: str, poll_ms: int) -> bytes:
    return json.dumps({"version": version, "poll_ms": poll_ms}).encode()


def _run_answer(
    service: RunService, run: str, charts: Sequence[str], theme: Theme, query: Mapping[str, str]
) -> bytes:
    try:
        experiment = service.experiment(run)
        cuts = _named_cuts(experiment.spec.lanes, query.get("cut", ""))
        service.watch(run, cuts)
        version = f"{run}.{service.version(run)}"
    except SkipscopeError as error:
        return json.dumps(_gone(str(error))).encode()
    poll = POLL_LIVE_MS if experiment.active else POLL_REST_MS
    sources = [
        {"source": "run", "experiment": run, "lane": lane} for lane in range(len(experiment.lanes))
    ]
    stamp = tuple(lane.snapshot_step for lane in experiment.lanes)
    seen = None
    if None not in stamp:  # weights to look through are there
        seen = _seen(service, sources, experiment.spec.data, cuts, query, stamp)
        version += f".{seen.number}" if seen else ""
    if version == query.get("have"):
        return _unchanged(version, poll)

    def build() -> dict[str, Any]:
        live = service.live(run)
        return _page(
            version,
            poll,
            lane_views(live),
            transport(live.experiment),
            watched_programs(live),
            charts,
            theme,
            live.experiment.steps_total,
            seen,
        )

    return _remembered((version, _asked(query), ",".join(charts), theme), build)


def _asked(query: Mapping[str, str]) -> str:
    """What of a poll, beside its charts, decides on the answer."""
    return "&".join(
        f"{k}={query.get(k, '')}" for k in ("lanes", "data", "train", "seed", "cut", "image")
    )


def _seen(
    service: RunService,
    sources: Sequence[dict[str, Any]],
    data: DataSpec,
    cuts: Mapping[int, Sequence[str]],
    query: Mapping[str, str],
    stamp: tuple[int | None, ...],
) -> Seen | None:
    """The image that the viewer looks at, through all lanes; None where no image is asked for."""
    if not query.get("image", "").isdecimal():
        return None
    payload = {
        "nets": list(sources),
        "data": data.model_dump(mode="json"),
        "index": int(query["image"]),
        "deleted": [list(cuts.get(lane, ())) for lane in range(len(sources))],
    }
    return _predictions.look(service, payload, stamp)


def _named_cuts(lanes: Sequence[NetSpec], cut: str) -> dict[int, list[str]]:
    """Names of the units that this viewer has deleted, by lane; rubbish is nobody's deletion."""
    try:
        cuts = read_cuts(cut) if cut else {}
    except SkipscopeError:
        return {}
    named = {}
    for lane, net in enumerate(lanes):
        units = plan_of(net).units
        chosen = [units[i] for i in cuts.get(lane, ()) if i < len(units)]
        names = [unit.name for unit in chosen if unit.deletable]
        if names:
            named[lane] = names
    return named


def _gone(sentence: str) -> dict[str, Any]:
    return {
        "version": "gone",
        "poll_ms": 10_000,
        "transport": {**_idle_transport(0.1), "text": "This run is gone", "reason": sentence},
        "lanes": [],
        "figures": {},
        "captions": {},
    }


def _rest_answer(
    service: RunService, query: Mapping[str, str], charts: Sequence[str], theme: Theme
) -> bytes:
    state, _ = from_query(query)
    views, waiting = rest_views(service, state)
    known = "".join("1" if v.gradients is not None else "0" for v in views)
    seen = None
    if state.data.name == "digits":
        cuts = _named_cuts(state.lanes, query.get("cut", ""))
        seen = _seen(service, [v.source for v in views], state.data, cuts, query, ())
        waiting |= seen is not None and not seen.predictions and seen.problem is None
    version = f"rest.{known}.{seen.number if seen else ''}.{zlib.crc32(_asked(query).encode())}"
    poll = 300 if waiting else 60_000
    if version == query.get("have"):
        return _unchanged(version, poll)

    def build() -> dict[str, Any]:
        bar = _idle_transport(state.training.learning_rate)
        if all(v.curves is not None for v in views):
            bar["text"] = "Shipped weights, trained on the digits. Play trains them anew."
        else:
            bar["text"] = f"Ready: {state.training.steps:,} steps"
        return _page(version, poll, views, bar, {}, charts, theme, None, seen)

    return _remembered((version, _asked(query), ",".join(charts), theme), build)


def _page(
    version: str,
    poll_ms: int,
    views: Sequence[LaneView],
    bar: dict[str, Any],
    programs: Mapping[int, list[dict[str, str]]],
    charts: Sequence[str],
    theme: Theme,
    steps_total: int | None,
    seen: Seen | None,
) -> dict[str, Any]:
    lanes = []
    for view in views:
        headline, label = headline_of(view)
        lanes.append(
            {
                "headline": headline,
                "label": label,
                "note": view.note,
                "quantities": unit_quantities(view),
                "programs": programs.get(view.index, []),
            }
        )
    return {
        "version": version,
        "poll_ms": poll_ms,
        "transport": bar,
        "lanes": lanes,
        **drawn(charts, views, theme=theme, steps_total=steps_total, seen=seen),
        "image": None
        if seen is None
        else {"picture": seen.picture, "true_class": seen.true_class, "problem": seen.problem},
    }


def headline_of(view: LaneView) -> tuple[str, str]:
    """The lane's big number and what it is."""
    if view.curves is not None and len(view.curves.test_error):
        error = float(view.curves.test_error[-1])
        if np.isfinite(error):
            return f"{error:.1%}".replace("%", " %"), f"test error · {view.origin}"
    return "–", view.origin


def _idle_transport(learning_rate: float) -> dict[str, Any]:
    return {
        "status": "rest",
        "text": "",
        "reason": None,
        "fraction": 0.0,
        "play": "▶ Play",
        "slow": False,
        "learning_rate": f"{learning_rate:g}",
        "can": {"play": True, "step": True, "slow": True, "stop": False, "learning_rate": True},
    }


# ------------------------------------------------------------------------------ nets at rest


def rest_views(service: RunService, state: PageState) -> tuple[list[LaneView], bool]:
    """Lanes before Play, and whether some measurement is still under way."""
    views, waiting = [], False
    for lane, net in enumerate(state.lanes):
        card = shipped_for(net, state.data.name)
        if card is not None:
            views.append(_shipped_view(lane, net, card))
            continue
        view = LaneView(
            index=lane,
            name=title_of(net),
            blueprint=plan_of(net),
            source=_fresh_source(net, state.seed),
            origin="not trained yet",
        )
        # Only digits are there at once; other data would start a download nobody asked for.
        if state.data.name == "digits":
            gradients = _measured(service, "gradients", view, state)
            gates = _measured(service, "gates", view, state) if has_gates(net) else None
            waiting |= gradients is None or (has_gates(net) and gates is None)
            view = replace(
                view,
                gradients=LayerGradients.from_json(gradients) if gradients else None,
                gates=GateMeans.from_json(gates) if gates else None,
            )
        views.append(view)
    return views, waiting


def _fresh_source(net: NetSpec, seed: int) -> dict[str, Any]:
    return {"source": "fresh", "spec": net.model_dump(mode="json"), "seed": seed}


_fresh_jobs: OrderedDict[str, JobHandle] = OrderedDict()


def _measured(
    service: RunService, kind: JobKind, view: LaneView, state: PageState
) -> dict[str, Any] | None:
    """A fresh net's measurement; None until it is there (asked for once, then remembered)."""
    payload = {"net": view.source, "data": state.data.model_dump(mode="json")}
    key = kind + json.dumps(payload, sort_keys=True)
    with _cache_lock:
        job = _fresh_jobs.get(key)
        if job is None:
            job = _fresh_jobs[key] = service.submit(kind, payload)
            while len(_fresh_jobs) > 4 * _CACHED:
                _fresh_jobs.popitem(last=False)
    return job.wait(0)


def _shipped_view(lane: int, net: NetSpec, card: Card) -> LaneView:
    results, records = card.results, card.records
    step, evals = records.get("step", {}), records.get("eval", {})
    gates = results.get("gates")
    return LaneView(
        index=lane,
        name=title_of(net),
        blueprint=plan_of(net),
        source={"source": "shipped", "name": card.name},
        origin=f"{card.n_images} images · shipped weights",
        progress=1.0,
        curves=TrainingCurves(
            name=title_of(net),
            step=column(step, "step"),
            batch_loss=column(step, "loss"),
            batch_error=column(step, "error"),
            eval_step=column(evals, "step"),
            train_loss=column(evals, "train_loss"),
            train_error=column(evals, "train_error"),
            test_loss=column(evals, "test_loss"),
            test_error=column(evals, "test_error"),
            n_train=int(evals.get("n_train", 0)),
            n_test=card.n_images,
        ),
        gradients=LayerGradients.from_json(results["gradients"]),
        gates=GateMeans.from_json(gates) if gates else None,
        lesions=LesionCurve.from_json(results["lesions"]),
    )


def column(table: Mapping[str, Any], name: str) -> Any:
    """A column of recorded numbers as an array; null is NaN."""
    return np.asarray([np.nan if v is None else v for v in table.get(name, ())], np.float64)


# ------------------------------------------------------------------------- runs and clicks


def begin(service: RunService, state: PageState, action: Action) -> str:
    """Starts an experiment with the page's choices: play, or its first step, or slowly."""
    run = service.create(state.experiment(), start=action != "step")
    if action != "play":
        service.control(run, action)
    return run


def obeys(service: RunService, run: str, action: Action) -> bool:
    """Whether the run takes this action; if not, Play begins a new one."""
    try:
        experiment = service.experiment(run)
    except SkipscopeError:
        return False
    return experiment.active or (experiment.resumable and action in ("play", "step", "slow"))


def lane_source(service: RunService, state: PageState, lane: int) -> dict[str, Any]:
    """Where a job finds the net that the lane shows now."""
    if state.run is not None:
        return {"source": "run", "experiment": state.run, "lane": lane}
    net = state.lanes[lane]
    card = shipped_for(net, state.data.name)
    if card is not None:
        return {"source": "shipped", "name": card.name}
    return _fresh_source(net, state.seed)


def cut_answer(
    service: RunService, state: PageState, lane: int, cut: Sequence[str]
) -> dict[str, str]:
    """What the lane's deletions do to its accuracy: the sentence, or the job that will say it."""
    payload = {
        "net": lane_source(service, state, lane),
        "data": state.data.model_dump(mode="json"),
        "deleted": list(cut),
    }
    try:
        job = service.submit("evaluate", payload)
    except SkipscopeError as error:
        return {"key": ".".join(cut), "text": str(error)}
    deadline = time.monotonic() + 0.6
    while job.wait(0.05) is None and job.error is None and time.monotonic() < deadline:
        pass
    answer = {"key": ".".join(cut), "job": job.id}
    said = sentence(job)
    return {**answer, "text": said} if said else answer


def sentence(job: JobHandle) -> str | None:
    """A finished evaluation in words; None while it runs."""
    if job.error is not None:
        return job.error
    result = job.wait(0)
    return None if result is None else program_sentence(result)


def job_answer(job_id: str) -> dict[str, str]:
    """The route's answer: ``text`` as soon as there is something to say."""
    try:
        said = sentence(get_service().job(job_id))
    except SkipscopeError as error:
        return {"text": str(error)}
    return {"text": said} if said else {}
