"""Images in a table: a ``.csv`` file with a label and pixels, or a path, of one image a line.

Pixels are those of square grey images, 0 … 255, row by row, as MNIST is passed on. Paths are of
image files beside the table. A column ``split`` says which are for testing; so do two files
``train.csv`` and ``test.csv`` in one folder.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from math import isqrt
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from explorer.data.folders import SPLITS, stands_for_test
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
from explorer.writing.formats import IMAGE_SUFFIXES

SUFFIXES = (".csv", ".tsv")
LARGEST_FILE = 4 << 30  # bytes
LONGEST_LINE = 2 << 20  # bytes; 512² pixels of up to three digits have half of that
MOST_LINES = 2_000_000
_LONGEST_LABEL = 200
_AT_A_TIME = 1 << 20  # pixels that are parsed together
_LABELS = ("label", "labels", "class", "y", "target", "category")
_PATHS = ("path", "file", "filename", "file_name", "filepath", "image", "image_path")
_SPLIT = ("split", "set", "subset")
WANTED = (
    "a column 'label' and a column for each pixel of a square grey image, or columns 'path' and "
    "'label'"
)


@dataclass(frozen=True)
class _Columns:
    """Which column is what.

    Attributes:
        n: How many there are.
        head: Whether the first line has names.
        path: None where the pixels stand in the table.
        pixels: Those of the pixels, one beside the other; empty where there are paths.
    """

    n: int
    head: bool
    separator: str
    label: int
    path: int | None
    split: int | None
    pixels: range


@dataclass(frozen=True)
class _Table:
    """A table's labels, splits and paths; pixels stay in the file."""

    file: Path
    columns: _Columns
    labels: list[str]
    splits: list[str]
    paths: list[Path]


def is_here(folder: Path) -> bool:
    """Whether a folder has such a file a split."""
    return len(_by_split(folder)) == 2


def scan(place: Path) -> Named:
    """Raises :class:`DataError`; see :func:`stored`."""
    return _read(place, _key(place))[0].named


def stored(place: Path) -> StoredImages:
    """The images of a table, or of two in a folder.

    Raises:
        DataError: A column is missing, a line is of another length, a value is no pixel.
    """
    images, paths = _read(place, _key(place))
    if not paths:
        return images
    return replace(images, key=hashlib.sha256((images.key + stamp(*paths)).encode()).hexdigest())


def _key(place: Path) -> str:
    return stamp(*(_by_split(place).values() if place.is_dir() else [place]))


# A page asks at every turn. The key is part of the question: what changes is read again.
@lru_cache(maxsize=4)
def _read(place: Path, key: str) -> tuple[StoredImages, list[Path]]:
    """The images, and the files that they lie in, where that is not the table."""
    by_split = _by_split(place) if place.is_dir() else {}
    tables = [_table(file) for file in by_split.values() or [place]]
    what = repr(str(place))
    words = sorted({label for table in tables for label in table.labels}, key=_as_number_or_text)
    code = {word: i for i, word in enumerate(words)}
    labels = np.array([code[label] for table in tables for label in table.labels], dtype=np.int64)
    testing, tested_on = _testing(tables, list(by_split), labels, what)
    order = np.argsort(testing, kind="stable")
    classes, train_labels, test_labels = classes_of(
        labels[~testing], labels[testing], (), what, words
    )
    paths = [path for table in tables for path in table.paths]

    def pixels(cut: Cut, tell: Progress) -> NDArray[np.uint8]:
        from explorer.data.images import decode_images, filled

        if paths:
            return decode_images([paths[i] for i in order], cut, tell)
        rows = (row for table in tables for row in _images(table))
        return filled(rows, len(labels), cut, tell)[order]

    images = StoredImages(
        path=place.resolve(),
        named=Named(name_of(place), classes, tested_on),
        train_labels=train_labels,
        test_labels=test_labels,
        key=key,
        pixels=pixels,
    )
    return images, paths


