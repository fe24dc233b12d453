"""Images in NumPy's arrays: a ``.npz`` file, ``.npy`` files beside each other, or ``.npz`` a split.

Which array is what, its name says: ``images`` or ``x``, ``labels`` or ``y``, with the split before
or after (``x_train``, ``test_labels``). An array's header is read first and held against the bytes
behind it; images then come row by row, so that memory is taken for what is made of them alone.
Objects, which NumPy keeps as pickles, are never read.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from explorer.data.folders import SPLITS
from explorer.data.stored import (
    DRAWN_TEST,
    Cut,
    Named,
    Progress,
    StoredImages,
    classes_of,
    drawn_test,
    leads_out,
    name_of,
    readable,
    stamp,
)
from explorer.errors import DataError
from explorer.system.archives import opened

MAGIC = b"\x93NUMPY"
LARGEST_LABELS = 64 << 20  # bytes of an array of labels or of names
NAMES = (
    "images and labels, or x_train, y_train, x_test and y_test; the classes' names may stand in "
    "'classes'"
)
_WORDS = {
    "images": ("x", "images", "image", "data", "imgs"),
    "labels": ("y", "labels", "label", "targets", "target"),
    "classes": ("classes", "class_names", "label_names"),
}
_CHUNK = 4 << 20
_HEADER = 10_000  # bytes of an array's header
_MOST_PIXELS = 16_000_000  # of one image


@dataclass(frozen=True)
class _Stored:
    """An array that is not in memory.

    Attributes:
        name: What sentences call it.
        open: Its file, at the first value.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    open: Callable[[], AbstractContextManager[IO[bytes]]]

    @property
    def nbytes(self) -> int:
        return prod(self.shape) * self.dtype.itemsize

    def rows(self) -> Iterator[NDArray[np.uint8]]:
        """Of images, one by one."""
        size = prod(self.shape[1:])
        with self.open() as file:
            left = self.shape[0]
            while left:
                n = min(left, max(1, _CHUNK // size))
                block = _exactly(file, n * size, self.name)
                yield from np.frombuffer(block, dtype=np.uint8).reshape(n, *self.shape[1:])
                left -= n

    def values(self) -> NDArray[Any]:
        with self.open() as file:
            content = _exactly(file, self.nbytes, self.name)
        return np.frombuffer(content, dtype=self.dtype).reshape(self.shape)


def is_npz(file: Path) -> bool:
    """Whether a zip archive is one of NumPy's arrays."""
    with readable(file), opened(file) as (_, entries):
        return bool(entries) and all(entry.filename.endswith(".npy") for entry in entries)


def is_here(folder: Path) -> bool:
    """Whether a folder has arrays of images and of labels, or such a file a split."""
    names = {file.stem for file in _files(folder, ".npy")}
    kinds = {part[0] for part in map(_part, names) if part}
    return {"images", "labels"} <= kinds or _by_split(folder) is not None


def scan(place: Path) -> Named:
    """Raises :class:`DataError`; see :func:`stored`."""
    return stored(place).named


def stored(place: Path) -> StoredImages:
    """The arrays of a file, or of a folder, as one data set.

    Raises:
        DataError: An array is missing, of another type or shape, or claims more than there is.
    """
    files = _files_of(place)
    return _stored(place, stamp(*files))


# A page asks at every turn. The key is part of the question: what changes is read again.
@lru_cache(maxsize=4)
def _stored(place: Path, key: str) -> StoredImages:
    arrays = _arrays(place)
    parts = {found: array for name, array in arrays.items() if (found := _part(name))}
    names = parts.get(("classes", ""))
    what = repr(str(place))
    if ("images", "train") not in parts:
        images, labels = _pair(parts, "", arrays, what)
        known = _labels(labels, images)
        testing = drawn_test(known)
        train, test, tested_on = known[~testing], known[testing], DRAWN_TEST
        sources: list[tuple[_Stored, NDArray[np.bool_] | None]] = [(images, testing)]
    else:
        split = next((s for s in SPLITS["test"] if ("images", s) in parts), SPLITS["test"][0])
        pairs = [_pair(parts, one, arrays, what) for one in ("train", split)]
        train, test = (_labels(labels, images) for images, labels in pairs)
        tested_on = "" if split == "test" else f"tested on {split!r}"
        sources = [(images, None) for images, _ in pairs]
    classes, train_labels, test_labels = classes_of(
        train, test, () if names is None else _names(names), what
    )

    def pixels(cut: Cut, tell: Progress) -> NDArray[np.uint8]:
        from explorer.data.images import filled

        n = len(train_labels) + len(test_labels)
        rows = (row for images, _ in sources for row in images.rows())
        made = filled(rows, n, cut, tell)
        (_, testing), *_ = sources
        return made if testing is None else made[np.argsort(testing, kind="stable")]

    return StoredImages(
        path=place.resolve(),
        named=Named(name_of(place), classes, tested_on),
        train_labels=train_labels,
        test_labels=test_labels,
        key=key,
        pixels=pixels,
    )


# ------------------------------------------------------------------------------ which is what


def _part(name: str) -> tuple[str, str] | None:
    """(what an array is, its split) by its name; None of every other."""
    words = re.split(r"[_\-./ ]", name.lower())
    splits = [word for word in words if word in (*SPLITS["train"], *SPLITS["test"])]
    rest = "_".join(word for word in words if word not in splits)
    for kind, known in _WORDS.items():
        if rest in known and len(splits) <= 1:
            return kind, splits[0] if splits else ""
    return None


def _pair(
    parts: Mapping[tuple[str, str], _Stored], split: str, arrays: Mapping[str, object], what: str
) -> tuple[_Stored, _Stored]:
    found = parts.get(("images", split)), parts.get(("labels", split))
    images, labels = found
    if images is None or labels is None:
        there = ", ".join(repr(name[:40]) for name in sorted(arrays)[:10]) or "none"
        missing = "images" if images is None else "labels"
        words = f"{missing} of {split}" if split else missing
        raise DataError(
            f"{what} has no {words} among its arrays ({there}): they must be named {NAMES}."
        )
    _check_images(images)
    return images, labels


def _check_images(images: _Stored) -> None:
    shape = "×".join(map(str, images.shape))
    if images.dtype != np.uint8:
        raise DataError(
            f"The images in {images.name!r} are of type {images.dtype}, and uint8 (0 … 255) is "
            "read: save them so, such as (x * 255).round().astype('uint8') of values up to 1."
        )
    if len(images.shape) not in (3, 4) or images.shape[3:] not in ((), (1,), (3,), (4,)):
        raise DataError(
            f"The images in {images.name!r} are {shape}, and N×H×W (grey) or N×H×W×C with 1, 3 or "
            "4 channels is read: put the channels last."
        )
    if not prod(images.shape) or prod(images.shape[1:3]) > _MOST_PIXELS:
        raise DataError(
            f"The images in {images.name!r} are {shape}: there must be some, each of at most "
            f"{_MOST_PIXELS // 10**6} million pixels."
        )


def _labels(labels: _Stored, images: _Stored) -> NDArray[Any]:
    """(N,) whole numbers or texts."""
    n = images.shape[0]
    flat = labels.shape in ((n,), (n, 1))
    if not flat or labels.dtype.kind not in "iuU":
        shape = "×".join(map(str, labels.shape)) or "one value"
        raise DataError(
            f"The labels in {labels.name!r} are {shape} of type {labels.dtype}, and {n} whole "
            f"numbers or texts are needed, one for each image of {images.name!r}."
        )
    return _small(labels).reshape(n)


def _names(names: _Stored) -> list[str]:
    if names.dtype.kind != "U" or len(names.shape) != 1:
        raise DataError(
            f"The names of the classes in {names.name!r} must be a list of texts, such as "
            "np.array(['cat', 'dog'])."
        )
    found = [str(name) for name in _small(names)]
    if not 2 <= len(set(found)) == len(found):
        raise DataError(
            f"The names of the classes in {names.name!r} are {len(found)}, of which "
            f"{len(set(found))} differ: at least two are needed, each once."
        )
    return found


def _small(array: _Stored) -> NDArray[Any]:
    if array.nbytes > LARGEST_LABELS:
        raise DataError(
            f"{array.name!r} has {array.nbytes >> 20:,} MB of labels or names, more than the "
            f"{LARGEST_LABELS >> 20} MB that are read: save them in fewer bytes each."
        )
    return array.values()


# ------------------------------------------------------------------------------- where they lie


def _files(folder: Path, suffix: str) -> list[Path]:
    with readable(folder):
        return sorted(
            file
            for file in folder.iterdir()
            if file.suffix.lower() == suffix
            and not file.name.startswith(".")
            and file.is_file()
            and not leads_out(folder, file)
        )


def _by_split(folder: Path) -> dict[str, Path] | None:
    """``train.npz`` and ``test.npz``, or what stands for it."""
    found = {file.stem.lower(): file for file in _files(folder, ".npz")}
    test = next((name for name in SPLITS["test"] if name in found), None)
    if test is None or "train" not in found:
        return None
    return {name: found[name] for name in ("train", test)}


def _files_of(place: Path) -> list[Path]:
    if not place.is_dir():
        if place.suffix.lower() == ".npz" or is_zip(place):
            return [place]
        place = place.parent  # of a .npy file: the labels lie beside it
    by_split = _by_split(place)
    npy = _files(place, ".npy")
    return npy if by_split is None or npy else [*by_split.values()]


def is_zip(file: Path) -> bool:
    with readable(file), file.open("rb") as opened_file:
        return opened_file.read(2) == b"PK"


def _arrays(place: Path) -> dict[str, _Stored]:
    """By name."""
    found: dict[str, _Stored] = {}
    for file in _files_of(place):
        if file.suffix.lower() == ".npy":
            found[file.stem] = _npy(file)
        elif file == place:
            found |= _npz(file)
        else:
            found |= {f"{name}_{file.stem}": array for name, array in _npz(file).items()}
    return found


def _npy(file: Path) -> _Stored:
    @contextmanager
    def open_at(offset: int) -> Iterator[IO[bytes]]:
        with readable(file), file.open("rb") as opened_file:
            opened_file.seek(offset)
            yield opened_file

    with open_at(0) as opened_file:
        shape, dtype = _header(opened_file, file.name)
        offset = opened_file.tell()
    array = _Stored(file.name, shape, dtype, lambda: open_at(offset))
    _check_size(array, file.stat().st_size - offset)
    return array


def _npz(file: Path) -> dict[str, _Stored]:
    @contextmanager
    def open_at(name: str) -> Iterator[IO[bytes]]:
        with readable(file), opened(file) as (archive, _), archive.open(name) as entry:
            _header(entry, name)
            yield entry

    found = {}
    with readable(file), opened(file) as (archive, entries):
        for entry in entries:
            stem = entry.filename.removesuffix(".npy")
            if _part(stem) is not None:
                found[stem] = _in_archive(archive, entry, stem, open_at)
    return found


def _in_archive(
    archive: zipfile.ZipFile,
    entry: zipfile.ZipInfo,
    stem: str,
    open_at: Callable[[str], AbstractContextManager[IO[bytes]]],
) -> _Stored:
    with archive.open(entry) as file:
        shape, dtype = _header(file, stem)
        offset = file.tell()
    array = _Stored(stem, shape, dtype, lambda: open_at(entry.filename))
    _check_size(array, entry.file_size - offset)
    return array


def _header(file: IO[bytes], name: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and type that an array claims.

    Raises:
        DataError: No array, one of objects, or one whose columns come first.
    """
    try:
        version = np.lib.format.read_magic(file)
        if version != (1, 0):  # later ones have headers of up to 4 GB, for fields with names
            raise ValueError("an array with named fields")
        shape, columns_first, dtype = np.lib.format.read_array_header_1_0(
            file, max_header_size=_HEADER
        )
        if dtype.hasobject or dtype.fields is not None:
            raise ValueError("objects, which are kept as pickles and can run any code")
        if columns_first and len(shape) > 1:
            raise ValueError("columns first; save np.ascontiguousarray(x)")
    except ValueError as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise DataError(
            f"The array {name!r} cannot be read ({reason}): save plain numbers or texts with "
            "numpy.save or numpy.savez."
        ) from None
    return shape, dtype


def _check_size(array: _Stored, there: int) -> None:
    if any(n < 0 for n in array.shape) or array.nbytes != there:
        raise DataError(
            f"The array {array.name!r} claims {'×'.join(map(str, array.shape))} values of type "
            f"{array.dtype}, and {there:,} bytes follow: it is damaged or cut short; save it again."
        )


def _exactly(file: IO[bytes], n: int, name: str) -> bytes:
    content = bytearray()
    while len(content) < n:
        piece = file.read(min(_CHUNK, n - len(content)))
        if not piece:
            raise DataError(f"The array {name!r} ends before its last value; save it again.")
        content += piece
    return bytes(content)
