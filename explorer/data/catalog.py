"""What can be known of a data set without loading it: no torch, so the server may ask.

For images at a path that is their listing: names, sizes of files, headers and labels; no pixel is
decoded.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from explorer.data.home import data_home as data_home
from explorer.data.stored import Named, StoredImages, readable
from explorer.data.uploaded import is_kept_zip, kept_zip
from explorer.errors import DataError
from explorer.structure.specs import DATASETS, DataInfo, DataSpec
from explorer.system.bounded import local_path
from explorer.writing.formats import OWN_IMAGES


def data_info(spec: DataSpec) -> DataInfo:
    """Title, image shape and classes of any data set.

    Raises:
        DataError: There are no images at the path.
    """
    if spec.name == "folder":
        return scan_folder(spec.path or "", spec.image_size)
    return DATASETS[spec.name]


def scan_folder(path: str | Path, image_size: int) -> DataInfo:
    """What the images at a path amount to, as RGB of ``image_size``² pixels.

    Answers at once whatever the size (see each kind's ``scan``), but for a table, which is read
    through once, and again when it changes.

    Raises:
        DataError: One sentence; see :func:`list_folder`.
    """
    place = place_of(path)
    scan: Callable[[Path], Named] = _kind(place).scan
    return scan(place).info(image_size)


def list_folder(path: str | Path) -> StoredImages:
    """The images at a path: a folder, or a file that holds images.

    Raises:
        DataError: One sentence: nothing is there, or what is there holds no images, or cannot be
            read.
    """
    place = place_of(path)
    stored: Callable[[Path], StoredImages] = _kind(place).stored
    return stored(place)


def is_place(path: str | Path) -> bool:
    """Whether images could lie at a path: something is there, or was dropped on a page once.

    Raises:
        DataError: No possible path.
    """
    return is_kept_zip(path) or os.path.exists(local_path(path, DataError))


def place_of(path: str | Path) -> Path:
    """Where images lie that a person named; the name of kept ones leads to them.

    Raises:
        DataError: Nothing is there.
    """
    place = kept_zip(path) or local_path(path, DataError)
    if not os.path.exists(place):  # unlike Path.exists, it never raises
        raise DataError(f"There is no folder or file {str(place)!r}: give {OWN_IMAGES}.")
    return place


def _kind(place: Path) -> ModuleType:
    """The module that reads what is there; by names in a folder, by the first bytes of a file.

    Raises:
        DataError: None does.
    """
    from explorer.data import arrays, cifar, folders, tables

    if os.path.isdir(place):
        if folders.split_folder(place, "train") is not None:
            return folders
        return next((kind for kind in (cifar, arrays, tables) if kind.is_here(place)), folders)
    return _kind_of_file(place)


def _kind_of_file(file: Path) -> ModuleType:
    from explorer.data import archives, arrays, tables

    with readable(file):
        if not file.is_file():  # a device or pipe may never end
            raise DataError(f"{str(file)!r} is no folder and no file: give {OWN_IMAGES}.")
        with file.open("rb") as opened:
            head = opened.read(8)
    if head.startswith(b"PK"):
        return arrays if arrays.is_npz(file) else archives
    if head.startswith(arrays.MAGIC):
        return arrays
    if file.suffix.lower() in tables.SUFFIXES:
        return tables
    raise DataError(
        f"{file.name[:60]!r} is no folder and no file of many images: give {OWN_IMAGES}."
    )
