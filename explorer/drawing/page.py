"""A figure as one file that opens anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import plotly.graph_objects as go

from explorer.drawing.config import PLOT_CONFIG

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:70rem;margin:1.5rem auto;padding:0 1rem;"
    "background:#fff;color:#1c2430}h1{font-size:1.15rem}"
)


def figure_page(figure: go.Figure, title: str, lines: Sequence[str] = ()) -> str:
    """The figure as one HTML page that needs no network: plotly's script is inside.

    Args:
        lines: Paragraphs above the figure.
    """
    body = figure.to_html(full_html=False, include_plotlyjs=True, config=PLOT_CONFIG)
    words = "".join(f"<p>{escape(line)}</p>" for line in lines)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>"
        f"<body><h1>{escape(title)}</h1>{words}{body}</body></html>\n"
    )
