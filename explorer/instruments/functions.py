"""Every instrument as a Python function, made from its declaration when it is first used.

Their types and documentation stand in ``functions.pyi``.
"""

from __future__ import annotations

from typing import Any

from explorer.instruments import function_aliases, instruments
from explorer.instruments.doors.python import function


def __getattr__(name: str) -> Any:
    found = function_aliases().get(name, name)
    if found not in instruments():
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return function(found)


def __dir__() -> list[str]:
    return sorted([*instruments(), *function_aliases()])
