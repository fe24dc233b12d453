"""CIFAR's own python batches: files of pickles, of which nothing is executed.

Of a pickle only containers, numbers, texts and arrays of NumPy's are read, each within the bytes
that are there.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import IO, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from explorer.data.stored import (
    Cut,
    Named,
    Progress,
    StoredImages,
    classes_of,
    leads_out,
    name_of,
    readable,
    stamp,
)
from explorer.errors import DataError
from explorer.system.pickles import NarrowUnpickler, instructions

SIDE = 32
LARGEST_FILE = 512 << 20  # bytes; CIFAR-100's training images have 155 million
LARGEST_WORDS = 4 << 20  # of them, besides arrays; names and labels of 50,000 have 2 million
_BLOB = 4096  # bytes of a text or an array that is none of the words


@dataclass(frozen=True)
class _Layout:
    """How one of the two sets is kept.

    Attributes:
        names: Key of the classes' names in ``meta``.
        labels: Key of the labels in the others.
    """

    folder: str
    meta: str
    train: tuple[str, ...]
    test: str
    names: str
    labels: str

    def is_in(self, folder: Path) -> bool:
        files = (self.meta, self.train[0], self.test)
        return all((folder / name).is_file() for name in files)


_LAYOUTS = (
    _Layout(
        *("cifar-10-batches-py", "batches.meta"),
        tuple(f"data_batch_{n}" for n in range(1, 6)),
        *("test_batch", "label_names", "labels"),
    ),
    _Layout(
        *("cifar-100-python", "meta", ("train",), "test", "fine_label_names", "fine_labels"),
    ),
)


def is_here(folder: Path) -> bool:
    """Whether a folder has the batches, or has a folder of that name that has."""
    return bool(_found(folder))


def scan(folder: Path) -> Named:
    """Raises :class:`DataError`; see :func:`stored`."""
    place, layout = _one(folder)
    return Named(name_of(place), _class_names(place, layout))


def stored(folder: Path) -> StoredImages:
    """The batches as one data set.

    Raises:
        DataError: A batch is missing, damaged, holds more than arrays and lists, or its images
            are none of CIFAR's shape.
    """
    place, layout = _one(folder)
    files = [place / name for name in (*layout.train, layout.test)]
    names = _class_names(place, layout)
    batches = [_batch(file, layout.labels) for file in files]
    *train, test = [labels for _, labels in batches]
    classes, train_labels, test_labels = classes_of(np.concatenate(train), test, names, str(place))

    def pixels(cut: Cut, tell: Progress) -> NDArray[np.uint8]:
        from explorer.data.images import filled

        rows = (image for images, _ in batches for image in images)
        return filled(rows, sum(len(labels) for _, labels in batches), cut, tell)

    return StoredImages(
        path=place.resolve(),
        named=Named(name_of(place), classes),
        train_labels=train_labels,
        test_labels=test_labels,
        key=stamp(place / layout.meta, *files),
        pixels=pixels,
    )


def _found(folder: Path) -> list[tuple[Path, _Layout]]:
    return [
        (place, layout)
        for layout in _LAYOUTS
        for place in (folder, folder / layout.folder)
        if not leads_out(folder, place) and layout.is_in(place)
    ]


def _one(folder: Path) -> tuple[Path, _Layout]:
    found = _found(folder)
    if len(found) > 1:
        places = " and ".join(repr(str(place)) for place, _ in found)
        raise DataError(f"{str(folder)!r} has several sets of batches: give one of {places}.")
    return found[0]


def _class_names(place: Path, layout: _Layout) -> tuple[str, ...]:
    names = _content(place / layout.meta).get(layout.names)
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise DataError(
            f"{str(place / layout.meta)!r} has no list {layout.names!r} of the classes' names: "
            "unpack CIFAR's archive again."
        )
    if not 2 <= len(set(names)) == len(names):
        raise DataError(
            f"{str(place / layout.meta)!r} has {len(names)} names of classes, of which "
            f"{len(set(names))} differ: at least two are needed, each once."
        )
    return tuple(names)


def _batch(file: Path, key: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """(N, 32, 32, 3) pixels, and labels."""
    content = _content(file)
    pixels, labels = content.get("data"), content.get(key)
    try:
        images = pixels.array() if isinstance(pixels, _Array) else None
        known = labels.array() if isinstance(labels, _Array) else np.array(labels)
    except (ValueError, TypeError, OverflowError):
        images = known = None
    if (
        images is None
        or known is None
        or images.dtype != np.uint8
        or known.dtype.kind not in "iu"
        or images.shape != (len(known), 3 * SIDE**2)
        or known.ndim != 1
    ):
        raise DataError(
            f"{str(file)!r} is none of CIFAR's batches: its 'data' must be uint8 of N × "
            f"{3 * SIDE**2} and {key!r} N whole numbers; unpack CIFAR's archive again."
        )
    return images.reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1), known.astype(np.int64)


# ----------------------------------------------------------------------------------- pickles


@dataclass
class _Array:
    """An array as a pickle claims it; its bytes are there, whatever else it says."""

    dtype: np.dtype[Any] | None = None
    shape: tuple[int, ...] = ()
    order: str = "C"
    raw: bytes = b""

    def array(self) -> NDArray[Any]:
        """Raises ValueError where shape and bytes do not go together."""
        if self.dtype is None or prod(self.shape) * self.dtype.itemsize != len(self.raw):
            raise ValueError("an array of another size than its bytes")
        flat = np.frombuffer(self.raw, dtype=self.dtype)
        return flat.reshape(self.shape, order="F" if self.order == "F" else "C")


class _Function:
    """What stands for a function of NumPy's in a pickle."""

    def __init__(self, does: Callable[..., object]) -> None:
        self._does = does

    def __call__(self, *arguments: object) -> object:
        return self._does(*arguments)


