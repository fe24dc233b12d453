"""Where an instrument's answer goes: the terminal, JSON, a table, a page or a picture."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from explorer.cli import text
from explorer.errors import SkipscopeError

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go


class Result(Protocol):
    """What every instrument returns."""

    def to_json(self) -> dict[str, Any]: ...

    def to_frame(self) -> pd.DataFrame: ...


def add_outputs(parser: argparse._ActionsContainer) -> None:
    """``--json``, ``--csv``, ``--html FILE`` and ``--png FILE``; without them, a text table."""
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--json", action="store_true", help="one JSON document on stdout")
    how.add_argument("--csv", action="store_true", help="the table as CSV on stdout")
    how.add_argument(
        "--html",
        type=Path,
        metavar="FILE",
        help="the interactive figure as one page that opens offline",
    )
    how.add_argument(
        "--png", type=Path, metavar="FILE", help="the figure as a picture (needs kaleido)"
    )


def deliver(
    args: argparse.Namespace,
    result: Result,
    figure: Callable[[], go.Figure],
    *,
    title: str,
    also: dict[str, Any] | None = None,
) -> bool:
    """Writes the answer where the command line says; False where it is to be a text table.

    Args:
        figure: Made only where a figure is asked for.
        title: Of the page and the picture: the net, the data, n.
        also: Further values of the JSON document.

    Raises:
        SkipscopeError: One sentence: the file cannot be written, or what draws pictures is missing.
    """
    if args.json:
        text.write_json({**result.to_json(), **(also or {})})
    elif args.csv:
        text.write(result.to_frame().to_csv(index=False).rstrip("\n"))
    elif args.html is not None:
        _write_figure(args.html, _titled(figure(), title), picture=False)
    elif args.png is not None:
        _write_figure(args.png, _titled(figure(), title), picture=True)
    else:
        return False
    return True


def _titled(figure: go.Figure, title: str) -> go.Figure:
    return figure.update_layout(title={"text": title, "font": {"size": 16}}, margin={"t": 64})


def _write_figure(path: Path, figure: go.Figure, *, picture: bool) -> None:
    try:
        if picture:
            height = max(600, int(figure.layout.height or 0) + 40)
            figure.write_image(path, format="png", width=1000, height=height, scale=2)
        else:
            figure.write_html(path, include_plotlyjs=True)
    except OSError as error:
        raise SkipscopeError(
            f"{str(path)!r} cannot be written: {error.strerror or error}."
        ) from None
    except (ValueError, RuntimeError) as error:  # kaleido is missing, or its browser
        raise SkipscopeError(
            "Pictures are drawn by kaleido with a Chrome or Chromium: pip install "
            f"'skipscope[png]', or take --html. ({str(error).strip().splitlines()[0]})"
        ) from None
    text.note(f"Wrote {path}.")
