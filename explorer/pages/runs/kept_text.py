"""A text box for a person's own words, which are not lost while the server is away.

Streamlit's boxes are drawn anew from the server's value when a lost connection is there again: what
was typed meanwhile is gone. This one (``assets/kept_text.js``) keeps it in the browser until the
server has stored or refused it, and says which.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

from explorer.errors import SkipscopeError
from explorer.pages.shared.style import asset_version

_LOADER = """
const script = new URL("skipscope/assets/kept_text.js?v=%(version)s", document.baseURI);
let module;
export default function (component) {
  let stop = null, over = false;
  module ??= import(script);
  module.then((m) => { if (!over) stop = m.keptText(component); });
  return () => { over = true; stop?.(); };
}
"""
_HTML = """
<label class="sk-text">
  <span class="sk-label"></span>
  {box}
</label>
<p class="sk-status" role="status"></p>
"""
_BOXES = {
    "line": '<input type="text" autocomplete="off">',
    "note": '<textarea rows="3"></textarea>',
}


def kept_text(
    label: str,
    value: str,
    store: Callable[[str], None],
    *,
    name: str,
    longest: int,
    lines: bool = False,
    placeholder: str = "",
) -> None:
    """A box with its label, and beneath it whether the words are stored.

    Args:
        value: What is stored now.
        store: Called with new words; what it refuses with an error of ours stands beneath the box.
        name: Of what the words are on; drafts are kept by it, in the browser.
        longest: Characters.
        lines: Whether there may be several lines.
    """
    key = f"text.{name}"
    answer = f"{key}.answer"

    def said() -> None:
        told: dict[str, Any] = (st.session_state[key] or {}).get("said") or {}
        if "text" in told:
            st.session_state[answer] = take(told, store)

    kind = "note" if lines else "line"
    st.components.v2.component(
        f"skipscope_text_{kind}",
        html=_HTML.format(box=_BOXES[kind]),
        js=_LOADER % {"version": asset_version("kept_text.js")},
        isolate_styles=False,  # the page's style sheet
    )(
        key=key,
        data={
            "name": name,
            "label": label,
            "value": value,
            "placeholder": placeholder,
            "longest": longest,
            **st.session_state.get(answer, {"answered": None, "refused": None}),
        },
        on_said_change=said,
    )


def take(told: dict[str, Any], store: Callable[[str], None]) -> dict[str, Any]:
    """Stores what the browser told; its answer says which words were meant, and what refused them.

    Args:
        told: ``text``, and ``at``, by which the browser knows the answer.
    """
    refused = None
    try:
        store(str(told["text"]))
    except SkipscopeError as error:
        refused = str(error)
    return {"answered": told.get("at"), "refused": refused}
