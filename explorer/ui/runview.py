"""A followed experiment as lane views and transport: what the run service says, made drawable."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Any

from explorer.errors import SkipscopeError
from explorer.names import title_of
from explorer.runs.recorded import clip_of, gates_of, gradients_of, lesions_of, notes
from explorer.runs.service import RunService
from explorer.runs.views import ExperimentView, LaneLive, LiveView, MomentView
from explorer.shipped import longer_trial
from explorer.ui.phases import phase_words
from explorer.ui.plans import plan_of
from explorer.ui.state import PageState
from explorer.ui.views import LaneView
from explorer.ui.words import duration, program_sentence

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
    """One view a lane, with everything recorded so far."""
    return [_lane_view(live.experiment, index, lane) for index, lane in enumerate(live.lanes)]


def _lane_view(experiment: ExperimentView, index: int, lane: LaneLive) -> LaneView:
    spec = experiment.spec
    net = spec.lanes[index]
    plan = plan_of(net)
    name = title_of(net)
    state = experiment.lanes[index]
    steps = lane.curves.eval_step
    at = int(steps[-1]) if len(steps) else 0
    return LaneView(
        index=index,
        name=name,
        blueprint=plan,
        source={"source": "run", "experiment": experiment.id, "lane": index},
        origin=f"step {at:,}" if len(steps) else STATUS_WORDS[experiment.status],
        progress=experiment.step / max(1, experiment.steps_total),
        note=" ".join(notes(plan, state.message, state.origin, state.deleted)) or None,
        curves=replace(lane.curves, name=name),
        gradients=gradients_of(plan, spec, lane.layers),
        gates=gates_of(plan, spec, lane.gates),
        lesions=lane.lesions.curve if lane.lesions else None,
        lesions_step=lane.lesions.step if lane.lesions else None,
        problems={"lesion": lane.problem} if lane.problem else {},
        clip=clip_of(lane.first_layers, lane.layers),
        longer=longer_trial(net, spec.data, spec.training),
    )


def moment_views(live: LiveView, moment: MomentView) -> list[LaneView]:
    """One view a lane of what had been recorded at an earlier step."""
    views = lane_views(live)
    for lane, (view, then) in enumerate(zip(views, moment.lanes, strict=True)):
        spec, plan = live.experiment.spec, view.blueprint
        recorded = then.records.get("lesions")
        curve = lesions_of(plan, spec, recorded)
        curve_step = recorded.step if recorded else None
        if then.lesions is not None:
            curve, curve_step = then.lesions.curve, then.lesions.step
        curves = live.lanes[lane].curves.until(moment.step)
        at = int(curves.eval_step[-1]) if len(curves.eval_step) else None
        views[lane] = replace(
            view,
            origin=f"step {at:,}" if at is not None else "not yet evaluated",
            curves=replace(curves, name=view.name),
            gradients=gradients_of(plan, spec, then.records.get("layers")),
            gates=gates_of(plan, spec, then.records.get("gates")),
            lesions=curve,
            lesions_step=curve_step,
            clip=clip_of(live.lanes[lane].first_layers, then.records.get("layers")),
        )
    return views


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
        return _shape(service.experiment(state.run))
    return ""


def _shape(run: ExperimentView) -> str:
    """Its lanes, those blocks that they train without, and whether it can be steered."""
    lanes = ",".join(".".join(lane.deleted) for lane in run.lanes)
    return f"{'active' if run.active else 'over'}:{len(run.lanes)}:{lanes}"


def transport(live: LiveView) -> dict[str, Any]:
    """What the transport bar shows and allows."""
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
        "shape": _shape(experiment),
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
