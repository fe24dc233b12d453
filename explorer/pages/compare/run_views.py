"""A followed experiment as lane views and transport: what the run service says, made drawable."""

from __future__ import annotations

import zlib
from contextlib import suppress
from dataclasses import replace
from typing import Any

from explorer.errors import SkipscopeError
from explorer.pages.compare.lane_views import LaneView
from explorer.pages.compare.phases import phase_words
from explorer.pages.shared.plans import plan_of
from explorer.pages.shared.state import PageState
from explorer.pages.shared.words import duration, program_sentence
from explorer.runs.serve.recorded_as_results import (
    clip_of,
    gates_of,
    gradients_of,
    notes,
)
from explorer.runs.serve.service import RunService
from explorer.runs.serve.views import ExperimentView, LaneMoment, LiveView
from explorer.structure.cards import longer_trial
from explorer.structure.names import title_of

STATUS_WORDS = {
    "queued": "waiting",
    "starting": "starting",
    "running": "training",
    "paused": "paused",
    "finished": "finished",
    "stopped": "stopped",
    "failed": "failed",
    "interrupted": "cut short",
}


def lane_views(live: LiveView) -> list[LaneView]:
    """One view a lane, of now or of an earlier step."""
    return [_lane_view(live, index, lane) for index, lane in enumerate(live.lanes)]


def _lane_view(live: LiveView, index: int, lane: LaneMoment) -> LaneView:
    experiment, spec = live.experiment, live.experiment.spec
    net = spec.lanes[index]
    plan = plan_of(net)
    name = title_of(net)
    state = experiment.lanes[index]
    steps, layers = lane.curves.eval_step, lane.records.get("layers")
    before = STATUS_WORDS[experiment.status] if live.step is None else "not yet evaluated"
    return LaneView(
        index=index,
        name=name,
        plan=plan,
        source={"source": "run", "experiment": experiment.id, "lane": index},
        origin=f"step {int(steps[-1]):,}" if len(steps) else before,
        progress=experiment.step / max(1, experiment.steps_total),
        note=" ".join(notes(plan, state.message, state.origin, state.deleted)) or None,
        curves=replace(lane.curves, name=name),
        gradients=gradients_of(plan, spec, layers),
        gates=gates_of(plan, spec, lane.records.get("gates")),
        lesions=lane.lesions.curve if lane.lesions else None,
        lesions_step=lane.lesions.step if lane.lesions else None,
        problems={"lesion": lane.problem} if lane.problem else {},
        clip=clip_of(lane.first_layers, layers),
        longer=longer_trial(net, spec.data, spec.training),
    )


def watched_programs(live: LiveView) -> dict[int, list[dict[str, str]]]:
    """By lane: the answers to deletions that somebody looks at, on the latest weights."""
    answers: dict[int, list[dict[str, str]]] = {}
    for program in live.programs:
        if program.error is not None:
            text = program.error
        elif program.result is not None:
            text = program_sentence(program.result, step=program.step)
        else:
            continue
        answers.setdefault(program.lane, []).append(
            {"key": ".".join(program.deleted), "text": text}
        )
    return answers


def run_shape(service: RunService, state: PageState) -> str:
    """What the page is drawn by, besides its link; empty for nets at rest."""
    if state.run is None:
        return ""
    with suppress(SkipscopeError):  # it is gone, as the page says elsewhere
        return _shape(service.experiment(state.run), service.notice)
    return ""


def _shape(run: ExperimentView, notice: str | None) -> str:
    """Its lanes, those blocks that they train without, whether it can be steered; and the notice
    that stands above them: one that comes while a page is open must be seen there, too."""
    lanes = ",".join(".".join(lane.deleted) for lane in run.lanes)
    said = zlib.crc32((notice or "").encode())
    return f"{'active' if run.active else 'over'}:{len(run.lanes)}:{lanes}:{said:x}"


def transport(live: LiveView, notice: str | None = None) -> dict[str, Any]:
    """What the transport bar shows and allows.

    Args:
        notice: What the service says of its store.
    """
    experiment = live.experiment
    names = [title_of(net) for net in experiment.spec.lanes]
    status = experiment.status
    words = [STATUS_WORDS[status]] if status not in ("running", "finished") else []
    if status == "queued" and experiment.queue_position:
        words = [f"waiting: {experiment.queue_position} in the queue"]
    if status == "starting":
        words = ["starting: loading the data and building the nets"]
    words.append(f"step {experiment.step:,} of {experiment.steps_total:,}")
    if status == "running" and experiment.steps_per_second:
        words.append(f"{experiment.steps_per_second:.3g} steps/s")
        if experiment.seconds_left is not None:
            words.append(f"{duration(experiment.seconds_left)} left")
    if experiment.device and status not in ("queued", "starting"):
        words.append(experiment.device.upper())
    rates = [lane.learning_rate for lane in experiment.lanes if lane.learning_rate is not None]
    # When it is over, the box is for the next training.
    usual = experiment.spec.training.learning_rate
    rate = rates[0] if rates and experiment.active else usual
    running, paused = status == "running", status == "paused"
    again = not experiment.active
    return {
        "status": status,
        "text": " · ".join(words),
        "reason": experiment.reason or None,
        "fraction": experiment.step / max(1, experiment.steps_total)
        if experiment.prepared is None
        else experiment.prepared,
        "play": "❚❚ Pause"
        if running
        else "▶ Resume"
        if experiment.resumable and again
        else "▶ Play again"
        if again
        else "▶ Play",
        "slow": experiment.slow is not None,
        "shape": _shape(experiment, notice),
        "phase": None if live.phase is None else phase_words(live.phase, names),
        # What the time slider can go back to.
        "step": experiment.step,
        "learning_rate": f"{rate:.4g}",
        "can": {
            "play": status != "starting" and status != "queued",
            "step": paused or running or again,
            "slow": running or paused or again,
            "stop": experiment.active,
            "learning_rate": running or paused,
        },
    }
