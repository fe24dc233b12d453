"""Loss surfaces measured so far, as files in Skipscope's folder.

So every worker goes on from what another one has measured, and a restart loses nothing.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from pathlib import Path

from explorer.errors import NotApplicableError
from explorer.files import write_text
from explorer.home import default_home
from explorer.results import LossSurface
from explorer.versions import versions

KEPT = 64  # files; the longest unused go


def kept_surface(asked: tuple[object, ...]) -> LossSurface | None:
    """What was measured of this question; None where nothing was, or it cannot be read.

    Args:
        asked: Everything that the points depend on.
    """
    path = _path(asked)
    try:
        surface = LossSurface.from_json(json.loads(path.read_text("utf-8")))
        path.touch()
    except (OSError, ValueError, NotApplicableError):
        return None
    return surface


def keep_surface(asked: tuple[object, ...], surface: LossSurface) -> None:
    """Writes it down unless more points are known; where the disk refuses, nothing is kept."""
    before = kept_surface(asked)
    if before is not None and before.done.sum() > surface.done.sum():
        return  # a coarser one is part of it, or soon measured
    path = _path(asked)
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps(surface.to_json()))
        files = sorted(path.parent.glob("*.json"), key=lambda file: -file.stat().st_mtime_ns)
        for old in files[KEPT:]:
            old.unlink(missing_ok=True)


def _path(asked: tuple[object, ...]) -> Path:
    text = repr((asked, sorted(versions().items())))
    name = hashlib.blake2b(text.encode(), digest_size=10).hexdigest()
    return default_home() / "surfaces" / f"{name}.json"
