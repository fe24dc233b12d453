"""Tensors of a file that a person brings, whatever its name is. Nothing in it is executed.

A file says how large its tensors are before it shows them. That is read first
(:attr:`StoredTensors.shapes`), held against the bytes that are there, and against the net that
they are for; memory is taken only then (:meth:`StoredTensors.read`).

A .pt file is a zip archive: a pickle, and the values of each storage beside it, uncompressed. (Up
to torch 1.5 it was pickles with the values behind them.) torch's own reader takes memory for
whatever the pickle claims, a tensor of a million rows over a storage of one value included. The
one here knows containers, numbers, texts and claims of tensors, and calls nothing else: what
trainings save beside them (NumPy's numbers, options) is passed over, and any other kind refused.

The tensors may be wrapped as people wrap them: in a dictionary beside an epoch and an optimiser
(:func:`_state_dict`), and under names that DataParallel, torch.compile or a class of one's own
prefixed (:func:`bare_names`).
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
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import IO, Any, ClassVar

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from explorer.errors import WeightsError
from explorer.system.pickles import NarrowUnpickler, instructions
from explorer.writing.formats import OLD_TORCH, WEIGHTS_HEAD, listed, weights_suffix

LARGEST_HEADER = 2 << 20  # bytes; that of a net with 700 tensors has a tenth of a million
LARGEST_DIRECTORY = 4 << 20  # bytes of an archive's list of its files
_MOST_DIMENSIONS = 8
_CHUNK = LARGEST_DIRECTORY
_OLD = OLD_TORCH
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
        header: Texts that a safetensors file has beside its tensors.
        notes: What a person should know of what was taken, sentences.
    """

    file: str
    shapes: Mapping[str, tuple[int, ...]]
    read: Callable[[], dict[str, Tensor]]
    header: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def renamed(self, names: Callable[[str], str]) -> StoredTensors:
        """The same tensors under other names."""
        return self.taken({names(name): name for name in self.shapes})

    def taken(self, names: Mapping[str, str], *notes: str) -> StoredTensors:
        """Some of the tensors: by the name that each is to have, its name here."""

        def read() -> dict[str, Tensor]:
            stored = self.read()
            return {new: stored[old] for new, old in names.items()}

        shapes = {new: self.shapes[old] for new, old in names.items()}
        return StoredTensors(self.file, shapes, read, self.header, (*self.notes, *notes))


def stored_tensors(path: Path) -> StoredTensors:
    """The tensors of a file by name, none of them read yet.

    Raises:
        WeightsError: One sentence: no such file, another kind of file, damaged, more than tensors
            inside, or sizes that its bytes do not bear out.
    """
    if not path.is_file():
        raise WeightsError(f"There is no weights file {path}; check the path.")
    try:
        with path.open("rb") as file:
            kind = weights_suffix(file.read(WEIGHTS_HEAD))
    except OSError as error:
        raise WeightsError(
            f"{path.name} cannot be read ({error.strerror or error}): check its permissions."
        ) from None
    stored = (_safetensors if (kind or path.suffix) == ".safetensors" else _pickled)(path)
    bare = bare_names(tuple(stored.shapes))
    harmless = [name for name in bare if _is_harmless(name)]
    said = []
    if harmless:
        some = listed([*dict.fromkeys(name.rpartition(".")[2] for name in harmless)])
        said = [f"{path.name}: {some} left out, which the net computes nothing with."]
    return stored.taken({new: old for new, old in bare.items() if new not in harmless}, *said)


