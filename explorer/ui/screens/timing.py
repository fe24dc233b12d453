"""Timing: how long a forward pass takes, line by line as it runs."""

from __future__ import annotations

from typing import Any

import streamlit as st

from explorer.errors import SkipscopeError
from explorer.external import is_external, read_token
from explorer.names import spec_of
from explorer.results import ForwardTiming
from explorer.runs.service import get_service
from explorer.ui.say import plain, warn
from explorer.ui.shown import offered

DEFAULT = "resnet_v2_56"


def page() -> None:
    """The form, and the timing that this visitor started last."""
    st.title("How long does a forward pass take?")
    st.html(
        '<p class="sk-lead">Random images through a fresh net in eval mode, on the machine that '
        "runs the app. Nothing else should compute meanwhile: pause what trains.</p>"
    )
    with st.form("timing.form"), st.container(horizontal=True, vertical_alignment="bottom"):
        token = st.selectbox(
            "Net",
            offered(),
            index=offered().index(DEFAULT),
            accept_new_options=True,
            help="A name or token; or another library's net: torchvision_resnet50.",
        )
        images = st.number_input("Images a batch", 1, 1024, 32)
        steps = st.number_input("Timed steps", 1, 10_000, 100)
        burn_in = st.number_input("Burn-in steps", 0, 1000, 10)
        fast = st.toggle(
            "Made fast",
            help="Norms folded, channels_last, bfloat16 where it pays; else as it stands.",
        )
        started = st.form_submit_button("Start", type="primary")
    if started:
        _start(str(token), int(images), int(steps), int(burn_in), fast)
    if "timing.job" in st.session_state:
        _follow()


def _start(token: str, images: int, steps: int, burn_in: int, fast: bool) -> None:
    before = st.session_state.pop("timing.job", None)
    if before is not None:
        before.cancel()
    try:
        payload = {
            **_net(token),
            "images": images,
            "steps": steps,
            "burn_in": burn_in,
            "fast": fast,
        }
        st.session_state["timing.job"] = get_service().submit("timing", payload)
    except SkipscopeError as error:
        warn(str(error))


def _net(token: str) -> dict[str, Any]:
    """What a timing is told of its net; weights do not change how long a pass takes."""
    if is_external(token):
        return {"external": read_token(token)[0]}
    return {"spec": spec_of(token).model_dump(mode="json")}


@st.fragment(run_every=1.0)
def _follow() -> None:
    job = st.session_state.get("timing.job")
    if job is None:
        return
    if job.error:
        warn(job.error)
        return
    result = job.wait(0)
    value = result or job.partial
    share, _ = job.progress
    if result is None:
        st.progress(share, "Timing…" if value else "Warming up…")
        if st.button("Stop"):
            job.cancel()
            del st.session_state["timing.job"]
            st.rerun()
    if value:
        timing = ForwardTiming.from_json(value)
        st.markdown(plain(timing.summary()))
        st.code("\n".join(timing.lines()) or "fewer than ten steps so far", language=None)
