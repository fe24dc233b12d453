"""Nets before Play as lane views: shipped weights where there are some, else fresh nets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from explorer.names import title_of
from explorer.results import GateMeans, LayerGradients, LesionCurve, TrainingCurves
from explorer.runs.requests import JobKind
from explorer.runs.service import RunService
from explorer.shipped import Card, longer_trial, shipped_for
from explorer.specs import NetSpec
from explorer.ui.measurements import Measured, Measurements
from explorer.ui.plans import has_gates, plan_of
from explorer.ui.state import PageState
from explorer.ui.views import LaneView


def rest_views(
    service: RunService, state: PageState, *, anew: bool = False
) -> tuple[list[LaneView], bool]:
    """Lanes before Play, and whether some measurement is still under way.

    Args:
        anew: Somebody has just come: what failed before is measured again.
    """
    views, waiting = [], False
    for lane, net in enumerate(state.lanes):
        card = shipped_card(state, lane)
        if card is not None:
            views.append(_shipped_view(lane, net, card))
            continue
        view = LaneView(
            index=lane,
            name=title_of(net),
            blueprint=plan_of(net),
            source=fresh_source(net, state.seed),
            origin="not trained yet",
        )
        # Only digits are there at once; other data would start a download nobody asked for.
        if state.data.name == "digits":
            kinds: dict[str, JobKind] = {"gradient": "gradients"}
            if has_gates(net):
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


def shipped_card(state: PageState, lane: int) -> Card | None:
    """The card of shipped weights of the lane's net, trained by these choices.

    They may have been trained for another number of steps than Play would, which is said.
    """
    card = shipped_for(state.lanes[lane], state.data.name)
    if card is None or card.data != state.data:
        return None
    recipe = state.training.model_copy(update={"steps": card.recipe.steps})
    return card if (card.recipe, card.seed) == (recipe, state.seed) else None


def shipped_origin(card: Card) -> str:
    """On what a shipped net's number was measured, and what other seeds come to."""
    origin = f"{card.n_images} images · shipped weights, seed {card.seed}"
    if card.alike is None:
        return f"{origin}, {card.recipe.steps:,} steps"
    return f"{origin}; {card.alike.words()}"


def fresh_source(net: NetSpec, seed: int) -> dict[str, Any]:
    return {"source": "fresh", "spec": net.model_dump(mode="json"), "seed": seed}


_fresh = Measurements()


def _measured(
    service: RunService, kind: JobKind, view: LaneView, state: PageState, anew: bool
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
        blueprint=plan_of(net),
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


def column(table: Mapping[str, Any], name: str) -> Any:
    """A column of recorded numbers as an array; null is NaN."""
    return np.asarray([np.nan if v is None else v for v in table.get(name, ())], np.float64)
