"""Skipscope's folder: runs, uploads, downloads and logs lie there."""

from __future__ import annotations

import os
from pathlib import Path

from explorer.errors import RunError
from explorer.system.bounded import local_path


def default_home() -> Path:
    """The folder of ``SKIPSCOPE_HOME``, or ``~/.skipscope``.

    Raises:
        RunError: That variable holds no path.
    """
    return local_path(os.environ.get("SKIPSCOPE_HOME") or Path.home() / ".skipscope", RunError)
