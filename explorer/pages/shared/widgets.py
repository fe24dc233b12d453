"""Streamlit's widgets, driven by the page's state: drawn from it, telling it what changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal, TypeVar
from urllib.parse import urlencode

import streamlit as st

from explorer.pages.shared.escape import plain

Control = TypeVar("Control", bound=str)  # a page's names for what a link can leave out


def select(
    label: str,
    key: str,
    options: Any,
    value: Any,
    on_change: Callable[[Any], None],
    *,
    words: dict[Any, str] | None = None,
    help: str | None = None,
    width: int | Literal["stretch"] = "stretch",
) -> None:
    st.session_state[key] = value
    st.selectbox(
        label,
        options,
        key=key,
        help=help,
        width=width,
        format_func=lambda option: (words or {}).get(option, str(option)),
        on_change=lambda: on_change(st.session_state[key]),
    )


def number(
    label: str,
    key: str,
    value: float,
    on_change: Callable[[Any], None],
    *,
    least: float,
    most: float,
    step: float,
    help: str | None = None,
    format: str | None = None,
    width: int | Literal["stretch"] = "stretch",
) -> None:
    whole = isinstance(value, int)
    cast: type = int if whole else float
    st.session_state[key] = value
    st.number_input(
        label,
        min_value=cast(least),
        max_value=cast(most),
        step=cast(step),
        key=key,
        help=help,
        format=format,
        width=width,
        on_change=lambda: on_change(st.session_state[key]),
    )


def slider(
    label: str,
    key: str,
    value: float,
    on_change: Callable[[Any], None],
    *,
    least: float,
    most: float,
    step: float,
    help: str | None = None,
    width: int | Literal["stretch"] = "stretch",
) -> None:
    st.session_state[key] = float(value)
    st.slider(
        label,
        min_value=float(least),
        max_value=float(most),
        step=float(step),
        key=key,
        help=help,
        width=width,
        on_change=lambda: on_change(st.session_state[key]),
    )


def toggle(
    label: str, key: str, value: bool, on_change: Callable[[Any], None], *, help: str | None = None
) -> None:
    st.session_state[key] = value
    st.toggle(label, key=key, help=help, on_change=lambda: on_change(st.session_state[key]))


def segmented(
    label: str,
    key: str,
    options: dict[str, str],
    value: str,
    on_change: Callable[[Any], None],
    *,
    label_visibility: Literal["visible", "collapsed"] = "collapsed",
) -> None:
    """A row of buttons of which one is chosen; choosing it again changes nothing."""
    st.session_state[key] = value
    st.segmented_control(
        label,
        list(options),
        key=key,
        format_func=lambda option: plain(options[option]),  # names of people's: no Markdown
        label_visibility=label_visibility,
        on_change=lambda: on_change(st.session_state[key] or value),
    )


def pills(
    label: str,
    key: str,
    options: dict[str, str],
    values: Sequence[str],
    on_change: Callable[[Any], None],
    *,
    help: str | None = None,
) -> None:
    """A row of buttons of which any number are chosen."""
    st.session_state[key] = list(values)
    st.pills(
        label,
        list(options),
        key=key,
        selection_mode="multi",
        format_func=lambda option: plain(options[option]),
        help=help,
        on_change=lambda: on_change(st.session_state[key]),
    )


@contextmanager
def drawer(label: str, key: str) -> Iterator[None]:
    """A popover whose content is there before it is opened: opening it asks the server nothing."""
    with st.popover(label, key=key):
        yield


def share_link(
    holds: str,
    key: str,
    controls: Mapping[Control, str],
    query: Callable[[tuple[Control, ...]], dict[str, str]],
) -> None:
    """The link to a page, and to one for a class that leaves some of the controls out.

    Args:
        holds: What is in the link, in words.
        controls: Those that can be left out, and what they are called.
        query: The page's address without these.
    """
    st.markdown(f"**This page as a link**: {holds} are in it.")
    chosen = st.pills(
        "Leave out, for a class that is to look at the rest",
        list(controls),
        selection_mode="multi",
        key=key,
        format_func=lambda control: controls[control],
    )
    hidden = tuple(control for control in controls if control in chosen)
    address = (st.context.url or "").split("?")[0]
    link = urlencode(query(hidden), safe=",;=:|@")
    st.code(f"{address}?{link}", language=None, wrap_lines=True)
