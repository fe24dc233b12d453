"""``skipscope report``: what a training was and did, as one HTML file, a table or JSON."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from explorer.cli import text
from explorer.cli.folder import read_folder
from explorer.errors import SkipscopeError


def run_report(args: argparse.Namespace) -> None:
    """Write the report of a folder of ``skipscope train --out``."""
    from explorer.report.material import of_folder
    from explorer.report.page import report_html
    from explorer.report.tables import csv_text, json_text

    experiment, records = read_folder(args.folder)
    lanes = of_folder(args.folder, experiment, records)
    if args.csv:
        _print(csv_text(lanes, lambda _: records))
    elif args.json:
        _print(json_text(lanes, lambda _: records))
    else:
        out: Path = args.html or Path(f"{lanes[0].training.name}.html")
        if not out.parent.is_dir():
            raise SkipscopeError(
                f"{str(out)!r} cannot be written: there is no folder {out.parent}."
            )
        try:
            out.write_text(report_html(lanes), "utf-8")
        except OSError as error:
            raise SkipscopeError(
                f"{str(out)!r} cannot be written: {error.strerror or error}."
            ) from None
        text.note(f"Wrote {out}: it opens in any browser, without a network.")


def _print(pieces: Iterator[str]) -> None:
    text.write("".join(pieces).rstrip("\n"))
