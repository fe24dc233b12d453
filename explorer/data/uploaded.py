"""Zip archives of images that people bring, kept in Skipscope's folder by their content.

The name is made of the content, so the same archive is one, and a link may carry it: it says
nothing of the server's other files. The archive is kept as it came, and never unpacked; its decoded
images lie beside it, and count.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from explorer.data.home import data_home
from explorer.errors import DataError
from explorer.system.files import write_bytes

BYTES_KEPT = 4 << 30
MOST_DECODED = 1 << 30  # bytes in memory, of one archive at one size
_LENGTH = 16 + len(".images")
_NAME = re.compile(r"[0-9a-f]{16}\.images")


def is_kept_zip(name: str | Path) -> bool:
    """Whether a text is the name of a kept archive; it may be gone."""
    return _NAME.fullmatch(str(name)) is not None


def kept_zip(name: str | Path) -> Path | None:
    """Where the archive of such a name lies; None of every other path.

    Raises:
        DataError: It is not stored here, or not any more.
    """
    if not is_kept_zip(name):
        return None
    path = _folder() / str(name)
    if not path.is_file():
        raise DataError(
            f"The images {str(name)!r} are not stored here: drop the .zip on the page again, as a "
            "link carries no images to another machine."
        )
    return path


def keep_zip(file_name: str, content: bytes | memoryview) -> str:
    """Store an archive and return its name; the same content has the same name.

    The longest unused go once there are more than ``BYTES_KEPT`` bytes of them.

    Raises:
        DataError: It is no archive of images in folders, or the disk refuses it.
    """
    from explorer.data import archives

    name = hashlib.sha256(content).hexdigest()[:16] + ".images"
    path = _folder() / name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        new = not path.exists()
        if new:
            write_bytes(path, content)
        path.touch()
        try:
            archives.scan(path)
        except DataError as error:
            if new:
                path.unlink(missing_ok=True)
            raise DataError(str(error).replace(name, file_name[:60])) from None
        shrink(name)
    except OSError as error:
        raise DataError(
            f"{file_name[:60]} cannot be stored in {path.parent} ({error.strerror or error}): "
            "check the disk's space and permissions."
        ) from None
    return name


def _folder() -> Path:
    return data_home() / "zips"


def is_kept(path: Path) -> bool:
    """Whether a file is one of the kept archives."""
    return is_kept_zip(path.name) and path.parent == _folder().resolve()


def check_room(path: Path, n: int, side: int) -> None:
    """Refuses so many images of a kept archive where they would fill the memory.

    Raises:
        DataError: More than ``MOST_DECODED`` bytes.
    """
    size = n * 3 * side**2
    if is_kept(path) and size > MOST_DECODED:
        raise DataError(
            f"{n:,} images of {side}×{side} pixels take {size / 2**30:.1f} GiB of memory, and "
            f"{MOST_DECODED >> 30} GiB are allowed of a .zip that was dropped on a page: choose a "
            "smaller image_size, or give the folder by its path on this machine."
        )


def shrink(newest: str) -> None:
    """The longest unused go once there are more than ``BYTES_KEPT`` bytes."""
    kept = [path for path in _folder().iterdir() if is_kept_zip(path.name[:_LENGTH])]
    states = [(path, path.stat()) for path in kept]
    total = 0
    for path, state in sorted(states, key=lambda pair: -pair[1].st_mtime_ns):
        total += state.st_size
        if total > BYTES_KEPT and path.name != newest:
            path.unlink(missing_ok=True)
