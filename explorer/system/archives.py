"""Zip archives of anybody, read within limits and never unpacked. No torch.

A few kilobytes can claim to be any size, and names may lead anywhere. So the list of files is read
within bounds, what it claims is held against limits before anything is decompressed, and a file's
content goes to memory under no name at all.
"""

from __future__ import annotations

import io
import os
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LARGEST_DIRECTORY = 64 << 20  # bytes of the list of files
MOST_FILES = 300_000
MOST_BYTES = 64 << 30  # unpacked, all together
SMALL = 64 << 20  # so much may be packed as tightly as can be
TIGHTEST = 200  # times smaller than unpacked, of more than that
# What damage makes the reader raise: a wrong checksum, a short stream, an unknown field.
DAMAGED = (
    *(zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError, RuntimeError),
    MemoryError,
)
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class Oversized(Exception):
    """An archive that is refused; the words go on from its name, without a full stop."""


class _Careful(io.FileIO):
    """A file of which no more is read at once than a list of files may have."""

    def read(self, size: int | None = -1, /) -> bytes:
        left = os.fstat(self.fileno()).st_size - self.tell()
        size = left if size is None or size < 0 else min(size, left)
        if size > LARGEST_DIRECTORY:
            raise Oversized(
                f"lists its files in more than {LARGEST_DIRECTORY >> 20} MB, which are not read: "
                "pack fewer files into one archive"
            )
        return super().read(size) or b""


@contextmanager
def opened(path: Path) -> Iterator[tuple[zipfile.ZipFile, list[zipfile.ZipInfo]]]:
    """An archive with its files (folders left out), in the order in which they lie there.

    Raises:
        Oversized: Damaged, or more than the limits of this module; or a name leads out of it.
        OSError: It cannot be read.
    """
    try:
        with _Careful(path) as file, zipfile.ZipFile(file) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
            _check(entries)
            yield archive, entries
    except DAMAGED as error:
        raise Oversized(
            f"is damaged or no zip archive ({str(error).rstrip('.') or type(error).__name__}): "
            "pack it again"
        ) from None


def _check(entries: list[zipfile.ZipInfo]) -> None:
    if len(entries) > MOST_FILES:
        raise Oversized(
            f"holds {len(entries):,} files, more than the {MOST_FILES:,} that are read: pack fewer"
        )
    whole, packed = (
        sum(entry.file_size for entry in entries),
        sum(entry.compress_size for entry in entries),
    )
    if whole > MOST_BYTES:
        raise Oversized(
            f"is {whole / 2**30:.0f} GiB unpacked, more than the {MOST_BYTES >> 30} GiB that are "
            "read: pack fewer files"
        )
    if whole > max(SMALL, TIGHTEST * packed):
        raise Oversized(
            f"unpacks to {whole / max(packed, 1):,.0f} times its size, more than the {TIGHTEST} "
            "times that are read: pack its files with less compression"
        )
    for entry in entries:
        name = entry.filename
        if name.startswith("/") or "\\" in name or ".." in name.split("/") or name[1:2] == ":":
            raise Oversized(
                f"has a file named {name[:60]!r}, which leads out of it, so that nothing of it is "
                "read: pack it again without such names"
            )
        if entry.flag_bits & 1:
            raise Oversized("is encrypted, which is not read: pack it without a password")
        if entry.compress_type not in _METHODS:
            raise Oversized(f"packs {name[:60]!r} in a way that is not read: deflate and store are")


def is_link(entry: zipfile.ZipInfo) -> bool:
    """Whether an archive has a link under this name, which is read as nothing at all."""
    return stat.S_ISLNK(entry.external_attr >> 16)
