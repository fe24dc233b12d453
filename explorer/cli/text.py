"""What the command line writes: aligned tables and JSON on stdout, progress on stderr."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from explorer.writing.text_tables import bar as bar
from explorer.writing.text_tables import log_marks as log_marks
from explorer.writing.text_tables import scientific as scientific
from explorer.writing.text_tables import table as table


def norms(result: Any, *, step: bool = False) -> str:
    """``, batch norm by …``, to end a line of conditions; empty of a net without batch norm.

    Args:
        step: Whether the result is of a training step.
    """
    from explorer.results import statistics_said

    said = statistics_said(result.statistics, getattr(result, "n_images", None), step=step)
    return f", {said}" if said else ""


def count(value: int) -> str:
    """``853,018``."""
    return f"{value:,}"


def percent(share: float) -> str:
    """``98.6 %``."""
    return f"{100 * share:.1f} %"


def duration(seconds: float) -> str:
    """``45 s``, ``3 min 20 s``, ``17 min``, ``2 h 5 min``."""
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    if seconds < 600:
        return f"{round(seconds) // 60} min {round(seconds) % 60} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def write(text: str) -> None:
    """A line on stdout."""
    sys.stdout.write(text + "\n")


def note(text: str) -> None:
    """A line on stderr."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def write_json(value: Any) -> None:
    """One JSON document on stdout; what is not a finite number becomes null."""
    write(json.dumps(_finite(value), indent=1, ensure_ascii=False, allow_nan=False))


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


class Bar(Protocol):
    """What a command tells while it works."""

    def __call__(self, share: float, text: str = "") -> None: ...


@contextmanager
def progress(title: str, *, remaining: bool = True) -> Iterator[Bar]:
    """A progress bar on stderr, on a terminal only; it takes the share done, in [0, 1].

    Args:
        remaining: The bar says how long it will take; False where the text does.
    """
    from tqdm import tqdm

    left = "<{remaining}" if remaining else ""
    form = "{desc} {bar} {percentage:3.0f} % {elapsed}" + left + "{postfix}"
    with tqdm(total=1.0, desc=title, disable=None, leave=False, bar_format=form) as shown:

        def tell(share: float, text: str = "") -> None:
            if text:
                shown.set_postfix_str(text, refresh=False)
            shown.update(max(0.0, share - shown.n))

        yield tell
