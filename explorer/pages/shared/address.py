"""The address, which holds everything that a page shows; its newest word counts.

Streamlit answers each request with the address that the browser had when it asked. A click that is
sent before the browser has heard what the click before it changed comes with the older address: two
blocks deleted in quick succession would be one, and a click of Play that is sent again would draw
the page without its run. So what was written in a session is remembered: an address that was
already replaced, and was not gone back to with the browser's own buttons, is read as what replaced
it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

_WRITTEN = "address.written"
_REMEMBERED = 20  # replaced addresses; a person does not click so often within an answer


@dataclass
class _Written:
    page: str
    newest: dict[str, str]
    replaced: list[dict[str, str]] = field(default_factory=list)


def present() -> dict[str, str]:
    """The address as it was last written here, or as the person has changed it since."""
    asked = st.query_params.to_dict()
    written: _Written | None = st.session_state.get(_WRITTEN)
    if written is None or asked == written.newest:
        return asked
    page, went_back = _request()
    if went_back or page != written.page or asked not in written.replaced:
        del st.session_state[_WRITTEN]  # the person has gone elsewhere
        return asked
    st.query_params.from_dict(written.newest)
    return dict(written.newest)


def write(query: Mapping[str, str]) -> None:
    """Makes this the address, for the browser too."""
    before, newest = present(), dict(query)
    st.query_params.from_dict(newest)
    if before == newest:
        return
    written: _Written | None = st.session_state.get(_WRITTEN)
    replaced = [*(written.replaced if written else ()), before]
    st.session_state[_WRITTEN] = _Written(
        page=_request()[0],
        newest=newest,
        replaced=[one for one in replaced if one != newest][-_REMEMBERED:],
    )


def change(**values: str | None) -> None:
    """Sets some parameters of the address; None takes one out."""
    query = {**present(), **values}
    write({name: value for name, value in query.items() if value is not None})


def _request() -> tuple[str, bool]:
    """The page that this request is for, and whether it came by the browser's back or forward."""
    context = get_script_run_ctx(suppress_warning=True)
    if context is None:
        return "", False
    return context.page_script_hash, context.is_history_navigation
