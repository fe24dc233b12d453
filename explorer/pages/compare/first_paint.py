"""The first screen at once: Compare's lanes, drawn before Streamlit's own scripts have loaded.

Streamlit's index page is empty until its scripts are there, a websocket is open and the page's
script has run, which takes about two seconds on two cores. The address ``/`` is therefore
answered with that index page and, over it, a cover: the same lanes, drawn by the same
``skipscope.js`` from the same data. It goes as soon as the page beneath stands, and hands on what
was clicked meanwhile. Where the link needs a sentence of the page, there is no cover.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from streamlit import file_util

from explorer.drawing.palette import Theme
from explorer.pages.compare.lanes import (
    COLOURS,
    LEAD,
    TITLE,
    attach,
    conditions,
    feed_query,
    lane_data,
)
from explorer.pages.compare.live_parts import PART_HTML
from explorer.pages.compare.presets import preset_of
from explorer.pages.compare.run_views import run_shape
from explorer.pages.shared.state import PageState, from_query
from explorer.pages.shared.style import (
    ASSETS,
    asset_version,
    page_colours,
    streamlit_colours,
    wordmark,
)
from explorer.pages.shared.words import PAGES
from explorer.runs.serve.service import RunService
from explorer.structure.names import title_of

_EMBEDDED = ("embed", "embed_options")  # Streamlit's own: a page inside another page


def index_page(service: RunService, query: Mapping[str, str]) -> str:
    """The HTML of ``/``: Streamlit's index, with the cover where the link can be drawn as it is."""
    state, problems = from_query(query)
    state, problem = attach(service, state)
    if problems or problem or service.notice or any(name in query for name in _EMBEDDED):
        return plain_page()
    head = f"{_assets()}<style>{_sheet()}</style>"
    page = _index().replace("<head>", f"<head>{_theme_script()}", 1)
    page = page.replace("</title>", f"</title>{head}", 1)
    return page.replace('<div id="root">', f'{_cover(service, state)}<div id="root">', 1)


@cache
def other_page() -> str:
    """The HTML of every other page: Streamlit's index, told where its server is.

    Without being told, it asks beneath the page's own address first, where nothing is: two
    failed requests, and a round trip lost.
    """
    told = 'window.__streamlit={BACKEND_BASE_URL:new URL("./",location.href).href}'
    return plain_page().replace("<head>", f"<head><script>{told}</script>", 1)


def plain_page() -> str:
    """Without a cover: the page's style sheet is there before the page's script has run."""
    sheet = f'<link rel="stylesheet" href="{_address("page.css")}">'
    return _index().replace("</title>", f"</title>{sheet}", 1)


@cache
def streamlit_page() -> str:
    """Streamlit's index page, which it answers to every address that it does not know."""
    return (Path(file_util.get_static_dir()) / "index.html").read_text("utf-8")


@cache
def _index() -> str:
    text = streamlit_page()
    text = text.replace("<title>Streamlit</title>", "<title>Skipscope</title>")
    script = f'<script type="module" src="{_address("repairs.js")}"></script>'
    return text.replace("</head>", f"{script}</head>", 1)


def _address(name: str) -> str:
    """Of a file that the pages load, by which it is kept until it changes."""
    return f"./skipscope/assets/{name}?v={asset_version(name)}"


@cache
def _assets() -> str:
    """Loads the script of the live parts, by the address that Streamlit will load it by."""
    cover, parts = _address("cover.js"), _address("skipscope.js")
    return (
        f'<link rel="modulepreload" href="{parts}"><link rel="modulepreload" href="{cover}">'
        f'<script type="module">import {{ drawCover }} from "{cover}";'
        f'import * as parts from "{parts}"; drawCover(parts);</script>'
    )


def _theme_script() -> str:
    """The theme that the person chose in Streamlit's menu, else the system's: as Streamlit does."""
    return (
        "<script>try{const t=JSON.parse(localStorage['stActiveTheme-/-v2']);"
        "const n=String(t?.name??t);const s=/dark/i.test(n)?'dark':/light/i.test(n)?'light':'';"
        "if(s)document.documentElement.dataset.skTheme=s}catch{}</script>"
    )


