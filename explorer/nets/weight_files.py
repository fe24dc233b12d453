"""Tensors of a file that a person brings: .safetensors, .pt, .pth. Nothing in it is executed.

A file says how large its tensors are before it shows them. That is read first
(:attr:`StoredTensors.shapes`), held against the bytes that are there, and against the net that
they are for; memory is taken only then (:meth:`StoredTensors.read`).

A .pt file is a zip archive: a pickle, and the values of each storage beside it, uncompressed. (Up
to torch 1.5 it was pickles with the values behind them.) torch's own reader takes memory for
whatever the pickle claims, a tensor of a million rows over a storage of one value included. The
one here knows containers, numbers, texts and claims of tensors, and calls nothing else.
"""

from __future__ import annotations

import io
import os
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import IO, Any, ClassVar

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from explorer.errors import WeightsError
from explorer.formats import WEIGHTS_SUFFIXES, listed

LARGEST_PICKLE = 2 << 20  # bytes; that of a net with 700 tensors has a tenth of a million
LARGEST_DIRECTORY = 4 << 20  # bytes of an archive's list of its files
_MOST_DIMENSIONS = 8
_CHUNK = LARGEST_DIRECTORY
# How the format of torch 1.5 and before begins: a magic number, pickled.
_OLD = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
_DTYPES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}


@dataclass(frozen=True)
class StoredTensors:
    """What a file holds, by name, before any of it is in memory.

    Attributes:
        file: Its name.
        shapes: As its header claims them; the values behind them are there.
        read: Takes the memory.
    """

    file: str
    shapes: Mapping[str, tuple[int, ...]]
    read: Callable[[], dict[str, Tensor]]

    def renamed(self, names: Callable[[str], str]) -> StoredTensors:
        """The same tensors under other names."""

        def read() -> dict[str, Tensor]:
            return {names(name): value for name, value in self.read().items()}

        shapes = {names(name): shape for name, shape in self.shapes.items()}
        return StoredTensors(self.file, shapes, read)


def stored_tensors(path: Path) -> StoredTensors:
    """The tensors of a file by name, none of them read yet.

    Raises:
        WeightsError: One sentence: no such file, another kind of file, damaged, more than tensors
            inside, or sizes that its bytes do not bear out.
    """
    if path.suffix not in WEIGHTS_SUFFIXES:
        raise WeightsError(
            f"Weights are read from {listed(WEIGHTS_SUFFIXES)} files, not from {path.name!r}: save "
            "net.state_dict() as one of these."
        )
    if not path.is_file():
        raise WeightsError(f"There is no weights file {path}; check the path.")
    return _safetensors(path) if path.suffix == ".safetensors" else _pickled(path)


# ------------------------------------------------------------------------------ safetensors


def _safetensors(path: Path) -> StoredTensors:
    with _whole(path), safe_open(path, framework="pt") as file:
        # Its reader has checked that the header's sizes are those of the bytes behind it.
        shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118

    def read() -> dict[str, Tensor]:
        with _whole(path), safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in shapes}

    return StoredTensors(path.name, shapes, read)


@contextmanager
def _whole(path: Path) -> Iterator[None]:
    try:
        yield
    except (SafetensorError, OSError) as error:
        raise WeightsError(
            f"{path.name} is not a safetensors file, or is damaged ({error}); save it again "
            "with safetensors.torch.save_file."
        ) from None


# ---------------------------------------------------------------------------------- pickles


@dataclass(frozen=True)
class _Storage:
    """Values in a row: where they lie, and how many are claimed."""

    key: str
    dtype: torch.dtype
    numel: int

    @property
    def nbytes(self) -> int:
        return self.numel * self.dtype.itemsize


@dataclass(frozen=True)
class _Claim:
    """A tensor as the pickle claims it."""

    storage: _Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]

    def check(self) -> None:
        """Refuses one that is not within its storage, or larger (strides of 0 would allow it)."""
        numbers = (self.offset, *self.size, *self.stride)
        if not all(type(number) is int and 0 <= number < 2**48 for number in numbers):
            raise pickle.UnpicklingError("a size that is none")
        if len(self.size) != len(self.stride) or len(self.size) > _MOST_DIMENSIONS:
            raise pickle.UnpicklingError("another number of strides than of dimensions")
        last = sum((n - 1) * step for n, step in zip(self.size, self.stride, strict=True))
        count = prod(self.size)
        if count > self.storage.numel or (count and self.offset + last >= self.storage.numel):
            shape = "×".join(map(str, self.size))
            raise _NotBorneOut(f"a tensor of {shape} over {self.storage.numel} values")


