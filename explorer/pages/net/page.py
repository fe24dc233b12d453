"""Net: one net's block graph in full, unit by unit; what differs from another; its code."""

from __future__ import annotations

from functools import partial
from html import escape
from urllib.parse import urlencode

import pandas as pd
import streamlit as st

from explorer.drawing.palette import ink, muted
from explorer.errors import SkipscopeError
from explorer.pages.server.leases import leases, this_viewer
from explorer.pages.server.visitors import get_service
from explorer.pages.shared import address, widgets
from explorer.pages.shared.escape import note, warn
from explorer.pages.shared.nets_shown import ShownNet, file_name, offered, shown_net
from explorer.pages.shared.style import theme
from explorer.pages.shared.weights_form import asks_what_belongs, what_belongs
from explorer.structure.blueprint import Blueprint
from explorer.structure.conventions import sentences
from explorer.structure.graph import (
    DIFFERS,
    DIFFERS_ON_DARK,
    NO_GRAPHVIZ,
    Direction,
    Link,
    can_draw,
    comparison_dot,
    count_text,
    picture,
    shape_text,
    to_dot,
    to_svg,
)
from explorer.structure.named_nets import WEIGHTS
from explorer.structure.names import printed
from explorer.structure.specs import NetSpec
from explorer.writing.formats import WEIGHTS_KINDS

DEFAULT = "resnet_v2_56"
MOST_MEGABYTES = 600  # of weights: torchvision's largest net has 550
DIRECTIONS: dict[str, str] = {"top-down": "top-down", "left-right": "left-right"}


def page() -> None:
    """Everything shown is in the address: ``?net=…&beside=…&open=…&direction=…``."""
    st.title("What is a net made of?")
    st.html(
        '<p class="sk-lead">Neighbours that are alike are drawn once. Click a unit to see its '
        "layers in order; put a second net beside it to see what differs.</p>"
    )
    with st.container(horizontal=True, vertical_alignment="bottom"):
        net = _choose("Net", "net", DEFAULT)
        beside = _choose("Beside it", "beside", "")
    if net is None:
        return
    plan = net.plan
    with st.container(horizontal=True, vertical_alignment="bottom"):
        opened = _opened(plan) if beside is None else None
        direction = _direction()
    _facts(net)
    with st.container(key="card-graph", border=True):
        st.graphviz_chart(_themed(_dot(net, beside, opened, direction)), width="content")
    _downloads(net, _dot(net, beside, opened, direction, clickable=False))
    _weights(net)
    _table(plan)


def _dot(
    net: ShownNet,
    beside: ShownNet | None,
    opened: str | None,
    direction: Direction,
    *,
    clickable: bool = True,
) -> str:
    """What is drawn; a click on a unit opens it, and closes it again."""

    def link(shown: ShownNet) -> Link:
        return lambda unit: (
            f"net?{urlencode({'net': shown.token, 'open': unit, 'direction': direction})}"
        )

    if beside is None:
        to = link(net) if clickable else None
        return to_dot(net.plan, opened, direction=direction, link=to)
    links = (link(net), link(beside)) if clickable else None
    return comparison_dot(net.plan, beside.plan, direction=direction, links=links)


def _choose(label: str, key: str, usual: str) -> ShownNet | None:
    """A net by name or token, from the address; a wrong one is a sentence and the box stays."""
    text = address.present().get(key, usual)
    first = usual if usual else ""
    names = list(dict.fromkeys([first, *offered(), *([text] if text else [])]))
    st.session_state[f"net.{key}"] = text

    def chosen() -> None:
        value = st.session_state[f"net.{key}"] or ""
        address.change(**{key: value or None, "open": None})

    st.selectbox(
        label,
        names,
        key=f"net.{key}",
        on_change=chosen,
        accept_new_options=True,
        format_func=lambda name: name or "nothing",
        help="A name, or a token such as resnet_v2_56;width=8;shortcut=B; or another library's: "
        "torchvision_resnet50, timm_resnetv2_50.",
        width=420,
    )
    if not text:
        return None
    try:
        with st.spinner("Reading the net…", show_time=True):
            return shown_net(get_service(), text)
    except SkipscopeError as error:
        warn(str(error))
        return None


def _opened(plan: Blueprint) -> str | None:
    names = [unit.name for unit in plan.units]
    asked = address.present().get("open", "")
    value = asked if asked in names else ""
    st.session_state["net.open"] = value

    def chosen() -> None:
        address.change(open=st.session_state["net.open"] or None)

    st.selectbox(
        "Open a unit",
        ["", *names],
        key="net.open",
        on_change=chosen,
        format_func=lambda name: name or "none",
        width=300,
    )
    return value or None


def _direction() -> Direction:
    asked = address.present().get("direction", "top-down")
    value: Direction = "left-right" if asked == "left-right" else "top-down"

    def chosen(name: str) -> None:
        address.change(direction=name)

    widgets.segmented("Direction", "net.direction", DIRECTIONS, value, chosen)
    return value


