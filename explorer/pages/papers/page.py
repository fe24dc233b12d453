"""Papers: the papers' figures and tables beside ours; one at a time, and all in a list.

The address holds what is chosen: ``?figure=veit16_fig3``.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from html import escape

import streamlit as st

from explorer.drawing.config import PLOT_CONFIG
from explorer.errors import SkipscopeError
from explorer.instruments.contract import Style
from explorer.pages.instruments import links as look
from explorer.pages.server.leases import leases, this_viewer
from explorer.pages.server.visitors import get_service
from explorer.pages.shared import address
from explorer.pages.shared.escape import plain, warn
from explorer.pages.shared.style import theme
from explorer.reproduce import figure, figures
from explorer.reproduce.contract import Asks, Figure, Measurement
from explorer.reproduce.gallery import drawn
from explorer.reproduce.kept import stamp
from explorer.reproduce.words import (
    ASSETS,
    LEAD,
    TITLE,
    Ours,
    Told,
    counts,
    mark_html,
    ours_html,
    told,
    words_html,
)
from explorer.structure.cards import shipped_for
from explorer.structure.names import spec_of
from explorer.structure.specs import MAX_LANES, DataSpec, fit_to_data
from explorer.system.bounded import parameters
from explorer.writing.wording import typeset

DEFAULT = "veit16_fig3"
_CHOICE, _JOB, _ANEW = "papers.figure", "papers.job", "papers.anew"
# The gallery's colours, from those of the app's theme.
_COLOURS = {
    "light": "--good:#23683e;--part:#7a4f00;--none:#5c6675;--bad:#b4461f;",
    "dark": "--good:#7fd6a0;--part:#f0c36d;--none:#9aa5b4;--bad:#ff9a6b;",
}


def page() -> None:
    """The figure that the address names, and the list of all."""
    st.title(TITLE)
    st.html(f'<p class="sk-lead">{escape(LEAD)}</p>{_sheet()}')
    key, problems = from_query(address.present())
    for sentence in problems:
        warn(sentence)
    if st.session_state.get(_CHOICE) not in figures() or _came_by(key):
        st.session_state[_CHOICE] = key
    chosen = st.selectbox(
        "Figure or table",
        list(figures()),
        key=_CHOICE,
        format_func=_label,
        on_change=_to_address,
    )
    st.session_state["papers.address"] = address.present().get("figure")
    _one(told(figure(chosen)))
    _all()


def from_query(query: Mapping[str, str]) -> tuple[str, list[str]]:
    """The figure that a link names, and a sentence where there is none of this name."""
    query, problems = parameters(query)
    asked = query.get("figure", DEFAULT)
    try:
        return figure(asked).key, problems
    except SkipscopeError as error:
        return DEFAULT, [*problems, str(error)]


def _came_by(key: str) -> bool:
    """Whether the address was changed by hand or by a link since it was last read."""
    return st.session_state.get("papers.address") != address.present().get("figure") and key != (
        st.session_state.get(_CHOICE)
    )


def _to_address() -> None:
    address.change(figure=st.session_state[_CHOICE])
    st.session_state["papers.address"] = st.session_state[_CHOICE]


def _label(key: str) -> str:
    row = figures()[key]
    return f"{row.paper} {row.item}: {row.title}"


def _sheet() -> str:
    """The words' style sheet in the theme's colours."""
    name = theme()
    own = "--line:var(--sk-line);--mute:var(--sk-mute);--link:var(--st-primary-color);"
    colours = own + _COLOURS[name]
    sheet = (ASSETS / "words.css").read_text("utf-8").partition("@media")[0]
    return f"<style>.rp{{{colours}}}\n{sheet}</style>"


def _one(one: Told) -> None:
    """A figure: the paper's, then each measurement of ours, and the button to measure again."""
    row = one.row
    with st.container(key=f"card-papers-{row.key}", border=True):
        st.html(f'<div class="rp">{words_html(one, heading="h2")}</div>')
        for place, ours in enumerate(one.ours):
            _ours(row, ours, f"{row.key}.{place}")
        with st.container(horizontal=True):
            if row.brief:
                _again(row)
            _look(one)
        if st.session_state.get(_JOB, ("",))[0] == row.key:
            _follow(row)


def _ours(row: Figure, ours: Ours, key: str) -> None:
    st.html(f'<div class="rp">{ours_html(row, ours)}</div>')
    made = drawn(row, ours.measurement, Style(theme=theme()))
    if made is not None:
        st.plotly_chart(
            made,
            width="stretch",
            theme=None,
            config=PLOT_CONFIG,
            key=f"papers.plot.{key}",
            alt=f"{row.title}. {ours.verdict.says}",
        )


def _again(row: Figure) -> None:
    """The button, and what it came to."""
    if st.button("Measure again", help="One net of each kind, on the server; seconds."):
        before = st.session_state.pop(_JOB, None)
        if before is not None:
            before[1].cancel()
        try:
            job = get_service().submit("reproduce", {"figure": row.key})
            st.session_state[_JOB] = (row.key, leases.hold(job, this_viewer()))
        except SkipscopeError as error:
            warn(str(error))


def _look(one: Told) -> None:
    """A link to the instrument, on nets that this figure is of and that ship, where there are."""
    lanes = [lane for ours in one.ours for lane in ours.measurement.lanes if lane.steps]
    pages = st.session_state.get("pages")
    if not isinstance(one.row.how, Asks) or not lanes or pages is None:
        return
    nets = dict.fromkeys(_token(lane.net) for lane in lanes)
    asked = look.Look(nets=tuple(nets)[:MAX_LANES], instrument=one.row.how.instrument)
    st.page_link(pages["instruments"], label="Ask it of any net", query_params=look.to_query(asked))


def _token(net: str) -> str:
    """The shipped net of this kind, else a fresh one's name."""
    card = shipped_for(fit_to_data(spec_of(net), DataSpec()), DataSpec().name)
    return net if card is None else card.name


@st.fragment(run_every=1.0)
def _follow(row: Figure) -> None:
    key, job = st.session_state.get(_JOB, ("", None))
    if job is None or key != row.key:
        return
    leases.hold(job, this_viewer())
    if job.error:
        warn(job.error)
        return
    result = job.wait(0)
    if result is None:
        share, text = job.progress
        st.progress(share, text or "Measuring…")
        return
    found = told(row, [Measurement.model_validate(result)])
    st.markdown(plain("Measured just now:"))
    for ours in found.ours:
        _ours(row, ours, f"{row.key}.{_ANEW}")


def _all() -> None:
    """One line a figure; its link is this page's."""
    every = _every(stamp())
    rows = "".join(
        f'<tr><td><a href="?figure={one.row.key}" target="_self">{escape(one.row.paper)} '
        f"{escape(one.row.item)}</a></td><td>{escape(one.row.title)}</td><td>{mark_html(one)}</td>"
        f"<td>{escape(typeset(one.said))}</td></tr>"
        for one in every
    )
    st.html(
        f'<div class="rp"><h2>All figures</h2><p>{escape(counts(every))}.</p>'
        '<div class="rp-wide" tabindex="0" role="region" aria-label="All figures">'
        "<table><thead><tr>"
        '<th scope="col">figure</th><th scope="col">title</th><th scope="col">mark</th>'
        f'<th scope="col">what our measurement says</th></tr></thead><tbody>{rows}</tbody></table>'
        "</div></div>"
    )


@lru_cache(maxsize=1)
def _every(stamp: object) -> list[Told]:
    """All figures, read again once a kept file has changed."""
    return [told(row) for row in figures().values()]
