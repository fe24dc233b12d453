"""What the page's live parts poll: transport, lanes, figures and captions as one JSON text.

A feed is named by its link: ``run=ID`` follows an experiment, ``lanes=…`` shows nets at rest (the
shipped weights where there are some for exactly these choices, else a fresh net's gradients). A
figure is built once a version and theme, and shared by everyone who looks.
"""

from __future__ import annotations

import json
import math
import threading
import time
import zlib
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from explorer.drawing import Theme
from explorer.errors import RunError, SkipscopeError
from explorer.pages.compare.figures import (
    CHARTS,
    Situation,
    caption,
    figure,
    problems,
    words_when_empty,
)
from explorer.pages.compare.lane_views import LaneView, unit_quantities
from explorer.pages.compare.predictions import Predictions, Seen
from explorer.pages.compare.rest_views import rest_views, shipped_origin, steps_recorded
from explorer.pages.compare.run_views import lane_views, transport, watched_programs
from explorer.pages.server.leases import leases, this_viewer
from explorer.pages.server.visitors import get_service
from explorer.pages.shared.plans import plan_of
from explorer.pages.shared.sources import shipped_card
from explorer.pages.shared.state import PageState, from_query, read_cuts
from explorer.pages.shared.words import program_sentence
from explorer.runs.serve.job_queue import JobHandle
from explorer.runs.serve.pictures import is_picture
from explorer.runs.serve.service import Action, RunService
from explorer.structure.named_nets import Ours, Shipped
from explorer.structure.specs import MAX_STEPS, DataSpec, NetSpec
from explorer.system.bounded import MOST_INDEX, whole_number
from explorer.writing.wording import typeset

POLL_LIVE_MS = 1000
POLL_REST_MS = 2500
POLL_SLOW_MS = 150  # a part of a step in slow motion is this long
_predictions = Predictions()


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


class _Texts:
    """JSON texts, the latest few; viewers who ask for one at once wait for the first of them.

    Nobody waits for another text than their own.
    """

    def __init__(self, kept: int = 128) -> None:
        self._kept = kept
        self._texts: OrderedDict[tuple[str, ...], str] = OrderedDict()
        self._building: dict[tuple[str, ...], Future[str]] = {}
        self._lock = threading.Lock()

    def text(self, key: tuple[str, ...], build: Callable[[], str]) -> str:
        with self._lock:
            if key in self._texts:
                self._texts.move_to_end(key)
                return self._texts[key]
            coming = self._building.get(key)
            if coming is None:
                mine = self._building[key] = Future()
        if coming is not None:
            return coming.result()
        try:
            made = build()
        except BaseException as error:
            with self._lock:
                del self._building[key]
            mine.set_exception(error)
            raise
        with self._lock:
            self._texts[key] = made
            while len(self._texts) > self._kept:
                self._texts.popitem(last=False)
            del self._building[key]
        mine.set_result(made)
        return made


@dataclass(frozen=True)
class _Answer:
    version: str
    text: str
    built: float  # by the clock that never goes back, seconds