class _NotBorneOut(Exception):
    """A file claims more than it holds; the words say what."""


class _Function:
    """What stands for a function of torch's in a pickle."""

    def __init__(self, does: Callable[..., object]) -> None:
        self._does = does

    def __call__(self, *arguments: object) -> object:
        return self._does(*arguments)


def _tensor(storage: object, offset: Any, size: Any, stride: Any, *_: object) -> _Claim:
    if not isinstance(storage, _Storage):
        raise pickle.UnpicklingError("a tensor without a storage")
    claim = _Claim(storage, offset, tuple(size), tuple(stride))
    claim.check()
    return claim


def _sizes(sizes: object) -> object:
    """Those of one tensor: a copy of any other text or list, made often, would fill the memory."""
    if not isinstance(sizes, tuple) or len(sizes) > _MOST_DIMENSIONS:
        raise pickle.UnpicklingError("no sizes of a tensor")
    return sizes


_TENSOR = _Function(_tensor)
_KNOWN: dict[tuple[str, str], object] = {
    ("collections", "OrderedDict"): _Function(lambda: OrderedDict()),  # an empty one, that is
    ("torch._utils", "_rebuild_tensor"): _TENSOR,
    ("torch._utils", "_rebuild_tensor_v2"): _TENSOR,
    ("torch._utils", "_rebuild_parameter"): _Function(lambda data, *_: data),
    # What a training's checkpoint may hold beside its tensors.
    ("torch", "Size"): _Function(_sizes),
    ("torch", "device"): _Function(lambda *words: words),
    **{("torch", name): dtype for name, dtype in _DTYPES.items()},
    **{("torch", str(dtype).removeprefix("torch.")): str(dtype) for dtype in _DTYPES.values()},
}
_OPCODES = (
    *(pickle.PROTO, pickle.FRAME, pickle.STOP, pickle.MARK, pickle.POP, pickle.POP_MARK),
    *(pickle.NONE, pickle.NEWTRUE, pickle.NEWFALSE, pickle.BINFLOAT),
    *(pickle.BININT, pickle.BININT1, pickle.BININT2, pickle.LONG1),
    *(pickle.BINUNICODE, pickle.SHORT_BINUNICODE, pickle.SHORT_BINBYTES, pickle.BINBYTES),
    *(pickle.EMPTY_DICT, pickle.SETITEM, pickle.SETITEMS),
    *(pickle.EMPTY_LIST, pickle.APPEND, pickle.APPENDS),
    *(pickle.EMPTY_TUPLE, pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3),
    *(pickle.BINPUT, pickle.LONG_BINPUT, pickle.BINGET, pickle.LONG_BINGET, pickle.MEMOIZE),
    *(pickle.GLOBAL, pickle.STACK_GLOBAL, pickle.REDUCE, pickle.BUILD, pickle.BINPERSID),
)


