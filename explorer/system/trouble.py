"""What nobody foresaw, in one sentence: memory that is not there, a disk that refuses, a fault."""

from __future__ import annotations

import re

from explorer.errors import SkipscopeError

_ASKED = re.compile(r"tried to allocate ([\d.]+) ?([KMGT]iB|bytes)", re.IGNORECASE)
_SIGNS = ("out of memory", "can't allocate memory", "cannot allocate memory", "not enough memory")


def in_a_sentence(error: BaseException, report: str) -> tuple[str, bool]:
    """What a person is told of any exception, and whether it is a fault of the program.

    The stack of a fault belongs in a log; whoever asks writes it there.

    Args:
        report: Where the stack can be read, in words: ``worker.log, in Skipscope's folder``.
    """
    if isinstance(error, SkipscopeError):
        return str(error), False
    memory = out_of_memory(error)
    if memory is not None:
        return (
            f"The device ran out of memory ({memory}): take fewer lanes, a smaller batch, or "
            "smaller nets.",
            False,
        )
    if isinstance(error, OSError) and error.filename:
        return (
            f"{error.filename} could not be read or written ({error.strerror}): check the disk's "
            "space and permissions, then try again.",
            False,
        )
    kind, first = type(error).__name__, (str(error).splitlines() or [""])[0][:200].rstrip(".")
    what = f"{kind}: {first}" if first else kind
    return f"This stopped with an unexpected error ({what}); the whole report is in {report}.", True


def out_of_memory(error: BaseException) -> str | None:
    """``3.2 GiB more were asked for``, where that is what happened; None for another error."""
    text = str(error)
    # torch has a class of its own on GPUs alone; its allocator on CPUs raises RuntimeError.
    if (
        not isinstance(error, MemoryError)
        and type(error).__name__ != "OutOfMemoryError"
        and not any(sign in text.lower() for sign in _SIGNS)
    ):
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
