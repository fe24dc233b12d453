"""The page's style sheet, with the lanes' colours of the palette in the present theme."""

from __future__ import annotations

import hashlib
import tomllib
from functools import cache
from pathlib import Path

import streamlit as st

from explorer.drawing.palette import LANE_STYLES, Theme, ink, line, muted

ASSETS = Path(__file__).parents[1] / "assets"
_CONFIG = Path(__file__).parents[3] / ".streamlit" / "config.toml"


@cache
def asset_version(name: str) -> str:
    """Changes with the file, so that a browser never runs an old one."""
    return hashlib.sha256((ASSETS / name).read_bytes()).hexdigest()[:12]


def theme() -> Theme:
    """The theme that the visitor sees."""
    return "dark" if st.context.theme.type == "dark" else "light"


def page_colours(name: Theme) -> str:
    """The page's own CSS variables in a theme."""
    dark = name == "dark"
    lanes = "".join(f"--sk-lane-{i}:{style.colour(name)};" for i, style in enumerate(LANE_STYLES))
    card, on_primary = ("#1a2029", "#12161c") if dark else ("#ffffff", "#ffffff")
    return (
        f"{lanes}--sk-mute:{muted(name)};--sk-line:{line(name)};--sk-ink:{ink(name)};"
        f"--sk-card:{card};--sk-on-primary:{on_primary};"
    )


@cache
def streamlit_colours(name: Theme) -> str:
    """Streamlit's variables as they will be in a theme of ``.streamlit/config.toml``."""
    colours = tomllib.loads(_CONFIG.read_text("utf-8"))["theme"][name]
    return (
        f"--st-background-color:{colours['backgroundColor']};"
        f"--st-secondary-background-color:{colours['secondaryBackgroundColor']};"
        f"--st-primary-color:{colours['primaryColor']};"
    )


@cache
def _sheet(name: Theme) -> str:
    return (
        f"<style>:root{{{page_colours(name)}}}\n{(ASSETS / 'page.css').read_text('utf-8')}</style>"
    )


# The browser changes its theme without asking the server, which draws colours too.
_WATCH = """
const PATIENCE_MS = 5000;
export default function ({ parentElement, data, setTriggerValue }) {
  let told = -PATIENCE_MS;
  const timer = setInterval(() => {
    const own = getComputedStyle(parentElement).getPropertyValue("--st-background-color");
    const hex = /^#([0-9a-f]{6})/i.exec(own.trim());
    if (!hex) return;
    const bright = hex[1].match(/../g).reduce((sum, part) => sum + parseInt(part, 16), 0) > 382;
    if (bright === (data === "light") || performance.now() - told < PATIENCE_MS) return;
    told = performance.now();
    setTriggerValue("theme", bright ? "light" : "dark");
  }, 300);
  return () => clearInterval(timer);
}
"""


def apply_style() -> None:
    """Write the style sheet into the page, and again whenever the visitor changes the theme."""
    drawn = theme()
    st.html(_sheet(drawn))
    watch = st.components.v2.component("skipscope_theme", js=_WATCH, isolate_styles=False)
    watch(key="theme-watch", data=drawn, on_theme_change=lambda: None)


def wordmark(name: Theme | None = None) -> str:
    """The program's name beside a block and its shortcut, as an SVG in a theme's colours."""
    name = name or theme()
    accent = LANE_STYLES[1].colour(name)
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 150 28" width="150" height="28">'
        f'<g fill="none" stroke="{accent}" stroke-width="2">'
        '<rect x="8" y="12" width="12" height="10" rx="2"/><path d="M1 17h7M20 17h7"/>'
        '<path d="M3 17C4 2 24 2 25 17"/></g>'
        f'<text x="36" y="21" font-family="Source Sans Pro, system-ui, sans-serif" '
        f'font-size="19" font-weight="700" fill="{ink(name)}">Skipscope</text></svg>'
    )
