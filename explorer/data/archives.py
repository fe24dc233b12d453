"""A zip archive of image folders: the same layout as in a folder, and nothing of it is unpacked.

The folder that holds ``train`` may lie within others. See :mod:`explorer.system.archives` for what
of an archive is refused.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from explorer.data.folders import (
    LAYOUT,
    SPLITS,
    check_classes,
    is_image_name,
    stands_for_test,
)
from explorer.data.stored import Cut, Named, Progress, StoredImages, name_of, readable, stamp
from explorer.data.uploaded import is_kept
from explorer.errors import DataError
from explorer.system.archives import DAMAGED, is_link, opened

# Of each class its image files.
_Classes = dict[str, list[zipfile.ZipInfo]]


@dataclass(frozen=True)
class _Zipped:
    """An image file in an open archive."""

    archive: zipfile.ZipFile
    entry: zipfile.ZipInfo

    def content(self) -> bytes:
        from explorer.data.images import MAX_FILE_BYTES

        try:
            with self.archive.open(self.entry) as file:
                return file.read(MAX_FILE_BYTES + 1)
        except DAMAGED as error:
            raise DataError(
                f"The image {str(self)!r} is damaged in its archive ({str(error).rstrip('.')}): "
                "pack it again."
            ) from None

    def __str__(self) -> str:
        return self.entry.filename


@dataclass(frozen=True)
class _Contents:
    named: Named
    train: _Classes
    test: _Classes

    def entries(self) -> list[zipfile.ZipInfo]:
        """As ``sorted(os.walk(…))`` of each class has them."""
        return [
            entry
            for split in (self.train, self.test)
            for files in split.values()
            for entry in files
        ]

    def labels(self, split: _Classes) -> NDArray[np.int64]:
        index = {name: i for i, name in enumerate(self.named.classes)}
        places = [index[name] for name in split]
        return np.repeat(places, [len(files) for files in split.values()]).astype(np.int64)


def scan(path: Path) -> Named:
    """Raises :class:`DataError`; see :func:`stored`."""
    return _named(path, stamp(path))


# A page asks at every turn. The key is part of the question: what changes is read again.
@lru_cache(maxsize=64)
def _named(path: Path, key: str) -> Named:
    return _contents(path).named


def stored(path: Path) -> StoredImages:
    """The images of an archive.

    Raises:
        DataError: Damaged or oversized, or not in the layout of folders.
    """
    contents = _contents(path)

    def pixels(cut: Cut, tell: Progress) -> NDArray[np.uint8]:
        from explorer.data.images import decode_images

        with readable(path), opened(path) as (archive, _):
            return decode_images([_Zipped(archive, e) for e in contents.entries()], cut, tell)

    return StoredImages(
        path=path.resolve(),
        named=contents.named,
        train_labels=contents.labels(contents.train),
        test_labels=contents.labels(contents.test),
        key=path.name
        if is_kept(path.resolve())
        else stamp(path),  # a kept one's name is its content
        pixels=pixels,
    )


def _contents(path: Path) -> _Contents:
    with readable(path), opened(path) as (_, entries):
        files = [
            (entry.filename.split("/"), entry)
            for entry in entries
            if not is_link(entry) and not _is_passed_over(entry.filename)
        ]
    top = _top({tuple(parts[:-1]) for parts, _ in files}, path)
    depth = len(top)
    inside = [(p[depth:], entry) for p, entry in files if tuple(p[:depth]) == top]
    named = {p[0] for p, _ in inside if len(p) > 1}
    taken = {
        split: next((n for word in words for n in sorted(named) if n.lower() == word), None)
        for split, words in SPLITS.items()
    }
    found = {
        split: _classes((parts[1:], entry) for parts, entry in inside if parts[0] == name)
        for split, name in taken.items()
    }
    if taken["test"] is None:
        raise DataError(
            f"{path.name} has no 'test' in it: images belong in {LAYOUT} of the archive."
        )
    check_classes(Path(path.name, *top), list(found["train"]), list(found["test"]))
    tested_on = stands_for_test(taken["test"])
    name = top[-1] if top else name_of(path)
    return _Contents(
        Named(name[:100], tuple(found["train"]), tested_on), found["train"], found["test"]
    )


def _is_passed_over(name: str) -> bool:
    """Names that begin with a point, and what macOS packs beside every file."""
    parts = name.split("/")
    return not is_image_name(parts[-1]) or any(
        part.startswith(".") or part == "__MACOSX" for part in parts
    )


def _top(folders: Iterable[tuple[str, ...]], path: Path) -> tuple[str, ...]:
    """The outermost folder that holds ``train``."""
    tops = {
        folder[: folder.index(name)]
        for folder in folders
        for name in folder
        if name.lower() in SPLITS["train"]
    }
    if not tops:
        raise DataError(f"{path.name} has no 'train' in it: images belong in {LAYOUT} there.")
    return min(tops, key=lambda top: (len(top), top))


def _classes(files: Iterable[tuple[list[str], zipfile.ZipInfo]]) -> _Classes:
    """Images by class, sorted by name, each class's as ``sorted(os.walk(…))`` has them."""
    found: _Classes = {}
    for parts, entry in sorted(files, key=lambda one: (one[0][0], "/".join(one[0][1:-1]), one[0])):
        if len(parts) > 1:  # beside the classes' folders lies nothing that is read
            found.setdefault(parts[0], []).append(entry)
    return found