class _Unpickler(pickle._Unpickler):
    """Containers, numbers, texts and claims of tensors; anything else is an error.

    Python's own unpickler in Python: the one in C takes memory for any index of its memo.
    """

    stack: list[Any]
    read: Callable[[int], bytes]
    append: Callable[[object], None]
    pop_mark: Callable[[], list[Any]]
    load_mark: Callable[[], None]

    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = {
        code[0]: pickle._Unpickler.dispatch[code[0]] for code in _OPCODES
    }

    def find_class(self, module: str, name: str) -> Any:
        found = _KNOWN.get((module, name))
        if found is None:
            raise pickle.UnpicklingError(f"{module[:40]}.{name[:40]}")
        return found

    def persistent_load(self, pid: Any) -> _Storage:
        kind, dtype, key, _, numel, *view = pid
        if kind != "storage" or not isinstance(dtype, torch.dtype) or view not in ([], [None]):
            raise pickle.UnpicklingError("no storage")
        if type(numel) is not int or not 0 <= numel < 2**48 or not isinstance(key, str):
            raise pickle.UnpicklingError("a storage of no size")
        return _Storage(key, dtype, numel)

    def load_build(self) -> None:
        """Attributes are for classes; of a dictionary they say nothing that is read here."""
        if not isinstance(self.stack[-2], OrderedDict):
            raise pickle.UnpicklingError("attributes")
        self.stack.pop()

    dispatch[pickle.BUILD[0]] = load_build

    def load_setitems(self) -> None:
        """Keys are texts and numbers: tuples could be made to collide, or as deep as to crash."""
        items = self.pop_mark()
        into = self.stack[-1]
        if not isinstance(into, dict) or not all(type(key) in (str, int) for key in items[::2]):
            raise pickle.UnpicklingError("no name in a dictionary")
        into.update(zip(items[::2], items[1::2], strict=True))

    dispatch[pickle.SETITEMS[0]] = load_setitems

    def load_setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self.load_mark()
        self.stack += [key, value]
        self.load_setitems()

    dispatch[pickle.SETITEM[0]] = load_setitem

    def load_long1(self) -> None:
        """Of up to eight bytes: larger ones could be chosen to collide as keys."""
        n = self.read(1)[0]
        if n > 8:
            raise pickle.UnpicklingError("a number of many digits")
        self.append(pickle.decode_long(self.read(n)))

    dispatch[pickle.LONG1[0]] = load_long1


def _pickled(path: Path) -> StoredTensors:
    with _intact(path):
        total = path.stat().st_size
        with path.open("rb") as file:
            old = file.read(len(_OLD)) == _OLD
        stored, contents = (_old_archive if old else _archive)(path)
        claims = _state_dict(stored, path.name)
        storages = {claim.storage for claim in claims.values()}
        size = sum(storage.nbytes for storage in storages)
        if size > total:
            raise _NotBorneOut(f"{size:,} bytes of values, and the file has {total:,}")

    def read() -> dict[str, Tensor]:
        with _intact(path):
            full = {
                storage: torch.frombuffer(content, dtype=storage.dtype)
                if content
                else torch.empty(0, dtype=storage.dtype)
                for storage, content in contents(storages)
            }
            return {
                name: full[claim.storage].as_strided(claim.size, claim.stride, claim.offset)
                for name, claim in claims.items()
            }

    return StoredTensors(path.name, {name: claim.size for name, claim in claims.items()}, read)


@contextmanager
def _intact(path: Path) -> Iterator[None]:
    """What a damaged or foreign file makes its readers raise, as a sentence."""
    try:
        yield
    except WeightsError:
        raise
    except _NotBorneOut as error:
        raise WeightsError(
            f"{path.name} claims more than it holds ({error}), so that it is not read: save "
            "net.state_dict() again."
        ) from None
    except Exception:  # what a damaged or foreign file raises is anyone's guess
        raise WeightsError(
            f"{path.name} is damaged, or holds more than tensors, which is not read because such a "
            "file can run any code: save the tensors alone with "
            "torch.save(net.state_dict(), 'net.pt')."
        ) from None


# Of some storages, each with its bytes.
Contents = Callable[[Collection[_Storage]], Iterator[tuple[_Storage, bytearray]]]


