"""``skipscope report``: what trainings were and did, as one HTML file, a table or JSON."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from explorer.cli import text
from explorer.cli.folder import is_folder, read_folder
from explorer.errors import RunError, SkipscopeError
from explorer.system.bounded import local_path
from explorer.system.files import write_text

if TYPE_CHECKING:
    from explorer.report.material import Recorded


def run_report(args: argparse.Namespace) -> None:
    """Write the report of folders of ``skipscope train --out``, and of runs of the app."""
    from explorer.report.material import of_recorded
    from explorer.report.page import report_html
    from explorer.report.tables import csv_text, json_text

    chosen = _chosen(args.trainings)
    lanes = of_recorded(chosen)
    records = {one.training.id: one.records for one, _ in chosen}
    if args.csv:
        _print(csv_text(lanes, records.__getitem__))
    elif args.json:
        _print(json_text(lanes, records.__getitem__))
    else:
        out: Path = args.html or Path(f"{_safe(lanes[0].training.name)}.html")
        if not out.parent.is_dir():
            raise SkipscopeError(
                f"{str(out)!r} cannot be written: there is no folder {out.parent}."
            )
        try:
            write_text(out, report_html(lanes))
        except OSError as error:
            raise SkipscopeError(
                f"{str(out)!r} cannot be written: {error.strerror or error}."
            ) from None
        text.note(f"Wrote {out}: it opens in any browser, without a network.")


def _chosen(names: Sequence[str]) -> list[tuple[Recorded, int]]:
    """Every lane that was named, once; each training is read once."""
    from explorer.report.material import folder_recorded, stored_recorded
    from explorer.runs.stored_reader import stored_run

    found: dict[str, Recorded] = {}
    lanes: dict[tuple[str, int], tuple[Recorded, int]] = {}
    for name in names:
        run, lane = _run_and_lane(name)
        key = str(local_path(run).resolve()) if is_folder(run) else run
        if key not in found:
            if is_folder(run):
                one = folder_recorded(run, *read_folder(run))
            else:
                _refuse_path(run)
                one = stored_recorded(stored_run(run))
            if one.training.id in {other.training.id for other in found.values()}:
                one = replace(one, training=replace(one.training, id=run))  # folders of one name
            found[key] = one
        one = found[key]
        wanted = range(len(one.training.spec.lanes)) if lane is None else (lane,)
        lanes.update({(key, i): (one, i) for i in wanted})
    return list(lanes.values())


def _run_and_lane(name: str) -> tuple[str, int | None]:
    """``ID.1`` is the second lane of a run; a folder may have a point in its name."""
    run, dot, lane = name.rpartition(".")
    if dot and lane.isdecimal() and not is_folder(name):
        return run, int(lane)
    return name, None


def _refuse_path(name: str) -> None:
    """Says of what looks like a path, or cannot be an id, that it is no folder."""
    if not re.fullmatch(r"[a-z0-9]+", name):
        raise RunError(
            f"There is no folder {name!r}: give one that `skipscope train --out FOLDER` wrote, or "
            "the id of a run, which the Runs page shows."
        )


def _safe(name: str) -> str:
    """A name that a person gave, as the name of a file."""
    return re.sub(r"[^\w .-]+", "-", name).strip(" .-")[:80] or "report"


def _print(pieces: Iterator[str]) -> None:
    text.write("".join(pieces).rstrip("\n"))