class _Answers:
    """The latest answer to each question; who asks within moments is given the same one.

    A training changes with every step, some twenty times a second: without this, each of thirty
    viewers would have an answer of its own built, figures and all. Who asks while one is being
    built waits for a moment, then is given the one before.
    """

    def __init__(self, kept: int = 128) -> None:
        self._kept = kept
        self._answers: OrderedDict[tuple[str, ...], _Answer] = OrderedDict()
        self._building: dict[tuple[str, ...], Future[_Answer]] = {}
        self._builders = ThreadPoolExecutor(2, "feed")
        self._lock = threading.Lock()

    def answer(
        self, key: tuple[str, ...], version: str, seconds: float, build: Callable[[], str]
    ) -> _Answer:
        """That of ``version``, or where ``seconds`` is above 0 one about as old at most."""
        with self._lock:
            found = self._answers.get(key)
            age = math.inf if found is None else time.monotonic() - found.built
            if found is not None and (found.version == version or age < seconds):
                return found
            if key not in self._building:
                # The builder builds for the same asker.
                run = copy_context().run
                self._building[key] = self._builders.submit(run, self._build, key, version, build)
            coming = self._building[key]
        # Where it must be this version, seconds are 0.
        patience = None if found is None or not seconds else PATIENCE
        if patience is not None and age > 4 * seconds:
            patience = LONG_PATIENCE  # an old one is better than none in time
        try:
            return coming.result(patience)
        except TimeoutError:
            assert found is not None
            return found

    def _build(self, key: tuple[str, ...], version: str, build: Callable[[], str]) -> _Answer:
        try:
            made = _Answer(version, build(), time.monotonic())
            with self._lock:
                self._answers[key] = made
                self._answers.move_to_end(key)
                while len(self._answers) > self._kept:
                    self._answers.popitem(last=False)
            return made
        finally:
            with self._lock:
                del self._building[key]


_figures, _answers = _Texts(), _Answers()
PATIENCE, LONG_PATIENCE = 0.06, 0.3  # seconds
SHARED_SHARE = 0.7  # of the time between two polls of a viewer that an answer serves others


def _unchanged(version: str, poll_ms: int) -> bytes:
    return json.dumps({"version": version, "poll_ms": poll_ms}).encode()


def _run_answer(
    service: RunService, run: str, charts: Sequence[str], theme: Theme, query: Mapping[str, str]
) -> bytes:
    try:
        experiment = service.experiment(run)
        cuts = _named_cuts(experiment.spec.lanes, query.get("cut", ""))
        service.watch(run, cuts, anew=_comes(query))
        notice = service.notice
        said = f".{zlib.crc32(notice.encode()):x}" if notice else ""
        version = f"{run}.{service.version(run)}{said}"
    except SkipscopeError as error:
        return json.dumps(_gone(str(error))).encode()
    poll = POLL_LIVE_MS if experiment.active else POLL_REST_MS
    if experiment.active and experiment.slow is not None:
        poll = POLL_SLOW_MS
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

    at = _number(query.get("at", ""), MAX_STEPS)

    def build() -> str:
        live = service.live(run)
        if at is None or at >= experiment.step:
            identity, views = f"{run}.{live.version}", lane_views(live)
        else:
            identity, views = f"{run}.at{at}", lane_views(service.moment(run, at))
        page = Page(
            identity=identity,
            views=views,
            transport=transport(live, notice),
            programs=watched_programs(live),
            steps_total=live.experiment.steps_total,
            # A lane that was added a moment ago: the image goes through it at the next poll.
            seen=seen if len(views) == len(sources) else None,
            situation="measuring" if experiment.active else "over",
        )
        return page.text(version, poll, charts, theme)

    # A class that looks at one training asks for the same answer, person by person. What a person
    # has just done (paused it, deleted a block) is answered at once.
    asked = (run, experiment.status, str(poll), *charts, theme)
    asked += (_asked(query, ("cut", "image", "at")),)
    shared = experiment.status == "running" and not cuts
    answer = _answers.answer(asked, version, SHARED_SHARE * poll / 1000 if shared else 0.0, build)
    if answer.version == query.get("have"):
        return _unchanged(answer.version, poll)
    return answer.text.encode()


_CHOICES = ("lanes", "data", "train", "seed")


def _asked(query: Mapping[str, str], names: Sequence[str]) -> str:
    """Some of a poll's parameters, as a key."""
    return "&".join(f"{name}={query.get(name, '')}" for name in names)


