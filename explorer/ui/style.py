"""The page's style sheet, with the lanes' colours of the palette in the present theme."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import streamlit as st

from explorer.charts.palette import LANE_STYLES, Theme, muted

ASSETS = Path(__file__).parent / "assets"


def theme() -> Theme:
    """The theme that the visitor sees."""
    return "dark" if st.context.theme.type == "dark" else "light"


@cache
def _sheet(name: Theme) -> str:
    dark = name == "dark"
    lanes = "".join(f"--sk-lane-{i}:{style.colour(name)};" for i, style in enumerate(LANE_STYLES))
    card, on_primary = ("#1a2029", "#12161c") if dark else ("#ffffff", "#ffffff")
    root = f":root{{{lanes}--sk-mute:{muted(name)};--sk-card:{card};--sk-on-primary:{on_primary};}}"
    return f"<style>{root}\n{(ASSETS / 'page.css').read_text()}</style>"


def apply_style() -> None:
    """Write the style sheet into the page."""
    st.html(_sheet(theme()))
