"""Compare: up to four nets side by side; train them, delete their blocks, look at the inside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, get_args

import streamlit as st

from explorer.errors import SkipscopeError
from explorer.instruments import gate_words
from explorer.pages.compare import feed, net_choices, train_on
from explorer.pages.compare.lanes import (
    COLOURS,
    LEAD,
    TITLE,
    attach,
    conditions,
    deleted_names,
    feed_query,
    lane_data,
)
from explorer.pages.compare.live_parts import lane_graph, live_chart, picture, transport_bar
from explorer.pages.compare.own_image import choose_image, inside_links
from explorer.pages.compare.presets import offered, preset_of, start_from
from explorer.pages.compare.run_views import run_shape
from explorer.pages.instruments.links import look_inside
from explorer.pages.server.visitors import get_service
from explorer.pages.shared import address, settings, widgets
from explorer.pages.shared.escape import warn
from explorer.pages.shared.plans import plan_of
from explorer.pages.shared.state import PageState, from_query, to_query, without_stale_step
from explorer.runs.serve.service import Action, RunService
from explorer.structure.names import title_of
from explorer.structure.specs import MAX_LANES, NetSpec, TrainSpec, parse

CURVES = {"error": "Error", "loss": "Loss"}
ACTIONS: dict[str, Action] = {action: action for action in get_args(Action)}


def page() -> None:
    """Draws the page from the address; every control writes the address."""
    st.session_state.pop(_WHOLE, None)  # this is it
    service = get_service()
    state, problems = from_query(address.present())
    state, problem = attach(service, state)
    problems += [problem] if problem else []
    said = st.session_state.pop("problem", None)
    problems += [said] if said else []

    st.title(TITLE)
    st.html(f'<p class="sk-lead">{LEAD}</p>')
    for sentence in problems:
        warn(sentence)

    _toolbar()
    if "play" not in state.hide:
        _transport(service, state)
    _lanes()
    if "charts" not in state.hide:
        _charts(state)
    if "image" not in state.hide:
        _image()


def _transport(service: RunService, state: PageState) -> None:
    transport_bar(
        "transport",
        feed=feed_query(state),
        conditions=conditions(state),
        shape=run_shape(service, state),
        at=state.at,
        acted=st.session_state.get(_ACTED, ""),
        look=_look_at,
        action=lambda: _act(service, st.session_state["transport"].get("action")),
    )


# ------------------------------------------------------------------------------ state changes


# The page is drawn in parts (Streamlit's fragments): a click redraws the part that it is in. What
# changes the nets, the data or the training changes every part, and asks for the whole page.
_WHOLE = "whole page"
_ACTED = "acted"  # the last click of the transport bar that was heard


def _now() -> PageState:
    """The present choices, from the address."""
    return attach(get_service(), from_query(address.present())[0])[0]


def _update(change: Callable[[PageState], PageState], *, whole: bool = False) -> None:
    """Applies a change to the address; an impossible one becomes a sentence on the page.

    Args:
        whole: The change concerns more than the part that it was made in.
    """
    try:
        before = _now()
        after = without_stale_step(before, change(before))
        address.write(to_query(after))
    except SkipscopeError as error:
        st.session_state["problem"] = str(error)
        whole = True
    if whole:
        st.session_state[_WHOLE] = True


def _refuse(sentence: str) -> None:
    """Shows a sentence on the page, whichever part was asked."""
    st.session_state["problem"] = sentence
    st.session_state[_WHOLE] = True


def _part() -> PageState:
    """Begins a part: draws the whole page instead where that was asked for."""
    if st.session_state.pop(_WHOLE, False):
        st.rerun()
    return _now()


def _attempt(act: Callable[[], None], change: Callable[[PageState], PageState]) -> None:
    """Asks the run service for something, then changes the page; a refusal is a sentence."""
    try:
        act()
    except SkipscopeError as error:
        st.session_state["problem"] = str(error)
        st.session_state[_WHOLE] = True
    else:
        _update(change, whole=True)


def _become(change: Callable[[PageState], PageState]) -> None:
    """Makes the page another one; a run that this visitor started does not go on unseen."""
    run = _now().run
    if run is not None and run in st.session_state.get("started", ()):
        with suppress(SkipscopeError):  # it is over, or gone
            get_service().control(run, "pause")
    _update(change, whole=True)


def _act(service: RunService, message: str | None) -> None:
    """A button of the transport bar; a click that was sent again is one click."""
    if message is None or message == st.session_state.get(_ACTED):
        return
    st.session_state[_ACTED] = message
    word, _, value = message.rsplit(":", 1)[0].partition("=")
    action = ACTIONS.get(word)
    state = _now()
    try:
        if action == "learning_rate":
            rate = float(value)
            if state.run is not None and feed.obeys(service, state.run, "learning_rate"):
                service.control(state.run, "learning_rate", rate)
            else:
                training = parse(TrainSpec, {**state.training.model_dump(), "learning_rate": rate})
                _become(lambda s: replace(s, training=training, run=None))
        elif action is not None:
            if state.run is not None and feed.obeys(service, state.run, action):
                service.control(state.run, action)
            elif action in ("play", "step", "slow"):
                run = feed.begin(service, state, action)
                st.session_state["started"] = (*st.session_state.get("started", ()), run)
                _update(lambda s: replace(s, run=run))
    except (SkipscopeError, ValueError) as error:
        st.session_state["problem"] = str(error)


def _look_at() -> None:
    """The slider of time was moved."""
    moved = str(st.session_state["transport"].get("at"))
    _update(lambda s: replace(s, at=int(moved) if moved.isdecimal() else None))


# ------------------------------------------------------------------------------------ toolbar


@st.fragment
def _toolbar() -> None:
    state = _part()
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        if "start" not in state.hide:
            _start_from(state)
        if "data" not in state.hide:
            with widgets.drawer("Data", "data.open"):
                settings.data_settings(state, _become)
        if "training" not in state.hide:
            with widgets.drawer("Training", "training.open"):
                _keep(state)
                settings.training_settings(state, _become)
        if "nets" not in state.hide:
            st.button(
                "Add a net",
                disabled=len(state.lanes) >= MAX_LANES,
                help="At most four side by side.",
                on_click=lambda: _become(lambda s: s.with_lanes((*s.lanes, s.lanes[-1]))),
            )
        if not state.hide:  # a lesson's page stays what the teacher made it
            _look_inside(state, range(len(state.lanes)), "Look inside", key="inside")
            with widgets.drawer("Share", "share.open"):
                settings.share(state)


def _keep(state: PageState) -> None:
    """Whether the training that the page follows goes on when nobody looks."""
    service = get_service()
    try:
        kept = state.run is not None and service.experiment(state.run).kept
    except SkipscopeError:  # it is gone, as the page says elsewhere
        return

    def keep(value: bool) -> None:
        run = _now().run
        try:
            if run is not None:
                service.control(run, "keep", float(value))
        except SkipscopeError as error:
            _refuse(str(error))

    if state.run is not None:
        widgets.toggle(
            "Keep going unwatched",
            "keep",
            kept,
            keep,
            help="Else this training is paused when nobody has looked at it for a while.",
        )


def _start_from(state: PageState) -> None:
    st.session_state["preset"] = preset_of(state)
    st.selectbox(
        "Start from",
        offered(),
        key="preset",
        placeholder="your own nets",
        width=330,
        on_change=lambda: _become(
            lambda s: start_from(s, st.session_state["preset"]) if st.session_state["preset"] else s
        ),
    )


def _look_inside(state: PageState, lanes: Sequence[int], label: str, *, key: str) -> None:
    """A button to the Instruments page, with these lanes."""
    if st.button(label, key=key, help="Gradients, lesions, paths and more, on the next page."):
        pages = st.session_state["pages"]
        st.switch_page(pages["instruments"], query_params=look_inside(state, lanes))


def _colour_choice(state: PageState) -> None:
    widgets.segmented(
        "Colour the blocks by",
        "colour",
        COLOURS,
        state.colour,
        lambda value: _update(lambda s: replace(s, colour=value)),
        label_visibility="visible",
    )


# -------------------------------------------------------------------------------------- lanes


@st.fragment
def _lanes() -> None:
    state = _part()
    service = get_service()
    if "colour" not in state.hide:
        _colour_choice(state)
    with st.container(key="lanes"):
        columns = st.columns(len(state.lanes), gap="small")
        for lane, (column, net) in enumerate(zip(columns, state.lanes, strict=True)):
            with column, st.container(key=f"card-lane{lane}", border=True, gap="xsmall"):
                _lane(service, state, lane, net)


def _lane(service: RunService, state: PageState, lane: int, net: NetSpec) -> None:
    names = [unit.name for unit in plan_of(net).units]
    cut = deleted_names(state, lane)

    with st.container(
        horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"
    ):
        st.html(
            f'<h2 class="sk-name"><span class="sk-dot sk-dot-{lane}"></span>{title_of(net)}</h2>'
        )
        if "nets" not in state.hide:
            _change(state, lane, net)

    def toggle() -> None:
        unit = (st.session_state[f"lane{lane}.graph"] or {}).get("toggle")
        if unit in names:
            index = names.index(unit)
            _update(lambda s: s.with_cut(lane, tuple(set(s.cut(lane)) ^ {index})))

    lane_graph(
        f"lane{lane}.graph",
        {
            **lane_data(state, lane),
            "program": feed.cut_answer(service, state, lane, cut) if cut else None,
        },
        toggle=toggle,
        restore=lambda: _update(lambda s: s.with_cut(lane, ())),
    )


def _change(state: PageState, lane: int, net: NetSpec) -> None:
    """The drawer of a lane's choices."""

    def change(fields: dict[str, Any]) -> None:
        _become(
            lambda s: s.with_lanes(
                tuple(
                    net_choices.changed(n, **fields) if i == lane else n
                    for i, n in enumerate(s.lanes)
                )
            )
        )

    def remove() -> None:
        _become(lambda s: s.with_lanes(tuple(n for i, n in enumerate(s.lanes) if i != lane)))

    with widgets.drawer("Change", f"lane{lane}.open"):
        _look_inside(state, [lane], "Look inside this net", key=f"lane{lane}.inside")
        train_on.changes_while_training(get_service(), state, lane, _attempt)
        net_choices.lane_choices(lane, net, change)
        st.button(
            "Remove this net",
            key=f"lane{lane}.remove",
            disabled=len(state.lanes) == 1,
            on_click=remove,
        )