def _seen(
    service: RunService,
    sources: Sequence[dict[str, Any]],
    data: DataSpec,
    cuts: Mapping[int, Sequence[str]],
    query: Mapping[str, str],
    stamp: tuple[int | None, ...],
) -> Seen | None:
    """The image that the viewer looks at, through all lanes; None where no image is asked for."""
    image = query.get("image", "")
    own, index = is_picture(image), _number(image, MOST_INDEX)
    if not own and index is None:
        return None
    cut = tuple(lane for lane in range(len(sources)) if cuts.get(lane))
    payload = {
        # Lanes with deletions are asked twice: without these blocks, and intact.
        "nets": [*sources, *(sources[lane] for lane in cut)],
        "data": data.model_dump(mode="json"),
        "index": None if own else index,
        "image_path": image if own else None,
        "deleted": [
            *(list(cuts.get(lane, ())) for lane in range(len(sources))),
            *([] for _ in cut),
        ],
    }
    return _predictions.look(service, payload, stamp, cut, anew=_comes(query))


def _comes(query: Mapping[str, str]) -> bool:
    """Whether this is a page's first poll: what failed is then measured again."""
    return not query.get("have")


def _number(text: str, most: int) -> int | None:
    """A whole number from 0; rubbish is nobody's number."""
    try:
        return whole_number(text, "the number", 0, most)
    except SkipscopeError:
        return None


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


def _gone(sentence: str, text: str = "This run is gone") -> dict[str, Any]:
    return {
        "version": "gone",
        "poll_ms": 10_000,
        "transport": {**_idle_transport(0.1), "text": text, "reason": sentence},
        "lanes": [],
        "figures": {},
        "captions": {},
    }


def no_answer(sentence: str) -> bytes:
    """What is answered where a poll fails in a way that nobody foresaw."""
    return json.dumps(_gone(sentence, "This cannot be shown")).encode()


def _rest_answer(
    service: RunService, query: Mapping[str, str], charts: Sequence[str], theme: Theme
) -> bytes:
    state, _ = from_query(query)
    views, waiting = rest_views(service, state, anew=_comes(query))
    known = ".".join(map(_known, views))
    seen = None
    if state.data.name == "digits":
        cuts = _named_cuts(state.lanes, query.get("cut", ""))
        seen = _seen(service, [v.source for v in views], state.data, cuts, query, ())
        waiting |= seen is not None and not seen.predictions and seen.problem is None
    asked = zlib.crc32(_asked(query, (*_CHOICES, "cut", "image", "at")).encode())
    version = f"rest.{known}.{seen.number if seen else ''}.{asked}"
    poll = 300 if waiting else 60_000
    if version == query.get("have"):
        return _unchanged(version, poll)

    bar = _idle_transport(state.training.learning_rate)
    if all(v.curves is not None for v in views):
        bar["text"] = (
            f"Shipped weights, trained on {state.info.title}. "
            f"Play trains the nets anew: {state.training.steps:,} steps"
        )
        bar["step"] = steps_recorded(state)
    else:
        bar["text"] = f"Ready: {state.training.steps:,} steps"
    situation: Situation = "measuring" if state.data.name == "digits" else "before play"
    identity = f"{_asked(query, (*_CHOICES, 'at'))}.{known}"
    page = Page(identity, views, bar, seen=seen, situation=situation)
    return page.text(version, poll, charts, theme).encode()


def _known(view: LaneView) -> str:
    """What was measured of a lane at rest; each measurement comes when it is ready."""
    there = {"gradient": view.gradients is not None, "gate": view.gates is not None}
    return "".join(
        "1" if ok else "x" if kind in view.problems else "0" for kind, ok in there.items()
    )


