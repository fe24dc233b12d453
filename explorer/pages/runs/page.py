"""Runs: everything that was trained here; search, compare, rename, note, save, delete and undo.

The address holds what is chosen: ``?run=ID,ID&lanes=ID.0,ID.1&q=words&figure=loss``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from html import escape
from urllib.parse import urlencode

import pandas as pd
import streamlit as st

from explorer.drawing.config import PLOT_CONFIG
from explorer.errors import SkipscopeError
from explorer.pages.compare.run_views import STATUS_WORDS
from explorer.pages.instruments import links as look
from explorer.pages.runs.files import FILES
from explorer.pages.runs.kept_text import kept_text
from explorer.pages.runs.listing import (
    Choice,
    Lane,
    all_lanes,
    begun,
    compared,
    found,
    from_query,
    lane_words,
    lanes_text,
    matching,
    rows,
    to_query,
)
from explorer.pages.server.door import keyed
from explorer.pages.server.visitors import get_service, may
from explorer.pages.shared import address, widgets
from explorer.pages.shared.escape import plain, warn
from explorer.pages.shared.state import default_state
from explorer.pages.shared.state import to_query as compare_query
from explorer.pages.shared.style import theme
from explorer.report.figures import part, titles
from explorer.report.material import of_runs
from explorer.runs.serve.service import LONGEST_NOTE, RunService
from explorer.runs.serve.views import ExperimentView
from explorer.structure.named_nets import OfRun
from explorer.structure.specs import MAX_LANES

REFRESH_SECONDS = 3.0  # of what is shown of a run that trains
_DELETED = "runs.deleted"  # ids that this visitor deleted last
_PROBLEM = "runs.problem"
LONGEST_NAME = 200  # characters
_PLOT = {
    **PLOT_CONFIG,
    "toImageButtonOptions": {"format": "svg", "filename": "skipscope"},
}


def page() -> None:
    """Search, list, the chosen runs, and what was deleted lately."""
    service = get_service()
    choice = from_query(address.present())
    st.title("Runs")
    _said(service)
    runs = service.experiments()
    chosen, problems = found(service, choice)
    for sentence in problems:
        warn(sentence)
    if not runs:
        st.info("Nothing has been trained here yet: press Play on the Compare page.")
        _deleted_lately(service)
        return
    st.html(
        '<p class="sk-lead">Choose rows to open, compare, name, save or delete them; the address '
        "holds the choice.</p>"
    )
    _search(choice)
    shown = matching(runs, choice.search)
    if shown:
        _table(service, shown, choice)
    else:
        st.info(plain(f"No run has all of these words: {choice.search}."))
        st.button("Show all runs", on_click=lambda: _update(lambda c: replace(c, search="")))
    if len(chosen) == 1:
        _one(service, chosen[0])
    if chosen:
        _together(service, choice, chosen)
    _deleted_lately(service)


# ------------------------------------------------------------------------------ state changes


def _update(change: Callable[[Choice], Choice]) -> None:
    address.write(to_query(change(from_query(address.present()))))


def _try(action: Callable[..., object], *values: object) -> None:
    """Does it; what is not possible becomes a sentence on the page."""
    try:
        action(*values)
    except SkipscopeError as error:
        st.session_state[_PROBLEM] = str(error)


def _delete(service: RunService, ids: Sequence[str]) -> None:
    for run in ids:
        _try(service.delete, run)
    st.session_state[_DELETED] = list(ids)
    _update(lambda c: c.with_runs([run for run in c.runs if run not in ids]))


def _restore(service: RunService, ids: Sequence[str]) -> None:
    for run in ids:
        _try(service.restore, run)
    st.session_state.pop(_DELETED, None)
    _update(lambda c: c.with_runs([*c.runs, *(run for run in ids if run not in c.runs)]))


def _said(service: RunService) -> None:
    """What went wrong, and what can be undone."""
    problem = st.session_state.pop(_PROBLEM, None)
    if problem:
        warn(problem)
    names = {view.id: view.name for view in service.deleted_experiments()}
    gone = [run for run in st.session_state.get(_DELETED, ()) if run in names]
    if not gone:
        return
    what = f"“{names[gone[0]]}”" if len(gone) == 1 else f"{len(gone)} runs"
    with st.container(key="undo", horizontal=True, vertical_alignment="center", border=True):
        st.markdown(plain(f"Deleted {what}."))
        st.button("Undo", key="runs.undo", on_click=lambda: _restore(service, gone))


def _muted(text: str) -> None:
    """A remark; Streamlit's own captions have too little contrast on a light card."""
    st.html(f'<p class="sk-origin">{escape(text)}</p>')