# What is put round a net: DataParallel and its kind, AveragedModel; torch.compile.
_WRAPPERS = ("module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
# Counters that tools leave among the tensors: of operations (thop), of averaged steps.
_COUNTERS = ("total_ops", "total_params", "n_averaged")


def bare_names(names: Collection[str]) -> dict[str, str]:
    """Each name without what wraps the net, and what it was: wrappers' names anywhere, and before
    all of them what all have in common (``model.``, ``backbone.``), in any order."""
    bare = {".".join(p for p in name.split(".") if p not in _WRAPPERS): name for name in names}
    if len(bare) < len(names):  # two would have become one
        bare = {name: name for name in names}
    while True:
        weighty = [name for name in bare if not _is_harmless(name)]
        first = {name.partition(".")[0] for name in weighty}
        if len(first) != 1 or not all(name.count(".") > 1 for name in weighty):
            return bare
        (prefix,) = first
        bare = {name.removeprefix(f"{prefix}."): old for name, old in bare.items()}


def _is_harmless(name: str) -> bool:
    return name.rpartition(".")[2] in _COUNTERS


# ------------------------------------------------------------------------------ safetensors


def check_header(path: Path) -> None:
    """Refuses a safetensors file with more names and shapes than any net has.

    Its library reads up to 100 MB of them, 1.5 million tensors of nothing, for some minutes.

    Raises:
        WeightsError: The header claims to be too large.
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        claimed = int.from_bytes(file.read(8), "little")
    # More than there is, as another kind of file seems to claim, is refused by the library itself.
    if LARGEST_HEADER < claimed <= path.stat().st_size:
        raise WeightsError(
            f"{path.name} has {claimed:,} bytes of names and shapes, more than the "
            f"{LARGEST_HEADER:,} that are read: save net.state_dict() and nothing else."
        )


def _safetensors(path: Path) -> StoredTensors:
    with _whole(path):
        check_header(path)
    with _whole(path), safe_open(path, framework="pt") as file:
        # Its reader has checked that the header's sizes are those of the bytes behind it.
        shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
        header = dict(file.metadata() or {})

    def read() -> dict[str, Tensor]:
        with _whole(path), safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in shapes}

    return StoredTensors(path.name, shapes, read, header)


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


class _Aside:
    """What stands for values that are passed over: options, NumPy's numbers, milestones."""


_ASIDE = _Aside()
_TENSOR = _Function(_tensor)
_PASSED_OVER = _Function(lambda *_: _ASIDE)
_KNOWN: dict[tuple[str, str], object] = {
    ("collections", "OrderedDict"): _Function(lambda: OrderedDict()),  # an empty one, that is
    ("torch._utils", "_rebuild_tensor"): _TENSOR,
    ("torch._utils", "_rebuild_tensor_v2"): _TENSOR,
    ("torch._utils", "_rebuild_parameter"): _Function(lambda data, *_: data),
    # What a training's checkpoint may hold beside its tensors.
    ("torch", "Size"): _Function(_sizes),
    ("torch", "device"): _Function(lambda *words: words),
    ("collections", "defaultdict"): _Function(lambda *_: OrderedDict()),
    **dict.fromkeys(
        [
            *((f"numpy.{core}.multiarray", "scalar") for core in ("core", "_core")),
            *((f"numpy.{core}.multiarray", "_reconstruct") for core in ("core", "_core")),
            *(("numpy", "dtype"), ("numpy", "ndarray"), ("_codecs", "encode")),
            *(("argparse", "Namespace"), ("collections", "Counter")),
            *(("pathlib", "PosixPath"), ("pathlib", "WindowsPath"), ("pathlib", "PurePosixPath")),
            *(("pathlib._local", "PosixPath"), ("pathlib._local", "WindowsPath")),
            *(
                (module, kind)
                for module in ("builtins", "__builtin__")
                for kind in ("set", "frozenset", "complex", "slice", "dict", "list", "int", "float")
            ),
        ],
        _PASSED_OVER,
    ),
    **{("torch", name): dtype for name, dtype in _DTYPES.items()},
    **{("torch", str(dtype).removeprefix("torch.")): str(dtype) for dtype in _DTYPES.values()},
}


class _Unpickler(NarrowUnpickler):
    """Containers, numbers, texts and claims of tensors; anything else is an error."""

    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = {
        **instructions(pickle.BINPERSID),
        **NarrowUnpickler.dispatch,
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
        if not isinstance(self.stack[-2], (OrderedDict, _Aside)):
            raise pickle.UnpicklingError("attributes")
        self.stack.pop()

    dispatch[pickle.BUILD[0]] = load_build

    def load_newobj(self) -> None:
        """Of no class is an object made; only of those that are passed over may there be one."""
        self.stack.pop()
        if self.stack.pop() is not _PASSED_OVER:
            raise pickle.UnpicklingError("an object")
        self.append(_ASIDE)

    dispatch[pickle.NEWOBJ[0]] = load_newobj


def _pickled(path: Path) -> StoredTensors:
    with _intact(path):
        total = path.stat().st_size
        with path.open("rb") as file:
            old = file.read(len(_OLD)) == _OLD
        stored, contents = (_old_archive if old else _archive)(path)
        claims, notes = _state_dict(stored, path.name)
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

    shapes = {name: claim.size for name, claim in claims.items()}
    return StoredTensors(path.name, shapes, read, notes=notes)


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
        if entries[head].file_size > LARGEST_HEADER:
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
        head = io.BytesIO(file.read(LARGEST_HEADER))
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


_DEEPEST = 4  # dictionaries in dictionaries that are looked through for the tensors
_USUAL = ("state_dict", "model_state_dict", "model_state", "model", "net")  # keys, the first wins


def _state_dict(stored: object, file: str) -> tuple[dict[str, _Claim], tuple[str, ...]]:
    """The net's tensors by name, wherever they stand in what was stored, and what to say of them.

    Of several dictionaries of tensors the largest is taken, as an optimiser's are small ones; of
    those that are as large (an average of the weights beside the weights) the one by the usual key.
    """
    found = [
        (key, claims)
        for key, mapping in _mappings(stored)
        if (claims := {name: value for name, value in mapping.items() if isinstance(value, _Claim)})
    ]
    if not found:
        raise WeightsError(
            f"{file} does not hold a state_dict, tensors by name: save net.state_dict()."
        )
    most = max(len(claims) for _, claims in found)
    # An average has a counter beside the same tensors.
    largest = [(key, claims) for key, claims in found if len(claims) + 1 >= most]
    key, claims = min(largest, key=lambda one: _rank(one[0]))
    others = [repr(other) for other, _ in largest if other != key]
    notes: tuple[str, ...] = ()
    if others:
        notes = (f"{file} holds several nets' tensors: {key!r} was taken, not {listed(others)}.",)
    return claims, notes


def _mappings(stored: object) -> Iterator[tuple[str, Mapping[str, object]]]:
    """Every dictionary whose keys are texts, with the keys that lead to it."""
    waiting: list[tuple[str, object, int]] = [("", stored, 0)]
    seen: set[int] = set()
    while waiting:
        key, one, depth = waiting.pop(0)
        if not isinstance(one, Mapping) or id(one) in seen or depth > _DEEPEST:
            continue
        seen.add(id(one))
        if all(type(name) is str for name in one):
            yield key, one
            inner = [(f"{key}.{name}".lstrip("."), value) for name, value in one.items()]
            waiting += [(name, value, depth + 1) for name, value in inner]


def _rank(key: str) -> tuple[int, int]:
    """The usual keys first, averages last; then the one that stands further out."""
    last = key.rpartition(".")[2]
    if last in _USUAL:
        return _USUAL.index(last), key.count(".")
    average = any(word in key.lower() for word in ("ema", "averag", "swa"))
    return len(_USUAL) + average, key.count(".")