@dataclass(frozen=True)
class Page:
    """One answer of the feed.

    Attributes:
        identity: Names what ``views`` show; the figures of two pages with one identity are equal.
        transport: State of the transport bar.
        programs: By lane, answers to watched deletions.
        seen: The image that this viewer looks at.
        situation: What the page waits for, where a chart has nothing to show.
    """

    identity: str
    views: Sequence[LaneView]
    transport: dict[str, Any]
    programs: Mapping[int, list[dict[str, str]]] = field(default_factory=dict)
    steps_total: int | None = None
    seen: Seen | None = None
    situation: Situation = "measuring"

    def text(self, version: str, poll_ms: int, charts: Sequence[str], theme: Theme) -> str:
        """The whole answer as JSON."""
        known = [name for name in charts if name in CHARTS]
        seen = self.seen
        rest = {
            "version": version,
            "poll_ms": poll_ms,
            "transport": self.transport,
            "lanes": [self._lane(view) for view in self.views],
            "captions": {name: self._caption(name) for name in known},
            "empty": {name: self._when_empty(name) for name in known},
            "image": None
            if seen is None
            else {"picture": seen.picture, "true_class": seen.true_class, "problem": seen.problem},
        }
        figures = ",".join(f'"{name}":{self._figure(name, theme)}' for name in known)
        whole = json.dumps(rest, separators=(",", ":"))
        return f'{whole[:-1]},"figures":{{{figures}}}}}'

    def _caption(self, name: str) -> str:
        said = caption(name, self.views, self.seen)
        lacking = problems(name, self.views) if said else ""  # an empty chart says it itself
        return typeset(f"{said} {lacking}".strip())

    def _when_empty(self, name: str) -> str:
        if name == "probabilities" and self.seen is not None and self.seen.problem is not None:
            return "Without an image there is nothing to show."
        return words_when_empty(name, self.views, self.situation)

    def _lane(self, view: LaneView) -> dict[str, Any]:
        headline, label = headline_of(view)
        return {
            "headline": headline,
            "label": label,
            "note": view.note,
            "quantities": unit_quantities(view),
            "programs": self.programs.get(view.index, []),
        }

    def _figure(self, name: str, theme: Theme) -> str:
        def build() -> str:
            total, seen = self.steps_total, self.seen
            made = figure(name, self.views, theme=theme, steps_total=total, seen=seen)
            return str(made.to_json())

        if name == "probabilities":  # this viewer's own image
            return build()
        return _figures.text((self.identity, name, theme), build)


def first_words(state: PageState, lane: int) -> dict[str, str] | None:
    """What a lane at rest shows before its feed has answered; None where that is not known."""
    card = shipped_card(state, lane) if state.run is None else None
    if card is None or state.at is not None:
        return None
    headline, label = _error_words(1 - card.accuracy, shipped_origin(card))
    return {"headline": headline, "label": label}


def headline_of(view: LaneView) -> tuple[str, str]:
    """The lane's big number and what it is."""
    if view.curves is not None and len(view.curves.test_error):
        error = float(view.curves.test_error[-1])
        if np.isfinite(error):
            return _error_words(error, view.origin)
    return "–", view.origin


def _error_words(error: float, origin: str) -> tuple[str, str]:
    return f"{error:.1%}".replace("%", " %"), typeset(f"test error · {origin}")


def _idle_transport(learning_rate: float) -> dict[str, Any]:
    return {
        "status": "rest",
        "text": "",
        "reason": None,
        "fraction": 0.0,
        "play": "▶ Play",
        "slow": False,
        "phase": None,
        "learning_rate": f"{learning_rate:g}",
        "can": {"play": True, "step": True, "slow": True, "stop": False, "learning_rate": True},
    }


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
    card = shipped_card(state, lane)
    if card is not None:
        return Shipped(card).source(state.seed)
    return Ours(state.lanes[lane]).source(state.seed)


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
        job = leases.hold(service.submit("evaluate", payload), this_viewer())
    except SkipscopeError as error:
        return {"key": ".".join(cut), "text": str(error)}
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
        job = leases.hold(get_service().job(job_id))
        if job.kind != "evaluate":
            raise RunError(f"The job {job_id[:40]!r} measures no accuracy: delete a block again.")
        said = sentence(job)
    except SkipscopeError as error:
        return {"text": str(error)}
    return {"text": said} if said else {}