@cache
def _sheet() -> str:
    font = re.search(r'"(\./static/media/SourceSansVF-Upright[^"]+)"', _index())
    face = (
        f'@font-face{{font-family:"Source Sans";font-weight:200 900;src:url("{font[1]}")}}'
        if font
        else ""
    )
    rules = (ASSETS / "cover.css").read_text("utf-8")
    light, dark = (f"#sk-cover{{{_variables(name)}}}" for name in ("light", "dark"))
    return (
        f"{face}{light}"
        f"@media(prefers-color-scheme:dark){{:root:not([data-sk-theme=light]) {dark}}}"
        f":root[data-sk-theme=dark] {dark}"
        f"{(ASSETS / 'page.css').read_text('utf-8')}{rules}"
    )


def _variables(theme: Theme) -> str:
    return f"color-scheme:{theme};{page_colours(theme)}{streamlit_colours(theme)}"


def _cover(service: RunService, state: PageState) -> str:
    drawn = [lane_data(state, lane) for lane in range(len(state.lanes))]
    lanes = "".join(_lane(state, lane, data) for lane, data in enumerate(drawn))
    pages = "".join(
        f'<a href="./{"" if name == "compare" else name}"'
        f"{' aria-current=page' if name == 'compare' else ''}>{title}</a>"
        for name, title in PAGES.items()
    )
    logos = "".join(f'<span class="sk-{name}">{wordmark(name)}</span>' for name in _THEMES)
    data: dict[str, Any] = {
        "transport": None,
        # The script takes the blocks from the page: no need to send them twice.
        "lanes": [{k: v for k, v in data.items() if k != "svg"} for data in drawn],
    }
    bar = colours = ""
    if "play" not in state.hide:
        data["transport"] = {
            "feed": feed_query(state),
            "conditions": conditions(state),
            "shape": run_shape(service, state),
            "at": state.at,
        }
        bar = f'<div class="transport">{PART_HTML["transport"]}</div>'
    if "colour" not in state.hide:
        buttons = "".join(
            f"<span{' class=chosen' if key == state.colour else ''}>{name}</span>"
            for key, name in COLOURS.items()
        )
        words = f"Colour the blocks by<div>{buttons}</div>"
        colours = f'<div class="colours" aria-hidden="true">{words}</div>'
    script = json.dumps(data).replace("<", "\\u003c")
    return f"""<div id="sk-cover"><header>{logos}<nav>{pages}</nav></header><main>
<h1>{TITLE}</h1><p class="sk-lead">{LEAD}</p>
{_toolbar(state)}{bar}{colours}<div class="lanes">{lanes}</div></main>
<script type="application/json">{script}</script></div>"""


def _toolbar(state: PageState) -> str:
    """Looks like the page's; it cannot be used before that is there."""
    preset = html.escape(preset_of(state) or "your own nets")
    buttons = {
        "start": f'<div class="select">Start from<b>{preset}</b></div>',
        "data": "<b>Data</b>",
        "training": "<b>Training</b>",
        "nets": '<b class="plain">Add a net</b>',
    }
    shown = [words for control, words in buttons.items() if control not in state.hide]
    if not state.hide:
        shown += ['<b class="plain">Look inside</b>', "<b>Share</b>"]
    return f'<div class="toolbar" aria-hidden="true">{"".join(shown)}</div>'


_THEMES: tuple[Theme, ...] = ("light", "dark")


def _lane(state: PageState, lane: int, data: dict[str, Any]) -> str:
    """One lane as the script will leave it: number and blocks need not wait for the script."""
    first = data["first"] or {"headline": "–", "label": ""}
    filled = PART_HTML["lane"]
    for empty, full in (
        ('class="sk-lane"', f'class="sk-lane" style="--lane:var(--sk-lane-{lane})"'),
        ('class="sk-big">–', f'class="sk-big">{html.escape(first["headline"])}'),
        ('class="sk-label">', f'class="sk-label">{html.escape(first["label"])}'),
        ('class="sk-graph">', f'class="sk-graph">{data["svg"]}'),
        ('class="sk-counts">', f'class="sk-counts">{html.escape(data["counts"])}'),
    ):
        assert empty in filled, f"the lane's template has no {empty}"
        filled = filled.replace(empty, full, 1)
    name = html.escape(title_of(state.lanes[lane]))
    change = "" if "nets" in state.hide else '<b aria-hidden="true">Change</b>'
    return (
        f'<section><div class="top"><h2 class="sk-name"><span class="sk-dot sk-dot-{lane}"></span>'
        f"{name}</h2>{change}</div>"
        f'<div class="part">{filled}</div></section>'
    )
