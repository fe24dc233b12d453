"""The page's style sheet, with the lanes' colours of the palette in the present theme."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import streamlit as st

from explorer.charts.palette import LANE_STYLES, Theme, ink, line, muted

ASSETS = Path(__file__).parent / "assets"


def theme() -> Theme:
    """The theme that the visitor sees."""
    return "dark" if st.context.theme.type == "dark" else "light"


@cache
def _sheet(name: Theme) -> str:
    dark = name == "dark"
    lanes = "".join(f"--sk-lane-{i}:{style.colour(name)};" for i, style in enumerate(LANE_STYLES))
    card, on_primary = ("#1a2029", "#12161c") if dark else ("#ffffff", "#ffffff")
    root = (
        f":root{{{lanes}--sk-mute:{muted(name)};--sk-line:{line(name)};--sk-ink:{ink(name)};"
        f"--sk-card:{card};--sk-on-primary:{on_primary};}}"
    )
    return f"<style>{root}\n{(ASSETS / 'page.css').read_text()}</style>"


def apply_style() -> None:
    """Write the style sheet into the page."""
    st.html(_sheet(theme()))


def wordmark() -> str:
    """The program's name beside a block and its shortcut, as an SVG in the theme's colours."""
    accent = LANE_STYLES[1].colour(theme())
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 150 28" width="150" height="28">'
        f'<g fill="none" stroke="{accent}" stroke-width="2">'
        '<rect x="8" y="12" width="12" height="10" rx="2"/><path d="M1 17h7M20 17h7"/>'
        '<path d="M3 17C4 2 24 2 25 17"/></g>'
        f'<text x="36" y="21" font-family="Source Sans Pro, system-ui, sans-serif" '
        f'font-size="19" font-weight="700" fill="{ink(theme())}">Skipscope</text></svg>'
    )