# ---------------------------------------------------------------------------------------- list


def _search(choice: Choice) -> None:
    st.session_state["runs.search"] = choice.search
    st.text_input(
        "Search",
        key="runs.search",
        placeholder="plain_56, digits, seed 7, finished, a word of a note …",
        on_change=lambda: _update(
            lambda c: replace(c, search=st.session_state["runs.search"].strip())
        ),
        width=420,
    )


def _table(service: RunService, shown: Sequence[ExperimentView], choice: Choice) -> None:
    ids = [view.id for view in shown]
    # Rows are chosen by their place: another list is another table, with the same runs chosen.
    key = f"runs.table.{hash((*ids, *sorted(choice.runs)))}"

    def chosen() -> None:
        places = st.session_state[key]["selection"]["rows"]
        here = [ids[place] for place in places if place < len(ids)]
        _update(lambda c: c.with_runs([*(run for run in c.runs if run not in ids), *here]))

    st.dataframe(
        pd.DataFrame(rows(service, shown)),
        hide_index=True,
        on_select=chosen,
        selection_mode="multi-row",
        selection_default={
            "selection": {"rows": [i for i, run in enumerate(ids) if run in choice.runs]}
        },
        key=key,
        column_config={"name": st.column_config.TextColumn(width=180)},  # a phone shows the next
        width="stretch",
        height=min(420, 38 + 35 * len(ids)),
        alt=f"{len(ids)} runs, the newest first; choose rows to see more of them.",
    )


# ----------------------------------------------------------------------------------------- one


def _one(service: RunService, run: ExperimentView) -> None:
    with st.container(key="card-run", border=True, gap="small"):
        st.html(
            f'<h2 class="sk-name">{escape(run.name)}</h2>'
            f'<p class="sk-origin">{escape(run.id)}, begun {begun(run)}</p>'
        )
        _status(service, run)
        _do(service, run)
        left, right = st.columns([2, 3], gap="medium")
        with left:
            kept_text(
                "Name",
                run.name,
                lambda words: service.rename(run.id, words),
                name=f"name of {run.id}",
                longest=LONGEST_NAME,
            )
        with right:
            kept_text(
                "Note",
                run.note,
                lambda words: service.annotate(run.id, words),
                name=f"note of {run.id}",
                longest=LONGEST_NOTE,
                lines=True,
                placeholder="What you tried, and what you saw.",
            )


def _status(service: RunService, run: ExperimentView) -> None:
    """How it stands; kept up to date while it trains."""

    @st.fragment(run_every=REFRESH_SECONDS if run.active else None)
    def draw() -> None:
        try:
            view = service.experiment(run.id)
        except SkipscopeError:  # the whole page says so at its next run
            st.rerun()
        if view.status != run.status:  # its buttons are others now
            st.rerun()
        words = [STATUS_WORDS[view.status], f"step {view.step:,} of {view.steps_total:,}"]
        _muted(" · ".join([*words, *([view.reason] if view.reason else [])]))

    draw()


def _do(service: RunService, run: ExperimentView) -> None:
    state = default_state().of_experiment(run.spec)
    pages = st.session_state.get("pages", {})
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        if st.button("Open on the Compare page", type="primary"):
            st.switch_page(pages["compare"], query_params={**compare_query(state), "run": run.id})
        if run.resumable or run.status == "paused":
            st.button(
                "Resume",
                help="Go on from its last checkpoint.",
                on_click=lambda: _try(service.control, run.id, "resume"),
            )
        if run.active and run.status != "paused":
            st.button("Pause", on_click=lambda: _try(service.control, run.id, "pause"))
        widgets.toggle(
            "Keep going unwatched",
            f"runs.keep.{run.id}",
            run.kept,
            lambda value: _try(service.control, run.id, "keep", float(value)),
            help="Others are paused when nobody has looked at them for a while.",
        )
        st.button(
            "Delete",
            key="runs.delete",
            disabled=not may("delete", run.id),
            on_click=lambda: _delete(service, [run.id]),
        )


# ------------------------------------------------------------------------------------ together


