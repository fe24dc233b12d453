"""Where downloads, decoded images and images that people bring lie. No torch."""

from __future__ import annotations

from pathlib import Path

from explorer.system.home import default_home


def data_home() -> Path:
    """``$SKIPSCOPE_HOME/data``, or ~/.skipscope/data."""
    return default_home() / "data"
