"""Versions of what a result depends on. No torch: versions are read from the installation."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version


def versions() -> dict[str, str]:
    """Of python, torch and this program; ``unknown`` where one is not installed as a package."""
    found = {"python": platform.python_version()}
    for name in ("torch", "skipscope"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "unknown"
    return found
