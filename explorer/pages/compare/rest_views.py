"""Nets before Play as lane views: shipped weights where there are some, else fresh nets."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np

from explorer.errors import WeightsError
from explorer.instruments.doors.trainings import experiment_of_card, recorded
from explorer.instruments.gates.result import GateMeans
from explorer.instruments.gradients.result import LayerGradients
from explorer.instruments.lesions.result import LesionCurve
from explorer.pages.compare.lane_views import LaneView
from explorer.pages.shared.measurements import Measured, Measurements
from explorer.pages.shared.plans import plan_of
from explorer.pages.shared.sources import shipped_card
from explorer.pages.shared.state import PageState
from explorer.results import Record, TrainingCurves
from explorer.runs.serve.recorded_as_results import clip_of, gates_of, gradients_of, lesions_of
from explorer.runs.serve.service import RunService
from explorer.structure.cards import Card, longer_trial
from explorer.structure.named_nets import Ours
from explorer.structure.names import title_of
from explorer.structure.specs import NetSpec


def rest_views(
    service: RunService, state: PageState, *, anew: bool = False
) -> tuple[list[LaneView], bool]:
    """Lanes before Play, and whether some measurement is still under way.

    Args:
        anew: Somebody has just come: what failed before is measured again.
    """
    views, waiting = [], False
    at = state.at if steps_recorded(state) else None  # all lanes of one step, or of none
    for lane, net in enumerate(state.lanes):
        card = shipped_card(state, lane)
        if card is not None:
            views.append(_at_step(_shipped_view(lane, net, card), card, at))
            continue
        view = LaneView(
            index=lane,
            name=title_of(net),
            plan=plan_of(net),
            source=Ours(net).source(state.seed),
            origin="not trained yet",
        )
        # Only digits are there at once; other data would start a download nobody asked for.
        if state.data.name == "digits":
            kinds: dict[str, str] = {"gradient": "gradients"}
            if view.plan.gated_units:
                kinds["gate"] = "gates"
            looked = {k: _measured(service, job, view, state, anew) for k, job in kinds.items()}
            found = {kind: one.result for kind, one in looked.items() if one.done}
            problems = {kind: one.error for kind, one in looked.items() if one.error is not None}
            waiting |= any(not one.done and one.error is None for one in looked.values())
            gradients, gates = found.get("gradient"), found.get("gate")
            view = replace(
                view,
                gradients=LayerGradients.from_json(gradients) if gradients else None,
                gates=GateMeans.from_json(gates) if gates else None,
                problems=problems,
            )
        views.append(view)
    return views, waiting


def shipped_origin(card: Card) -> str:
    """On what a shipped net's number was measured, and what other seeds come to."""
    origin = f"{card.n_images:,} images · shipped weights, seed {card.seed}"
    if card.alike is None:
        return f"{origin}, {card.recipe.steps:,} steps"
    return f"{origin}; {card.alike.words()}"


_fresh = Measurements()


def _measured(
    service: RunService, kind: str, view: LaneView, state: PageState, anew: bool
) -> Measured:
    """A fresh net's measurement, as far as it is known."""
    payload = {"net": view.source, "data": state.data.model_dump(mode="json")}
    return _fresh.look(service, kind, payload, anew=anew)


def _shipped_view(lane: int, net: NetSpec, card: Card) -> LaneView:
    results, records = card.results, card.records
    step, evals = records.get("step", {}), records.get("eval", {})
    gates = results.get("gates")
    return LaneView(
        index=lane,
        name=title_of(net),
        plan=plan_of(net),
        source={"source": "shipped", "name": card.name},
        origin=shipped_origin(card),
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
        clip=(clip[0], clip[-1]) if (clip := records.get("clip", {}).get("clip")) else None,
        longer=longer_trial(card.spec, card.data, card.recipe),
    )


def steps_recorded(state: PageState) -> int:
    """How far a time slider can go: steps of the longest shipped training that is shown.

    0 where some lane is no shipped net, or nothing is kept of its training.
    """
    cards = [shipped_card(state, lane) for lane in range(len(state.lanes))]
    there = [card for card in cards if card is not None and _records(card)]
    return max(card.recipe.steps for card in there) if len(there) == len(cards) else 0


def _records(card: Card) -> tuple[Record, ...]:
    """What is kept of a shipped net's training; nothing where that file is damaged."""
    with suppress(WeightsError):
        return recorded(card.name)
    return ()


def _at_step(view: LaneView, card: Card, step: int | None) -> LaneView:
    """The same lane as it was after an earlier step, or at the moment recorded last before it."""
    records = _records(card)
    if step is None or step >= card.recipe.steps or not records or view.curves is None:
        return view
    spec = experiment_of_card(card)
    layers = [record for record in records if record.kind == "layers"]
    last = {record.kind: record for record in records if record.step <= step}
    curves = view.curves.until(step)
    evaluated = f"step {int(curves.eval_step[-1]):,}" if len(curves.eval_step) else "not evaluated"
    found = last.get("lesions")
    return replace(
        view,
        origin=f"{evaluated} · {card.n_images:,} images · shipped weights, seed {card.seed}",
        progress=step / card.recipe.steps,
        curves=curves,
        gradients=gradients_of(view.plan, spec, last.get("layers")),
        gates=gates_of(view.plan, spec, last.get("gates")),
        lesions=lesions_of(view.plan, spec, found),
        lesions_step=None if found is None else found.step,
        clip=clip_of(layers[0], last.get("layers")) if layers else None,
    )


def column(table: Mapping[str, Any], name: str) -> Any:
    """A column of recorded numbers as an array; null is NaN."""
    return np.asarray([np.nan if v is None else v for v in table.get(name, ())], np.float64)
