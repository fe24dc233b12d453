"""Images with their classes as they lie on this machine, of whatever kind the place is. No torch.

A kind is a module of this folder: :mod:`folders`, :mod:`archives`, :mod:`cifar`, :mod:`arrays`,
:mod:`tables`. Each makes one :class:`StoredImages` of a path, from names, headers and labels alone,
and takes the memory of the pixels only when they are asked for.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explorer.data.order import Indices, spread
from explorer.errors import DataError
from explorer.structure.specs import DataInfo
from explorer.system.archives import Oversized

Progress = Callable[[float], None]  # told the share done, in [0, 1]
# What may be named as data, for every sentence that refuses something else.
_TEST_SHARE = 5  # every fifth image is for testing, where nothing says which are
_DRAWN = 8  # stream of random numbers
DRAWN_TEST = "tested on a fifth of its images, drawn"


@dataclass(frozen=True)
class Cut:
    """How an image becomes a square.

    Attributes:
        side: In pixels.
        resize: To how many pixels its shorter side is made before its centre is cut out; None
            takes the largest central square.
    """

    side: int
    resize: int | None = None


@dataclass(frozen=True)
class Named:
    """What images are called, which is known at once.

    Attributes:
        name: By where they lie.
        tested_on: What stands for test images, where it is not the place's own ``test``; in words.
    """

    name: str
    classes: tuple[str, ...]
    tested_on: str = ""

    def info(self, side: int) -> DataInfo:
        """As RGB of ``side``² pixels."""
        title = f"{self.name} ({self.tested_on})" if self.tested_on else self.name
        return DataInfo(title=title, input_shape=(3, side, side), classes=self.classes)


def name_of(path: Path) -> str:
    return path.resolve().name or str(path)


@dataclass(frozen=True, eq=False)
class StoredImages:
    """What is at a path, before any pixel is read.

    Attributes:
        train_labels, test_labels: Indices into the classes.
        key: Changes whenever what lies there does.
        pixels: (N, 3, cut.side, cut.side) uint8 of the training images, then of the test images.
    """

    path: Path
    named: Named
    train_labels: Indices
    test_labels: Indices
    key: str
    pixels: Callable[[Cut, Progress], NDArray[np.uint8]]

    @property
    def classes(self) -> tuple[str, ...]:
        return self.named.classes


def drawn_test(labels: Indices) -> NDArray[np.bool_]:
    """Which images are for testing where nothing says so: a fifth of each class, always the same.

    Raises:
        DataError: Too few images to leave some of them out.
    """
    chosen = np.zeros(len(labels), dtype=bool)
    chosen[spread(labels, _DRAWN)[: len(labels) // _TEST_SHARE]] = True
    if not chosen.any():
        raise DataError(
            f"{len(labels)} images are too few to train and to test on: give at least "
            f"{_TEST_SHARE}, or say which are for testing."
        )
    return chosen


def classes_of(
    train: Sequence[object] | NDArray[np.generic],
    test: Sequence[object] | NDArray[np.generic],
    names: Sequence[str],
    what: str,
    words: Sequence[str] = (),
) -> tuple[tuple[str, ...], Indices, Indices]:
    """Names of the classes, and labels as indices into them.

    Args:
        train, test: Whole numbers, or texts.
        names: Of the numbers 0, 1, …; empty where nothing says how they are called.
        what: What sentences call the place.
        words: What the numbers stand for, where classes are known by texts.

    Raises:
        DataError: One class alone, a test class that is not trained on, a number without a name.
    """
    given, asked = np.asarray(train), np.asarray(test)
    known = np.unique(given)
    if names and known.dtype.kind in "iu":
        low, high = min(int(known[0]), int(asked.min())), max(int(known[-1]), int(asked.max()))
        if low < 0 or high >= len(names):
            raise DataError(
                f"{what} has labels from {low} to {high} and names of {len(names)} classes: labels "
                f"must lie between 0 and {len(names) - 1}."
            )
        return tuple(names), given.astype(np.int64), asked.astype(np.int64)

    def word(value: Any) -> str:
        return words[int(value)] if words else str(value)

    strangers = np.setdiff1d(asked, known)
    if len(strangers):
        raise DataError(
            f"The class {word(strangers[0])!r} of {what} has images for testing but none for "
            "training: add training images of it, or leave it out."
        )
    if len(known) < 2:
        raise DataError(
            f"Every training image of {what} is of one class, {word(known[0])!r}: a net needs at "
            "least two to tell apart."
        )
    if len(known) > MOST_CLASSES:
        raise DataError(
            f"{what} has {len(known):,} different labels, more than the {MOST_CLASSES:,} classes "
            "that can be told apart: check which column or array holds the labels."
        )
    classes = tuple(word(value) for value in known)
    return classes, np.searchsorted(known, given), np.searchsorted(known, asked)


MOST_CLASSES = 100_000


def stamp(*files: Path) -> str:
    """Changes whenever one of the files does."""
    states = [(str(file), *_state(file)) for file in files]
    return repr(states)


def _state(file: Path) -> tuple[int, int]:
    with readable(file):
        state = file.stat()
    return state.st_size, state.st_mtime_ns


@contextmanager
def readable(place: Path) -> Iterator[None]:
    """What the system says about an unreadable folder or file, as a sentence."""
    try:
        yield
    except OSError as error:
        kind = "folder" if os.path.isdir(place) else "file"
        raise DataError(
            f"The {kind} {str(place)!r} cannot be read ({error.strerror or error}): "
            f"check its permissions, or choose another {kind}."
        ) from None
    except Oversized as error:
        raise DataError(f"{place.name} {error}.") from None


def leads_out(root: Path, path: str | Path) -> bool:
    """Whether what lies there is, all links followed, outside of the folder."""
    inside = os.path.realpath(root)
    return os.path.commonpath([inside, os.path.realpath(path)]) != inside
