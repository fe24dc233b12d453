"""What can be known of a data set without loading it: no torch, so the server may ask.

For an image folder that is its listing: names and sizes of files, no pixel decoded.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from explorer.errors import DataError
from explorer.structure.specs import DATASETS, DataInfo, DataSpec
from explorer.system.bounded import local_path
from explorer.system.home import default_home
from explorer.writing.formats import IMAGE_SUFFIXES, endings, listed

# Names of the folders of a split, the first that is there is taken.
SPLITS = {"train": ("train",), "test": ("test", "val", "valid", "validation")}


@dataclass(frozen=True)
class FolderListing:
    """The images of a folder data set, in a fixed order (class, then file name).

    Attributes:
        train: (file, index into ``classes``) of every training image.
        key: Changes whenever a file is added, removed, renamed, resized or rewritten.
    """

    path: Path
    classes: tuple[str, ...]
    train: tuple[tuple[Path, int], ...]
    test: tuple[tuple[Path, int], ...]
    key: str


def data_home() -> Path:
    """Folder of downloads and decoded images: ``$SKIPSCOPE_HOME/data``, or ~/.skipscope/data."""
    return default_home() / "data"


def data_info(spec: DataSpec) -> DataInfo:
    """Title, image shape and classes of any data set.

    Raises:
        DataError: The folder is not an image-folder data set.
    """
    if spec.name == "folder":
        return scan_folder(spec.path or "", spec.image_size)
    return DATASETS[spec.name]


def scan_folder(path: str | Path, image_size: int) -> DataInfo:
    """What an image folder amounts to, with its images as RGB of ``image_size``² pixels.

    Looks for one image in each class only, so that it answers at once whatever the size.

    Raises:
        DataError: One sentence; see :func:`list_folder`.
    """
    root = _root(path)
    splits = {
        split: [each.name for each in _class_folders(root, split) if _holds_images(root, each)]
        for split in SPLITS
    }
    _check_classes(root, splits["train"], splits["test"])
    return folder_info(root, tuple(splits["train"]), image_size)


def folder_info(root: Path, classes: tuple[str, ...], image_size: int) -> DataInfo:
    """The folder's name as title, with what stands for its test images; and its images' shape."""
    title = root.resolve().name or str(root)
    test = _split_folder(root, "test")
    if test is not None and test.name.lower() != "test":
        title += f" (tested on {test.name!r})"
    return DataInfo(title=title, input_shape=(3, image_size, image_size), classes=classes)


def list_folder(path: str | Path) -> FolderListing:
    """List ``train/CLASS/*.png`` and ``test/CLASS/*.png`` (or another format) under ``path``.

    Classes are the folders of ``train`` that hold images, sorted by name; names that begin with a
    point are passed over, and so are links that lead out of the folder: who may choose a folder
    has not chosen what lies elsewhere. Where there is no ``test``, ``val``, ``valid`` or
    ``validation`` stands for it; capitals count as small letters.

    Raises:
        DataError: Not a folder, no train or test in it, no images, one class only, or a class
            in test that train does not have.
    """
    root = _root(path)
    key = hashlib.sha256()
    train, test = _list_split(root, "train", key), _list_split(root, "test", key)
    _check_classes(root, list(train), list(test))
    classes = tuple(train)
    index = {name: i for i, name in enumerate(classes)}
    return FolderListing(
        path=root.resolve(),
        classes=classes,
        train=tuple((file, index[name]) for name in train for file in train[name]),
        test=tuple((file, index[name]) for name in test for file in test[name]),
        key=key.hexdigest(),
    )


def _root(path: str | Path) -> Path:
    root = local_path(path, DataError)
    if not os.path.isdir(root):  # unlike Path.is_dir, it never raises
        raise DataError(
            f"There is no folder {str(root)!r}: give the path of a folder with "
            "train/CLASS/*.png and test/CLASS/*.png in it."
        )
    return root


def _check_classes(root: Path, train: list[str], test: list[str]) -> None:
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


def _class_folders(root: Path, split: str) -> list[Path]:
    """The folders in ``root/split``, sorted by name."""
    folder = _split_folder(root, split)
    if folder is None:
        raise DataError(
            f"The folder {str(root)!r} has no {split!r} in it: images belong in "
            "train/CLASS/*.png and test/CLASS/*.png; a link that leads out of the folder is not "
            "followed."
        )
    with _readable(folder), os.scandir(folder) as entries:
        return sorted(
            Path(entry.path)
            for entry in entries
            if entry.is_dir()
            and not entry.name.startswith(".")  # .ipynb_checkpoints, .git
            and not (entry.is_symlink() and _leads_out(root, entry.path))
        )


def _split_folder(root: Path, split: str) -> Path | None:
    """The folder in which the images of a split lie, the first of its names that is there."""
    names = SPLITS[split]
    with _readable(root), os.scandir(root) as entries:
        found = {
            entry.name.lower(): Path(entry.path)
            for entry in sorted(
                (entry for entry in entries if entry.name.lower() in names),
                key=lambda entry: entry.name,
            )
            if os.path.isdir(entry.path) and not _leads_out(root, entry.path)
        }
    return next((found[name] for name in names if name in found), None)


def _leads_out(root: Path, path: str | Path) -> bool:
    """Whether what lies there is, all links followed, outside of the folder."""
    inside = os.path.realpath(root)
    return os.path.commonpath([inside, os.path.realpath(path)]) != inside


def _holds_images(root: Path, folder: Path) -> bool:
    with _readable(folder), os.scandir(folder) as entries:
        return any(_is_image(root, entry) for entry in entries)


def _list_split(root: Path, split: str, key: hashlib._Hash) -> dict[str, list[Path]]:
    """Image files by class, classes without images left out; every file is added to ``key``."""
    found: dict[str, list[Path]] = {}
    for folder in _class_folders(root, split):
        with _readable(folder), os.scandir(folder) as entries:
            files = sorted((e for e in entries if _is_image(root, e)), key=lambda entry: entry.name)
            for file in files:
                state = file.stat()
                line = f"{split}/{folder.name}/{file.name}\0{state.st_size}\0{state.st_mtime_ns}\n"
                key.update(line.encode("utf-8", "surrogateescape"))
        if files:
            found[folder.name] = [Path(file.path) for file in files]
    return found


@contextmanager
def _readable(folder: Path) -> Iterator[None]:
    """What the system says about an unreadable folder, as a sentence."""
    try:
        yield
    except OSError as error:
        raise DataError(
            f"The folder {str(folder)!r} cannot be read ({error.strerror}): "
            "check its permissions, or choose another folder."
        ) from None


def _is_image(root: Path, entry: os.DirEntry[str]) -> bool:
    name = entry.name
    return (
        not name.startswith(".")
        and name.lower().endswith(IMAGE_SUFFIXES)
        and entry.is_file(follow_symlinks=True)
        and not (entry.is_symlink() and _leads_out(root, entry.path))
    )
