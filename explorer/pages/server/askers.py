"""Who asks: somebody at this machine, or on the network. The door says it of every request.

A request's handler finds it in a context variable, a page's script in a header that the door puts
into the handshake of the page's socket (and takes out of whatever comes from outside).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

HEADER = "x-skipscope-asker"
_SESSION = "asker"
Place = Literal["this machine", "the network"]


@dataclass(frozen=True)
class Asker:
    """Whoever asks.

    Attributes:
        visitor: Of somebody on the network: the same at every visit of one browser, and no
            name; by it a person's own runs are known as theirs.
    """

    place: Place
    visitor: str = ""

    @property
    def written(self) -> str:
        """For the handshake's header."""
        return self.visitor if self.place == "the network" else "-"

    @classmethod
    def read(cls, text: str) -> Asker:
        return HERE if text == "-" else cls("the network", text)


HERE = Asker("this machine")
STRANGER = Asker("the network")
_asker: ContextVar[Asker | None] = ContextVar("asker", default=None)


@contextmanager
def asked_by(asker: Asker) -> Iterator[None]:
    """What is done meanwhile is done for this asker."""
    token = _asker.set(asker)
    try:
        yield
    finally:
        _asker.reset(token)


def asker() -> Asker:
    """For whom the present code runs; whoever starts it without a browser is at this machine."""
    known = _asker.get()
    if known is not None:
        return known
    if get_script_run_ctx(suppress_warning=True) is None:
        return HERE
    # A page's script: its socket may be lost in the middle, and the headers with it.
    told = st.context.headers.get(HEADER)
    if isinstance(told, str):
        st.session_state[_SESSION] = Asker.read(told)
    found = st.session_state.get(_SESSION)
    return found if isinstance(found, Asker) else STRANGER if server.runs else HERE


@dataclass
class _Server:
    """Whether this process serves pages: then one that no header names is nobody's here."""

    runs: bool = False


server = _Server()
