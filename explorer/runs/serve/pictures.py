"""Images that people bring, kept in Skipscope's folder under names made of their content.

Only their bytes are kept; the worker that looks at one decodes it, and says so where it cannot.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from explorer.data.images import MAX_FILE_BYTES
from explorer.errors import DataError
from explorer.system.files import write_bytes

BYTES_KEPT = 256 << 20
_NAME = re.compile(r"[0-9a-f]{16}\.picture")


def is_picture(name: str) -> bool:
    """Whether a text is the name of a kept image; it may be gone."""
    return _NAME.fullmatch(name) is not None


def keep_picture(home: Path, content: bytes | memoryview) -> str:
    """Store an image file and return its name; the same content has the same name.

    The longest unused go once there are more than ``BYTES_KEPT`` bytes of them.

    Raises:
        DataError: It is empty or too large, or the disk refuses it.
    """
    if not len(content):
        raise DataError("The image file is empty: choose another one.")
    if len(content) > MAX_FILE_BYTES:
        raise DataError(
            f"The image file has {len(content) / 2**20:.1f} MB, more than the "
            f"{MAX_FILE_BYTES >> 20} MB that are read: save it smaller and try again."
        )
    name = hashlib.sha256(content).hexdigest()[:16] + ".picture"
    folder = _folder(home)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / name).exists():
            write_bytes(folder / name, content)
        (folder / name).touch()
        _shrink(folder, name)
    except OSError as error:
        raise DataError(
            f"The image cannot be stored in {folder} ({error.strerror or error}): check the disk's "
            "space and permissions."
        ) from None
    return name


def picture_path(home: Path, name: str) -> Path:
    """The file of a kept image.

    Raises:
        DataError: It is not stored here, or not any more.
    """
    path = _folder(home) / name
    if not is_picture(name) or not path.is_file():
        raise DataError(
            "The image of this link is not stored here: choose the file again, as a link carries "
            "no image to another machine."
        )
    return path


def kept_picture(path: Path) -> bytes:
    """The bytes of a kept image.

    Raises:
        DataError: It was removed meanwhile.
    """
    try:
        return path.read_bytes()
    except OSError:
        raise DataError("The image is not stored here any more: choose the file again.") from None


def _folder(home: Path) -> Path:
    return home / "pictures"


def _shrink(folder: Path, newest: str) -> None:
    states = [(path, path.stat()) for path in folder.iterdir() if is_picture(path.name)]
    total = 0
    for path, state in sorted(states, key=lambda pair: -pair[1].st_mtime_ns):
        total += state.st_size
        if total > BYTES_KEPT and path.name != newest:
            path.unlink(missing_ok=True)
