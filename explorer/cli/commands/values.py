"""What an option's value may be; each says what it wants instead."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from explorer.errors import SkipscopeError
from explorer.system.bounded import local_path, small_text

T = TypeVar("T")


def one_of(*allowed: str) -> Callable[[str], str]:
    """One of these words; a hyphen may stand for an underscore."""

    def check(value: str) -> str:
        if value.replace("-", "_") in allowed:
            return value.replace("-", "_")
        ways = ", ".join(allowed[:-1])
        raise argparse.ArgumentTypeError(f"choose {ways} or {allowed[-1]}, not {value!r}")

    return check


def path(value: str) -> Path:
    """A file or folder, there or not yet; ``~`` in full."""
    try:
        return local_path(value)
    except SkipscopeError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


_HOST = re.compile(r"\*|(\*\.)?[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?(:[0-9]{1,5})?")


def host(value: str) -> str:
    """A name by which a server is opened; ``*.`` before it for all beneath, ``*`` for any."""
    if _HOST.fullmatch(value):
        return value.lower()
    raise argparse.ArgumentTypeError(
        f"give a name as it stands in the address, such as lab.example.org or "
        f"lab.example.org:8443, not {value!r}"
    )


def whole(value: str) -> int:
    if value.isascii() and value.isdigit() and 0 < int(value[:12]) < 2**31:
        return int(value)
    raise argparse.ArgumentTypeError(f"give a whole number of at least 1, not {value!r}")


def share(value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if 0 <= number < 1:
        return number
    raise argparse.ArgumentTypeError(f"give a share from 0 to less than 1, not {value!r}")


def steps(value: str) -> tuple[int, ...]:
    parts = value.split(",")
    if all(part.isascii() and part.isdigit() and len(part) <= 9 for part in parts):
        return tuple(map(int, parts))
    raise argparse.ArgumentTypeError(f"give whole numbers with commas between, not {value!r}")


def seed_value(value: str) -> int:
    if value.isascii() and value.isdigit() and len(value) <= 10 and int(value) < 2**31:
        return int(value)
    raise argparse.ArgumentTypeError(f"give a whole number from 0 to 2147483647, not {value!r}")


def port(value: str) -> int:
    if value.isascii() and value.isdigit() and len(value) <= 5 and 1 <= int(value) <= 65_535:
        return int(value)
    raise argparse.ArgumentTypeError(f"give a port from 1 to 65535, not {value!r}")


def wholes(value: str) -> tuple[int, ...]:
    return tuple(whole(part.strip()) for part in value.split(","))


def number(value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if math.isfinite(number) and number > 0:
        return number
    raise argparse.ArgumentTypeError(f"give a number above 0, not {value!r}")


def whole_within(least: float | None, most: float | None) -> Callable[[str], int]:
    """A whole number in a range, ends included; None leaves an end open."""
    low = 0 if least is None else int(least)
    high = 2**31 - 1 if most is None else int(most)

    def check(value: str) -> int:
        if value.isascii() and value.isdigit() and len(value) <= 10 and low <= int(value) <= high:
            return int(value)
        allowed = f"from {low} to {high}" if most is not None else f"of at least {low}"
        raise argparse.ArgumentTypeError(f"give a whole number {allowed}, not {value!r}")

    return check


def number_within(
    least: float | None, most: float | None, above: float | None = None
) -> Callable[[str], float]:
    """A number in a range; ``above`` is an end that is left out."""

    def check(value: str) -> float:
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        low = (least is None or number >= least) and (above is None or number > above)
        if math.isfinite(number) and low and (most is None or number <= most):
            return number
        words = [
            f"above {above:.10g}" if above is not None else "",
            f"from {least:.10g}" if least is not None else "",
            f"to {most:.10g}" if most is not None else "",
        ]
        allowed = " ".join(word for word in words if word)
        raise argparse.ArgumentTypeError(
            f"give a number{f' {allowed}' if allowed else ''}, not {value!r}"
        )

    return check


def several(one: Callable[[str], T]) -> Callable[[str], tuple[T, ...]]:
    """Some of what ``one`` reads, separated by commas."""

    def check(value: str) -> tuple[T, ...]:
        return tuple(one(part.strip()) for part in value.split(","))

    return check


def words(value: str) -> tuple[str, ...]:
    """Words with commas between, or the lines of a text file of that name."""
    file = path(value)
    try:
        text = small_text(file) if file.is_file() else value.replace(",", "\n")
    except (OSError, UnicodeDecodeError):
        raise argparse.ArgumentTypeError(f"{file} cannot be read as text") from None
    found = tuple(line.strip() for line in text.splitlines() if line.strip())
    if not found:
        raise argparse.ArgumentTypeError("give at least one name")
    return found


def some_of(*allowed: str) -> Callable[[str], tuple[str, ...]]:
    """Some of these words, separated by commas."""
    return several(one_of(*allowed))
