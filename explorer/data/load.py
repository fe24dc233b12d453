"""Load a data set: embedded digits, an image folder, or one of torchvision's."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial as partial_call
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from explorer.data.catalog import data_home, list_folder
from explorer.data.dataset import Dataset, Progress, build
from explorer.data.downloads import SOURCES, Source, missing
from explorer.data.order import permutation
from explorer.data.stored import Cut, StoredImages
from explorer.data.uploaded import check_room, is_kept, shrink
from explorer.errors import DataError
from explorer.structure.specs import DATASETS, DataInfo, DataSpec
from explorer.system.files import partial_name, sweep, whole

Split = tuple[Tensor, Tensor]  # uint8 images (N, C, H, W), int64 labels (N,)
DIGITS_TEST_PER_CLASS = 36
STALL_SECONDS = 30.0  # without a byte, a download counts as failed


def load_data(
    spec: DataSpec, progress: Progress | None = None, *, download: bool = True
) -> Dataset:
    """Load a data set onto the CPU.

    Args:
        progress: Called with what is being done and the share done, in [0, 1].
        download: Whether what is not on this machine may be fetched; else that is an error.

    Raises:
        DataError: One sentence: what is missing or damaged, and what to do.
    """
    tell = progress or (lambda text, share: None)
    if spec.name == "folder":
        return _folder(spec, tell)
    if spec.name == "digits":
        train, test = _digits()
        return build(spec, DATASETS["digits"], train, test)
    return _downloaded(spec, tell, download)


# ----------------------------------------------------------------------------------- digits


def _digits() -> tuple[Split, Split]:
    """scikit-learn's digits: 1437 for training, 360 (36 a class) for testing, always the same."""
    table = _digits_table()
    labels = table[:, 64].astype(np.int64)
    # 0 … 16 spread over 0 … 255; rounding keeps all 17 values apart.
    pixels = np.rint(table[:, :64] * (255 / 16)).astype(np.uint8).reshape(-1, 1, 8, 8)
    order = permutation(len(labels), 1797)
    chosen = [order[labels[order] == digit][:DIGITS_TEST_PER_CLASS] for digit in range(10)]
    test = np.zeros(len(labels), dtype=bool)
    test[np.concatenate(chosen)] = True
    return (
        (torch.from_numpy(pixels[~test]), torch.from_numpy(labels[~test])),
        (torch.from_numpy(pixels[test]), torch.from_numpy(labels[test])),
    )


def _digits_table() -> NDArray[np.float64]:
    """1797 rows of 64 pixels, 0 … 16, and the digit."""
    # Importing scikit-learn takes 2 s of processor time, reading its file a hundredth of that.
    found = find_spec("sklearn")
    for folder in (found.submodule_search_locations or ()) if found is not None else ():
        path = Path(folder, "datasets", "data", "digits.csv.gz")
        if path.exists():
            return np.loadtxt(path, delimiter=",")
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return np.column_stack([bunch.data, bunch.target])


# ----------------------------------------------------------------------------------- folder


def _folder(spec: DataSpec, tell: Progress) -> Dataset:
    images = list_folder(spec.path or "")
    cut = Cut(spec.image_size, spec.resize)
    cache = _cache_file(images, cut)
    splits = _read_cache(cache, images.key)
    if splits is None:
        splits = _decode(images, cut, tell)
        _write_cache(cache, images.key, splits)
        if is_kept(images.path):
            shrink(cache.name)
    return build(spec, images.named.info(spec.image_size), *splits)


def _decode(images: StoredImages, cut: Cut, tell: Progress) -> tuple[Split, Split]:
    n = len(images.train_labels)
    check_room(images.path, n + len(images.test_labels), cut.side)
    text = f"Decoding {n + len(images.test_labels):,} images of {images.named.name} (once)"
    pixels = torch.from_numpy(images.pixels(cut, lambda share: tell(text, share)))
    train, test = (torch.from_numpy(one) for one in (images.train_labels, images.test_labels))
    return (pixels[:n], train), (pixels[n:], test)


def _cache_file(images: StoredImages, cut: Cut) -> Path:
    """One file for each place and size; a changed place replaces its own."""
    way = f"{cut.side}" if cut.resize is None else f"{cut.side}-of-{cut.resize}"
    if is_kept(images.path):
        return images.path.with_name(f"{images.path.name}-{way}.safetensors")
    name = hashlib.sha256(os.fsencode(images.path)).hexdigest()[:24]
    return data_home() / "folders" / f"{name}-{way}.safetensors"


def _read_cache(cache: Path, key: str) -> tuple[Split, Split] | None:
    """The decoded images, or None where there are none, or of an older state of the folder."""
    try:
        with safe_open(cache, framework="pt") as file:
            if (file.metadata() or {}).get("key") != key:
                return None
            return (
                (file.get_tensor("train_images"), file.get_tensor("train_labels")),
                (file.get_tensor("test_images"), file.get_tensor("test_labels")),
            )
    except (OSError, SafetensorError):
        return None


