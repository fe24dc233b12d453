"""What an option's value may be; each says what it wants instead."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable
from pathlib import Path

from explorer.bounded import local_path
from explorer.errors import SkipscopeError


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


def from_zero(value: str) -> int:
    if value.isascii() and value.isdigit() and len(value) <= 9:
        return int(value)
    raise argparse.ArgumentTypeError(f"give a whole number from 0, not {value!r}")


def wholes(value: str) -> tuple[int, ...]:
    return tuple(whole(part.strip()) for part in value.split(","))


def gate_values(value: str) -> tuple[float | str, ...]:
    """Numbers from 0 to 1, or ``mean``, separated by commas."""
    values: list[float | str] = []
    for part in (part.strip() for part in value.split(",")):
        try:
            number = float(part)
        except ValueError:
            number = math.nan
        if part != "mean" and not 0 <= number <= 1:
            raise argparse.ArgumentTypeError(
                f"give values from 0 to 1 or mean, such as 0,1,mean, not {part!r}"
            )
        values.append("mean" if part == "mean" else number)
    return tuple(values)


def numbers(value: str) -> tuple[float, ...]:
    """Numbers from 0, separated by commas."""
    numbers = []
    for part in value.split(","):
        try:
            number = float(part)
        except ValueError:
            number = math.nan
        if not (math.isfinite(number) and number >= 0):
            raise argparse.ArgumentTypeError(f"give numbers from 0, not {part.strip()!r}")
        numbers.append(number)
    return tuple(numbers)


def number(value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if math.isfinite(number) and number > 0:
        return number
    raise argparse.ArgumentTypeError(f"give a number above 0, not {value!r}")


def any_number(value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if math.isfinite(number):
        return number
    raise argparse.ArgumentTypeError(f"give a number, not {value!r}")
