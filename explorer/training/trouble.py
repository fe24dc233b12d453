"""What the machine refuses, recognised: memory that is not there."""

from __future__ import annotations

import re

_ASKED = re.compile(r"tried to allocate ([\d.]+) ?([KMGT]iB|bytes)", re.IGNORECASE)
_SIGNS = ("out of memory", "can't allocate memory", "not enough memory")


def out_of_memory(error: BaseException) -> str | None:
    """``3.2 GiB more were asked for``, where that is what happened; None for another error."""
    text = str(error)
    if not isinstance(error, MemoryError) and not any(sign in text.lower() for sign in _SIGNS):
        return None
    found = _ASKED.search(text)
    if found is None:
        return "how much more was asked for is not known"
    amount, unit = found.groups()
    return f"{size(int(amount)) if unit == 'bytes' else f'{amount} {unit}'} more were asked for"


def size(n: float) -> str:
    """Bytes in words: ``3.2 GiB``."""
    units = ["bytes", "KiB", "MiB", "GiB", "TiB"]
    while n >= 1024 and len(units) > 1:
        n /= 1024
        units.pop(0)
    return f"{n:.0f} {units[0]}" if units[0] == "bytes" or n >= 100 else f"{n:.3g} {units[0]}"