def _facts(net: ShownNet) -> None:
    plan = net.plan
    shape = "×".join(str(n) for n in plan.spec.input_shape)
    st.html(
        f'<p class="sk-lead">{escape(net.title)}: {plan.parameters:,} parameters, '
        f"{plan.multiply_adds:,} multiply-adds for one image of {shape}, "
        f"{len(plan.units)} units.</p>"
    )
    if lines := printed(plan.spec):
        note("; ".join(lines) + ".")
    if net.weights is not None:
        note(net.weights)
    if net.spec is not None and (own := sentences(net.spec)):
        _say(f"Otherwise than in PyTorch's and the papers' nets here: {' '.join(own)}")


def _themed(dot: str) -> str:
    """The source with a clear background and the theme's colours."""
    look = (
        f'\n\tgraph [bgcolor="transparent" fontcolor="{ink(theme())}" color="{muted(theme())}"]'
        f'\n\tnode [color="{muted(theme())}" fontcolor="{ink(theme())}"]'
        f'\n\tedge [color="{muted(theme())}" fontcolor="{muted(theme())}"]'
    )
    if theme() == "dark":
        dot = dot.replace(DIFFERS, DIFFERS_ON_DARK)
    head, brace, rest = dot.partition("{")
    return f"{head}{brace}{look}{rest}"


def _downloads(net: ShownNet, dot: str) -> None:
    """What is drawn as a file, and what else there is of the net."""
    name = file_name(net)
    with st.container(horizontal=True):
        st.download_button("Graph, DOT", dot, f"{name}.dot", "text/vnd.graphviz")
        if can_draw():  # drawn when it is asked for
            for kind, media in (("svg", "image/svg+xml"), ("png", "image/png")):
                st.download_button(
                    f"Graph, {kind.upper()}", partial(picture, dot, kind), f"{name}.{kind}", media
                )
        st.download_button("Blocks, SVG", to_svg(net.plan), f"{name}-blocks.svg", "image/svg+xml")
        code = None if net.spec is None else _of_ours(net.spec, name)
    if not can_draw():
        _say(f"{NO_GRAPHVIZ}; the DOT source and the blocks need nothing.")
    if net.spec is None:
        _say("Its code is its library's: Skipscope writes a spec and code for its own nets.")
    if code is not None:
        with st.expander("PyTorch code: one file, no import of Skipscope"):
            st.code(code, language="python")


def _say(sentence: str) -> None:
    st.html(f'<p class="sk-lead">{escape(sentence)}</p>')


def _of_ours(spec: NetSpec, name: str) -> str | None:
    """A net's spec and code; the code is written by a worker, as that needs torch."""
    st.download_button(
        "Spec, JSON", spec.model_dump_json(indent=1), f"{name}.json", "application/json"
    )
    try:
        asked = get_service().submit("code", {"spec": spec.model_dump(mode="json")})
        job = leases.hold(asked, this_viewer())
    except SkipscopeError as error:
        warn(str(error))
        return None
    result = job.wait(5)  # a cold worker takes a few seconds
    if job.error:
        warn(job.error)
    if result is None:
        return None
    code: str = result["code"]
    st.download_button("PyTorch code", code, f"{name}.py", "text/x-python", type="primary")
    return code


def _weights(net: ShownNet) -> None:
    """Weights of the visitor's own for this net: checked here, measured under Instruments."""
    with st.expander("Weights of your own for this net"):
        with st.form("net.upload", border=False):
            file = st.file_uploader(
                f"A state_dict: {WEIGHTS_KINDS}, of which tensors alone are read",
                key="net.file",
                max_upload_size=MOST_MEGABYTES,
            )
            belongs = asks_what_belongs("net")
            sent = st.form_submit_button("Check these weights")
        if sent and file is not None:
            try:
                told = what_belongs(*belongs)
                upload = get_service().keep_weights(file.name, file.getbuffer(), told)
                checked = shown_net(get_service(), f"{net.name}{WEIGHTS}{upload}")
            except SkipscopeError as error:
                warn(str(error))
            else:
                address.change(net=checked.token)
                st.rerun()
        elif sent:
            warn("Choose a file of weights first.")
    pages = st.session_state.get("pages")
    if pages and st.button("Look inside: lesions, gradients and more", key="net.inside"):
        st.switch_page(pages["instruments"], query_params={"nets": net.token})


def _table(plan: Blueprint) -> None:
    st.dataframe(
        pd.DataFrame(
            {
                "unit": [unit.name for unit in plan.units],
                "kind": [unit.kind for unit in plan.units],
                "output": [shape_text(unit.output_shape) for unit in plan.units],
                "parameters": [unit.parameters for unit in plan.units],
                "multiply-adds": [count_text(unit.multiply_adds) for unit in plan.units],
                "shortcut": [unit.shortcut.replace("_", " ") for unit in plan.units],
                "deletable": [unit.deletable for unit in plan.units],
            }
        ),
        hide_index=True,
        width="stretch",
        column_config={"parameters": st.column_config.NumberColumn(format="localized")},
    )
