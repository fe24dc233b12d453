"""The figures as static pages: they open from disk and from any host, and ask nothing of a network.

A folder has ``index.html``, a page a paper, and Plotly's script once; a file has all in it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from html import escape
from itertools import groupby
from pathlib import Path

import plotly
import plotly.graph_objects as go

from explorer.drawing.room import room_for_legend
from explorer.errors import SkipscopeError
from explorer.instruments.contract import Style, Theme
from explorer.reproduce.contract import HOLDS, MARKS, Figure, Measurement
from explorer.reproduce.words import (
    ASSETS,
    LEAD,
    TITLE,
    Told,
    counts,
    mark_html,
    ours_html,
    paper_title,
    words_html,
)
from explorer.system.files import write_bytes, write_text
from explorer.writing.wording import typeset

PLOTLY = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
SCRIPT = "plotly.min.js"
WIDTHS = {False: 900.0, True: 330.0}  # pixels of a legend: wide, narrow
DIGITS = 5
THEMES: tuple[Theme, ...] = ("light", "dark")
_POLICY = (
    "default-src 'none'; script-src {script} 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data: blob:; font-src data:"
)


def write_folder(folder: Path, all_told: Sequence[Told], tell: Callable[[str], None]) -> list[Path]:
    """``index.html``, ``PAPER.html`` of every paper, and Plotly's script; returns the pages.

    Raises:
        SkipscopeError: The folder cannot be written to.
    """
    papers = [(paper, list(rows)) for paper, rows in groupby(all_told, lambda one: one.row.paper)]
    names = {paper: f"{paper.lower()}.html" for paper, _ in papers}
    pages = {"index.html": _index_page(all_told, names)}
    for paper, rows in papers:
        tell(paper)
        body = _nav(names, paper) + "".join(map(_section, rows))
        pages[names[paper]] = _page(
            f"{paper}: {TITLE}", paper_title(paper), body, rows, inside=False
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_bytes(folder / SCRIPT, PLOTLY.read_bytes())
        for name, text in pages.items():
            write_text(folder / name, text)
    except OSError as error:
        raise _refused(folder, error) from None
    return [folder / name for name in pages]


def write_file(file: Path, all_told: Sequence[Told]) -> None:
    """All in one file.

    Raises:
        SkipscopeError: It cannot be written.
    """
    try:
        write_text(file, file_html(all_told))
    except OSError as error:
        raise _refused(file, error) from None


def file_html(all_told: Sequence[Told]) -> str:
    """The text of the one file."""
    body = _overview(all_told, {}) + "".join(
        f"<h2>{escape(paper_title(paper))}</h2>"
        + "".join(_section(one, heading="h3") for one in rows)
        for paper, rows in groupby(all_told, lambda one: one.row.paper)
    )
    return _page(TITLE, LEAD, body, all_told, inside=True)


def _refused(path: Path, error: OSError) -> SkipscopeError:
    return SkipscopeError(f"{str(path)!r} cannot be written: {error.strerror or error}.")


def drawn(row: Figure, measurement: Measurement, style: Style) -> go.Figure | None:
    """The figure of a measurement, with room for its legend; None where there is none."""
    if row.draw is None:
        return None
    made = row.draw(row, measurement, style)
    made.update_layout(modebar={"bgcolor": "rgba(0,0,0,0)"})
    return room_for_legend(made, WIDTHS[style.narrow])


# ---------------------------------------------------------------------------------------- parts


def _index_page(all_told: Sequence[Told], names: dict[str, str]) -> str:
    return _page(TITLE, LEAD, _nav(names, "") + _overview(all_told, names), (), inside=False)


def _nav(names: dict[str, str], here: str) -> str:
    links = [
        f'<a href="{file}">{escape(paper)}</a>' if paper != here else f"<b>{escape(paper)}</b>"
        for paper, file in names.items()
    ]
    start = '<a href="index.html">All figures</a>' if here else "<b>All figures</b>"
    return f'<nav aria-label="Papers">{start}{"".join(links)}</nav>'


def _overview(all_told: Sequence[Told], names: dict[str, str]) -> str:
    """One line a figure: where to find it, its mark, and what may be said."""
    rows = []
    for one in all_told:
        row = one.row
        place = f"{names.get(row.paper, '')}#{row.key}"
        rows.append(
            f'<tr><td><a href="{place}">{escape(row.paper)} {escape(row.item)}</a></td>'
            f"<td>{escape(row.title)}</td><td>{mark_html(one)}</td>"
            f"<td>{escape(typeset(one.said))}</td></tr>"
        )
    return (
        f'<section class="rp"><p>{escape(counts(all_told))}.</p>'
        '<div class="rp-wide" tabindex="0" role="region" aria-label="All figures"><table>'
        '<thead><tr><th scope="col">figure</th><th scope="col">title</th><th scope="col">mark</th>'
        f'<th scope="col">what our measurement says</th></tr></thead><tbody>{"".join(rows)}</tbody>'
        "</table></div></section>"
    )


def _section(one: Told, heading: str = "h2") -> str:
    parts = []
    for place, ours in enumerate(one.ours):
        name = f"{one.row.key}-{place}"
        figure = (
            f'<figure aria-label="{escape(one.row.title)}. {escape(ours.verdict.says)}">'
            f'<div data-figure="{name}" style="height:320px"></div></figure>'
            if one.row.draw is not None
            else ""
        )
        parts.append(f'<div class="rp-ours">{ours_html(one.row, ours)}{figure}</div>')
    return f'<section class="rp">{words_html(one, heading=heading)}{"".join(parts)}</section>'


def _data(one: Told) -> str:
    """The figures of a row as inert JSON, for each theme and width."""
    found = []
    for place, ours in enumerate(one.ours):
        if one.row.draw is None:
            continue
        variants = {}
        for theme in THEMES:
            for narrow in (False, True):
                style = Style(theme=theme, narrow=narrow, alone=True)
                made = drawn(one.row, ours.measurement, style)
                assert made is not None
                variants[f"{theme}{'_narrow' if narrow else ''}"] = json.loads(
                    str(made.to_json()), parse_float=_short
                )
        text = json.dumps(variants, separators=(",", ":")).replace("<", "\\u003c")
        found.append(
            f'<script type="application/json" id="data-{one.row.key}-{place}">{text}</script>'
        )
    return "".join(found)


def _short(text: str) -> float:
    return float(f"{float(text):.{DIGITS}g}")


def _page(title: str, lead: str, body: str, rows: Sequence[Told], *, inside: bool) -> str:
    """A whole page.

    Args:
        inside: Plotly's script is in it; else it lies beside it.
    """
    script = (ASSETS / "gallery.js").read_text("utf-8")
    library = ""
    if inside:
        library = f"<script>{PLOTLY.read_text('utf-8')}</script>"
    elif rows:
        library = f'<script src="{SCRIPT}"></script>'
    sheet = "".join((ASSETS / name).read_text("utf-8") for name in ("gallery.css", "words.css"))
    policy = _POLICY.format(script="" if inside else "'self'").replace("  ", " ")
    data = "".join(map(_data, rows))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{escape(title)}</title><link rel="icon" href="data:,">'
        f"<style>{sheet}</style></head><body><main><header><h1>{escape(title)}</h1>"
        f"<p>{escape(lead)}</p></header>{body}</main>{data}{library}"
        f"{f'<script>{script}</script>' if rows else ''}</body></html>\n"
    )


def is_file(target: Path) -> bool:
    """Whether ``--html`` means one file, not a folder."""
    return bool(re.fullmatch(r"\.html?", target.suffix, re.IGNORECASE)) and not target.is_dir()


__all__ = ["HOLDS", "MARKS", "drawn", "file_html", "is_file", "write_file", "write_folder"]
