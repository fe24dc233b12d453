"""Where an instrument's answer goes: the terminal, JSON, a table, a page or a picture."""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Callable
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any, Protocol

from explorer.cli import text
from explorer.cli.commands import values
from explorer.errors import SkipscopeError
from explorer.system.files import whole, write_text

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go


class Result(Protocol):
    """What a command delivers."""

    def to_json(self) -> dict[str, Any]: ...

    def to_frame(self) -> pd.DataFrame: ...


def add_outputs(parser: argparse._ActionsContainer) -> None:
    """``--json``, ``--csv``, ``--html FILE`` and ``--png FILE``; without them, a text table."""
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--json", action="store_true", help="one JSON document on stdout")
    how.add_argument("--csv", action="store_true", help="the table as CSV on stdout")
    how.add_argument(
        "--html",
        type=values.path,
        metavar="FILE",
        help="the interactive figure as one page that opens offline",
    )
    how.add_argument(
        "--png",
        type=values.path,
        metavar="FILE",
        help="the figure as a picture (needs kaleido and Chrome)",
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
        also: Further values of the JSON document, where the result has none of that name.

    Raises:
        SkipscopeError: One sentence: the file cannot be written, or what draws pictures is missing.
    """
    if args.json:
        document = result.to_json()
        text.write_json(
            {**document, **{k: v for k, v in (also or {}).items() if k not in document}}
        )
    elif args.csv:
        text.write(result.to_frame().to_csv(index=False).rstrip("\n"))
    elif args.html is not None:
        from explorer.drawing.page import figure_page  # loads plotly

        made = _roomy(figure())
        _write(args.html, lambda: write_text(args.html, figure_page(made, title)))
    elif args.png is not None:
        made = _roomy(figure())
        _write(args.png, lambda: _draw(args.png, made, title))
    else:
        return False
    return True


def _roomy(figure: go.Figure) -> go.Figure:
    from explorer.drawing.room import room_for_legend

    return room_for_legend(figure, 0.8 * WIDTH)


WIDTH = 1000  # of a picture, in points of two pixels


def _draw(path: Path, figure: go.Figure, title: str) -> None:
    height = max(600, int(figure.layout.height or 0) + 64)
    figure.update_layout(
        title={"text": "<br>".join(wrap(title, 95)), "font": {"size": 16, "color": "#1c2430"}},
        margin={"t": 84},
        paper_bgcolor="#ffffff",  # a picture may be shown on any ground
    )
    with whole(path) as partial:
        figure.write_image(partial, format="png", width=WIDTH, height=height, scale=2)


def _write(path: Path, work: Callable[[], object]) -> None:
    """Do it, and say so.

    Raises:
        SkipscopeError: One sentence: the file cannot be written, or what draws pictures is missing.
    """
    if not path.parent.is_dir():
        raise SkipscopeError(f"{str(path)!r} cannot be written: there is no folder {path.parent}.")
    try:
        work()
    except OSError as error:
        raise SkipscopeError(
            f"{str(path)!r} cannot be written: {error.strerror or error}."
        ) from None
    except (ValueError, RuntimeError, ImportError) as error:  # kaleido is missing, or its browser
        if importlib.util.find_spec("kaleido") is None:
            raise SkipscopeError(
                "Pictures are drawn by kaleido, which is not installed: pip install "
                "'skipscope[png]', or take --html."
            ) from None
        raise SkipscopeError(
            "Pictures are drawn by a Chrome or Chromium, and none could be started: install one, "
            f"name it in the variable BROWSER_PATH, or take --html. ({_reason(error)})"
        ) from None
    text.note(f"Wrote {path}.")


def _reason(error: Exception) -> str:
    """The first line of what went wrong."""
    said = error.args[0] if error.args else error
    return (str(said).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
