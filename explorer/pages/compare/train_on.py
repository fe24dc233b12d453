"""Changes to a net in the middle of its training: a copy goes on, or blocks are gone for good."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import streamlit as st

from explorer.errors import NotApplicableError, SkipscopeError
from explorer.pages.compare.lanes import deleted_names
from explorer.pages.shared.state import PageState
from explorer.runs.serve.service import RunService
from explorer.runs.serve.views import ExperimentView
from explorer.structure.specs import MAX_LANES, NetSpec
from explorer.structure.variants import without_shortcuts

# Does something, then changes the page; what is refused becomes a sentence there.
Attempt = Callable[[Callable[[], None], Callable[[PageState], PageState]], None]


def changes_while_training(
    service: RunService, state: PageState, lane: int, attempt: Attempt
) -> None:
    """Buttons for a lane whose training is under way or paused; nothing for any other."""
    run = _under_way(service, state)
    if run is None or lane >= len(run.lanes):
        return
    net = run.spec.lanes[lane]
    st.caption("Its training goes on from the present weights:")
    _copies(service, run, lane, net, attempt)
    _deletions(service, state, run, lane, attempt)


def _under_way(service: RunService, state: PageState) -> ExperimentView | None:
    if state.run is None:
        return None
    with suppress(SkipscopeError):  # it is gone, as the page says elsewhere
        run = service.experiment(state.run)
        return run if run.active else None
    return None


def _copies(
    service: RunService, run: ExperimentView, lane: int, net: NetSpec, attempt: Attempt
) -> None:
    full = len(run.lanes) >= MAX_LANES
    no_room = f"There are {MAX_LANES} nets side by side already."

    def copy(of: NetSpec) -> None:
        attempt(lambda: service.duplicate(run.id, lane, of), lambda s: s)

    st.button(
        "Copy it, as it is",
        key=f"lane{lane}.copy",
        disabled=full,
        help=no_room
        if full
        else "A twin with the same weights and momenta: delete blocks in one of the two.",
        on_click=lambda: copy(net),
    )
    try:
        cut, why = without_shortcuts(net), "The same weights, with nothing passing by the blocks."
    except NotApplicableError as error:
        cut, why = None, str(error)
    st.button(
        "Copy it, shortcuts cut",
        key=f"lane{lane}.copy_cut",
        disabled=full or cut is None,
        help=no_room if full else why,
        on_click=lambda: copy(cut) if cut is not None else None,
    )


def _deletions(
    service: RunService, state: PageState, run: ExperimentView, lane: int, attempt: Attempt
) -> None:
    already, chosen = run.lanes[lane].deleted, deleted_names(state, lane)

    def train_without(names: tuple[str, ...]) -> None:
        attempt(
            lambda: service.delete_units(run.id, lane, names),
            lambda s: s.with_cut(lane, ()),
        )

    count = len(chosen)
    st.button(
        f"Train on without the {count} deleted blocks"
        if count > 1
        else "Train on without the deleted block",
        key=f"lane{lane}.train_without",
        disabled=not count,
        help="From the next step on they are passed by; the others learn to do without them."
        if count
        else "Click blocks of the graph first: those that are crossed out are meant.",
        on_click=lambda: train_without(tuple(dict.fromkeys((*already, *chosen)))),
    )
    if already:
        st.button(
            "All blocks act again",
            key=f"lane{lane}.act_again",
            on_click=lambda: train_without(()),
        )