def _write_cache(cache: Path, key: str, splits: tuple[Split, Split]) -> None:
    """Keep decoded images for next time; a full disk only means decoding again."""
    (train_images, train_labels), (test_images, test_labels) = splits
    tensors = {
        "train_images": train_images,
        "train_labels": train_labels,
        "test_images": test_images,
        "test_labels": test_labels,
    }
    with suppress(OSError, SafetensorError):
        cache.parent.mkdir(parents=True, exist_ok=True)
        with whole(cache) as partial:
            save_file(tensors, partial, metadata={"key": key})


# ------------------------------------------------------------------------------ torchvision


def _downloaded(spec: DataSpec, tell: Progress, download: bool) -> Dataset:
    import torchvision.datasets

    source, info, home = SOURCES[spec.name], DATASETS[spec.name], data_home()
    loader = getattr(torchvision.datasets, source.loader)
    try:
        train, test = _open(loader, home), _open(loader, home, train=False)
    except (RuntimeError, OSError, ValueError, EOFError):  # absent, or cut short
        if not download:
            raise missing(info.title, source.megabytes) from None
        _download(loader, source, info, home, tell)
        train, test = _open(loader, home), _open(loader, home, train=False)
    if len(train.classes) == len(info.classes) and spec.name == "cifar100":
        info = info.model_copy(update={"classes": tuple(train.classes)})
    return build(spec, info, _tensors(train), _tensors(test))


def _open(loader: Any, home: Path, train: bool = True) -> Any:
    return loader(home, train=train, download=False)


def _tensors(split: Any) -> Split:
    pixels = torch.as_tensor(split.data)
    labels = torch.as_tensor(split.targets).to(torch.int64)
    # MNIST keeps (N, H, W), CIFAR (N, H, W, C).
    pixels = pixels[:, None] if pixels.ndim == 3 else pixels.permute(0, 3, 1, 2)
    return pixels.contiguous(), labels


def _download(loader: Any, source: Source, info: DataInfo, home: Path, tell: Progress) -> None:
    """Let torchvision fetch and check the files in a folder of their own, then move them home.

    So a download that was cut short, or another process that does the same, leaves no halves.
    """
    text = f"Downloading {info.title} ({source.megabytes:.0f} MB)"
    partial = home / partial_name("download")
    try:
        sweep(home)
        partial.mkdir(parents=True)
        try:
            for archive in source.archives:
                if (home / archive).is_file():
                    (partial / archive).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(home / archive, partial / archive)

            def report() -> None:
                megabytes = _compressed_bytes(partial) / 1e6
                tell(text, min(0.99, megabytes / source.megabytes))

            _run_watched(lambda: loader(partial, train=True, download=True), report)
            _move_files(partial, home)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    except (RuntimeError, OSError, EOFError) as error:
        raise DataError(
            f"{info.title} could not be downloaded ({_reason(error)}): check the network, or "
            f"place its files under {str(home / source.folder)!r}, or choose the embedded "
            "digits or an image folder instead."
        ) from None
    tell(text, 1.0)


def _run_watched(work: Callable[[], object], report: Callable[[], None]) -> None:
    """Run ``work`` in a thread and ``report`` here five times a second; raise what it raised."""
    failed: list[BaseException] = []

    def run() -> None:
        try:
            with _quiet_download():
                work()
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run, name="download", daemon=True)
    thread.start()
    while thread.is_alive():
        report()
        thread.join(0.2)
    if failed:
        raise failed[0]


@contextmanager
def _quiet_download() -> Iterator[None]:
    """torchvision's own progress bar silenced, and a dead connection given up."""
    from torchvision.datasets import utils

    bar, patience = utils.tqdm, socket.getdefaulttimeout()
    utils.tqdm = partial_call(bar, disable=True)
    socket.setdefaulttimeout(STALL_SECONDS)
    try:
        yield
    finally:
        utils.tqdm = bar
        socket.setdefaulttimeout(patience)


def _compressed_bytes(folder: Path) -> int:
    total = 0
    for file in folder.rglob("*.gz"):
        with suppress(FileNotFoundError):
            total += file.stat().st_size
    return total


def _move_files(source: Path, target: Path) -> None:
    for file in sorted(source.rglob("*")):
        if file.is_file():
            place = target / file.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            file.replace(place)


def _reason(error: BaseException) -> str:
    """The last line of what went wrong: torchvision lists every mirror before it."""
    cause = getattr(error, "reason", None) or error
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    text = lines[-1] if lines else type(cause).__name__
    return text.removeprefix("<urlopen error ").removesuffix(">")
