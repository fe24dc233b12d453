"""What was measured so far of a question that takes its time, so that the next who asks goes on.

Of instruments whose ``Ask.keeps`` names a folder. Workers keep it in Skipscope's folder, so that
every one goes on from what another has measured, and a restart loses nothing; the shell keeps it in
the file of ``--keep``.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from explorer.errors import NotApplicableError, SkipscopeError
from explorer.instruments import Instrument
from explorer.instruments.contract import Result
from explorer.instruments.doors.calling import Work
from explorer.system.bounded import small_text, stored_json
from explorer.system.files import write_text
from explorer.system.home import default_home
from explorer.system.versions import versions

KEPT = 64  # files of an instrument; the longest unused go
LARGEST = 256 << 20  # bytes of a file of --keep
_WRITTEN_EVERY = 5.0  # seconds, at least, between two writings of what is under way


@contextmanager
def going_on(one: Instrument, question: tuple[object, ...], work: Work) -> Iterator[Work]:
    """The same work, which knows what was measured of this question, and is kept itself.

    Also where it is given up.

    Args:
        question: Everything that the measured values depend on.
    """
    latest: Result | None = None
    written = time.monotonic()

    def tell(part: Result, share: float, text: str) -> None:
        nonlocal latest, written
        latest = part
        if time.monotonic() - written > _WRITTEN_EVERY:
            keep(one, question, part)
            written = time.monotonic()
        work.tell(part, share, text)

    try:
        yield replace(work, on_part=tell, known=kept(one, question))
    finally:
        if latest is not None:
            keep(one, question, latest)


def kept(one: Instrument, question: tuple[object, ...]) -> Result | None:
    """What was measured of this question; None where nothing was, or it cannot be read."""
    path = _path(one, question)
    try:
        result = one.result.from_json(stored_json(path.read_text("utf-8")))
        path.touch()
    except (OSError, ValueError, NotApplicableError):
        return None
    return result


def keep(one: Instrument, question: tuple[object, ...], result: Result) -> None:
    """Writes it down unless more is known; where the disk refuses, nothing is kept."""
    before = kept(one, question)
    if before is not None and before.amount() > result.amount():
        return  # a coarser one is part of it, or soon measured
    path = _path(one, question)
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps(result.to_json()))
        files = sorted(path.parent.glob("*.json"), key=lambda file: -file.stat().st_mtime_ns)
        for old in files[KEPT:]:
            old.unlink(missing_ok=True)


def _path(one: Instrument, question: tuple[object, ...]) -> Path:
    text = repr((question, sorted(versions().items())))
    name = hashlib.blake2b(text.encode(), digest_size=10).hexdigest()
    return default_home() / one.ask.keeps / f"{name}.json"


class KeptFile:
    """The file of ``--keep``: the results so far, by net; nothing where it was not asked for.

    Raises:
        SkipscopeError: It is there and is no such file.
    """

    def __init__(self, one: Instrument, path: Path | None) -> None:
        self._one, self._path = one, path
        self._results: dict[str, Result] = {}
        if path is None or not path.exists():
            return
        try:
            for value in stored_json(small_text(path, LARGEST))[one.ask.keeps]:
                self._results[value["net"]] = one.result.from_json(value)
        except OSError as error:
            raise SkipscopeError(
                f"{str(path)!r} cannot be read: {error.strerror or error}."
            ) from None
        except (ValueError, KeyError, TypeError, NotApplicableError):
            raise NotApplicableError(
                f"{path.name} holds nothing that could be gone on from: give a file that "
                f"`skipscope {one.name} --keep` wrote, or a new name."
            ) from None

    def known(self, net: str) -> Result | None:
        return self._results.get(net)

    def keep(self, net: str, result: Result) -> None:
        """Writes at once, and whole: a stop leaves the old file or the new one."""
        if self._path is None:
            return
        self._results[net] = result
        document = {self._one.ask.keeps: [one.to_json() for one in self._results.values()]}
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_text(self._path, json.dumps(document))
        except OSError as error:
            raise SkipscopeError(
                f"{str(self._path)!r} cannot be written: {error.strerror or error}."
            ) from None
