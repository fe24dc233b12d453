"""``skipscope claims``: the sentences that pages say, their sources, and whether they hold."""

from __future__ import annotations

import argparse
import textwrap

from explorer.claims import Claim, claim, claims
from explorer.cli import text
from explorer.errors import SkipscopeError

WIDTH = 96


class ClaimsError(SkipscopeError):
    """Some claims do not hold; the sentence says which."""


def run_claims(args: argparse.Namespace) -> None:
    """List the table, or rows of it, and measure them again where ``--check`` says so.

    Raises:
        SpecError: There is no such row.
        ClaimsError: Some row does not hold.
    """
    rows = [claim(key) for key in dict.fromkeys(args.keys)] or list(claims().values())
    told = []
    failed = []
    for row in rows:
        measured: list[float] | None = None
        holds: bool | None = None
        if args.check and not row.quotes:
            from explorer.claims.check import check  # the only way from here to torch

            verdict = check(row)
            measured, holds = list(verdict.measured), verdict.holds
            if not holds:
                failed.append(row.key)
        told.append({**_facts(row), "measured": measured, "holds": holds})
        if not args.json:
            text.write(_lines(row, measured, holds))
    if args.json:
        text.write_json(told)
    if failed:
        raise ClaimsError(
            f"{len(failed)} of {sum(not row.quotes for row in rows)} measured claims do not hold: "
            f"{', '.join(failed)}."
        )


def _facts(row: Claim) -> dict[str, object]:
    return {
        "key": row.key,
        "says": row.says,
        "source": row.source,
        "bears": row.bears,
        "given": dict(row.given),
        "expected": None if row.holds is None else list(row.holds),
        "unit": row.unit,
        "conditions": row.conditions,
    }


def _lines(row: Claim, measured: list[float] | None, holds: bool | None) -> str:
    lines = [row.key, *textwrap.wrap(row.says, WIDTH, initial_indent="  ", subsequent_indent="  ")]
    lines.append(f"  source: {row.source}" + (f" ({row.conditions})" if row.conditions else ""))
    if row.holds is not None:
        low, high = row.holds
        bounds = f"{low:g}" if low == high else f"{low:g} to {high:g}"
        lines.append(f"  expected: {bounds} {row.unit}".rstrip() + f", by {row.bears}")
    if measured is not None:
        numbers = ", ".join(f"{value:.4g}" for value in measured) or "nothing"
        lines.append(f"  measured: {numbers}: {'holds' if holds else 'DOES NOT HOLD'}")
    return "\n".join(lines) + "\n"
