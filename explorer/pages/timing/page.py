"""Timing: how long a forward pass takes, line by line as it runs.

The address holds what is chosen: ``?net=resnet_v2_56&images=64&steps=50&burn_in=5&fast=1``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import streamlit as st

from explorer.errors import SkipscopeError, SpecError
from explorer.pages.server.leases import leases, this_viewer
from explorer.pages.server.visitors import get_service
from explorer.pages.shared import address
from explorer.pages.shared.escape import plain, warn
from explorer.pages.shared.nets_shown import offered
from explorer.results import ForwardTiming
from explorer.structure.cards import Card
from explorer.structure.named_nets import OfLibrary, OfRun, Ours, Shipped, named
from explorer.system.bounded import parameters, whole_number

DEFAULT = "resnet_v2_56"


@dataclass(frozen=True)
class Asked:
    """What is timed, as the form and the address say it."""

    net: str = DEFAULT
    images: int = 32
    steps: int = 100
    burn_in: int = 10
    fast: bool = False


RANGES = {"images": (1, 1024), "steps": (1, 10_000), "burn_in": (0, 1000)}


def page() -> None:
    """The form, as the address has it, and the timing that this visitor started last."""
    st.title("How long does a forward pass take?")
    st.html(
        '<p class="sk-lead">Random images through a fresh net in eval mode, on the machine that '
        "runs the app. Nothing else should compute meanwhile: pause what trains.</p>"
    )
    _fill()
    with st.form("timing.form"), st.container(horizontal=True, vertical_alignment="bottom"):
        token = st.selectbox(
            "Net",
            list(dict.fromkeys([*offered(), st.session_state["timing.net"]])),
            key="timing.net",
            accept_new_options=True,
            help="A name or token; or another library's net: torchvision_resnet50.",
        )
        chosen = Asked(
            net=str(token),
            images=st.number_input("Images a batch", *RANGES["images"], key="timing.images"),
            steps=st.number_input("Timed steps", *RANGES["steps"], key="timing.steps"),
            burn_in=st.number_input("Burn-in steps", *RANGES["burn_in"], key="timing.burn_in"),
            fast=st.toggle(
                "Made fast",
                key="timing.fast",
                help="Norms folded, channels_last, bfloat16 where it pays; else as it stands.",
            ),
        )
        started = st.form_submit_button("Start", type="primary")
    if started:
        address.write(to_query(chosen))
        _start(chosen)
    if "timing.job" in st.session_state:
        _follow()


def _fill() -> None:
    """Writes what the address asks for into the form, when the page is opened."""
    if "timing.net" in st.session_state:
        return
    asked, problems = from_query(address.present())
    st.session_state.update({f"timing.{key}": value for key, value in asdict(asked).items()})
    for sentence in problems:
        warn(sentence)


def to_query(asked: Asked) -> dict[str, str]:
    """The address; what is as usual is left out, but never the net."""
    usual = asdict(Asked())
    query = {
        key: str(int(value) if isinstance(value, bool) else value)
        for key, value in asdict(asked).items()
        if value != usual[key]
    }
    return {"net": asked.net, **query}


def from_query(query: Mapping[str, str]) -> tuple[Asked, list[str]]:
    """What a link asks for, and one sentence for each thing it could not use."""
    found: dict[str, Any] = {}
    query, problems = parameters(query)
    for key, (least, most) in RANGES.items():
        text = query.get(key)
        if text is None:
            continue
        try:
            found[key] = whole_number(text, key, least, most)
        except SkipscopeError as error:
            problems.append(f"The link's {key!r} was left out: {error}")
    return Asked(net=query.get("net") or DEFAULT, fast=query.get("fast") == "1", **found), problems


def _start(asked: Asked) -> None:
    before = st.session_state.pop("timing.job", None)
    if before is not None:
        before.cancel()
    try:
        payload = {
            **_net(asked.net),
            "images": asked.images,
            "steps": asked.steps,
            "burn_in": asked.burn_in,
            "fast": asked.fast,
        }
        job = get_service().submit("timing", payload)
        st.session_state["timing.job"] = leases.hold(job, this_viewer())
    except SkipscopeError as error:
        warn(str(error))


def _net(token: str) -> dict[str, Any]:
    """What a timing is told of its net; weights do not change how long a pass takes."""
    match named(token):
        case OfLibrary(name):
            return {"external": name}
        case Ours(spec) | Shipped(Card(spec=spec)):
            return {"spec": spec.model_dump(mode="json")}
        case OfRun():
            raise SpecError(f"{token[:60]} is a lane of a run: time the net by its own name.")


@st.fragment(run_every=1.0)
def _follow() -> None:
    job = st.session_state.get("timing.job")
    if job is None:
        return
    leases.hold(job, this_viewer())
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
