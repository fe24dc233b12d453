"""The live parts of the page: block graph of a lane, chart, transport bar.

Each is a Streamlit component whose script is loaded once from ``assets/skipscope.js``. They draw
from the feed (:mod:`explorer.pages.compare.feed`) by themselves; Streamlit reruns only when a
person acts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

from explorer.pages.shared.style import asset_version

_LOADER = """
const script = new URL("skipscope/assets/skipscope.js?v=%(version)s", document.baseURI);
let module;
export default function (component) {
  let stop = null, over = false;
  module ??= import(script);
  module.then((m) => { if (!over) stop = m.%(part)s(component); });
  return () => { over = true; stop?.(); };
}
"""

_LANE = """
<div class="sk-lane">
  <div class="sk-row"><span class="sk-big">–</span><span class="sk-label"></span></div>
  <p class="sk-note" hidden></p>
  <div class="sk-graph"></div>
  <div class="sk-program" hidden>
    <span class="sk-answer" role="status"></span>
    <button type="button" class="sk-button sk-small sk-restore">Restore all</button>
  </div>
  <div class="sk-row sk-foot"><span class="sk-counts"></span><span class="sk-colour"></span></div>
</div>
"""

_CHART = """
<section class="sk-chart">
  <h2 class="sk-title"></h2>
  <p class="sk-caption"></p>
  <div class="sk-stage">
    <div class="sk-plot" role="figure"></div>
    <p class="sk-empty" hidden></p>
  </div>
  <details class="sk-numbers"><summary>Numbers</summary>
    <div tabindex="0" role="region" aria-label="Table of the figure"></div></details>
</section>
"""

_TRANSPORT = """
<div class="sk-transport">
  <div class="sk-line">
    <div class="sk-buttons" role="group" aria-label="Training">
      <button type="button" class="sk-button sk-primary sk-play">Play</button>
      <button type="button" class="sk-button sk-step">Step</button>
      <button type="button" class="sk-button sk-slow" aria-pressed="false">Slow</button>
      <button type="button" class="sk-button sk-stop">Stop</button>
    </div>
    <div class="sk-bar" role="progressbar" aria-label="Steps done"
      aria-valuemin="0" aria-valuemax="100" aria-valuenow="0"></div>
    <span class="sk-status"></span>
    <label title="The schedule's present rate; a number typed here holds from the next step on">
      Learning rate
      <input class="sk-rate" type="number" step="any" min="1e-8" max="100"></label>
    <span class="sk-conditions"></span>
  </div>
  <div class="sk-past" hidden>
    <label>Looking at step <input class="sk-at" type="range" min="0" max="0" value="0" step="1">
      <output></output></label>
    <button type="button" class="sk-button sk-small sk-now">Follow the latest</button>
  </div>
  <div class="sk-phases" hidden>
    <ol aria-label="Parts of a step"><li>forward</li><li>backward</li><li>update</li></ol>
    <span></span>
  </div>
  <p class="sk-why" role="status" hidden></p>
  <p class="sk-differs" hidden></p>
</div>
"""

_PICTURE = """
<div class="sk-image">
  <img class="sk-picture" alt="" hidden>
  <p class="sk-caption" role="status"></p>
</div>
"""

PART_HTML = {"lane": _LANE, "chart": _CHART, "transport": _TRANSPORT, "picture": _PICTURE}


def _component(part: str) -> Any:
    return st.components.v2.component(
        f"skipscope_{part}",
        html=PART_HTML[part],
        js=_LOADER % {"part": part, "version": asset_version("skipscope.js")},
        isolate_styles=False,  # Plotly and the page's style sheet need the light DOM
    )


def _mount(part: str, key: str, data: dict[str, Any], **callbacks: Callable[[], None]) -> None:
    _component(part)(key=key, data=data, **callbacks)


def lane_graph(
    key: str, data: dict[str, Any], *, toggle: Callable[[], None], restore: Callable[[], None]
) -> None:
    """A lane's number, clickable block graph and the answer to its deletions."""
    _mount("lane", key, data, on_toggle_change=toggle, on_restore_change=restore)


def live_chart(
    key: str,
    *,
    feed: str,
    chart: str,
    title: str,
    choices: dict[str, dict[str, str]] | None = None,
) -> None:
    """A figure of the feed that keeps zoom and legend while data arrives.

    Args:
        choices: By the key of a row of buttons: each button's words and the chart that it means,
            so that the figure need not wait until the server knows of the choice.
    """
    data = {"feed": feed, "chart": chart, "title": title, "choices": choices or {}}
    _mount("chart", key, data)


def picture(key: str, *, feed: str, image: int | str) -> None:
    """A test image by its index, or a kept one by its name, as the nets see it; and its class."""
    _mount("picture", key, {"feed": feed, "image": image})


def transport_bar(
    key: str,
    *,
    feed: str,
    conditions: list[str],
    shape: str,
    at: int | None,
    acted: str,
    action: Callable[[], None],
    look: Callable[[], None],
) -> None:
    """Play, step, slow, stop, progress, learning rate, and the slider of time.

    Args:
        acted: The last ``action`` that was heard: what is not heard soon is sent again.
        conditions: What all lanes have in common, then what differs, if there are several.
        shape: Of the run, as the page is drawn; where it is another, ``action`` asks for a redraw.
        at: Step that is looked at; None follows the latest.
        look: The slider was moved; trigger ``at``, a step or ``"latest"``.
    """
    data = {"feed": feed, "conditions": conditions, "shape": shape, "at": at, "acted": acted}
    _mount("transport", key, data, on_action_change=action, on_at_change=look)
