"""One image through every lane: class probabilities, with the lanes' deletions applied."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import streamlit as st

from explorer.blueprint import blueprint
from explorer.charts import probability_figure
from explorer.errors import SkipscopeError
from explorer.results import Prediction
from explorer.runs.service import RunService
from explorer.ui import choices, feed
from explorer.ui.state import PageState
from explorer.ui.style import theme


def image_section(
    service: RunService,
    state: PageState,
    update: Callable[[Callable[[PageState], PageState]], None],
) -> None:
    """The image picker and the bars; redrawn on its own while jobs are under way."""
    with st.container(key="card-image", border=True, gap="small"):
        st.html('<h4 class="sk-title">One image through every net</h4>')
        left, right = st.columns([1, 3], gap="medium")
        with left:
            st.session_state["image"] = state.image
            st.number_input(
                "Test image",
                min_value=0,
                key="image",
                help="Its number in the test set.",
                on_change=lambda: update(
                    lambda s: replace(s, image=int(st.session_state["image"]))
                ),
            )
        _answers(service, state, left, right)


def _answers(service: RunService, state: PageState, left: Any, right: Any) -> None:
    job = service.submit("predict", _payload(service, state), priority=0)
    result = job.wait(0.25)
    if result is None and job.error is None:
        with right:
            _later(job.id)
        return
    _draw(state, result, job.error, left, right)


def _payload(service: RunService, state: PageState) -> dict[str, Any]:
    nets = []
    for lane, net in enumerate(state.lanes):
        names = [unit.name for unit in blueprint(net).units]
        cut = [names[i] for i in state.cut(lane) if i < len(names)]
        nets.append({**feed.lane_source(service, state, lane), "deleted": cut})
    return {"nets": nets, "data": state.data.model_dump(mode="json"), "image": {"test": state.image}}


@st.fragment(run_every=0.5)
def _later(job_id: str) -> None:
    job = get_job(job_id)
    if job is None or job.wait(0) is not None or job.error is not None:
        st.rerun()
    st.caption("Computing…")


def get_job(job_id: str) -> Any:
    from explorer.runs.service import get_service

    try:
        return get_service().job(job_id)
    except SkipscopeError:
        return None
