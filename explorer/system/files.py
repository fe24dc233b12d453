"""The one way in which this program writes files: whole, or as they were before.

What is written goes into a partial file beside its place, to the disk (fsync), and then takes the
place in one step. A process that is killed meanwhile leaves the old file, and a partial one whose
name says which process it was of: :func:`sweep` removes those that nobody will finish.
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
import socket
import stat
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

OLD = 24 * 3600.0  # seconds untouched, after which a partial file is nobody's, whoever's it was
_HOST = re.sub(r"[^A-Za-z0-9-]", "-", socket.gethostname())[:40]
_PARTIAL = re.compile(r"\..*\.(?P<pid>\d+)-\d+@(?P<host>[A-Za-z0-9-]*)\.partial")
_count = itertools.count()


def partial_name(name: str) -> str:
    """A name for an unfinished file or folder of this process, such that :func:`sweep` knows it."""
    return f"{_beginning(name)}{os.getpid()}-{next(_count)}@{_HOST}.partial"


def _beginning(name: str) -> str:
    return f".{os.fsencode(name)[:100].decode(errors='ignore')}."


@contextmanager
def whole(path: Path | str) -> Iterator[Path]:
    """A path to write to; at the end of the block the file there takes the place of ``path``.

    Its permissions are those of the file that it replaces, else the usual ones (umask), whatever
    wrote it. A link stays a link, and a device or pipe is written to directly. An exception leaves
    ``path`` as it was.

    Raises:
        OSError: The folder cannot be written to, or the disk is full.
    """
    given = Path(path)
    if given.exists() and not given.is_file():
        yield given
        return
    place = Path(os.path.realpath(path))
    partial = place.with_name(partial_name(place.name))
    sweep(place.parent, beginning=_beginning(place.name))
    try:
        os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        mode = stat.S_IMODE((place if place.exists() else partial).stat().st_mode)
        yield partial
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        partial.chmod(mode)
        partial.replace(place)
        _to_disk(place.parent)
    except BaseException:
        with suppress(OSError):
            partial.unlink()
        raise


def write_text(path: Path | str, text: str) -> None:
    """Writes a text file (UTF-8), whole; raises :class:`OSError`."""
    write_bytes(path, text.encode())


def write_bytes(path: Path | str, content: bytes | memoryview) -> None:
    """Writes a file, whole; raises :class:`OSError`."""
    with whole(path) as partial:
        partial.write_bytes(content)


def copy(source: Path, path: Path) -> None:
    """Copies a file's content, whole; raises :class:`OSError`."""
    with whole(path) as partial:
        shutil.copyfile(source, partial)


def append(path: Path, content: bytes, *, to_disk: bool = False) -> None:
    """Adds to a file's end; what stands before it is never touched.

    Args:
        to_disk: Return only once it has reached the disk.

    Raises:
        OSError: The folder cannot be written to, or the disk is full; then nothing was added.
    """
    with path.open("ab", buffering=0) as file:
        before = os.fstat(file.fileno()).st_size
        try:
            left = memoryview(content)
            while left:
                left = left[file.write(left) :]
        except OSError:
            with suppress(OSError):
                file.truncate(before)
            raise
        if to_disk:
            os.fsync(file.fileno())


def remove_folder(folder: Path) -> None:
    """Removes a folder in one step as others see it; a kill meanwhile leaves no half of it."""
    gone = folder.with_name(partial_name(folder.name))
    try:
        folder.replace(gone)
    except OSError:  # it is not there, or a system that holds on to what is open
        gone = folder
    shutil.rmtree(gone, ignore_errors=True)


def sweep(
    folder: Path, *, depth: int = 0, beginning: str = ".", earlier: re.Pattern[str] | None = None
) -> None:
    """Removes partial files and folders of processes that have ended, and nothing else.

    Args:
        depth: Levels of folders in this one that are swept as well.
        beginning: Only those whose name begins so.
        earlier: Names of another kind that go as well, once they are a day old.
    """
    with suppress(OSError):
        for entry in list(folder.iterdir()):
            if _is_left_over(entry, beginning, earlier):
                if entry.is_dir() and not entry.is_symlink():
                    shutil.rmtree(entry, ignore_errors=True)
                else:
                    with suppress(OSError):
                        entry.unlink()
            elif depth > 0 and entry.is_dir() and not entry.is_symlink():
                sweep(entry, depth=depth - 1, beginning=beginning, earlier=earlier)


def damaged_name(path: Path) -> Path:
    """Where a damaged file is put aside: beside its place, in that of no other one."""
    first = path.with_name(f"damaged-{path.name}")
    others = (path.with_name(f"damaged-{i}-{path.name}") for i in itertools.count(2))
    return next(free for free in itertools.chain([first], others) if not free.exists())


def _is_left_over(entry: Path, beginning: str, earlier: re.Pattern[str] | None) -> bool:
    ours = _PARTIAL.fullmatch(entry.name) if entry.name.startswith(beginning) else None
    if ours is None:
        return bool(earlier and earlier.fullmatch(entry.name)) and _untouched(entry)
    gone = ours["host"] == _HOST and not is_alive(int(ours["pid"]))
    return gone or _untouched(entry)


def _untouched(entry: Path) -> bool:
    try:
        newest = max(_times(entry))
    except OSError:  # it is being finished, or removed
        return False
    return time.time() - newest > OLD


def _times(entry: Path) -> Iterable[float]:
    yield entry.lstat().st_mtime
    if entry.is_dir() and not entry.is_symlink():
        yield from (inner.lstat().st_mtime for inner in entry.rglob("*"))


def is_alive(pid: int) -> bool:
    """Whether there is such a process on this machine; where that cannot be told, yes."""
    if os.name == "nt":  # there the signal 0 would end it
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


def _to_disk(folder: Path) -> None:
    """The folder's own list of names; where a system knows no such thing, it is left out."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