def _as_number_or_text(word: str) -> tuple[int, str]:
    """2 comes before 10, and numbers before texts."""
    return (int(word), "") if word.isdecimal() and len(word) < 18 else (1 << 62, word)


def _testing(
    tables: Sequence[_Table], names: Sequence[str], labels: NDArray[np.int64], what: str
) -> tuple[NDArray[np.bool_], str]:
    """Which lines are for testing, and what stands for ``test``, in words."""
    if names:  # a table a split, that for training first
        sizes = [len(table.labels) for table in tables]
        return np.repeat([False, True], sizes), stands_for_test(names[1])
    splits = tables[0].splits
    if not splits:
        return drawn_test(labels), DRAWN_TEST
    there = set(splits)
    test = next((name for name in SPLITS["test"] if name in there), None)
    strangers = sorted(there - {*SPLITS["train"], *SPLITS["test"]})
    if test is None or "train" not in there or strangers:
        raise DataError(
            f"The column 'split' of {what} has {', '.join(repr(one) for one in sorted(there)[:5])}:"
            " it must say 'train' or 'test' of each line, and both."
        )
    if len(there) > 2:
        raise DataError(
            f"The column 'split' of {what} has {', '.join(repr(one) for one in sorted(there))}: "
            f"one beside 'train' can be tested on; leave out the lines of the others."
        )
    return np.array([one == test for one in splits]), stands_for_test(test)


def _by_split(folder: Path) -> dict[str, Path]:
    """``train.csv`` and ``test.csv``, or what stands for it; those that are there."""
    with readable(folder):
        found = {
            file.stem.lower(): file
            for file in sorted(folder.iterdir())
            if file.suffix.lower() in SUFFIXES and file.is_file() and not leads_out(folder, file)
        }
    names = [next((name for name in words if name in found), None) for words in SPLITS.values()]
    return {name: found[name] for name in names if name is not None}


# ---------------------------------------------------------------------------------- one table


def _table(file: Path) -> _Table:
    labels: list[str] = []
    splits: list[str] = []
    paths: list[Path] = []
    known: dict[str, str] = {}
    lines = _lines(file)
    columns = _columns(file, next(lines, ""))
    rows = lines if columns.head else _lines(file)
    for number, line in enumerate(rows, 2 if columns.head else 1):
        cells = _cells(line, columns)
        if cells is None:
            raise DataError(
                f"Line {number:,} of {file.name} has another number of columns than the first, "
                f"which has {columns.n}: mend or remove it."
            )
        label, path, split = cells
        if not label or len(label) > _LONGEST_LABEL:
            raise DataError(
                f"Line {number:,} of {file.name} has no label of up to {_LONGEST_LABEL} "
                "characters: mend or remove it."
            )
        labels.append(known.setdefault(label, label))
        if columns.split is not None:
            splits.append(known.setdefault(split.lower(), split.lower()))
        if columns.path is not None:
            paths.append(_beside(file, path, number))
    if not labels:
        raise DataError(f"{file.name} has no line of an image: it needs {WANTED}.")
    return _Table(file, columns, labels, splits, paths)


def _lines(file: Path) -> Iterator[str]:
    """The lines that are not empty.

    Raises:
        DataError: Larger than is read, or no text.
    """
    with readable(file), file.open("rb") as opened:
        if file.stat().st_size > LARGEST_FILE:
            raise DataError(
                f"{file.name} has more than {LARGEST_FILE >> 30} GiB, which are not read: keep "
                "the images in a .npz file instead."
            )
        n = 0
        while line := opened.readline(LONGEST_LINE):
            n += 1
            if len(line) >= LONGEST_LINE or n > MOST_LINES:
                raise DataError(
                    f"{file.name} has a line of more than {LONGEST_LINE >> 20} MB or more than "
                    f"{MOST_LINES:,} lines, which are not read: keep the images in a .npz file "
                    "instead."
                )
            try:
                text = line.decode("utf-8-sig").strip("\r\n")
            except UnicodeDecodeError:
                raise DataError(
                    f"Line {n:,} of {file.name} is no text in UTF-8: save the table so."
                ) from None
            if text.strip():
                yield text


