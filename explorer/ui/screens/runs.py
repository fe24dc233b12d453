"""Runs: everything that was trained here, newest first; open, rename, delete."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pandas as pd
import streamlit as st

from explorer.errors import SkipscopeError
from explorer.names import token_of
from explorer.runs.service import get_service
from explorer.ui.look import look_inside
from explorer.ui.runview import STATUS_WORDS
from explorer.ui.say import plain, warn
from explorer.ui.state import default_state, to_query


def page() -> None:
    """The list, and what can be done with the chosen run."""
    service = get_service()
    st.title("Runs")
    said = st.session_state.pop("runs.problem", None)
    if said:
        warn(said)
    experiments = service.experiments()
    if not experiments:
        st.info("Nothing has been trained here yet: press Play on the Compare page.")
        return
    table = pd.DataFrame(
        {
            "run": [e.id for e in experiments],
            "name": [e.name for e in experiments],
            "nets": [" · ".join(token_of(net) for net in e.spec.lanes) for e in experiments],
            "data": [Path(e.spec.data.path or e.spec.data.name).name for e in experiments],
            "seed": [e.spec.seed for e in experiments],
            "status": [STATUS_WORDS[e.status] for e in experiments],
            "step": [f"{e.step:,} of {e.steps_total:,}" for e in experiments],
            "begun": [
                datetime.fromtimestamp(e.created).strftime("%Y-%m-%d %H:%M") for e in experiments
            ],
        }
    )
    st.html(
        '<p class="sk-lead">Choose a row to open it on the Compare page, rename or delete it.</p>'
    )
    chosen = st.dataframe(
        table,
        hide_index=True,
        on_select="rerun",
        selection_mode="single-row",
        key="runs.table",
        width="stretch",
    )
    rows = chosen["selection"]["rows"]
    if not rows or rows[0] >= len(experiments):
        return
    run = experiments[rows[0]]
    with st.container(key="card-run", border=True):
        st.html(f'<h3 class="sk-name">{run.id}</h3>')
        if run.reason:
            st.caption(plain(run.reason))
        with st.container(horizontal=True, vertical_alignment="bottom"):
            state = default_state().of_experiment(run.spec)
            if st.button("Open on the Compare page", type="primary"):
                st.switch_page(
                    st.session_state["pages"]["compare"],
                    query_params={**to_query(state), "run": run.id},
                )
            if st.button("Look inside", help="Gradients, lesions, paths and more of its nets."):
                inside = look_inside(replace(state, run=run.id), range(len(state.lanes)))
                st.switch_page(st.session_state["pages"]["instruments"], query_params=inside)
            st.text_input(
                "Name",
                value=run.name,
                key=f"runs.name.{run.id}",
                on_change=lambda: _try(
                    lambda: service.rename(run.id, st.session_state[f"runs.name.{run.id}"])
                ),
            )
            with st.popover("Delete"):
                st.write("This removes its curves and weights from this machine for good.")
                st.button("Delete this run", on_click=lambda: _try(lambda: service.delete(run.id)))


def _try(action: Callable[[], object]) -> None:
    try:
        action()
    except SkipscopeError as error:
        st.session_state["runs.problem"] = str(error)
