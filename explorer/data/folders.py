"""Images in folders: ``train/CLASS/…`` and ``test/CLASS/…``, as torchvision's ImageFolder has them.

A class is a folder of the first level, its images are all below it, and their order is that of
``sorted(os.walk(…))``. Unlike there, names that begin with a point are passed over, and so are
links that lead out of the folder: who may choose a folder has not chosen what lies elsewhere.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from explorer.data.stored import Cut, Named, Progress, StoredImages, leads_out, name_of, readable
from explorer.errors import DataError
from explorer.writing.formats import IMAGE_SUFFIXES, endings, listed

# Names of the folders of a split, the first that is there is taken.
SPLITS = {"train": ("train",), "test": ("test", "val", "valid", "validation")}
LAYOUT = "train/CLASS/*.png and test/CLASS/*.png"
MOST_FOLDERS = 200_000  # in one class: links inside a folder may lead round without end


def scan(root: Path) -> Named:
    """Its classes, and what stands for ``test``: looks for one image in each class only.

    Raises:
        DataError: One sentence; see :func:`stored`.
    """
    found = {
        split: [name for name, folder in _class_folders(root, split) if _holds_images(root, folder)]
        for split in SPLITS
    }
    check_classes(root, found["train"], found["test"])
    return _named(root, found["train"])


def stored(root: Path) -> StoredImages:
    """Every image under ``train/CLASS`` and ``test/CLASS``, at any depth.

    Classes are the folders of ``train`` that hold images, sorted by name. Where there is no
    ``test``, ``val``, ``valid`` or ``validation`` stands for it; capitals count as small letters.

    Raises:
        DataError: No train or test in it, no images, one class only, or a class in test that
            train does not have.
    """
    key = hashlib.sha256()
    train, test = _list_split(root, "train", key), _list_split(root, "test", key)
    check_classes(root, list(train), list(test))
    files = [file for split in (train, test) for some in split.values() for file in some]

    def pixels(cut: Cut, tell: Progress) -> NDArray[np.uint8]:
        from explorer.data.images import decode_images

        return decode_images(files, cut, tell)

    index = {name: i for i, name in enumerate(train)}
    train_labels, test_labels = (
        np.repeat([index[name] for name in split], [len(some) for some in split.values()])
        for split in (train, test)
    )
    return StoredImages(
        path=root.resolve(),
        named=_named(root, list(train)),
        train_labels=train_labels.astype(np.int64),
        test_labels=test_labels.astype(np.int64),
        key=key.hexdigest(),
        pixels=pixels,
    )


def check_classes(root: Path, train: list[str], test: list[str]) -> None:
    """Refuse what no net can be trained or tested on; both lists hold classes with images."""
    for split, found in (("train", train), ("test", test)):
        if not found:
            raise DataError(
                f"There are no images under {str(root / split)!r}: put "
                f"{listed(endings(IMAGE_SUFFIXES), 'or')} files into one folder a class, such as "
                f"{split}/cat/1.png; links that lead out of the folder are not followed."
            )
    if len(train) == 1:
        raise DataError(
            f"Every training image under {str(root / 'train')!r} is of one class, "
            f"{train[0]!r}: a net needs at least two class folders to tell apart."
        )
    strangers = sorted(set(test) - set(train))
    if strangers:
        raise DataError(
            f"The class {strangers[0]!r} has images in {str(root / 'test')!r} but none in "
            f"{str(root / 'train')!r}: add training images of it, or remove it from test."
        )


def stands_for_test(name: str) -> str:
    """In words, a split's folder that stands for ``test``; empty of ``test`` itself."""
    return "" if name.lower() == "test" else f"tested on {name!r}"


def is_image_name(name: str) -> bool:
    return not name.startswith(".") and name.lower().endswith(IMAGE_SUFFIXES)


def _named(root: Path, classes: list[str]) -> Named:
    folder = split_folder(root, "test")
    tested_on = "" if folder is None else stands_for_test(folder.name)
    return Named(name_of(root), tuple(classes), tested_on)


def _class_folders(root: Path, split: str) -> list[tuple[str, str]]:
    """(name, path) of the folders in ``root/split``, sorted by name."""
    folder = split_folder(root, split)
    if folder is None:
        raise DataError(
            f"The folder {str(root)!r} has no {split!r} in it: images belong in {LAYOUT}; a link "
            "that leads out of the folder is not followed."
        )
    with readable(folder), os.scandir(folder) as entries:
        return sorted((entry.name, entry.path) for entry in entries if _is_folder(root, entry))


def split_folder(root: Path, split: str) -> Path | None:
    """The folder in which the images of a split lie, the first of its names that is there."""
    names = SPLITS[split]
    with readable(root), os.scandir(root) as entries:
        found = {
            entry.name.lower(): Path(entry.path)
            for entry in sorted(
                (entry for entry in entries if entry.name.lower() in names),
                key=lambda entry: entry.name,
            )
            if os.path.isdir(entry.path) and not leads_out(root, entry.path)
        }
    return next((found[name] for name in names if name in found), None)


def _holds_images(root: Path, folder: str) -> bool:
    return any(files for _, files in _walk(root, folder))


def _list_split(root: Path, split: str, key: hashlib._Hash) -> dict[str, list[Path]]:
    """Image files by class, classes without images left out; every file is added to ``key``."""
    found: dict[str, list[Path]] = {}
    for name, folder in _class_folders(root, split):
        files = []
        for inner, entries in sorted(_walk(root, folder), key=lambda pair: pair[0]):
            for entry in sorted(entries, key=lambda entry: entry.name):
                state = entry.stat()
                place = f"{split}/{name}{inner[len(folder) :]}/{entry.name}"
                line = f"{place}\0{state.st_size}\0{state.st_mtime_ns}\n"
                key.update(line.encode("utf-8", "surrogateescape"))
                files.append(Path(entry.path))
        if files:
            found[name] = files
    return found


def _walk(root: Path, top: str) -> Iterator[tuple[str, list[os.DirEntry[str]]]]:
    """Every folder from ``top`` down with the images that lie in it itself.

    Raises:
        DataError: A folder cannot be read, or there is no end of them.
    """
    # Beside each the folders that it lies in, so that a link to one of them is not followed.
    waiting: list[tuple[str, frozenset[str]]] = [(top, frozenset())]
    seen = 0
    while waiting:
        folder, above = waiting.pop()
        here = os.path.realpath(folder)
        if here in above:
            continue
        seen += 1
        if seen > MOST_FOLDERS:
            raise DataError(
                f"{top!r} has more than {MOST_FOLDERS:,} folders inside, which are not looked "
                "through: put its images into fewer."
            )
        with readable(Path(folder)), os.scandir(folder) as entries:
            files = []
            for entry in entries:
                if _is_image(root, entry):
                    files.append(entry)
                elif _is_folder(root, entry):
                    waiting.append((entry.path, above | {here}))
        yield folder, files


def _is_folder(root: Path, entry: os.DirEntry[str]) -> bool:
    return (
        entry.is_dir()
        and not entry.name.startswith(".")  # .ipynb_checkpoints, .git
        and not (entry.is_symlink() and leads_out(root, entry.path))
    )


def _is_image(root: Path, entry: os.DirEntry[str]) -> bool:
    return (
        is_image_name(entry.name)
        and entry.is_file(follow_symlinks=True)
        and not (entry.is_symlink() and leads_out(root, entry.path))
    )