class _Dtype:
    """What stands for a type of values: whole numbers, as little-endian bytes."""

    def __init__(self, name: Any) -> None:
        kinds = {np.dtype(kind).str[1:]: np.dtype(kind) for kind in "bBhHiIqQ"}
        kinds.update({kind.name: kind for kind in kinds.values()})
        if not isinstance(name, str) or name.lstrip("<|") not in kinds:
            raise pickle.UnpicklingError("other values than whole numbers")
        self.dtype = kinds[name.lstrip("<|")]

    def set(self, state: Any) -> None:
        if not isinstance(state, tuple) or state[1:2] not in (("<",), ("|",)):
            raise pickle.UnpicklingError("the other order of bytes")


def _dtype_of(value: Any) -> np.dtype[Any]:
    if not isinstance(value, _Dtype):
        raise pickle.UnpicklingError("an array of no type")
    return value.dtype


def _shape(value: Any) -> tuple[int, ...]:
    if not isinstance(value, tuple) or len(value) > 4 or not all(type(n) is int for n in value):
        raise pickle.UnpicklingError("no sizes of an array")
    return value


def _from_buffer(buffer: Any, dtype: Any, shape: Any, order: Any = "C", *_: Any) -> _Array:
    if not isinstance(buffer, (bytes, bytearray)):
        raise pickle.UnpicklingError("no bytes of an array")
    return _Array(_dtype_of(dtype), _shape(shape), order, bytes(buffer))


def _scalar(dtype: Any, content: Any) -> int:
    if not isinstance(content, bytes):
        raise pickle.UnpicklingError("no number")
    return int(np.frombuffer(content, dtype=_dtype_of(dtype))[0])


_NDARRAY = object()  # named in pickles of arrays; nothing is done with it
_MULTIARRAY = ("numpy.core.multiarray", "numpy._core.multiarray")
_NUMERIC = ("numpy.core.numeric", "numpy._core.numeric")
_KNOWN: dict[tuple[str, str], object] = {
    **dict.fromkeys(((m, "_reconstruct") for m in _MULTIARRAY), _Function(lambda *_: _Array())),
    **dict.fromkeys(((m, "scalar") for m in _MULTIARRAY), _Function(_scalar)),
    **dict.fromkeys(((m, "_frombuffer") for m in _NUMERIC), _Function(_from_buffer)),
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): _Function(lambda name, *_: _Dtype(name)),
}