# ------------------------------------------------------------------------------------- charts


def _charts(state: PageState) -> None:
    """Two side by side, on a wide screen all of them; one below the other on a phone."""
    query = feed_query(state)
    with st.container(key="charts"):
        with st.container(key="card-error", border=True, gap="xsmall"):
            _training_chart()
        with st.container(key="card-gradient", border=True, gap="xsmall"):
            _gradient_chart()
        with st.container(key="card-lesion", border=True, gap="xsmall"):
            live_chart(
                "chart.lesion",
                feed=query,
                chart="lesion",
                title="Accuracy after deleting one block",
            )
        kinds = [plan_of(net).gate_kind for net in state.lanes]
        if any(kinds):
            with st.container(key="card-gate", border=True, gap="xsmall"):
                live_chart("chart.gate", feed=query, chart="gate", title=gate_words.title(kinds))


@st.fragment
def _training_chart() -> None:
    state = _part()
    _curve_choice(state)
    live_chart(
        "chart.error",
        feed=feed_query(state),
        chart=state.curve,
        title="Error" if state.curve == "error" else "Loss",
        choices={"curve": {words: key for key, words in CURVES.items()}},
    )


@st.fragment
def _gradient_chart() -> None:
    state = _part()
    _gradient_choice(state)
    by = "layer" if state.gradient_of == "parameters" else "block output"
    live_chart(
        "chart.gradient",
        feed=feed_query(state),
        chart=f"gradient_{state.gradient_of}",
        title=f"Gradient magnitude by {by}",
    )


@st.fragment
def _image() -> None:
    state = _part()
    query = feed_query(state)
    with st.container(key="card-image", border=True, gap="xsmall"):
        left, right = st.columns([1, 4], gap="medium")
        with left:
            choose_image(state, _update, _refuse)
            picture("picture", feed=query, image=state.own or state.image)
        with right:
            live_chart(
                "chart.probabilities",
                feed=query,
                chart="probabilities",
                title="One image through every net",
            )
            if not state.hide:  # a lesson's page stays what the teacher made it
                inside_links(state)


def _curve_choice(state: PageState) -> None:
    widgets.segmented(
        "Curve",
        "curve",
        CURVES,
        state.curve,
        lambda value: _update(lambda s: replace(s, curve=value)),
    )


def _gradient_choice(state: PageState) -> None:
    widgets.segmented(
        "Gradient of",
        "gradient_of",
        {"parameters": "of weights", "outputs": "of outputs"},
        state.gradient_of,
        # The blocks' colours follow the chart.
        lambda value: _update(lambda s: replace(s, gradient_of=value), whole=True),
    )
