"""The live part of the Instruments page: a figure that follows its link, with words and table."""

from __future__ import annotations

from functools import cache
from typing import Any

import streamlit as st

from explorer.pages.server.door import KEY
from explorer.pages.server.leases import this_viewer
from explorer.pages.shared.style import ASSETS, asset_version

_LOADER = """
const path = "skipscope/assets/instruments.js?v=%(own)s&parts=%(parts)s";
const script = new URL(path, document.baseURI);
let module;
export default function (component) {
  let stop = null, over = false;
  module ??= import(script);
  module.then((m) => { if (!over) stop = m.%(part)s(component); });
  return () => { over = true; stop?.(); };
}
"""

_HTML = """
<section class="sk-instrument" aria-busy="true">
  <div class="sk-way">
    <div class="sk-bar" role="progressbar" aria-label="Measured" aria-valuemin="0"
      aria-valuemax="100" aria-valuenow="0" hidden></div>
    <span class="sk-status" role="status"></span>
  </div>
  <div class="sk-stage">
    <div class="sk-plot" role="figure"></div>
    <p class="sk-empty" hidden></p>
  </div>
  <div class="sk-errors"></div>
  <div class="sk-downloads-wanted"></div>
  <div class="sk-said"></div>
  <ul class="sk-pictures" aria-label="Images whose answer changed" hidden></ul>
  <div class="sk-conditions"></div>
  <details class="sk-more sk-formula" hidden>
    <summary>Formula, with these numbers</summary>
    <div class="sk-formula-lines"></div>
  </details>
  <details class="sk-more sk-table" hidden>
    <summary>Table</summary>
    <div class="sk-tables"></div>
    <p class="sk-files">Save: <a class="sk-csv" download>table, CSV</a>
      <a class="sk-json" download>results, JSON</a>
      <a class="sk-html" download>figure, HTML</a></p>
  </details>
  <details class="sk-more sk-papers">
    <summary>In the papers</summary>
    <p></p>
  </details>
</section>
"""


def instrument_view(key: str, *, query: str, title: str, papers: str) -> None:
    """The figure of a look.

    Args:
        query: The look's link (:func:`explorer.pages.instruments.links.to_query`), encoded.
        title: Begins what a screen reader says of the figure.
        papers: Which paper's figure it is, with the paper's numbers.
    """
    data = {"query": query, "title": title, "papers": papers, "viewer": this_viewer(), "key": KEY}
    part("instrument", _HTML)(key=key, data=data)


def part(name: str, html: str) -> Any:
    """A live part of the page, drawn by the function ``name`` of ``instruments.js``."""
    versions = {"own": asset_version("instruments.js"), "parts": asset_version("skipscope.js")}
    return st.components.v2.component(
        f"skipscope_{name}",
        html=html,
        js=_LOADER % {"part": name, **versions},
        isolate_styles=False,  # Plotly and the page's style sheet need the light DOM
    )


@cache
def sheet() -> str:
    """The page's own style sheet."""
    return f"<style>{(ASSETS / 'instruments.css').read_text()}</style>"
