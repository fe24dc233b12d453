"""Net: one net's block graph in full, unit by unit; what differs from another; its code."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from explorer.blueprint import Blueprint
from explorer.charts.palette import ink, muted
from explorer.errors import SkipscopeError
from explorer.graph import Direction, comparison_dot, count_text, to_dot, to_svg
from explorer.names import NETS, spec_of, title_of, token_of
from explorer.runs.service import get_service
from explorer.specs import NetSpec
from explorer.ui import widgets
from explorer.ui.plans import plan_of
from explorer.ui.say import warn
from explorer.ui.style import theme

DEFAULT = "resnet_v2_56"
DIRECTIONS: dict[str, str] = {"top-down": "top-down", "left-right": "left-right"}


def page() -> None:
    """Everything shown is in the address: ``?net=…&beside=…&open=…&direction=…``."""
    st.title("What is a net made of?")
    st.html(
        '<p class="sk-lead">Neighbours that are alike are drawn once. Open a unit to see its '
        "layers in order; put a second net beside it to see what differs.</p>"
    )
    with st.container(horizontal=True, vertical_alignment="bottom"):
        spec = _choose("Net", "net", DEFAULT)
        beside = _choose("Beside it", "beside", "")
    if spec is None:
        return
    plan = plan_of(spec)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        opened = _opened(plan) if beside is None else None
        direction = _direction()
    _facts(plan)
    dot = (
        to_dot(plan, opened, direction=direction)
        if beside is None
        else comparison_dot(plan, plan_of(beside), direction=direction)
    )
    with st.container(key="card-graph", border=True):
        st.graphviz_chart(_themed(dot), width="content")
    _downloads(spec, plan, dot)
    _table(plan)


def _choose(label: str, key: str, usual: str) -> NetSpec | None:
    """A net by name or token, from the address; a wrong one is a sentence and the box stays."""
    text = st.query_params.get(key, usual)
    names = list(dict.fromkeys([*([usual] if usual else [""]), *NETS, *([text] if text else [])]))
    st.session_state[f"net.{key}"] = text

    def chosen() -> None:
        value = st.session_state[f"net.{key}"] or ""
        if value:
            st.query_params[key] = value
        else:
            st.query_params.pop(key, None)
        st.query_params.pop("open", None)

    st.selectbox(
        label,
        names,
        key=f"net.{key}",
        on_change=chosen,
        accept_new_options=True,
        format_func=lambda name: name or "nothing",
        help="A name, or a token such as resnet_v2_56;width=8;shortcut=B.",
        width=420,
    )
    if not text:
        return None
    try:
        return spec_of(text)
    except SkipscopeError as error:
        warn(str(error))
        return None


def _opened(plan: Blueprint) -> str | None:
    names = [unit.name for unit in plan.units]
    asked = st.query_params.get("open", "")
    value = asked if asked in names else ""
    st.session_state["net.open"] = value

    def chosen() -> None:
        name = st.session_state["net.open"]
        if name:
            st.query_params["open"] = name
        else:
            st.query_params.pop("open", None)

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
    asked = st.query_params.get("direction", "top-down")
    value: Direction = "left-right" if asked == "left-right" else "top-down"

    def chosen(name: str) -> None:
        st.query_params["direction"] = name

    widgets.segmented("Direction", "net.direction", DIRECTIONS, value, chosen)
    return value


def _facts(plan: Blueprint) -> None:
    shape = "×".join(str(n) for n in plan.spec.input_shape)
    st.html(
        f'<p class="sk-lead">{title_of(plan.spec)}: {plan.parameters:,} parameters, '
        f"{plan.multiply_adds:,} multiply-adds for one image of {shape}, "
        f"{len(plan.units)} units.</p>"
    )


def _themed(dot: str) -> str:
    """The source with a clear background and the theme's colours."""
    look = (
        f'\n\tgraph [bgcolor="transparent" fontcolor="{ink(theme())}" color="{muted(theme())}"]'
        f'\n\tnode [color="{muted(theme())}" fontcolor="{ink(theme())}"]'
        f'\n\tedge [color="{muted(theme())}" fontcolor="{muted(theme())}"]'
    )
    head, brace, rest = dot.partition("{")
    return f"{head}{brace}{look}{rest}"


def _downloads(spec: NetSpec, plan: Blueprint, dot: str) -> None:
    name = token_of(spec).replace(";", "-").replace("=", "_")
    with st.container(horizontal=True):
        st.download_button("Graph, DOT", dot, f"{name}.dot", "text/vnd.graphviz")
        st.download_button("Blocks, SVG", to_svg(plan), f"{name}.svg", "image/svg+xml")
        st.download_button(
            "Spec, JSON", spec.model_dump_json(indent=1), f"{name}.json", "application/json"
        )
        try:
            job = get_service().submit("code", {"spec": spec.model_dump(mode="json")})
        except SkipscopeError as error:
            warn(str(error))
            return
        # The code is written by a worker, as that needs torch; a cold one takes a few seconds.
        result = job.wait(5)
        if result is not None:
            st.download_button(
                "PyTorch code", result["code"], f"{name}.py", "text/x-python", type="primary"
            )
        elif job.error:
            warn(job.error)
    if result is not None:
        with st.expander("PyTorch code: one file, no import of Skipscope"):
            st.code(result["code"], language="python")


def _table(plan: Blueprint) -> None:
    st.dataframe(
        pd.DataFrame(
            {
                "unit": [unit.name for unit in plan.units],
                "kind": [unit.kind for unit in plan.units],
                "output": ["×".join(str(n) for n in unit.output_shape) for unit in plan.units],
                "parameters": [unit.parameters for unit in plan.units],
                "multiply-adds": [count_text(unit.multiply_adds) for unit in plan.units],
                "shortcut": [unit.shortcut.replace("_", " ") for unit in plan.units],
                "deletable": [unit.deletable for unit in plan.units],
            }
        ),
        hide_index=True,
        width="stretch",
    )