class _Careful(io.FileIO):
    """A file of which no more is read at once than ``LARGEST_DIRECTORY`` bytes."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or size < 0:
            size = os.fstat(self.fileno()).st_size - self.tell()
        if size > LARGEST_DIRECTORY:
            raise _NotBorneOut(f"more than {LARGEST_DIRECTORY >> 20} MB of headers")
        return super().read(size) or b""


def _archive(path: Path) -> tuple[object, Contents]:
    """What the pickle of an archive claims, and how storages are read."""
    with _Careful(path) as file, zipfile.ZipFile(file) as archive:
        entries = {entry.filename: entry for entry in archive.infolist()}
        (head,) = [name for name in entries if name.endswith("/data.pkl") and name.count("/") == 1]
        root = head.removesuffix("data.pkl")
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries.values()):
            raise WeightsError(
                f"{path.name} is a compressed archive, which may be any size inside, so that it is "
                "not read: torch.save compresses nothing; save net.state_dict() again."
            )
        if entries[head].file_size > LARGEST_PICKLE:
            raise _NotBorneOut(f"{entries[head].file_size:,} bytes of names and shapes")
        order = entries.get(f"{root}byteorder")
        if order is not None and archive.read(order) != b"little":
            raise pickle.UnpicklingError("the other order of bytes")
        stored = _Unpickler(io.BytesIO(archive.read(head))).load()

    def contents(storages: Collection[_Storage]) -> Iterator[tuple[_Storage, bytearray]]:
        with _Careful(path) as file, zipfile.ZipFile(file) as archive:
            for storage in storages:
                entry = archive.getinfo(f"{root}data/{storage.key}")
                if entry.file_size != storage.nbytes:
                    found = f"{storage.nbytes:,} bytes in the place of {entry.file_size:,}"
                    raise _NotBorneOut(found)
                with archive.open(entry) as one:
                    yield storage, _exactly(one, storage.nbytes)

    return stored, contents


def _old_archive(path: Path) -> tuple[object, Contents]:
    """The same of the format of torch 1.5 and before: pickles, then the storages in a row."""
    total = path.stat().st_size
    with path.open("rb") as file:
        head = io.BytesIO(file.read(LARGEST_PICKLE))
    head.seek(len(_OLD))
    if _Unpickler(head).load() != 1001 or not _Unpickler(head).load()["little_endian"]:
        raise pickle.UnpicklingError("another format, or the other order of bytes")
    stored, keys = _Unpickler(head).load(), _Unpickler(head).load()
    dtypes = {storage.key: storage.dtype for storage in _storages(stored)}
    places: dict[str, tuple[int, int]] = {}
    at = head.tell()
    with path.open("rb") as file:
        for key in keys:
            file.seek(at)
            (numel,) = struct.unpack("<q", file.read(8))
            places[key] = at + 8, numel
            at += 8 + numel * dtypes[key].itemsize
            if numel < 0 or at > total:
                raise _NotBorneOut(f"{numel:,} values, and the file ends before")

    def contents(storages: Collection[_Storage]) -> Iterator[tuple[_Storage, bytearray]]:
        with path.open("rb") as file:
            for storage in storages:
                place, numel = places[storage.key]
                if (numel, dtypes[storage.key]) != (storage.numel, storage.dtype):
                    raise _NotBorneOut(f"{storage.numel:,} values in the place of {numel:,}")
                file.seek(place)
                yield storage, _exactly(file, storage.nbytes)

    return stored, contents


def _storages(stored: object) -> Iterator[_Storage]:
    """Of every tensor, however deep in dictionaries and lists."""
    seen: set[int] = set()
    waiting = [stored]
    while waiting:
        one = waiting.pop()
        if isinstance(one, _Claim):
            yield one.storage
        elif isinstance(one, (Mapping, list, tuple)) and id(one) not in seen:
            seen.add(id(one))
            waiting += one.values() if isinstance(one, Mapping) else one


def _exactly(file: IO[bytes], n: int) -> bytearray:
    """So many bytes, in pieces: memory is taken as it is filled."""
    content = bytearray()
    while len(content) < n:
        piece = file.read(min(_CHUNK, n - len(content)))
        if not piece:
            raise EOFError
        content += piece
    return content


def _state_dict(stored: object, file: str) -> dict[str, _Claim]:
    """The state dict in what was stored: a training's checkpoint may have it inside."""
    if isinstance(stored, Mapping):
        for key in ("state_dict", "model_state_dict", "model", "net"):
            inner = stored.get(key)
            if isinstance(inner, Mapping):
                stored = inner
                break
    if (
        not isinstance(stored, Mapping)
        or not stored
        or not all(isinstance(value, _Claim) for value in stored.values())
    ):
        raise WeightsError(
            f"{file} does not hold a state_dict, tensors by name: save net.state_dict()."
        )
    state = {str(key): value for key, value in stored.items()}
    for prefix in ("module.", "_orig_mod."):  # of DataParallel, of torch.compile
        if all(key.startswith(prefix) for key in state):
            state = {key.removeprefix(prefix): value for key, value in state.items()}
    return state
