"""``skipscope reproduce``: the papers' numbers beside ours, measured again, and as static pages."""

from __future__ import annotations

import argparse
import textwrap
from functools import partial
from typing import Any

from explorer.cli import text
from explorer.errors import SkipscopeError
from explorer.reproduce import chosen
from explorer.reproduce.contract import HOLDS, MARKS, Figure
from explorer.reproduce.words import Told, conditions, counts, told

WIDTH = 96


def run_reproduce(args: argparse.Namespace) -> None:
    """Say what is known of figures; measure them again; write the gallery.

    Raises:
        SkipscopeError: One sentence: there is no such figure, it has nothing to measure, a kept
            file is damaged, or something cannot be written.
    """
    rows = chosen(args.figures)
    if args.measure:
        _measure(rows, args.seeds, named=bool(args.figures))
    elif args.seeds is not None:
        raise SkipscopeError("--seeds says how often to train, so it stands with --measure.")
    known = [told(row) for row in rows]
    if args.html is not None:
        _write(args, known)
    elif args.json:
        text.write_json([_facts(one) for one in known])
    elif args.figures:
        for one in known:
            text.write(_lines(one))
    else:
        _overview(known)
    damaged = [one.problem for one in known if one.problem]
    if damaged:
        raise SkipscopeError(" ".join(damaged))


def _measure(rows: list[Figure], seeds: int | None, *, named: bool) -> None:
    import torch

    from explorer.reproduce.kept import keep  # what follows loads torch
    from explorer.reproduce.measures.measure import can_measure, measure

    torch.set_num_threads(1)
    owners = {row.kept_in or row.key: row for row in rows if can_measure(row)}
    if named and len(owners) == 0:
        measure(rows[0])  # says why there is nothing to measure
    for key in owners:
        row = chosen([key])[0]
        with text.progress(key) as bar:
            found = measure(row, partial(_shown, bar), seeds)
        text.note(f"Wrote {keep(found)} ({text.duration(found.seconds)}).")


def _shown(bar: text.Bar, share: float, said: str) -> None:
    bar(share, said)


def _write(args: argparse.Namespace, known: list[Told]) -> None:
    from explorer.reproduce import gallery  # loads plotly

    if gallery.is_file(args.html):
        if not args.html.parent.is_dir():
            raise SkipscopeError(
                f"{str(args.html)!r} cannot be written: there is no folder {args.html.parent}."
            )
        gallery.write_file(args.html, known)
        text.note(f"Wrote {args.html}.")
        return
    if args.html.exists() and not args.html.is_dir():
        raise SkipscopeError(
            f"{str(args.html)!r} is a file: give a folder, or a file whose name ends in .html."
        )
    pages = gallery.write_folder(args.html, known, lambda paper: None)
    text.note(f"Wrote {len(pages)} pages; open {pages[0]}.")


def _facts(one: Told) -> dict[str, Any]:
    row = one.row
    return {
        "figure": row.key,
        "paper": row.paper,
        "item": row.item,
        "title": row.title,
        "mark": one.mark,
        "why_not": one.reason if one.mark == "not attempted" else None,
        "numbers": {
            name: {"value": number.value, "words": str(number), "source": number.source}
            for name, number in row.numbers.items()
        },
        "paper_lines": [vars(line) for line in one.lines],
        "ours": [
            {
                "holds": ours.verdict.holds,
                "says": ours.verdict.says,
                "sure": ours.verdict.sure,
                "smaller": list(ours.differs),
                "lines": [vars(line) for line in ours.lines],
                "data": ours.measurement.data,
                "images": ours.measurement.images,
                "hardware": ours.measurement.hardware,
                "versions": ours.measurement.versions,
                "created": ours.measurement.created,
                "command": ours.measurement.command,
                "cards": list(ours.measurement.cards),
            }
            for ours in one.ours
        ],
    }


def _overview(known: list[Told]) -> None:
    rows = [
        [
            one.row.key,
            f"{one.row.paper} {one.row.item}",
            MARKS[one.mark],
            HOLDS[one.verdict.holds] if one.verdict else "–",
        ]
        for one in known
    ]
    text.write(text.table(["figure", "paper", "mark", "its claim"], rows, "llll"))
    text.write(f"\n{counts(known)}. `skipscope reproduce FIGURE` says more of one.")


def _lines(one: Told) -> str:
    row = one.row
    verdict = f"; {HOLDS[one.verdict.holds]}" if one.verdict else ""
    lines = [f"{row.key}: {row.paper} {row.item}, {row.title}", f"  {MARKS[one.mark]}{verdict}"]
    lines += _wrapped(row.shows)
    if row.caution:
        lines += _wrapped(row.caution)
    if one.mark == "not attempted":
        lines += _wrapped(one.reason)
        lines += [f"    {line.what}: paper {line.paper}" for line in one.lines]
    for ours in one.ours:
        lines += _wrapped(f"{ours.verdict.says} {ours.verdict.sure}")
        if ours.differs:
            lines += _wrapped(f"Smaller or other: {'; '.join(ours.differs)}.")
        head = ["", "paper", "ours", "others"]
        body = [[line.what, line.paper, line.ours, line.others] for line in ours.lines]
        table = text.table(head, body, "llll")
        lines += ["", textwrap.indent(table.rstrip("\n"), "  "), ""]
        lines += _wrapped(conditions(ours.measurement))
    return "\n".join(lines) + "\n"


def _wrapped(words: str) -> list[str]:
    return textwrap.wrap(words, WIDTH, initial_indent="  ", subsequent_indent="  ")
