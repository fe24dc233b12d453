"""What this process holds of the machine's memory, and how it gives back what it does not use."""

from __future__ import annotations

import ctypes
import gc
import sys
from functools import cache
from typing import Any


def resident() -> int | None:
    """Bytes of this process that lie in memory now; None where the system does not tell."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            pages = int(file.read().split()[1])
    except (OSError, ValueError, IndexError):
        return None
    import resource

    return pages * resource.getpagesize()


def give_back() -> None:
    """Frees what nothing refers to, and returns freed memory to the system.

    glibc keeps what is freed between pieces that are in use: after a hundred measurements of nets
    of different sizes that is most of a worker.
    """
    gc.collect()
    trim = _trim()
    if trim is not None:
        trim(0)


@cache
def _trim() -> Any:
    """glibc's ``malloc_trim``; None on other systems."""
    if not sys.platform.startswith("linux"):
        return None
    return getattr(ctypes.CDLL(None), "malloc_trim", None)