def _together(service: RunService, choice: Choice, chosen: Sequence[ExperimentView]) -> None:
    """The chosen lanes in one figure, as one link, in one file."""
    words = lane_words(chosen)
    lanes = compared(choice, chosen)
    with st.container(key="card-together", border=True, gap="small"):
        if len(words) > 1:
            several = "Nets in one figure, at most four"
            widgets.pills(
                several, "runs.lanes", words, [lanes_text([x]) for x in lanes], _choose_lanes
            )
            if choice.lanes is None and len(all_lanes(chosen)) > MAX_LANES:
                _muted(f"The first {MAX_LANES} of {len(words)} nets are drawn.")
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            if lanes:
                _look_inside(lanes)
                _save(lanes)
            if len(chosen) > 1:
                st.button(
                    f"Delete these {len(chosen)} runs",
                    key="runs.delete",
                    disabled=not all(may("delete", run.id) for run in chosen),
                    on_click=lambda: _delete(service, [run.id for run in chosen]),
                )
        if lanes:
            _figure(service, lanes, live=any(run.active for run in chosen))
        else:
            st.info("Choose a net above to see its curves.")


def _choose_lanes(values: Sequence[str]) -> None:
    picked = from_query({"lanes": ",".join(values)}).lanes or ()
    if len(picked) > MAX_LANES:
        st.session_state[_PROBLEM] = (
            f"At most {MAX_LANES} nets are told apart in one figure: leave one out first."
        )
        return
    _update(lambda c: replace(c, lanes=picked))


def _look_inside(lanes: Sequence[Lane]) -> None:
    if st.button("Look inside", help="Gradients, lesions, paths and more of these nets."):
        tokens = tuple(OfRun(run, lane).token for run, lane in lanes)
        st.switch_page(
            st.session_state["pages"]["instruments"],
            query_params=look.to_query(look.Look(nets=tokens)),
        )


def _save(lanes: Sequence[Lane]) -> None:
    """Links to the files; a drawer whose content is there before it is opened."""
    with widgets.drawer("Save", "runs.save.open"):
        which = {kind: keyed({"as": kind, "lanes": lanes_text(lanes)}) for kind in FILES}
        links = "".join(
            f'<li><a href="skipscope/run/file?{escape(urlencode(which[kind]))}">{words}</a></li>'
            for kind, words in FILES.items()
        )
        st.html(f'<ul class="sk-downloads">{links}</ul>')


def _figure(service: RunService, lanes: Sequence[Lane], *, live: bool) -> None:
    @st.fragment(run_every=REFRESH_SECONDS if live else None)
    def draw() -> None:
        try:
            told = of_runs(service, lanes)
        except SkipscopeError:  # the whole page says so at its next run
            st.rerun()
        there = titles(told)
        if not there:
            st.info("Nothing is recorded yet: the figures begin with the first step.")
            return
        wanted = from_query(address.present()).figure
        key = wanted if wanted in there else next(iter(there))
        widgets.select(
            "Figure",
            "runs.figure",
            list(there),
            key,
            lambda value: _update(lambda c: replace(c, figure=value)),
            words=there,
            width=340,
        )
        drawn = part(key, told, theme())
        _muted(drawn.caption)
        st.plotly_chart(
            drawn.figure,
            theme=None,
            key=f"runs.plot.{key}",
            config=_PLOT,
            alt=f"{drawn.title}. {drawn.caption}",
        )
        with st.expander("Table"):
            st.dataframe(
                pd.DataFrame(list(drawn.rows), columns=list(drawn.columns)), hide_index=True
            )

    draw()


# ----------------------------------------------------------------------------- deleted lately


def _deleted_lately(service: RunService) -> None:
    gone = service.deleted_experiments()
    if not gone:
        return
    with st.expander(f"Deleted in the last day: {len(gone)}"):
        for view in gone:
            with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                st.markdown(plain(f"{view.name}, begun {begun(view)}"))
                st.button(
                    "Bring back",
                    key=f"runs.back.{view.id}",
                    disabled=not may("restore", view.id),
                    on_click=lambda run=view.id: _restore(service, [run]),
                )
                st.button(
                    "Remove for good",
                    key=f"runs.purge.{view.id}",
                    disabled=not may("purge", view.id),
                    on_click=lambda run=view.id: _try(service.purge, run),
                )
