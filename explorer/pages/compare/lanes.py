"""What Compare shows of its nets, worked out from the link: for the page and for its cover."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from typing import Any
from urllib.parse import urlencode

from explorer.errors import SkipscopeError
from explorer.pages.compare import feed
from explorer.pages.server.visitors import get_service
from explorer.pages.shared.plans import plan_of
from explorer.pages.shared.state import PageState, to_query
from explorer.pages.shared.words import size_text
from explorer.runs.serve.service import RunService
from explorer.structure.graph import count_text, to_svg
from explorer.structure.shared_start import what_differs
from explorer.structure.specs import NetSpec
from explorer.structure.training_memory import training_memory

TITLE = "Why do very deep nets fail, and what does a shortcut change?"
LEAD = (
    "Same batches, same seed, side by side. Press Play to train, or click any block to delete it "
    "and see what the accuracy says."
)
COLOURS = {"gradient": "gradient", "gate": "gate T(x)", "lesion": "cost of deletion"}


def attach(service: RunService, state: PageState) -> tuple[PageState, str | None]:
    """The state of the run that the link names, or a sentence if it is not stored here."""
    if state.run is None:
        return state, None
    try:
        return state.of_experiment(service.experiment(state.run).spec), None
    except SkipscopeError:
        gone = (
            f"The run {state.run[:40]!r} is not stored here; its choices were rebuilt from the "
            "link: press Play to train them anew."
        )
        return replace(state, run=None), gone


def feed_query(state: PageState) -> str:
    """The part of the link that names what the live parts follow."""
    if state.run is not None:
        return urlencode({"run": state.run})
    query = to_query(
        replace(
            state,
            deleted=(),
            image=0,
            own="",
            curve="error",
            gradient_of="parameters",
            colour="gradient",
            hide=(),
            at=None,  # the slider's own
        )
    )
    return urlencode(query)


def conditions(state: PageState) -> list[str]:
    """What all lanes have in common, and what they have not, for the transport bar."""
    common = (
        f"{state.info.title} {state.info.input_shape[1]}×{state.info.input_shape[2]} · "
        f"batch {state.training.batch_size} · seed {state.seed}"
    )
    if len(state.lanes) == 1:
        return [common]
    return [common, what_differs(state.lanes, _forked(state))]


def _forked(state: PageState) -> list[int]:
    """Lanes of the run that is followed which began as another's duplicate."""
    if state.run is not None:
        with suppress(SkipscopeError):  # it is gone, as the page says elsewhere
            run = get_service().experiment(state.run)
            return [i for i, lane in enumerate(run.lanes) if lane.origin]
    return []


def deleted_names(state: PageState, lane: int) -> list[str]:
    """Names of the units that the link deletes in a lane."""
    units = plan_of(state.lanes[lane]).units
    chosen = (units[i] for i in state.cut(lane) if i < len(units))
    return [unit.name for unit in chosen if unit.deletable]


def lane_data(state: PageState, lane: int) -> dict[str, Any]:
    """What a lane draws before its feed has answered; ``program`` is the page's to add."""
    net = state.lanes[lane]
    plan = plan_of(net)
    return {
        "feed": feed_query(state),
        "lane": lane,
        "svg": _svg(net, tuple(deleted_names(state, lane))),
        "counts": (
            f"{count_text(plan.parameters)} parameters · "
            f"{count_text(plan.multiply_adds)} multiply-adds · "
            f"{size_text(training_memory(plan, state.training).total)} to train"
        ),
        "first": feed.first_words(state, lane),
        "colour": _quantity(state, state.colour),
        "choices": {"colour": {words: _quantity(state, key) for key, words in COLOURS.items()}},
        "cut": list(state.cut(lane)),
    }


def _quantity(state: PageState, colour: str) -> str:
    """The lane's quantity that a choice of colours means."""
    return f"gradient_{state.gradient_of}" if colour == "gradient" else colour


@lru_cache(maxsize=512)
def _svg(net: NetSpec, deleted: tuple[str, ...]) -> str:
    return to_svg(plan_of(net), deleted=deleted)