def _columns(file: Path, first: str) -> _Columns:
    """What the first line says."""
    separator = next((one for one in ("\t", ";") if one in first), ",")
    cells = [cell.strip().strip('"').lower() for cell in first.split(separator)]

    def place(names: Sequence[str]) -> int | None:
        return next((cells.index(name) for name in names if name in cells), None)

    label, path, split = place(_LABELS), place(_PATHS), place(_SPLIT)
    head = label is not None
    if label is None and all(_is_number(cell) for cell in cells[1:]):  # as MNIST often is
        label = 0
    others = [i for i in range(len(cells)) if i not in (label, split)]
    pixels = range(others[0], others[-1] + 1) if others and path is None else range(0)
    if (
        label is None
        or len(cells) < 2
        or (path is None and (len(pixels) != len(others) or isqrt(len(pixels)) ** 2 != len(pixels)))
    ):
        shown = ", ".join(cells[:6])[:80] + (", …" if len(cells) > 6 else "")
        raise DataError(
            f"{file.name} has {len(cells)} columns ({shown}): it needs {WANTED}; colour images "
            "belong in folders or a .npz file."
        )
    return _Columns(len(cells), head, separator, label, path, split, pixels)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _cells(line: str, columns: _Columns) -> tuple[str, str, str] | None:
    """A line's label, path and split; None where it has another number of columns."""
    if columns.path is None and '"' not in line:  # many pixels: none of them is looked at yet
        if line.count(columns.separator) != columns.n - 1:
            return None
        last = max(columns.label, columns.split or 0)
        before = line.split(columns.separator, last + 1)
        cells = before if last + 1 < columns.n else line.split(columns.separator)
    else:
        cells = next(csv.reader([line], delimiter=columns.separator), [])
        if len(cells) != columns.n:
            return None
    of = [None if i is None else cells[i].strip() for i in (columns.label, columns.path)]
    split = "" if columns.split is None else cells[columns.split].strip()
    return of[0] or "", of[1] or "", split


def _beside(file: Path, path: str, number: int) -> Path:
    """An image file that a table names: one that lies in the table's folder."""
    place = file.parent / path
    try:
        inside = bool(path) and not leads_out(file.parent, place)
    except ValueError:  # a zero byte
        inside = False
    if not inside or not path.lower().endswith(IMAGE_SUFFIXES):
        raise DataError(
            f"Line {number:,} of {file.name} names {path[:60]!r}: it must be the path of an image "
            f"file ({', '.join(IMAGE_SUFFIXES)}) that lies beside the table or in a folder there."
        )
    return place


def _images(table: _Table) -> Iterator[NDArray[np.uint8]]:
    """(side, side) of each line."""
    columns, lines = table.columns, _lines(table.file)
    side, number = isqrt(len(columns.pixels)), 1
    if columns.head:
        next(lines, None)
        number += 1
    while block := list(islice(lines, max(1, _AT_A_TIME // len(columns.pixels)))):
        try:
            values = np.loadtxt(
                *(block, np.float64, None, columns.separator),
                usecols=columns.pixels,
                ndmin=2,
                quotechar='"',
            )
        except ValueError as error:
            reason = str(error).split(" at row")[0].rstrip(".;")
            raise DataError(
                f"A line of {table.file.name} from {number:,} on has pixels that are no numbers "
                f"({reason[:80]}): whole numbers from 0 to 255 are read."
            ) from None
        pixels = np.nan_to_num(values).clip(0, 255).astype(np.uint8)
        wrong = np.flatnonzero((pixels != values).any(axis=1))
        if len(wrong):
            i = int(wrong[0])
            value = values[i][pixels[i] != values[i]][0]
            raise DataError(
                f"Line {number + i:,} of {table.file.name} has a pixel of {value:g}: whole numbers "
                "from 0 to 255 are read; multiply shares by 255 and round them."
            )
        yield from pixels.reshape(-1, side, side)
        number += len(block)
