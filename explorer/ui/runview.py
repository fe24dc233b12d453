"""A followed experiment as lane views and transport: what the run service says, made drawable."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from explorer.blueprint import Blueprint
from explorer.names import title_of
from explorer.results import GateMeans, LayerGradients, LesionCurve, Record
from explorer.runs.views import ExperimentView, LaneLive, LiveView, MomentView
from explorer.specs import ExperimentSpec
from explorer.ui.plans import gated_units, plan_of
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
        note=state.message,
        curves=replace(lane.curves, name=name),
        gradients=_gradients(plan, spec, lane.layers),
        gates=_gates(plan, spec, lane.gates),
        lesions=lane.lesions.curve if lane.lesions else None,
        lesions_step=lane.lesions.step if lane.lesions else None,
    )


def moment_views(live: LiveView, moment: MomentView) -> list[LaneView]:
    """One view a lane of what had been recorded at an earlier step."""
    views = lane_views(live)
    for lane, (view, then) in enumerate(zip(views, moment.lanes, strict=True)):
        spec, plan = live.experiment.spec, view.blueprint
        recorded = then.records.get("lesions")
        curve = _lesions(plan, spec, recorded)
        curve_step = recorded.step if recorded else None
        if then.lesions is not None:
            curve, curve_step = then.lesions.curve, then.lesions.step
        curves = live.lanes[lane].curves.until(moment.step)
        at = int(curves.eval_step[-1]) if len(curves.eval_step) else None
        views[lane] = replace(
            view,
            origin=f"step {at:,}" if at is not None else "not yet evaluated",
            curves=replace(curves, name=view.name),
            gradients=_gradients(plan, spec, then.records.get("layers")),
            gates=_gates(plan, spec, then.records.get("gates")),
            lesions=curve,
            lesions_step=curve_step,
        )
    return views


def _gradients(
    plan: Blueprint, spec: ExperimentSpec, record: Record | None
) -> LayerGradients | None:
    if record is None:
        return None
    return LayerGradients(
        net="",
        data=spec.data.name,
        n_images=spec.training.batch_size,
        loss=float("nan"),
        layers=tuple(layer.name for layer in plan.weight_layers),
        depth_index=tuple(layer.depth_index or 0 for layer in plan.weight_layers),
        parameter_rms=_floats(record.values["parameter_rms"]),
        units=tuple(unit.name for unit in plan.units),
        output_rms=_floats(record.values["output_rms"]),
    )


def _gates(plan: Blueprint, spec: ExperimentSpec, record: Record | None) -> GateMeans | None:
    if record is None:
        return None
    mean = _floats(record.values["mean"])
    return GateMeans(
        net="",
        data=spec.data.name,
        n_images=spec.training.batch_size,
        units=gated_units(plan),
        mean=mean,
        sd=_floats(record.values.get("sd", [0.0] * len(mean))),
        bias=_floats(record.values.get("bias", [float("nan")] * len(mean))),
    )


def _lesions(plan: Blueprint, spec: ExperimentSpec, record: Record | None) -> LesionCurve | None:
    if record is None:
        return None
    return LesionCurve(
        net="",
        data=spec.data.name,
        n_images=int(record.values["n"]),
        baseline_accuracy=float(record.values["baseline"]),
        units=tuple(unit.name for unit in plan.units if unit.deletable),
        accuracy=_floats(record.values["accuracy"]),
    )


def _floats(values: list[float | None]) -> Any:
    return np.asarray([np.nan if v is None else v for v in values], dtype=np.float64)


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


def transport(experiment: ExperimentView) -> dict[str, Any]:
    """What the transport bar shows and allows."""
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
