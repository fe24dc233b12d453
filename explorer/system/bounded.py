"""What others wrote, read within limits: numbers, JSON, paths and small files. No torch.

A link comes from anywhere and a file from anybody. Whatever the text, a reader here answers at
once, in little memory: with a value, or with one sentence (:class:`SkipscopeError`).
"""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from explorer.errors import SkipscopeError, SpecError

LONGEST = 20_000  # characters of one parameter of a link
DEEPEST = 32  # brackets inside brackets
MOST_DIGITS = 20  # of a whole number: more than any that is counted here has
MOST_INDEX = 10_000_000  # of an image in its set
SMALL_FILE = 8 << 20  # bytes of a spec or a card; the largest that ships has 0.2 million
# One that nobody closed reaches to its end: looked for again from each of its quotes, it would take
# the square of its length.
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"?')


def parameters(query: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """The parameters of an address that can be read, and a sentence for each that is too long."""
    kept = {key: text for key, text in query.items() if len(text) <= LONGEST}
    return kept, [
        f"The link's {key[:40]!r} was left out: it has {len(text):,} characters, and {LONGEST:,} "
        "are read at most."
        for key, text in query.items()
        if key not in kept
    ]


def whole_number(text: str, name: str, least: int, most: int) -> int:
    """A whole number in a range.

    Raises:
        SpecError: Another text, or a number outside; the sentence says the range.
    """
    digits = text.strip()
    try:
        # int() itself refuses 4,300 digits, with an error of its own kind.
        value = int(digits) if len(digits) <= MOST_DIGITS else None
    except ValueError:
        value = None
    if value is not None and least <= value <= most:
        return value
    if value is None and not digits.removeprefix("-").isdecimal():
        raise SpecError(
            f"{name} must be a whole number between {least:,} and {most:,}, not {text[:40]!r}."
        )
    shown = f"{value:,}" if value is not None else f"a number of {len(digits)} digits"
    raise SpecError(f"{name} must lie between {least:,} and {most:,}, not {shown}.")


def plain_json(text: str) -> Any:
    """The value of a JSON text.

    Raises:
        ValueError: No JSON, brackets more than ``DEEPEST`` deep, or a whole number of more than
            ``MOST_DIGITS`` digits.
    """
    depth = deepest = 0
    if text.count("[") + text.count("{") > DEEPEST:
        for sign in _STRING.sub("", text):
            depth += (sign in "[{") - (sign in "]}")
            deepest = max(deepest, depth)
    if deepest > DEEPEST:
        raise ValueError(f"brackets {deepest} deep, and {DEEPEST} are allowed")
    return json.loads(text, parse_int=_short_int)


def stored_json(text: str | bytes) -> Any:
    """The value of a JSON text from a file of ours, however it came to look as it does.

    Raises:
        ValueError: No JSON; also where its brackets are deeper than Python's stack, which would be
            an error of another kind, and so no damage to whoever reads.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("brackets inside brackets without end") from None


def _short_int(digits: str) -> int:
    if len(digits) > MOST_DIGITS:
        raise ValueError(f"a number of {len(digits)} digits, and {MOST_DIGITS} are allowed")
    return int(digits)


def json_or_text(text: str) -> Any:
    """What a ``field=value`` means: JSON where it is some, else the text itself."""
    try:
        return plain_json(text)
    except ValueError:
        return text


def local_path(text: str | Path, kind: type[SkipscopeError] = SkipscopeError) -> Path:
    """A path as a person wrote it, with ``~`` in full; something of that name need not exist.

    Raises:
        SkipscopeError: (of ``kind``) No path: a zero byte, a name that is too long, no such user.
    """
    try:
        path = Path(text).expanduser()
        path.stat()
    except (ValueError, RuntimeError) as error:  # a zero byte; no such user
        reason = str(error)
    except OSError as error:
        if not _impossible(error):
            return path
        reason = error.strerror or "no possible name"
    else:
        return path
    shown = str(text) if len(str(text)) <= 60 else f"{str(text)[:57]}…"
    raise kind(f"{shown!r} cannot be a path here ({reason.rstrip('.')}): check it.")


def _impossible(error: OSError) -> bool:
    """Whether the system refuses the name itself, not what lies there."""
    import errno

    return error.errno in (errno.ENAMETOOLONG, errno.EINVAL, errno.ELOOP, errno.EILSEQ)


def small_text(path: Path, most: int = SMALL_FILE) -> str:
    """The text of a file that a person named.

    Raises:
        OSError: It cannot be read; also where it is no regular file (a pipe may never end), or
            has more than ``most`` bytes.
        UnicodeDecodeError: No UTF-8.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(None, "it is no regular file")
    with path.open("rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise OSError(None, f"it has more than {most >> 20} MB")
    return content.decode("utf-8")
