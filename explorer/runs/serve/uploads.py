"""Weights that people bring, kept in Skipscope's folder under names made of their content.

A link may carry such a name, as it says nothing of the server's other files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from explorer.errors import WeightsError
from explorer.structure.named_nets import is_upload
from explorer.structure.trained_on import TrainedOn, told_path
from explorer.system.files import write_bytes, write_text
from explorer.writing.formats import WEIGHTS_HEAD, WEIGHTS_KINDS, weights_suffix

BYTES_KEPT = 4 * 2**30


def keep_upload(
    home: Path, file_name: str, content: bytes | memoryview, told: TrainedOn | None = None
) -> str:
    """Store weights and return their name; the same content has the same name.

    The longest unused uploads go once there are more than ``BYTES_KEPT`` bytes of them.

    Args:
        told: What belongs to the weights, as the person says; it is kept beside them, and part of
            what the name is made of.

    Raises:
        WeightsError: Another kind of file, an empty one, or the disk refuses it.
    """
    if not len(content):
        raise WeightsError(f"{file_name[:60]} is empty; save net.state_dict() again.")
    suffix = weights_suffix(bytes(content[:WEIGHTS_HEAD]))
    if suffix is None:
        raise WeightsError(
            f"{file_name[:60]!r} is no file of weights: {WEIGHTS_KINDS} are read; save "
            "net.state_dict() as one of these."
        )
    key = hashlib.sha256(content)
    words = told.model_dump_json(indent=1) if told else ""
    key.update(words.encode())
    name = key.hexdigest()[:16] + suffix
    folder = _folder(home)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if words:
            write_text(told_path(folder / name), f"{words}\n")
        if not (folder / name).exists():
            write_bytes(folder / name, content)
        (folder / name).touch()
        _shrink(folder, name)
    except OSError as error:
        raise WeightsError(
            f"{file_name[:60]} cannot be stored in {folder} ({error.strerror or error}): check the "
            "disk's space and permissions."
        ) from None
    return name


def upload_path(home: Path, name: str) -> Path:
    """The file of an upload.

    Raises:
        WeightsError: It is not stored here, or not any more.
    """
    path = _folder(home) / name
    if not is_upload(name) or not path.is_file():
        raise WeightsError(
            f"The weights {name[:60]!r} are not stored here: upload the file again, as a link "
            "carries no weights to another machine."
        )
    return path


def _folder(home: Path) -> Path:
    return home / "weights"


def _shrink(folder: Path, newest: str) -> None:
    total = 0
    for path, size in _by_last_use(folder):
        total += size
        if total > BYTES_KEPT and path.name != newest:
            path.unlink(missing_ok=True)
            told_path(path).unlink(missing_ok=True)


def _by_last_use(folder: Path) -> Iterator[tuple[Path, int]]:
    """Uploads with their sizes in bytes, the last used first."""
    states = [(path, path.stat()) for path in folder.iterdir() if is_upload(path.name)]
    for path, state in sorted(states, key=lambda pair: -pair[1].st_mtime_ns):
        yield path, state.st_size
