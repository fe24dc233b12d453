"""Names that people gave, for Plotly, which takes a little HTML in every text for markup."""

from __future__ import annotations

from html import escape


def as_text(name: str) -> str:
    """The name as it is written: no links, no styles, no line breaks of its own."""
    return escape(name, quote=False)