class _Unpickler(NarrowUnpickler):
    """Arrays of NumPy's besides, and texts as Python 2 wrote them."""

    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = {
        **instructions(
            *(pickle.BINSTRING, pickle.SHORT_BINSTRING),
            *(pickle.BINBYTES8, pickle.BINUNICODE8, pickle.BYTEARRAY8),
        ),
        **NarrowUnpickler.dispatch,
    }

    def __init__(self, file: Any) -> None:
        super().__init__(file, encoding="latin1")
        self._encoded: dict[int, tuple[str, bytes]] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("_codecs", "encode"):  # bytes, as Python 3 tells them to Python 2
            return _Function(self._encode)
        found = _KNOWN.get((module, name))
        return super().find_class(module, name) if found is None else found

    def _encode(self, text: Any, encoding: Any) -> bytes:
        """Once of each text: copies of a large one, made often, would fill the memory."""
        if not isinstance(text, str) or encoding != "latin1":
            raise pickle.UnpicklingError("no text")
        if id(text) not in self._encoded:
            self._encoded[id(text)] = text, text.encode("latin1")
        return self._encoded[id(text)][1]

    def load_frame(self) -> None:
        """Frames only say what to read ahead, and nothing is."""
        self.read(8)

    def load_bytearray8(self) -> None:
        n = int.from_bytes(self.read(8), "little")
        self.append(self.read(n))

    def load_build(self) -> None:
        state, into = self.stack.pop(), self.stack[-1]
        if isinstance(into, _Dtype):
            into.set(state)
            return
        if not isinstance(into, _Array) or not isinstance(state, tuple) or len(state) != 5:
            raise pickle.UnpicklingError("attributes")
        _, shape, dtype, column_major, raw = state
        if isinstance(raw, str):  # as Python 2 wrote bytes
            raw = self._encode(raw, "latin1")
        if not isinstance(raw, bytes):
            raise pickle.UnpicklingError("no bytes of an array")
        into.dtype, into.shape, into.raw = _dtype_of(dtype), _shape(shape), raw
        into.order = "F" if column_major else "C"

    dispatch |= {
        pickle.FRAME[0]: load_frame,
        pickle.BYTEARRAY8[0]: load_bytearray8,
        pickle.BUILD[0]: load_build,
    }


class _Within:
    """A file of which no more is read than there is, and so much of words."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file, self._left, self._words = file, size, LARGEST_WORDS

    def read(self, n: int) -> bytes:
        if not 0 <= n <= self._left:
            raise EOFError
        self._left -= n
        return self._count(self._file.read(n))

    def readline(self) -> bytes:
        line = self._file.readline(_BLOB)
        self._left -= len(line)
        return self._count(line)

    def _count(self, content: bytes) -> bytes:
        if len(content) < _BLOB:
            self._words -= len(content)
        if self._words < 0:
            raise pickle.UnpicklingError("more words than a batch has")
        return content


def _content(file: Path) -> Mapping[str, object]:
    """The dictionary in a file of CIFAR's.

    Raises:
        DataError: Missing, larger than any of them, or anything else inside.
    """
    with readable(file):
        size = file.stat().st_size
        if leads_out(file.parent, file) or not file.is_file():
            raise DataError(
                f"{str(file)!r} is no file of this folder: unpack CIFAR's archive again."
            )
        if size > LARGEST_FILE:
            raise DataError(
                f"{str(file)!r} has {size >> 20:,} MB, more than the {LARGEST_FILE >> 20} MB that "
                "are read of a batch: CIFAR's own have up to 155 MB."
            )
        try:
            with file.open("rb") as opened:
                content = _Unpickler(_Within(opened, size)).load()
        except OSError:
            raise
        except Exception:  # what a damaged or foreign file raises is anyone's guess
            content = None
    if not isinstance(content, dict):
        raise DataError(
            f"{str(file)!r} is damaged, or holds more than arrays, numbers and texts, which is not "
            "read because such a file can run any code: unpack CIFAR's archive again."
        )
    return content
